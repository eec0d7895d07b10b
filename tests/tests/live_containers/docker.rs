//! Docker.

use crate::engine::{CAPTURE, Engine, count, record};
use crate::replay;
use capture_tests::live::Capture;
use std::process::Command;

const SOCKET: (&str, &str) = ("DOCKER_SOCK", "/run/docker.sock");

#[test]
fn docker_containers_are_named_from_their_first_event_on() {
    const TEST: &str = "docker_containers_are_named_from_their_first_event_on";
    let Some(docker) = Engine::start(TEST, "docker", "dockerd", "docker-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("docker.scap");
    let image = docker.fact("IMAGE").to_owned();
    let ended = record(&file, || docker.run_containers("docker", "DB_PASSWORD=hunter2"));
    // The engine and all its records go; the file stays.
    let eng_web_id = docker.fact("CONTAINER_ID")[..12].to_owned();
    drop(docker);

    let found = replay::containers(&file);
    let executed = replay::programs(&file, "<");
    for n in 0..count() {
        assert!(found.contains_key(&format!("short-{n}")), "short-{n} is missing; {}", ended.stderr);
        assert!(executed.contains(&format!("short-{n} true")), "short-{n} is not in {executed:?}");
    }
    let eng_web = &found["eng-web"];
    assert_eq!((&eng_web.1, &eng_web.2, eng_web.3.as_str()), (&eng_web_id, &image, "docker"));
    assert_eq!(found.len(), 3 + count(), "{:?}", found.keys());
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
fn docker_containers_are_named_in_live_lines() {
    const TEST: &str = "docker_containers_are_named_in_live_lines";
    let Some(docker) = Engine::start(TEST, "docker", "dockerd", "docker-up.sh", SOCKET) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("lines");
    let mut command = Command::new(CAPTURE);
    command.args([
        "-p",
        "%container.name %evt.type %evt.dir %proc.exe",
        "container.id != host and evt.type = execve",
    ]);
    command.stdout(std::fs::File::create(&out).expect("a file"));
    let capture = Capture::spawn(&mut command);
    // It records when it shows what the health check of the running container does.
    let shows = |what: &str| std::fs::read_to_string(&out).is_ok_and(|text| text.contains(what));
    assert!(capture_tests::live::within(capture_tests::live::PATIENCE, || shows("eng-web execve")));
    for n in 0..count() {
        docker.run("docker", &["run", "--rm", "--name", &format!("short-{n}"), docker.fact("IMAGE"), "true"]);
    }
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    let text = std::fs::read_to_string(&out).expect("the lines");
    let named = (0..count()).filter(|n| text.contains(&format!("short-{n} execve < true\n"))).count();
    let unnamed: Vec<&str> = text.lines().filter(|line| line.starts_with("<NA>")).collect();
    assert_eq!((named, unnamed.len()), (count(), 0), "{unnamed:?}");
}
