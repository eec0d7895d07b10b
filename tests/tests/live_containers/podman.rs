//! Podman, its pods included.

use crate::engine::{Engine, count, record};
use crate::replay;

const SOCKET: (&str, &str) = ("PODMAN_SOCK", "/run/podman/podman.sock");

#[test]
fn podman_containers_are_named_from_their_first_event_on() {
    const TEST: &str = "podman_containers_are_named_from_their_first_event_on";
    let Some(engine) = Engine::start(TEST, "podman", "podman", "podman-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("podman.scap");
    let podman = engine.fact("PODMAN").to_owned();
    let ended = record(&file, || engine.run_containers(&podman, "API_TOKEN=hunter2"));
    let pod_container = engine.fact("POD_CONTAINER_ID")[..12].to_owned();
    drop(engine);

    let found = replay::containers(&file);
    for n in 0..count() {
        assert!(found.contains_key(&format!("short-{n}")), "short-{n} is missing; {}", ended.stderr);
    }
    assert_eq!(found["twenty-ms"].3, "podman");
    // The pod's second container asks its first one every second.
    let in_pod = found.values().filter(|(_, id, ..)| *id == pod_container).count();
    assert!(in_pod == 1 || found.contains_key("shop-side"), "{:?}", found.keys());
    let entered = replay::programs(&file, ">");
    assert!(entered.contains("eng-web /bin/uname"), "{entered:?}");
    let has = replay::holds(&file);
    assert!(has("API_TOKEN=[redacted]"));
    replay::check_stock(TEST, &file, &found);
}
