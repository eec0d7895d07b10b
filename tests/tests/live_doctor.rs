//! `capture doctor` as root and as nobody.

use capture_tests::live;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// A user without rights.
const NOBODY: u32 = 65534;

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The state of a row.
fn state<'a>(table: &'a str, what: &str) -> &'a str {
    let row =
        table.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{what} in {table}"));
    row.split_whitespace().next().expect("a state")
}

#[test]
fn where_capture_records_the_doctor_says_so() {
    let name = "where_capture_records_the_doctor_says_so";
    if !live::can_record(name) {
        return;
    }
    let out = Command::new(CAPTURE).arg("doctor").output().expect("runs");
    let table = text(&out);
    assert_eq!(out.status.code(), Some(0), "{table}");
    for what in ["kernel", "type information", "tracepoints", "kernel structures", "probe", "first event"] {
        assert_eq!(state(&table, what), "ok", "{table}");
    }
    assert!(table.ends_with("Live capture works here.\n"), "{table}");
    let out = Command::new(CAPTURE).args(["-j", "doctor"]).output().expect("runs");
    let rows: Vec<serde_json::Value> =
        text(&out).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.len() >= 15 && rows.iter().all(|row| row["what"].is_string() && row["found"].is_string()));
    // A problem has its sentence, and nothing else has one.
    assert!(rows.iter().all(|row| (row["state"] == "ok") == row["advice"].is_null()), "{rows:#?}");
}

#[test]
fn nobody_is_told_what_is_missing() {
    let name = "nobody_is_told_what_is_missing";
    // SAFETY: the call takes no argument.
    if unsafe { libc::geteuid() } != 0 {
        capture_tests::skip(name, "only root can become nobody");
        return;
    }
    // Where nobody can reach it.
    let dir = tempfile::tempdir().expect("a folder");
    let program = dir.path().join("capture");
    fs::copy(CAPTURE, &program).expect("copies");
    for path in [dir.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("opens it");
    }
    let out = Command::new(&program).arg("doctor").uid(NOBODY).gid(NOBODY).output().expect("runs");
    let table = text(&out);
    assert_eq!(out.status.code(), Some(1), "{table}");
    assert_eq!(state(&table, "capabilities"), "MISSING");
    assert_eq!(state(&table, "probe"), "MISSING");
    assert!(table.contains("\ncapabilities: Run capture with sudo, or give the program"), "{table}");
    assert!(
        table.ends_with("Live capture does not work here; files are read all the same (-r).\n"),
        "{table}"
    );
}

#[test]
fn a_filter_of_that_name_is_still_one() {
    let out = Command::new(CAPTURE).args(["-r", "/dev/null", "doctor"]).output().expect("runs");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("doctor"), "{out:?}");
}
