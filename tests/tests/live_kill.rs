//! `kill -9` of a recording capture, again and again: the file holds everything older than two
//! seconds.
//!
//! A thread of the test writes numbered lines all the time, each with its wall-clock time. Two
//! captures record it side by side, one into zstd frames and one into gzip, and each is killed at
//! a random moment of its own.

use capture_common::event_table::code;
use capture_tests::live::{self, Capture, Random};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// Kills of each kind.
const KILLS: u32 = 20;
/// What may be missing before a kill.
const YOUNG: Duration = Duration::from_secs(2);
/// A kill comes this long after the start of the recording, at least and at most, in ms.
const LIFE_MS: (u64, u64) = (2_100, 4_000);
/// Between two lines.
const PAUSE: Duration = Duration::from_millis(1);

fn wall_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

/// A line that was written: its number and its time.
type Line = (u64, u64);

/// Writes numbered lines until `stop`; the thread's id and all lines.
fn write_lines(stop: &AtomicBool) -> (i64, Vec<Line>) {
    let mut nowhere = std::fs::File::options().write(true).open("/dev/null").expect("opens");
    let mut lines = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let line = (lines.len() as u64, wall_ns());
        nowhere.write_all(format!("line {} {}\n", line.0, line.1).as_bytes()).expect("writes");
        lines.push(line);
        std::thread::sleep(PAUSE);
    }
    // SAFETY: the call takes no argument.
    (i64::from(unsafe { libc::gettid() }), lines)
}

/// The numbers of the lines that a file holds, and how reading it ended.
fn numbers_in(file: &Path, tid: i64) -> (HashSet<u64>, Result<(), String>) {
    let mut numbers = HashSet::new();
    let end = live::read_events(file, |event| {
        assert_eq!(live::declared_loss(event), None, "records were lost at a slow pace");
        if event.tid == tid && event.code == code::SYSCALL_WRITE_X {
            let text = event.text(1).map(String::from_utf8_lossy).unwrap_or_default();
            let number: Option<u64> =
                text.strip_prefix("line ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            numbers.extend(number);
        }
    });
    (numbers, end)
}

/// When a recording began and when it was killed.
#[derive(Clone, Copy)]
struct Life {
    began_ns: u64,
    killed_ns: u64,
}

fn record_and_kill(file: &Path, args: &[&str], life: Duration) -> Life {
    let capture = Capture::to_file(CAPTURE, file, args);
    let began_ns = wall_ns();
    std::thread::sleep(life);
    let killed_ns = wall_ns();
    let ended = capture.end(libc::SIGKILL);
    assert_eq!(ended.status.code(), None, "{ended:?}");
    Life { began_ns, killed_ns }
}

fn check(what: &str, file: &Path, tid: i64, lines: &[Line], life: Life) {
    let (held, end) = numbers_in(file, tid);
    let due: Vec<&Line> = lines
        .iter()
        .filter(|(_, at)| (life.began_ns..life.killed_ns - YOUNG.as_nanos() as u64).contains(at))
        .collect();
    let missing: Vec<u64> = due.iter().filter(|(n, _)| !held.contains(n)).map(|(n, _)| *n).collect();
    let youngest = lines.iter().filter(|(n, _)| held.contains(n)).map(|(_, at)| *at).max().unwrap_or(0);
    let alive_ms = (life.killed_ns - life.began_ns) / 1_000_000;
    let late_ms = life.killed_ns.saturating_sub(youngest) / 1_000_000;
    println!(
        "{what}: killed after {alive_ms} ms; {} lines due, {} held, the youngest {late_ms} ms old; reads: {end:?}",
        due.len(),
        held.len()
    );
    assert!(missing.is_empty(), "{what}: {} of {} lines missing: {missing:?}", missing.len(), due.len());
}

#[test]
fn a_killed_capture_keeps_all_but_two_seconds() {
    let name = "a_killed_capture_keeps_all_but_two_seconds";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let dir = tempfile::tempdir().expect("a folder");
    let mut random = Random::default();
    let mut moment = || Duration::from_millis(LIFE_MS.0 + random.below(LIFE_MS.1 - LIFE_MS.0));
    for round in 0..KILLS {
        let files = [dir.path().join("killed.scap"), dir.path().join("killed.scap.gz")];
        let moments = [moment(), moment()];
        let stop = AtomicBool::new(false);
        let (lives, (tid, lines)) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_lines(&stop));
            let killers = [(&files[0], moments[0], &[][..]), (&files[1], moments[1], &["-z"][..])]
                .map(|(file, moment, args)| scope.spawn(move || record_and_kill(file, args, moment)));
            let lives = killers.map(std::thread::ScopedJoinHandle::join);
            stop.store(true, Ordering::Relaxed);
            (lives, writer.join().expect("the writer ends"))
        });
        for ((what, file), life) in ["zstd", "gzip"].iter().zip(&files).zip(lives) {
            check(&format!("{round} {what}"), file, tid, &lines, life.expect("a recording"));
            std::fs::remove_file(file).expect("the file is removed");
        }
    }
}
