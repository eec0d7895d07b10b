//! Memory use and page faults, from the calls and switches that report them.

use super::{Ctx, Row};
use crate::state::thread::CpuTimes;
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_BRK_4_X, usage),
    (code::SYSCALL_MMAP_X, usage),
    (code::SYSCALL_MMAP2_X, usage),
    (code::SYSCALL_MUNMAP_X, usage),
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

/// cpu_usr, cpu_sys.
fn procinfo(ctx: &mut Ctx<'_>) {
    let (Some(user), Some(system)) = (ctx.raw.uint(0), ctx.raw.uint(1)) else { return };
    if let Some(thread) = ctx.thread_mut() {
        thread.cpu = CpuTimes { user, system };
    }
}
