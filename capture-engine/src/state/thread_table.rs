//! [`ThreadTable`]: threads by tid, in slots that stay valid until the thread is removed.
//!
//! Invariant: every tid in the index points to an occupied slot whose thread has that tid, and
//! no more than the limit are held. Who adds one to a full table makes room first:
//! `ThreadTable::idlest`. The version changes with the threads and with all that is known of them but
//! what every call changes (times, counts, memory); whoever changes such a thing in place says so:
//! `ThreadTable::touch`.
//!
//! Memory has a limit, too. Threads share most of their text, so what they take is not known from
//! moment to moment: everything that is added raises an upper bound, and where that passes the limit the
//! threads are measured, at the next event at the latest.

use super::thread::{Thread, thread_flags};
use super::version;
use rustc_hash::FxHashMap;

/// Where a thread stands in the table. Valid until the next event is applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ThreadSlot(pub(crate) u32);

/// Threads by tid.
#[derive(Debug)]
pub struct ThreadTable {
    slots: Vec<Option<Box<Thread>>>,
    free: Vec<u32>,
    index: FxHashMap<i64, u32>,
    limit: usize,
    limit_bytes: usize,
    /// No less than what the threads take.
    bound_bytes: usize,
    /// Where the next search for an idle thread begins.
    hand: usize,
    /// The last thread looked up: events of one thread come in runs.
    last: (i64, u32),
    version: u64,
}

impl ThreadTable {
    /// An empty table for at most `limit` threads, which take at most `limit_bytes`.
    pub fn new(limit: usize, limit_bytes: usize) -> Self {
        ThreadTable {
            slots: Vec::new(),
            free: Vec::new(),
            index: FxHashMap::default(),
            limit: limit.min(u32::MAX as usize - 1),
            limit_bytes,
            bound_bytes: 0,
            hand: 0,
            last: (i64::MIN, 0),
            version: version::first_of_range(),
        }
    }

    /// A number that stays as long as nothing changes in what is known of the processes.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Something changes in what is known of the processes.
    #[inline]
    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    /// Number of threads.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether another thread would find no room.
    pub(crate) fn is_full(&self) -> bool {
        self.index.len() >= self.limit
    }

    /// Notes that a thread got so many bytes of text.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.bound_bytes = self.bound_bytes.saturating_add(bytes);
    }

    /// Whether the threads may take more than the limit: [`ThreadTable::weigh`] knows.
    #[inline]
    pub(crate) fn may_be_heavy(&self) -> bool {
        self.bound_bytes > self.limit_bytes
    }

    /// Measures what the threads take; the answer is by how many bytes that is too much. Where it is,
    /// an eighth of the limit is asked for besides, so that not every event leads here.
    #[cold]
    pub(crate) fn weigh(&mut self) -> usize {
        self.bound_bytes = self.iter().map(|thread| thread.cost_bytes(true)).sum();
        if !self.may_be_heavy() {
            return 0;
        }
        self.bound_bytes - (self.limit_bytes - self.limit_bytes / 8)
    }

    /// A thread that can be spared: of some that are looked at in turn the one that has ended, or else
    /// has been idle longest. Those in `keep` are spared that fate.
    pub(crate) fn idlest(&mut self, keep: &[i64]) -> Option<i64> {
        /// Threads to choose from, and slots to look at for them.
        const CHOICE: usize = 16;
        let looked_at = (0..self.slots.len()).map(|step| (self.hand + step) % self.slots.len());
        let threads = looked_at.filter_map(|at| Some((at, self.slots[at].as_deref()?)));
        let choice = threads.filter(|(_, thread)| !keep.contains(&thread.tid)).take(CHOICE);
        let rank = |thread: &Thread| {
            let lives = thread.flags & thread_flags::CLOSED == 0;
            (lives, thread.last_event_ts_ns.max(thread.clone_ts_ns))
        };
        let (mut last, mut found) = (self.hand, None);
        for (at, thread) in choice {
            last = at;
            if found.is_none_or(|best: &Thread| rank(thread) < rank(best)) {
                found = Some(thread);
            }
        }
        let tid = found.map(|thread| thread.tid);
        self.hand = last + 1;
        tid
    }

    /// The slot of a thread.
    #[inline]
    pub fn slot(&self, tid: i64) -> Option<ThreadSlot> {
        if self.last.0 == tid {
            return Some(ThreadSlot(self.last.1));
        }
        self.index.get(&tid).map(|&slot| ThreadSlot(slot))
    }

    /// As [`ThreadTable::slot`], and remembers the answer for the next look-up.
    #[inline]
    pub(crate) fn slot_cached(&mut self, tid: i64) -> Option<ThreadSlot> {
        if self.last.0 == tid {
            return Some(ThreadSlot(self.last.1));
        }
        let slot = *self.index.get(&tid)?;
        self.last = (tid, slot);
        Some(ThreadSlot(slot))
    }

    /// The thread in a slot; `None` once it is gone.
    #[inline]
    pub fn at(&self, slot: ThreadSlot) -> Option<&Thread> {
        self.slots.get(slot.0 as usize)?.as_deref()
    }

    /// The thread in a slot, to change.
    #[inline]
    pub(crate) fn at_mut(&mut self, slot: ThreadSlot) -> Option<&mut Thread> {
        self.slots.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    /// The thread with this tid.
    #[inline]
    pub fn get(&self, tid: i64) -> Option<&Thread> {
        self.at(self.slot(tid)?)
    }

    /// The thread with this tid, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, tid: i64) -> Option<&mut Thread> {
        self.at_mut(self.slot(tid)?)
    }

    /// All threads, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.slots.iter().filter_map(|t| t.as_deref())
    }

    pub(crate) fn for_each_mut(&mut self, mut f: impl FnMut(&mut Thread)) {
        self.touch();
        self.slots.iter_mut().filter_map(|t| t.as_deref_mut()).for_each(&mut f);
    }

    /// Adds a thread, replacing one of the same tid. `None` where the table is full.
    pub(crate) fn insert(&mut self, thread: Thread) -> Option<ThreadSlot> {
        let tid = thread.tid;
        self.charge(thread.cost_bytes(false));
        self.touch();
        if let Some(slot) = self.slot(tid) {
            self.slots[slot.0 as usize] = Some(Box::new(thread));
            return Some(slot);
        }
        if self.index.len() >= self.limit {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(Box::new(thread));
                slot
            }
            None => {
                self.slots.push(Some(Box::new(thread)));
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(tid, slot);
        Some(ThreadSlot(slot))
    }

    /// Removes a thread.
    pub(crate) fn remove(&mut self, tid: i64) -> Option<Box<Thread>> {
        let slot = self.index.remove(&tid)?;
        self.touch();
        if self.last.0 == tid {
            self.last = (i64::MIN, 0);
        }
        self.free.push(slot);
        self.slots[slot as usize].take()
    }
}
