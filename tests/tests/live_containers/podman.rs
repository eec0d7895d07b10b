//! Podman, its pods included.

use crate::engine::{Engine, record};
use crate::replay;
use crate::run::Run;

const SOCKET: (&str, &str) = ("PODMAN_SOCK", "/run/podman/podman.sock");

#[test]
fn podman_containers_are_named_from_their_first_event_on() {
    const TEST: &str = "podman_containers_are_named_from_their_first_event_on";
    let Some(engine) = Engine::start(TEST, "podman", "podman", "podman-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("podman.scap");
    let podman = engine.fact("PODMAN").to_owned();
    record(&file, || engine.run_containers(&podman, "API_TOKEN=hunter2"));
    let pod_container = engine.fact("POD_CONTAINER_ID")[..12].to_owned();
    engine.take_away(&file);

    let found = replay::containers(&file);
    assert_eq!(found["twenty-ms"].3, "podman");
    replay::check_fields(&file, "eng-web", replay::ENG_WEB);
    replay::check_fields(&file, "orchestrated", Engine::ORCHESTRATED);
    // The pod's second container asks its first one every second.
    let in_pod = found.values().filter(|(_, id, ..)| *id == pod_container).count();
    assert!(in_pod == 1 || found.contains_key("shop-side"), "{:?}", found.keys());
    let entered = replay::programs(&file, ">");
    assert!(entered.contains("eng-web /bin/uname"), "{entered:?}");
    let has = replay::holds(&file);
    assert!(has("API_TOKEN=[redacted]"));
    replay::check_stock(TEST, &file, &found);
}

#[test]
fn short_podman_containers_in_a_row_are_named() {
    const TEST: &str = "short_podman_containers_in_a_row_are_named";
    let Some(engine) = Engine::start(TEST, "podman", "podman", "podman-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let podman = engine.fact("PODMAN").to_owned();
    let mut run = Run::start("podman", dir.path());
    run.row(|name| engine.run_short(&podman, name));
    let file = run.end();
    engine.take_away(&file);
    replay::check_row(TEST, &file, "podman");
}

/// A service that nobody finds is as good as none: its database tells labels.
#[test]
fn podman_without_its_api_has_labels() {
    const TEST: &str = "podman_without_its_api_has_labels";
    const ELSEWHERE: (&str, &str) = ("PODMAN_SOCK", "/run/captest/elsewhere.sock");
    let Some(engine) = Engine::start(TEST, "podman", "podman", "podman-up.sh", ELSEWHERE) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("podman.scap");
    let podman = engine.fact("PODMAN").to_owned();
    record(&file, || {
        engine.run_containers(&podman, "API_TOKEN=hunter2");
        (0..5).for_each(|n| engine.run_short(&podman, &crate::run::name(n)));
    });
    engine.take_away(&file);

    let found = replay::containers(&file);
    let of = |filter: &str| replay::lines(&file, "%container.name", filter);
    assert!(!of("container.name = labelled and container.label.tier = back").is_empty());
    for n in 0..5 {
        let name = crate::run::name(n);
        assert_eq!(found[&name].3, "podman");
        let filter =
            format!("evt.type = execve and container.name = {name} and not container.label.row = yes");
        assert_eq!(of(&filter), [""; 0]);
    }
}
