//! Servers that lie, stall and flood cost nothing but their own answers.

use super::following::{Client, PODS, options, real, shop_pod, until};
use super::relations::sample;
use crate::enrich::kubernetes::object::WatchLine;
use crate::enrich::kubernetes::{Dumped, Objects, PodName};
use capture_engine::state::k8s::Kind;
use capture_fakes::Fault;
use capture_fakes::damage;
use capture_fakes::kubernetes::Server;
use serde_json::Value;
use std::time::{Duration, Instant};

#[test]
fn damaged_answers_are_no_answers() {
    let lists =
        ["1.32/pods.json", "1.20/services.json", "1.32/replicasets-partial-metadata.json"].map(sample);
    let lines = sample("1.32/watch-pods.ndjson");
    let lines: Vec<&[u8]> = lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    for seed in 0..3000 {
        let bytes = damage(&lists[seed as usize % lists.len()], seed);
        let mut objects = Objects::default();
        let _ = Dumped::read(&bytes).map(|dump| objects.put_dump(dump));
        let pod = PodName { namespace: "store".into(), name: "db-0".into(), ..PodName::default() };
        objects.around(&pod).add_to(&mut serde_json::json!({"container": {}}));
        let _ = WatchLine::read(&damage(lines[seed as usize % lines.len()], seed));
    }
}

#[test]
fn real_watches_are_read_line_by_line() {
    for name in ["1.32/watch-pods.ndjson", "1.32/watch-namespaces.ndjson"] {
        let text = sample(name);
        let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        for line in lines.map(|line| WatchLine::read(line).unwrap()) {
            assert!(matches!(&*line.kind, "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"), "{line:?}");
            assert!(!line.document.version.is_empty(), "{line:?}");
        }
    }
}

/// Each kind of fault on another kind of object: the rest is known all the same, and nobody waits
/// longer than told.
#[test]
fn faults_of_one_kind_are_no_faults_of_the_others() {
    let server = real("1.32");
    let name = shop_pod(&server);
    let damaged = damage(&sample("1.32/jobs.json"), 3);
    for (path, fault) in [
        ("/api/v1/nodes", Fault::Silence),
        ("/apis/apps/v1/daemonsets", Fault::HangUp),
        ("/apis/apps/v1/statefulsets", Fault::Trickle),
        ("/apis/apps/v1/deployments", Fault::Flood),
        ("/apis/batch/v1/jobs", Fault::Answer(damaged)),
        ("/apis/batch/v1/cronjobs", Fault::Answer(b"\xff\xfe no json".to_vec())),
        ("/api/v1/replicationcontrollers", Fault::Status(500)),
    ] {
        server.state().faults.insert(path.into(), fault);
    }
    let client = Client::of(&options(&server));
    client.run(&name);
    let begin = Instant::now();
    let record = client.record(Duration::from_secs(30));
    // Some never answer: the first record waits for as long as the opening lasts, no longer.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    // What a busy machine did not get by then follows.
    let is_whole = |record: &Value| {
        let of = &record["k8s"];
        of["svc"][0]["name"] == "shop"
            && of["rs"]["labels"]["app"] == "shop"
            && of["ns"]["labels"]["team"] == "core"
    };
    if !is_whole(&record) {
        client.updated(is_whole);
    }
    // They are mended; what was missing follows.
    server.state().faults.remove("/apis/apps/v1/deployments");
    client.updated(|record| record["k8s"]["deployment"]["labels"]["app"] == "shop");
    assert!(client.said().len() <= 10, "{:?}", client.said());
}

/// Records are made while nothing answers at all: each at once, since the opening is over.
#[test]
fn records_do_not_wait_for_a_dead_server() {
    let server = Server::start();
    let mut faults = std::collections::HashMap::new();
    for resource in &crate::enrich::kubernetes::resources::RESOURCES {
        faults.extend(resource.paths.iter().map(|path| ((*path).to_owned(), Fault::Silence)));
    }
    server.state().faults = faults;
    let client = Client::of(&options(&server));
    client.run("first");
    assert_eq!(client.record(Duration::from_secs(30))["k8s"]["pod"]["name"], "first");
    let begin = Instant::now();
    for i in 0..100 {
        client.run(&format!("p{i}"));
        assert_eq!(client.record(Duration::from_secs(30))["k8s"]["ns"]["name"], "store");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn damaged_lines_of_a_watch_are_left_out() {
    let server = Server::start();
    server.state().put(
        PODS,
        serde_json::json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"nodeName": "node-1"}}),
    );
    let client = Client::of(&options(&server));
    until(|| server.state().count(&format!("{PODS}?watch=1")) == 1);
    server.state().raw.push("{\"type\":\"ADDED\",\"object\":{\"metadata\":".into());
    server.state().raw.push("\u{1}\u{2}".into());
    server
        .state()
        .raw
        .push("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\"}}}".into());
    until(|| client.count(Kind::Pod) == 2);
    assert!(client.said().iter().any(|said| said.contains("damaged lines")), "{:?}", client.said());
}
