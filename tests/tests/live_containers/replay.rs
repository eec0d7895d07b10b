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
        let of_name = found.entry(name.clone()).or_insert((0, id.clone(), image.clone(), engine.clone()));
        of_name.0 += 1;
        assert_eq!((&of_name.1, &of_name.2, &of_name.3), (&id, &image, &engine), "{name}");
    }
    found
}

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
        assert!(seen.contains(format!("{id}|{name}|{image}").as_str()), "{name}: stock has {seen:?}");
    }
    assert!(!seen.iter().any(|line| line.contains("<NA>")), "stock has {seen:?}");
}

/// Whether a recording holds a text anywhere in its blocks.
pub(crate) fn holds(file: &Path) -> impl Fn(&str) -> bool {
    let text = std::fs::read(file).and_then(|bytes| zstd::decode_all(&bytes[..])).expect("the file decodes");
    move |what| text.windows(what.len()).any(|window| window == what.as_bytes())
}
