//! The probe's maps and the memory layout of what is in them.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, ProgramArray},
};
use capture_common::{abi, plan, uring};
use core::ptr::{read_volatile, write_volatile};

/// Ring bytes the object is built for; the loader patches the map's value size to what it wants.
pub(crate) const RING_LEN: usize = 1 << 20;

/// A lane with the ring size of the object as built.
#[repr(C)]
pub(crate) struct Lane {
    bytes: [u64; (abi::LANE_DATA_OFFSET + RING_LEN + abi::LANE_SLACK) / 8],
}

const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Two lanes per slot: `slot * 2 + level`.
#[map]
pub(crate) static LANES: Array<Lane> = Array::with_max_entries(2, BPF_F_MMAPABLE);

/// CPU number to slot, used where online CPUs are not 0..n; `u32::MAX`: the CPU has no ring.
#[map]
pub(crate) static CPU_SLOT: Array<u32> = Array::with_max_entries(1, 0);

/// Records lost on CPUs without a ring.
#[map]
pub(crate) static NO_RING: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// First ia32 row of [`PLAN`].
pub(crate) const COMPAT_ROWS: u64 = 512;

/// The copy plan: native rows 0..512, ia32 rows 512..1024. The last row of each half is for
/// numbers beyond the table.
#[map]
pub(crate) static PLAN: Array<plan::PlanRow> = Array::with_max_entries(1024, 0);

/// Special collectors of sys_enter, by `plan::special`.
#[map]
pub(crate) static ENTER_TAILS: ProgramArray = ProgramArray::with_max_entries(16, 0);

/// Special collectors of sys_exit, by `plan::special`.
#[map]
pub(crate) static EXIT_TAILS: ProgramArray = ProgramArray::with_max_entries(16, 0);

/// What io_uring operations are as calls, by operation number.
#[map]
pub(crate) static URING: Array<uring::UringRow> = Array::with_max_entries(uring::ROWS_MAX as u32, 0);

/// Special collectors of io_uring submissions, by `plan::special`.
#[map]
pub(crate) static SUBMIT_TAILS: ProgramArray = ProgramArray::with_max_entries(16, 0);

/// Special collectors of io_uring completions, by `plan::special`.
#[map]
pub(crate) static DONE_TAILS: ProgramArray = ProgramArray::with_max_entries(16, 0);

/// Working memory too large for the stack, one per lane level.
#[repr(C)]
pub(crate) struct Scratch {
    /// Two halves: paths are built right to left in the first.
    pub(crate) bytes: [u64; 2048],
    /// Loop-carried numbers: kept here so that the verifier forgets them and loop states converge.
    pub(crate) loop_state: [u64; 8],
}

/// Loop-carried number `n`.
#[inline(always)]
pub(crate) fn get(scratch: *mut Scratch, n: usize) -> u64 {
    // SAFETY: `n` is a constant below 8.
    unsafe { read_volatile(&raw const (*scratch).loop_state[n]) }
}

/// Sets loop-carried number `n`.
#[inline(always)]
pub(crate) fn set(scratch: *mut Scratch, n: usize, value: u64) {
    // SAFETY: `n` is a constant below 8.
    unsafe { write_volatile(&raw mut (*scratch).loop_state[n], value) }
}

/// Scratch of level 0 and 1.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(2, 0);

/// The processes that are recorded, where the capture is limited to a tree: process id to
/// `abi::tree_state`.
#[map]
pub(crate) static TREE: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// Words of `abi::tree_word`.
#[map]
pub(crate) static TREE_WORDS: Array<u64> = Array::with_max_entries(abi::tree_word::COUNT, 0);

/// Classes of threads, where the filter tells threads apart.
#[map]
pub(crate) static THREADS: Array<abi::ThreadSlot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What decides a thread's class where name and user alone do.
#[repr(C)]
pub(crate) struct Key {
    /// `task_struct.comm`.
    pub(crate) name: [u64; 2],
    /// Effective user id.
    pub(crate) uid: u64,
}

/// Class by key.
#[map]
pub(crate) static KEYS: HashMap<Key, u64> = HashMap::with_max_entries(1, 0);

/// Words of `abi::filter_word`.
#[map]
pub(crate) static FILTER_WORDS: Array<u64> = Array::with_max_entries(abi::filter_word::COUNT, BPF_F_MMAPABLE);

/// Threads inside a call that moved a process to another cgroup.
#[map]
pub(crate) static MOVERS: HashMap<u32, u32> = HashMap::with_max_entries(256, 0);

/// Where iterators build their records, in the form of a lane: head, then one record and the room that the
/// verifier adds up.
#[repr(C)]
pub(crate) struct IterLane {
    bytes: [u64; (4096 + abi::LANE_SLACK) / 8],
}

/// The place where iterators build their records; they have one reader.
#[map]
pub(crate) static ITER_LANE: Array<IterLane> = Array::with_max_entries(1, 0);

/// This process's id as the kernel counts it, found by `whoami`.
#[map]
pub(crate) static WHOAMI: Array<u64> = Array::with_max_entries(1, 0);
