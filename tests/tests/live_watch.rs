//! Watching one process tree: `capture -- COMMAND` and `capture --pid PID`.

use capture_common::event_table::code;
use capture_common::raw_event::RawEvent;
use capture_common::{Batch, EventSource, Next, Snapshot};
use capture_file::Reader;
use capture_tests::live::{self, Capture, PATIENCE, Summary};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// Runs `capture` with these words to its end.
fn capture<A: AsRef<OsStr>>(words: &[A]) -> Output {
    Command::new(CAPTURE).args(words).stdin(Stdio::null()).output().expect("capture runs")
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// A file's start snapshot and its events, in the form that tests look at.
struct Recorded {
    snapshot: Snapshot,
    batches: Vec<Batch>,
}

impl Recorded {
    fn read(file: &Path) -> Recorded {
        let mut reader = Reader::open(file).expect("opens");
        let mut recorded = Recorded { snapshot: Snapshot::default(), batches: Vec::new() };
        loop {
            let mut batch = Batch::new();
            match reader.next(&mut batch).expect("reads") {
                Next::Section(snapshot) => recorded.snapshot = *snapshot,
                Next::Events => recorded.batches.push(batch),
                Next::Idle => {}
                Next::End => return recorded,
            }
        }
    }

    fn events(&self) -> impl Iterator<Item = RawEvent<'_>> {
        self.batches.iter().flat_map(Batch::iter)
    }

    /// Paths and results of successful execs, in order.
    fn executed(&self) -> Vec<String> {
        let execs = self.events().filter(|e| e.code == code::SYSCALL_EXECVE_19_X && e.int(0) == Some(0));
        execs.map(|e| String::from_utf8_lossy(e.text(30).unwrap_or_default()).into_owned()).collect()
    }

    /// First and last event of each thread.
    fn ends(&self) -> BTreeMap<i64, (RawEvent<'_>, RawEvent<'_>)> {
        let mut ends = BTreeMap::new();
        for event in self.events().filter(|e| e.tid >= 0) {
            ends.entry(event.tid).and_modify(|(_, last)| *last = event).or_insert((event, event));
        }
        ends
    }
}

fn is_child_side(event: &RawEvent<'_>) -> bool {
    let name = event.info().map_or("", |info| info.name);
    event.code.is_exit() && ["clone", "clone3", "fork", "vfork"].contains(&name) && event.int(0) == Some(0)
}

fn ready(name: &str) -> Option<tempfile::TempDir> {
    (live::can_record(name) && live::has_host_ids(name)).then(|| tempfile::tempdir().expect("a folder"))
}

#[test]
fn a_command_is_recorded_whole_and_nobody_else_is() {
    let Some(dir) = ready("a_command_is_recorded_whole_and_nobody_else_is") else { return };
    let _turn = live::turn();
    let file = dir.path().join("watched.scap");
    // Children of children, a pipeline, a job in the background that is waited for, a failure.
    const SCRIPT: &str = "for i in 1 2 3 4 5 6 7 8; do (/bin/true; /bin/true | /bin/cat); done
        /bin/sleep 0.1 & wait; /no/such/program; exit 7";
    // Somebody else who is busy meanwhile.
    let mut other = Command::new("sh").args(["-c", "while :; do /bin/true; done"]).spawn().expect("starts");
    let out = capture(&["-w", file.to_str().unwrap(), "--", "sh", "-c", SCRIPT]);
    other.kill().expect("ends");
    other.wait().expect("is over");
    assert_eq!(out.status.code(), Some(7), "{}", stderr(&out));
    let summary = Summary::parse(&stderr(&out));
    assert_eq!(summary.lost, 0, "{}", stderr(&out));
    assert_eq!(summary.sum(0), summary.sum(1) + summary.sum(2), "seen = recorded + dropped");
    assert!(stderr(&out).contains("left out: "), "{}", stderr(&out));

    let recorded = Recorded::read(&file);
    let first = recorded.events().next().expect("has events");
    assert_eq!(first.code, code::SYSCALL_EXECVE_19_E, "the first event is the exec's enter");
    let root = first.tid;
    let executed = recorded.executed();
    let count = |name: &str| executed.iter().filter(|path| path.ends_with(name)).count();
    assert!(executed[0].ends_with("/sh"), "{executed:?}");
    assert_eq!((count("/true"), count("/cat"), count("/sleep")), (16, 8, 1), "{executed:?}");
    let ends = recorded.ends();
    // 8 subshells, 16 times true, 8 cats, sleep, the program that does not exist, and the shell. A
    // shell may or may not fork for the last command of a subshell.
    assert!((35..=43).contains(&ends.len()), "{} threads", ends.len());
    for (tid, (first, last)) in &ends {
        assert!(*tid == root || is_child_side(first), "{tid} begins with {:?}", first.code);
        assert_eq!(last.code, code::PROCEXIT_1_E, "{tid} ends with {:?}", last.code);
    }
    check_snapshot(&recorded.snapshot, root);
}

/// The command and its ancestors are in the table as they are; of others there is a name.
fn check_snapshot(snapshot: &Snapshot, root: i64) {
    let find = |pid: i64| snapshot.threads.iter().find(|thread| thread.tid == pid);
    let command = find(root).expect("the command is in the snapshot");
    let parent = find(command.ptid).expect("so is capture");
    assert!(parent.exe.ends_with(b"capture-test"), "{parent:?}");
    let this = find(parent.ptid).expect("so is this program");
    assert_eq!(this.pid, i64::from(std::process::id()));
    let tables: HashSet<i64> = snapshot.fds.iter().map(|(pid, _)| *pid).collect();
    assert_eq!(tables, HashSet::from([root]), "fds of the command alone");
    let mut family = HashSet::new();
    let mut above = Some(command);
    while let Some(thread) = above.filter(|thread| family.insert(thread.pid)) {
        above = find(thread.ptid);
    }
    assert!(snapshot.threads.iter().any(|t| !family.contains(&t.pid)), "others are there");
    for other in snapshot.threads.iter().filter(|t| !family.contains(&t.pid)) {
        assert!(!other.comm.is_empty() && other.args.is_empty() && other.env.is_empty(), "{other:?}");
    }
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    let Some(dir) = ready("exit_codes_are_those_of_a_shell") else { return };
    let _turn = live::turn();
    let file = dir.path().join("codes.scap");
    let folder = dir.path().to_str().unwrap().to_owned();
    let cases: [(&[&str], i32); 6] = [
        (&["true"], 0),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -TERM $$"], 128 + libc::SIGTERM),
        (&["sh", "-c", "kill -SEGV $$"], 128 + libc::SIGSEGV),
        (&["no-such-command-here"], 127),
        (&[&folder], 126),
    ];
    for (command, code) in cases {
        let words = [&["-w", file.to_str().unwrap(), "--"], command].concat();
        let out = capture(&words);
        assert_eq!(out.status.code(), Some(code), "{command:?}: {}", stderr(&out));
    }
}

#[test]
fn lines_leave_standard_output_to_the_command() {
    let Some(dir) = ready("lines_leave_standard_output_to_the_command") else { return };
    let _turn = live::turn();
    let out = capture(&["evt.type in (execve, write)", "--", "echo", "hello"]);
    assert_eq!((out.status.code(), &*out.stdout), (Some(0), &b"hello\n"[..]));
    let lines = stderr(&out);
    assert!(lines.contains("> execve filename="), "{lines}");
    assert!(lines.contains("< write res=6 data=hello."), "{lines}");
    assert!(lines.lines().all(|line| line.contains("execve") || line.contains("write")), "{lines}");
    // A capture on standard output has it to itself.
    let out = capture(&["-w", "-", "--", "echo", "hello"]);
    assert!(stderr(&out).starts_with("hello\n"), "{}", stderr(&out));
    let file = dir.path().join("piped.scap");
    fs::write(&file, &out.stdout).expect("writes");
    assert!(Recorded::read(&file).executed()[0].ends_with("/echo"));
}

#[test]
fn a_limit_ends_the_capture_and_not_the_command() {
    let Some(dir) = ready("a_limit_ends_the_capture_and_not_the_command") else { return };
    let _turn = live::turn();
    let file = dir.path().join("limited.scap");
    let said = dir.path().join("said");
    let script = format!("/bin/true; sleep 0.3; echo end > {}; exit 3", said.display());
    let out = capture(&["-n", "10", "-w", file.to_str().unwrap(), "--", "sh", "-c", &script]);
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert_eq!(fs::read_to_string(&said).expect("the command ran to its end"), "end\n");
    assert_eq!(Recorded::read(&file).events().filter(|e| !e.is_state_only()).count(), 10);
}

#[test]
fn the_whole_tree_or_the_command_alone() {
    let Some(dir) = ready("the_whole_tree_or_the_command_alone") else { return };
    let _turn = live::turn();
    // An orphan that goes on when the command has ended.
    const SCRIPT: &str = "(sleep 0.7; exec /bin/true) > /dev/null 2>&1 & exit 4";
    for (option, wanted) in [(None, 0), (Some("--whole-tree"), 1)] {
        let file = dir.path().join("tree.scap");
        let words = ["-w", file.to_str().unwrap()].into_iter().chain(option);
        let out = capture(&words.chain(["--", "sh", "-c", SCRIPT]).collect::<Vec<_>>());
        assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
        let executed = Recorded::read(&file).executed();
        assert_eq!(executed.iter().filter(|path| path.ends_with("/true")).count(), wanted, "{option:?}");
    }
}

#[test]
fn a_command_starts_as_capture_was_started() {
    let Some(dir) = ready("a_command_starts_as_capture_was_started") else { return };
    let _turn = live::turn();
    let file = dir.path().join("start.scap");
    let mut command = Command::new(CAPTURE);
    command.args(["-w", file.to_str().unwrap(), "--", "sh", "-c", "nice; grep SigIgn /proc/self/status"]);
    // As in the background of a script, and under nice(1).
    // SAFETY: calls that are safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            libc::setpriority(libc::PRIO_PROCESS, 0, 3);
            Ok(())
        });
    }
    let out = command.stdin(Stdio::null()).output().expect("runs");
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let (nice, mask) = said.split_once("\nSigIgn:").expect("both lines");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask");
    assert_eq!((nice, mask >> (libc::SIGINT - 1) & 1), ("3", 1), "{said}");
    assert_eq!(mask >> (libc::SIGTERM - 1) & 1, 0, "{said}");
}

/// A shell with a child and a grandchild that run already; it ends when its input does.
struct Running {
    shell: Child,
}

impl Running {
    fn start(script: &str) -> Running {
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut ready = String::new();
        let out = shell.stdout.as_mut().expect("its output");
        BufReader::new(out).read_line(&mut ready).expect("says that it runs");
        assert_eq!(ready, "ready\n");
        Running { shell }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[test]
fn a_running_tree_is_watched_with_the_children_it_has() {
    let Some(dir) = ready("a_running_tree_is_watched_with_the_children_it_has") else { return };
    let _turn = live::turn();
    let file = dir.path().join("pid.scap");
    // A grandchild reads the input line by line; the shell above only waits for it.
    let mut running = Running::start(
        "(sh -c 'echo ready; while read line; do /bin/true; done'; exit 0); /bin/cat /dev/null; exit 0",
    );
    let pid = running.shell.id();
    let capture = Capture::to_file(CAPTURE, &file, &["--pid", &pid.to_string()]);
    // Not of the tree.
    assert!(Command::new("/bin/true").status().expect("runs").success());
    let input = running.shell.stdin.as_mut().expect("its input");
    input.write_all(b"1\n2\n3\n").expect("writes");
    drop(running.shell.stdin.take());
    let ended = capture.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    drop(running);
    let recorded = Recorded::read(&file);
    let executed = recorded.executed();
    let names: Vec<&str> = executed.iter().map(|path| path.rsplit('/').next().unwrap_or("")).collect();
    assert_eq!(names, ["true", "true", "true", "cat"]);
    let last = recorded.events().filter(|e| e.tid >= 0).last().expect("has events");
    assert_eq!((last.code, last.tid), (code::PROCEXIT_1_E, i64::from(pid)), "ends with its root");
    let tables: HashSet<i64> = recorded.snapshot.fds.iter().map(|(pid, _)| *pid).collect();
    assert!(tables.contains(&i64::from(pid)) && tables.len() >= 2, "{tables:?}");
}

#[test]
fn a_process_that_is_none_is_refused() {
    let Some(_) = ready("a_process_that_is_none_is_refused") else { return };
    let _turn = live::turn();
    for (pid, said) in [("999999999", "there is no process 999999999"), ("x", "--pid \"x\": expected")] {
        let out = capture(&["--pid", pid]);
        assert_eq!(out.status.code(), Some(1));
        assert!(stderr(&out).contains(said), "{}", stderr(&out));
    }
}

#[test]
fn a_signal_to_capture_is_one_to_the_command() {
    let Some(dir) = ready("a_signal_to_capture_is_one_to_the_command") else { return };
    let _turn = live::turn();
    let (file, said) = (dir.path().join("signal.scap"), dir.path().join("said"));
    let script = format!(
        "trap 'echo got; exit 5' TERM; echo ready > {}; sleep 60 2> /dev/null & wait",
        said.display()
    );
    let words = [OsStr::new("-w"), file.as_os_str(), OsStr::new("--"), OsStr::new("sh"), OsStr::new("-c")];
    let words: Vec<&OsStr> = words.into_iter().chain([OsStr::new(&script)]).collect();
    let capture = Capture::start(CAPTURE, &words);
    assert!(live::within(PATIENCE, || fs::read_to_string(&said).is_ok_and(|text| text == "ready\n")));
    let ended = capture.end(libc::SIGTERM);
    assert_eq!(ended.status.code(), Some(5), "{ended:?}");
    let recorded = Recorded::read(&file);
    let delivered = recorded.events().filter(|e| e.code == code::SIGNALDELIVER_E);
    let terms = delivered.filter(|e| e.uint(2) == Some(libc::SIGTERM as u64)).count();
    assert_eq!(terms, 1);
    // The job of the shell is left over by it.
    let sleeper = recorded.ends().into_iter().find(|(_, (_, last))| last.code != code::PROCEXIT_1_E);
    live::kill(sleeper.expect("sleep goes on").0 as u32, libc::SIGKILL);
}

/// A terminal: the side of the user, and that of programs.
fn terminal() -> (File, OwnedFd) {
    let (mut user, mut program) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both fds are written, the rest is optional.
    let failed = unsafe { libc::openpty(&mut user, &mut program, none, none.cast(), none.cast()) };
    assert_eq!(failed, 0, "a terminal");
    // SAFETY: new fds that nobody else has.
    unsafe { (File::from_raw_fd(user), OwnedFd::from_raw_fd(program)) }
}

#[test]
fn ctrl_c_of_a_terminal_reaches_the_command_once() {
    let Some(dir) = ready("ctrl_c_of_a_terminal_reaches_the_command_once") else { return };
    let _turn = live::turn();
    let (file, said) = (dir.path().join("ctrl-c.scap"), dir.path().join("said"));
    let script =
        format!("trap 'n=$((n+1))' INT; echo ready > {}; sleep 60; sleep 0.3; exit $n", said.display());
    let (mut user, program) = terminal();
    let mut command = Command::new(CAPTURE);
    command.args(["-w", file.to_str().unwrap(), "--", "sh", "-c", &script]);
    command.stdin(Stdio::from(program));
    // SAFETY: calls that are safe between fork and exec; fd 0 is the terminal.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let capture = Capture::spawn(command.stdout(Stdio::null()));
    assert!(live::within(PATIENCE, || fs::read_to_string(&said).is_ok_and(|text| text == "ready\n")));
    // The shell is about to start sleep, which is to get the signal, too.
    std::thread::sleep(std::time::Duration::from_millis(300));
    user.write_all(b"\x03").expect("types Ctrl-C");
    let ended = capture.wait();
    assert_eq!(ended.status.code(), Some(1), "one signal: {ended:?}");
    let recorded = Recorded::read(&file);
    let ended_by_signal =
        |e: &RawEvent<'_>| e.code == code::PROCEXIT_1_E && e.uint(2) == Some(libc::SIGINT as u64);
    assert_eq!(recorded.events().filter(ended_by_signal).count(), 1, "sleep got it as well");
}

#[test]
fn a_command_that_ignores_signals_does_not_keep_the_capture() {
    let Some(dir) = ready("a_command_that_ignores_signals_does_not_keep_the_capture") else { return };
    let _turn = live::turn();
    let (file, said) = (dir.path().join("ignores.scap"), dir.path().join("said"));
    let script = format!("trap '' TERM; exec 2> /dev/null; echo $$ > {}; read line", said.display());
    let mut command = Command::new(CAPTURE);
    command.args(["-w", file.to_str().unwrap(), "--", "sh", "-c", &script]);
    let mut capture = Capture::spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()));
    let input = capture.child().stdin.take();
    assert!(live::within(PATIENCE, || fs::read_to_string(&said).is_ok_and(|text| text.ends_with('\n'))));
    capture.signal(libc::SIGTERM);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!capture.has_ended(), "the first signal is the command's");
    let ended = capture.end(libc::SIGTERM);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("the command still runs"), "{ended:?}");
    let pid = fs::read_to_string(&said).expect("its id").trim().to_owned();
    assert!(Path::new("/proc").join(&pid).exists(), "the command goes on");
    drop(input);
    assert!(live::within(PATIENCE, || !Path::new("/proc").join(&pid).exists()));
    let mut start = Vec::new();
    File::open(&file).expect("opens").take(4).read_to_end(&mut start).expect("reads");
    assert_eq!(start.len(), 4, "the file was written");
}
