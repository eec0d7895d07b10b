//! Parsers: what each event does to the state, by family.
//!
//! A parser is a function over [`Ctx`]. The family files list their rows in `ROWS`, one per event
//! type that changes state; [`parser_of`] finds the row by the event's code. Parameters are
//! addressed by index: the 2022 ones are a prefix of the current ones for every code, and
//! parsers take whatever is there, from the exit where it is complete, else from what the enter
//! left ([`Ctx::entered`]).

mod anonymous;
pub(crate) mod cgroup_moves;
mod connect;
mod containers;
mod credentials;
mod descriptors;
mod directories;
mod exec;
mod files;
mod iterated;
mod memory;
mod messages;
pub(crate) mod process;
pub(crate) mod reparent;
mod sockets;
pub(crate) mod stale;
mod task;

use crate::engine::{Applied, Deferred};
use crate::state::fd::FdInfo;
use crate::state::fd_table::{CANCELLED_KEY, FdTable, Full};
use crate::state::machine::Machine;
use crate::state::thread::{Entered, Thread};
use crate::state::thread_table::ThreadSlot;
use capture_common::event_table::EVENTS;
use capture_common::{EventCode, RawEvent};
use std::sync::Arc;

/// What a parser works on.
pub(crate) struct Ctx<'c> {
    pub(crate) machine: &'c mut Machine,
    pub(crate) raw: &'c RawEvent<'c>,
    pub(crate) applied: &'c mut Applied,
    pub(crate) deferred: &'c mut Deferred,
    pub(crate) max_fds: usize,
    pub(crate) scratch: &'c mut Vec<u8>,
}

/// A parser.
pub(crate) type Parser = fn(&mut Ctx<'_>);

/// A row of a family's table.
pub(crate) type Row = (EventCode, Parser);

/// The parser of an event type; `None` for those that change no state.
#[inline]
pub(crate) fn parser_of(code: EventCode) -> Option<Parser> {
    *PARSERS.get(usize::from(code.0))?
}

static PARSERS: [Option<Parser>; EVENTS.len()] = table(&[
    process::ROWS,
    exec::ROWS,
    task::ROWS,
    iterated::ROWS,
    credentials::ROWS,
    memory::ROWS,
    directories::ROWS,
    files::ROWS,
    descriptors::ROWS,
    anonymous::ROWS,
    sockets::ROWS,
    connect::ROWS,
    messages::ROWS,
    containers::ROWS,
    cgroup_moves::ROWS,
    stale::ROWS,
]);

/// Whether events of this type may change what is known of processes, users and containers, beyond
/// what every call changes (times, counts, memory).
#[inline]
pub(crate) fn changes_processes(code: EventCode) -> bool {
    CHANGES_PROCESSES.get(usize::from(code.0)).is_some_and(|&changes| changes)
}

static CHANGES_PROCESSES: [bool; EVENTS.len()] = {
    let parsers = table(&[
        process::ROWS,
        exec::ROWS,
        task::ROWS,
        iterated::ROWS,
        credentials::ROWS,
        directories::ROWS,
        containers::ROWS,
        stale::ROWS,
    ]);
    let mut all = [false; EVENTS.len()];
    let mut code = 0;
    while code < all.len() {
        all[code] = parsers[code].is_some();
        code += 1;
    }
    all
};

const fn table(families: &[&[Row]]) -> [Option<Parser>; EVENTS.len()] {
    let mut all: [Option<Parser>; EVENTS.len()] = [None; EVENTS.len()];
    let mut f = 0;
    while f < families.len() {
        let mut r = 0;
        while r < families[f].len() {
            let (code, parser) = families[f][r];
            assert!(all[code.0 as usize].is_none(), "two parsers for one event type");
            all[code.0 as usize] = Some(parser);
            r += 1;
        }
        f += 1;
    }
    all
}

impl<'c> Ctx<'c> {
    /// The event's thread.
    #[inline]
    pub(crate) fn thread(&self) -> Option<&Thread> {
        self.machine.threads.at(self.applied.thread?)
    }

    /// The event's thread, to change.
    #[inline]
    pub(crate) fn thread_mut(&mut self) -> Option<&mut Thread> {
        self.machine.threads.at_mut(self.applied.thread?)
    }

    /// The slot of the process's main thread.
    #[inline]
    pub(crate) fn main_slot(&self) -> Option<ThreadSlot> {
        Some(self.machine.main_slot(self.applied.thread?))
    }

    /// The process's main thread, to change.
    #[inline]
    pub(crate) fn main_mut(&mut self) -> Option<&mut Thread> {
        let slot = self.main_slot()?;
        self.machine.threads.at_mut(slot)
    }

    /// The process's fd table.
    pub(crate) fn fds(&self) -> Option<&FdTable> {
        self.machine.threads.at(self.main_slot()?).map(|t| &t.fds)
    }

    /// The fd that the event is about, to change.
    pub(crate) fn fd_mut(&mut self) -> Option<&mut FdInfo> {
        let (owner, key) = (self.applied.fd_owner?, self.applied.fd_key);
        self.machine.threads.at_mut(owner)?.fds.get_mut(key)
    }

    /// Notes which thread is closing the fd that the event is about, -1 for none.
    pub(crate) fn mark_closing(&mut self, tid: i64) {
        let (key, owner) = (self.applied.fd_key, self.applied.fd_owner);
        if let Some(owner) = owner.and_then(|slot| self.machine.threads.at_mut(slot)) {
            owner.fds.mark_closing(key, tid);
        }
    }

    /// The fd that the event is about.
    pub(crate) fn fd(&self) -> Option<&FdInfo> {
        self.machine.threads.at(self.applied.fd_owner?)?.fds.get(self.applied.fd_key)
    }

    /// Whether the call failed.
    #[inline]
    pub(crate) fn failed(&self) -> bool {
        self.applied.error != 0
    }

    /// Parameter `at` as a non-negative number: an fd, a pid or the result of a successful call.
    /// One that is missing or of a wrong size is counted.
    pub(crate) fn success(&mut self, at: usize) -> Option<i64> {
        match self.raw.int(at) {
            Some(value) => (value >= 0).then_some(value),
            None => {
                self.machine.counters.bad_params += 1;
                None
            }
        }
    }

    /// Makes `fd` the one that the event is about.
    pub(crate) fn set_event_fd(&mut self, fd: i64) {
        self.applied.fd_num = fd;
        self.applied.fd_key = fd;
        self.applied.fd_owner = self.main_slot();
        if let Some(thread) = self.thread_mut() {
            thread.call.fd = fd;
        }
    }

    /// Adds an fd to the process's table and makes it the event's own.
    ///
    /// An entry that was there is replaced. If another thread is just closing it, it waits in
    /// the side slot for that close to end, which must not remove the new one.
    pub(crate) fn add_fd(&mut self, fd: i64, info: FdInfo) {
        self.add_fd_shared(fd, Arc::new(info));
    }

    /// As [`Ctx::add_fd`], of an entry that may be shared with another table.
    pub(crate) fn add_fd_shared(&mut self, fd: i64, info: Arc<FdInfo>) {
        if fd < 0 || fd == CANCELLED_KEY {
            return;
        }
        let (tid, max_fds) = (self.raw.tid, self.max_fds);
        let Some(slot) = self.main_slot() else { return };
        let Some(owner) = self.machine.threads.at_mut(slot) else { return };
        if owner.fds.len() >= max_fds && owner.fds.get(fd).is_none() {
            self.machine.counters.fds_refused += 1;
            return;
        }
        let named = !info.name.is_empty();
        let budget = &self.machine.fd_budget;
        match owner.fds.insert(fd, info, budget) {
            // Without room for its side slot a close that is under way is as good as done.
            Ok(Some(old)) if old.closing_tid >= 0 && old.closing_tid != tid => {
                owner.fds.insert(CANCELLED_KEY, old, budget).ok();
            }
            Ok(_) => {}
            Err(Full) => {
                self.machine.counters.fds_refused += 1;
                return;
            }
        }
        self.set_event_fd(fd);
        self.applied.fd_renamed = named;
    }

    /// Does `work` and notes whether it changed the name of the event's fd.
    pub(crate) fn watch_name(&mut self, work: impl FnOnce(&mut Self)) {
        let before = self.fd().map(|fd| fd.name.clone());
        work(self);
        let after = self.fd().map(|fd| &fd.name);
        let renamed = before.as_ref() != after;
        self.applied.fd_renamed = renamed;
        if renamed
            && let Some(owner) = self.applied.fd_owner.and_then(|slot| self.machine.threads.at_mut(slot))
            && owner.fds.recharge(self.applied.fd_key).is_err()
        {
            self.machine.counters.fds_refused += 1;
        }
    }

    /// Removes an fd after this event.
    pub(crate) fn remove_fd_later(&mut self, first: i64, last: i64) {
        let Some(owner) = self.main_slot().and_then(|s| self.machine.threads.at(s)) else { return };
        self.deferred.fds = Some((owner.tid, first, last));
    }

    /// Keeps numbers and text of this enter for the exit. Text beyond PATH_MAX is cut.
    pub(crate) fn keep(&mut self, nums: [i64; 4], bytes: &[u8]) {
        let Some(thread) = self.thread_mut() else { return };
        thread.call.entered_is_fresh = true;
        let entered = thread.call.entered.get_or_insert_with(Box::default);
        let before = entered.bytes.capacity();
        entered.nums = nums;
        entered.bytes.clear();
        entered.bytes.extend_from_slice(&bytes[..bytes.len().min(Entered::MAX_BYTES)]);
        let grown = entered.bytes.capacity() - before;
        if grown > 0 {
            self.machine.threads.charge(grown + size_of::<Entered>());
        }
    }

    /// What the enter of this exit left, taken away; [`Ctx::give_back`] is to follow.
    pub(crate) fn take_entered(&mut self) -> Option<Box<Entered>> {
        if !self.applied.paired {
            return None;
        }
        self.thread_mut().filter(|t| t.call.entered_is_fresh)?.call.entered.take()
    }

    /// Puts back what [`Ctx::take_entered`] took.
    pub(crate) fn give_back(&mut self, entered: Option<Box<Entered>>) {
        if let (Some(entered), Some(thread)) = (entered, self.thread_mut()) {
            thread.call.entered = Some(entered);
        }
    }

    /// What the enter of this exit left; `None` where it was not seen.
    pub(crate) fn entered(&self) -> Option<&Entered> {
        if !self.applied.paired {
            return None;
        }
        let thread = self.thread().filter(|t| t.call.entered_is_fresh)?;
        thread.call.entered.as_deref()
    }
}
