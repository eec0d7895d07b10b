//! Writing records into the lanes (layout: `capture_common::abi`).
//!
//! A record is begun (`begin`: lane taken, room checked, time read, header written), filled in
//! place, and published by a store to `head` (`publish`). Between the two the lane is `busy`; a
//! program that interrupts it takes the CPU's second lane, and counts a loss when that is busy too.

use crate::{
    config::ro,
    lost,
    maps::{CPU_SLOT, LANES, NO_RING},
    read::{cpu, ld8, now_ns, st4, st8},
};
use capture_common::abi::{self, LaneHead, LaneTail, LossFixed, RecordHeader, SectionHeader, flag};
use core::mem::offset_of;

/// A record in progress.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Its lane.
    pub(crate) lane: *mut u8,
    /// Its first byte.
    pub(crate) start: *mut u8,
    /// Nesting level of the lane.
    pub(crate) level: u32,
}

/// The lanes of the running CPU.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    pub(crate) level0: *mut u8,
    slot: u32,
}

/// What is lost when the record finds no room.
#[derive(Clone, Copy)]
pub(crate) enum Class {
    /// An enter; its exit says again what it says.
    Enter,
    /// An enter of which that does not hold.
    StateEnter,
    /// Later events are understood without it.
    Plain,
    /// It changes state: lost last.
    State,
}

impl Class {
    /// The fill in bytes above which it is lost: what changes state has the whole ring.
    #[inline(always)]
    fn limit(self) -> u64 {
        match self {
            Class::StateEnter | Class::State => ro!(FULL_LIMIT),
            Class::Enter | Class::Plain => ro!(SHED_LIMIT),
        }
    }
}

macro_rules! head {
    ($lane:expr, $field:ident) => {
        ld8($lane as u64, offset_of!(LaneHead, $field) as u64)
    };
    ($lane:expr, $field:ident = $value:expr) => {
        st8($lane, offset_of!(LaneHead, $field), $value)
    };
    ($lane:expr, $field:ident += $value:expr) => {
        head!($lane, $field = head!($lane, $field) + $value)
    };
}
pub(crate) use head;

/// Swaps a word of a lane head, fully ordered.
#[inline(always)]
fn xchg(lane: *mut u8, offset: usize, value: u64) -> u64 {
    // SAFETY: `offset` is that of an aligned word of LaneHead. BPF has no atomic swap in
    // `core::sync::atomic`.
    unsafe {
        core::intrinsics::atomic_xchg::<u64, { core::intrinsics::AtomicOrdering::SeqCst }>(
            lane.add(offset).cast(),
            value,
        )
    }
}

/// Makes everything written so far visible before the new `head`. x86 keeps stores in order, so a
/// plain one does; elsewhere a swap is the barrier that every kernel has.
#[inline(always)]
fn set_head(lane: *mut u8, end: u64) {
    if cfg!(bpf_target_arch = "x86_64") {
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        head!(lane, head = end);
    } else {
        xchg(lane, offset_of!(LaneHead, head), end);
    }
}

#[inline(always)]
fn cpu_slot() -> u32 {
    let slot = cpu();
    if ro!(USE_SLOTS) == 0 {
        return slot;
    }
    match CPU_SLOT.get(slot) {
        Some(slot) => *slot,
        None => u32::MAX,
    }
}

/// A word of the running CPU's for `plain`, outside of any record; `None` where it has no ring.
#[inline(always)]
pub(crate) fn scratch() -> Option<*mut u64> {
    let lane: *mut u8 = LANES.get_ptr_mut(cpu_slot().wrapping_mul(2))?.cast();
    // SAFETY: a word of the lane head.
    Some(unsafe { lane.add(offset_of!(LaneHead, scratch)) }.cast())
}

/// The running CPU's lanes; a CPU without a ring counts one lost record.
#[inline(always)]
pub(crate) fn lanes() -> Option<Lanes> {
    let slot = cpu_slot();
    match LANES.get_ptr_mut(slot.wrapping_mul(2)) {
        Some(lane) => Some(Lanes { level0: lane.cast(), slot }),
        None => {
            if let Some(lost) = NO_RING.get_ptr_mut(0) {
                // SAFETY: a per-CPU word.
                unsafe { *lost += 1 };
            }
            None
        }
    }
}

/// Takes the first free lane; `None` counts a nested loss.
#[inline(always)]
fn take(lanes: Lanes) -> Option<(*mut u8, u32)> {
    const BUSY: usize = offset_of!(LaneHead, busy);
    if head!(lanes.level0, busy) == 0 && xchg(lanes.level0, BUSY, 1) == 0 {
        return Some((lanes.level0, 0));
    }
    if let Some(lane) = LANES.get_ptr_mut(lanes.slot.wrapping_mul(2) + 1) {
        let lane: *mut u8 = lane.cast();
        if head!(lane, busy) == 0 && xchg(lane, BUSY, 1) == 0 {
            // A collector of the lane below, interrupted right now, must not take it for its own
            // because of a record that its task once had here (see `resume`).
            head!(lane, owner = 0);
            return Some((lane, 1));
        }
    }
    head!(lanes.level0, nested_lost += 1);
    None
}

/// Begins a record of `kind` for thread `ids` (`pid << 32 | tid`); `None`: lost and counted.
#[inline(always)]
pub(crate) fn begin(lanes: Lanes, class: Class, what: u64, ids: u64) -> Option<Record> {
    let (lane, level) = take(lanes)?;
    head!(lane, seen += 1);
    let mut at = head!(lane, head);
    let used = at.wrapping_sub(ld8(lane as u64, abi::LANE_TAIL_OFFSET as u64));
    if used > class.limit() {
        lose(lane, class, ids);
        return None;
    }
    let ts_ns = now_ns();
    head!(lane, busy = ts_ns);
    if head!(lane, dropped) != head!(lane, marked) {
        at = mark_loss(lane, at, ts_ns);
    }
    let start = data(lane, at);
    // The length is written by `publish`, in the lower half of the first word.
    st8(start, 0, what << 32);
    st8(start, offset_of!(RecordHeader, ts_ns), ts_ns);
    st8(start, offset_of!(RecordHeader, tid), ids);
    Some(Record { lane, start, level })
}

/// The upper half of a record's first word.
#[inline(always)]
pub(crate) fn what(kind: u8, flags: u64, nr: u64) -> u64 {
    kind as u64 | flags << 8 | (nr & 0xffff) << 16
}

#[inline(always)]
fn data(lane: *mut u8, at: u64) -> *mut u8 {
    let offset = (at & ro!(RING_MASK)) as usize;
    // SAFETY: the mask keeps the offset inside the data; the slack holds the largest record.
    unsafe { lane.add(abi::LANE_DATA_OFFSET).add(offset) }
}

/// The record that a tail-called collector goes on with.
#[inline(always)]
pub(crate) fn resume(lanes: Lanes, task: u64) -> Option<Record> {
    let mut lane = lanes.level0;
    let mut level = 0;
    if let Some(second) = LANES.get_ptr_mut(lanes.slot.wrapping_mul(2) + 1) {
        let second: *mut u8 = second.cast();
        if head!(second, busy) != 0 && head!(second, owner) == task {
            lane = second;
            level = 1;
        }
    }
    Some(Record { lane, start: data(lane, head!(lane, head)), level })
}

#[inline(always)]
fn lose(lane: *mut u8, class: Class, ids: u64) {
    let look = ld8(lane as u64, (abi::LANE_TAIL_OFFSET + offset_of!(LaneTail, looks)) as u64) + 1;
    if head!(lane, loss_look) != look {
        // Before `dropped`, by which the collector finds out.
        head!(lane, loss_began_ts_ns = now_ns());
        head!(lane, loss_look = look);
    }
    head!(lane, dropped += 1);
    if let Class::Enter | Class::StateEnter = class {
        head!(lane, dropped_enters += 1);
    }
    if let Class::StateEnter | Class::State = class {
        head!(lane, dropped_stateful += 1);
        lost::note(lane, ids >> 32);
    }
    if head!(lane, loss_first_ts_ns) == 0 {
        head!(lane, loss_first_ts_ns = now_ns());
    }
    head!(lane, busy = 0);
}

/// Publishes a LOSS record for what was lost since the last one; returns the head behind it.
#[inline(always)]
fn mark_loss(lane: *mut u8, at: u64, ts_ns: u64) -> u64 {
    const FIXED: usize = RecordHeader::LEN_BYTES;
    const LEN: usize = FIXED + LossFixed::LEN_BYTES;
    let (dropped, stateful, enters) =
        (head!(lane, dropped), head!(lane, dropped_stateful), head!(lane, dropped_enters));
    let record = data(lane, at);
    st8(record, 0, what(abi::kind::LOSS, 0, 0) << 32 | LEN as u64);
    st8(record, offset_of!(RecordHeader, ts_ns), ts_ns);
    st8(record, offset_of!(RecordHeader, tid), 0);
    st8(record, FIXED + offset_of!(LossFixed, count), dropped - head!(lane, marked));
    st8(record, FIXED + offset_of!(LossFixed, stateful), stateful - head!(lane, marked_stateful));
    st8(record, FIXED + offset_of!(LossFixed, enters), enters - head!(lane, marked_enters));
    st8(record, FIXED + offset_of!(LossFixed, first_ts_ns), head!(lane, loss_first_ts_ns));
    st8(record, FIXED + offset_of!(LossFixed, seen), head!(lane, seen));
    head!(lane, marked = dropped);
    head!(lane, marked_stateful = stateful);
    head!(lane, marked_enters = enters);
    head!(lane, loss_first_ts_ns = 0);
    let end = at + LEN as u64;
    set_head(lane, end);
    end
}

impl Record {
    /// Its time.
    #[inline(always)]
    pub(crate) fn ts_ns(self) -> u64 {
        ld8(self.start as u64, offset_of!(RecordHeader, ts_ns) as u64)
    }

    /// Publishes the record with the `len` bytes written so far, a multiple of 8.
    #[inline(always)]
    pub(crate) fn publish(self, len: u64) {
        st4(self.start, 0, len as u32);
        let end = head!(self.lane, head) + len;
        set_head(self.lane, end);
        head!(self.lane, busy = 0);
    }

    /// Publishes the record up to the last section.
    #[inline(always)]
    pub(crate) fn publish_sections(self) {
        self.publish(head!(self.lane, pos));
    }

    /// Starts the sections behind `len` bytes of fixed part.
    #[inline(always)]
    pub(crate) fn start_sections(self, len: usize) {
        head!(self.lane, pos = len as u64);
    }

    /// Where the next section's header goes; `None` (and TRUNCATED) when the record is full.
    #[inline(always)]
    pub(crate) fn section(self) -> Option<*mut u8> {
        let pos = head!(self.lane, pos);
        if pos > abi::SECTION_START_MAX as u64 {
            let flags = offset_of!(RecordHeader, flags);
            crate::read::st1(
                self.start,
                flags,
                crate::read::ld1(self.start as u64, flags as u64) | flag::TRUNCATED,
            );
            return None;
        }
        // SAFETY: bounded just above; the slack covers it and the largest section.
        Some(unsafe { self.start.add(pos as usize) })
    }

    /// Ends the section that began at `at` with `len` data bytes.
    #[inline(always)]
    pub(crate) fn end_section(self, at: *mut u8, tag: u8, arg: u64, flags: u16, len: u64) {
        st8(at, 0, tag as u64 | arg << 8 | (flags as u64) << 16 | len << 32);
        head!(self.lane, pos += SectionHeader::LEN_BYTES as u64 + ((len + 7) & !7));
    }
}

/// Data of the section that begins at `at`.
#[inline(always)]
pub(crate) fn body(at: *mut u8) -> *mut u8 {
    // SAFETY: the verifier checks every use.
    unsafe { at.add(SectionHeader::LEN_BYTES) }
}
