//! Scheduling priority. On a machine whose CPUs are all busy a collector of normal priority gets
//! its share and no more, and the rings overflow meanwhile; raised, it runs when it has work.

/// Nice value of the thread that drains the rings: nothing it waits for may wait for others.
pub(crate) const DRAIN: i32 = -20;
/// Nice value of the threads behind it (state, compression, writing). Below the drain's, above
/// everybody else's: with only the drain raised the loss would move to the queue behind it.
pub const CONSUMER: i32 = -10;

/// The nice value of the calling thread.
#[expect(unsafe_code, reason = "std cannot read priorities")]
pub fn current() -> i32 {
    // SAFETY: takes and returns numbers. An error looks like the nice value -1, and does not occur.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Sets the nice value of the calling thread; threads that it starts afterwards inherit it. Where
/// that is refused (no CAP_SYS_NICE) things stay as they are: it only makes loss likelier.
#[expect(unsafe_code, reason = "std cannot set priorities")]
pub fn raise(nice: i32) {
    // SAFETY: takes and returns numbers; 0 means the calling thread (setpriority(2), NPTL).
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}
