//! `capture enrich`: a capture without metadata, and dumps of engines and of a cluster.

use crate::{CAPTURE, capture, lines, readers, recorded};
use capture_common::event_table::code;
use capture_common::{Batch, Next};
use capture_file::{Compression, Reader, Writer, WriterOptions};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The containers of the capture, made whole.
const CLIENT: &str = "3ad7b26bce19";
const SKYDNS: &str = "9f1c2a77d0b4";

fn full(id: &str) -> String {
    format!("{id:0<64}")
}

/// The capture without its records of containers.
fn without_records(folder: &Path) -> PathBuf {
    let to = folder.join("bare.scap");
    let mut reader = Reader::open(recorded("k8s_dns.scap")).expect("it opens");
    let options = WriterOptions { compression: Compression::None, ..WriterOptions::default() };
    let mut writer = Writer::create(&to, options).expect("it is made");
    let (mut batch, mut kept) = (Batch::new(), Batch::new());
    loop {
        match reader.next_piece(&mut batch).expect("it reads") {
            Next::Section(snapshot) => writer.write_section(&snapshot).expect("it writes"),
            Next::Events => {
                kept.clear();
                for (at, event) in batch.iter().enumerate() {
                    if ![code::CONTAINER_E, code::CONTAINER_JSON_E, code::CONTAINER_JSON_2_E]
                        .contains(&event.code)
                    {
                        kept.push_copy(&batch, at, event.flags);
                    }
                }
                writer.write_events(&kept).expect("it writes");
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    writer.close().expect("it closes");
    to
}

fn write(folder: &Path, name: &str, dump: &Value) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, dump.to_string()).expect("the dump is written");
    path
}

/// Runs the verb; what it said.
fn enrich(bare: &Path, option: &str, dump: &Path, out: &Path) -> String {
    let words = [
        "enrich".as_ref(),
        bare.as_os_str(),
        option.as_ref(),
        dump.as_os_str(),
        "-w".as_ref(),
        out.as_os_str(),
        "-z".as_ref(),
    ];
    String::from_utf8_lossy(&capture(&words).stderr).into_owned()
}

#[test]
fn dumps_of_an_engine_name_containers_from_their_first_event_on() {
    const TEST: &str = "dumps_of_an_engine_name_containers_from_their_first_event_on";
    let dir = tempfile::tempdir().expect("a folder");
    let bare = without_records(dir.path());
    let container = |id: &str, name: &str| {
        json!({
            "Id": full(id), "Name": format!("/{name}"), "Created": "2026-11-21T05:31:14Z", "Image": "sha256:abcd",
            "Config": {"Image": "example.test/tool:1.2", "Env": ["A=b", "API_TOKEN=hunter2"], "Labels": {"tier": "back"}},
            "HostConfig": {"Privileged": true, "Memory": 1000}, "Mounts": [], "Path": "run", "Args": ["--password", "hunter2"],
        })
    };
    let dump = write(
        dir.path(),
        "inspect.json",
        &json!([container(CLIENT, "client"), container("0123456789ab", "other")]),
    );
    let out = dir.path().join("named.scap.gz");
    let said = enrich(&bare, "--docker", &dump, &out);
    assert!(said.contains(&format!("1 containers named, 0 completed, 1 in no dump: {SKYDNS}")), "{said}");
    for reader in readers(TEST) {
        let format = "*%evt.num %container.id %container.name %container.image";
        let found = lines(&reader, &out, format, "container.id != host");
        let expected = lines(&reader, &bare, "%evt.num %container.id", "container.id != host");
        assert_eq!(found.len(), expected.len());
        assert!(found.len() > 1_000);
        for (found, expected) in found.iter().zip(&expected) {
            let (name, image) = match expected.ends_with(CLIENT) {
                true => ("client", "example.test/tool:1.2"),
                false => ("<NA>", "<NA>"),
            };
            // Stock counts records among the events.
            let same = reader.as_os_str() != CAPTURE || *found == format!("{expected} {name} {image}");
            assert!(same && found.ends_with(&format!("{name} {image}")), "{found}, {expected}");
        }
    }
    let format = "%container.type %container.privileged %container.memory_limit %container.label.tier %container.env %container.start_ts";
    let all = lines(CAPTURE.as_ref(), &out, format, "container.name = client");
    assert_eq!(all[0], "docker true 1000 back A=b API_TOKEN=[redacted] 1795239074000000000");
    // Twice changes nothing more.
    let again = dir.path().join("again.scap.gz");
    let said = enrich(&out, "--docker", &dump, &again);
    assert!(said.contains("0 containers named, 0 completed"), "{said}");
}

#[test]
fn dumps_of_a_cluster_tell_the_pods() {
    const TEST: &str = "dumps_of_a_cluster_tell_the_pods";
    let dir = tempfile::tempdir().expect("a folder");
    let bare = without_records(dir.path());
    let pod = |name: &str, namespace: &str, container: &str, id: &str| {
        json!({
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "labels": {"app": container},
                         "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "made", "uid": "u1", "controller": true}]},
            "status": {"podIP": "10.244.0.7", "containerStatuses": [
                {"name": container, "image": "example.test/tool:1.2", "imageID": "sha256:ab",
                 "containerID": format!("docker://{}", full(id))}]},
        })
    };
    let list = json!({"kind": "List", "apiVersion": "v1", "items": [
        pod("client-x7k2p", "critical-app", "client", CLIENT), pod("kube-dns-1", "kube-system", "skydns", SKYDNS),
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "made", "namespace": "critical-app", "uid": "u1",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "asked", "uid": "u2", "controller": true}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "asked", "namespace": "critical-app", "uid": "u2", "labels": {"team": "core"}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front", "namespace": "critical-app"}, "spec": {"selector": {"app": "client"}}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "critical-app", "labels": {"tier": "one"}}}]});
    let dump = write(dir.path(), "pods.json", &list);
    let out = dir.path().join("named.scap.gz");
    let said = enrich(&bare, "--k8s", &dump, &out);
    assert!(said.contains("2 containers named, 0 completed, 0 in no dump"), "{said}");
    for reader in readers(TEST) {
        let found =
            lines(&reader, &out, "%container.id %container.name %k8s.pod.name", "container.id != host");
        let count = |what: &str| found.iter().filter(|line| *line == what).count();
        let client = count(&format!("{CLIENT} client client-x7k2p"));
        let skydns = count(&format!("{SKYDNS} skydns kube-dns-1"));
        assert_eq!((client + skydns, skydns > 0), (found.len(), true));
    }
    let format = "%k8s.ns.name %k8s.pod.ip %k8s.pod.label.app %k8s.pod.uid";
    let all = lines(CAPTURE.as_ref(), &out, format, "k8s.pod.name = client-x7k2p");
    assert_eq!(all[0], "critical-app 10.244.0.7 client uid-client-x7k2p");
    let around =
        "%k8s.rs.name %k8s.deployment.name %k8s.deployment.label.team %k8s.svc.name %k8s.ns.label.tier";
    let all = lines(CAPTURE.as_ref(), &out, around, "k8s.pod.name = client-x7k2p");
    assert_eq!(all[0], "made asked core front one");
}

#[test]
fn what_was_recorded_counts_more_and_is_completed() {
    let dir = tempfile::tempdir().expect("a folder");
    let container = json!([{"Id": full(CLIENT), "Name": "/other-name", "Config": {"Image": "other", "Labels": {"new": "label"}},
        "HostConfig": {"Memory": 4096}}]);
    let dump = write(dir.path(), "inspect.json", &container);
    let out = dir.path().join("completed.scap");
    enrich(&recorded("k8s_dns.scap"), "--docker", &dump, &out);
    let format =
        "%container.name %container.image %container.label.new %container.memory_limit %k8s.pod.name";
    let all = lines(CAPTURE.as_ref(), &out, format, "container.id startswith 3ad7");
    assert_eq!(all[0], "k8s_client.abc_client-x7k2p_critical-app docker.io/curl:1.0 label 4096 client-x7k2p");
    // The same without a file in between.
    let file = recorded("k8s_dns.scap");
    let (file, dump) = (file.to_str().expect("text"), dump.to_str().expect("text"));
    let out = capture(&["-r", file, "--docker", dump, "-p", format, "container.id startswith 3ad7"]);
    assert_eq!(String::from_utf8_lossy(&out.stdout).lines().next(), Some(all[0].as_str()));
}

#[test]
fn wrong_dumps_and_options_are_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let bad = dir.path().join("bad.json");
    std::fs::write(&bad, "Error: No such object").expect("it is written");
    let empty = write(dir.path(), "empty.json", &json!({"kind": "List", "items": []}));
    let (bad, empty) = (bad.to_str().expect("text"), empty.to_str().expect("text"));
    let file = recorded("k8s_dns.scap");
    let file = file.to_str().expect("text");
    let check = |words: &[&str], wanted: &str| {
        let out = Command::new(CAPTURE).args(words).output().expect("capture starts");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(1) && said.contains(wanted), "{words:?}: {said}");
    };
    check(&["enrich"], "a file to read");
    check(&["enrich", file], "-w and a file");
    check(&["enrich", file, "-w", "/dev/null"], "--docker or --k8s");
    check(&["enrich", file, "--docker", bad, "-w", "/dev/null"], "no JSON");
    check(&["enrich", file, "--k8s", empty, "-w", "/dev/null"], "kubectl get pods");
    check(&["enrich", file, "--k8s", "/no/such/dump", "-w", "/dev/null"], "--k8s /no/such/dump");
    check(&["--docker", empty], "need -r");
}
