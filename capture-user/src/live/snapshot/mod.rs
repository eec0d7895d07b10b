//! The state of the running machine at the start of a capture: from the probe's iterators where the
//! kernel has them, and from /proc, /sys and /etc.
//!
//! ```text
//! machine, interfaces, users
//! iterated: threads and fds with their sockets, names from /proc
//! processes (proc_text) -> threads, fds -> sockets: one look-up table per network namespace
//! ```
//!
//! Invariant: an entry that cannot be read costs that entry (a process that ended meanwhile, an
//! fd that was closed) and is counted in [`Gaps`]; it never costs the table. Only a /proc that
//! cannot be listed at all is an error. Nothing is written, no namespace is entered. Ids are the
//! kernel's, as events have them: inside a pid namespace the iterators tell those, and /proc names.

#![allow(unsafe_code, reason = "live/: interface addresses and socket names come from libc")]

mod fds;
mod gaps;
mod interfaces;
mod iterated;
mod machine;
mod proc_text;
mod processes;
mod sockets;
mod users;

use super::iterators::Iterators;
use super::samples::CpuTime;
use super::steps::Steps;
use super::whoami::Numbers;
pub use gaps::Gaps;
pub(super) use proc_text::parse_stat;
pub(super) use processes::NS_PER_TICK;

use capture_common::Snapshot;
use capture_common::snapshot::{Dialect, FdKind, FdRecord, ThreadRecord};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// /proc is not mounted, or hidden.
    #[error("cannot list the processes in {}: {source}", proc.display())]
    Proc {
        /// The folder.
        proc: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Where the machine shows itself; tests give folders of their own.
#[derive(Clone, Debug)]
pub struct Roots {
    /// procfs, usually `/proc`.
    pub proc: PathBuf,
    /// sysfs, usually `/sys`.
    pub sys: PathBuf,
    /// Folder with `passwd` and `group`, usually `/etc`.
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots { proc: "/proc".into(), sys: "/sys".into(), etc: "/etc".into() }
    }
}

/// A snapshot.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// How it was taken.
    pub start: StartState,
}

/// How a snapshot was taken.
#[derive(Clone, Debug, Default)]
pub struct StartState {
    /// Why it is from /proc alone; `None`: threads and fds are from the probe's iterators.
    pub without_iterators: Option<String>,
    /// Threads in it.
    pub threads: usize,
    /// Fds in it.
    pub fds: usize,
    /// Processes that the iterators left out and /proc has.
    pub left_out: usize,
    /// What is missing in it.
    pub gaps: Gaps,
    /// Texts that were longer than a file holds, and are cut.
    pub cut_strings: u64,
    /// What was done, and how long it took.
    pub steps: Steps,
}

/// The state of this machine, where the probe already records: threads that begin while it is
/// taken are left to the stream. `iterators` may be the reason why there are none.
///
/// # Errors
/// Only if /proc cannot be listed.
pub(super) fn take(iterators: Result<Iterators, String>) -> Result<Snapped, SnapshotError> {
    take_since(&Roots::default(), Numbers::of_proc(), processes::Begin::now(), iterators)
}

/// The state of this machine by the probe's iterators, threads that begin meanwhile included.
///
/// # Errors
/// Only if /proc cannot be listed.
pub fn take_with(iterators: Iterators) -> Result<Taken, SnapshotError> {
    take_since(&Roots::default(), Numbers::of_proc(), processes::Begin::LATE, Ok(iterators))
        .map(Snapped::into_taken)
}

/// CLOCK_MONOTONIC, ns; late where there is none, so that nothing counts as read before.
fn now_ns() -> u64 {
    super::clock::monotonic_ns().unwrap_or(u64::MAX)
}

/// A snapshot that was taken while the stream went on.
#[derive(Debug, Default)]
pub(super) struct Snapped {
    pub(super) snapshot: Snapshot,
    pub(super) start: StartState,
    /// When each process was read.
    pub(super) read: HashMap<i64, ReadAt>,
    /// When all was read, CLOCK_MONOTONIC ns.
    pub(super) ended_ns: u64,
}

impl Snapped {
    fn into_taken(self) -> Taken {
        Taken { snapshot: self.snapshot, start: self.start }
    }

    /// When a process was read; those of which that is not known, last.
    pub(super) fn read_at(&self, pid: i64) -> ReadAt {
        let ended_ns = self.ended_ns;
        let last = ReadAt { process_ns: ended_ns, fds_ns: ended_ns, sockets_ns: ended_ns };
        self.read.get(&pid).map_or(last, |read| ReadAt { sockets_ns: read.sockets_ns.min(ended_ns), ..*read })
    }
}

/// When a process was read to its end, its fds, and its sockets, CLOCK_MONOTONIC ns.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAt {
    pub(super) process_ns: u64,
    pub(super) fds_ns: u64,
    pub(super) sockets_ns: u64,
}

/// Whether an fd's name comes from the tables of sockets.
pub(super) fn is_socket(kind: &FdKind) -> bool {
    !matches!(kind, FdKind::File { .. } | FdKind::Other { .. })
}

/// The state of the machine that `roots` show, with the ids that are there. Interface addresses alone
/// always come from the running system, since no file lists them with their masks.
///
/// # Errors
/// Only if [`Roots::proc`] cannot be listed.
pub fn take_from(roots: &Roots) -> Result<Taken, SnapshotError> {
    let why = Err("only /proc was asked".to_owned());
    take_since(roots, Numbers::Kernel, processes::Begin::LATE, why).map(Snapped::into_taken)
}

fn take_since(
    roots: &Roots,
    numbers: Numbers,
    begin: processes::Begin,
    mut iterators: Result<Iterators, String>,
) -> Result<Snapped, SnapshotError> {
    let mut taking = Taking::new(roots, begin);
    let began = Instant::now();
    let machine = machine::read(roots);
    let gaps = &mut taking.snapped.start.gaps;
    taking.snapped.snapshot = Snapshot {
        dialect: Dialect::Superset,
        interfaces: interfaces::read(roots, gaps),
        users: users::read_users(&roots.etc, gaps),
        groups: users::read_groups(&roots.etc, gaps),
        machine,
        ..Snapshot::default()
    };
    taking.snapped.start.steps.add("machine and users", began);
    let mut found = iterated::Found::default();
    let failure = match &mut iterators {
        Ok(iterators) => taking.iterate(iterators, numbers, &mut found).err().map(|e| e.to_string()),
        Err(why) => Some(why.clone()),
    };
    taking.snapped.start.gaps.bad_records = found.bad_records;
    let began = Instant::now();
    let mut pids = processes::list(&roots.proc)?;
    if numbers != Numbers::Kernel {
        if let Ok(iterators) = &iterators {
            found.look_further_in(iterators, &pids);
        }
        // To events they would mean other processes.
        pids.clear();
    }
    taking.snapped.start.steps.add("list of processes", began);
    if failure.is_some() && numbers == Numbers::Kernel {
        // What they told before they failed, /proc tells, too.
        found = iterated::Found::default();
        taking.snapped.start.gaps.bad_records = 0;
    }
    let iterated = found.pids();
    pids.extend(&iterated);
    pids.sort_unstable();
    pids.dedup();
    for pid in pids {
        if iterated.binary_search(&pid).is_ok() {
            taking.name(&mut found, pid);
        } else if taking.read(pid) && failure.is_none() {
            taking.snapped.start.left_out += 1;
        }
    }
    taking.snapped.start.without_iterators = failure;
    Ok(taking.end())
}

/// A snapshot under way.
struct Taking<'a> {
    roots: &'a Roots,
    begin: processes::Begin,
    snapped: Snapped,
    pending: sockets::Pending,
    namespaces: processes::PidNamespaces,
}

impl<'a> Taking<'a> {
    fn new(roots: &'a Roots, begin: processes::Begin) -> Self {
        Self {
            roots,
            begin,
            snapped: Snapped::default(),
            pending: sockets::Pending::default(),
            namespaces: processes::PidNamespaces::default(),
        }
    }

    /// Reads both iterators, as far as they can be read.
    fn iterate(
        &mut self,
        iterators: &mut Iterators,
        numbers: Numbers,
        found: &mut iterated::Found,
    ) -> io::Result<()> {
        let began = Instant::now();
        found.read_tasks(iterators, numbers)?;
        self.snapped.start.steps.add("threads by iterator", began);
        let began = Instant::now();
        found.read_files(iterators)?;
        self.snapped.start.steps.add("files by iterator", began);
        Ok(())
    }

    /// Takes a process over from the iterators, with its names from /proc.
    fn name(&mut self, found: &mut iterated::Found, pid: i64) {
        let began = Instant::now();
        let snapped = &mut self.snapped;
        let boot_ts_ns = snapped.snapshot.machine.boot_ts_ns;
        let Some(threads) = found.process(&self.roots.proc, pid, boot_ts_ns, self.begin) else { return };
        snapped.snapshot.threads.extend(threads);
        let process_ns = now_ns();
        let table = found.take_table(pid);
        let fds_ns = table.as_ref().map_or(process_ns, |table| table.read_ns);
        snapped.snapshot.fds.extend(table.map(|table| (pid, table.fds)));
        snapped.read.insert(pid, ReadAt { process_ns, fds_ns, sockets_ns: fds_ns });
        snapped.start.steps.add("names from /proc", began);
    }

    /// Reads a process from /proc; whether it is there.
    fn read(&mut self, pid: i64) -> bool {
        let began = Instant::now();
        let Snapped { snapshot, read, start, .. } = &mut self.snapped;
        let boot_ts_ns = snapshot.machine.boot_ts_ns;
        let process = processes::read(self.roots, pid, boot_ts_ns, self.begin, &mut start.gaps);
        start.steps.add("processes in /proc", began);
        let Some(process) = process else { return false };
        self.namespaces.note(&process, snapshot.threads.len());
        let began = Instant::now();
        if !process.is_kernel_thread
            && let Some(table) =
                fds::read(&process.folder, snapshot.fds.len(), &mut self.pending, &mut start.gaps)
        {
            snapshot.fds.push((pid, table));
        }
        start.steps.add("fds in /proc", began);
        snapshot.threads.extend(process.threads);
        let now_ns = now_ns();
        // The tables of sockets are read last.
        read.insert(pid, ReadAt { process_ns: now_ns, fds_ns: now_ns, sockets_ns: u64::MAX });
        true
    }

    fn end(self) -> Snapped {
        let Taking { mut snapped, pending, namespaces, .. } = self;
        let Snapped { snapshot, start, .. } = &mut snapped;
        let began = Instant::now();
        namespaces.fill_in(&mut snapshot.threads);
        pending.resolve(&mut snapshot.fds, &mut start.gaps);
        start.steps.add("tables of sockets", began);
        start.threads = snapshot.threads.len();
        start.fds = snapshot.fds.iter().map(|(_, fds)| fds.len()).sum();
        snapped.ended_ns = now_ns();
        snapped
    }
}

/// A process that was read again while the capture runs.
#[derive(Clone, Debug, Default)]
pub struct Reread {
    /// Its id.
    pub pid: i64,
    /// When it began, ns since the epoch.
    pub start_ts_ns: u64,
    /// Its threads, the main one first.
    pub threads: Vec<ThreadRecord>,
    /// Its fds, listening sockets first: they tell whose side a connection's end is.
    pub fds: Vec<FdRecord>,
}

/// The CPU time of all threads, by /proc.
pub(super) fn cpu_times() -> Result<Vec<CpuTime>, SnapshotError> {
    processes::cpu_times(&Roots::default().proc)
}

/// Ids of all processes; none where /proc cannot be listed.
pub(super) fn pids() -> Vec<u32> {
    let listed = processes::list(&Roots::default().proc).unwrap_or_default();
    listed.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// Reads processes again. Those that are gone are not in the answer.
pub(super) fn read_again(pids: &[u32]) -> Vec<Reread> {
    let roots = Roots::default();
    let mut gaps = Gaps::default();
    let boot_ts_ns = machine::read(&roots).boot_ts_ns;
    let mut pending = sockets::Pending::default();
    let (mut found, mut tables) = (Vec::new(), Vec::new());
    for pid in pids.iter().map(|&pid| i64::from(pid)) {
        let late = processes::Begin::LATE;
        let Some(process) = processes::read(&roots, pid, boot_ts_ns, late, &mut gaps) else { continue };
        let fds = if process.is_kernel_thread {
            None
        } else {
            fds::read(&process.folder, tables.len(), &mut pending, &mut gaps)
        };
        tables.push((pid, fds.unwrap_or_default()));
        let start_ts_ns = process.start_ts_ns;
        found.push(Reread { pid, start_ts_ns, threads: process.threads, fds: Vec::new() });
    }
    pending.resolve(&mut tables, &mut gaps);
    for (process, (_, mut fds)) in found.iter_mut().zip(tables) {
        let is_server =
            |fd: &FdRecord| matches!(fd.kind, FdKind::Ipv4Server { .. } | FdKind::Ipv6Server { .. });
        fds.sort_by_key(|fd| !is_server(fd));
        process.fds = fds;
    }
    found
}

#[cfg(test)]
mod tests;
