//! Who may record, as whom, and whose the files are: `--user`, file capabilities, sudo, and a
//! seccomp filter in the way.

use capture_common::event_table::code;
use capture_common::snapshot::{FdKind, FdRecord};
use capture_common::{Batch, Next, Snapshot};
use capture_file::Reader;
use capture_tests::live::{self, Capture};
use capture_tests::{installed, skip};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// User and group without rights.
const NOBODY: u32 = 65534;
/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF (linux/capability.h).
const KEPT: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;
const SETCAP: &str = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep";

fn is_root(test: &str) -> bool {
    // SAFETY: the call takes no argument.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        skip(test, "only root can become somebody else");
    }
    is_root
}

/// A folder that is nobody's.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("opens it");
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("gives it away");
    dir
}

/// A line of a status file, as hexadecimal numbers.
fn status(of: &Path, name: &str) -> Vec<u64> {
    let text = fs::read_to_string(of.join("status")).expect("its status");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let words = line.unwrap_or_else(|| panic!("no {name} in {text}")).split_whitespace();
    words.map(|word| u64::from_str_radix(word, 16).expect("a number")).collect()
}

fn snapshot(file: &Path) -> Snapshot {
    let mut reader = Reader::open(file).expect("it opens");
    match reader.next_piece(&mut Batch::new()).expect("it begins") {
        Next::Section(snapshot) => *snapshot,
        other => panic!("{other:?} before the section"),
    }
}

/// Whether the opening snapshot knows a file that this process, which is root's, has open.
fn knows_our_file(file: &Path, open: &Path) -> bool {
    let me = i64::from(std::process::id());
    let name = open.to_str().expect("UTF-8").as_bytes();
    let is_it =
        |fd: &FdRecord| matches!(&fd.kind, FdKind::File { name: known, .. } if known.as_slice() == name);
    snapshot(file).fds.iter().filter(|(tid, _)| *tid == me).any(|(_, fds)| fds.iter().any(is_it))
}

/// Names of the programs that were executed meanwhile.
fn executed(file: &Path) -> Vec<String> {
    let mut names = Vec::new();
    live::read_events(file, |event| {
        if event.code == code::SYSCALL_EXECVE_19_X {
            names.push(String::from_utf8_lossy(event.text(13).unwrap_or_default()).into_owned());
        }
    })
    .expect("it reads");
    names
}

#[test]
fn a_capture_goes_on_as_another_user() {
    let name = "a_capture_goes_on_as_another_user";
    if !is_root(name) || !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let dir = folder();
    let file = dir.path().join("f.scap");
    let open = dir.path().join("open-before");
    let _open = fs::File::create(&open).expect("creates");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o600)).expect("closes it");
    let mut capture = Capture::to_file(CAPTURE, &file, &["--user", "nobody"]);
    let tasks = PathBuf::from(format!("/proc/{}/task", capture.child().id()));
    let rights = KEPT & status(Path::new("/proc/self"), "CapPrm")[0];
    let mut with_rights = 0;
    for task in fs::read_dir(&tasks).expect("its threads").flatten() {
        let id = [0x65534; 4];
        assert_eq!(status(&task.path(), "Uid"), id, "{task:?}");
        assert_eq!(status(&task.path(), "Gid"), id, "{task:?}");
        let [permitted, effective, inheritable] =
            ["CapPrm", "CapEff", "CapInh"].map(|set| status(&task.path(), set)[0]);
        assert!(
            [0, rights].contains(&permitted) && [0, rights].contains(&effective),
            "{permitted:x} {task:?}"
        );
        assert_eq!(inheritable, 0);
        with_rights += u32::from(permitted == rights);
    }
    assert!(with_rights >= 2, "{with_rights} threads with rights");
    assert!(Command::new("true").status().expect("runs").success());
    let ended = capture.end(libc::SIGINT);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let meta = fs::metadata(&file).expect("is there");
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (NOBODY, NOBODY, 0o600));
    assert!(executed(&file).iter().any(|comm| comm == "true"));
    assert!(knows_our_file(&file, &open));
}

#[test]
fn a_command_runs_as_the_other_user_without_rights() {
    let name = "a_command_runs_as_the_other_user_without_rights";
    if !is_root(name) || !live::can_record(name) {
        return;
    }
    let out = Command::new(CAPTURE)
        .args(["--user", "nobody", "-q", "--", "sh", "-c", "id -u; grep CapPrm /proc/self/status; exit 7"])
        .output()
        .expect("runs");
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("65534\n") && said.contains("CapPrm:\t0000000000000000\n"), "{said}");
}

#[test]
fn who_cannot_be_become_is_told() {
    let name = "who_cannot_be_become_is_told";
    let run = |user: &str| Command::new(CAPTURE).args(["--user", user, "-n", "1"]).output().expect("runs");
    let out = run("no-such-user");
    assert_eq!(out.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("--user no-such-user: there is no such user"),
        "{out:?}"
    );
    if !is_root(name) || !live::can_record(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("f.scap");
    let out = Command::new(CAPTURE).args(["--user", "nobody", "-w"]).arg(&file).output().expect("runs");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("Permission denied"), "{out:?}");
}

#[test]
fn file_capabilities_are_enough() {
    let name = "file_capabilities_are_enough";
    if !is_root(name) || !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let Some(setcap) = installed("setcap", name) else { return };
    let dir = folder();
    let (program, file) = (dir.path().join("capture"), dir.path().join("f.scap"));
    fs::copy(CAPTURE, &program).expect("copies");
    let set = Command::new(setcap).arg(SETCAP).arg(&program).output().expect("runs");
    if !set.status.success() {
        skip(
            name,
            &format!("this file system takes no capabilities: {}", String::from_utf8_lossy(&set.stderr)),
        );
        return;
    }
    let open = dir.path().join("open-before");
    let _open = fs::File::create(&open).expect("creates");
    let mut command = Command::new(&program);
    command.arg("-w").arg(&file).uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).stdout(Stdio::null());
    let capture = Capture::spawn(&mut command);
    let recording = || fs::metadata(&file).is_ok_and(|m| m.len() > 0);
    if !live::within(live::PATIENCE, recording) {
        panic!("it does not record: {:?}", capture.end(libc::SIGKILL));
    }
    assert!(Command::new("true").status().expect("runs").success());
    let ended = capture.end(libc::SIGINT);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(executed(&file).iter().any(|comm| comm == "true"));
    assert!(knows_our_file(&file, &open));
    let doctor = Command::new(&program).arg("doctor").uid(NOBODY).gid(NOBODY).output().expect("runs");
    let table = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(table.ends_with("Live capture works here.\n"), "{table}");
}

#[test]
fn files_belong_to_who_called_sudo_and_nobody_else_reads_them() {
    let name = "files_belong_to_who_called_sudo_and_nobody_else_reads_them";
    if !is_root(name) {
        return;
    }
    let dir = folder();
    let source = dir.path().join("source.scap");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/curl.scap"), &source).expect("copies");
    let (new, old) = (dir.path().join("new.scap"), dir.path().join("old.scap"));
    fs::write(&old, "something").expect("writes");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).expect("sets");
    for file in [&new, &old] {
        let out = Command::new(CAPTURE)
            .args(["-q", "-r"])
            .arg(&source)
            .arg("-w")
            .arg(file)
            .env("SUDO_UID", NOBODY.to_string())
            .env("SUDO_GID", NOBODY.to_string())
            .output()
            .expect("runs");
        assert_eq!(out.status.code(), Some(0), "{out:?}");
    }
    let of = |file| fs::metadata(file).map(|m| (m.uid(), m.gid(), m.mode() & 0o7777)).expect("is there");
    assert_eq!(of(&new), (NOBODY, NOBODY, 0o600));
    assert_eq!(of(&old), (0, of(&old).1, 0o640));
}

/// Refuses bpf(2) with EPERM from here on, in this process and its children.
fn refuse_bpf() -> std::io::Result<()> {
    const LOAD_NR: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_NR, 0, 0, 0),
        step(IF_EQUAL, 0, 1, libc::SYS_bpf as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: `program` and its steps live through the call, which copies them.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if refused { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[test]
fn a_seccomp_filter_in_the_way_is_named() {
    let name = "a_seccomp_filter_in_the_way_is_named";
    if !is_root(name) || !live::can_record(name) {
        return;
    }
    for args in [&["-n", "1"][..], &["doctor"]] {
        let mut command = Command::new(CAPTURE);
        // SAFETY: two plain system calls on memory of its own.
        unsafe { command.args(args).pre_exec(refuse_bpf) };
        let out = command.output().expect("runs");
        assert_eq!(out.status.code(), Some(1), "{out:?}");
        let said =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(said.contains("refuses the probe: a seccomp filter is on this process"), "{said}");
    }
}
