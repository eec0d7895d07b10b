//! clone and exec forms, ends, and the calls that have one side only.

use crate::expect::{Script, V, Values, c, compare, cptr, ptr, raw};
use crate::recorder::{Recording, record};
use crate::values;
use capture_common::RawEvent;
use capture_common::event_table::code;
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that every machine has and that ends with 0.
const TRUE: &str = "/bin/true";

fn status_word(name: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("has a status");
    let line = status.lines().find_map(|l| l.strip_prefix(name)).expect("has the line");
    i64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("is hex")
}

fn limit_of_fds() -> i64 {
    let mut limit = [0u64; 2];
    raw(libc::SYS_getrlimit, &[libc::RLIMIT_NOFILE as u64, crate::expect::mut_ptr(&mut limit)]);
    limit[0] as i64
}

fn ns(s: i64, ns: i64) -> V {
    V::N(s * 1_000_000_000 + ns)
}

/// What clone and exec exits say of the thread itself. `pgft`, memory and cgroups are not known
/// to the caller.
fn image(tid: i64, ptid: i64, exe: &str, args: &[&str], comm: &str) -> Values {
    let args: Vec<u8> = args.iter().flat_map(|a| [a.as_bytes(), b"\0"].concat()).collect();
    values![
        "exe" = exe,
        "args" = args,
        "tid" = tid,
        "pid" = tid,
        "ptid" = ptid,
        "cwd" = V::Unknown,
        "fdlimit" = limit_of_fds(),
        "pgft_maj" = V::Unknown,
        "pgft_min" = V::Unknown,
        "vm_size" = V::Positive,
        "vm_rss" = V::Unknown,
        "vm_swap" = V::Unknown,
        "comm" = comm,
        "cgroups" = V::Positive,
    ]
}

/// What exec exits say besides.
fn executed(path: &str, env: &[u8], filename: &str) -> Values {
    let real = std::fs::canonicalize(path).expect("exists");
    let meta = std::fs::metadata(&real).expect("exists");
    let pgid = raw(libc::SYS_getpgid, &[0]);
    let login: u32 = std::fs::read_to_string("/proc/self/loginuid")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(u32::MAX);
    let mut out = values![
        "env" = env.to_vec(),
        "tty" = V::Unknown,
        "vpgid" = pgid,
        "loginuid" = i64::from(login),
        "cap_inheritable" = status_word("CapInh"),
        "cap_permitted" = status_word("CapPrm"),
        "cap_effective" = status_word("CapEff"),
        "exe_ino" = meta.ino() as i64,
        "exe_ino_ctime" = ns(meta.ctime(), meta.ctime_nsec()),
        "exe_ino_mtime" = ns(meta.mtime(), meta.mtime_nsec()),
        "uid" = 0,
        "trusted_exepath" = real.to_str().expect("plain text"),
        "pgid" = pgid,
        "gid" = 0,
        "filename" = filename,
    ];
    // Root may write to it, unless the capability is missing.
    let writes = status_word("CapEff") >> 1 & 1;
    out.push(("flags", V::N(writes)));
    out
}

fn assert_event(event: Option<&RawEvent<'_>>, expected: &Values, what: &str) {
    let event = event.unwrap_or_else(|| panic!("{what}: no event"));
    let problems = compare(event, expected);
    assert!(problems.is_empty(), "{what}:\n{}", problems.join("\n"));
}

/// The status form of an exit code, and procexit's parts of it.
fn procexit(ret: i64, signal: i64, core: i64) -> Values {
    values![
        "status" = ret << 8 | core << 7 | signal,
        "ret" = ret,
        "sig" = signal,
        "core" = core,
        "reaper_tid" = V::Unknown
    ]
}

struct Exec {
    path: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Exec {
    fn new(path: &str, argv: &[&str]) -> Self {
        let list = |items: &[&str]| items.iter().map(|i| c(*i)).collect();
        Exec { path: c(path), argv: list(argv), envp: list(&["A=1", "LONG_NAME=some value"]) }
    }

    fn pointers(list: &[CString]) -> Vec<u64> {
        list.iter().map(|i| cptr(i)).chain([0]).collect()
    }

    /// Forks by `fork` and execs in the child; the child's pid.
    fn run(&self, fork: impl FnOnce() -> i64) -> i64 {
        // All text lies in memory that a fork copies: what is mapped from a file is not there in
        // the child before it is touched, and the probe cannot fault it in.
        let nope = c("/no/such/program");
        let (argv, envp) = (Self::pointers(&self.argv), Self::pointers(&self.envp));
        let pid = fork();
        if pid == 0 {
            // Only raw calls here: the parent has other threads, whose locks may be held.
            raw(libc::SYS_execve, &[cptr(&nope), ptr(&argv[..]), ptr(&envp[..])]);
            raw(libc::SYS_execve, &[cptr(&self.path), ptr(&argv[..]), ptr(&envp[..])]);
            raw(libc::SYS_exit_group, &[99]);
        }
        pid
    }
}

const ENV: &[u8] = b"A=1\0LONG_NAME=some value\0";

fn wait(pid: i64) {
    assert_eq!(raw(libc::SYS_wait4, &[pid as u64, 0, 0, 0]), pid);
}

/// Checks both sides of a clone, the failed and the good exec, and the end of the child.
fn check_child(script: &Script, recording: &Recording, pid: i64, flags: i64, codes: (u16, u16)) {
    recording.assert_whole();
    let own_exe = std::env::args().next().expect("has a name");
    let events = recording.of(pid);
    let parent = i64::from(std::process::id());
    // The child's first event is the exit of the clone that it did not enter.
    let first = events.first().expect("the child has events");
    assert_eq!(first.code.0, codes.1);
    let comm = first.text(13).map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default();
    let own_args: Vec<String> = std::env::args().skip(1).collect();
    let own_args: Vec<&str> = own_args.iter().map(String::as_str).collect();
    let mut expected = image(pid, parent, &own_exe, &own_args, &comm);
    expected.extend(values![
        "res" = 0,
        "flags" = flags,
        "uid" = 0,
        "gid" = 0,
        "vtid" = pid,
        "vpid" = pid,
        "pidns_init_start_ts" = V::Positive
    ]);
    assert_event(Some(first), &expected, "the child's side of the clone");
    // The parent's side.
    let of_parent = recording.of(script.tid());
    let clone = of_parent.iter().find(|e| e.code.0 == codes.1 && e.int(0) == Some(pid));
    let mut expected = image(script.tid(), 0, &own_exe, &own_args, &comm);
    expected.retain(|(name, _)| !["pid", "ptid"].contains(name));
    expected.extend(values![
        "pid" = parent,
        "ptid" = raw(libc::SYS_getppid, &[]),
        "res" = pid,
        "flags" = flags,
        "uid" = 0,
        "gid" = 0,
        "vtid" = script.tid(),
        "vpid" = parent,
        "pidns_init_start_ts" = 0
    ]);
    assert_event(clone, &expected, "the parent's side of the clone");

    let mut execs = events.iter().filter(|e| e.code == code::SYSCALL_EXECVE_19_E);
    assert_event(execs.next(), &values!["filename" = "/no/such/program"], "the failed exec's enter");
    assert_event(execs.next(), &values!["filename" = TRUE], "the exec's enter");
    let mut exits = events.iter().filter(|e| e.code == code::SYSCALL_EXECVE_19_X);
    let failed = exits.next().expect("has an exit");
    assert_eq!(
        (failed.int(0), failed.text(1), failed.text(30)),
        (Some(-i64::from(libc::ENOENT)), Some(&b"true"[..]), Some(&b"/no/such/program"[..]))
    );
    assert_eq!((failed.param(2), failed.param(15)), (Some(&b"one\0two words\0"[..]), Some(ENV)));
    let mut expected = image(pid, parent, "true", &["one", "two words"], "true");
    expected.extend(executed(TRUE, ENV, TRUE));
    expected.push(("res", V::N(0)));
    assert_event(exits.next(), &expected, "the exec");
    // exit_group has no exit; procexit is the last word.
    let [.., exit, end] = &events[..] else { panic!("too few events") };
    assert_event(Some(exit), &values!["ID" = 164, "nativeID" = libc::SYS_exit_group], "exit_group");
    assert_eq!(end.code, code::PROCEXIT_1_E);
    assert_event(Some(end), &procexit(0, 0, 0), "the end");
}

#[test]
fn forks_and_execs() {
    let exec = Exec::new(TRUE, &["true", "one", "two words"]);
    let Some(((script, forked, cloned), recording)) = record("forks_and_execs", || {
        let script = Script::new();
        let forked = exec.run(|| raw(libc::SYS_fork, &[]));
        wait(forked);
        let cloned = exec.run(|| raw(libc::SYS_clone, &[(libc::CLONE_FS | libc::SIGCHLD) as u64]));
        wait(cloned);
        (script, forked, cloned)
    }) else {
        return;
    };
    check_child(&script, &recording, forked, 0, (224, 225));
    check_child(&script, &recording, cloned, 2, (222, 223));
}

#[test]
fn clone3_and_its_failure() {
    let exec = Exec::new(TRUE, &["true", "one", "two words"]);
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, …
    let mut args = [0u64; 11];
    args[0] = libc::CLONE_FS as u64;
    args[4] = libc::SIGCHLD as u64;
    let mut bad = args;
    bad[0] = (libc::CLONE_SIGHAND | libc::CLONE_FS) as u64;
    let Some(((script, pid, error), recording)) = record("clone3_and_its_failure", || {
        let script = Script::new();
        let pid = exec.run(|| raw(libc::SYS_clone3, &[ptr(&args), 88]));
        wait(pid);
        let error = raw(libc::SYS_clone3, &[ptr(&bad), 88]);
        (script, pid, error)
    }) else {
        return;
    };
    assert_eq!(error, -i64::from(libc::EINVAL));
    check_child(&script, &recording, pid, 2, (334, 335));
    let failed = recording.of(script.tid()).into_iter().rfind(|e| e.code == code::SYSCALL_CLONE3_X);
    let failed = failed.expect("has an exit");
    assert_eq!((failed.int(0), failed.uint(15)), (Some(error), Some(0x802)));
}

#[test]
fn execveat_by_descriptor() {
    let Some((pid, recording)) = record("execveat_by_descriptor", || {
        let [program, name, variable, nothing] = [TRUE, "true", "A=1", ""].map(c);
        let (argv, envp) = ([cptr(&name), 0], [cptr(&variable), 0]);
        let fd = raw(libc::SYS_openat, &[crate::expect::CWD, cptr(&program), libc::O_PATH as u64, 0]);
        let pid = raw(libc::SYS_fork, &[]);
        if pid == 0 {
            let empty = libc::AT_EMPTY_PATH as u64;
            raw(libc::SYS_execveat, &[999, cptr(&nothing), ptr(&argv), ptr(&envp), empty]);
            raw(libc::SYS_execveat, &[fd as u64, cptr(&nothing), ptr(&argv), ptr(&envp), empty]);
            raw(libc::SYS_exit_group, &[99]);
        }
        wait(pid);
        (pid, fd)
    }) else {
        return;
    };
    let (pid, fd) = pid;
    recording.assert_whole();
    let events = recording.of(pid);
    let at = events.iter().position(|e| e.code == code::SYSCALL_EXECVEAT_E).expect("entered");
    assert_event(events.get(at), &values!["dirfd" = 999, "pathname" = "", "flags" = 1], "the failed enter");
    let failed = &events[at + 1];
    assert_eq!((failed.code, failed.int(0)), (code::SYSCALL_EXECVEAT_X, Some(-i64::from(libc::EBADF))));
    assert_eq!((failed.text(1), failed.param(15)), (Some(&b"true"[..]), Some(&b"A=1\0"[..])));
    assert_event(events.get(at + 2), &values!["dirfd" = fd, "pathname" = "", "flags" = 1], "the enter");
    // A successful execveat ends as an execve, in the kernel too.
    let mut expected = image(pid, i64::from(std::process::id()), "true", &[], &name_of_fd(&events[at + 3]));
    expected.extend(executed(TRUE, b"A=1\0", &format!("/dev/fd/{fd}")));
    expected.push(("res", V::N(0)));
    assert_event(events.get(at + 3), &expected, "the exec");
}

/// comm of a program executed by descriptor: its file's name in newer kernels (6.14), the
/// descriptor's number in older ones.
fn name_of_fd(event: &RawEvent<'_>) -> String {
    let comm = String::from_utf8_lossy(event.text(13).unwrap_or(b"")).into_owned();
    assert!(!comm.is_empty());
    comm
}

/// Builds a program of `src/programs`.
fn program(name: &str, dir: &Path) -> Option<PathBuf> {
    let cc = capture_tests::installed("cc", name)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/programs/processes.c");
    let out = dir.join("processes");
    let status =
        Command::new(cc).args(["-O1", "-pthread", "-o"]).arg(&out).arg(source).status().expect("cc runs");
    assert!(status.success());
    Some(out)
}

/// Runs a mode of the program; its pid, its exit status, and the recording.
fn run(name: &str, args: &[&str]) -> Option<(i64, std::process::ExitStatus, Recording)> {
    let dir = tempfile::tempdir().expect("a folder");
    let program = program(name, dir.path())?;
    let ((pid, status), recording) = record(name, || {
        let mut child = Command::new(&program).args(args).spawn().expect("starts");
        (i64::from(child.id()), child.wait().expect("ends"))
    })?;
    recording.assert_whole();
    Some((pid, status, recording))
}

#[test]
fn an_exec_from_a_second_thread_is_paired_under_the_leader() {
    let name = "an_exec_from_a_second_thread_is_paired_under_the_leader";
    let Some((pid, status, recording)) = run(name, &["thread-exec", TRUE, "x"]) else { return };
    assert!(status.success());
    let leader = recording.of(pid);
    // The last exec of the process: its exit, and right before it the enter, for state only.
    let at = leader.iter().rposition(|e| e.code == code::SYSCALL_EXECVE_19_X).expect("execs");
    assert_eq!((leader[at].int(0), leader[at].text(30)), (Some(0), Some(TRUE.as_bytes())));
    assert_eq!(leader[at].param(15), Some(&b"CAPTURE_TEST=thread\0"[..]));
    let enter = &leader[at - 1];
    assert_eq!((enter.code, enter.is_state_only()), (code::SYSCALL_EXECVE_19_E, true));
    assert_eq!(enter.text(0), Some(TRUE.as_bytes()));
    // The thread itself made the call that is shown, and has no exit for it.
    let tid = leader
        .iter()
        .find(|e| [code::SYSCALL_CLONE3_X, code::SYSCALL_CLONE_20_X].contains(&e.code) && e.int(0) > Some(0))
        .and_then(|e| e.int(0))
        .expect("made a thread");
    let last = recording.of(tid).pop().expect("the thread has events");
    assert_eq!((last.code, last.is_state_only()), (code::SYSCALL_EXECVE_19_E, false));
}

#[test]
fn a_refused_call_has_an_exit_only() {
    let Some((pid, status, recording)) = run("a_refused_call_has_an_exit_only", &["refused"]) else { return };
    assert_eq!(status.code(), Some(7));
    let events = recording.of(pid);
    let of_call: Vec<_> =
        events.iter().filter(|e| e.code.0 < 2 && e.uint(1) == Some(libc::SYS_getppid as u64)).collect();
    assert_eq!(of_call.iter().map(|e| e.code.0).collect::<Vec<_>>(), [1]);
    assert_event(events.last(), &procexit(7, 0, 0), "the end");
}

#[test]
fn a_handler_returns_without_an_exit_event() {
    let Some((pid, status, recording)) = run("a_handler_returns_without_an_exit_event", &["handler"]) else {
        return;
    };
    assert!(status.success());
    let events = recording.of(pid);
    let of_call: Vec<_> =
        events.iter().filter(|e| e.code.0 < 2 && e.uint(1) == Some(libc::SYS_rt_sigreturn as u64)).collect();
    assert_eq!(of_call.iter().map(|e| e.code.0).collect::<Vec<_>>(), [0]);
    // Nothing without a name slipped in for it.
    assert!(events.iter().all(|e| e.code.0 >= 2 || e.uint(1) != Some(u64::from(u16::MAX))));
}

#[test]
fn death_by_a_signal() {
    let Some((pid, _, recording)) = run("death_by_a_signal", &["signalled"]) else { return };
    let events = recording.of(pid);
    assert_event(events.last(), &procexit(0, i64::from(libc::SIGTERM), 0), "the end");
}

#[test]
fn sessions_and_groups() {
    let Some((pid, recording)) = record("sessions_and_groups", || {
        let pid = raw(libc::SYS_fork, &[]);
        if pid == 0 {
            raw(libc::SYS_setpgid, &[0, 0]);
            raw(libc::SYS_setpgid, &[1, 1]);
            raw(libc::SYS_setpgid, &[0, 0x3fff_ffff]);
            raw(libc::SYS_setsid, &[]);
            raw(libc::SYS_exit_group, &[3]);
        }
        wait(pid);
        pid
    }) else {
        return;
    };
    recording.assert_whole();
    let events = recording.of(pid);
    let find = |c| events.iter().filter(move |e| e.code == c);
    let mut enters = find(code::SYSCALL_SETPGID_E);
    let mut exits = find(code::SYSCALL_SETPGID_X);
    for (target, group, res) in [(0, 0, 0), (1, 1, -libc::ESRCH), (0, 0x3fff_ffff, -libc::EPERM)] {
        assert_event(enters.next(), &values!["pid" = target, "pgid" = group], "setpgid's enter");
        assert_event(
            exits.next(),
            &values!["res" = i64::from(res), "pid" = target, "pgid" = group],
            "setpgid",
        );
    }
    // The leader of a group cannot make a session.
    assert_event(find(code::SYSCALL_SETSID_X).next(), &values!["res" = -i64::from(libc::EPERM)], "setsid");
    assert_event(events.last(), &procexit(3, 0, 0), "the end");
}
