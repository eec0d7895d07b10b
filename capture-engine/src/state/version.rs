//! Numbers by which a state is known again: those of fds and of the processes as a whole.
//!
//! Invariant: in one process of this program no number is given twice, also not by two machines.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that one counter may give: 2^40 changes of one machine.
const RANGE: u64 = 1 << 40;

/// The first number of a range that belongs to the caller.
pub(crate) fn first_of_range() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(RANGE, Ordering::Relaxed)
}
