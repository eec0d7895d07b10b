//! The machine changes while it is recorded: CPUs go and come, other captures run beside.

use capture_common::event_table::code;
use capture_tests::live::{self, Capture, Summary};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// The CPU that goes.
const CPU: u16 = 1;
/// Calls of one load.
const COUNT: u64 = 20_000;

fn online_file() -> PathBuf {
    PathBuf::from(format!("/sys/devices/system/cpu/cpu{CPU}/online"))
}

fn set_online(on: bool) -> std::io::Result<()> {
    std::fs::write(online_file(), if on { "1" } else { "0" })
}

/// A CPU that is away until the guard goes.
struct Away;

impl Away {
    /// Takes it away; the reason where the machine refuses.
    fn take() -> Result<Away, String> {
        set_online(false).map(|()| Away).map_err(|e| format!("CPU {CPU} cannot be taken offline: {e}"))
    }

    fn back(self) {}
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Err(error) = set_online(true) {
            eprintln!("CPU {CPU} does not come back: {error}");
        }
    }
}

/// Whether the CPU can go; otherwise reports a skip.
fn can_go(name: &str) -> bool {
    if !live::can_record(name) || !live::has_host_ids(name) {
        return false;
    }
    let is_online = std::fs::read_to_string(online_file()).is_ok_and(|text| text.trim() == "1");
    if !is_online {
        capture_tests::skip(name, &format!("CPU {CPU} cannot be taken offline on this machine"));
    }
    is_online
        && capture_tests::installed("taskset", name).is_some()
        && capture_tests::installed("dd", name).is_some()
}

/// A load on a CPU; its process.
fn load(cpu: u16) -> u32 {
    let mut dd = Command::new("taskset")
        .args(["-c", &cpu.to_string(), "dd", "if=/dev/zero", "of=/dev/null", "bs=1"])
        .arg(format!("count={COUNT}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the load starts");
    assert!(dd.wait().expect("its status").success());
    dd.id()
}

/// Reads of a process in a file, by CPU 0 and the other.
fn reads(file: &Path, pid: u32) -> [u64; 2] {
    let mut counts = [0; 2];
    let end = live::read_events(file, |event| {
        if event.code == code::SYSCALL_READ_X && event.tid == i64::from(pid) {
            counts[usize::from(event.cpu == CPU)] += 1;
        }
    });
    end.expect("the file reads to its end");
    counts
}

fn check(summary: &Summary) {
    for [seen, recorded, dropped, ..] in &summary.cpus {
        assert_eq!(*seen, recorded + dropped, "{summary:?}");
    }
}

#[test]
fn a_cpu_that_goes_and_comes_back_is_recorded() {
    let name = "a_cpu_that_goes_and_comes_back_is_recorded";
    if !can_go(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("cpus.scap");
    let _turn = live::turn();
    let capture = Capture::to_file(CAPTURE, &file, &["--no-containers"]);
    let before = load(CPU);
    let away = match Away::take() {
        Ok(away) => away,
        Err(reason) => return capture_tests::skip(name, &reason),
    };
    let meanwhile = load(0);
    away.back();
    let after = load(CPU);
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    let summary = Summary::parse(&ended.stderr);
    check(&summary);
    let counts = [before, meanwhile, after].map(|pid| reads(&file, pid));
    println!("reads on CPU 0 and {CPU} before, meanwhile and after: {counts:?}\n{}", ended.stderr);
    if summary.lost == 0 {
        assert!(counts[0][1] >= COUNT && counts[1][0] >= COUNT && counts[2][1] >= COUNT, "{counts:?}");
    }
}

#[test]
fn a_cpu_that_comes_after_the_start_is_recorded() {
    let name = "a_cpu_that_comes_after_the_start_is_recorded";
    if !can_go(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("cpus.scap");
    let _turn = live::turn();
    let away = match Away::take() {
        Ok(away) => away,
        Err(reason) => return capture_tests::skip(name, &reason),
    };
    let capture = Capture::to_file(CAPTURE, &file, &["--no-containers"]);
    away.back();
    let pid = load(CPU);
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    let summary = Summary::parse(&ended.stderr);
    check(&summary);
    let counts = reads(&file, pid);
    println!("reads on CPU 0 and {CPU}: {counts:?}\n{}", ended.stderr);
    assert!(summary.lost > 0 || counts[1] >= COUNT, "{counts:?}");
}

#[test]
fn captures_run_beside_each_other() {
    let name = "captures_run_beside_each_other";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let files = ["a", "b", "c"].map(|n| dir.path().join(n));
    let _turn = live::turn();
    let captures = files.each_ref().map(|file| Capture::to_file(CAPTURE, file, &["--no-containers"]));
    let pid = load(0);
    for (capture, file) in captures.into_iter().zip(&files) {
        let ended = capture.end(libc::SIGINT);
        assert!(ended.status.success(), "{ended:?}");
        let summary = Summary::parse(&ended.stderr);
        check(&summary);
        let [on_0, on_1] = reads(file, pid);
        assert!(summary.lost > 0 || on_0 + on_1 >= COUNT, "{on_0} + {on_1}\n{}", ended.stderr);
    }
}

#[test]
fn the_first_event_comes_soon() {
    let name = "the_first_event_comes_soon";
    if !live::can_record(name) {
        return;
    }
    let _turn = live::turn();
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let mut child = Command::new(CAPTURE)
                .args(["--no-containers", "--unbuffered", "-p", "%evt.num"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("capture starts");
            let mut byte = [0];
            let read = std::io::Read::read(child.stdout.as_mut().expect("its output"), &mut byte);
            let took = start.elapsed();
            live::kill(child.id(), libc::SIGKILL);
            child.wait().expect("its status");
            assert_eq!(read.expect("its output reads"), 1, "capture printed nothing");
            took
        })
        .collect();
    times.sort();
    println!("from start to the first event: {times:?}");
    // A loaded machine takes its time; the aim of 0.3 s is for an idle one.
    assert!(times[0] < Duration::from_secs(10), "{times:?}");
}
