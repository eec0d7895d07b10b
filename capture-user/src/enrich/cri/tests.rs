//! Engines that speak CRI well, badly, slowly or without end, on unix sockets.

use super::messages::{
    ContainerMetadata, ContainerStatus, ImageSpec, Listed, SandboxMetadata, SandboxStatus,
};
use super::*;
use crate::enrich::bundle::Bundles;
use crate::enrich::sockets::Protocol;
use crate::enrich::{Directory, Enrichment, Sighting};
use capture_fakes::cri::{Reply, framed, serve};
use prost::Message;
use std::path::PathBuf;
use std::time::Instant;

const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e";
const SANDBOX: &str = "10f159d314038f48d4a602055f366be31b34b6b0bee2b8c05cc8ae548557f58b";
/// What this process may take meanwhile: the servers, and the tests that run beside this one, included. What
/// a capture takes among such engines is measured in the suite `live_hostile`.
const GROWTH_MAX_KIB: u64 = 1 << 20;

/// Name of a bad engine, and how it answers what is asked beside the version.
type Bad = (&'static str, fn() -> Reply);

fn message(message: &impl Message) -> Reply {
    Reply::ok(&message.encode_to_vec())
}

fn status(labels: HashMap<String, String>) -> ContainerStatusResponse {
    let info =
        serde_json::json!({"sandboxID": SANDBOX, "config": {}, "runtimeSpec": {"process": {"env": ["A=b"]}}});
    ContainerStatusResponse {
        status: Some(ContainerStatus {
            id: ID.into(),
            metadata: Some(ContainerMetadata { name: "web".into() }),
            image: Some(ImageSpec { image: "nginx:1".into() }),
            image_ref: "docker.io/nginx@sha256:ab".into(),
            labels,
            ..ContainerStatus::default()
        }),
        info: HashMap::from([("info".to_owned(), info.to_string())]),
    }
}

fn sandbox_status() -> SandboxStatusResponse {
    SandboxStatusResponse {
        status: Some(SandboxStatus {
            id: SANDBOX.into(),
            metadata: Some(SandboxMetadata { name: "pod".into(), uid: "u-1".into(), namespace: "ns".into() }),
            labels: HashMap::from([("app".to_owned(), "shop".to_owned())]),
            ..SandboxStatus::default()
        }),
        ..SandboxStatusResponse::default()
    }
}

fn well_behaved(method: &str, id: &str) -> Reply {
    match (method, id) {
        ("Version", _) => Reply::version("containerd"),
        ("ListContainers", _) => message(&ListResponse { items: vec![Listed { id: ID.into() }] }),
        ("ListPodSandbox", _) => message(&ListResponse::default()),
        ("ContainerStatus", ID) => message(&status(HashMap::new())),
        ("PodSandboxStatus", SANDBOX) => message(&sandbox_status()),
        _ => Reply::not_found(),
    }
}

fn start(sockets: impl IntoIterator<Item = PathBuf>) -> Enrichment {
    let engines = sockets.into_iter().map(|path| (Endpoint::new(path), Protocol::Cri)).collect();
    Enrichment::start_with(Bundles::of(&[]), engines, None).unwrap()
}

/// Sees the container again and again until its record is there.
fn record_of(enrichment: &Enrichment, id: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        let kind = ContainerKind::Cri;
        enrichment.seen(&Sighting { id: id[..12].into(), full_id: id.into(), kind, at: Instant::now() });
        if let Some(record) = enrichment.record(&id[..12], Instant::now() + Duration::from_millis(200)) {
            return serde_json::from_slice(&record).unwrap();
        }
    }
    panic!("no record of {id}");
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn an_engine_is_asked_for_the_container_and_its_pod() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    serve(socket.clone(), well_behaved);
    let record = record_of(&start([socket]), ID);
    let container = &record["container"];
    assert_eq!((container["name"].as_str(), container["image"].as_str()), (Some("web"), Some("nginx:1")));
    assert_eq!(container["labels"]["io.kubernetes.pod.name"].as_str(), Some("pod"));
    assert_eq!(record["k8s"]["pod"]["labels"]["app"].as_str(), Some("shop"));
}

#[test]
fn hostile_engines_cost_nothing_but_their_own_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let version = || Reply::version("containerd");
    // Whatever is asked beside the version, so that serving goes on.
    let bad: [Bad; 7] = [
        ("flood", || Reply::Flood),
        ("trickle", Reply::trickle),
        ("no-status", || Reply::Raw(framed(&status(HashMap::new()).encode_to_vec()))),
        ("length", || Reply::Message([&[0, 0xff, 0xff, 0xff, 0xff][..], &[1; 100]].concat(), "0")),
        ("compressed", || {
            Reply::Message([&[1][..], &framed(&status(HashMap::new()).encode_to_vec())[1..]].concat(), "0")
        }),
        ("no-text", || Reply::Message(vec![0, 0, 0, 0, 4, 0x0a, 2, 0xff, 0xfe], "0")),
        ("labels", || {
            let label = |n: usize| (format!("label{n}"), "\u{1}v".repeat(32 << 10));
            message(&status((0..200).map(label).collect()))
        }),
    ];
    for (name, reply) in bad {
        serve(path(name), move |method, _| if method == "Version" { version() } else { reply() });
    }
    serve(path("version"), |_, _| Reply::Flood);
    serve(path("silent"), |_, _| Reply::silence());
    let before = rss_kib();
    let names = bad.iter().map(|(name, _)| *name).filter(|name| *name != "labels");
    let enrichment = start(names.chain(["version", "silent"]).map(path));
    let unknown = "00".repeat(32);
    for n in 0..2_000 {
        let (id, kind) = (format!("{n:064x}"), ContainerKind::Cri);
        enrichment.seen(&Sighting { id: id[..12].into(), full_id: id.into(), kind, at: Instant::now() });
    }
    let begin = Instant::now();
    assert_eq!(enrichment.record(&unknown[..12], begin + Duration::from_millis(100)), None);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // A sound engine beside them.
    serve(path("good"), well_behaved);
    let both = start(
        bad.iter().map(|(name, _)| path(name)).filter(|p| !p.ends_with("labels")).chain([path("good")]),
    );
    assert_eq!(record_of(&both, ID)["container"]["name"].as_str(), Some("web"));
    // Labels of 13 MB: the name comes, the labels only as far as they fit.
    let record = record_of(&start([path("labels")]), ID);
    assert_eq!(record["container"]["name"].as_str(), Some("web"));
    assert!(record.to_string().len() < 600 << 10);
    let grown = rss_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB");
}

#[test]
fn damaged_messages_are_no_answers() {
    let whole = status(HashMap::from([("a".to_owned(), "b".to_owned())])).encode_to_vec();
    let mut state: u64 = 11;
    let mut random = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    for _ in 0..4_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(random(bytes.len() * 4).max(1));
        if let Ok(answer) = ContainerStatusResponse::decode(&bytes[..])
            && let Some(metadata) = container(&answer, &info_of(&answer.info), ContainerKind::Cri)
        {
            assert!(serde_json::from_slice::<Value>(&metadata.to_json("id", false)).is_ok());
        }
        let _ = SandboxStatusResponse::decode(&bytes[..]).map(|answer| sandbox(&answer, ContainerKind::Cri));
    }
}
