//! The probe: programs on syscall and scheduler tracepoints that write records (see
//! `capture_common::abi`) into per-CPU rings. It decides nothing about meaning: no formatting, no
//! translation of constants, no state beyond the record in progress.
//!
//! Invariant: every path through a program ends in exactly one of: record published, loss counted,
//! self-exclusion counted; and the verifier proves that no path writes outside its lane.
#![no_std]
#![no_main]
#![feature(core_intrinsics, asm_experimental_arch)]
#![allow(
    internal_features,
    reason = "core_intrinsics: BPF has no swap on AtomicU64, and publishing needs one"
)]

mod config;
mod copy;
mod faults;
mod fdtable;
mod filter;
mod ia32;
mod iter;
mod log;
mod lost;
mod maps;
mod paths;
mod read;
mod ring;
mod sched;
mod sock;
mod special;
mod syscalls;
mod task;
mod tree;
mod uring;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
