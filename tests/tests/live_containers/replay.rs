//! What a file tells of the containers in it.

use crate::engine::CAPTURE;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The fields that every event from inside must carry.
const FIELDS: &str = "%container.id|%container.name|%container.image|%container.type";

/// Containers by name: how many events, and what their events say: id, image, engine.
pub(crate) type Containers = BTreeMap<String, (u64, String, String, String)>;

/// The lines of `capture -r file -p format filter`.
pub(crate) fn lines(file: &Path, format: &str, filter: &str) -> Vec<String> {
    let out = Command::new(CAPTURE)
        .args(["-r".as_ref(), file.as_os_str()])
        .args(["-p", format, filter])
        .output()
        .expect("capture starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

/// All containers of a file. Fails where one event from inside lacks id, name or image.
pub(crate) fn containers(file: &Path) -> Containers {
    let mut found = Containers::new();
    for line in lines(file, FIELDS, "container.id != host") {
        let mut parts = line.split('|');
        let mut part = || parts.next().unwrap_or("<NA>").to_owned();
        let (id, name, image, engine) = (part(), part(), part(), part());
        assert!(
            [&id, &name, &image].iter().all(|text| !text.is_empty() && *text != "<NA>"),
            "an event from inside says {line}"
        );
        // Another engine of the machine may have a container of the same name.
        let is_other = found.get(&name).is_some_and(|of| of.1 != id);
        let key = if is_other { format!("{name} {id}") } else { name };
        let of_name = found.entry(key).or_insert((0, id.clone(), image.clone(), engine.clone()));
        of_name.0 += 1;
        assert_eq!((&of_name.1, &of_name.2, &of_name.3), (&id, &image, &engine), "{line}");
    }
    found
}

/// Checks fields of a container's events: each must hold this text on the first that has a value.
pub(crate) fn check_fields(file: &Path, name: &str, expected: &[(&str, &str)]) {
    for (field, wanted) in expected {
        let found = lines(file, &format!("%{field}"), &format!("container.name = {name}"));
        let first = found.first().map(String::as_str);
        assert!(
            first.is_some_and(|text| text.contains(wanted)),
            "{name}: {field} is {first:?}, not {wanted}"
        );
    }
}

/// What the scripts give the container `eng-web`, by docker and by podman.
pub(crate) const ENG_WEB: &[(&str, &str)] = &[
    ("container.image.repository", "registry.example.test/team/busybox"),
    ("container.image.tag", "1.35"),
    ("container.label.app", "web"),
    ("container.labels", "com.example.owner:core infra"),
    ("container.env[MODE]", "prod"),
    ("container.command", "httpd"),
    ("container.ports", "127.0.0.1:18080->8080"),
    ("container.mounts", ":/data:"),
    ("container.mount.rdwr[/host/hostname]", "false"),
    ("container.memory_limit", "67108864"),
    ("container.swap_limit", "100663296"),
    ("container.cpu_quota", "50000"),
    ("container.cpu_period", "100000"),
    ("container.cpuset_cpus", "1"),
    ("container.privileged", "false"),
    ("container.host_network", "false"),
    ("container.is_pod_sandbox", "false"),
    ("container.is_late", "false"),
    ("container.ip", "."),
    ("container.start_ts", "1"),
    ("container.full_id", ""),
    ("container.image.id", ""),
];

/// What was executed inside: by the enters (`>`, the paths given) or the exits (`<`, what runs
/// then), each as "container program".
pub(crate) fn programs(file: &Path, direction: &str) -> BTreeSet<String> {
    let (format, filter) = match direction {
        ">" => ("%container.name %evt.arg.filename", "evt.dir = >"),
        _ => ("%container.name %proc.exe", "evt.dir = < and evt.rawres >= 0"),
    };
    lines(file, format, &format!("container.id != host and evt.type = execve and {filter}"))
        .into_iter()
        .collect()
}

/// What must not change when the engines are gone: what is told of each event from inside, and all that is
/// known of containers and pods at each exec, where readers of records are asked, too.
const TOLD: [(&str, &str); 2] = [
    (
        "*%evt.num|%evt.type|%evt.dir|%proc.name|%container.id|%container.name|%container.image|\
         %container.type|%k8s.pod.name|%k8s.ns.name",
        "container.id != host",
    ),
    (
        "*%evt.num|%evt.args|%container.full_id|%container.image.id|%container.labels|%container.env|\
         %container.command|%container.mounts|%container.ports|%container.ip|%container.start_ts|\
         %container.is_late|%k8s.pod.uid|%k8s.pod.labels",
        "container.id != host and evt.type = execve",
    ),
];

/// The lines of replays with all that is told of containers and pods.
pub(crate) fn told(file: &Path) -> Vec<String> {
    let told: Vec<String> = TOLD.iter().flat_map(|(format, filter)| lines(file, format, filter)).collect();
    assert!(!told.is_empty(), "{}: no event from inside", file.display());
    told
}

/// What stock sysdig, where it is installed, tells of the events from inside, each once: container, name,
/// image and pod. It reads the file as it is but for the compression, which it does not know.
fn stock(test: &str, file: &Path) -> Option<BTreeSet<String>> {
    let sysdig = capture_tests::stock_sysdig(test)?;
    let plain = file.with_extension("plain.scap");
    if !plain.exists() {
        let packed = std::fs::File::open(file).expect("the file opens");
        let unpacked = std::fs::File::create(&plain).expect("a file");
        zstd::stream::copy_decode(packed, unpacked).expect("the file decodes");
    }
    let out = Command::new(sysdig)
        .args(["-r".as_ref(), plain.as_os_str()])
        .args(["-p", "*%container.id|%container.name|%container.image|%k8s.pod.name", "container.id != host"])
        .output()
        .expect("sysdig starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Checks that stock sysdig, where it is installed, sees the same containers with the same names
/// and images on every event from inside.
pub(crate) fn check_stock(test: &str, file: &Path, expected: &Containers) {
    let Some(seen) = stock(test, file) else { return };
    let named: BTreeSet<&str> = seen.iter().filter_map(|line| Some(line.rsplit_once('|')?.0)).collect();
    for (name, (_, id, image, _)) in expected {
        let name = name.split(' ').next().unwrap_or(name);
        assert!(named.contains(format!("{id}|{name}|{image}").as_str()), "{name}: stock has {seen:?}");
    }
    assert!(!named.iter().any(|line| line.contains("<NA>")), "stock has {seen:?}");
}

/// Checks that stock sysdig sees the right pod on every event from inside; `pod_of` tells it by the
/// container's name.
pub(crate) fn check_stock_pods(test: &str, file: &Path, pod_of: impl Fn(&str) -> &'static str) {
    let Some(seen) = stock(test, file) else { return };
    for line in &seen {
        let parts: Vec<&str> = line.split('|').collect();
        assert_eq!(parts.get(3).copied(), parts.get(1).map(|name| pod_of(name)), "{line}");
    }
}

/// Checks the file of a row of short containers after its engine is gone.
pub(crate) fn check_row(test: &str, file: &Path, engine: &str) {
    let found = containers(file);
    let named = found.iter().filter(|(name, _)| name.starts_with("short-"));
    let of_engine = named.filter(|(_, of)| of.3 == engine).count();
    assert!(of_engine >= crate::run::count(), "{of_engine} of {engine}");
    check_stock(test, file, &found);
}

/// Whether a recording holds a text anywhere in its blocks.
pub(crate) fn holds(file: &Path) -> impl Fn(&str) -> bool {
    let text = std::fs::read(file).and_then(|bytes| zstd::decode_all(&bytes[..])).expect("the file decodes");
    move |what| text.windows(what.len()).any(|window| window == what.as_bytes())
}
