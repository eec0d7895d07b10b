//! What is said while a capture runs and at its end: counters each second, and what would lose less.

use capture_tests::live::{self, Summary};
use std::process::Command;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// What a capture of a busy command says on standard error.
fn said(options: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let script = "timeout --foreground 2.5 dd if=/dev/zero of=/dev/null bs=1 2>/dev/null; true";
    let mut command = Command::new(CAPTURE);
    command.args(options).arg("-w").arg(dir.path().join("counted.scap")).args(["--", "sh", "-c", script]);
    let out = command.output().expect("capture runs");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{stderr}");
    stderr
}

/// Events per second and lost ones of each line of counters.
fn counters(stderr: &str) -> Vec<[u64; 2]> {
    let lines = stderr.lines().filter(|line| line.contains(" events/s, ") && line.contains(" MB/s, fullest"));
    let number = |line: &str, before: &str, after: &str| {
        let from = line.find(before).expect("has the count") + before.len();
        let digits: String = line[from..].chars().take_while(char::is_ascii_digit).collect();
        assert!(line[from + digits.len()..].starts_with(after), "{line}");
        digits.parse().expect("a number")
    };
    lines.map(|line| [number(line, " s: ", " events/s"), number(line, "lost ", "")]).collect()
}

#[test]
fn counters_are_shown_each_second_and_a_loss_has_advice() {
    let name = "counters_are_shown_each_second_and_a_loss_has_advice";
    if !live::can_record(name) || capture_tests::installed("timeout", name).is_none() {
        return;
    }
    let _turn = live::turn();
    let quiet = said(&[]);
    assert!(counters(&quiet).is_empty(), "{quiet}");
    let shrunk = said(&["-v", "--buffer", "1", "--drain-pause", "200"]);
    let counted = counters(&shrunk);
    let summary = Summary::parse(&shrunk);
    println!("{counted:?}, {} lost at the end", summary.lost);
    // A busy machine may show fewer than two.
    assert!(counted.len() <= 4 && counted.iter().any(|[events, _]| *events > 1000), "{shrunk}");
    assert!(counted.is_sorted_by_key(|[_, lost]| *lost), "{shrunk}");
    assert!(counted.iter().all(|[_, lost]| *lost <= summary.lost) && summary.lost > 0, "{shrunk}");
    let advice = "to lose less: --buffer 2 doubles the rings (1 MiB for each CPU)";
    assert!(shrunk.contains(advice), "{shrunk}");
    assert!(shrunk.contains("rings: 1 MiB for each CPU, at most "), "{shrunk}");
}
