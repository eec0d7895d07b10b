//! Reads the lanes: the memory that the probe's programs write records into. The only place that
//! touches that memory; everything it hands out is a view of published records.

use super::{error::LiveError, mapping::Mapping, merge::LaneLook, object::lane_bytes};
use capture_common::abi::{self, LaneHead, LaneTail, LostEntry, LostHead, RecordHeader};
use std::{
    mem::offset_of,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

/// Consumed bytes after which room is given back to the probe in the middle of a drain.
const GIVE_BACK_BYTES: u64 = 256 << 10;
/// Looks at a lane that has just begun a record, before it counts as held up.
const BUSY_LOOKS: u32 = 200;

/// The counters of a lane head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) seen: u64,
    pub(crate) dropped: u64,
    pub(crate) dropped_stateful: u64,
    pub(crate) dropped_enters: u64,
    pub(crate) nested_lost: u64,
    pub(crate) self_excluded: u64,
    pub(crate) filtered: u64,
    pub(crate) left_out: u64,
}

/// What is no longer known, records having been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The state of any process.
    All,
    /// The state of a process.
    Process(u32),
    /// Which exit belongs to which enter.
    Pairs,
}

/// Records were lost: at these times, nobody knows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostState {
    pub(crate) what: Unknown,
    /// First and last time, CLOCK_MONOTONIC ns.
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

/// The reader of one lane.
#[derive(Debug)]
pub(crate) struct LaneReader {
    base: NonNull<u8>,
    mask: u64,
    /// CPU and level, for messages.
    pub(crate) cpu: u32,
    pub(crate) level: u32,
    /// Published and not yet read: `pos..head`.
    pos: u64,
    head: u64,
    /// What the probe was told is free again.
    tail: u64,
    /// Time of the last record read.
    last_ts: u64,
    /// Set when the lane holds garbage: it is not read any more.
    broken: bool,
    /// Entries taken of the list of lost state, the end of the newest of them, and the losses taken
    /// that had no entry.
    lost_taken: u64,
    lost_last_ns: u64,
    lost_overflown: u64,
    /// Losses seen, and looks that saw more than the one before.
    dropped_seen: u64,
    looks: u64,
}

// SAFETY: as `Mapping`; there is one reader of each lane.
#[expect(unsafe_code, reason = "points into a mapping that any thread may use")]
unsafe impl Send for LaneReader {}

impl LaneReader {
    /// The readers of all lanes in `memory`, by slot and level.
    #[expect(unsafe_code, reason = "pointers into the mapping")]
    pub(crate) fn all(memory: &Mapping, ring_bytes: u64, cpus: &[u32]) -> Vec<Self> {
        let lane = |i: usize| Self {
            // SAFETY: lane `i` lies inside the mapping, which has `cpus * LANES_PER_CPU` lanes.
            base: unsafe { memory.base().add(i * lane_bytes(ring_bytes) as usize) },
            mask: ring_bytes - 1,
            cpu: cpus[i / abi::LANES_PER_CPU],
            level: (i % abi::LANES_PER_CPU) as u32,
            pos: 0,
            head: 0,
            tail: 0,
            last_ts: 0,
            broken: false,
            lost_taken: 0,
            lost_last_ns: 0,
            lost_overflown: 0,
            dropped_seen: 0,
            looks: 0,
        };
        (0..cpus.len() * abi::LANES_PER_CPU).map(lane).collect()
    }

    #[expect(unsafe_code, reason = "shared memory, read and written as atomics")]
    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: an aligned word of the lane's first two pages; both sides use it atomically.
        unsafe { self.base.add(offset).cast::<AtomicU64>().as_ref() }
    }

    fn busy(&self) -> u64 {
        self.word(offset_of!(LaneHead, busy)).load(Ordering::SeqCst)
    }

    /// Looks at the lane: state first, then what is published (the other way round, a record
    /// published in between would be missed while the lane already looks idle).
    pub(crate) fn look(&mut self) -> LaneLook {
        let mut busy = self.busy();
        for _ in 0..BUSY_LOOKS {
            if busy != 1 {
                break;
            }
            std::hint::spin_loop();
            busy = self.busy();
        }
        self.head = self.word(offset_of!(LaneHead, head)).load(Ordering::Acquire);
        let last_published_ts = if busy == 1 { self.last_pending_ts() } else { self.last_ts };
        LaneLook { busy, last_published_ts }
    }

    /// Time of the newest published record.
    fn last_pending_ts(&self) -> u64 {
        let (mut at, mut ts) = (self.pos, self.last_ts);
        // A length that no probe writes ends the walk; `next` reports it when it gets there.
        while let Some(header) = self.header_at(at)
            && header.len as usize >= RecordHeader::LEN_BYTES
        {
            ts = header.ts_ns;
            at += u64::from(header.len);
        }
        ts
    }

    /// Unread bytes as a part of the ring's size.
    pub(crate) fn fill(&self) -> f64 {
        (self.head - self.pos) as f64 / (self.mask + 1) as f64
    }

    /// The header at stream position `at`; `None` at the end.
    fn header_at(&self, at: u64) -> Option<RecordHeader> {
        if at >= self.head || self.broken {
            return None;
        }
        RecordHeader::read(self.bytes(at, RecordHeader::LEN_BYTES))
    }

    #[expect(unsafe_code, reason = "a view of published bytes in shared memory")]
    fn bytes(&self, at: u64, len: usize) -> &[u8] {
        // SAFETY: `at` is below `head`, so the bytes are published, and the probe does not touch
        // them before `tail` passes them. A record is at most RECORD_MAX long (checked by the
        // callers), which the slack behind the data covers.
        unsafe {
            std::slice::from_raw_parts(
                self.base.as_ptr().add(abi::LANE_DATA_OFFSET).add((at & self.mask) as usize),
                len,
            )
        }
    }

    /// The next record's header.
    pub(crate) fn peek(&mut self) -> Option<RecordHeader> {
        self.header_at(self.pos)
    }

    /// The next record's bytes; steps over it. `None` at the end, and an error once when the lane
    /// holds something that no probe writes.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, LiveError> {
        if self.pos - self.tail >= GIVE_BACK_BYTES {
            self.give_back();
        }
        let Some(header) = self.peek() else { return Ok(None) };
        let (at, len) = (self.pos, header.len);
        let whole = u64::from(len) <= self.head - at
            && (RecordHeader::LEN_BYTES..=abi::RECORD_MAX).contains(&(len as usize))
            && len % 8 == 0;
        if !whole {
            self.broken = true;
            return Err(LiveError::BadRecord { cpu: self.cpu, level: self.level, offset: at, len });
        }
        self.pos += u64::from(len);
        self.last_ts = header.ts_ns;
        Ok(Some(self.bytes(at, len as usize)))
    }

    /// Tells the probe that everything read so far is free again.
    pub(crate) fn give_back(&mut self) {
        if self.tail != self.pos {
            self.tail = self.pos;
            self.word(abi::LANE_TAIL_OFFSET).store(self.pos, Ordering::Release);
        }
    }

    /// Hands out what is new of the processes whose state changed in records that were lost, up to the
    /// last [`LaneReader::look`]; `since_ns` is the time of the one before.
    pub(crate) fn lost_state(&mut self, since_ns: u64, each: &mut dyn FnMut(LostState)) {
        const HEAD: usize = abi::LANE_LOST_OFFSET;
        let made = self.word(HEAD + offset_of!(LostHead, made)).load(Ordering::Acquire);
        let overflown = self.word(HEAD + offset_of!(LostHead, overflown)).load(Ordering::Acquire);
        if made == 0 && overflown == self.lost_overflown {
            return;
        }
        if self.lost_taken > 0 {
            // The newest one taken may have grown since.
            let entry = self.lost_entry(self.lost_taken - 1);
            if entry.until_ns > self.lost_last_ns {
                each(LostState { from_ns: self.lost_last_ns, ..entry });
                self.lost_last_ns = entry.until_ns;
            }
        }
        let first = self.lost_taken.max(made.saturating_sub(abi::LOST_ENTRIES as u64));
        for n in first..made {
            let entry = self.lost_entry(n);
            each(entry);
            self.lost_last_ns = entry.until_ns;
        }
        if overflown != self.lost_overflown {
            self.lost_overflown = overflown;
            let last = self.word(HEAD + offset_of!(LostHead, overflow_last_ts_ns)).load(Ordering::Relaxed);
            each(LostState { what: Unknown::All, from_ns: since_ns.min(last), until_ns: last });
        }
        if made != self.lost_taken {
            self.lost_taken = made;
            let at = abi::LANE_TAIL_OFFSET + offset_of!(LaneTail, lost_taken);
            self.word(at).store(made, Ordering::Release);
        }
    }

    /// Time of the first loss since the call before, CLOCK_MONOTONIC ns; `since_ns` is the time of that one.
    pub(crate) fn loss_began(&mut self, since_ns: u64) -> Option<u64> {
        let dropped = self.word(offset_of!(LaneHead, dropped)).load(Ordering::Acquire);
        if dropped == self.dropped_seen {
            return None;
        }
        self.dropped_seen = dropped;
        if self.word(offset_of!(LaneHead, loss_look)).load(Ordering::Acquire) != self.looks + 1 {
            // They happened while the lane was looked at.
            return Some(since_ns);
        }
        let began_ns = self.word(offset_of!(LaneHead, loss_began_ts_ns)).load(Ordering::Relaxed);
        self.looks += 1;
        let at = abi::LANE_TAIL_OFFSET + offset_of!(LaneTail, looks);
        self.word(at).store(self.looks, Ordering::Release);
        Some(began_ns)
    }

    fn lost_entry(&self, n: u64) -> LostState {
        let index = (n & (abi::LOST_ENTRIES as u64 - 1)) as usize;
        let at = abi::LANE_LOST_OFFSET + LostHead::LEN_BYTES + index * LostEntry::LEN_BYTES;
        let read = |offset| self.word(at + offset).load(Ordering::Relaxed);
        LostState {
            what: Unknown::Process(read(offset_of!(LostEntry, pid)) as u32),
            from_ns: read(offset_of!(LostEntry, first_ts_ns)),
            until_ns: read(offset_of!(LostEntry, last_ts_ns)),
        }
    }

    /// The counters as they are now.
    pub(crate) fn counters(&self) -> Counters {
        let read = |offset| self.word(offset).load(Ordering::Relaxed);
        Counters {
            seen: read(offset_of!(LaneHead, seen)),
            dropped: read(offset_of!(LaneHead, dropped)),
            dropped_stateful: read(offset_of!(LaneHead, dropped_stateful)),
            dropped_enters: read(offset_of!(LaneHead, dropped_enters)),
            nested_lost: read(offset_of!(LaneHead, nested_lost)),
            self_excluded: read(offset_of!(LaneHead, self_excluded)),
            filtered: read(offset_of!(LaneHead, filtered)),
            left_out: read(offset_of!(LaneHead, left_out)),
        }
    }
}
