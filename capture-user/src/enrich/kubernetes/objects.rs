//! [`Objects`]: what is known of a cluster, and what of it is around a pod: its namespace, its node,
//! who made it, and the services that choose it.
//!
//! Invariant: bounded in bytes. What does not fit is left out and counted.

use super::object::{Labels, Object, Owner};
use super::surroundings::{PodName, Surroundings};
use capture_engine::state::k8s::Kind;
use std::collections::HashMap;
use std::sync::Arc;

/// Most bytes that the objects of a cluster take together. A pod takes about half a KiB.
const BYTES_MAX: usize = 64 << 20;
/// Most services around a pod; a pod is in one or two.
const SERVICES_MAX: usize = 64;
/// Most steps from a pod to the one who made it all (pod, replica set, deployment).
const OWNERS_MAX: usize = 4;

#[derive(Debug)]
struct Held {
    object: Arc<Object>,
    cost: usize,
    /// The list that it was last seen in.
    round: u64,
}

/// Objects of a kind: by namespace (empty for those that are in none), then by name.
type Table = HashMap<Box<str>, HashMap<Box<str>, Held>>;

/// The objects of a cluster.
#[derive(Debug)]
pub(crate) struct Objects {
    tables: HashMap<Kind, Table>,
    bytes: usize,
    bytes_max: usize,
    /// Objects that found no room.
    refused: u64,
    rounds: u64,
    /// Counts changes.
    version: u64,
}

impl Default for Objects {
    fn default() -> Self {
        Objects::with_limit(BYTES_MAX)
    }
}

impl Objects {
    pub(super) fn with_limit(bytes_max: usize) -> Self {
        Objects { tables: HashMap::new(), bytes: 0, bytes_max, refused: 0, rounds: 0, version: 0 }
    }

    /// Begins a list of all objects of a kind; the answer is its number.
    pub(super) fn begin_list(&mut self) -> u64 {
        self.rounds += 1;
        self.rounds
    }

    /// Ends a list: objects of the kind that were not in it are gone.
    pub(super) fn end_list(&mut self, kind: Kind, round: u64) {
        let Some(table) = self.tables.get_mut(&kind) else { return };
        let mut freed = 0;
        table.retain(|_, named| {
            named.retain(|_, held| {
                let stays = held.round >= round;
                freed += if stays { 0 } else { held.cost };
                stays
            });
            !named.is_empty()
        });
        self.version += u64::from(freed > 0);
        self.bytes -= freed;
    }

    /// Takes over an object as it is now, as part of a list or by itself (round 0).
    pub(super) fn put(&mut self, kind: Kind, mut object: Object, round: u64) {
        if kind != Kind::Service {
            // Others' selectors have other forms, and owners tell better.
            object.selector = Labels::new();
        }
        let round = if round == 0 { self.rounds } else { round };
        if let Some(held) = self.held_mut(kind, &object.namespace, &object.name)
            && *held.object == object
        {
            held.round = round;
            return;
        }
        self.remove(kind, &object.namespace, &object.name);
        let cost = object.cost_bytes();
        if self.bytes + cost > self.bytes_max {
            self.refused += 1;
            return;
        }
        self.bytes += cost;
        self.version += 1;
        let names = self.tables.entry(kind).or_default().entry(object.namespace.clone()).or_default();
        names.insert(object.name.clone(), Held { object: Arc::new(object), cost, round });
    }

    /// Forgets an object.
    pub(super) fn remove(&mut self, kind: Kind, namespace: &str, name: &str) {
        let Some(table) = self.tables.get_mut(&kind) else { return };
        let Some(names) = table.get_mut(namespace) else { return };
        if let Some(held) = names.remove(name) {
            self.bytes -= held.cost;
            self.version += 1;
        }
        if names.is_empty() {
            table.remove(namespace);
        }
    }

    /// A number that is another one after every change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Objects that found no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// What they take, roughly.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Objects of a kind.
    #[cfg(test)]
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.tables.get(&kind).map_or(0, |table| table.values().map(HashMap::len).sum())
    }

    fn held_mut(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<&mut Held> {
        self.tables.get_mut(&kind)?.get_mut(namespace)?.get_mut(name)
    }

    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        Some(&self.tables.get(&kind)?.get(namespace)?.get(name)?.object)
    }

    /// What is known around a pod. The pod itself need not be known: its namespace and the services
    /// that choose its labels are found all the same.
    pub(crate) fn around(&self, pod: &PodName) -> Surroundings {
        let mut around = Surroundings::default();
        let known = self.get(Kind::Pod, &pod.namespace, &pod.name).filter(|object| pod.is(object));
        if let Some(object) = known {
            around.push(Kind::Pod, object.clone());
        }
        if let Some(namespace) = self.get(Kind::Namespace, "", &pod.namespace) {
            around.push(Kind::Namespace, namespace.clone());
        }
        if let Some(object) = known {
            if !object.node.is_empty() {
                around.push(Kind::Node, self.named(Kind::Node, "", &object.node, ""));
            }
            self.push_owners(&mut around, object);
        }
        let label = |name: &str| match known {
            Some(object) => object.label(name),
            None => pod.labels.get(name).map(String::as_str),
        };
        self.push_services(&mut around, &pod.namespace, label);
        around
    }

    /// The object of this name and id; where it is not known, one that has nothing else.
    fn named(&self, kind: Kind, namespace: &str, name: &str, uid: &str) -> Arc<Object> {
        let known = self.get(kind, namespace, name).filter(|object| uid.is_empty() || *object.uid == *uid);
        known.cloned().unwrap_or_else(|| {
            let (namespace, name, uid) = (namespace.into(), name.into(), uid.into());
            Arc::new(Object { namespace, name, uid, ..Object::default() })
        })
    }

    /// Who made the pod, who made that, and so on.
    fn push_owners(&self, around: &mut Surroundings, pod: &Arc<Object>) {
        let mut object = pod.clone();
        for _ in 0..OWNERS_MAX {
            let Some(Owner { kind, name, uid }) = object.owner.clone() else { return };
            // A mirror pod is the node's, which is there already; a cycle ends here, too.
            if around.has(kind) {
                return;
            }
            object = self.named(kind, &pod.namespace, &name, &uid);
            around.push(kind, object.clone());
        }
    }

    fn push_services<'a>(
        &'a self,
        around: &mut Surroundings,
        namespace: &str,
        label: impl Fn(&str) -> Option<&'a str>,
    ) {
        let services = self.tables.get(&Kind::Service).and_then(|table| table.get(namespace));
        let chooses = |service: &&Arc<Object>| {
            !service.selector.is_empty()
                && service.selector.iter().all(|(name, value)| label(name) == Some(&**value))
        };
        let all = services.into_iter().flatten().map(|(_, held)| &held.object);
        let mut chosen: Vec<&Arc<Object>> = all.filter(chooses).collect();
        chosen.sort_by(|a, b| a.name.cmp(&b.name));
        chosen.into_iter().take(SERVICES_MAX).for_each(|service| around.push(Kind::Service, service.clone()));
    }
}
