//! What Kubernetes knows of a container's pod, as the container's record holds it.
//!
//! The record of a container may have, beside its `container` object, an object `k8s` with members
//! by kind (`pod`, `ns`, `svc`, `deployment`, ...): each an object with `name`, `uid`, `ip` and
//! `labels`, or a list of such. Stock tools ignore it.

use super::{Text, empty_text};
use serde_json::Value;

/// Kinds of objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs, reason = "the names are Kubernetes'")]
pub enum Kind {
    Pod,
    Namespace,
    Node,
    ReplicationController,
    ReplicaSet,
    Deployment,
    DaemonSet,
    StatefulSet,
    Job,
    CronJob,
    Service,
}

/// Kinds by the member of the record that holds them, which fields have after `k8s.`, too.
const MEMBERS: [(Kind, &str); 11] = [
    (Kind::Pod, "pod"),
    (Kind::Namespace, "ns"),
    (Kind::Node, "node"),
    (Kind::ReplicationController, "rc"),
    (Kind::ReplicaSet, "rs"),
    (Kind::Deployment, "deployment"),
    (Kind::DaemonSet, "ds"),
    (Kind::StatefulSet, "sts"),
    (Kind::Job, "job"),
    (Kind::CronJob, "cronjob"),
    (Kind::Service, "svc"),
];

impl Kind {
    /// All kinds, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Kind> {
        MEMBERS.iter().map(|(kind, _)| *kind)
    }

    /// The member of the record that holds objects of this kind.
    pub fn member(self) -> &'static str {
        MEMBERS[self as usize].1
    }
}

/// Most objects of a record. A pod is in few services, but a record can say what it likes.
const OBJECTS_MAX: usize = 1_024;

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Text,
    /// Its unique id.
    pub uid: Text,
    /// Its address, dotted text.
    pub ip: Text,
    /// Its labels, in order of the record.
    pub labels: Vec<(Text, Text)>,
}

impl Object {
    /// The value of a label.
    pub fn label(&self, name: &[u8]) -> Option<&[u8]> {
        self.labels.iter().find(|(n, _)| **n == *name).map(|(_, v)| &**v)
    }
}

/// The objects around a pod.
#[derive(Clone, Debug, Default)]
pub struct K8s {
    objects: Vec<Object>,
}

impl K8s {
    /// Objects of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// The labels of all objects.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &(Text, Text)> {
        self.objects.iter().flat_map(|object| &object.labels)
    }

    /// What the objects take without their labels, roughly, in bytes.
    pub(crate) fn cost_bytes(&self) -> usize {
        let texts = |o: &Object| o.name.len() + o.uid.len() + o.ip.len() + 3 * 32;
        self.objects.iter().map(|object| size_of::<Object>() + texts(object)).sum()
    }

    /// Reads the record's `k8s` object, and what container records of falcosecurity/libs tell of the
    /// pod's labels beside it.
    pub(crate) fn of_record(record: &Value) -> K8s {
        let mut objects = Vec::new();
        for (kind, member) in MEMBERS {
            match record.get("k8s").and_then(|k8s| k8s.get(member)) {
                Some(Value::Array(list)) => {
                    let room = OBJECTS_MAX.saturating_sub(objects.len());
                    objects.extend(list.iter().take(room).map(|value| object_of(kind, value)));
                }
                Some(value @ Value::Object(_)) => objects.push(object_of(kind, value)),
                _ => {}
            }
        }
        let sandbox_labels = labels_of(record.get("container").and_then(|c| c.get("pod_sandbox_labels")));
        if !sandbox_labels.is_empty() && !objects.iter().any(|o: &Object| o.kind == Kind::Pod) {
            objects.push(Object { labels: sandbox_labels, ..object_of(Kind::Pod, &Value::Null) });
        }
        K8s { objects }
    }
}

fn object_of(kind: Kind, value: &Value) -> Object {
    let text = |name: &str| match value.get(name).and_then(Value::as_str) {
        Some(text) => Text::from(text.as_bytes()),
        None => empty_text(),
    };
    Object {
        kind,
        name: text("name"),
        uid: text("uid"),
        ip: text("ip"),
        labels: labels_of(value.get("labels")),
    }
}

pub(super) fn labels_of(value: Option<&Value>) -> Vec<(Text, Text)> {
    let Some(Value::Object(labels)) = value else { return Vec::new() };
    let text = |s: &str| Text::from(s.as_bytes());
    labels.iter().filter_map(|(k, v)| Some((text(k), text(v.as_str()?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_lists_of_them_are_read() {
        let record = serde_json::json!({
            "container": {"id": "3ad7b26ded6d", "pod_sandbox_labels": {"app": "old"}},
            "k8s": {
                "pod": {"name": "web-0", "uid": "3e41", "ip": "10.244.1.9", "labels": {"app": "web"}},
                "svc": [{"name": "a"}, {"name": "b", "labels": {"x": "y", "n": 5}}],
            },
        });
        let k8s = K8s::of_record(&record);
        let pod = k8s.of(Kind::Pod).next().unwrap();
        assert_eq!(
            (&*pod.name, &*pod.ip, pod.label(b"app")),
            (&b"web-0"[..], &b"10.244.1.9"[..], Some(&b"web"[..]))
        );
        let services: Vec<_> = k8s.of(Kind::Service).map(|s| (&*s.name, s.labels.len())).collect();
        assert_eq!(services, [(&b"a"[..], 0), (b"b", 1)]);
        assert_eq!(k8s.of(Kind::Deployment).count(), 0);
    }

    #[test]
    fn each_kind_has_its_own_member() {
        for (number, (kind, member)) in MEMBERS.iter().enumerate() {
            assert_eq!((*kind as usize, kind.member()), (number, *member));
            let record = serde_json::json!({"k8s": {*member: {"name": "x"}}});
            assert_eq!(K8s::of_record(&record).of(*kind).count(), 1, "{member}");
        }
    }

    #[test]
    fn labels_of_the_sandbox_are_the_pods() {
        let record = serde_json::json!({"container": {"pod_sandbox_labels": {"app": "web"}}});
        let k8s = K8s::of_record(&record);
        assert_eq!(k8s.of(Kind::Pod).next().unwrap().label(b"app"), Some(&b"web"[..]));
        assert_eq!(K8s::of_record(&serde_json::json!({"k8s": 5})).objects.len(), 0);
    }
}
