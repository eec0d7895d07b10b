//! What probe and collector share of processes and threads beside records: which are in the watched tree, and
//! what the filter says of them.

use super::Wire;

/// States of a process in the probe's map TREE: the processes that a capture is limited to, by
/// process id. What is not in the map is not recorded.
pub mod tree_state {
    /// Recorded.
    pub const ALIVE: u32 = 1;
    /// The command to be watched, before its exec: recorded from the enter of that on.
    pub const HELD: u32 = 2;
    /// Its last thread has ended, or is about to; the entry goes when the kernel frees the process.
    pub const DEAD: u32 = 3;
}

/// Words of the probe's map TREE_WORDS.
pub mod tree_word {
    /// Not 0: the next process that capture itself makes is the command (HELD). The probe sets it
    /// back to 0.
    pub const ARMED: u32 = 0;
    /// Processes that did not fit TREE, and are not recorded.
    pub const LOST: u32 = 1;
    /// Number of words.
    pub const COUNT: u32 = 2;
}

wire_struct! {
/// A place in the probe's map THREADS, by thread id modulo its size: the class of a thread by what the
/// filter says of it alone. The class holds while `verdict` and `changed` agree in all but the lowest
/// three bits, which in `verdict` are the class and in `changed` are 0.
ThreadSlot: 32 {
    /// Thread that has the place; 0: it is free. The probe gives it away at birth, or at the first
    /// record of a thread that was there before, and takes it back at the end.
    owner: u64,
    /// When the thread last changed: time of the record that tells, CLOCK_MONOTONIC ns;
    /// [`CHANGING`]: such a record is being written.
    changed: u64,
    /// The collector's, or the probe's own where it knows the class by the thread's key.
    verdict: u64,
    /// Probe-private: not 0 where the thread's exec changes what its children are.
    pending: u64,
}}

/// Bits of a class in [`ThreadSlot::verdict`].
pub const CLASS_MASK: u64 = 7;
/// Class of a thread that is not known.
pub const CLASS_UNKNOWN: u64 = 7;
/// A time that never comes.
pub const CHANGING: u64 = !CLASS_MASK;
/// Largest number of places in THREADS, a power of two.
pub const THREADS_MAX: u32 = 1 << 16;
/// Largest number of keys.
pub const KEYS_MAX: u32 = 1 << 14;

/// Words of the probe's map FILTER_WORDS.
pub mod filter_word {
    /// When threads last changed that no record names (children of a program that another one
    /// replaced, orphans, processes that were moved to another cgroup); as `ThreadSlot::changed`.
    pub const CHANGED: u32 = 0;
    /// Written by the collector: the value of CHANGED for which all classes hold. They hold only
    /// while both are equal.
    pub const SETTLED: u32 = 1;
    /// Calls under way that moved a process to another cgroup.
    pub const MOVES: u32 = 2;
    /// Number of words.
    pub const COUNT: u32 = 3;
}
