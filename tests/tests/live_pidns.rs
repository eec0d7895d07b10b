//! `capture --pid PID` inside a pid namespace: the number is the namespace's, the events have the ids of
//! the kernel, and whoever has that number elsewhere is nobody's concern.

use capture_common::event_table::code;
use capture_common::raw_event::RawEvent;
use capture_common::snapshot::ThreadRecord;
use capture_common::{Batch, EventSource, Next, Snapshot};
use capture_file::Reader;
use capture_tests::live::{self, Capture, Held};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// The workload: a shell, and a child of it that runs already and does what its input says.
const ROOT: &str = r#"
    read -r number rest < /proc/self/stat; echo $number > said
    (sh -c 'echo ready > said; while read line; do /bin/true; done'; exit 0)
    /bin/cat /dev/null; exit 0"#;

/// The init of the namespace: the workload, made by `$2` words in front, gets the number `$1` where that can
/// be arranged; another process is busy. capture watches the workload, which then gets its three lines.
const INIT: &str = r#"
    mkfifo said input; last=$1; shift
    echo $last > /proc/sys/kernel/ns_last_pid
    "$@" sh root.sh < input & exec 3> input 4<> said; read root <&4; read ready <&4
    (while :; do /bin/uname; done) > /dev/null 3>&- 4>&- &
    "$CAPTURE" -w out.scap --pid $root 3>&- 4>&- & capture=$!
    until test -s out.scap || ! test -e /proc/$capture; do sleep 0.02; done
    echo 1 >&3; echo 2 >&3; echo 3 >&3; exec 3>&-
    wait $capture; code=$?
    echo $root > number
    exit $code"#;

/// A busy process outside.
fn busy() -> Held {
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do /bin/date; done"]).stdout(Stdio::null());
    Held(command.spawn().expect("starts"))
}

/// What was recorded.
struct Recorded {
    snapshot: Snapshot,
    /// Names of the programs that were executed, in order.
    executed: Vec<String>,
    /// Threads that have events.
    tids: HashSet<i64>,
    /// Type and thread of the last one.
    last: Option<(bool, i64)>,
}

impl Recorded {
    fn read(file: &Path) -> Recorded {
        let mut reader = Reader::open(file).expect("opens");
        let (executed, tids) = (Vec::new(), HashSet::new());
        let mut recorded = Recorded { snapshot: Snapshot::default(), executed, tids, last: None };
        loop {
            let mut batch = Batch::new();
            match reader.next(&mut batch).expect("reads") {
                Next::Section(snapshot) => recorded.snapshot = *snapshot,
                Next::Events => batch.iter().for_each(|event| recorded.note(&event)),
                Next::Idle => {}
                Next::End => return recorded,
            }
        }
    }

    fn note(&mut self, event: &RawEvent<'_>) {
        if event.tid < 0 {
            return;
        }
        self.tids.insert(event.tid);
        self.last = Some((event.code == code::PROCEXIT_1_E, event.tid));
        if event.code == code::SYSCALL_EXECVE_19_X && event.int(0) == Some(0) {
            let path = String::from_utf8_lossy(event.text(30).unwrap_or_default()).into_owned();
            self.executed.push(path.rsplit('/').next().unwrap_or_default().to_owned());
        }
    }

    /// The first thread whose arguments are these.
    fn find(&self, args: &[u8]) -> &ThreadRecord {
        let threads = &self.snapshot.threads;
        threads.iter().find(|t| t.tid == t.pid && t.args == args).expect("it is in the start state")
    }
}

/// Watches a workload that `made_by` makes inside a pid namespace. Answers what was recorded, the number
/// of the workload there, and the busy process outside, which has the same number where that works.
fn watch(name: &str, made_by: &[&str], ids_before: u32) -> Option<(Recorded, i64, i64)> {
    if !live::can_record(name) || !live::has_host_ids(name) {
        return None;
    }
    let unshare = capture_tests::installed("unshare", name)?;
    let dir = tempfile::tempdir().expect("a folder");
    let _turn = live::turn();
    let busy = busy();
    fs::write(dir.path().join("root.sh"), ROOT).expect("writes");
    let mut command = Command::new(unshare);
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", INIT, "sh"]);
    command.arg((busy.0.id() - 1 - ids_before).to_string()).args(made_by);
    command.current_dir(dir.path()).env("CAPTURE", CAPTURE).stdin(Stdio::null()).stdout(Stdio::null());
    let ended = Capture::spawn(&mut command).wait();
    if ended.stderr.contains("unshare failed") {
        capture_tests::skip(name, &ended.stderr);
        return None;
    }
    assert!(ended.status.success(), "{ended:?}");
    let number = fs::read_to_string(dir.path().join("number")).expect("its number");
    let recorded = Recorded::read(&dir.path().join("out.scap"));
    let (number, busy) = (number.trim().parse().expect("a number"), i64::from(busy.0.id()));
    println!(
        "{name}: number {number} inside, a busy process outside has {busy}; {} threads, {:?}",
        recorded.tids.len(),
        recorded.executed
    );
    Some((recorded, number, busy))
}

/// The workload, its child and what they make are there, and nobody else; its id as the kernel has it.
fn check_workload(recorded: &Recorded, busy: i64) -> i64 {
    assert_eq!(recorded.executed, ["true", "true", "true", "cat"]);
    assert!(!recorded.tids.contains(&busy), "the process outside");
    let (is_exit, root) = recorded.last.expect("has events");
    assert!(is_exit && recorded.tids.contains(&root), "ends with its root");
    // Three times true, cat, and the three processes that were there.
    assert_eq!(recorded.tids.len(), 7, "{:?}", recorded.tids);
    let parents: Vec<i64> =
        recorded.snapshot.threads.iter().filter(|t| t.pid == root).map(|t| t.ptid).collect();
    assert!(!parents.is_empty(), "the root is in the start state by the kernel's id");
    assert!(recorded.snapshot.fds.iter().any(|(pid, fds)| *pid == root && !fds.is_empty()), "with its fds");
    let tables = recorded.snapshot.fds.iter().filter(|(pid, _)| !recorded.tids.contains(pid)).count();
    assert_eq!(tables, 0, "fds of others");
    root
}

#[test]
fn a_process_of_the_namespace_is_watched() {
    let Some((recorded, number, busy)) = watch("a_process_of_the_namespace_is_watched", &[], 0) else {
        return;
    };
    let root = check_workload(&recorded, busy);
    let thread = recorded.find(b"root.sh\0");
    assert_eq!((thread.pid, thread.vpid), (root, number));
    assert_ne!(root, number);
    if Path::new("/proc/sys/kernel/ns_last_pid").exists() {
        assert_eq!(number, busy, "the number is that of a process outside");
    }
}

#[test]
fn a_process_of_a_namespace_further_in_is_watched_by_its_number_here() {
    let name = "a_process_of_a_namespace_further_in_is_watched_by_its_number_here";
    let made_by = ["unshare", "--pid", "--fork", "--kill-child"];
    let Some((recorded, number, busy)) = watch(name, &made_by, 1) else { return };
    let root = check_workload(&recorded, busy);
    let thread = recorded.find(b"root.sh\0");
    assert_eq!((thread.pid, thread.vpid), (root, 1), "its number in its own namespace");
    assert!(number != 1 && number != root);
}
