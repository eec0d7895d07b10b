//! [`Machine`]: the root of the state, and the look-ups that fields use.

use super::containers::{Container, Containers};
use super::fd::FdInfo;
use super::fd_table::{FdBudget, FdTable};
use super::interfaces::Interfaces;
use super::thread::Thread;
use super::thread_table::{ThreadSlot, ThreadTable};
use super::users::Users;
use crate::engine::Options;
use crate::parsers::cgroup_moves::CgroupFile;
use crate::parsers::stale::Distrust;
use crate::services::PortNames;
use capture_common::snapshot::{Dialect, MachineInfo};

/// Longest chain of parents that is walked; longer ones are loops or lies.
const MAX_ANCESTORS: usize = 1024;

/// State of the recorded machine.
#[derive(Debug)]
pub struct Machine {
    /// Form in which the section's events are stored.
    pub dialect: Dialect,
    /// Machine info of the section.
    pub info: MachineInfo,
    /// Threads by tid.
    pub threads: ThreadTable,
    /// Users and groups.
    pub users: Users,
    /// Network interfaces.
    pub interfaces: Interfaces,
    /// Containers by id.
    pub containers: Containers,
    /// What could not be done as asked.
    pub counters: Counters,
    /// How ports print in names.
    pub ports: PortNames,
    pub(crate) fd_budget: FdBudget,
    pub(crate) recent_exits: RecentExits,
    /// Time of the last context switch of each CPU, ns; 0 where none was seen.
    pub(crate) switched_ns: Vec<u64>,
    pub(crate) cgroup_files: Vec<CgroupFile>,
    /// Of whom records are missing.
    pub(crate) distrust: Distrust,
    /// Stands for the container in the last container record.
    pub(crate) record_thread: Option<Box<Thread>>,
}

/// The last threads that ended. A child can end before its creator's clone returns, which must
/// not bring it back.
#[derive(Debug)]
pub(crate) struct RecentExits {
    ring: [(i64, u64); RecentExits::LEN],
    next: usize,
}

impl RecentExits {
    const LEN: usize = 64;
    /// How long a thread that ended may not be made again by its creator's event. Pids come
    /// round in seconds at the earliest.
    const SPAN_NS: u64 = 1_000_000_000;

    fn new() -> Self {
        RecentExits { ring: [(-1, 0); Self::LEN], next: 0 }
    }

    pub(crate) fn add(&mut self, tid: i64, ts_ns: u64) {
        self.ring[self.next] = (tid, ts_ns);
        self.next = (self.next + 1) % Self::LEN;
    }

    pub(crate) fn contains(&self, tid: i64, now_ns: u64) -> bool {
        self.ring.iter().any(|&(t, at)| t == tid && now_ns.saturating_sub(at) < Self::SPAN_NS)
    }
}

/// What the engine could not do as asked. Zero everywhere in an undisturbed capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events whose code the table does not know.
    pub unknown_codes: u64,
    /// Exits without the enter of the same call just before.
    pub unpaired_exits: u64,
    /// Threads invented for events of unknown tids.
    pub fake_threads: u64,
    /// Threads dropped, idle ones first, because there were too many.
    pub threads_evicted: u64,
    /// Threads of a snapshot that were refused because there were too many.
    pub threads_refused: u64,
    /// Fds refused because their process, or the machine, has too many.
    pub fds_refused: u64,
    /// Fds forgotten because a forked table could not be copied within the memory for fds.
    pub fds_forgotten: u64,
    /// Container records refused because they were too large.
    pub containers_refused: u64,
    /// Container records dropped, the oldest first, because there were too many.
    pub containers_evicted: u64,
    /// Users, groups and interfaces refused because there were too many.
    pub names_refused: u64,
    /// Container records that could not be read.
    pub containers_malformed: u64,
    /// Parameters that were missing or of a wrong size where state depends on them.
    pub bad_params: u64,
}

impl Counters {
    /// What happened, as (how often, what), for a report: only what did happen.
    pub fn notes(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let all = [
            (self.unknown_codes, "events of unknown types"),
            (self.unpaired_exits, "exits without their enter"),
            (self.fake_threads, "threads known by their events only"),
            (self.threads_evicted, "threads dropped, since there were too many"),
            (self.threads_refused, "threads of the opening table refused, since there were too many"),
            (self.fds_refused, "fds refused, since there were too many"),
            (self.fds_forgotten, "fds of forked processes forgotten, since there were too many"),
            (self.containers_refused, "container records refused, since they were too large"),
            (self.containers_evicted, "container records dropped, since there were too many"),
            (self.names_refused, "users, groups and interfaces refused, since there were too many"),
            (self.containers_malformed, "container records that could not be read"),
            (self.bad_params, "parameters missing or of a wrong size"),
        ];
        all.into_iter().filter(|(count, _)| *count != 0)
    }
}

impl Machine {
    pub(crate) fn new(options: &Options) -> Self {
        Machine {
            dialect: Dialect::default(),
            info: MachineInfo::default(),
            threads: ThreadTable::new(options.max_threads, options.max_thread_bytes),
            users: Users::default(),
            interfaces: Interfaces::default(),
            containers: Containers::new(options.max_container_bytes),
            counters: Counters::default(),
            ports: options.ports,
            fd_budget: FdBudget::new(options.max_fd_bytes),
            recent_exits: RecentExits::new(),
            switched_ns: Vec::new(),
            cgroup_files: Vec::new(),
            distrust: Distrust::default(),
            record_thread: None,
        }
    }

    /// The thread with this tid.
    #[inline]
    pub fn thread(&self, tid: i64) -> Option<&Thread> {
        self.threads.get(tid)
    }

    /// The main thread of a thread's process; the thread itself where that is not known.
    #[inline]
    pub fn main_thread<'m>(&'m self, thread: &'m Thread) -> &'m Thread {
        if thread.is_main() { thread } else { self.threads.get(thread.pid).unwrap_or(thread) }
    }

    /// The slot of the main thread of a thread's process, or the thread's own where that is not
    /// known.
    #[inline]
    pub(crate) fn main_slot(&self, slot: ThreadSlot) -> ThreadSlot {
        match self.threads.at(slot) {
            Some(t) if !t.is_main() => self.threads.slot(t.pid).unwrap_or(slot),
            _ => slot,
        }
    }

    /// The fd table of a thread's process.
    #[inline]
    pub fn fd_table_of<'m>(&'m self, thread: &'m Thread) -> &'m FdTable {
        &self.main_thread(thread).fds
    }

    /// An fd of a thread's process.
    #[inline]
    pub fn fd<'m>(&'m self, thread: &'m Thread, fd: i64) -> Option<&'m FdInfo> {
        self.fd_table_of(thread).get(fd)
    }

    /// Working directory of a thread's process.
    pub fn cwd_of<'m>(&'m self, thread: &'m Thread) -> &'m [u8] {
        &self.main_thread(thread).cwd
    }

    /// The parent: the thread that made the process, or the one that adopted it.
    pub fn parent(&self, thread: &Thread) -> Option<&Thread> {
        self.threads.get(self.main_thread(thread).ptid)
    }

    /// The ancestors of a thread's process, nearest first: the parent, its parent, and so on.
    /// Ends at the first unknown one, at a loop, or after 1024 steps.
    pub fn ancestors<'m>(&'m self, thread: &'m Thread) -> impl Iterator<Item = &'m Thread> {
        let start = self.main_thread(thread);
        let mut at = start;
        // Brent's way of finding a loop: a mark that is moved at growing distances.
        let (mut mark, mut steps, mut stride) = (start.tid, 0usize, 2usize);
        std::iter::from_fn(move || {
            if steps >= MAX_ANCESTORS {
                return None;
            }
            let next = self.threads.get(at.ptid)?;
            if next.tid == mark || next.tid == start.tid {
                return None;
            }
            steps += 1;
            if steps == stride {
                mark = next.tid;
                stride *= 2;
            }
            at = next;
            Some(next)
        })
    }

    /// The container that a thread runs in; `None` on the host, and where no metadata came.
    pub fn container(&self, thread: &Thread) -> Option<&Container> {
        self.containers.get(&thread.container_id)
    }
}
