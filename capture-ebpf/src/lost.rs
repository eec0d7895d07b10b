//! The lane's list of processes whose state changed unseen (`capture_common::abi::LostHead`).

use crate::read::{ld8, now_ns, st8};
use capture_common::abi::{LANE_LOST_OFFSET, LANE_TAIL_OFFSET, LOST_ENTRIES, LaneTail, LostEntry, LostHead};
use core::mem::offset_of;

macro_rules! word {
    ($lane:expr, $field:ident) => {
        ld8($lane as u64, (LANE_LOST_OFFSET + offset_of!(LostHead, $field)) as u64)
    };
    ($lane:expr, $field:ident = $value:expr) => {
        st8($lane, LANE_LOST_OFFSET + offset_of!(LostHead, $field), $value)
    };
}

/// Entry `n` of the lane's list.
#[inline(always)]
fn entry(lane: *mut u8, n: u64) -> *mut u8 {
    let at = (n & (LOST_ENTRIES as u64 - 1)) as usize * LostEntry::LEN_BYTES;
    // SAFETY: the mask keeps the entry inside the lane's first page.
    unsafe { lane.add(LANE_LOST_OFFSET + LostHead::LEN_BYTES).add(at) }
}

/// Notes that a record about the state of process `pid` is lost. The lane is busy: nobody else writes.
#[inline(always)]
pub(crate) fn note(lane: *mut u8, pid: u64) {
    let now = now_ns();
    let made = word!(lane, made);
    if made != 0 {
        // The reader looks at the newest entry again even after it took it.
        let newest = entry(lane, made - 1);
        if ld8(newest as u64, offset_of!(LostEntry, pid) as u64) == pid {
            st8(newest, offset_of!(LostEntry, last_ts_ns), now);
            return;
        }
    }
    let taken = ld8(lane as u64, (LANE_TAIL_OFFSET + offset_of!(LaneTail, lost_taken)) as u64);
    if made - taken >= LOST_ENTRIES as u64 - 1 {
        word!(lane, overflow_last_ts_ns = now);
        word!(lane, overflown = word!(lane, overflown) + 1);
        return;
    }
    let new = entry(lane, made);
    st8(new, offset_of!(LostEntry, pid), pid);
    st8(new, offset_of!(LostEntry, first_ts_ns), now);
    st8(new, offset_of!(LostEntry, last_ts_ns), now);
    // Behind the entry: x86 keeps stores in order, and elsewhere the swap of `busy` that follows a
    // look at an idle lane does.
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    word!(lane, made = made + 1);
}
