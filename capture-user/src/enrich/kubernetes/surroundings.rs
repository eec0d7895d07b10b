//! [`Surroundings`]: the objects around a pod, and their form in a container's record.
//!
//! ```text
//! {"container": {...}, "k8s": {"pod": {...}, "ns": {...}, "rs": {...}, "svc": [{...}, ...], ...}}
//! ```
//!
//! Each object has `name` and, where known, `uid`, `ip` and `labels`. Stock tools ignore the key.

use super::object::Object;
use capture_engine::state::k8s::Kind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of labels of all objects in a record.
const LABELS_MAX: usize = 64 << 10;

/// A pod, as a container tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodName {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name, unique in the namespace at a time.
    pub(crate) name: String,
    /// Its unique id, or that of the configuration it was made of; empty: not known.
    pub(crate) uid: String,
    /// Its labels, for where the cluster does not tell them.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Labels by which containers tell their pod.
const POD_LABELS: [&str; 3] =
    ["io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.pod.uid"];

impl PodName {
    /// The pod of a container's record; `None` where it is in none.
    pub(crate) fn of_record(record: &Value) -> Option<PodName> {
        let container = record.get("container")?;
        let label = |name| Some(container.get("labels")?.get(name)?.as_str()?.to_owned());
        let [namespace, name, uid] = POD_LABELS.map(label);
        let of_pod = record.get("k8s").and_then(|k8s| k8s.get("pod")?.get("labels"));
        let labels = of_pod.or_else(|| container.get("pod_sandbox_labels")).and_then(Value::as_object);
        let text = |(k, v): (&String, &Value)| Some((k.clone(), v.as_str()?.to_owned()));
        Some(PodName {
            namespace: namespace?,
            name: name?,
            uid: uid.unwrap_or_default(),
            labels: labels.into_iter().flatten().filter_map(text).collect(),
        })
    }

    /// Whether this is the pod, and not an earlier or later one of the same name.
    pub(super) fn is(&self, object: &Object) -> bool {
        self.uid.is_empty() || [&object.uid, &object.config_hash].iter().any(|uid| ***uid == *self.uid)
    }
}

/// The objects around a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    objects: Vec<(Kind, Arc<Object>)>,
}

impl Surroundings {
    /// Adds an object; they are kept in order of their kinds.
    pub(super) fn push(&mut self, kind: Kind, object: Arc<Object>) {
        let at = self.objects.partition_point(|(k, _)| *k <= kind);
        self.objects.insert(at, (kind, object));
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.objects.iter().any(|(k, _)| *k == kind)
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The name of the node that the pod runs on.
    pub(crate) fn node(&self) -> Option<&str> {
        let mut nodes = self.objects.iter().filter(|(kind, _)| *kind == Kind::Node);
        nodes.next().map(|(_, object)| &*object.name)
    }

    /// What is known now, and of that which is gone meanwhile what was known: what a container did
    /// last is done by the pod that it was in. Services may go, as they may come.
    pub(crate) fn after(mut self, old: &Surroundings) -> Surroundings {
        let had_pod = old.has(Kind::Pod);
        if had_pod && !self.has(Kind::Pod) {
            return old.clone();
        }
        for (kind, known) in old.objects.iter().filter(|(kind, _)| *kind != Kind::Service) {
            match self.objects.iter_mut().find(|(k, _)| k == kind) {
                None => self.push(*kind, known.clone()),
                // One of which nothing but the name is left.
                Some((_, object)) if object.is_bare() && object.name == known.name => *object = known.clone(),
                Some(_) => {}
            }
        }
        self
    }

    /// Adds them to a container's record, over what it says of the same objects.
    pub(crate) fn add_to(&self, record: &mut Value) {
        if self.is_empty() {
            return;
        }
        let Some(record) = record.as_object_mut() else { return };
        let known = record.entry("k8s").or_insert_with(|| Value::Object(Map::new()));
        let Some(known) = known.as_object_mut() else { return };
        let mut room = LABELS_MAX;
        let mut services = Vec::new();
        for (kind, object) in &self.objects {
            if *kind == Kind::Service {
                services.push(Value::Object(members(object, &mut room)));
                continue;
            }
            let old = known.entry(kind.member()).or_insert_with(|| Value::Object(Map::new()));
            let new = members(object, &mut room);
            match old.as_object_mut() {
                Some(old) => old.extend(new),
                None => *old = Value::Object(new),
            }
        }
        if !services.is_empty() {
            known.insert(Kind::Service.member().into(), services.into());
        }
    }
}

/// What is known of an object.
fn members(object: &Object, room: &mut usize) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, text) in [("name", &object.name), ("uid", &object.uid), ("ip", &object.ip)] {
        if !text.is_empty() {
            members.insert(name.into(), Value::from(&**text));
        }
    }
    let mut labels = Map::new();
    for (name, value) in &object.labels {
        if let Some(left) = room.checked_sub(name.len() + value.len()) {
            *room = left;
            labels.insert(String::from(&**name), Value::from(&**value));
        }
    }
    if !labels.is_empty() {
        members.insert("labels".into(), labels.into());
    }
    members
}
