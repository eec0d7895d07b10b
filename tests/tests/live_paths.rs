//! Paths that hold: what is printed of a successful open is the file that was opened, whatever another
//! thread does to the caller's memory meanwhile, and however deep it lies.

use capture_common::event_table::code;
use capture_tests::events::each_event_of;
use capture_tests::live;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

/// Rounds of a race before it counts as one that this machine does not run.
const ROUNDS: usize = 20;
const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// Runs the racing program under `capture` with these options; what the program says.
fn race(dir: &Path, options: &[&str], count: usize, test: &str) -> Option<String> {
    let program = live::compile("path_race", dir, test)?;
    let out = Command::new(CAPTURE)
        .args(["--buffer", "32"])
        .args(options)
        .arg("-w")
        .arg(dir.join("f.scap"))
        .arg("--")
        .args([program.as_os_str(), dir.as_os_str()])
        .arg(count.to_string())
        .stdin(Stdio::null())
        .output()
        .expect("capture runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn paths_that_change_during_a_call_are_noted() {
    const TEST: &str = "paths_that_change_during_a_call_are_noted";
    if !live::can_record(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (mut accesses, mut noted) = (0, 0);
    for round in 1.. {
        if race(dir.path(), &["--check-paths"], 20_000, TEST).is_none() {
            return;
        }
        let (calls, changed) = changes_of_access(dir.path());
        assert!(calls >= 20_000, "{calls}");
        (accesses, noted) = (accesses + calls, noted + changed);
        if noted > 0 {
            break;
        }
        if round == ROUNDS {
            capture_tests::skip(TEST, "the machine never ran both threads during one of 400,000 calls");
            return;
        }
    }
    eprintln!("{noted} of {accesses} paths of access changed during the call");
}

/// How often access was called, and how many of its paths a note says have changed. Each note is right.
fn changes_of_access(dir: &Path) -> (usize, usize) {
    let path = |letter: &str| dir.join(format!("file-{letter}")).to_str().expect("text").to_owned();
    let (mut accesses, mut noted, mut last) = (0, 0, (0, String::new()));
    live::read_events(&dir.join("f.scap"), |event| {
        if event.code == code::SYSCALL_ACCESS_X {
            accesses += 1;
            last = (event.tid, String::from_utf8_lossy(event.text(1).expect("a path")).into_owned());
        }
        let is_note = event.code == code::ASYNCEVENT_E && event.text(1) == Some(b"capture.path_changed");
        if !is_note {
            return;
        }
        let note: serde_json::Value = serde_json::from_slice(event.text(2).expect("data")).expect("JSON");
        let (enter, exit) = (note["enter"].as_str().expect("text"), note["exit"].as_str().expect("text"));
        assert_ne!(enter, exit);
        let known = [path("a"), path("b")];
        assert!(known.iter().any(|p| p == enter) && known.iter().any(|p| p == exit), "{note}");
        if note["call"] == "access" {
            noted += 1;
            assert_eq!((event.tid, exit), (last.0, last.1.as_str()), "the note stands behind its exit");
            assert_eq!(note["arg"], 0);
        }
    })
    .expect("reads");
    (accesses, noted)
}

#[test]
fn opens_that_race_with_a_change_of_their_path() {
    const TEST: &str = "opens_that_race_with_a_change_of_their_path";
    const OPENS: usize = 20_000;
    if !live::can_record(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(stdout) = race(dir.path(), &[], OPENS, TEST) else { return };
    let inodes: Vec<u64> = stdout.split_whitespace().map(|n| n.parse().expect("an inode")).collect();
    let path = |letter: &str| dir.path().join(format!("file-{letter}")).to_str().expect("text").to_owned();
    let expected: HashMap<String, u64> = HashMap::from([(path("a"), inodes[0]), (path("b"), inodes[1])]);

    let (mut opens, mut changed, mut entered) = (0, 0, Vec::new());
    each_event_of(&dir.path().join("f.scap"), |view| {
        let raw = view.raw;
        match raw.code {
            code::SYSCALL_OPENAT_2_E => entered = raw.text(1).unwrap_or_default().to_vec(),
            code::SYSCALL_OPENAT_2_X if raw.int(0).is_some_and(|fd| fd >= 0) => {
                let printed = String::from_utf8_lossy(raw.text(2).expect("a name")).into_owned();
                let Some(inode) = expected.get(&printed) else { return };
                assert_eq!(raw.uint(6), Some(*inode), "{printed}: another file was opened");
                let named = view.fd().map(|fd| String::from_utf8_lossy(&fd.name).into_owned());
                let asked = String::from_utf8_lossy(&entered).into_owned();
                assert_eq!(named, Some(asked), "the fd is named as it was asked for");
                opens += 1;
                changed += usize::from(entered != printed.as_bytes());
            }
            _ => {}
        }
    });
    assert!(opens >= OPENS, "{opens} opens of the two files");
    eprintln!("{opens} opens, {changed} of another file than the one read at the enter");
}

/// A walk up takes eight folders in one run of the probe's program, and has eight runs.
#[test]
fn deep_folders_are_named_in_full() {
    const TEST: &str = "deep_folders_are_named_in_full";
    if !live::can_record(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let above = dir.path().components().count();
    let mut folders = Vec::new();
    for depth in [1, 5, 6, 7, 8, 13, 14, 15, 16, 30, 55, 70] {
        let folder =
            (0..depth).fold(dir.path().join(format!("of-{depth}")), |path, at| path.join(format!("d{at}")));
        assert_eq!(folder.components().count(), above + 1 + depth);
        std::fs::create_dir_all(&folder).expect("folders");
        std::fs::copy("/bin/cat", folder.join("reader")).expect("a program");
        std::fs::write(folder.join("text"), "text\n").expect("a file");
        folders.push(folder.display().to_string());
    }
    let file = dir.path().join("f.scap");
    let script = "for folder; do (cd \"$folder\" && ./reader text); done";
    let mut capture = Command::new(CAPTURE);
    capture.arg("-w").arg(&file).args(["--", "sh", "-c", script, "sh"]);
    let out = capture.args(&folders).stdin(Stdio::null()).output().expect("capture runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let format = "%proc.exepath|%proc.cwd|%fd.name";
    let filter = "proc.name = reader and evt.type = openat and evt.dir = < and fd.filename = text";
    let replay = Command::new(CAPTURE).arg("-r").arg(&file).args(["-p", format, filter]).output();
    let replay = replay.expect("capture runs");
    let lines: Vec<_> = replay.stdout.lines().map(|line| line.expect("text")).collect();
    // The last is deeper than a walk goes: its names are put together from those that the calls were given.
    let expected: Vec<_> =
        folders.iter().map(|folder| format!("{folder}/reader|{folder}/|{folder}/text")).collect();
    assert_eq!(lines, expected, "{replay:?}");
}
