//! Workloads of real programs, recorded live: `capture` prints what they did, and stock tools read
//! the file and print the same.
//!
//! Each recording holds the whole machine, so whatever else runs is compared, too.

mod interop_live {
    pub(crate) mod recording;
}

use capture_tests::installed;
use capture_tests::workload::{self, SHELL};
use interop_live::recording::Recording;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The tuple of the connection whose `connect` is on a line with all of `fragments`.
fn connect_tuple(recording: &Recording, fragments: &[&str]) -> String {
    let line = recording.line(fragments);
    let tuple = line.split(' ').find_map(|word| word.strip_prefix("tuple=")).expect("a tuple");
    tuple.to_owned()
}

#[test]
fn web_server_under_curl_and_wrk() {
    const NAME: &str = "web_server_under_curl_and_wrk";
    const PAGE: &str = "served by the interop suite\n";
    let (Some(nginx), Some(curl)) = (installed("nginx", NAME), installed("curl", NAME)) else { return };
    let wrk = installed("wrk", NAME);
    let Some(ready) = Recording::ready(NAME) else { return };
    let server = workload::nginx(&nginx, ready.dir(), PAGE).expect("its files");
    let (port, closed) = (server.port, workload::free_port());
    let url = format!("http://127.0.0.1:{port}/index.html");
    let recording = ready.record(|dir| {
        workload::succeed(dir, "curl.log", Command::new(&curl).args(["-s", "-S", "-o", "page.html", &url]));
        let refused = format!("http://127.0.0.1:{closed}/");
        let status = workload::run(dir, "refused.log", Command::new(&curl).args(["-s", &refused]));
        assert_eq!(status.code(), Some(7), "curl knows why");
        if let Some(wrk) = &wrk {
            workload::succeed(dir, "wrk.log", Command::new(wrk).args(["-t1", "-c4", "-d1s", &url]));
        }
        assert_eq!(fs::read_to_string(dir.join("page.html")).expect("the page"), PAGE);
    });
    let dir = recording.dir().display().to_string();
    let to_server = format!("->127.0.0.1:{port} ");
    let tuple = connect_tuple(&recording, &[" curl (", " < connect res=-115(EINPROGRESS) ", &to_server]);
    recording.line(&[" curl (", " < execve res=0 exe=", &format!("{}.", url), " comm=curl "]);
    recording.line(&[" curl (", " > connect fd=", &format!("addr=127.0.0.1:{port} ")]);
    recording.line(&[" curl (", " < sendto res=", "data=GET /index.html HTTP/1.1..Host: 127.0.0.1"]);
    recording.line(&[" nginx (", " < accept fd=", &format!("(<4t>{tuple})"), &format!(" tuple={tuple} ")]);
    recording.line(&[" nginx (", " > recvfrom fd=", &format!("(<4t>{tuple})")]);
    recording.line(&[" nginx (", "data=GET /index.html HTTP/1.1..Host: 127.0.0.1"]);
    recording.line(&[
        " nginx (",
        " < openat fd=",
        &format!("(<f>{dir}/index.html) "),
        "name=",
        "/index.html",
    ]);
    recording.line(&[" nginx (", " > write fd=", &format!("(<f>{dir}/access.log) ")]);
    recording.line(&[" curl (", " < write res=", &format!("data={}", PAGE.trim_end())]);
    // No server: the connection is refused at once or as soon as it is polled.
    recording.line(&[" curl (", " > connect fd=", &format!("addr=127.0.0.1:{closed} ")]);
    recording.line(&[" curl (", " > exit_group "]);
    recording.line(&[" curl (", " > procexit status=1792 ret=7 sig=0 core=0 "]);
    if wrk.is_some() {
        let of_wrk = connect_tuple(&recording, &[" wrk (", " < connect res=-115(EINPROGRESS) ", &to_server]);
        recording.line(&[" nginx (", " < accept fd=", &format!(" tuple={of_wrk} ")]);
    }
    drop(server);
    recording.hold_against_stock();
}

#[test]
fn shell_session() {
    const NAME: &str = "shell_session";
    let Some(bash) = installed("bash", NAME) else { return };
    let Some(ready) = Recording::ready(NAME) else { return };
    let recording = ready.record(|dir| {
        fs::write(dir.join("session.sh"), SHELL).expect("the script");
        let status = workload::run(dir, "session.log", Command::new(&bash).arg("session.sh"));
        let said = fs::read_to_string(dir.join("session.log")).expect("its output");
        assert_eq!(status.code(), Some(7), "{said}");
        for word in ["subshell 5", "trapped", "background 143", "not executable 126", "HELLO-OF-THE-PIPE"] {
            assert!(said.contains(word), "{word} in {said}");
        }
    });
    let dir = recording.dir().display().to_string();
    recording.line(&[" bash (", " < execve res=0 exe=", "args=session.sh. ", &format!("cwd={dir} ")]);
    recording.line(&[" bash (", " > write fd=1(<p>) size=18 "]);
    recording.line(&[" bash (", " < write res=18 data=hello-of-the-pipe. "]);
    recording.line(&[" tr (", " < read res=18 data=hello-of-the-pipe. "]);
    recording.line(&[" tr (", " < write res=18 data=HELLO-OF-THE-PIPE. "]);
    recording.line(&[" cat (", &format!(" > write fd=1(<f>{dir}/upper.txt) size=18 ")]);
    recording.line(&[" bash (", " < chdir res=0 path=/ "]);
    recording.line(&[" bash (", " > procexit status=1280 ret=5 sig=0 core=0 "]);
    recording.line(&[" bash (", " > kill pid=", "(bash) sig=10(SIGUSR1) "]);
    recording.line(&[" bash (", " > kill pid=", " sig=15(SIGTERM) "]);
    recording.line(&[" > procexit status=15 ret=0 sig=15(SIGTERM) core=0 "]);
    recording.line(&[" yes (", " write res=-32(EPIPE) "]);
    recording.line(&[
        " cat (",
        &format!(" < openat fd=-2(ENOENT) dirfd=-100(AT_FDCWD) name=missing.txt({dir}/missing.txt) "),
    ]);
    recording.line(&[" bash (", " < execve res=-13(EACCES) "]);
    recording.line(&[" rename", &format!("one/moved.txt({dir}/one/moved.txt) ")]);
    recording.line(&[" rm (", " < unlinkat res=0 ", " name=moved.txt"]);
    recording.line(&[" bash (", " > procexit status=1792 ret=7 sig=0 core=0 "]);
    recording.hold_against_stock();
}

fn build_c(dir: &Path, gcc: &Path) {
    workload::c_sources(dir).expect("the sources");
    for part in ["say", "main"] {
        let source = format!("{part}.c");
        workload::succeed(dir, "gcc.log", Command::new(gcc).args(["-O1", "-Wall", "-c", &source]));
    }
    workload::succeed(dir, "link.log", Command::new(gcc).args(["-o", "program", "main.o", "say.o"]));
    let status = workload::run(dir, "program.log", Command::new(dir.join("program")).arg("built-and-run"));
    assert_eq!(status.code(), Some(42));
}

#[test]
fn c_build() {
    const NAME: &str = "c_build";
    let Some(gcc) = installed("gcc", NAME) else { return };
    let Some(ready) = Recording::ready(NAME) else { return };
    let recording = ready.record(|dir| build_c(dir, &gcc));
    let dir = recording.dir().display().to_string();
    recording.line(&[" cc1 (", " < execve res=0 exe=", ".main.c.", &format!("cwd={dir} "), " comm=cc1 "]);
    recording.line(&[" cc1 (", " < openat fd=", &format!("(<f>{dir}/say.h) "), "name=say.h"]);
    recording.line(&[" as (", &format!("(<f>{dir}/main.o) "), "name=main.o"]);
    recording.line(&[" ld (", " < openat fd=", &format!("(<f>{dir}/say.o) "), "name=say.o"]);
    recording.line(&[" program (", " < execve res=0 exe=", "args=built-and-run. ", " comm=program "]);
    recording.line(&[" program (", " < write res=14 data=built-and-run. "]);
    recording.line(&[" program (", " > exit_group "]);
    recording.line(&[" program (", " > procexit status=10752 ret=42 sig=0 core=0 "]);
    recording.hold_against_stock();
}

#[test]
fn cargo_build() {
    const NAME: &str = "cargo_build";
    let (Some(cargo), Some(_)) = (installed("cargo", NAME), installed("cc", NAME)) else { return };
    let Some(ready) = Recording::ready(NAME) else { return };
    let recording = ready.record(|dir| {
        workload::rust_sources(dir).expect("the sources");
        let mut build = Command::new(&cargo);
        build.args(["build", "--offline"]).env("CARGO_TARGET_DIR", dir.join("out"));
        workload::succeed(dir, "cargo.log", &mut build);
        workload::succeed(dir, "tiny.log", &mut Command::new(dir.join("out/debug/tiny")));
    });
    let dir = recording.dir().display().to_string();
    recording.line(&[" cargo (", " < openat fd=", &format!("(<f>{dir}/Cargo.toml) ")]);
    recording.line(&[" rustc (", " < execve res=0 exe=", "--crate-name.tiny.", &format!("cwd={dir} ")]);
    recording.line(&[" rustc (", " < openat fd=", &format!("(<f>{dir}/src/main.rs) "), "name=src/main.rs"]);
    recording.line(&[" tiny (", " < write res=5 data=tiny. "]);
    recording.line(&[" tiny (", " > procexit status=0 ret=0 sig=0 core=0 "]);
    recording.hold_against_stock();
}

#[test]
fn redis_benchmark() {
    const NAME: &str = "redis_benchmark";
    let programs = (installed("redis-server", NAME), installed("redis-benchmark", NAME));
    let (Some(redis), Some(benchmark)) = programs else { return };
    let Some(ready) = Recording::ready(NAME) else { return };
    let server = workload::redis(&redis, ready.dir());
    let port = server.port.to_string();
    let recording = ready.record(|dir| {
        for pipeline in ["1", "16"] {
            let mut command = Command::new(&benchmark);
            command.args(["-q", "-h", "127.0.0.1", "-p", &port, "-t", "set,get", "-c", "4", "-n", "2000"]);
            workload::succeed(dir, "benchmark.log", command.args(["-P", pipeline]));
        }
    });
    let to_server = format!("->127.0.0.1:{port} ");
    let tuple = connect_tuple(&recording, &[" redis-benchmark (", " < connect res=", &to_server]);
    let fd = format!("(<4t>{tuple})");
    recording.line(&[" redis-server (", " < accept", " fd=", &fd, &format!(" tuple={tuple} ")]);
    recording.line(&[" redis-server (", " > read fd=", &fd]);
    recording.line(&[" redis-server (", " < read res=", "data=*3..$3..SET..$"]);
    recording.line(&[" redis-server (", " > write fd=", &fd]);
    recording.line(&[" redis-server (", " < write res=5 data=+OK.. "]);
    // 16 answers in one write.
    recording.line(&[" redis-server (", " < write res=80 data=+OK..+OK.."]);
    recording.line(&[" redis-benchmark (", " < execve res=0 exe=", &format!(".-p.{port}.")]);
    recording.line(&[" redis-benchmark (", " > procexit status=0 ret=0 sig=0 core=0 "]);
    drop(server);
    recording.hold_against_stock();
}
