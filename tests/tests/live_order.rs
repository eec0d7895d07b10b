//! Order: enters and exits pair up and times never decrease, whatever threads do to each other.

use capture_common::event_table::code;
use capture_common::raw_event::RawEvent;
use capture_tests::live::{self, Capture};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::Command;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// How long the 200 threads run.
const SECONDS: &str = "4";
/// Recordings tried until one is whole: other suites may load the machine.
const ATTEMPTS: u32 = 3;

#[cfg(target_arch = "aarch64")]
use capture_common::syscall_table::AARCH64 as NATIVE;
#[cfg(not(target_arch = "aarch64"))]
use capture_common::syscall_table::X86_64 as NATIVE;

/// Calls that make threads.
const CLONES: &[&str] = &["clone", "clone3", "fork", "vfork"];

/// Name of a call, also where it has no event of its own.
fn call_name(event: &RawEvent<'_>) -> &'static str {
    if !matches!(event.code, code::GENERIC_E | code::GENERIC_X) {
        return event.info().expect("a known event").name;
    }
    let nr = event.uint(1).expect("the native number");
    NATIVE.iter().find(|call| u64::from(call.nr) == nr).map_or("unknown", |call| call.name)
}

/// Whether the event is a side of a system call.
fn is_call(event: &RawEvent<'_>) -> bool {
    const OTHERS: &[&str] = &[
        "procexit",
        "drop",
        "switch",
        "procinfo",
        "cpu_hotplug",
        "signaldeliver",
        "container",
        "notification",
    ];
    let name = event.info().expect("a known event").name;
    event.tid >= 0 && !OTHERS.contains(&name) && event.code.0 < code::ASYNCEVENT_E.0
}

/// A parameter by name.
fn number(event: &RawEvent<'_>, name: &str) -> Option<i64> {
    event.int(event.info()?.param_index(name)?)
}

/// Whether it is an exit of the new thread of clone, fork or vfork.
fn is_child_side(event: &RawEvent<'_>) -> bool {
    let name = call_name(event);
    event.code.is_exit() && CLONES.contains(&name) && event.int(0) == Some(0)
}

/// One thread on its way through the stream.
#[derive(Default)]
struct Thread {
    open: Option<&'static str>,
    is_dead: bool,
    is_workload: bool,
    last: Option<(u64, u16)>,
    seen: bool,
}

/// The laws, checked event by event.
#[derive(Default)]
struct Laws {
    last_ts_ns: u64,
    threads: HashMap<i64, Thread>,
    /// Processes of the workload.
    pids: HashSet<i64>,
    /// Times of the first and the last enter event: outside of them only exits were attached.
    enters_ns: Option<(u64, u64)>,
    /// How often each thing was seen in threads of the workload.
    counts: BTreeMap<String, u64>,
    /// Exits without enter, to be judged once the last enter is known: time and text.
    orphans: Vec<(u64, String)>,
    problems: Vec<String>,
    /// Records that the stream says are missing.
    lost: u64,
}

impl Laws {
    fn of_process(pid: u32) -> Laws {
        Laws { pids: HashSet::from([i64::from(pid)]), ..Laws::default() }
    }

    fn count(&mut self, what: String) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn counted(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    fn event(&mut self, event: &RawEvent<'_>) {
        if event.ts_ns < self.last_ts_ns {
            let by_ns = self.last_ts_ns - event.ts_ns;
            self.problems.push(format!("{} of {} goes back {by_ns} ns", event.code.0, event.tid));
        }
        self.last_ts_ns = event.ts_ns;
        self.lost += live::declared_loss(event).map_or(0, |loss| loss.count);
        if event.code == code::PROCEXIT_1_E {
            self.procexit(event.tid);
        } else if is_call(event) {
            self.call(event);
        }
    }

    fn procexit(&mut self, tid: i64) {
        let thread = self.threads.entry(tid).or_default();
        if thread.is_dead {
            self.problems.push(format!("{tid} ends twice"));
        }
        thread.is_dead = true;
        if let (Some(open), true) = (thread.open.take(), thread.is_workload) {
            self.count(format!("death in {open}"));
        }
    }

    fn call(&mut self, event: &RawEvent<'_>) {
        let name = call_name(event);
        let is_child = is_child_side(event);
        let belongs = is_child
            && ["pid", "ptid"].iter().any(|p| number(event, p).is_some_and(|id| self.pids.contains(&id)));
        if belongs {
            self.pids.extend(number(event, "pid"));
        }
        let is_root = self.pids.contains(&event.tid);
        let thread = self.threads.entry(event.tid).or_default();
        let is_moved = event.is_state_only() && event.code.is_enter() && name.starts_with("execve");
        if is_child || is_moved {
            // A new thread, or one that goes on under the id of the process that it execs in.
            let is_workload = belongs || is_root || thread.is_workload;
            *thread = Thread { is_workload, ..Thread::default() };
        }
        thread.is_workload |= is_root;
        let was_seen = std::mem::replace(&mut thread.seen, true);
        let (tid, dead, ours) = (event.tid, thread.is_dead, thread.is_workload);
        if dead {
            self.problems.push(format!("{name} of {tid} after its end"));
        }
        let stamp = Some((event.ts_ns, event.code.0));
        if thread.last == stamp {
            self.problems.push(format!("{name} of {tid} twice"));
        }
        thread.last = stamp;
        if event.code.is_enter() {
            self.enter(event, name, ours, is_moved);
        } else {
            self.exit(event, name, ours, is_child || !was_seen);
        }
    }

    fn enter(&mut self, event: &RawEvent<'_>, name: &'static str, ours: bool, is_moved: bool) {
        let first = self.enters_ns.map_or(event.ts_ns, |(first, _)| first);
        self.enters_ns = Some((first, event.ts_ns));
        let open = self.threads.entry(event.tid).or_default().open.replace(name);
        // The exit of rt_sigreturn has no number and is left out, as in stock tools.
        if let Some(open) = open.filter(|open| *open != "rt_sigreturn") {
            self.problems.push(format!("{}: enter of {name} inside {open}", event.tid));
        }
        if ours {
            self.count(if is_moved { "moved execve".into() } else { format!("enter {name}") });
        }
    }

    fn exit(&mut self, event: &RawEvent<'_>, name: &'static str, ours: bool, may_lack_enter: bool) {
        let open = self.threads.entry(event.tid).or_default().open.take();
        // A successful execveat ends as execve.
        let same = |open: &str| open == name || (open.starts_with("execve") && name.starts_with("execve"));
        match open {
            Some(open) if !same(open) => {
                self.problems.push(format!("{}: {name} ends {open}", event.tid));
            }
            None if !may_lack_enter => {
                let text = format!("{}: {name} without enter", event.tid);
                if ours && name == "getppid" {
                    self.count("refused getppid".into());
                } else if self.enters_ns.is_some() {
                    self.orphans.push((event.ts_ns, text));
                }
            }
            _ => {}
        }
        if ours {
            let result = if matches!(event.code, code::GENERIC_X) { None } else { event.int(0) };
            if let Some(result) = result.filter(|r| (-516..0).contains(r)) {
                self.count(format!("{name} {result}"));
            }
            if open.is_none() && may_lack_enter {
                self.count(format!("child side of {name}"));
            }
        }
    }

    /// What is wrong, after the last event.
    fn verdict(mut self) -> (BTreeMap<String, u64>, Vec<String>) {
        // Enters are detached first, so that calls of other threads end without one.
        let last_enter_ns = self.enters_ns.map_or(0, |(_, last)| last);
        let orphans = self.orphans.drain(..).filter(|(ts_ns, _)| *ts_ns <= last_enter_ns);
        self.problems.extend(orphans.map(|(_, text)| text));
        let mut moved = 0;
        for (tid, thread) in self.threads.iter().filter(|(_, t)| t.is_workload && !t.is_dead) {
            // The id under which a thread called execve is gone without an end of its own.
            if thread.open == Some("execve") {
                moved += 1;
            } else {
                self.problems.push(format!("{tid} of the workload has no end, open: {:?}", thread.open));
            }
        }
        if moved != self.counted("moved execve") {
            self.problems.push(format!("{moved} ids left in execve, {:?} taken over", self.counts));
        }
        (self.counts, self.problems)
    }
}

/// Records a program; its process id, its stdout, how it was judged by `laws`.
fn record(program: &Path, file: &Path) -> (HashMap<String, u64>, Laws) {
    let capture = Capture::to_file(CAPTURE, file, &[]);
    let child = Command::new(program).arg(SECONDS).stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("the workload starts");
    let mut laws = Laws::of_process(child.id());
    let out = child.wait_with_output().expect("the workload ends");
    assert!(out.status.success(), "the workload: {}", out.status);
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    live::read_events(file, |event| laws.event(event)).expect("the file reads to its end");
    let said = String::from_utf8(out.stdout).expect("text");
    let words = said.lines().filter_map(|line| line.split_once(' '));
    (words.map(|(word, n)| (word.to_owned(), n.parse().expect("a number"))).collect(), laws)
}

#[test]
fn order_laws_hold_on_200_threads() {
    let name = "order_laws_hold_on_200_threads";
    let dir = tempfile::tempdir().expect("a folder");
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let Some(program) = live::compile("order_mix", dir.path(), name) else { return };
    let _turn = live::turn();
    let file = dir.path().join("order.scap");
    let (said, laws) = (0..ATTEMPTS)
        .map(|_| record(&program, &file))
        .find(|(_, laws)| laws.lost == 0)
        .expect("one of the recordings is whole");
    let (counts, problems) = laws.verdict();
    println!("{counts:#?}\n{said:?}");
    let shown = problems.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(problems.is_empty(), "{} problems\n{shown}\n{said:?}", problems.len());
    check_variety(&counts, &said);
}

/// Everything that the laws are about really happened.
fn check_variety(counts: &BTreeMap<String, u64>, said: &HashMap<String, u64>) {
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let rounds = said["rounds"];
    assert!(rounds >= 1, "{said:?}");
    assert_eq!(count("refused getppid"), said["refused"], "seccomp: an exit, no enter");
    assert_eq!(count("moved execve"), rounds, "exec from a second thread");
    let sum = |side: &str| CLONES.iter().map(|call| count(&format!("{side} {call}"))).sum::<u64>();
    // The parent of the first process is the test.
    assert_eq!(sum("child side of"), sum("enter") + 1, "every new thread begins with an exit");
    for call in ["fork", "vfork", "clone3"] {
        assert!(count(&format!("enter {call}")) >= rounds, "{call}");
    }
    // In exit or exit_group themselves; those threads that exit_group found elsewhere have the
    // exit of the call they were in, and then their end.
    for call in ["exit", "exit_group"] {
        assert_eq!(count(&format!("death in {call}")), count(&format!("enter {call}")), "{call}");
        assert!(count(&format!("enter {call}")) >= rounds, "{call}");
    }
    for seen in [
        "enter rt_sigreturn",
        "enter restart_syscall",
        "nanosleep -516",
        "read -512",
        "poll -516",
        "enter poll",
        "enter futex",
        "enter tgkill",
    ] {
        assert!(count(seen) > 0, "no {seen}: {counts:#?}");
    }
}
