//! [`Store`]: what all sources have told of containers, by id; where the stream's consumer waits
//! for a record.
//!
//! Invariant: bounded, in number and in bytes, whatever engines say. When there are too many the oldest
//! goes: first of those that only an engine told of, then of those in the stream, which has what they
//! were by then.

use super::kubernetes::{Cluster, Surroundings};
use super::metadata::Metadata;
use capture_engine::state::cgroups::{ContainerKind, short_id};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Most containers that are kept.
const ENTRIES_MAX: usize = 8192;
/// Most bytes of what is known of them. A real container takes some KiB.
const BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
struct Entry {
    metadata: Metadata,
    /// What that takes.
    bytes: usize,
    /// The stream has a thread in it.
    is_seen: bool,
    /// The consumer asked for its record.
    is_asked: bool,
    /// A record of it is in the stream.
    is_told: bool,
    /// It waits among the changed ones.
    is_changed: bool,
    /// What the last record of it said of the cluster.
    surroundings: Surroundings,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<String, Entry>,
    /// Ids, the oldest first: of all that engines told of before the stream showed them, and of all that
    /// the stream showed.
    heard: VecDeque<String>,
    seen: VecDeque<String>,
    changed: Vec<String>,
    bytes: usize,
}

/// Containers by id.
#[derive(Debug, Default)]
pub(super) struct Store {
    entries: Mutex<Entries>,
    changed: Condvar,
    /// `None` where nobody asks for one.
    cluster: Option<Arc<Cluster>>,
}

impl Store {
    /// A store of containers that may be in pods of this cluster.
    pub(super) fn of_cluster(cluster: Arc<Cluster>) -> Store {
        Store { cluster: Some(cluster), ..Store::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // A panic elsewhere leaves whole entries.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream has a thread in this container.
    pub(super) fn see(&self, full_id: &str, kind: ContainerKind) {
        let id = short_id(full_id);
        let mut entries = self.lock();
        let entry = entries.see(id);
        let metadata = &mut entry.metadata;
        metadata.kind = metadata.kind.or(Some(kind));
        if metadata.full_id.is_empty() {
            full_id.clone_into(&mut metadata.full_id);
        }
        // Where the cgroup tells no id but a name, that is the container's.
        if id == full_id && metadata.name.is_empty() {
            id.clone_into(&mut metadata.name);
        }
    }

    /// Whether the stream has a thread in this container.
    pub(super) fn is_seen(&self, full_id: &str) -> bool {
        self.lock().by_id.get(short_id(full_id)).is_some_and(|e| e.is_seen)
    }

    /// Whether name and image of it are known.
    pub(super) fn is_named(&self, full_id: &str) -> bool {
        self.lock().by_id.get(short_id(full_id)).is_some_and(|e| e.metadata.is_named())
    }

    /// Takes over what a source says.
    pub(super) fn merge(&self, mut told: Metadata) {
        told.trim();
        let id = short_id(&told.full_id).to_owned();
        if id.is_empty() {
            return;
        }
        if let (Some(cluster), Some(_)) = (&self.cluster, &told.pod) {
            cluster.pod_seen();
        }
        let mut entries = self.lock();
        let entry = entries.entry(&id);
        let mut merged = entry.metadata.clone();
        merged.merge(told);
        if merged == entry.metadata {
            return;
        }
        let bytes = merged.cost_bytes();
        entry.metadata = merged;
        if entry.is_asked && !entry.is_changed && entry.metadata.is_named() {
            entry.is_changed = true;
            entries.changed.push(id.clone());
        }
        entries.resize(&id, bytes);
        self.changed.notify_all();
    }

    /// The record of a container as soon as it has a name and an image, waited for until `until`.
    pub(super) fn record(&self, id: &str, until: Instant) -> Option<Vec<u8>> {
        let mut entries = self.lock();
        loop {
            let entry = entries.entry(id);
            let left = until.saturating_duration_since(Instant::now());
            // Once, at the start, the cluster is waited for, too.
            let is_opening = self.cluster.as_ref().is_some_and(|cluster| cluster.is_opening());
            let is_whole = !is_opening || entry.metadata.pod.is_none();
            if entry.metadata.is_named() && (is_whole || left.is_zero()) {
                entry.is_asked = true;
                entry.is_told = true;
                entry.surroundings = self.around(entry);
                let (metadata, surroundings) = (entry.metadata.clone(), entry.surroundings.clone());
                drop(entries);
                return Some(json(&metadata, &surroundings, id, false));
            }
            if left.is_zero() {
                entry.is_asked = true;
                return None;
            }
            entries = self.changed.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Records that changed, or became known, after they were asked for.
    pub(super) fn updates(&self) -> Vec<Vec<u8>> {
        let mut entries = self.lock();
        let changed = std::mem::take(&mut entries.changed);
        let mut records = Vec::new();
        for id in changed {
            let Some(entry) = entries.by_id.get_mut(&id) else { continue };
            entry.is_changed = false;
            entry.surroundings = self.around(entry);
            records.push(json(&entry.metadata, &entry.surroundings, &id, !entry.is_told));
            entry.is_told = true;
        }
        records
    }

    /// The cluster changed: containers about which it now tells something else are changed, too.
    pub(super) fn cluster_changed(&self) {
        let mut entries = self.lock();
        let Entries { by_id, changed, .. } = &mut *entries;
        for (id, entry) in by_id.iter_mut().filter(|(_, e)| e.is_told && !e.is_changed) {
            if self.around(entry) != entry.surroundings {
                entry.is_changed = true;
                changed.push(id.clone());
            }
        }
        // Who waits for the cluster to open looks again.
        self.changed.notify_all();
    }

    fn around(&self, entry: &Entry) -> Surroundings {
        match (&self.cluster, entry.metadata.pod_name()) {
            (Some(cluster), Some(pod)) => cluster.around(&pod).after(&entry.surroundings),
            _ => Surroundings::default(),
        }
    }

    /// The node of a pod of this machine, where the cluster knows one.
    pub(super) fn node_of_a_pod(&self) -> Option<String> {
        let entries = self.lock();
        entries.by_id.values().find_map(|entry| Some(self.around(entry).node()?.to_owned()))
    }
}

fn json(metadata: &Metadata, surroundings: &Surroundings, id: &str, is_late: bool) -> Vec<u8> {
    metadata.to_json_with(id, is_late, |record| surroundings.add_to(record))
}

impl Entries {
    fn entry(&mut self, id: &str) -> &mut Entry {
        if !self.by_id.contains_key(id) {
            self.by_id.insert(id.to_owned(), Entry::default());
            self.heard.push_back(id.to_owned());
            self.make_room(id);
        }
        self.by_id.entry(id.to_owned()).or_default()
    }

    /// The entry of a container that the stream shows.
    fn see(&mut self, id: &str) -> &mut Entry {
        if !self.entry(id).is_seen {
            self.seen.push_back(id.to_owned());
        }
        let entry = self.entry(id);
        entry.is_seen = true;
        entry
    }

    /// What is known of a container takes so many bytes now.
    fn resize(&mut self, id: &str, bytes: usize) {
        let Some(entry) = self.by_id.get_mut(id) else { return };
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        self.make_room(id);
    }

    /// Forgets the oldest, but not `newest`, until the rest is within its bounds.
    fn make_room(&mut self, newest: &str) {
        while self.by_id.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some(id) = self.oldest_heard(newest).or_else(|| self.seen.pop_front()) else { return };
            if id == newest {
                self.seen.push_back(id);
            } else if let Some(entry) = self.by_id.remove(&id) {
                self.bytes -= entry.bytes;
            }
        }
    }

    /// The oldest but `newest` that only an engine told of.
    fn oldest_heard(&mut self, newest: &str) -> Option<String> {
        let mut is_newest_heard = false;
        let oldest = loop {
            let Some(id) = self.heard.pop_front() else { break None };
            // Those that the stream showed later stand here still.
            match self.by_id.get(&id) {
                Some(entry) if entry.is_seen => {}
                Some(_) if id == newest => is_newest_heard = true,
                Some(_) => break Some(id),
                None => {}
            }
        };
        if is_newest_heard {
            self.heard.push_front(newest.to_owned());
        }
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e";

    fn named(name: &str) -> Metadata {
        Metadata { full_id: ID.into(), name: name.into(), image: "i".into(), ..Metadata::default() }
    }

    #[test]
    fn a_record_is_waited_for_and_changes_follow() {
        let store = Store::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                store.merge(named("a"));
            });
            let record = store.record(&ID[..12], Instant::now() + Duration::from_secs(10)).unwrap();
            assert!(String::from_utf8(record).unwrap().contains("\"name\":\"a\""));
        });
        store.merge(named("a"));
        assert!(store.updates().is_empty());
        store.merge(named("b"));
        let updates = store.updates();
        assert_eq!(updates.len(), 1);
        assert!(!String::from_utf8(updates[0].clone()).unwrap().contains("late"));
    }

    #[test]
    fn a_record_that_comes_after_its_time_is_marked() {
        let store = Store::default();
        assert_eq!(store.record(&ID[..12], Instant::now()), None);
        store.merge(Metadata { name: String::new(), ..named("") });
        assert!(store.updates().is_empty());
        store.merge(named("a"));
        assert!(String::from_utf8(store.updates()[0].clone()).unwrap().contains("\"late\":true"));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let store = Store::default();
        for i in 0..ENTRIES_MAX + 10 {
            store.see(&i.to_string(), ContainerKind::Docker);
        }
        assert_eq!(store.lock().by_id.len(), ENTRIES_MAX);
        assert!(!store.is_seen("9") && store.is_seen("10"));
    }

    /// Engines that tell of containers that the stream never shows push out none that it showed.
    #[test]
    fn what_engines_say_takes_a_bounded_amount_of_memory() {
        let store = Store::default();
        let told = |id: &str| Metadata {
            full_id: id.into(),
            env: (0..100).map(|n| format!("E{n}={}", "x".repeat(100 << 10))).collect(),
            labels: (0..100).map(|n| (n.to_string(), "x".repeat(100 << 10))).collect(),
            ..named("x")
        };
        store.see(ID, ContainerKind::Docker);
        for n in 0..100 {
            store.merge(told(&format!("flood-{n}")));
        }
        store.merge(told(ID));
        let entries = store.lock();
        let held: usize = entries.by_id.values().map(|entry| entry.metadata.cost_bytes()).sum();
        assert!(held <= BYTES_MAX && entries.bytes == held, "{held}");
        assert!((5..100).contains(&entries.by_id.len()), "{}", entries.by_id.len());
        assert!(entries.by_id[&ID[..12]].is_seen && !entries.by_id.contains_key("flood-0"));
        drop(entries);
        let record = store.record(&ID[..12], Instant::now()).expect("a record");
        let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
        assert!(
            record["container"]["capture"]["cut"].as_u64() > Some(190),
            "{}",
            record["container"]["capture"]
        );
    }
}
