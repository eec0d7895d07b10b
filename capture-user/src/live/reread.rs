//! Reading processes again after a loss.
//!
//! What is lost about a process's state is lost for good, so what it is now is read from /proc and put
//! into the stream, where a replay finds it, too. That is done on a thread of its own, a few processes
//! at a time and at most half of the time, so that neither the drain nor the machine waits for it;
//! losses that follow each other lead to one reading.
//!
//! A reading takes time, and the stream goes on meanwhile. It holds at its place in the stream only if
//! nothing about the process changed between its begin and that place, as far as the records (which
//! are all drained by then) and the losses tell. [`Rereads`] watches them: fds that were touched are left
//! out, since the stream itself tells of them; where more changed, the reading is done again, later.

use super::decode::Decoder;
use super::snapshot::{self, Reread};
use super::stale::Stale;
use capture_common::abi::{ExitFixed, ForkFixed, ProcExitFixed, RecordView, kind};
use capture_common::{Batch, plan, syscall_table};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Processes of one reading.
const TOGETHER_MAX: usize = 32;
/// Most processes that wait to be read again; further ones mean all.
const WAITING_MAX: usize = 65_536;
/// Wait before the first repetition; it doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(5);
/// Longest wait before a repetition.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Touched fds that are told apart; beyond that all count as touched.
const TOUCHED_MAX: usize = 64;

/// What the success of a call may change in the state of the caller's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// What is known of its threads.
    Task,
    /// The fd that it returns.
    Ret,
    /// The fd in the first argument.
    Arg,
    /// Either.
    ArgAndRet,
    /// Any fd.
    Fds,
    /// Anything.
    All,
}

/// Calls that change state, other than those that return an fd.
const CHANGES: &[(&str, Change)] = &[
    ("clone", Change::Nothing),
    ("clone3", Change::Nothing),
    ("fork", Change::Nothing),
    ("vfork", Change::Nothing),
    ("exit", Change::Nothing),
    ("exit_group", Change::Nothing),
    ("rename", Change::Nothing),
    ("renameat", Change::Nothing),
    ("renameat2", Change::Nothing),
    ("close", Change::Arg),
    ("connect", Change::Arg),
    ("bind", Change::Arg),
    ("listen", Change::Arg),
    ("shutdown", Change::Arg),
    ("fcntl", Change::ArgAndRet),
    ("pipe", Change::Fds),
    ("pipe2", Change::Fds),
    ("socketpair", Change::Fds),
    ("close_range", Change::Fds),
    ("chdir", Change::Task),
    ("fchdir", Change::Task),
    ("chroot", Change::Task),
    ("setuid", Change::Task),
    ("setgid", Change::Task),
    ("setreuid", Change::Task),
    ("setregid", Change::Task),
    ("setresuid", Change::Task),
    ("setresgid", Change::Task),
    ("setsid", Change::Task),
    ("setpgid", Change::Task),
    ("capset", Change::Task),
    ("prctl", Change::Task),
    ("setns", Change::Task),
    ("unshare", Change::All),
    ("execve", Change::All),
    ("execveat", Change::All),
];

/// What a native call changes.
fn change_of(name: &str) -> Change {
    if !plan::row(name).stateful() {
        return Change::Nothing;
    }
    CHANGES.iter().find(|(call, _)| *call == name).map_or(Change::Ret, |(_, change)| *change)
}

/// What happened to a process while it was read.
#[derive(Debug, Default)]
struct Watched {
    /// Last change that spoils the whole reading, CLOCK_MONOTONIC ns.
    spoilt_ns: u64,
    /// Changes of single fds.
    touched: Vec<(i64, u64)>,
    /// Threads that ended.
    ended: Vec<i64>,
}

/// How far a process is.
#[derive(Debug)]
struct Waiting {
    not_before: Instant,
    tries: u32,
    /// Given to the reader, or read and not yet placed.
    watched: Option<Watched>,
}

/// The drain thread's side.
#[derive(Debug)]
pub(crate) struct Rereads {
    waiting: HashMap<u32, Waiting>,
    /// Every process of the machine is to be read.
    all: bool,
    to_reader: Option<Sender<Request>>,
    readings: Receiver<Reading>,
    /// Readings that the stream has not reached.
    read: Vec<Reading>,
    is_reading: bool,
    changes: Vec<Change>,
    /// Readings that were placed.
    pub(crate) placed: u64,
    reader: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
enum Request {
    List,
    Read(Vec<u32>),
}

/// What the reader found.
#[derive(Debug)]
enum Reading {
    /// All processes of the machine.
    List(Vec<u32>),
    Processes {
        began_ns: u64,
        ended_ns: u64,
        asked: Vec<u32>,
        processes: Vec<Reread>,
    },
}

impl Rereads {
    /// Starts the reader; it sleeps until something is lost.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (to_reader, requests) = channel();
        let (answers, readings) = channel();
        let reader = std::thread::Builder::new()
            .name("capture-reread".into())
            .spawn(move || read_on_request(&requests, &answers))?;
        let mut changes = vec![Change::Nothing; 512];
        for call in syscall_table::X86_64 {
            if let Some(change) = changes.get_mut(usize::from(call.nr)) {
                *change = change_of(call.name);
            }
        }
        Ok(Self {
            waiting: HashMap::new(),
            all: false,
            to_reader: Some(to_reader),
            readings,
            read: Vec::new(),
            is_reading: false,
            changes,
            placed: 0,
            reader: Some(reader),
        })
    }

    /// State of processes changed unseen.
    pub(crate) fn stale(&mut self, stale: &Stale<'_>) {
        match stale.pids {
            Some(pids) => pids.iter().for_each(|&pid| self.want(pid, stale.until_ns)),
            None => self.want_all(stale.until_ns),
        }
    }

    /// The state of everything changed unseen, up to a time.
    pub(crate) fn want_all(&mut self, until_ns: u64) {
        self.all = true;
        for watched in self.waiting.values_mut().filter_map(|w| w.watched.as_mut()) {
            watched.spoilt_ns = watched.spoilt_ns.max(until_ns);
        }
    }

    fn want(&mut self, pid: u32, until_ns: u64) {
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&pid) {
            self.all = true;
            return;
        }
        let fresh = || Waiting { not_before: Instant::now(), tries: 0, watched: None };
        let waiting = self.waiting.entry(pid).or_insert_with(fresh);
        if let Some(watched) = &mut waiting.watched {
            watched.spoilt_ns = watched.spoilt_ns.max(until_ns);
        }
    }

    /// Looks at a record that is handed out; cheap while nothing is to be read again.
    #[inline]
    pub(crate) fn observe(&mut self, record: &RecordView<'_>, ts_ns: u64) {
        if !self.waiting.is_empty() {
            self.look_at(record, ts_ns);
        }
    }

    fn look_at(&mut self, record: &RecordView<'_>, ts_ns: u64) {
        let header = &record.header;
        match header.kind {
            kind::EXIT => {}
            kind::FORK => {
                // What the child has from its parent is as little known.
                let child = record.split::<ForkFixed>().map(|(fixed, _)| fixed.child_pid);
                if let Some(child) = child.filter(|child| *child != header.pid)
                    && self.waiting.contains_key(&header.pid)
                {
                    self.want(child, ts_ns);
                }
                return;
            }
            kind::PROC_EXIT => {
                let is_last = record.split::<ProcExitFixed>().is_some_and(|(fixed, _)| fixed.live_threads == 0);
                if is_last {
                    self.waiting.remove(&header.pid);
                } else if let Some(watched) = self.watched(header.pid) {
                    watched.ended.push(i64::from(header.tid));
                }
                return;
            }
            kind::EXEC => {
                if let Some(watched) = self.watched(header.pid) {
                    watched.spoilt_ns = ts_ns;
                }
                return;
            }
            _ => return,
        }
        let is_native = header.flags == 0;
        let change = match self.changes.get(usize::from(header.nr)) {
            Some(change) if is_native => *change,
            // Not told apart.
            _ => Change::All,
        };
        if change == Change::Nothing {
            return;
        }
        let Some(watched) = self.watched(header.pid) else { return };
        let Some((exit, _)) = record.split::<ExitFixed>() else { return };
        // A close that fails may have closed all the same.
        let failed = (-4095..0).contains(&exit.ret) && change != Change::Arg;
        if !failed {
            watched.change(change, exit.args[0] as i32, exit.ret, ts_ns);
        }
    }

    fn watched(&mut self, pid: u32) -> Option<&mut Watched> {
        self.waiting.get_mut(&pid)?.watched.as_mut()
    }

    /// After a drain, which handed out everything up to `released_ns`: puts what was read into the
    /// batch, as of `place_ns`, and asks for more.
    pub(crate) fn step(&mut self, released_ns: u64, place_ns: u64, decoder: &mut Decoder, batch: &mut Batch) {
        if self.waiting.is_empty() && !self.all && !self.is_reading {
            return;
        }
        while let Ok(reading) = self.readings.try_recv() {
            self.is_reading = false;
            match reading {
                Reading::List(pids) => pids.into_iter().for_each(|pid| self.want(pid, 0)),
                reading => self.read.push(reading),
            }
        }
        let is_due = |reading: &mut Reading| match reading {
            Reading::Processes { ended_ns, .. } => *ended_ns <= released_ns,
            Reading::List(_) => true,
        };
        let due: Vec<Reading> = self.read.extract_if(.., is_due).collect();
        for reading in due {
            if let Reading::Processes { began_ns, asked, mut processes, .. } = reading {
                for pid in asked {
                    let at = processes.iter().position(|process| process.pid == i64::from(pid));
                    let process = at.map(|at| processes.swap_remove(at));
                    self.settle(pid, process, began_ns, place_ns, decoder, batch);
                }
            }
        }
        self.ask();
    }

    /// Places what was read of a process, or has it read again.
    fn settle(
        &mut self,
        pid: u32,
        process: Option<Reread>,
        began_ns: u64,
        place_ns: u64,
        decoder: &mut Decoder,
        batch: &mut Batch,
    ) {
        // It ended meanwhile.
        let Some(waiting) = self.waiting.get_mut(&pid) else { return };
        let watched = waiting.watched.take().unwrap_or_default();
        if watched.spoilt_ns >= began_ns {
            let wait = RETRY_FIRST.saturating_mul(1 << waiting.tries.min(16)).min(RETRY_MAX);
            waiting.tries += 1;
            waiting.not_before = Instant::now() + wait;
            return;
        }
        self.waiting.remove(&pid);
        let Some(mut process) = process else { return };
        process.threads.retain(|thread| !watched.ended.contains(&thread.tid));
        process.fds.retain(|fd| !watched.touched.iter().any(|(n, at)| *n == fd.fd && *at >= began_ns));
        decoder.reread(&process, place_ns, batch);
        self.placed += 1;
    }

    /// Gives the reader something to do, if it has nothing.
    fn ask(&mut self) {
        let Some(to_reader) = self.to_reader.as_ref().filter(|_| !self.is_reading) else { return };
        let request = if self.all {
            self.all = false;
            Request::List
        } else {
            let now = Instant::now();
            let due = self.waiting.iter_mut().filter(|(_, w)| w.watched.is_none() && w.not_before <= now);
            let mut pids = Vec::new();
            for (pid, waiting) in due.take(TOGETHER_MAX) {
                waiting.watched = Some(Watched::default());
                pids.push(*pid);
            }
            if pids.is_empty() {
                return;
            }
            Request::Read(pids)
        };
        // A reader that is gone reads nothing; the state then stays unknown.
        self.is_reading = to_reader.send(request).is_ok();
    }
}

impl Drop for Rereads {
    fn drop(&mut self) {
        self.to_reader = None;
        if let Some(reader) = self.reader.take() {
            // Whether it panicked is of no interest to a capture that ends.
            let _ = reader.join();
        }
    }
}

impl Watched {
    fn change(&mut self, change: Change, arg: i32, ret: i64, ts_ns: u64) {
        let mut touch = |fd: i64| {
            if self.touched.len() < TOUCHED_MAX {
                self.touched.push((fd, ts_ns));
            } else if let Some(known) = self.touched.iter_mut().find(|(n, _)| *n == fd) {
                known.1 = ts_ns;
            } else {
                self.spoilt_ns = ts_ns;
            }
        };
        match change {
            Change::Nothing => {}
            Change::Ret => touch(ret),
            Change::Arg => touch(i64::from(arg)),
            Change::ArgAndRet => {
                touch(i64::from(arg));
                touch(ret);
            }
            Change::Task | Change::Fds | Change::All => self.spoilt_ns = ts_ns,
        }
    }
}

/// The reader's thread: rests as long as it worked.
fn read_on_request(requests: &Receiver<Request>, answers: &Sender<Reading>) {
    while let Ok(request) = requests.recv() {
        let started = Instant::now();
        let answer = match request {
            Request::List => Reading::List(snapshot::pids()),
            Request::Read(asked) => {
                // Without a clock every reading counts as spoilt by whatever happens.
                let now = || super::clock::monotonic_ns().unwrap_or(0);
                let began_ns = now();
                let processes = snapshot::read_again(&asked);
                Reading::Processes { began_ns, ended_ns: now(), asked, processes }
            }
        };
        let took = started.elapsed();
        if answers.send(answer).is_err() {
            return;
        }
        std::thread::sleep(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_changes_state_says_what_it_changes() {
        for (call, change) in CHANGES {
            assert!(plan::row(call).stateful(), "{call} changes no state by the plan");
            assert_eq!(change_of(call), *change);
        }
        assert_eq!((change_of("openat"), change_of("dup3"), change_of("read")), (Change::Ret, Change::Ret, Change::Nothing));
    }

    #[test]
    fn touched_fds_are_few_or_everything() {
        let mut watched = Watched::default();
        watched.change(Change::ArgAndRet, 3, 7, 10);
        assert_eq!((&watched.touched[..], watched.spoilt_ns), (&[(3, 10), (7, 10)][..], 0));
        for fd in 0..TOUCHED_MAX as i64 {
            watched.change(Change::Ret, 0, fd, 20);
        }
        assert_eq!((watched.touched.len(), watched.spoilt_ns), (TOUCHED_MAX, 20));
        watched.change(Change::Task, 0, 0, 30);
        assert_eq!(watched.spoilt_ns, 30);
    }
}
