//! Reading processes again after a loss.
//!
//! What is lost about a process's state is lost for good, so what it is now is read from /proc and put
//! into the stream, where a replay finds it, too. That is done on a thread of its own, a few processes
//! at a time and at most half of the time, so that neither the drain nor the machine waits for it;
//! losses that follow each other lead to one reading.
//!
//! A reading takes time, and the stream goes on meanwhile. It holds at its place in the stream only as far
//! as nothing changed between its begin and that place, as far as the records (which are all drained by
//! then) and the losses tell. [`Rereads`] watches them: fds that were touched are left out, since the stream
//! itself tells of them; a working directory, or all fds, that changed are left to a further reading, and
//! so is the whole process where its threads changed or anything may have.

use super::changes::{Changes, Watched};
use super::decode::Decoder;
use super::snapshot::{self, Reread};
use super::stale::Stale;
use super::whoami::Numbers;
use capture_common::Batch;
use capture_common::abi::{ForkFixed, ProcExitFixed, RecordView, kind};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Processes of one reading.
const TOGETHER_MAX: usize = 128;
/// Most processes that wait to be read again; further ones mean all.
const WAITING_MAX: usize = 65_536;
/// Wait before the first repetition; it doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(5);
/// Readings of a process that goes on changing, about a minute of them; what is not known by then stays
/// unknown until the stream tells it.
const TRIES_MAX: u32 = 64;
/// Longest wait before a repetition.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// How far a process is.
#[derive(Debug)]
struct Waiting {
    not_before: Instant,
    tries: u32,
    placed: Placed,
    /// Given to the reader, or read and not yet placed.
    watched: Option<Watched>,
}

/// What of a process was placed since its state changed unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Placed {
    threads: bool,
    cwd: bool,
    fds: bool,
}

/// The drain thread's side.
#[derive(Debug)]
pub(crate) struct Rereads {
    waiting: HashMap<u32, Waiting>,
    /// Every process of the machine is to be read.
    all: bool,
    /// `None` where /proc has other ids than the events, inside a pid namespace.
    to_reader: Option<Sender<Request>>,
    readings: Receiver<Reading>,
    /// Readings that the stream has not reached.
    read: Vec<Reading>,
    is_reading: bool,
    changes: Changes,
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

impl Waiting {
    /// Takes over a reading: what of it holds and was not placed before, if anything. Otherwise there is a
    /// further one, later each time.
    fn settle(&mut self, process: Option<Reread>, watched: &Watched, began_ns: u64) -> Option<Reread> {
        self.tries += 1;
        let wait = RETRY_FIRST.saturating_mul(1 << self.tries.min(16)).min(RETRY_MAX);
        self.not_before = Instant::now() + wait;
        if watched.all.since(began_ns) || watched.task.since(began_ns) {
            return None;
        }
        let (before, has_cwd) = (self.placed, !watched.cwd.since(began_ns));
        let has_fds = !watched.fds.since(began_ns);
        self.placed = Placed { threads: true, cwd: before.cwd || has_cwd, fds: before.fds || has_fds };
        let mut process = process?;
        let is_new = !before.threads || has_cwd && !before.cwd;
        process.threads.retain(|thread| is_new && !watched.ended.contains(&thread.tid));
        if !has_cwd {
            process.threads.iter_mut().for_each(|thread| thread.cwd.clear());
        }
        let is_touched = |fd: i64| watched.touched.iter().any(|(n, times)| *n == fd && times.since(began_ns));
        process.fds.retain(|fd| has_fds && !before.fds && !is_touched(fd.fd));
        (is_new || has_fds && !before.fds).then_some(process)
    }

    fn is_done(&self) -> bool {
        self.placed == Placed { threads: true, cwd: true, fds: true } || self.tries >= TRIES_MAX
    }
}

impl Rereads {
    /// Starts the reader; it sleeps until something is lost.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (to_reader, requests) = channel();
        let (answers, readings) = channel();
        let reader = std::thread::Builder::new()
            .name("capture-reread".into())
            .spawn(move || read_on_request(&requests, &answers))?;
        Ok(Self {
            waiting: HashMap::new(),
            all: false,
            to_reader: (Numbers::of_proc() == Numbers::Kernel).then_some(to_reader),
            readings,
            read: Vec::new(),
            is_reading: false,
            changes: Changes::default(),
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
        if self.to_reader.is_none() {
            return;
        }
        self.all = true;
        for watched in self.waiting.values_mut().filter_map(|w| w.watched.as_mut()) {
            watched.spoil(until_ns);
        }
    }

    /// The state of one process changed unseen, up to a time.
    pub(crate) fn want(&mut self, pid: u32, until_ns: u64) {
        if self.to_reader.is_none() {
            return;
        }
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&pid) {
            self.all = true;
            return;
        }
        let fresh =
            || Waiting { not_before: Instant::now(), tries: 0, placed: Placed::default(), watched: None };
        let waiting = self.waiting.entry(pid).or_insert_with(fresh);
        (waiting.tries, waiting.placed) = (0, Placed::default());
        if let Some(watched) = &mut waiting.watched {
            watched.spoil(until_ns);
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
            kind::FORK => {
                // What the child has from its parent is as little known.
                let child = record.split::<ForkFixed>().map(|(fixed, _)| fixed.child_pid);
                if let Some(child) = child.filter(|child| *child != header.pid)
                    && self.waiting.contains_key(&header.pid)
                {
                    self.want(child, ts_ns);
                }
            }
            kind::PROC_EXIT => {
                let is_last =
                    record.split::<ProcExitFixed>().is_some_and(|(fixed, _)| fixed.live_threads == 0);
                if is_last {
                    self.waiting.remove(&header.pid);
                } else if let Some(watched) = self.watched(header.pid) {
                    watched.ended.push(i64::from(header.tid));
                }
            }
            _ => {
                if let Some(effect) = self.changes.of(record)
                    && let Some(watched) = self.watched(header.pid)
                {
                    watched.change(&effect, ts_ns);
                }
            }
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
        let process = waiting.settle(process, &watched, began_ns);
        if waiting.is_done() {
            self.waiting.remove(&pid);
        }
        if let Some(process) = process {
            decoder.reread(&process, place_ns, batch);
            self.placed += 1;
        }
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
    use super::super::changes::Effect;
    use super::*;
    use capture_common::snapshot::{FdKind, FdRecord, FdType, ThreadRecord};

    fn read() -> Option<Reread> {
        let fd = |fd| FdRecord { fd, ino: 0, kind: FdKind::Other { ty: FdType::Pipe, name: b"p".to_vec() } };
        let thread = |tid| ThreadRecord { tid, pid: 1, cwd: b"/tmp".to_vec(), ..ThreadRecord::default() };
        let (threads, fds) = ([1, 2].map(thread).to_vec(), [3, 4].map(fd).to_vec());
        Some(Reread { pid: 1, threads, fds, ..Reread::default() })
    }

    fn watched(effects: &[Effect]) -> Watched {
        let mut watched = Watched::default();
        effects.iter().for_each(|effect| watched.change(effect, 100));
        watched
    }

    /// Threads with and without a working directory, and fds, that a reading leads to.
    fn counts(process: Option<Reread>) -> Option<[usize; 3]> {
        let process = process?;
        let with = process.threads.iter().filter(|thread| !thread.cwd.is_empty()).count();
        Some([with, process.threads.len() - with, process.fds.len()])
    }

    fn fresh() -> Waiting {
        Waiting { not_before: Instant::now(), tries: 0, placed: Placed::default(), watched: None }
    }

    #[test]
    fn what_holds_is_placed_and_the_rest_is_read_again() {
        let mut waiting = fresh();
        let mut step = |effects: &[Effect]| counts(waiting.settle(read(), &watched(effects), 50));
        assert_eq!(step(&[Effect::All]), None);
        assert_eq!(step(&[Effect::Task]), None);
        assert_eq!(step(&[Effect::Cwd, Effect::Fds]), Some([0, 2, 0]));
        assert_eq!(step(&[Effect::Cwd, Effect::Fds]), None);
        assert_eq!(step(&[Effect::Fds]), Some([2, 0, 0]));
        let one = Effect::Touched { fds: [Some(3), None], is_told: true };
        assert_eq!(step(&[Effect::Cwd, one]), Some([0, 0, 1]));
        assert!(waiting.is_done());
    }

    #[test]
    fn changes_of_before_a_reading_do_not_spoil_it() {
        let mut waiting = fresh();
        let mut changed = watched(&[Effect::All, Effect::Cwd, Effect::Fds]);
        changed.ended.push(2);
        assert_eq!(counts(waiting.settle(read(), &changed, 101)), Some([1, 0, 2]));
        assert!(waiting.is_done());
    }

    #[test]
    fn nobody_is_read_again_for_ever() {
        let mut waiting = fresh();
        for _ in 0..TRIES_MAX {
            assert!(!waiting.is_done());
            assert!(waiting.settle(read(), &watched(&[Effect::All]), 50).is_none());
        }
        assert!(waiting.is_done());
    }
}
