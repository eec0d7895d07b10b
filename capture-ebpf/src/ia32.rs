//! Calls of 32-bit programs whose arguments stand in memory: socketcall(2) and the old mmap. The
//! record gets the arguments themselves, and for socketcall the number of the call behind it, so that
//! the decoder and the other collectors see that call.

use crate::{
    copy::{self, ENTER_ARGS, EXIT_ARGS, EXIT_RET, arg_of},
    maps::{COMPAT_ROWS, ENTER_TAILS, EXIT_TAILS, PLAN, SCRATCH},
    read::{Ctx, current, ld1, ld4, ld8, st2, st8, untrusted, user_into},
    ring::Record,
    special::{collector, resume},
};
use aya_ebpf::{helpers::generated as helper, maps::ProgramArray};
use capture_common::{
    abi::RecordHeader,
    plan::{ENTER_ACTIONS, EXIT_ACTIONS, PlanRow, SOCKETCALL_ROWS, special},
};
use core::mem::offset_of;

/// Arguments of 32 bits, six of them.
const ARGS_LEN: u64 = 24;
/// socketcall's last call, sendmmsg.
const SOCKETCALL_LAST: u64 = 20;

/// Arguments that each of socketcall's calls takes, a nibble each from number 0 on: fewer than six are
/// read, as what lies behind may not be readable.
const FIRST_COUNTS: u64 = 0x5526_6444_3332_3330;
const LAST_COUNTS: u64 = 0x0000_0000_0004_5433;

/// Replaces the record's arguments by the `count` ones at the user pointer; false where they cannot be
/// read.
#[inline(always)]
fn take_args(record: Record, args_at: usize, pointer: u64, count: u64) -> bool {
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else { return false };
    let len = if count > 6 { ARGS_LEN } else { count * 4 };
    if !user_into(scratch.cast(), len, pointer) {
        return false;
    }
    for n in 0..6 {
        let value = if n as u64 >= count { 0 } else { ld4(scratch as u64, n as u64 * 4) as u64 };
        st8(record.start, args_at + n * 8, value);
    }
    true
}

/// Number of arguments of socketcall's call `which`.
#[inline(always)]
fn count_of(which: u64) -> u64 {
    let word = if which < 16 { FIRST_COUNTS } else { LAST_COUNTS };
    word >> ((which & 15) * 4) & 15
}

/// The call behind a socketcall, filled by its row; its special collector, or 0.
#[inline(always)]
fn socketcall<const MAX: usize>(record: Record, task: u64, args_at: usize, ret: u64, is_exit: bool) -> u8 {
    let which = arg_of(record, args_at, 0);
    if which == 0 || which > SOCKETCALL_LAST {
        return 0;
    }
    if !take_args(record, args_at, arg_of(record, args_at, 1), count_of(which)) {
        return 0;
    }
    let nr = SOCKETCALL_ROWS as u64 + which;
    st2(record.start, offset_of!(RecordHeader, nr), nr as u16);
    let Some(row) = PLAN.get_ptr((COMPAT_ROWS + nr) as u32) else { return 0 };
    let row = row as u64;
    let (actions, count, special) = if is_exit {
        (offset_of!(PlanRow, exit), offset_of!(PlanRow, exit_count), offset_of!(PlanRow, exit_special))
    } else {
        (offset_of!(PlanRow, enter), offset_of!(PlanRow, enter_count), offset_of!(PlanRow, enter_special))
    };
    let count = ld1(row, count as u64) as u64;
    copy::run::<MAX>(record, task, row + actions as u64, count, args_at, ret);
    ld1(row, special as u64)
}

#[inline(always)]
fn hand_on(ctx: Ctx, tails: &ProgramArray, record: Record, special: u8) {
    if special != special::NONE {
        // SAFETY: both programs of the array's kind; on success this does not return.
        unsafe {
            helper::bpf_tail_call(ctx.cast(), core::ptr::from_ref(tails).cast_mut().cast(), special as u32)
        };
    }
    record.publish_sections();
}

collector!("tp_btf/sys_enter", enter_socketcall, |ctx, record, task| {
    let special = socketcall::<ENTER_ACTIONS>(record, task, ENTER_ARGS, 0, false);
    hand_on(ctx, &ENTER_TAILS, record, special);
});

collector!("tp_btf/sys_exit", exit_socketcall, |ctx, record, task| {
    let ret = ld8(record.start as u64, EXIT_RET as u64);
    let special = socketcall::<EXIT_ACTIONS>(record, task, EXIT_ARGS, ret, true);
    hand_on(ctx, &EXIT_TAILS, record, special);
});

collector!("tp_btf/sys_enter", enter_old_mmap, |_ctx, record, _task| {
    take_args(record, ENTER_ARGS, arg_of(record, ENTER_ARGS, 0), 6);
    record.publish_sections();
});

collector!("tp_btf/sys_exit", exit_old_mmap, |_ctx, record, _task| {
    take_args(record, EXIT_ARGS, arg_of(record, EXIT_ARGS, 0), 6);
    record.publish_sections();
});
