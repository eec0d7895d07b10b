//! A deterministic program looks the same to strace as to capture: the calls of each of its
//! threads, in order, with their results.

use capture_common::EventInfo;
use capture_common::event_table::{ERRNO, EVENTS};
use capture_tests::live::{self, Capture};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// One call, as either tool tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    name: String,
    /// What the kernel returned; `None` where there is no telling.
    result: Option<i64>,
}

/// Names that differ: strace's, which is the kernel's, and the event's, which is that of sysdig
/// 0.29.3.
const RENAMED: &[(&str, &str)] = &[
    ("accept4", "accept"),
    ("dup2", "dup"),
    ("eventfd2", "eventfd"),
    ("pread64", "pread"),
    ("prlimit64", "prlimit"),
    ("pwrite64", "pwrite"),
];

/// Calls that return addresses or ids of processes: only failures are compared.
const VARYING: &[&str] = &[
    "brk",
    "mmap",
    "clone",
    "clone3",
    "fork",
    "vfork",
    "wait4",
    "getpid",
    "gettid",
    "set_tid_address",
    "setsid",
];

/// Results that no program sees (include/linux/errno.h).
const RESTARTS: &[(&str, i64)] = &[
    ("ERESTARTSYS", -512),
    ("ERESTARTNOINTR", -513),
    ("ERESTARTNOHAND", -514),
    ("ERESTART_RESTARTBLOCK", -516),
];

fn told(name: &str, result: Option<i64>) -> Told {
    let name = RENAMED.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| *ours);
    let result = result.map(|r| if VARYING.contains(&name) && r >= 0 { 0 } else { r });
    // The exit of rt_sigreturn carries the register that it restored, and has no event.
    let result = result.filter(|_| name != "rt_sigreturn");
    Told { name: name.to_owned(), result }
}

/// A result as strace writes it.
fn strace_result(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace();
    let (first, second) = (words.next()?, words.next());
    match (first, second) {
        ("?", name) => RESTARTS.iter().find(|(known, _)| Some(*known) == name).map(|(_, nr)| *nr),
        ("-1", Some(name)) => ERRNO.iter().find(|(known, _)| *known == name).map(|(_, nr)| -i64::from(*nr)),
        _ => {
            let hex = first.strip_prefix("0x").map(|digits| i64::from_str_radix(digits, 16));
            let octal = first.strip_prefix('0').filter(|d| !d.is_empty()).map(|d| i64::from_str_radix(d, 8));
            hex.or(octal).unwrap_or_else(|| first.parse()).ok()
        }
    }
}

/// The calls of one thread in a file of `strace -ff`.
fn by_strace(text: &str) -> Vec<Told> {
    let calls = text.lines().filter(|line| !line.starts_with("---") && !line.starts_with("+++"));
    let call = |line: &str| {
        let (name, rest) = line.split_once('(')?;
        let result = rest.rsplit_once(" = ").map_or("?", |(_, result)| result);
        Some(told(name, strace_result(result)))
    };
    calls.filter_map(call).collect()
}

/// The calls of each thread of process `root` and its children, by first appearance, from lines of
/// "tid pid ppid dir type result".
fn by_capture(text: &str, root: u32) -> Vec<Vec<Told>> {
    let mut order = Vec::new();
    let mut threads: HashMap<&str, Vec<Told>> = HashMap::new();
    let mut pids = vec![root.to_string()];
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [tid, pid, ppid, dir, name, result] = words[..] else { panic!("strange line {line:?}") };
        if pids.iter().any(|p| p == ppid) && !pids.iter().any(|p| p == pid) {
            pids.push(pid.to_owned());
        }
        if !pids.iter().any(|p| p == pid) || ["procexit", "signaldeliver"].contains(&name) {
            continue;
        }
        let calls = threads.entry(tid).or_insert_with(|| {
            order.push(tid);
            Vec::new()
        });
        if dir == ">" {
            calls.push(told(name, None));
        } else if let Some(last) = calls.last_mut() {
            // The first event of a new thread is the exit of clone, whose enter is its parent's.
            assert_eq!(told(name, None).name, last.name, "{tid}: an exit of another call");
            *last = told(name, result.parse().ok());
        }
    }
    order.into_iter().map(|tid| threads.remove(tid).unwrap_or_default()).collect()
}

fn run_in(dir: &Path, command: &mut Command) -> Output {
    let out = command.current_dir(dir).output().expect("it starts");
    assert!(out.status.success(), "{command:?}: {out:?}");
    out
}

/// Calls by thread, in the order of their ids, as strace tells them.
fn strace(strace: &Path, program: &Path, dir: &Path) -> Vec<Vec<Told>> {
    let logs = tempfile::tempdir().expect("a folder");
    run_in(dir, Command::new(strace).args(["-ff", "-o"]).arg(logs.path().join("log")).arg(program));
    let mut files: Vec<(u32, Vec<Told>)> = std::fs::read_dir(logs.path())
        .expect("the logs")
        .map(|entry| {
            let path = entry.expect("a log").path();
            let tid = path.extension().and_then(|t| t.to_str()).and_then(|t| t.parse().ok());
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("reads")).into_owned();
            (tid.expect("a thread id"), by_strace(&text))
        })
        .collect();
    files.sort_by_key(|(tid, _)| *tid);
    files.into_iter().map(|(_, calls)| calls).collect()
}

#[test]
fn strace_tells_the_same() {
    let name = "strace_tells_the_same";
    let Some(tool) = capture_tests::installed("strace", name) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let Some(program) = live::compile("strace_steps", dir.path(), name) else { return };
    let work = dir.path().join("work");
    std::fs::create_dir(&work).expect("a folder");
    let _turn = live::turn();
    let theirs = strace(&tool, &program, &work);

    let file = dir.path().join("steps.scap");
    let capture = Capture::to_file(CAPTURE, &file, &[]);
    let mut child = Command::new(&program).current_dir(&work).stdout(Stdio::null()).spawn().expect("starts");
    let root = child.id();
    assert!(child.wait().expect("ends").success());
    let ended = capture.end(libc::SIGINT);
    assert_eq!(live::Summary::parse(&ended.stderr).lost, 0, "{ended:?}");
    let format = "*%thread.tid %proc.pid %proc.ppid %evt.dir %evt.type %evt.rawres";
    let replay = run_in(dir.path(), Command::new(CAPTURE).arg("-r").arg(&file).args(["-p", format]));
    let ours = by_capture(&String::from_utf8_lossy(&replay.stdout), root);
    compare(&theirs, &ours);
}

/// Whether the call's exit has no parameter `res` or `fd`, as those of getsockname and getuid.
fn has_no_result(name: &str) -> bool {
    let result = |event: &EventInfo| event.param_index("res").or_else(|| event.param_index("fd"));
    let is_exit_of = |event: &&EventInfo| event.name == name && !event.code.is_enter();
    EVENTS.iter().filter(is_exit_of).any(|event| result(event).is_none())
}

fn compare(theirs: &[Vec<Told>], ours: &[Vec<Told>]) {
    assert_eq!(theirs.len(), ours.len(), "threads");
    let (mut calls, mut results) = (0, 0);
    for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        // The program's process is recorded from its fork on; strace starts with the exec.
        let from = if at == 0 { ours.iter().position(|c| c.name == "execve").expect("an exec") } else { 0 };
        let ours = &ours[from..];
        for (n, (a, b)) in theirs.iter().zip(ours).enumerate() {
            let same = a == b || (a.name == b.name && (a.result.is_none() || has_no_result(&b.name)));
            let around = n.saturating_sub(3)..n + 1;
            assert!(same, "thread {at}: strace {:?}\ncapture {:?}", &theirs[around.clone()], &ours[around]);
            calls += 1;
            results += u32::from(b.result.is_some() && a.result.is_some());
        }
        assert_eq!(theirs.len(), ours.len(), "thread {at}");
    }
    println!("{} threads, {calls} calls, {results} results agree", theirs.len());
    assert!(results > 100, "only {results} results could be compared");
}
