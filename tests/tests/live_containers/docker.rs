//! Docker.

use crate::engine::{Engine, record};
use crate::replay;
use crate::run::Run;

const SOCKET: (&str, &str) = ("DOCKER_SOCK", "/run/docker.sock");

#[test]
fn docker_containers_are_named_from_their_first_event_on() {
    const TEST: &str = "docker_containers_are_named_from_their_first_event_on";
    let Some(docker) = Engine::start(TEST, "docker", "dockerd", "docker-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("docker.scap");
    let image = docker.fact("IMAGE").to_owned();
    record(&file, || docker.run_containers("docker", "DB_PASSWORD=hunter2"));
    // The engine and all its records go; the file stays.
    let eng_web_id = docker.fact("CONTAINER_ID")[..12].to_owned();
    docker.take_away(&file);

    let found = replay::containers(&file);
    let eng_web = &found["eng-web"];
    assert_eq!((&eng_web.1, &eng_web.2, eng_web.3.as_str()), (&eng_web_id, &image, "docker"));
    assert!(["labelled", "twenty-ms", "orchestrated"].iter().all(|name| found.contains_key(*name)));
    replay::check_fields(&file, "eng-web", replay::ENG_WEB);
    replay::check_fields(&file, "eng-web", &[("container.healthcheck", "/bin/sh -c")]);
    replay::check_fields(&file, "orchestrated", Engine::ORCHESTRATED);
    // The very first exec is inside by its enter already, by `docker exec` too.
    let entered = replay::programs(&file, ">");
    for program in ["labelled /bin/ls", "twenty-ms /bin/sleep", "eng-web /bin/uname"] {
        assert!(entered.contains(program), "no {program} in {entered:?}");
    }
    let records = replay::lines(&file, "%evt.args", "evt.type = container");
    assert!(records.is_empty(), "records are not listed");
    let has = replay::holds(&file);
    assert!(has("\"tier\":\"back\"") && has("DB_PASSWORD=[redacted]"));
    replay::check_stock(TEST, &file, &found);
}

#[test]
fn short_docker_containers_in_a_row_are_named() {
    const TEST: &str = "short_docker_containers_in_a_row_are_named";
    let Some(docker) = Engine::start(TEST, "docker", "dockerd", "docker-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let mut run = Run::start("docker", dir.path());
    run.row(|name| docker.run_short("docker", name));
    let file = run.end();
    docker.take_away(&file);
    replay::check_row(TEST, &file, "docker");
}
