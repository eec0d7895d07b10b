//! The two syscall programs: tp_btf `sys_enter` and `sys_exit`.

use crate::{
    config::ro,
    copy::{self, ENTER_ARGS, EXIT_ARGS, EXIT_RET},
    filter::{self, Change},
    log::log,
    maps::{COMPAT_ROWS, ENTER_TAILS, EXIT_TAILS, PLAN},
    read::{Ctx, arg, current, ld4, ld8, now_ns, plain, st8, untrusted},
    ring::{self, Class, Record, head, lanes},
    tree,
};
use aya_ebpf::{helpers::generated as helper, maps::ProgramArray};
use capture_common::{
    abi::{EnterFixed, ExitFixed, LaneHead, RecordHeader, flag, kind},
    kernel_offsets::ABSENT,
    plan::{ENTER_ACTIONS, EXIT_ACTIONS, PlanRow, row_flag, special},
};
use core::mem::offset_of;

/// `thread_info.status`: the call came by the ia32 entry.
const TS_COMPAT: u32 = 2;
/// The bit of an x32 call's number.
const X32_BIT: u64 = 0x4000_0000;

/// What both programs know about a call before they write.
struct Call {
    task: u64,
    ids: u64,
    nr: u64,
    flags: u64,
    row: u64,
    /// First word of the row: flags and counts, read in one load.
    head: u64,
}

impl Call {
    /// The row's byte at `offset`.
    #[inline(always)]
    fn row_byte(&self, offset: usize) -> u8 {
        (self.head >> (offset * 8)) as u8
    }

    #[inline(always)]
    fn is_exec(&self) -> bool {
        matches!(self.row_byte(offset_of!(PlanRow, exit_special)), special::EXEC | special::EXECAT)
    }

    /// Whether its record is made, by the filter; `pass` is the offset of the row's byte that says so.
    #[inline(always)]
    fn passes(&self, lane0: *mut u8, pass: usize) -> bool {
        let passes = filter::passes(self.ids as u32, self.row_byte(pass) as u64);
        if !passes {
            head!(lane0, left_out += 1);
        }
        passes
    }

    #[inline(always)]
    fn enter_class(&self) -> Class {
        let bears = self.row_byte(offset_of!(PlanRow, flags)) & row_flag::STATEFUL_ENTER != 0;
        if bears { Class::StateEnter } else { Class::Enter }
    }

    /// The class of its exit with result `ret`.
    #[inline(always)]
    fn exit_class(&self, ret: u64) -> Class {
        let bears = if (ret as i64) < 0 { row_flag::STATEFUL_FAILED } else { row_flag::STATEFUL };
        if self.row_byte(offset_of!(PlanRow, flags)) & bears != 0 { Class::State } else { Class::Plain }
    }
}

/// Ids, number and plan row of the call; `None` when it belongs to capture itself or to no process
/// of the watched tree (both counted), or to the command before its exec.
#[inline(always)]
fn classify(lane0: *mut u8, nr: u64, enter: bool) -> Option<Call> {
    let task = untrusted(current());
    let pid = ld4(task, ro!(T_TGID));
    if pid as u64 == ro!(SELF_TGID) && ro!(SELF_TGID) != 0 {
        head!(lane0, self_excluded += 1);
        return None;
    }
    let member = if ro!(ONLY_TREE) != 0 { tree::member(lane0, pid)? } else { core::ptr::null_mut() };
    let ids = (pid as u64) << 32 | ld4(task, ro!(T_PID)) as u64;
    let mut flags = 0;
    let mut nr = nr;
    let mut first_row = 0;
    if ro!(T_STATUS) != ABSENT && ld4(task, ro!(T_STATUS)) & TS_COMPAT != 0 {
        flags = flag::COMPAT32 as u64;
        first_row = COMPAT_ROWS;
    } else if nr & X32_BIT != 0 && nr >> 31 == 0 {
        flags = flag::X32 as u64;
        nr &= !X32_BIT;
    }
    let index = if nr >= COMPAT_ROWS { COMPAT_ROWS - 1 } else { nr };
    let row = PLAN.get_ptr((first_row + index) as u32)? as u64;
    let call = Call { task, ids, nr, flags, row, head: ld8(row, 0) };
    if ro!(ONLY_TREE) != 0 && !tree::is_recorded(member, enter && call.is_exec()) {
        return None;
    }
    Some(call)
}

/// Stores the argument registers at `at`.
#[inline(always)]
fn store_args(out: *mut u8, at: usize, regs: u64, flags: u64) {
    if flags & flag::COMPAT32 as u64 != 0 {
        st8(out, at, ld8(regs, ro!(R_C0)) & 0xffff_ffff);
        st8(out, at + 8, ld8(regs, ro!(R_C1)) & 0xffff_ffff);
        st8(out, at + 16, ld8(regs, ro!(R_C2)) & 0xffff_ffff);
        st8(out, at + 24, ld8(regs, ro!(R_C3)) & 0xffff_ffff);
        st8(out, at + 32, ld8(regs, ro!(R_C4)) & 0xffff_ffff);
        st8(out, at + 40, ld8(regs, ro!(R_C5)) & 0xffff_ffff);
    } else {
        st8(out, at, ld8(regs, ro!(R_A0)));
        st8(out, at + 8, ld8(regs, ro!(R_A1)));
        st8(out, at + 16, ld8(regs, ro!(R_A2)));
        st8(out, at + 24, ld8(regs, ro!(R_A3)));
        st8(out, at + 32, ld8(regs, ro!(R_A4)));
        st8(out, at + 40, ld8(regs, ro!(R_A5)));
    }
}

/// Hands the record on to special collector `special`; publishes it when that cannot be reached.
#[inline(always)]
fn hand_on(ctx: Ctx, tails: &ProgramArray, record: Record, task: u64, special: u8) {
    let owner = offset_of!(LaneHead, owner);
    // SAFETY: a word of the lane head.
    plain(unsafe { record.lane.add(owner) }.cast(), task);
    head!(record.lane, step = 0);
    // SAFETY: both programs of the array's kind; on success this does not return.
    unsafe {
        helper::bpf_tail_call(ctx.cast(), core::ptr::from_ref(tails).cast_mut().cast(), special as u32)
    };
    record.publish_sections();
}

/// tp_btf sys_enter(regs, id).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sys_enter")]
pub fn capture_enter(ctx: Ctx) -> i32 {
    let Some(lanes) = lanes() else { return 0 };
    let Some(call) = classify(lanes.level0, arg(ctx, 1), true) else { return 0 };
    if ro!(FILTER) != 0 && !call.passes(lanes.level0, offset_of!(PlanRow, pass_enter)) {
        return 0;
    }
    let what = ring::what(kind::ENTER, call.flags, call.nr);
    let Some(record) = ring::begin(lanes, call.enter_class(), what, call.ids) else { return 0 };
    const LEN: usize = RecordHeader::LEN_BYTES + EnterFixed::LEN_BYTES;
    store_args(record.start, ENTER_ARGS, arg(ctx, 0), call.flags);
    let count = call.row_byte(offset_of!(PlanRow, enter_count)) as u64;
    let special = call.row_byte(offset_of!(PlanRow, enter_special));
    log!(ctx, "enter {} of {}", call.nr, call.ids as u32);
    if count == 0 && special == 0 {
        record.publish(LEN as u64);
        return 0;
    }
    record.start_sections(LEN);
    copy::run::<ENTER_ACTIONS>(
        record,
        call.task,
        call.row + offset_of!(PlanRow, enter) as u64,
        count,
        ENTER_ARGS,
        0,
    );
    if special != 0 {
        hand_on(ctx, &ENTER_TAILS, record, call.task, special);
    } else {
        record.publish_sections();
    }
    0
}

/// tp_btf sys_exit(regs, ret).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sys_exit")]
pub fn capture_exit(ctx: Ctx) -> i32 {
    let Some(lanes) = lanes() else { return 0 };
    let regs = arg(ctx, 0);
    let Some(call) = classify(lanes.level0, ld8(regs, ro!(R_NR)), false) else { return 0 };
    let ret = arg(ctx, 1);
    let mut change = Change::NONE;
    if ro!(FILTER) != 0 {
        let changes = call.row_byte(offset_of!(PlanRow, flags)) & row_flag::CHANGES_THREAD != 0;
        let (moved, marked) = filter::before_exit(call.ids as u32, changes, ret);
        let pass =
            if (ret as i64) < 0 { offset_of!(PlanRow, pass_failed) } else { offset_of!(PlanRow, pass_ok) };
        if !moved && !call.passes(lanes.level0, pass) {
            return 0;
        }
        change = marked;
    }
    let describes = call.row_byte(offset_of!(PlanRow, exit_special)) != special::NONE;
    let what = ring::what(kind::EXIT, call.flags, call.nr);
    let Some(record) = ring::begin(lanes, call.exit_class(ret), what, call.ids) else {
        if ro!(FILTER) != 0 {
            change.mark(call.task, now_ns(), describes);
        }
        return 0;
    };
    if ro!(FILTER) != 0 {
        change.mark(call.task, record.ts_ns(), describes);
    }
    const LEN: usize = RecordHeader::LEN_BYTES + ExitFixed::LEN_BYTES;
    st8(record.start, EXIT_RET, ret);
    store_args(record.start, EXIT_ARGS, regs, call.flags);
    let count = call.row_byte(offset_of!(PlanRow, exit_count)) as u64;
    let special = call.row_byte(offset_of!(PlanRow, exit_special));
    log!(ctx, "exit {} of {}: {}", call.nr, call.ids as u32, ret as i64);
    if count == 0 && special == 0 {
        record.publish(LEN as u64);
        return 0;
    }
    record.start_sections(LEN);
    copy::run::<EXIT_ACTIONS>(
        record,
        call.task,
        call.row + offset_of!(PlanRow, exit) as u64,
        count,
        EXIT_ARGS,
        ret,
    );
    if special != 0 {
        hand_on(ctx, &EXIT_TAILS, record, call.task, special);
    } else {
        record.publish_sections();
    }
    0
}

/// tp_btf sys_exit with nothing in it: what `cargo xtask bench live` measures as the floor.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sys_exit")]
pub fn capture_empty(_ctx: Ctx) -> i32 {
    0
}

/// tp_btf sys_exit that reads the clock: the floor of a record, which has a time.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sys_exit")]
pub fn capture_clock(_ctx: Ctx) -> i32 {
    // Nothing can come of it, but the verifier and the compiler do not know.
    (now_ns() == 1) as i32
}

/// Finds this process's id as the kernel counts it, for a capture that runs inside a pid
/// namespace: notes the caller of getpgid(WHOAMI_MAGIC).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sys_enter")]
pub fn capture_whoami(ctx: Ctx) -> i32 {
    if ld8(arg(ctx, 0), ro!(R_A0)) == capture_common::abi::WHOAMI_MAGIC
        && let Some(slot) = crate::maps::WHOAMI.get_ptr_mut(0)
    {
        let pid = ld4(current(), ro!(T_TGID)) as u64;
        // SAFETY: the map's value.
        unsafe { core::ptr::write_volatile(slot, pid) };
    }
    0
}
