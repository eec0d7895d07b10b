//! `capture doctor` as root and as nobody.

use capture_tests::live;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
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

/// A kernel without something: what is put in the place of one of its files, in a mount namespace.
struct Mask {
    file: &'static str,
    with: With,
    row: &'static str,
    state: &'static str,
    /// Stands in the table.
    says: &'static str,
    /// How `capture -w` begins its sentence; `None`: it records all the same.
    refuses: Option<&'static str>,
}

enum With {
    Text(&'static str),
    /// The same with one name replaced by another one that is as long.
    Renamed(&'static str, &'static str),
}

const BTF: &str = "/sys/kernel/btf/vmlinux";
const MASKS: &[Mask] = &[
    Mask {
        file: "/proc/sys/kernel/osrelease",
        with: With::Text("5.4.0-150-generic\n"),
        row: "kernel",
        state: "MISSING",
        says: "Live capture needs Linux 5.11 or newer.",
        refuses: Some("this kernel is 5.4.0-150-generic"),
    },
    Mask {
        file: BTF,
        with: With::Text(""),
        row: "type information",
        state: "MISSING",
        says: "type information is damaged",
        refuses: Some("the kernel's type information is damaged"),
    },
    Mask {
        file: BTF,
        with: With::Renamed("btf_trace_sys_enter", "btf_trace_sys_xnter"),
        row: "tracepoints",
        state: "MISSING",
        says: "CONFIG_FTRACE_SYSCALLS=y",
        refuses: Some("has no tracepoint sys_enter"),
    },
    Mask {
        file: BTF,
        with: With::Renamed("btf_trace_io_uring_submit_req", "btf_trace_io_uring_submix_req"),
        row: "tracepoints",
        state: "limited",
        says: "io_uring_submit_req",
        refuses: None,
    },
    Mask {
        file: BTF,
        with: With::Renamed("real_parent", "xeal_parent"),
        row: "kernel structures",
        state: "MISSING",
        says: "real_parent",
        refuses: Some("task_struct has no member real_parent"),
    },
    Mask {
        file: "/proc/sys/net/core/bpf_jit_enable",
        with: With::Text("0\n"),
        row: "compiler of programs",
        state: "limited",
        says: "sysctl net.core.bpf_jit_enable=1",
        refuses: None,
    },
];

impl Mask {
    /// The file that is put in the place.
    fn make(&self, dir: &Path) -> std::path::PathBuf {
        let path = dir.join("mask");
        let bytes = match self.with {
            With::Text(text) => text.as_bytes().to_vec(),
            With::Renamed(from, to) => {
                let mut bytes = fs::read(self.file).expect("reads");
                let from = [b"\0", from.as_bytes(), b"\0"].concat();
                let places: Vec<usize> = bytes
                    .windows(from.len())
                    .enumerate()
                    .filter(|(_, w)| *w == from)
                    .map(|(at, _)| at)
                    .collect();
                assert!(!places.is_empty(), "this kernel has no {:?}", self.says);
                places.iter().for_each(|at| bytes[at + 1..][..to.len()].copy_from_slice(to.as_bytes()));
                bytes
            }
        };
        fs::write(&path, bytes).expect("writes");
        path
    }

    /// Runs capture where the file is another one.
    fn run(&self, mask: &Path, args: &[&str]) -> Output {
        let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(mask).arg(self.file).arg(CAPTURE).args(args);
        command.output().expect("unshare runs")
    }
}

#[test]
fn a_kernel_without_something_is_told_apart() {
    let name = "a_kernel_without_something_is_told_apart";
    if !live::can_record(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("f.scap");
    let _turn = live::turn();
    for mask in MASKS {
        let path = mask.make(dir.path());
        let out = mask.run(&path, &["doctor"]);
        let table = text(&out);
        assert_eq!(state(&table, mask.row), mask.state, "{out:?}");
        assert!(table.contains(mask.says), "{:?} in {table}", mask.says);
        assert_eq!(out.status.code(), Some(i32::from(mask.refuses.is_some())), "{table}");
        let out = mask.run(&path, &["-w", file.to_str().expect("text"), "-M", "1"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        match mask.refuses {
            Some(sentence) => {
                assert_eq!(out.status.code(), Some(1), "{said}");
                assert!(said.contains(sentence), "{sentence:?} in {said}");
                assert!(!file.exists(), "nothing is recorded, and nothing written");
            }
            None => {
                assert!(out.status.success(), "{said}");
                fs::remove_file(&file).expect("it was written");
            }
        }
        println!("{}: {}", mask.file, said.lines().next().unwrap_or(""));
    }
}
