//! The whole of it against engines that answer well, badly, or not at all, on unix sockets; and
//! readers of real answers.

use super::*;
use capture_engine::state::cgroups::ContainerKind;
use capture_fakes::http::{self, hold_open, not_found, respond};
use capture_fakes::{Fault, damage};
use serde_json::Value;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const INSPECT: &[u8] = include_bytes!("testdata/docker-inspect.json");
const EVENTS: &str = include_str!("testdata/docker-events.ndjson");
const ID: &str = "a7bb935e856bf29f9fdc8e46463ba29c436b9dd31738dd46dd324ddc46ef8acf";
const SANDBOX: &str = "10f159d314038f48d4a602055f366be31b34b6b0bee2b8c05cc8ae548557f58b";
const WAIT: Duration = Duration::from_secs(20);

fn well_behaved(target: &str, stream: &mut UnixStream) {
    match target {
        "/version" => respond(stream, b"{}"),
        "/containers/json" => respond(stream, b"[]"),
        t if t.starts_with("/events") => hold_open(stream),
        t if t == format!("/containers/{ID}/json") => respond(stream, INSPECT),
        _ => not_found(stream),
    }
}

fn start(sockets: &[(&Path, Protocol)]) -> Enrichment {
    let engines =
        sockets.iter().map(|(path, protocol)| (Endpoint::new(path.to_path_buf()), *protocol)).collect();
    Enrichment::start_with(Bundles::of(&[]), engines, None).unwrap()
}

fn see(enrichment: &Enrichment, id: &str) {
    let kind = ContainerKind::Docker;
    enrichment.seen(&Sighting { id: id[..12].into(), full_id: id.into(), kind, at: Instant::now() });
}

/// Sees the container again and again until its record is there: an engine may be noticed late.
fn record_of(enrichment: &Enrichment, id: &str) -> Value {
    let until = Instant::now() + WAIT;
    while Instant::now() < until {
        see(enrichment, id);
        let record = enrichment.record(&id[..12], Instant::now() + Duration::from_millis(200));
        if let Some(record) = record {
            return serde_json::from_slice::<Value>(&record).unwrap()["container"].take();
        }
    }
    panic!("no record of {id}");
}

#[test]
fn an_engine_is_asked_for_what_the_stream_shows() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    http::serve(&socket, well_behaved);
    let record = record_of(&start(&[(&socket, Protocol::Docker)]), ID);
    assert_eq!((record["name"].as_str(), record["ip"].as_str()), (Some("eng-web"), Some("172.18.0.2")));
    assert_eq!(record["labels"]["com.example.owner"].as_str(), Some("core infra"));
    assert_eq!(
        (record["cpu_quota"].as_i64(), record["memory_limit"].as_i64()),
        (Some(50_000), Some(64 << 20))
    );
    assert_eq!(record["port_mappings"][0]["HostPort"].as_u64(), Some(18_080));
    assert_eq!(record["Healthcheck"]["exe"].as_str(), Some("/bin/sh"));
    assert_eq!(record["Mounts"].as_array().map(Vec::len), Some(2));
}

#[test]
fn connections_made_ahead_are_used_where_no_more_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    http::serve(&socket, well_behaved);
    let endpoint = Endpoint::new(socket.clone());
    endpoint.connect_ahead(Protocol::Docker.connections());
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "nobody listens here").unwrap();
    let engines = vec![(endpoint, Protocol::Docker)];
    let enrichment = Enrichment::start_with(Bundles::of(&[]), engines, None).unwrap();
    assert_eq!(record_of(&enrichment, ID)["name"].as_str(), Some("eng-web"));
}

/// A server that answers more than one request on a connection, and counts connections.
fn serve_kept(socket: &Path, connections: Arc<std::sync::atomic::AtomicUsize>) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            connections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            std::thread::spawn(move || {
                for target in http::questions(&stream) {
                    well_behaved(&target, &mut stream);
                }
            });
        }
    });
}

#[test]
fn a_connection_answers_many_questions() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    serve_kept(&socket, connections.clone());
    let enrichment = start(&[(&socket, Protocol::Docker)]);
    for _ in 0..40 {
        assert_eq!(record_of(&enrichment, ID)["name"].as_str(), Some("eng-web"));
        see(&enrichment, &format!("{:0>64}", "ab"));
    }
    let made = connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(made <= Protocol::Docker.connections(), "{made} connections");
}

#[test]
fn an_engine_that_comes_late_or_comes_back_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let enrichment = start(&[(&socket, Protocol::Docker)]);
    see(&enrichment, ID);
    assert_eq!(enrichment.record(&ID[..12], Instant::now() + Duration::from_millis(50)), None);
    http::serve(&socket, well_behaved);
    assert_eq!(record_of(&enrichment, ID)["name"].as_str(), Some("eng-web"));
    // It had been asked for in vain: what comes then is marked.
    assert!(enrichment.updates().is_empty() || record_of(&enrichment, ID)["name"].is_string());
}

#[test]
fn events_name_a_container_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    http::serve(&socket, |target, stream| match target {
        t if t.starts_with("/events") => {
            respond(stream, EVENTS.as_bytes());
        }
        t if t.starts_with("/containers/2cc0") => hold_open(stream),
        t => well_behaved(t, stream),
    });
    let enrichment = start(&[(&socket, Protocol::Docker)]);
    let id = "2cc005950b9914c22deb2d2fdc11c94bb854a7a7688efe77cc50d7c4a73fb511";
    let record = record_of(&enrichment, id);
    assert!(matches!(record["name"].as_str(), Some("ev1" | "ev2")), "{record}");
    assert_eq!(record["labels"]["a"].as_str(), Some("b"));
    assert!(record["labels"]["name"].is_null());
}

#[test]
fn damaged_answers_are_no_answers() {
    for seed in 0..4000 {
        let bytes = damage(INSPECT, seed);
        if let Some(metadata) =
            json::parse(&bytes).and_then(|v| docker::parse::inspect(&v, ContainerKind::Docker))
        {
            let record = metadata.to_json("id", false);
            assert!(serde_json::from_slice::<Value>(&record).is_ok(), "seed {seed}");
        }
        let line = damage(EVENTS.lines().next().unwrap().as_bytes(), seed);
        let _ = json::parse(&line).and_then(|v| docker::parse::event(&v, ContainerKind::Docker));
        let _ = json::parse(&bytes).map(|v| bundle::bundle(&v, "id"));
    }
}

/// Engines that lie, stall and flood: the well-behaved one beside them answers all the same, and
/// nobody waits longer than told.
#[test]
fn bad_engines_cost_nothing_but_their_own_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (name, fault) in [
        ("loris", Fault::SlowHeaders),
        ("headers", Fault::LongHeaders),
        ("garbage", Fault::Raw(damage(INSPECT, 3))),
        ("garbage.cri", Fault::Raw(damage(INSPECT, 4))),
    ] {
        http::serve(&path(name), move |_, stream| drop(fault.play(stream)));
    }
    // Bodies and lines without end.
    http::serve(&path("flood"), |target, stream| match target {
        "/version" => respond(stream, b"{}"),
        _ => drop(Fault::Flood.play(stream)),
    });
    // Damaged answers inside a sound protocol.
    http::serve(&path("damaged"), |target, stream| match target {
        t if t.starts_with("/events") => respond(stream, &damage(EVENTS.as_bytes(), 7)),
        _ => respond(stream, &damage(INSPECT, target.len() as u64)),
    });
    http::serve(&path("good"), well_behaved);
    let bad = ["loris", "flood", "headers", "garbage", "damaged"].map(path);
    let mut sockets: Vec<(&Path, Protocol)> = bad.iter().map(|p| (p.as_path(), Protocol::Docker)).collect();
    let (garbage, good) = (path("garbage.cri"), path("good"));
    sockets.push((&garbage, Protocol::Cri));
    sockets.push((&good, Protocol::Docker));
    let enrichment = start(&sockets);
    // A container that nobody knows is waited for as long as told, not longer.
    let unknown = "00".repeat(32);
    see(&enrichment, &unknown);
    let begin = Instant::now();
    assert_eq!(enrichment.record(&unknown[..12], begin + Duration::from_millis(100)), None);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(record_of(&enrichment, ID)["name"].as_str(), Some("eng-web"));
    // Noting is done at once even when nobody takes.
    let begin = Instant::now();
    for n in 0..20_000 {
        see(&enrichment, &format!("{n:064x}"));
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn podman_answers_in_the_same_form() {
    let answer = json::parse(include_bytes!("testdata/podman-inspect.json")).unwrap();
    let metadata = docker::parse::inspect(&answer, ContainerKind::Podman).unwrap();
    assert_eq!((metadata.name.as_str(), metadata.kind), ("eng-web", Some(ContainerKind::Podman)));
    assert_eq!(metadata.image, "registry.example.test/team/busybox:1.35");
    assert_eq!(metadata.labels["app"], "web");
    assert!(!metadata.ip.is_empty() && !metadata.image_id.contains(':'));
}

#[test]
fn a_bundle_tells_what_cri_engines_annotate() {
    let status = json::parse(include_bytes!("testdata/cri-container-status.json")).unwrap();
    let spec = json::at(&status, &["info", "info", "runtimeSpec"]).unwrap();
    let mut metadata =
        bundle::bundle(spec, "ec84ed44334351841e6f249cbbe4f6748e2b55ccdd7aecc009bbd4aaad12f392");
    metadata.settle_pod();
    assert_eq!((metadata.name.as_str(), metadata.kind), ("web", Some(ContainerKind::Containerd)));
    assert_eq!(metadata.image, "registry.example.test/team/busybox:1.35");
    assert_eq!(metadata.labels["io.kubernetes.pod.name"], "shop-6c8f9d7b54-x2x7k");
    let pod = metadata.pod.as_ref().unwrap();
    assert_eq!((pod.sandbox_id.as_str(), pod.namespace.as_str()), (SANDBOX, "store"));
    let limits = metadata.limits.unwrap();
    assert_eq!((limits.memory_bytes, limits.cpu_quota_us, limits.cpu_shares), (64 << 20, 50_000, 512));
    assert!(metadata.env.iter().any(|e| e == "MODE=prod"));
    assert!(metadata.mounts.iter().any(|m| m.destination == "/etc/hostname" && !m.is_writable));
}

#[test]
fn bundles_are_found_beside_those_that_runtimes_named() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, storage) = (dir.path().join("task/moby"), dir.path().join("overlay-containers"));
    let docker = dir.path().join("containers").join(ID);
    let other = ID.replace('a', "b");
    for folder in [plain.join(ID), storage.join(&other).join("userdata"), docker.clone()] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let config = serde_json::json!({
        "process": {"args": ["sleep", "1"], "env": ["A=b"]},
        "mounts": [{"destination": "/etc/hosts", "source": docker.join("hosts"), "options": ["rbind"]}],
    });
    std::fs::write(plain.join(ID).join("config.json"), config.to_string()).unwrap();
    let record =
        serde_json::json!({"ID": ID, "Name": "/n", "Config": {"Image": "i:1", "Labels": {"l": "v"}}});
    std::fs::write(docker.join("config.v2.json"), record.to_string()).unwrap();
    std::fs::write(docker.join("hostconfig.json"), "{\"Privileged\":true}").unwrap();
    let config = serde_json::json!({"annotations": {"io.container.manager": "libpod"}});
    std::fs::write(storage.join(&other).join("userdata/config.json"), config.to_string()).unwrap();
    let list = serde_json::json!([{"id": other, "names": ["p"], "metadata": "{\"image-name\":\"i:2\",\"image-id\":\"ab\"}"}]);
    std::fs::write(storage.join("volatile-containers.json"), list.to_string()).unwrap();

    let mut bundles = Bundles::of(&[]);
    assert!(bundles.read(ID).is_none());
    bundles.learn("/no/container/here");
    bundles.learn(plain.join("0".repeat(64)).to_str().unwrap());
    bundles.learn(storage.join("0".repeat(64)).join("userdata").to_str().unwrap());
    let metadata = bundles.read(ID).unwrap();
    assert_eq!(
        (metadata.name.as_str(), metadata.image.as_str(), metadata.privileged),
        ("n", "i:1", Some(true))
    );
    assert_eq!(metadata.env, ["A=b"]);
    let metadata = bundles.read(&other).unwrap();
    assert_eq!((metadata.name.as_str(), metadata.image.as_str()), ("p", "i:2"));
    assert_eq!(metadata.kind, Some(ContainerKind::Podman));
    // containerd's own client gives names.
    let tasks = dir.path().join("io.containerd.runtime.v2.task/default");
    std::fs::create_dir_all(tasks.join("plain-1")).unwrap();
    std::fs::write(tasks.join("plain-1/config.json"), "{\"process\":{\"args\":[\"x\"]}}").unwrap();
    assert!(bundles.read("plain-1").is_none());
    bundles.learn(tasks.join("plain-0").to_str().unwrap());
    assert_eq!(bundles.read("plain-1").unwrap().command, ["x"]);
    assert!(bundles.read("../default/plain-1").is_none() && bundles.read("..").is_none());
    // Nothing that is no plain file is opened.
    std::fs::remove_file(plain.join(ID).join("config.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", plain.join(ID).join("config.json")).unwrap();
    assert!(bundles.read(ID).is_none());
}
