//! Special collectors: what a list of copy actions cannot say. Each is a program of its own,
//! reached by tail call from `sys_enter` or `sys_exit`, goes on with the record in progress and
//! publishes it.

use crate::{
    config::ro,
    copy::{EXIT_ARGS, EXIT_RET, arg_of, put_user},
    fdtable,
    maps::{COMPAT_ROWS, EXIT_TAILS, PLAN, SCRATCH, Scratch, get, set},
    paths::{self, RUNS},
    read::{Ctx, current, ld1, ld2, ld4, ld8, plain, st4, st8, untrusted, user_into, user_str_into},
    ring::{self, Record, body, head},
    sock, task,
};
use aya_ebpf::helpers::generated as helper;
use capture_common::{
    abi::{
        ARGS_MAX, IOV_MAX, IovInfo, LaneHead, MMSG_MAX, MsgInfo, RAW_MAX, RecordHeader, SOCKADDR_MAX, flag,
        section_flag, tag,
    },
    plan::{PlanRow, row_flag, special},
};
use core::mem::offset_of;

/// Strings of an argv or envp array that are followed.
const STRINGS_MAX: usize = 64;
/// Where a copied msghdr lies in the scratch: behind the iovec array.
const MSG_AT: usize = 8192;

/// A tail-called program: resumes the record and runs `$body` with it.
macro_rules! collector {
    ($section:literal, $name:ident, |$ctx:ident, $record:ident, $task:ident| $body:block) => {
        /// A special collector; see `capture_common::plan::special`.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = $section)]
        pub fn $name($ctx: Ctx) -> i32 {
            let $task = untrusted(current());
            let Some($record) = resume($task) else { return 0 };
            $body
            0
        }
    };
}

pub(crate) use collector;

/// The record that the program before this one began.
#[inline(always)]
pub(crate) fn resume(task: u64) -> Option<Record> {
    let lanes = ring::lanes()?;
    let slot = offset_of!(LaneHead, scratch);
    // SAFETY: a word of the lane head.
    let task = plain(unsafe { lanes.level0.add(slot) }.cast(), task);
    ring::resume(lanes, task)
}

#[inline(always)]
fn is_compat(record: Record) -> bool {
    ld1(record.start as u64, offset_of!(RecordHeader, flags) as u64) & flag::COMPAT32 != 0
}

/// The row of the call in the plan.
#[inline(always)]
fn row_of(record: Record) -> Option<u64> {
    let nr = ld2(record.start as u64, offset_of!(RecordHeader, nr) as u64) as u64;
    let index = (nr & (COMPAT_ROWS - 1)) + if is_compat(record) { COMPAT_ROWS } else { 0 };
    PLAN.get_ptr(index as u32).map(|row| row as u64)
}

/// Whether the call takes data in (`plan::row_flag::RECEIVES`).
#[inline(always)]
fn receives(record: Record) -> bool {
    let flags = offset_of!(PlanRow, flags) as u64;
    row_of(record).is_some_and(|row| ld1(row, flags) & row_flag::RECEIVES != 0)
}

#[inline(always)]
fn ret_of(record: Record) -> i64 {
    ld8(record.start as u64, EXIT_RET as u64) as i64
}

// ---- vectors

/// Base and length of entry `i` of the iovec array in the scratch.
#[inline(always)]
fn iov_entry(scratch: *mut Scratch, compat: bool, i: usize) -> (u64, u64) {
    let at = scratch as u64;
    if compat {
        (ld4(at, i as u64 * 8) as u64, ld4(at, i as u64 * 8 + 4) as u64)
    } else {
        (ld8(at, i as u64 * 16), ld8(at, i as u64 * 16 + 8))
    }
}

/// Copies the iovec array into the scratch and sums it up: `loop_state` 0 holds the total, 1 the
/// number of entries copied.
#[inline(always)]
fn load_iov(scratch: *mut Scratch, compat: bool, pointer: u64, count: u64) {
    let mut n = count;
    if n > IOV_MAX as u64 {
        n = IOV_MAX as u64;
    }
    let bytes = if compat { n * 8 } else { n * 16 };
    if !user_into(scratch.cast(), bytes, pointer) {
        n = 0;
    }
    set(scratch, 0, 0);
    set(scratch, 1, n);
    for i in 0..IOV_MAX {
        if i as u64 >= get(scratch, 1) {
            break;
        }
        let (_, len) = iov_entry(scratch, compat, i);
        set(scratch, 0, get(scratch, 0).wrapping_add(len));
    }
}

/// IOV: at most `wanted` bytes gathered from the loaded array.
#[inline(always)]
fn put_iov(record: Record, scratch: *mut Scratch, compat: bool, arg: u64, wanted: u64) {
    if (wanted as i64) <= 0 {
        return;
    }
    let Some(at) = record.section() else { return };
    let mut flags = 0;
    let mut left = wanted;
    if left > ro!(SNAPLEN) {
        left = ro!(SNAPLEN);
        flags = section_flag::TRUNCATED;
    }
    set(scratch, 2, 0);
    set(scratch, 3, left);
    set(scratch, 4, 0);
    for i in 0..IOV_MAX {
        let (offset, left) = (get(scratch, 2), get(scratch, 3));
        if i as u64 >= get(scratch, 1) || left == 0 || offset > 0xffff {
            break;
        }
        let (base, len) = iov_entry(scratch, compat, i);
        let mut n = if len < left { len } else { left };
        if n > 0xffff {
            n = 0xffff;
        }
        // SAFETY: `offset` is bounded just above, and the slack covers both.
        if n != 0 && !user_into(unsafe { body(at).add(offset as usize) }, n, base) {
            set(scratch, 4, section_flag::FAULT as u64);
            break;
        }
        set(scratch, 2, offset + n);
        set(scratch, 3, left - n);
    }
    flags |= get(scratch, 4) as u16;
    record.end_section(at, tag::IOV, arg, flags, get(scratch, 2) & 0x1_ffff);
}

/// Bytes of payload of a vector call at exit: what moved, or what a failed sender wanted to send.
#[inline(always)]
fn moved(record: Record, total: u64) -> u64 {
    let ret = ret_of(record);
    if ret >= 0 {
        ret as u64
    } else if receives(record) {
        0
    } else {
        total
    }
}

/// Which payload of a vector is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// None: at an enter.
    None,
    /// What moved, at an exit.
    Moved,
    /// All, at the submission of an operation that sends it.
    All,
}

/// IOV_INFO and IOV of the vector at argument 1.
#[inline(always)]
pub(crate) fn iov(record: Record, args_at: usize, payload: Payload) {
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else { return };
    let compat = is_compat(record);
    let count = arg_of(record, args_at, 2);
    load_iov(scratch, compat, arg_of(record, args_at, 1), count);
    let total = get(scratch, 0);
    let Some(at) = record.section() else { return };
    let out = body(at);
    st8(out, offset_of!(IovInfo, total_len), total);
    st4(out, offset_of!(IovInfo, count), count as u32);
    st4(out, offset_of!(IovInfo, counted), get(scratch, 1) as u32);
    record.end_section(at, tag::IOV_INFO, 1, 0, IovInfo::LEN_BYTES as u64);
    match payload {
        Payload::None => {}
        Payload::Moved => put_iov(record, scratch, compat, 1, moved(record, total)),
        Payload::All => put_iov(record, scratch, compat, 1, total),
    }
}

collector!("tp_btf/sys_enter", enter_iov, |_ctx, record, _task| {
    iov(record, crate::copy::ENTER_ARGS, Payload::None);
    record.publish_sections();
});

collector!("tp_btf/sys_exit", exit_iov, |_ctx, record, _task| {
    iov(record, EXIT_ARGS, Payload::Moved);
    record.publish_sections();
});

// ---- messages

/// A user msghdr, wherever its layout puts the fields.
struct Msg {
    name: u64,
    name_len: u64,
    iov: u64,
    iov_count: u64,
    control: u64,
    control_len: u64,
    flags: u64,
    /// `mmsghdr.msg_len`.
    len: u64,
}

#[inline(always)]
fn load_msg(scratch: *mut Scratch, compat: bool, pointer: u64, many: bool) -> Option<Msg> {
    // msghdr is 56 bytes (28 for ia32), and mmsghdr has the length behind it.
    let size = match (compat, many) {
        (false, false) => 56,
        (false, true) => 64,
        (true, false) => 28,
        (true, true) => 32,
    };
    // SAFETY: inside the 16 KB of the scratch.
    let at = unsafe { scratch.cast::<u8>().add(MSG_AT) };
    if !user_into(at, size, pointer) {
        return None;
    }
    let at = at as u64;
    Some(if compat {
        Msg {
            name: ld4(at, 0) as u64,
            name_len: ld4(at, 4) as u64,
            iov: ld4(at, 8) as u64,
            iov_count: ld4(at, 12) as u64,
            control: ld4(at, 16) as u64,
            control_len: ld4(at, 20) as u64,
            flags: ld4(at, 24) as u64,
            len: if many { ld4(at, 28) as u64 } else { 0 },
        }
    } else {
        Msg {
            name: ld8(at, 0),
            name_len: ld4(at, 8) as u64,
            iov: ld8(at, 16),
            iov_count: ld8(at, 24),
            control: ld8(at, 32),
            control_len: ld8(at, 40),
            flags: ld4(at, 48) as u64,
            len: if many { ld4(at, 56) as u64 } else { 0 },
        }
    })
}

/// One group: MSG, SOCKADDR, and with a payload IOV and CMSG.
#[inline(always)]
pub(crate) fn put_msg(record: Record, pointer: u64, index: u64, many: bool, payload: Payload) {
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else { return };
    let compat = is_compat(record);
    let Some(msg) = load_msg(scratch, compat, pointer, many) else { return };
    load_iov(scratch, compat, msg.iov, msg.iov_count);
    let total = get(scratch, 0);
    let len = if many {
        msg.len
    } else if payload == Payload::Moved {
        moved(record, total)
    } else {
        total
    };
    let Some(at) = record.section() else { return };
    let out = body(at);
    st8(out, offset_of!(MsgInfo, total_len), total);
    st8(out, offset_of!(MsgInfo, control_len), msg.control_len);
    st8(out, offset_of!(MsgInfo, msg_len), len);
    st4(out, offset_of!(MsgInfo, iov_count), msg.iov_count as u32);
    st4(out, offset_of!(MsgInfo, name_len), msg.name_len as u32);
    st4(out, offset_of!(MsgInfo, flags), msg.flags as u32);
    st4(out, offset_of!(MsgInfo, index), index as u32);
    st8(out, offset_of!(MsgInfo, iov_addr), msg.iov);
    record.end_section(at, tag::MSG, 1, 0, MsgInfo::LEN_BYTES as u64);
    if msg.name != 0 && msg.name_len != 0 {
        let n = if msg.name_len > SOCKADDR_MAX as u64 { SOCKADDR_MAX as u64 } else { msg.name_len };
        put_user(record, tag::SOCKADDR, 1, msg.name, n, 0);
    }
    if payload == Payload::None {
        return;
    }
    put_iov(record, scratch, compat, 1, len);
    if payload == Payload::Moved
        && receives(record)
        && msg.control != 0
        && msg.control_len != 0
        && ret_of(record) >= 0
    {
        let (n, flags) = if msg.control_len > RAW_MAX as u64 {
            (RAW_MAX as u64, section_flag::TRUNCATED)
        } else {
            (msg.control_len, 0)
        };
        put_user(record, tag::CMSG, 1, msg.control, n, flags);
    }
}

collector!("tp_btf/sys_enter", enter_msg, |_ctx, record, _task| {
    put_msg(record, arg_of(record, crate::copy::ENTER_ARGS, 1), 0, false, Payload::None);
    record.publish_sections();
});

collector!("tp_btf/sys_exit", exit_msg, |_ctx, record, _task| {
    put_msg(record, arg_of(record, EXIT_ARGS, 1), 0, false, Payload::Moved);
    record.publish_sections();
});

// One message per run; the program goes on by calling itself.
collector!("tp_btf/sys_exit", exit_mmsg, |ctx, record, _task| {
    let index = head!(record.lane, step);
    let ret = ret_of(record);
    if ret > 0 && index < ret as u64 && index < MMSG_MAX as u64 {
        let size = if is_compat(record) { 32 } else { 64 };
        put_msg(record, arg_of(record, EXIT_ARGS, 1).wrapping_add(index * size), index, true, Payload::Moved);
        head!(record.lane, step = index + 1);
        tail(ctx, special::MMSG as u32);
    }
    record.publish_sections();
});

#[inline(always)]
fn tail(ctx: Ctx, index: u32) {
    // SAFETY: programs of the array's kind; on success this does not return.
    unsafe { helper::bpf_tail_call(ctx.cast(), (&raw const EXIT_TAILS).cast_mut().cast(), index) };
}

// ---- processes

/// ARGS or ENV: a block of the new program's memory.
#[inline(always)]
fn put_block(record: Record, tag: u8, start: u64, end: u64) {
    let mut len = end.wrapping_sub(start);
    let mut flags = 0;
    if len > ARGS_MAX as u64 {
        len = ARGS_MAX as u64;
        flags = section_flag::TRUNCATED;
    }
    if len != 0 {
        put_user(record, tag, 0, start, len, flags);
    }
}

#[inline(always)]
fn put_args(record: Record, task: u64, with_env: bool) {
    let mm = ld8(task, ro!(T_MM));
    if mm == 0 {
        return;
    }
    put_block(record, tag::ARGS, ld8(mm, ro!(MM_ARG_START)), ld8(mm, ro!(MM_ARG_END)));
    if with_env {
        put_block(record, tag::ENV, ld8(mm, ro!(MM_ENV_START)), ld8(mm, ro!(MM_ENV_END)));
    }
}

/// ARGS or ENV of a failed exec: the strings that the user's pointer array leads to.
#[inline(always)]
fn put_strings(record: Record, tag: u8, arg: u64) {
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else { return };
    let Some(at) = record.section() else { return };
    let size = if is_compat(record) { 4 } else { 8 };
    set(scratch, 0, 0);
    set(scratch, 1, arg_of(record, EXIT_ARGS, arg));
    set(scratch, 2, 0);
    for _ in 0..STRINGS_MAX {
        let array = get(scratch, 1);
        set(scratch, 3, 0);
        // SAFETY: a word of the map's value.
        let slot = unsafe { &raw mut (*scratch).loop_state[3] };
        if array == 0 || !user_into(slot.cast(), size, array) {
            break;
        }
        let pointer = get(scratch, 3);
        let offset = get(scratch, 0);
        if pointer == 0 {
            break;
        }
        if offset > ARGS_MAX as u64 - 2 {
            set(scratch, 2, section_flag::TRUNCATED as u64);
            break;
        }
        // SAFETY: `offset` is bounded just above.
        let n = user_str_into(unsafe { body(at).add(offset as usize) }, ARGS_MAX as u64 - offset, pointer);
        if n <= 0 {
            set(scratch, 2, section_flag::FAULT as u64);
            break;
        }
        set(scratch, 0, offset + n as u64);
        set(scratch, 1, array + size);
    }
    record.end_section(at, tag, arg, get(scratch, 2) as u16, get(scratch, 0) & 0x1fff);
}

collector!("tp_btf/sys_exit", exit_task, |_ctx, record, task| {
    task::put_task(record, task);
    put_args(record, task, false);
    record.publish_sections();
});

// execve and execveat, whose arrays of strings come one argument later.
const _: () = assert!(special::EXECAT == special::EXEC + 1);

collector!("tp_btf/sys_exit", exit_exec, |ctx, record, task| {
    task::put_task(record, task);
    if ret_of(record) < 0 {
        let Some(row) = row_of(record) else {
            record.publish_sections();
            return 0;
        };
        // Calculated, not chosen: the verifier would follow each choice through both loops.
        let first = ld1(row, offset_of!(PlanRow, exit_special) as u64) as u64 + 1 - special::EXEC as u64;
        put_strings(record, tag::ARGS, first);
        put_strings(record, tag::ENV, first + 1);
    } else {
        put_args(record, task, true);
    }
    tail(ctx, PATHS);
    record.publish_sections();
});

/// Slot of [`exit_paths`] in EXIT_TAILS, behind those of `plan::special`.
const PATHS: u32 = capture_common::plan::TAIL_PATHS as u32;

// The path of the program, then that of the current folder; each takes one run of this or more. `step`
// counts the runs, those for the folder from `RUNS` on.
collector!("tp_btf/sys_exit", exit_paths, |ctx, record, task| {
    let step = head!(record.lane, step);
    let is_cwd = step >= RUNS;
    let tag = if is_cwd { tag::CWD } else { tag::EXEPATH };
    let start = || if is_cwd { paths::cwd_of(task) } else { paths::exe_of(task) };
    let ended = paths::put_path(record, task, tag, step & (RUNS - 1), start);
    if !(ended && is_cwd) {
        head!(record.lane, step = if ended { RUNS } else { step + 1 });
        tail(ctx, PATHS);
    }
    record.publish_sections();
});

collector!("tp_btf/sys_exit", exit_fdpath, |ctx, record, task| {
    let fd = ret_of(record);
    if fd >= 0 {
        let step = head!(record.lane, step);
        let start = || paths::fd_of(task, fd as u32);
        if !paths::put_path(record, task, tag::FDPATH, step & (RUNS - 1), start) {
            head!(record.lane, step = step + 1);
            tail(ctx, special::FDPATH as u32);
        }
    }
    record.publish_sections();
});

// ---- pairs of descriptors

/// RAW with the two fds that the call stored at argument `arg`; the first of them.
#[inline(always)]
pub(crate) fn put_pair(record: Record, arg: u64) -> Option<u32> {
    if ret_of(record) < 0 {
        return None;
    }
    let at = record.section()?;
    put_user(record, tag::RAW, arg, arg_of(record, EXIT_ARGS, arg), 8, 0);
    Some(ld4(body(at) as u64, 0))
}

collector!("tp_btf/sys_exit", exit_pipe, |_ctx, record, task| {
    if let Some(fd) = put_pair(record, 0) {
        fdtable::put_fdinfo(record, task, 0, fd);
    }
    record.publish_sections();
});

collector!("tp_btf/sys_exit", exit_sockpair, |_ctx, record, task| {
    if let Some(fd) = put_pair(record, 3) {
        sock::put_sock(record, task, 3, fd);
    }
    record.publish_sections();
});
