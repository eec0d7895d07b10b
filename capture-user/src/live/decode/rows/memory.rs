//! Memory calls.

use crate::live::decode::source::Src::{Arg, Int, Map, Num, Ret};
use crate::live::decode::source::{Row, Src, coded, row};
use capture_common::native::maps;

const VM_SIZE: Src = Num(|c| c.mm().map_or(0, |mm| u64::from(mm.vm_size_kb)));
const VM_RSS: Src = Num(|c| c.mm().map_or(0, |mm| u64::from(mm.vm_rss_kb)));
const VM_SWAP: Src = Num(|c| c.mm().map_or(0, |mm| u64::from(mm.vm_swap_kb)));
const PROT: Src = Map(2, &maps::PROT_FLAGS);
const MMAP_FLAGS: Src = Map(3, &maps::MMAP_FLAGS);

const MMAP_ENTER: &[Src] = &[Arg(0), Arg(1), PROT, MMAP_FLAGS, Int(4), Arg(5)];
const MMAP_EXIT: &[Src] = &[Ret, VM_SIZE, VM_RSS, VM_SWAP, Arg(0), Arg(1), PROT, MMAP_FLAGS, Int(4), Arg(5)];

pub(in crate::live::decode) const ROWS: &[Row] = &[
    row!(&["brk"], &[Arg(0)], &[Ret, VM_SIZE, VM_RSS, VM_SWAP, Arg(0)]),
    row!(&["mmap"], MMAP_ENTER, MMAP_EXIT),
    coded!(&["mmap2"], (162, 163), MMAP_ENTER, MMAP_EXIT),
    row!(&["munmap"], &[Arg(0), Arg(1)], &[Ret, VM_SIZE, VM_RSS, VM_SWAP, Arg(0), Arg(1)]),
    row!(&["mprotect"], &[Arg(0), Arg(1), PROT], &[Ret, Arg(0), Arg(1), PROT]),
    row!(&["mlock"], &[], &[Ret, Arg(0), Arg(1)]),
    row!(&["munlock"], &[], &[Ret, Arg(0), Arg(1)]),
    row!(&["mlock2"], &[], &[Ret, Arg(0), Arg(1), Map(2, &maps::MLOCK2_FLAGS)]),
    row!(&["mlockall"], &[], &[Ret, Map(0, &maps::MLOCKALL_FLAGS)]),
    row!(&["munlockall"], &[], &[Ret]),
];
