//! Options of reading and writing that recorded runs do not show: rotation that loses nothing,
//! several inputs in order of time, ends by signal while a pipe is silent, and what is refused or
//! said.

use capture_tests::{data_dir, installed};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn capture(name: &str) -> String {
    data_dir().join("captures").join(name).to_str().expect("UTF-8").to_owned()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capture-test"));
    command.args(words).env("TZ", "UTC").stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    command(words).output().expect("runs")
}

fn stdout(words: &[&str]) -> Vec<String> {
    let output = run(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Lines without their event numbers.
fn unnumbered(lines: Vec<String>) -> Vec<String> {
    lines
        .into_iter()
        .map(|line| line.split_once(' ').map_or(String::new(), |(_, rest)| rest.to_owned()))
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("reads").map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    files
}

#[test]
fn rotated_files_stand_alone_and_miss_nothing() {
    for input in ["curl_google.scap", "k8s_dns.scap", "dns.scap.gz", "interop-container.scap"] {
        let whole = unnumbered(stdout(&["-r", &capture(input)]));
        for limit in [["-e", "11"], ["-e", "700"], ["-G", "1"], ["-C", "1"]] {
            // Hundreds of files show nothing that a few do not.
            if limit == ["-e", "11"] && input != "interop-container.scap" {
                continue;
            }
            let folder = tempfile::tempdir().expect("folder");
            let name = folder.path().join("cap");
            let name = name.to_str().expect("UTF-8");
            stdout(&[
                "-r",
                &capture(input),
                "-w",
                name,
                "--compress",
                "none",
                limit[0],
                limit[1],
                "-W",
                "1000",
            ]);
            let parts = files(folder.path());
            assert!(!parts.is_empty(), "{input} {limit:?}");
            let read = |program: &str| -> Vec<String> {
                let read = |part: &PathBuf| {
                    let output =
                        Command::new(program).env("TZ", "UTC").arg("-r").arg(part).output().expect("runs");
                    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
                };
                unnumbered(parts.iter().flat_map(read).collect())
            };
            let ours = read(env!("CARGO_BIN_EXE_capture-test"));
            let first = whole.iter().zip(&ours).find(|(whole, ours)| whole != ours);
            assert!(whole == ours, "{input} {limit:?}: {} of {} lines, {first:?}", ours.len(), whole.len());
            // Stock reads the files of a rotation, too, where it can read the whole.
            if input == "curl_google.scap" && installed("sysdig", "rotated files in sysdig").is_some() {
                assert_eq!(read("sysdig").len(), whole.len(), "{limit:?}");
            }
        }
    }
}

#[test]
fn a_ring_keeps_the_last_files() {
    let folder = tempfile::tempdir().expect("folder");
    let name = folder.path().join("cap");
    let input = capture("curl_google.scap");
    stdout(&["-r", &input, "-w", name.to_str().expect("UTF-8"), "-e", "200", "-W", "3"]);
    let names: Vec<_> = files(folder.path()).iter().filter_map(|p| Some(p.file_name()?.to_owned())).collect();
    assert_eq!(names, ["cap0", "cap1", "cap2"]);
    let last = stdout(&["-r", &input]).pop();
    let found = files(folder.path()).iter().any(|file| {
        let lines = unnumbered(stdout(&["-r", file.to_str().expect("UTF-8")]));
        lines.last() == unnumbered(last.iter().cloned().collect()).last()
    });
    assert!(found, "the last event is in none of the files");
}

#[test]
fn no_input_is_overwritten_by_a_rotation() {
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("cap1");
    std::fs::copy(capture("curl_google.scap"), &input).expect("copies");
    let name = folder.path().join("cap");
    let (input, name) = (input.to_str().expect("UTF-8"), name.to_str().expect("UTF-8"));
    let output = run(&["-r", input, "-w", name, "-e", "100"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("would overwrite"));
    assert_eq!(
        std::fs::read(input).expect("reads"),
        std::fs::read(capture("curl_google.scap")).expect("reads")
    );
}

#[test]
fn inputs_come_in_order_of_time() {
    let (early, late) = (capture("single_ipv6_conn.scap"), capture("test_ipv6_client.scap"));
    let both: Vec<String> = [stdout(&["-r", &early]), stdout(&["-r", &late])].concat();
    assert_eq!(stdout(&["-r", &late, "-r", &early]), both);
    // These overlap: their lines are merged, each file's in its own order with its own numbers.
    let (one, other) = (capture("curl_google.scap"), capture("k8s_dns.scap"));
    let merged = stdout(&["-ta", "-r", &other, "-r", &one]);
    let time = |line: &String| line.split(' ').nth(1).map(str::to_owned);
    assert!(merged.windows(2).all(|pair| time(&pair[0]) <= time(&pair[1])));
    let mut separate = [stdout(&["-ta", "-r", &one]), stdout(&["-ta", "-r", &other])].concat();
    let mut sorted = merged;
    separate.sort();
    sorted.sort();
    assert!(separate == sorted);
    // A file has one machine at a time: the inputs follow each other.
    let folder = tempfile::tempdir().expect("folder");
    let written = folder.path().join("both.scap");
    let written = written.to_str().expect("UTF-8");
    stdout(&["-r", &late, "-r", &early, "-w", written]);
    assert_eq!(unnumbered(stdout(&["-r", written])), unnumbered(both));
}

/// Unlike sysdig, which counts anew in each file: several files are one stream.
#[test]
fn a_count_is_of_all_inputs() {
    let (early, late) = (capture("curl_google.scap"), capture("test_ipv6_client.scap"));
    let closes = |words: &[&str]| stdout(&[words, &["-r", &late, "-r", &early, "evt.type=close"]].concat());
    let all = closes(&[]);
    let apart = stdout(&["-r", &early, "evt.type=close"]).len();
    assert!(apart > 4 && all.len() > apart + 1, "{apart} {}", all.len());
    for count in [3, apart, apart + 1] {
        assert_eq!(closes(&["-n", &count.to_string()]), all[..count], "{count}");
    }
}

#[test]
fn a_damaged_input_ends_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let torn = folder.path().join("torn.scap");
    std::fs::write(&torn, b"no capture at all").expect("writes");
    let good = capture("curl_google.scap");
    let output = run(&["-r", torn.to_str().expect("UTF-8"), "-r", &good]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), stdout(&["-r", &good]).len());
    assert!(String::from_utf8_lossy(&output.stderr).contains("torn.scap"));
}

/// Sends SIGINT after a while and waits for the end.
fn interrupt(mut command: Command, what: &str) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().expect("waits").is_none(), "{what}: ended before the signal");
    let pid = libc::pid_t::try_from(child.id()).expect("a pid");
    // SAFETY: kill takes numbers only; the process is a child that nobody has waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let began = Instant::now();
    let status = loop {
        match child.try_wait().expect("waits") {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(5) => {
                child.kill().expect("kills");
                panic!("{what}: still there five seconds after SIGINT");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "{what}: {status}");
}

#[test]
fn an_interrupt_ends_the_wait_for_a_pipe() {
    let mut silent = command(&["-r", "-"]);
    silent.stdin(Stdio::piped());
    interrupt(silent, "silent standard input");
    let folder = tempfile::tempdir().expect("folder");
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    interrupt(command(&["-r", fifo.to_str().expect("UTF-8")]), "named pipe without a writer");
    let other = capture("curl_google.scap");
    interrupt(command(&["-r", &other, "-r", fifo.to_str().expect("UTF-8")]), "one of two inputs");
}

#[test]
fn what_means_nothing_here_is_refused_or_said() {
    let input = capture("curl_google.scap");
    for option in ["--no-enter", "--switches", "--buffer=8", "--probe-log", "--probe=x.o", "--strict"] {
        let output = run(&["-r", &input, option]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains("live"), "{option}: {stderr}");
    }
    let says = |words: &[&str], text: &str| {
        let output = run(&[&["-q", "-r", &input], words].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.contains(text), "{words:?}: {stderr}");
    };
    says(&["-z"], "note: -z does nothing without -w");
    says(&["-e", "5"], "note: -e does nothing without -w");
    says(&["-w", "/dev/null", "-W", "5"], "note: -W does nothing without");
    says(&["-s", "8192"], "");
    let fails = |words: &[&str], text: &str| {
        let output = run(words);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains(text), "{words:?}: {stderr}");
    };
    fails(&["-P"], "the -P flag cannot be used with live captures.");
    fails(&["-r", &input, "-w", "-", "-C", "1"], "needs a name");
    fails(&["-r", &input, "-w", "/tmp/x%", "-G", "1"], "strftime");
}

#[test]
fn the_end_of_a_replay_is_told() {
    let input = capture("curl_google.scap");
    let stderr = |words: &[&str]| String::from_utf8_lossy(&run(words).stderr).into_owned();
    assert_eq!(stderr(&["-r", &input]), "");
    let told = stderr(&["-v", "-r", &input, "-U", "curl"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["Driver Events:0", "Driver Drops:0"]);
    assert!(lines[2].starts_with("Suppressed by Comm:1") && lines[3].contains("Captured Events: "), "{told}");
}
