//! What engines keep of containers in databases on disk: podman's state and containerd's metadata. Read
//! when the container's bundle is, so that podman without its API and containerd without CRI (`ctr`,
//! nerdctl) give labels and images, too.
//!
//! Podman from version 5 on keeps its state in SQLite, which is not read: there labels need its API.

use super::bolt::Bolt;
use super::json::{at, items, map, number, parse, seconds, text, texts};
use super::metadata::{Metadata, Port};
use capture_engine::state::cgroups::ContainerKind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

/// Podman's state, beside the folder `overlay-containers` of containers/storage.
const PODMAN_STATE: &str = "libpod/bolt_state.db";
/// containerd's metadata below its root.
const CONTAINERD_METADATA: &str = "io.containerd.metadata.v1.bolt/meta.db";
/// Label in which nerdctl keeps the name of a container.
const NERDCTL_NAME: &str = "nerdctl/name";

/// What podman keeps of a container; `storage` is the folder of containers/storage.
pub(super) fn of_podman(storage: &Path, full_id: &str) -> Option<Metadata> {
    let state = Bolt::open(&storage.join(PODMAN_STATE))?;
    let [config] = state.values(&[b"ctr", full_id.as_bytes()], ["config"])?;
    let config = parse(&config?)?;
    let mut health = texts(&config, &["healthcheck", "Test"]);
    // The first word says how the others are run: none, as a command, by a shell.
    match health.first().map(String::as_str) {
        Some("CMD") => drop(health.remove(0)),
        Some("CMD-SHELL") if health.len() == 2 => {
            health.splice(0..1, ["/bin/sh".to_owned(), "-c".to_owned()]).for_each(drop);
        }
        _ => health.clear(),
    }
    Some(Metadata {
        full_id: full_id.to_owned(),
        kind: Some(ContainerKind::Podman),
        name: text(&config, &["name"]),
        image: text(&config, &["rootfsImageName"]),
        image_id: text(&config, &["rootfsImageID"]),
        labels: map(&config, &["labels"]),
        created_s: seconds(&text(&config, &["createdTime"])),
        privileged: at(&config, &["privileged"]).and_then(Value::as_bool),
        user: at(&config, &["user"]).and_then(Value::as_str).map(str::to_owned),
        ports: items(&config, &["newPortMappings"]).iter().filter_map(port).collect(),
        healthcheck: health,
        ..Metadata::default()
    })
}

fn port(port: &Value) -> Option<Port> {
    let host_ip = text(port, &["host_ip"]).parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let of = |name| u16::try_from(number(port, &[name])).ok();
    Some(Port { host_ip, host: of("host_port")?, container: of("container_port")? })
}

/// What containerd keeps of a container that no other engine made; `bundle` is its folder, whose link
/// `work` leads below containerd's root.
pub(super) fn of_containerd(bundle: &Path) -> Option<Metadata> {
    let work = std::fs::read_link(bundle.join("work")).ok()?;
    // ROOT/io.containerd.runtime.v2.task/NAMESPACE/ID
    let id = work.file_name()?.to_str()?;
    let of_namespace = work.parent()?;
    let namespace = of_namespace.file_name()?.to_str()?;
    let root = of_namespace.parent()?.parent()?;
    let metadata = Bolt::open(&root.join(CONTAINERD_METADATA))?;
    let container = [&b"v1"[..], namespace.as_bytes(), b"containers", id.as_bytes()];
    let [image, created] = metadata.values(&container, ["image", "createdat"])?;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let [v1, of_namespace, containers, of_id] = container;
    let labels = metadata.all(&[v1, of_namespace, containers, of_id, b"labels"]);
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| (lossy(name), lossy(value))).collect();
    let name = labels.get(NERDCTL_NAME).cloned().unwrap_or_else(|| id.to_owned());
    Some(Metadata {
        full_id: id.to_owned(),
        kind: Some(ContainerKind::Containerd),
        name,
        image: lossy(&image?),
        labels,
        created_s: created.as_deref().and_then(go_seconds).unwrap_or(0),
        ..Metadata::default()
    })
}

/// Seconds since 1970 of a time as Go keeps it in binary: a version, then seconds since the year 1.
fn go_seconds(bytes: &[u8]) -> Option<i64> {
    const UNTIL_1970_S: i64 = 62_135_596_800;
    let seconds = bytes.get(1..9)?.try_into().ok().map(i64::from_be_bytes)?;
    Some(seconds.checked_sub(UNTIL_1970_S)?.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const PODMAN: &[u8] = include_bytes!("testdata/podman-bolt-state.db.gz");
    const CONTAINERD: &[u8] = include_bytes!("testdata/containerd-meta.db.gz");
    const ENG_WEB: &str = "f5992091515dc7c7972869abc64554730cd7e998819ee81c93d8743ecfdfc71e";

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// A folder of containers/storage with this state.
    fn storage(state: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("libpod")).unwrap();
        std::fs::write(dir.path().join(PODMAN_STATE), state).unwrap();
        dir
    }

    #[test]
    fn podmans_state_tells_labels_ports_and_image() {
        let dir = storage(&unpacked(PODMAN));
        let found = of_podman(dir.path(), ENG_WEB).unwrap();
        assert_eq!(
            (found.name.as_str(), found.image.as_str()),
            ("eng-web", "registry.example.test/team/busybox:1.35")
        );
        assert_eq!((found.labels["app"].as_str(), found.labels.len()), ("web", 3));
        assert_eq!((found.ports[0].host, found.ports[0].container), (18_080, 8080));
        assert_eq!((found.privileged, found.created_s), (Some(false), 1_795_859_203));
        assert!(of_podman(dir.path(), &"0".repeat(64)).is_none());
        assert!(of_podman(Path::new("/no/such/folder"), ENG_WEB).is_none());
    }

    #[test]
    fn containerds_metadata_tells_of_containers_of_ctr() {
        let dir = tempfile::tempdir().unwrap();
        let (root, bundle) = (dir.path().join("root"), dir.path().join("plain1"));
        let metadata = root.join(CONTAINERD_METADATA);
        std::fs::create_dir_all(metadata.parent().unwrap()).unwrap();
        std::fs::write(metadata, unpacked(CONTAINERD)).unwrap();
        std::fs::create_dir(&bundle).unwrap();
        let work = root.join("io.containerd.runtime.v2.task/default/plain1");
        std::os::unix::fs::symlink(work, bundle.join("work")).unwrap();
        let found = of_containerd(&bundle).unwrap();
        assert_eq!((found.full_id.as_str(), found.name.as_str()), ("plain1", "plain1"));
        assert_eq!(found.image, "registry.example.test/team/busybox:1.35");
        assert_eq!((found.labels["row"].as_str(), found.created_s), ("yes", 1_795_859_910));
        assert!(of_containerd(dir.path()).is_none());
    }

    #[test]
    fn damaged_databases_end() {
        let whole = unpacked(PODMAN);
        let mut state: u64 = 7;
        let mut random = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        let dir = storage(&whole);
        let path = dir.path().join(PODMAN_STATE);
        // Pages that are looked at: the first thirty or so hold the trees.
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..200 {
                // Elements stand at the begin of a page.
                let within = if random(2) == 0 { 256 } else { 4096 };
                let at = random(40) * 4096 + random(within);
                bytes[at] = random(256) as u8;
            }
            // The meta pages stay, else nothing is looked at.
            bytes[..2 * 4096].copy_from_slice(&whole[..2 * 4096]);
            std::fs::write(&path, &bytes[..random(3).max(1) * bytes.len() / 3]).unwrap();
            let _ = of_podman(dir.path(), ENG_WEB);
        }
        std::fs::write(&path, b"").unwrap();
        assert!(of_podman(dir.path(), ENG_WEB).is_none());
    }
}
