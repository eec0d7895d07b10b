//! [`Metadata`]: what is known of a container, whatever engine told it, and its form in the
//! stream.
//!
//! The JSON is the one that stock tools read; what they do not know stands under the keys `capture`
//! (in the container's object) and `k8s` (beside it). Secrets in the environment are redacted here, where everything passes.

mod cut;

use super::kubernetes::PodName;
use capture_engine::state::cgroups::ContainerKind;
use cut::{Cut, ITEMS_MAX};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// `lookup_state` of a record that is complete.
const LOOKUP_DONE: u32 = 1;
/// Longest record: half of what readers take. Only text of which nearly every character has to be escaped
/// gets there.
const RECORD_MAX: usize = 512 << 10;

/// A container. Empty text, empty lists and `None` mean "not known".
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub(crate) struct Metadata {
    pub(crate) full_id: String,
    pub(crate) kind: Option<ContainerKind>,
    pub(crate) name: String,
    /// Image as it was asked for.
    pub(crate) image: String,
    /// Hexadecimal digits, without the name of the hash.
    pub(crate) image_id: String,
    /// `sha256:...`.
    pub(crate) image_digest: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) ports: Vec<Port>,
    /// Dotted text.
    pub(crate) ip: String,
    pub(crate) privileged: Option<bool>,
    pub(crate) host_pid: Option<bool>,
    pub(crate) host_network: Option<bool>,
    pub(crate) host_ipc: Option<bool>,
    pub(crate) is_pod_sandbox: Option<bool>,
    /// Seconds since 1970, 0 unknown.
    pub(crate) created_s: i64,
    pub(crate) limits: Option<Limits>,
    pub(crate) user: Option<String>,
    /// Command and arguments of the health check.
    pub(crate) healthcheck: Vec<String>,
    /// Command and arguments of the container.
    pub(crate) command: Vec<String>,
    pub(crate) pod: Option<Pod>,
    /// Items that were left out of it ([`Metadata::trim`]).
    pub(crate) cut: u32,
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub(crate) struct Mount {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) mode: String,
    pub(crate) is_writable: bool,
    pub(crate) propagation: String,
}

/// One published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub(crate) struct Port {
    pub(crate) host_ip: Ipv4Addr,
    pub(crate) host: u16,
    pub(crate) container: u16,
}

/// Limits of resources; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub(crate) struct Limits {
    pub(crate) memory_bytes: i64,
    pub(crate) swap_bytes: i64,
    pub(crate) cpu_shares: i64,
    pub(crate) cpu_quota_us: i64,
    pub(crate) cpu_period_us: i64,
    pub(crate) cpuset_cpus: i64,
}

/// The pod of a container.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub(crate) struct Pod {
    /// The whole id.
    pub(crate) sandbox_id: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) ip: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// A part of a pod.
type PodPart = fn(&mut Pod) -> &mut String;

/// Labels by which a kubelet, and stock tools, tell the pod of a container.
const POD_LABELS: [(&str, PodPart); 3] = [
    ("io.kubernetes.pod.name", |p| &mut p.name),
    ("io.kubernetes.pod.namespace", |p| &mut p.namespace),
    ("io.kubernetes.pod.uid", |p| &mut p.uid),
];

impl Metadata {
    /// Whether it tells what every event should carry.
    pub(crate) fn is_named(&self) -> bool {
        // Containers whose id is their name are no engine's that knows images, but for containerd's.
        let has_no_image = self.name == self.full_id && self.kind != Some(ContainerKind::Containerd);
        !self.name.is_empty() && (!self.image.is_empty() || has_no_image)
    }

    /// Takes over all that `newer` knows.
    pub(crate) fn merge(&mut self, newer: Metadata) {
        text(&mut self.full_id, newer.full_id);
        text(&mut self.name, newer.name);
        text(&mut self.image, newer.image);
        text(&mut self.image_id, newer.image_id);
        text(&mut self.image_digest, newer.image_digest);
        text(&mut self.ip, newer.ip);
        list(&mut self.env, newer.env);
        list(&mut self.mounts, newer.mounts);
        list(&mut self.ports, newer.ports);
        list(&mut self.healthcheck, newer.healthcheck);
        list(&mut self.command, newer.command);
        if !newer.labels.is_empty() {
            self.labels = newer.labels;
        }
        if newer.created_s != 0 {
            self.created_s = newer.created_s;
        }
        self.kind = newer.kind.or(self.kind);
        self.privileged = newer.privileged.or(self.privileged);
        self.host_pid = newer.host_pid.or(self.host_pid);
        self.host_network = newer.host_network.or(self.host_network);
        self.host_ipc = newer.host_ipc.or(self.host_ipc);
        self.is_pod_sandbox = newer.is_pod_sandbox.or(self.is_pod_sandbox);
        self.limits = newer.limits.or(self.limits);
        self.user = newer.user.or(self.user.take());
        self.cut = self.cut.max(newer.cut);
        if let Some(pod) = newer.pod {
            self.pod.get_or_insert_default().merge(pod);
        }
    }

    /// The record of the stream for the container reported as `id`, as text.
    #[cfg(test)]
    pub(crate) fn to_json(&self, id: &str, is_late: bool) -> Vec<u8> {
        self.to_json_with(id, is_late, |_| ())
    }

    /// The same with what `add` adds to it.
    pub(crate) fn to_json_with(&self, id: &str, is_late: bool, add: impl Fn(&mut Value)) -> Vec<u8> {
        let whole = |metadata: &Metadata| {
            let mut record = metadata.to_record(id, is_late);
            add(&mut record);
            record.to_string().into_bytes()
        };
        let record = whole(self);
        if record.len() <= RECORD_MAX { record } else { whole(&self.stripped()) }
    }

    /// The pod that it is in, if it is in one and that is known.
    pub(crate) fn pod_name(&self) -> Option<PodName> {
        let pod = self.pod.as_ref().filter(|pod| !pod.name.is_empty() && !pod.namespace.is_empty())?;
        Some(PodName {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            labels: pod.labels.clone(),
        })
    }

    /// The same without its lists and long texts.
    fn stripped(&self) -> Metadata {
        let short = |text: &String| if text.len() > 256 { String::new() } else { text.clone() };
        Metadata {
            full_id: short(&self.full_id),
            name: short(&self.name),
            image: short(&self.image),
            image_id: short(&self.image_id),
            labels: [("capture.cut".to_owned(), "labels".to_owned())].into(),
            kind: self.kind,
            ..Metadata::default()
        }
    }

    fn to_record(&self, id: &str, is_late: bool) -> Value {
        let (repository, tag, digest) = split_image(&self.image);
        let digest = if self.image_digest.is_empty() { digest } else { &self.image_digest };
        let limits = self.limits.unwrap_or_default();
        let mut cut = Cut { count: self.cut, ..Cut::default() };
        let mut object = json!({
            "id": id,
            "full_id": cut.text(&self.full_id),
            "type": self.kind.unwrap_or(ContainerKind::Custom) as u32,
            "name": cut.text(&self.name),
            "image": cut.text(&self.image),
            "imageid": cut.text(&self.image_id),
            "imagerepo": cut.text(repository),
            "imagetag": cut.text(tag),
            "imagedigest": cut.text(digest),
            "privileged": self.privileged.unwrap_or(false),
            "is_pod_sandbox": self.is_pod_sandbox.unwrap_or(false),
            "lookup_state": LOOKUP_DONE,
            "created_time": self.created_s,
            "Mounts": cut.mounts(&self.mounts),
            "port_mappings": self.ports.iter().take(ITEMS_MAX).map(port).collect::<Vec<_>>(),
            "labels": cut.labels(&self.labels),
            "env": cut.env(&self.env),
            "ip": if self.ip.is_empty() { "0.0.0.0" } else { cut.text(&self.ip) },
            "cni_json": "",
            "memory_limit": limits.memory_bytes,
            "swap_limit": limits.swap_bytes,
            "cpu_shares": if limits.cpu_shares == 0 { 1024 } else { limits.cpu_shares },
            "cpu_quota": limits.cpu_quota_us,
            "cpu_period": if limits.cpu_period_us == 0 { 100_000 } else { limits.cpu_period_us },
            "cpuset_cpu_count": limits.cpuset_cpus,
            "metadata_deadline": 0,
            "user": cut.text(self.user.as_deref().unwrap_or("")),
        });
        let flags =
            [("host_pid", self.host_pid), ("host_network", self.host_network), ("host_ipc", self.host_ipc)];
        for (name, is) in flags {
            if let Some(is) = is {
                object[name] = is.into();
            }
        }
        if let Some((exe, args)) = self.healthcheck.split_first() {
            object["Healthcheck"] = json!({ "exe": cut.text(exe), "args": cut.words(args) });
        }
        if let Some(pod) = &self.pod {
            object["pod_sandbox_id"] = cut.text(&pod.sandbox_id).into();
            object["pod_sandbox_labels"] = cut.labels(&pod.labels).into();
        }
        object["capture"] = self.additions(is_late, cut);
        let mut record = json!({ "container": object });
        if let Some(pod) = &self.pod {
            record["k8s"] = json!({
                "pod": { "name": cut.text(&pod.name), "uid": cut.text(&pod.uid), "ip": cut.text(&pod.ip), "labels": cut.labels(&pod.labels) },
                "ns": { "name": cut.text(&pod.namespace) },
            });
        }
        record
    }

    /// What stock tools do not know.
    fn additions(&self, is_late: bool, mut cut: Cut) -> Value {
        let mut ours = Map::new();
        if is_late {
            ours.insert("late".into(), true.into());
        }
        if !self.command.is_empty() {
            ours.insert("command".into(), cut.words(&self.command));
        }
        if cut.redacted > 0 {
            ours.insert("redacted".into(), cut.redacted.into());
        }
        if cut.count > 0 {
            ours.insert("cut".into(), cut.count.into());
        }
        ours.into()
    }

    /// Makes the pod known where only labels tell it, and the labels where only the pod does.
    pub(crate) fn settle_pod(&mut self) {
        if POD_LABELS[..2].iter().all(|(label, _)| self.labels.contains_key(*label)) {
            let pod = self.pod.get_or_insert_default();
            for (label, part) in POD_LABELS {
                if let Some(value) = self.labels.get(label) {
                    part(pod).clone_from(value);
                }
            }
        } else if let Some(pod) = &mut self.pod {
            for (label, part) in POD_LABELS {
                let value = part(pod);
                if !value.is_empty() {
                    self.labels.entry(label.into()).or_insert_with(|| value.clone());
                }
            }
        }
    }
}

impl Pod {
    fn merge(&mut self, newer: Pod) {
        text(&mut self.sandbox_id, newer.sandbox_id);
        text(&mut self.name, newer.name);
        text(&mut self.namespace, newer.namespace);
        text(&mut self.uid, newer.uid);
        text(&mut self.ip, newer.ip);
        if !newer.labels.is_empty() {
            self.labels = newer.labels;
        }
    }
}

fn text(old: &mut String, new: String) {
    if !new.is_empty() {
        *old = new;
    }
}

fn list<T>(old: &mut Vec<T>, new: Vec<T>) {
    if !new.is_empty() {
        *old = new;
    }
}

fn mount(mount: &Mount) -> Value {
    json!({
        "Source": mount.source,
        "Destination": mount.destination,
        "Mode": mount.mode,
        "RW": mount.is_writable,
        "Propagation": mount.propagation,
    })
}

fn port(port: &Port) -> Value {
    json!({ "HostIp": u32::from(port.host_ip), "HostPort": port.host, "ContainerPort": port.container })
}

/// Repository, tag and digest of an image's name.
pub(crate) fn split_image(image: &str) -> (&str, &str, &str) {
    let (name, digest) = image.split_once('@').unwrap_or((image, ""));
    let last = name.rfind('/').map_or(0, |at| at + 1);
    match name[last..].split_once(':') {
        // A bare digest is no name.
        Some(("sha256", _)) if last == 0 => ("", "", name),
        Some((short, tag)) => (&name[..last + short.len()], tag, digest),
        None => (name, "", digest),
    }
}

#[cfg(test)]
mod tests;
