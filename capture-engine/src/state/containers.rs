//! Metadata of containers, as the stream's container events told them.

use super::cgroups::ContainerKind;
use super::k8s::{K8s, labels_of};
use super::machine::Counters;
use super::thread_table::ThreadTable;
use super::{Text, empty_text};
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::collections::VecDeque;

/// Most containers that are kept; for further ones old ones are dropped and counted.
const LIMIT: usize = 65_536;

/// Longest record that is read. Real ones have some KiB; a tree of JSON takes up to sixteen times its text.
const RECORD_MAX_BYTES: usize = 1 << 20;

/// What is known of a container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Short id, the key.
    pub id: Text,
    /// Full id.
    pub full_id: Text,
    /// Engine.
    pub kind: Option<ContainerKind>,
    /// Name.
    pub name: Text,
    /// Image as given, e.g. `nginx:1.25`.
    pub image: Text,
    /// Image id.
    pub image_id: Text,
    /// Image without tag.
    pub image_repo: Text,
    /// Tag.
    pub image_tag: Text,
    /// Digest.
    pub image_digest: Text,
    /// Whether it runs privileged.
    pub privileged: bool,
    /// Whether it is a pod's sandbox.
    pub is_pod_sandbox: bool,
    /// Its address, dotted text.
    pub ip: Text,
    /// Full id of the sandbox container of its pod.
    pub sandbox_id: Text,
    /// Result of its network plugins, JSON text.
    pub cni_json: Text,
    /// What Kubernetes knows of its pod.
    pub k8s: K8s,
    /// Its health checks.
    pub probes: Vec<Probe>,
    /// Labels, in order of the record.
    pub labels: Vec<(Text, Text)>,
    /// The whole record as it came: readers of rarer members parse it. Empty for the old
    /// four-parameter form.
    pub json: Text,
}

/// Kinds of health checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeKind {
    /// The engine's health check of a container.
    Health,
    /// Kubernetes' question whether a container still lives.
    Liveness,
    /// Kubernetes' question whether it can take requests.
    Readiness,
}

/// Members of the record that hold the health checks.
const PROBES: [(ProbeKind, &str); 3] = [
    (ProbeKind::Health, "Healthcheck"),
    (ProbeKind::Liveness, "LivenessProbe"),
    (ProbeKind::Readiness, "ReadinessProbe"),
];

/// The command of a health check.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Which one it is.
    pub kind: ProbeKind,
    /// argv\[0\].
    pub exe: Text,
    /// The arguments after it, each followed by NUL, as threads have them.
    pub args_raw: Text,
}

impl Container {
    /// The health check of a kind.
    pub fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.kind == kind)
    }

    /// What it takes, roughly, in bytes.
    fn cost_bytes(&self) -> usize {
        /// What a text costs beside its bytes.
        const TEXT: usize = 32;
        let texts = [
            &self.id,
            &self.full_id,
            &self.name,
            &self.image,
            &self.image_id,
            &self.image_repo,
            &self.image_tag,
            &self.image_digest,
            &self.ip,
            &self.sandbox_id,
            &self.cni_json,
            &self.json,
        ];
        let labels = self.labels.iter().chain(self.k8s.labels());
        let pairs = labels.map(|(name, value)| 2 * size_of::<Text>() + 2 * TEXT + name.len() + value.len());
        let probes =
            self.probes.iter().map(|p| size_of::<Probe>() + 2 * TEXT + p.exe.len() + p.args_raw.len());
        size_of::<Container>()
            + texts.iter().map(|text| TEXT + text.len()).sum::<usize>()
            + pairs.sum::<usize>()
            + probes.sum::<usize>()
            + self.k8s.cost_bytes()
    }

    /// The value of a label.
    pub fn label(&self, name: &[u8]) -> Option<&[u8]> {
        self.labels.iter().find(|(n, _)| **n == *name).map(|(_, v)| &**v)
    }
}

/// Containers by id.
#[derive(Debug)]
pub struct Containers {
    by_id: FxHashMap<Text, Container>,
    /// Their ids, the oldest first.
    order: VecDeque<Text>,
    limit_bytes: usize,
    used_bytes: usize,
}

impl Containers {
    /// No containers; those to come take at most so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        Containers { by_id: FxHashMap::default(), order: VecDeque::new(), limit_bytes, used_bytes: 0 }
    }

    /// The container with this id.
    #[inline]
    pub fn get(&self, id: &[u8]) -> Option<&Container> {
        self.by_id.get(id)
    }

    /// All containers, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Container> {
        self.by_id.values()
    }

    /// Takes a record of the old form.
    pub(crate) fn add_plain(
        &mut self,
        id: &[u8],
        kind: u64,
        name: &[u8],
        image: &[u8],
        threads: &ThreadTable,
        counters: &mut Counters,
    ) {
        let mut container = blank(id);
        container.kind = ContainerKind::from_number(kind);
        container.name = Text::from(name);
        container.image = Text::from(image);
        self.insert(container, threads, counters);
    }

    /// Takes a record in JSON; the answer is the container's id.
    pub(crate) fn add_json(
        &mut self,
        json: &[u8],
        threads: &ThreadTable,
        counters: &mut Counters,
    ) -> Option<Text> {
        if json.len() > RECORD_MAX_BYTES {
            counters.containers_refused += 1;
            return None;
        }
        let Some(container) = parse(json) else {
            counters.containers_malformed += 1;
            return None;
        };
        let id = container.id.clone();
        self.insert(container, threads, counters);
        Some(id)
    }

    fn insert(&mut self, container: Container, threads: &ThreadTable, counters: &mut Counters) {
        let (id, cost) = (container.id.clone(), container.cost_bytes());
        if cost > self.limit_bytes {
            counters.containers_refused += 1;
            return;
        }
        self.used_bytes += cost;
        match self.by_id.insert(id.clone(), container) {
            Some(old) => self.used_bytes -= old.cost_bytes(),
            None => self.order.push_back(id.clone()),
        }
        while self.used_bytes > self.limit_bytes || self.by_id.len() > LIMIT {
            self.evict(&id, threads);
            counters.containers_evicted += 1;
        }
    }

    /// Drops the oldest container that no thread runs in, or the oldest of all if that is hard to find;
    /// but not `newest`.
    fn evict(&mut self, newest: &Text, threads: &ThreadTable) {
        /// Containers that are looked at.
        const CHOICE: usize = 8;
        let choice = self.order.iter().enumerate().take(CHOICE);
        let is_idle = |id: &Text| id != newest && !threads.iter().any(|thread| thread.container_id == *id);
        let idle = choice.clone().find(|(_, id)| is_idle(id));
        let Some((at, _)) = idle.or_else(|| choice.clone().find(|(_, id)| *id != newest)) else { return };
        let gone = self.order.remove(at).and_then(|id| self.by_id.remove(&id));
        self.used_bytes -= gone.map_or(0, |container| container.cost_bytes());
    }
}

fn blank(id: &[u8]) -> Container {
    Container {
        id: Text::from(id),
        full_id: empty_text(),
        kind: None,
        name: empty_text(),
        image: empty_text(),
        image_id: empty_text(),
        image_repo: empty_text(),
        image_tag: empty_text(),
        image_digest: empty_text(),
        privileged: false,
        is_pod_sandbox: false,
        ip: empty_text(),
        sandbox_id: empty_text(),
        cni_json: empty_text(),
        k8s: K8s::default(),
        probes: Vec::new(),
        labels: Vec::new(),
        json: empty_text(),
    }
}

fn parse(json: &[u8]) -> Option<Container> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let object = value.get("container")?;
    let text = |name: &str| object.get(name).and_then(Value::as_str).map_or_else(empty_text, to_text);
    let id = object.get("id")?.as_str()?;
    let mut container = blank(id.as_bytes());
    container.full_id = text("full_id");
    container.kind = object.get("type").and_then(Value::as_u64).and_then(ContainerKind::from_number);
    container.name = text("name");
    container.image = text("image");
    container.image_id = text("imageid");
    container.image_repo = text("imagerepo");
    container.image_tag = text("imagetag");
    container.image_digest = text("imagedigest");
    container.ip = text("ip");
    container.privileged = object.get("privileged").and_then(Value::as_bool).unwrap_or(false);
    container.is_pod_sandbox = object.get("is_pod_sandbox").and_then(Value::as_bool).unwrap_or(false);
    container.sandbox_id = text("pod_sandbox_id");
    container.cni_json = text("cni_json");
    container.labels = labels_of(object.get("labels"));
    container.probes = PROBES.iter().filter_map(|&(kind, name)| probe_of(kind, object.get(name)?)).collect();
    container.k8s = K8s::of_record(&value);
    container.json = Text::from(json);
    Some(container)
}

fn probe_of(kind: ProbeKind, value: &Value) -> Option<Probe> {
    let exe = to_text(value.get("exe")?.as_str()?);
    let mut args_raw = Vec::new();
    for arg in value.get("args").and_then(Value::as_array).into_iter().flatten() {
        args_raw.extend_from_slice(arg.as_str()?.as_bytes());
        args_raw.push(0);
    }
    Some(Probe { kind, exe, args_raw: Text::from(args_raw) })
}

fn to_text(s: &str) -> Text {
    Text::from(s.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::thread::Thread;

    #[test]
    fn records_are_stored_by_id_and_bad_ones_counted() {
        let (mut all, mut counters) = (Containers::new(1 << 20), Counters::default());
        let threads = ThreadTable::new(1, 1 << 20);
        all.add_json(br#"{"container":{"id":"3ad7b26ded6d","type":7,"name":"web","image":"nginx:1.25","privileged":true,"labels":{"io.kubernetes.pod.name":"p"}}}"#, &threads, &mut counters);
        all.add_json(b"{", &threads, &mut counters);
        all.add_json(br#"{"container":{"id":5}}"#, &threads, &mut counters);
        let web = all.get(b"3ad7b26ded6d").unwrap();
        assert_eq!(
            (&*web.name, web.kind, web.privileged),
            (&b"web"[..], Some(ContainerKind::Containerd), true)
        );
        assert_eq!(web.label(b"io.kubernetes.pod.name"), Some(&b"p"[..]));
        assert_eq!(counters.containers_malformed, 2);
        all.add_plain(b"abc", 0, b"old", b"img", &threads, &mut counters);
        assert_eq!(&*all.get(b"abc").unwrap().image, b"img");
    }

    #[test]
    fn the_oldest_that_nobody_runs_in_go_first() {
        let (mut all, mut counters) = (Containers::new(100_000), Counters::default());
        let mut threads = ThreadTable::new(1, 1 << 20);
        threads.insert(Thread { container_id: to_text("0000"), ..Thread::new(1) });
        let record =
            |id: usize| format!(r#"{{"container":{{"id":"{id:04}","name":"{}"}}}}"#, "x".repeat(1_000));
        for id in 0..1_000 {
            all.add_json(record(id).as_bytes(), &threads, &mut counters);
        }
        let held = all.iter().count();
        assert!((20..60).contains(&held), "{held}");
        assert_eq!(counters.containers_evicted as usize, 1_000 - held);
        assert!(all.get(b"0000").is_some() && all.get(b"0001").is_none() && all.get(b"0999").is_some());
        // The same again takes no more room.
        all.add_json(record(999).as_bytes(), &threads, &mut counters);
        assert_eq!(all.iter().count(), held);
        all.add_plain(b"big", 0, &[b'x'; 200_000], b"", &threads, &mut counters);
        assert!(counters.containers_refused == 1 && all.get(b"big").is_none());
        // A tree of JSON takes many times its text.
        all.add_json(&[b'['; RECORD_MAX_BYTES + 1], &threads, &mut counters);
        assert_eq!((counters.containers_refused, counters.containers_malformed), (2, 0));
    }
}
