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

/// Checks that stock sysdig, where it is installed, sees the same containers with the same names
/// and images in the file, converted to what it reads.
pub(crate) fn check_stock(test: &str, file: &Path, expected: &Containers) {
    let Some(sysdig) = capture_tests::stock_sysdig(test) else { return };
    let converted = file.with_extension("scap.gz");
    let out = Command::new(CAPTURE)
        .args(["-r".as_ref(), file.as_os_str(), "-w".as_ref(), converted.as_os_str()])
        .output();
    assert!(out.expect("capture starts").status.success());
    let out = Command::new(sysdig)
        .args(["-r".as_ref(), converted.as_os_str()])
        .args(["-p", "%container.id|%container.name|%container.image", "container.id != host"])
        .output()
        .expect("sysdig starts");
    let seen: BTreeSet<&str> = std::str::from_utf8(&out.stdout).expect("text").lines().collect();
    for (name, (_, id, image, _)) in expected {
        let name = name.split(' ').next().unwrap_or(name);
        assert!(seen.contains(format!("{id}|{name}|{image}").as_str()), "{name}: stock has {seen:?}");
    }
    assert!(!seen.iter().any(|line| line.contains("<NA>")), "stock has {seen:?}");
}

/// Checks that stock sysdig sees these pods in a file that [`check_stock`] converted.
pub(crate) fn check_stock_pods(test: &str, file: &Path, pods: &[&str]) {
    let Some(sysdig) = capture_tests::stock_sysdig(test) else { return };
    let out = Command::new(sysdig)
        .args(["-r".as_ref(), file.with_extension("scap.gz").as_os_str()])
        .args(["-p", "%k8s.pod.name", "container.id != host"])
        .output()
        .expect("sysdig starts");
    let seen: BTreeSet<&str> = std::str::from_utf8(&out.stdout).expect("text").lines().collect();
    assert!(pods.iter().all(|pod| seen.contains(pod)), "{seen:?}");
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
