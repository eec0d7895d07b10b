//! What runtimes and engines keep on disk of a container, read when its cgroup appears: the only
//! source that is there before the first process and needs no answer from anybody.
//!
//! Bundles are found below folders that the arguments of runtimes named, and below the usual
//! ones. In a bundle, `config.json` tells command, environment, mounts and what CRI engines
//! annotate; its mounts lead to docker's record, its folder to the one of containers/storage
//! (podman, CRI-O) and to the databases of podman and containerd ([`super::databases`]).

use super::databases;
use super::docker::parse::{cpu_count, record};
use super::json::{at, items, map, number, parse, text, texts};
use super::metadata::{Limits, Metadata, Mount, Pod};
use capture_engine::state::cgroups::{ContainerKind, short_id};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Folders with a bundle per container that are looked at from the start.
const USUAL_ROOTS: &[(&str, Layout)] = &[
    ("/run/containerd/io.containerd.runtime.v2.task/moby", Layout::Plain),
    ("/run/containerd/io.containerd.runtime.v2.task/k8s.io", Layout::Plain),
    ("/run/containerd/io.containerd.runtime.v2.task/default", Layout::Plain),
    ("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby", Layout::Plain),
    ("/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io", Layout::Plain),
    ("/run/k0s/containerd/io.containerd.runtime.v2.task/k8s.io", Layout::Plain),
    ("/var/lib/containers/storage/overlay-containers", Layout::Storage),
    ("/run/containers/storage/overlay-containers", Layout::Storage),
    ("/var/lib/containers/storage/vfs-containers", Layout::Storage),
];
/// Folder of containerd with the bundles of all namespaces.
const CONTAINERD_TASKS: &str = "io.containerd.runtime.v2.task";
/// Most folders that are looked at.
const ROOTS_MAX: usize = 64;
/// Largest file that is read.
const FILE_MAX: u64 = 16 << 20;
/// Lists of containers/storage.
const STORAGE_LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// Where the bundle stands below `ROOT/ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Right there.
    Plain,
    /// In `userdata`.
    Storage,
}

/// The folders that are looked at.
#[derive(Debug)]
pub(super) struct Bundles {
    roots: Vec<(PathBuf, Layout)>,
    /// How many of them stay, however many are learned.
    kept: usize,
}

impl Bundles {
    /// Those where engines work if nobody tells them otherwise.
    pub(super) fn usual() -> Self {
        Self::of(USUAL_ROOTS)
    }

    pub(super) fn of(roots: &[(&str, Layout)]) -> Self {
        Bundles {
            roots: roots.iter().map(|(root, layout)| (root.into(), *layout)).collect(),
            kept: roots.len(),
        }
    }

    /// A runtime works on the bundle in this folder: others will stand beside it.
    pub(super) fn learn(&mut self, folder: &str) {
        let folder = Path::new(folder.trim_end_matches('/'));
        let is_userdata = folder.file_name().is_some_and(|name| name == "userdata");
        let (of_id, layout) = match (is_userdata, folder.parent()) {
            (true, Some(parent)) => (parent, Layout::Storage),
            _ => (folder, Layout::Plain),
        };
        let is_full_id = |n: &str| short_id(n).len() < n.len();
        // TASKS/NAMESPACE/NAME: in containerd's own folder names are free.
        let mut above = of_id.ancestors().skip(2).filter_map(Path::file_name);
        let is_of_containerd = layout == Layout::Plain && above.next().is_some_and(|n| n == CONTAINERD_TASKS);
        let is_id = is_of_containerd || of_id.file_name().and_then(|n| n.to_str()).is_some_and(is_full_id);
        let Some(root) = of_id.parent().filter(|_| is_id) else { return };
        if self.roots.iter().any(|(known, _)| known == root) {
            return;
        }
        if self.roots.len() >= ROOTS_MAX {
            self.roots.remove(self.kept);
        }
        self.roots.push((root.to_owned(), layout));
    }

    /// All that is on disk of a container.
    pub(super) fn read(&self, full_id: &str) -> Option<Metadata> {
        let is_name = short_id(full_id) == full_id;
        // A name is part of a path here: only plain ones, and only where `ctr` gives names.
        if is_name && (full_id.starts_with('.') || full_id.contains('/')) {
            return None;
        }
        // The newest folder first: engines of one machine tend to be started one at a time.
        for (root, layout) in self.roots.iter().rev() {
            let folder = match layout {
                Layout::Plain => root.join(full_id),
                Layout::Storage if is_name => continue,
                Layout::Storage => root.join(full_id).join("userdata"),
            };
            let Some(config) = read_json(&folder.join("config.json")) else { continue };
            let mut metadata = bundle(&config, full_id);
            if let Some(record) = docker_record(&config, full_id) {
                metadata.merge(record);
            }
            if *layout == Layout::Storage {
                metadata.merge(storage_record(root, full_id).unwrap_or_default());
                let is_podman = metadata.kind == Some(ContainerKind::Podman);
                let storage = root.parent().filter(|_| is_podman);
                let kept = storage.and_then(|storage| databases::of_podman(storage, full_id));
                metadata.merge(kept.unwrap_or_default());
            } else if metadata.name.is_empty() {
                metadata.merge(databases::of_containerd(&folder).unwrap_or_default());
            }
            metadata.settle_pod();
            return Some(metadata);
        }
        None
    }
}

/// Reads a file of JSON; nothing that could make the reader wait is opened.
fn read_json(path: &Path) -> Option<Value> {
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    parse(&bytes)
}

/// What a bundle's `config.json` tells (OCI runtime specification).
pub(super) fn bundle(config: &Value, full_id: &str) -> Metadata {
    let namespaces = items(config, &["linux", "namespaces"]);
    let shares = |kind: &str| Some(!namespaces.iter().any(|n| text(n, &["type"]) == kind));
    let mut metadata = Metadata {
        full_id: full_id.to_owned(),
        env: texts(config, &["process", "env"]),
        command: texts(config, &["process", "args"]),
        user: at(config, &["process", "user", "uid"]).and_then(Value::as_u64).map(|uid| uid.to_string()),
        mounts: items(config, &["mounts"]).iter().filter_map(mount).collect(),
        limits: Some(limits(config)),
        host_pid: shares("pid"),
        host_network: shares("network"),
        host_ipc: shares("ipc"),
        ..Metadata::default()
    };
    annotations(config, &mut metadata);
    metadata
}

fn limits(config: &Value) -> Limits {
    let get = |path: [&str; 2]| number(config, &["linux", "resources", path[0], path[1]]);
    Limits {
        memory_bytes: get(["memory", "limit"]).max(0),
        swap_bytes: get(["memory", "swap"]).max(0),
        cpu_shares: get(["cpu", "shares"]),
        cpu_quota_us: get(["cpu", "quota"]).max(0),
        cpu_period_us: get(["cpu", "period"]),
        cpuset_cpus: cpu_count(&text(config, &["linux", "resources", "cpu", "cpus"])),
    }
}

/// A mount of something of the host's; the kernel's own file systems are left out.
fn mount(mount: &Value) -> Option<Mount> {
    let options = texts(mount, &["options"]);
    let has = |name: &str| options.iter().any(|o| o == name);
    if text(mount, &["type"]) != "bind" && !has("bind") && !has("rbind") {
        return None;
    }
    let propagation = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
    Some(Mount {
        source: text(mount, &["source"]),
        destination: text(mount, &["destination"]),
        mode: if has("ro") { "ro".into() } else { "rw".into() },
        is_writable: !has("ro"),
        propagation: propagation.iter().find(|p| has(p)).map_or("", |p| p).to_owned(),
    })
}

/// Annotations by which engines say what a bundle is.
fn annotations(config: &Value, metadata: &mut Metadata) {
    let all = map(config, &["annotations"]);
    let get = |names: &[&str]| names.iter().find_map(|n| all.get(*n)).cloned().unwrap_or_default();
    let kind = get(&["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]);
    // Podman annotates what it runs for `play kube` as CRI-O does.
    let is_podman = get(&["io.container.manager"]) == "libpod";
    metadata.kind = if is_podman {
        Some(ContainerKind::Podman)
    } else if all.contains_key("io.kubernetes.cri.container-type") {
        Some(ContainerKind::Containerd)
    } else if all.contains_key("io.kubernetes.cri-o.ContainerType") {
        Some(ContainerKind::Crio)
    } else {
        None
    };
    if get(&["io.podman.annotations.privileged"]) == "TRUE" {
        metadata.privileged = Some(true);
    }
    if kind.is_empty() || is_podman {
        return;
    }
    let is_sandbox = kind == "sandbox";
    metadata.is_pod_sandbox = Some(is_sandbox);
    let pod = Pod {
        sandbox_id: get(&["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"]),
        name: get(&[
            "io.kubernetes.cri.sandbox-name",
            "io.kubernetes.pod.name",
            "io.kubernetes.cri-o.KubeName",
        ]),
        namespace: get(&[
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.pod.namespace",
            "io.kubernetes.cri-o.Namespace",
        ]),
        uid: get(&["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]),
        ip: get(&["io.kubernetes.cri-o.IP.0"]),
        ..Pod::default()
    };
    metadata.name = if is_sandbox {
        pod.name.clone()
    } else {
        get(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name"])
    };
    metadata.image =
        get(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.Image"]);
    metadata.labels =
        parse(get(&["io.kubernetes.cri-o.Labels"]).as_bytes()).map(|v| map(&v, &[])).unwrap_or_default();
    metadata.pod = Some(pod);
}

/// Docker mounts files of its folder of the container into it, and keeps its record there, too.
fn docker_record(config: &Value, full_id: &str) -> Option<Metadata> {
    const MOUNTED: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    let folder = items(config, &["mounts"])
        .iter()
        .filter(|m| MOUNTED.contains(&text(m, &["destination"]).as_str()))
        .map(|m| PathBuf::from(text(m, &["source"])))
        .filter_map(|source| source.parent().map(Path::to_owned))
        .find(|folder| folder.file_name().is_some_and(|name| name == full_id))?;
    let host = read_json(&folder.join("hostconfig.json")).unwrap_or_default();
    record(&read_json(&folder.join("config.v2.json"))?, &host)
}

/// The entry in the lists of containers/storage.
fn storage_record(root: &Path, full_id: &str) -> Option<Metadata> {
    let of_list = |name: &&str| {
        let list = read_json(&root.join(name))?;
        list.as_array()?.iter().find(|c| text(c, &["id"]) == full_id).map(storage_entry)
    };
    STORAGE_LISTS.iter().find_map(of_list)
}

fn storage_entry(entry: &Value) -> Metadata {
    let own = parse(text(entry, &["metadata"]).as_bytes()).unwrap_or_default();
    let image_id = text(&own, &["image-id"]);
    let mut metadata = Metadata {
        full_id: text(entry, &["id"]),
        image: text(&own, &["image-name"]),
        image_id: if image_id.is_empty() { text(entry, &["image"]) } else { image_id },
        created_s: super::json::seconds(&text(entry, &["created"])),
        ..Metadata::default()
    };
    // CRI-O's own name of a container is a long one; the plain name is in the annotations.
    if text(&own, &["pod-name"]).is_empty() {
        let names = texts(entry, &["names"]);
        metadata.name = names.into_iter().next().unwrap_or_else(|| text(&own, &["name"]));
    }
    metadata
}
