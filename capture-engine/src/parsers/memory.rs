//! Memory use, page faults and CPU time, from the calls and switches that report them.

use super::{Ctx, Row};
use crate::state::thread::CpuTimes;
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_BRK_4_X, usage),
    (code::SYSCALL_MMAP_X, usage),
    (code::SYSCALL_MMAP2_X, usage),
    (code::SYSCALL_MUNMAP_X, usage),
    (code::SCHEDSWITCH_1_E, slice),
    (code::SCHEDSWITCH_6_E, switch),
    (code::PROCINFO_E, procinfo),
];

/// res, vm_size, vm_rss, vm_swap.
fn usage(ctx: &mut Ctx<'_>) {
    let (Some(size), Some(rss), Some(swap)) = (ctx.raw.uint(1), ctx.raw.uint(2), ctx.raw.uint(3)) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    if let Some(thread) = ctx.thread_mut() {
        thread.vm_size_kb = size as u32;
        thread.vm_rss_kb = rss as u32;
        thread.vm_swap_kb = swap as u32;
    }
}

/// next, pgft_maj, pgft_min, vm_size, vm_rss, vm_swap: faults are the thread's, memory its
/// process's.
fn switch(ctx: &mut Ctx<'_>) {
    slice(ctx);
    let raw = *ctx.raw;
    if let Some(thread) = ctx.thread_mut() {
        thread.pfmajor = raw.uint(1).unwrap_or(thread.pfmajor);
        thread.pfminor = raw.uint(2).unwrap_or(thread.pfminor);
    }
    if let Some(main) = ctx.main_mut() {
        main.vm_size_kb = raw.uint(3).map_or(main.vm_size_kb, |v| v as u32);
        main.vm_rss_kb = raw.uint(4).map_or(main.vm_rss_kb, |v| v as u32);
        main.vm_swap_kb = raw.uint(5).map_or(main.vm_swap_kb, |v| v as u32);
    }
}

/// A thread leaves the CPU, on which it was since the switch before.
fn slice(ctx: &mut Ctx<'_>) {
    let (cpu, now_ns) = (usize::from(ctx.raw.cpu), ctx.raw.ts_ns);
    let switched = &mut ctx.machine.switched_ns;
    if switched.len() <= cpu {
        switched.resize(cpu + 1, 0);
    }
    let before_ns = std::mem::replace(&mut switched[cpu], now_ns);
    let ran_ns = if before_ns == 0 { 0 } else { now_ns.saturating_sub(before_ns) };
    ctx.applied.slice_ns = ran_ns;
    if let Some(thread) = ctx.thread_mut() {
        thread.exec_ns += ran_ns;
    }
}

/// cpu_usr, cpu_sys.
fn procinfo(ctx: &mut Ctx<'_>) {
    let (Some(user), Some(system)) = (ctx.raw.uint(0), ctx.raw.uint(1)) else { return };
    if let Some(thread) = ctx.thread_mut() {
        thread.cpu_before = std::mem::replace(&mut thread.cpu, CpuTimes { user, system });
    }
}
