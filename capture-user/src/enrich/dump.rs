//! Containers of dumps that were made beside a capture: what `docker inspect`, `podman inspect`,
//! `crictl inspect` and `crictl inspectp` print, and the pods of `kubectl get -o json` with what is around
//! them ([`super::kubernetes`] knows that).
//!
//! A dump is one JSON value or several one after another, each an object or a list.

use super::cri::from_json;
use super::docker::parse::inspect;
use super::json::{items, map, seconds, text};
use super::kubernetes::{self, Dumped, Objects, PodName, Surroundings};
use super::metadata::{Metadata, Pod};
use capture_engine::state::cgroups::{ContainerKind, short_id};
use serde_json::Value;
use std::collections::HashMap;

/// Lists in a pod's status that name its containers.
const STATUSES: [&str; 3] = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
/// Engines by what stands before `://` in the id of a pod's container.
const SCHEMES: [(&str, ContainerKind); 3] = [
    ("docker", ContainerKind::Docker),
    ("containerd", ContainerKind::Containerd),
    ("cri-o", ContainerKind::Crio),
];

/// Why a dump was not read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is something else than an engine's.
    #[error(
        "no container in it; wanted is what `docker inspect $(docker ps -aq)`, `podman inspect` or \
         `crictl inspect` prints"
    )]
    Empty,
    /// It is something else than a cluster's.
    #[error("{0}")]
    Cluster(#[from] kubernetes::DumpError),
}

/// Containers by id, as reported, pods by uid, and what is around pods.
#[derive(Debug, Default)]
pub struct Dump {
    containers: HashMap<String, Metadata>,
    pods: HashMap<String, Pod>,
    cluster: Objects,
}

impl Dump {
    /// Takes over the containers of an engine's dump; how many those are.
    ///
    /// # Errors
    /// Where it is no JSON, or has no container: nothing is taken over then.
    pub fn read_engine(&mut self, bytes: &[u8]) -> Result<usize, DumpError> {
        let mut count = 0;
        let text = String::from_utf8_lossy(bytes);
        for (value, _) in documents(&text).collect::<Result<Vec<_>, _>>()? {
            let list = value.as_array().map_or(std::slice::from_ref(&value), |list| list);
            for metadata in list.iter().filter_map(of_engine) {
                self.add(metadata);
                count += 1;
            }
        }
        if count == 0 { Err(DumpError::Empty) } else { Ok(count) }
    }

    /// Takes over the objects of a cluster's dump; how many containers its pods have.
    ///
    /// # Errors
    /// Where it is no JSON, or has no object of a kind that is known here: nothing is taken over then.
    pub fn read_cluster(&mut self, bytes: &[u8]) -> Result<usize, DumpError> {
        let text_of_all = String::from_utf8_lossy(bytes);
        let read = |document: Result<(Value, &str), serde_json::Error>| {
            let (value, json) = document?;
            Ok((value, Dumped::read(json.as_bytes())?))
        };
        let documents: Vec<_> = documents(&text_of_all).map(read).collect::<Result<_, DumpError>>()?;
        let (mut objects, mut count) = (0, 0);
        for (value, dumped) in documents {
            let of_document = self.cluster.put_dump(dumped);
            if of_document == 0 {
                // Another one of the same file may have some.
                continue;
            }
            objects += of_document;
            let of_list = items(&value, &["items"]);
            let is_pods = text(&value, &["kind"]) == "PodList";
            let single = std::slice::from_ref(&value);
            for object in if of_list.is_empty() { single } else { of_list } {
                // Items of a list of one kind need not repeat it.
                let kind = text(object, &["kind"]);
                if kind == "Pod" || (is_pods && kind.is_empty()) {
                    count += self.add_pod(object);
                }
            }
        }
        if objects == 0 { Err(kubernetes::DumpError::Empty.into()) } else { Ok(count) }
    }

    /// The record of every container, in JSON, in no particular order.
    pub fn records(&self) -> impl Iterator<Item = Vec<u8>> {
        self.containers.iter().map(|(id, metadata)| self.json(id, metadata))
    }

    fn json(&self, id: &str, metadata: &Metadata) -> Vec<u8> {
        let around = metadata.pod_name().map(|pod| self.cluster.around(&pod)).unwrap_or_default();
        metadata.to_json_with(id, false, |record| around.add_to(record))
    }

    /// The record of a container; see [`Self::find`].
    pub(super) fn record(&self, id: &str, full_id: &str, cgroups: &[u8]) -> Option<Value> {
        serde_json::from_slice(&self.json(id, &self.find(id, full_id, cgroups)?)).ok()
    }

    /// What is around the pod of a record, as a record has it.
    pub(super) fn around(&self, record: &Value) -> Value {
        let mut known = Value::Object(serde_json::Map::new());
        let pod = PodName::of_record(record);
        pod.map_or_else(Surroundings::default, |pod| self.cluster.around(&pod)).add_to(&mut known);
        known
    }

    fn add_pod(&mut self, object: &Value) -> usize {
        let pod = Pod {
            sandbox_id: String::new(),
            name: text(object, &["metadata", "name"]),
            namespace: text(object, &["metadata", "namespace"]),
            uid: text(object, &["metadata", "uid"]),
            ip: text(object, &["status", "podIP"]),
            labels: map(object, &["metadata", "labels"]),
        };
        let mut count = 0;
        for status in STATUSES.iter().flat_map(|list| items(object, &["status", list])) {
            let id = text(status, &["containerID"]);
            let Some((scheme, full_id)) = id.split_once("://") else { continue };
            let image_id = text(status, &["imageID"]);
            let name = text(status, &["name"]);
            let (digest, id) = match image_id.rsplit_once('@') {
                Some((_, digest)) => (digest.to_owned(), String::new()),
                None => (String::new(), image_id.strip_prefix("sha256:").unwrap_or(&image_id).to_owned()),
            };
            let mut metadata = Metadata {
                full_id: full_id.to_owned(),
                kind: SCHEMES.iter().find(|(name, _)| *name == scheme).map(|(_, kind)| *kind),
                image: text(status, &["image"]),
                image_id: id,
                image_digest: digest,
                created_s: seconds(&text(status, &["state", "running", "startedAt"])),
                ip: pod.ip.clone(),
                labels: [("io.kubernetes.container.name".to_owned(), name.clone())].into(),
                is_pod_sandbox: Some(false),
                pod: Some(pod.clone()),
                name,
                ..Metadata::default()
            };
            metadata.settle_pod();
            self.add(metadata);
            count += 1;
        }
        if !pod.uid.is_empty() {
            self.pods.insert(pod.uid.clone(), pod);
        }
        count
    }

    fn add(&mut self, metadata: Metadata) {
        let id = short_id(&metadata.full_id).to_owned();
        self.containers.entry(id).or_default().merge(metadata);
    }

    /// What is known of a container; of one that is not there what the uid of its pod tells, which
    /// stands in its cgroups.
    fn find(&self, id: &str, full_id: &str, cgroups: &[u8]) -> Option<Metadata> {
        if let Some(found) = self.containers.get(id) {
            return Some(found.clone());
        }
        let pod = self.pods.get(&pod_uid(cgroups)?)?;
        let mut metadata = Metadata {
            full_id: full_id.to_owned(),
            kind: Some(ContainerKind::Cri),
            ip: pod.ip.clone(),
            pod: Some(pod.clone()),
            ..Metadata::default()
        };
        metadata.settle_pod();
        Some(metadata)
    }
}

/// Uid of the pod that a path of a kubelet names: `.../pod5f1c2a9e-7b3d-...` or, by systemd,
/// `...-pod5f1c2a9e_7b3d_....slice`.
fn pod_uid(cgroups: &[u8]) -> Option<String> {
    const UID_LEN: usize = 36;
    let text = std::str::from_utf8(cgroups).ok()?;
    let uid = |at: usize| {
        let uid = text.get(at..at + UID_LEN)?.replace('_', "-");
        let fits = uid.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
        fits.then_some(uid)
    };
    text.match_indices("pod").find_map(|(at, mark)| uid(at + mark.len()))
}

/// The JSON values of a text, each with the text that it is read from.
fn documents(text: &str) -> impl Iterator<Item = Result<(Value, &str), serde_json::Error>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut begin = 0;
    std::iter::from_fn(move || {
        let value = values.next()?;
        let from = std::mem::replace(&mut begin, values.byte_offset());
        Some(value.map(|value| (value, &text[from..begin])))
    })
}

/// A container of docker, podman or CRI.
fn of_engine(value: &Value) -> Option<Metadata> {
    if value.get("status").is_some() {
        return from_json::metadata(value);
    }
    // Podman's own answer has the image's name and digest beside docker's members.
    let is_podman = value.get("ImageName").is_some() || value.get("OCIRuntime").is_some();
    let kind = if is_podman { ContainerKind::Podman } else { ContainerKind::Docker };
    let mut metadata = inspect(value, kind)?;
    if is_podman {
        metadata.merge(Metadata {
            image: text(value, &["ImageName"]),
            image_digest: text(value, &["ImageDigest"]),
            ..Metadata::default()
        });
    }
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENG_WEB: &str = "a7bb935e856b";

    #[test]
    fn containers_of_all_engines_are_read() {
        let mut dump = Dump::default();
        let docker = include_bytes!("testdata/docker-inspect.json");
        let podman = include_bytes!("testdata/podman-inspect.json");
        let cri = include_bytes!("testdata/cri-container-status.json");
        // `docker inspect` prints a list, `crictl inspect` one object after another.
        assert_eq!(dump.read_engine(&[b"[", &docker[..], b"]"].concat()).unwrap(), 1);
        assert_eq!(dump.read_engine(&[&podman[..], b"\n", &cri[..]].concat()).unwrap(), 2);
        let found = dump.find(ENG_WEB, "", b"").unwrap();
        assert_eq!((found.name.as_str(), found.kind), ("eng-web", Some(ContainerKind::Docker)));
        let found = dump.find("ec84ed443343", "", b"").unwrap();
        assert_eq!((found.name.as_str(), found.labels.len()), ("web", 4));
        assert_eq!(found.image, "registry.example.test/team/busybox:1.35");
        assert!(found.env.contains(&"MODE=prod".to_owned()) && found.created_s == 1_795_238_660);
        assert!(dump.find("0123456789ab", "", b"").is_none());
        assert!(matches!(dump.read_engine(b"[{\"a\":1}]"), Err(DumpError::Empty)));
        assert!(matches!(dump.read_engine(b"Error: no such object"), Err(DumpError::Json(_))));
    }

    #[test]
    fn nothing_is_taken_of_a_dump_with_a_fault() {
        let mut dump = Dump::default();
        let docker = include_bytes!("testdata/docker-inspect.json");
        assert!(matches!(dump.read_engine(&[&docker[..], b"{]"].concat()), Err(DumpError::Json(_))));
        let id = "1".repeat(64);
        let status = serde_json::json!({"containerStatuses": [{"containerID": format!("docker://{id}")}]});
        let pod = serde_json::json!({"kind": "Pod", "metadata": {"name": "a"}, "status": status}).to_string();
        for fault in ["{", "]", "{\"kind\":"] {
            let error = dump.read_cluster(format!("{pod}{fault}").as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("no JSON") || error.to_string().contains("kubectl"),
                "{error}"
            );
        }
        assert_eq!(dump.records().count(), 0);
        assert_eq!(dump.read_cluster(pod.as_bytes()).unwrap(), 1);
        assert_eq!(dump.records().count(), 1);
    }

    #[test]
    fn pods_tell_their_containers_and_by_their_uid_others() {
        let list = serde_json::json!({"kind": "List", "items": [
            {"kind": "Service", "metadata": {"name": "s"}},
            {"kind": "Pod",
             "metadata": {"name": "web-0", "namespace": "shop", "uid": "5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17",
                          "labels": {"app": "web"}},
             "status": {"podIP": "10.244.0.2", "containerStatuses": [
                {"name": "web", "image": "nginx:1", "imageID": "docker.io/nginx@sha256:ab",
                 "containerID": format!("containerd://{}", "1".repeat(64))},
                {"name": "waiting", "image": "x"}]}},
        ]});
        let mut dump = Dump::default();
        assert_eq!(dump.read_cluster(list.to_string().as_bytes()).unwrap(), 1);
        let found = dump.find(&"1".repeat(12), "", b"").unwrap();
        assert_eq!((found.name.as_str(), found.image_digest.as_str()), ("web", "sha256:ab"));
        assert_eq!(found.labels["io.kubernetes.pod.name"], "web-0");
        let by_uid =
            |cgroups: &str| dump.find("2", "2", cgroups.as_bytes()).and_then(|m| m.pod).map(|p| p.name);
        let path = "memory=/kubepods/burstable/pod5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17/22\0";
        assert_eq!(by_uid(path).as_deref(), Some("web-0"));
        let slice = "cpu=/kubepods.slice/kubepods-pod5f1c2a9e_7b3d_4c88_9a51_0d6e2f8b4c17.slice/cri-containerd-2.scope\0";
        assert_eq!(by_uid(slice).as_deref(), Some("web-0"));
        assert_eq!(by_uid("cpu=/kubepods/pod5f1c/2\0pod"), None);
        assert!(dump.read_cluster(b"{\"items\":[]}").is_err());
    }
}
