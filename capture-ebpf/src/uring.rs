//! io_uring operations: what the kernel took from a submission queue, and what came of it. Arguments
//! are read from the kernel's request by the rows of the map URING (`capture_common::uring`); from
//! then on a record is filled as that of the system call that does the same, by its plan row.
//!
//! Invariant: what the kernel copied itself (names of files, socket addresses) is taken from its copy,
//! at the submission. Completions run in threads of the submitter's process, so that user memory is its
//! own, or in threads of the kernel's, which have none.

use crate::{
    config::ro,
    copy::{self, Action, ENTER_ARGS, EXIT_ARGS, EXIT_RET, arg_of},
    fdtable,
    maps::{COMPAT_ROWS, DONE_TAILS, PLAN, SCRATCH, SUBMIT_TAILS, Scratch, URING},
    read::{
        Ctx, arg, cast, current, k1, k4, k8, ld1, ld2, ld4, ld8, plain, probe_into, probe8, st4, st8,
        untrusted,
    },
    ring::{self, Record, body},
    sched, sock,
    special::{Payload, collector, iov, put_msg, put_pair, resume},
};
use aya_ebpf::{helpers::generated as helper, maps::ProgramArray};
use capture_common::{
    abi::{
        ARG_RET, EnterFixed, ExitFixed, LaneHead, NR_NONE, SOCKADDR_MAX, STR_MAX, URING_OP_NONE, UringFixed,
        kind, section_flag, tag,
    },
    kernel_offsets::ABSENT,
    plan::{EXIT_ACTIONS, PlanRow, op, special, when},
    uring::{OFFSET_WORD, ROWS_MAX, SLOT_WORD, UringRow, how, row_flag},
};
use core::mem::offset_of;

/// `IORING_SETUP_SQPOLL`: a thread of the kernel's takes the submissions.
const SQPOLL: u32 = 1 << 1;
/// Bytes of `struct io_cmd_data`.
const CMD_LEN: u64 = 64;
/// Where they lie in the scratch: behind what vectors and messages need.
const CMD_AT: usize = 8192 + 256;
const SUBMIT_URING: usize = ENTER_ARGS + EnterFixed::LEN_BYTES;
const SUBMIT_LEN: usize = SUBMIT_URING + UringFixed::LEN_BYTES;
const DONE_URING: usize = EXIT_RET + ExitFixed::LEN_BYTES;
const DONE_LEN: usize = DONE_URING + UringFixed::LEN_BYTES;

/// The row of operation `opcode`; 0: there is none.
#[inline(always)]
fn row_of(opcode: u32) -> u64 {
    if opcode >= ROWS_MAX as u32 {
        return 0;
    }
    URING.get_ptr(opcode).map_or(0, |row| row as u64)
}

/// The byte of a row at `offset`.
#[inline(always)]
fn row_byte(row: u64, offset: usize) -> u8 {
    ld1(row, offset as u64)
}

/// A word of a row: how, offset, size.
#[derive(Clone, Copy)]
struct Word {
    how: u8,
    offset: u64,
    size: u64,
}

#[inline(always)]
fn word_of(row: u64, n: usize) -> Word {
    let word = ld4(row, (offset_of!(UringRow, words) + n * 4) as u64);
    Word { how: word as u8, offset: (word >> 8 & 63) as u64, size: (word >> 16 & 0xff) as u64 }
}

/// The number that a word leads to in the copied request data.
#[inline(always)]
fn load(scratch: *mut Scratch, word: Word) -> u64 {
    if word.size == 0 {
        return 0;
    }
    let mask = u64::MAX >> (64u64.wrapping_sub(word.size * 8) & 63);
    ld8(scratch as u64 + CMD_AT as u64 + word.offset, 0) & mask
}

/// Copies the request's own data into the scratch.
#[inline(always)]
fn load_cmd(scratch: *mut Scratch, request: u64) {
    // SAFETY: inside the 16 KB of the scratch.
    probe_into(unsafe { scratch.cast::<u8>().add(CMD_AT) }, CMD_LEN, request + ro!(K_CMD));
}

/// Stores the arguments at `args_at` and the rest of the words in the uring part.
#[inline(always)]
fn store_words(record: Record, scratch: *mut Scratch, row: u64, fd: u32, args_at: usize, uring_at: usize) {
    for n in 0..6 {
        let word = word_of(row, n);
        let value = match word.how {
            how::FD => fd as i32 as u64,
            how::LOAD => load(scratch, word),
            how::NAME if args_at == ENTER_ARGS => probe8(load(scratch, word) + ro!(FN_UPTR)),
            _ => 0,
        };
        st8(record.start, args_at + n * 8, value);
    }
    st8(record.start, uring_at + offset_of!(UringFixed, offset), load(scratch, word_of(row, OFFSET_WORD)));
    st8(record.start, uring_at + offset_of!(UringFixed, slot), load(scratch, word_of(row, SLOT_WORD)));
}

/// Sections of what the kernel copied at the submission.
#[inline(always)]
fn put_copies(record: Record, scratch: *mut Scratch, row: u64, request: u64) {
    for n in 0..5usize {
        let word = word_of(row, n);
        match word.how {
            how::NAME => put_name(record, n as u64, load(scratch, word)),
            how::ADDR => {
                let length = arg_of(record, ENTER_ARGS, n as u64 + 1) & 0xffff_ffff;
                let len = if length > SOCKADDR_MAX as u64 { SOCKADDR_MAX as u64 } else { length };
                if word.size != 0 {
                    copy::put_user(record, tag::SOCKADDR, n as u64, load(scratch, word), len, 0);
                } else {
                    let copied = k8(request, ro!(K_ASYNC));
                    put_kernel(record, tag::SOCKADDR, n as u64, copied + ro!(KM_ADDR), len);
                }
            }
            how::COPY => {
                let at = scratch as u64 + CMD_AT as u64 + word.offset;
                put_kernel(record, tag::RAW, n as u64, at, word.size & 63);
            }
            _ => {}
        }
    }
}

/// STR of a `struct filename`.
#[inline(always)]
fn put_name(record: Record, arg: u64, filename: u64) {
    let Some(at) = record.section() else { return };
    let name = probe8(filename + ro!(FN_NAME));
    // SAFETY: the verifier proves that the bytes fit.
    let n = unsafe { helper::bpf_probe_read_kernel_str(body(at).cast(), STR_MAX as u32, name as *const _) };
    if n > 0 {
        record.end_section(at, tag::STR, arg, 0, (n as u64 - 1) & 0x1fff);
    } else {
        record.end_section(at, tag::STR, arg, section_flag::FAULT, 0);
    }
}

/// A section of kernel memory.
#[inline(always)]
fn put_kernel(record: Record, tag: u8, arg: u64, from: u64, len: u64) {
    let Some(at) = record.section() else { return };
    if probe_into(body(at), len, from) {
        record.end_section(at, tag, arg, 0, len);
    }
}

/// Who submits: the running thread, or the process of a ring that a thread of the kernel's polls, which
/// its main thread stands for: the thread that made the ring is not remembered.
#[inline(always)]
fn submitter(task: u64, ring: u64) -> u64 {
    if k4(ring, ro!(KC_FLAGS)) & SQPOLL != 0 && ro!(KC_SQ_DATA) != ABSENT && ro!(SQ_TGID) != ABSENT {
        let poller = k8(ring, ro!(KC_SQ_DATA));
        let pid = k4(poller, ro!(SQ_TGID));
        if pid != 0 {
            return (pid as u64) << 32 | pid as u64;
        }
    }
    own_ids(task)
}

#[inline(always)]
fn own_ids(task: u64) -> u64 {
    (ld4(task, ro!(T_TGID)) as u64) << 32 | ld4(task, ro!(T_PID)) as u64
}

/// Hands the record on to a collector; publishes it when there is none.
#[inline(always)]
fn hand_on(ctx: Ctx, tails: &ProgramArray, record: Record, task: u64, special: u8) {
    if special != special::NONE {
        let owner = offset_of!(LaneHead, owner);
        // SAFETY: a word of the lane head.
        plain(unsafe { record.lane.add(owner) }.cast(), task);
        // SAFETY: both programs of the array's kind; on success this does not return.
        unsafe {
            helper::bpf_tail_call(ctx.cast(), core::ptr::from_ref(tails).cast_mut().cast(), special as u32)
        };
    }
    record.publish_sections();
}

/// tp_btf io_uring_submit_req(req).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/io_uring_submit_req")]
pub fn capture_uring_submit(ctx: Ctx) -> i32 {
    let task = untrusted(current());
    let request = cast(arg(ctx, 0), ro!(ID_KIOCB));
    let ring = k8(request, ro!(K_CTX));
    let opcode = k1(request, ro!(K_OPCODE)) as u32;
    let row = row_of(opcode);
    let nr = if row == 0 { NR_NONE } else { ld2(row, 0) };
    let stateful = row != 0 && row_byte(row, offset_of!(UringRow, flags)) & row_flag::STATEFUL != 0;
    let what = ring::what(kind::URING_SUBMIT, 0, nr as u64);
    let Some(record) = sched::begin_as(submitter(task, ring), what, stateful, None) else { return 0 };
    let fd = k4(request, ro!(K_FD));
    put_uring(record, SUBMIT_URING, request, ring, opcode, fd);
    st8(record.start, SUBMIT_URING + offset_of!(UringFixed, user_data), k8(request, ro!(K_USER_DATA)));
    st8(record.start, SUBMIT_URING + offset_of!(UringFixed, flags), k8(request, ro!(K_FLAGS)));
    record.start_sections(SUBMIT_LEN);
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else {
        record.publish_sections();
        return 0;
    };
    if row == 0 || nr == NR_NONE {
        no_words(record, ENTER_ARGS, SUBMIT_URING);
        record.publish_sections();
        return 0;
    }
    load_cmd(scratch, request);
    store_words(record, scratch, row, fd, ENTER_ARGS, SUBMIT_URING);
    put_copies(record, scratch, row, request);
    hand_on(ctx, &SUBMIT_TAILS, record, task, row_byte(row, offset_of!(UringRow, submit_special)));
    0
}

#[inline(always)]
fn put_uring(record: Record, at: usize, request: u64, ring: u64, opcode: u32, fd: u32) {
    // SAFETY: words of the record.
    plain(unsafe { record.start.add(at + offset_of!(UringFixed, request)) }.cast(), request);
    // SAFETY: as above.
    plain(unsafe { record.start.add(at + offset_of!(UringFixed, ring)) }.cast(), ring);
    st4(record.start, at + offset_of!(UringFixed, opcode), opcode);
    st4(record.start, at + offset_of!(UringFixed, fd), fd);
}

#[inline(always)]
fn no_words(record: Record, args_at: usize, uring_at: usize) {
    for n in 0..6 {
        st8(record.start, args_at + n * 8, 0);
    }
    st8(record.start, uring_at + offset_of!(UringFixed, offset), 0);
    st8(record.start, uring_at + offset_of!(UringFixed, slot), 0);
}

/// A result, however the kernel hands it over.
#[derive(Clone, Copy)]
struct Outcome {
    user_data: u64,
    ret: i32,
    flags: u32,
}

/// tp_btf io_uring_complete(ctx, req, cqe) or, before 6.16, (ctx, req, user_data, res, cflags, …).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/io_uring_complete")]
pub fn capture_uring_complete(ctx: Ctx) -> i32 {
    let outcome = if ro!(URING_CQE) != 0 {
        let cqe = arg(ctx, 2);
        Outcome {
            user_data: ld8(cqe, ro!(CQE_USER_DATA)),
            ret: ld4(cqe, ro!(CQE_RES)) as i32,
            flags: ld4(cqe, ro!(CQE_FLAGS)),
        }
    } else {
        Outcome { user_data: arg(ctx, 2), ret: arg(ctx, 3) as i32, flags: arg(ctx, 4) as u32 }
    };
    completed(ctx, arg(ctx, 0), arg(ctx, 1), outcome)
}

/// tp_btf io_uring_cqe_overflow(ctx, user_data, res, cflags, ocqe): the result waits for room in its
/// queue and is not reported again.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/io_uring_cqe_overflow")]
pub fn capture_uring_overflow(ctx: Ctx) -> i32 {
    let outcome = Outcome { user_data: arg(ctx, 1), ret: arg(ctx, 2) as i32, flags: arg(ctx, 3) as u32 };
    completed(ctx, arg(ctx, 0), 0, outcome)
}

#[inline(always)]
fn completed(ctx: Ctx, ring: u64, request: u64, outcome: Outcome) -> i32 {
    let task = untrusted(current());
    let (mut opcode, mut row) = (URING_OP_NONE, 0);
    let request = if request == 0 { 0 } else { cast(request, ro!(ID_KIOCB)) };
    if request != 0 {
        opcode = k1(request, ro!(K_OPCODE)) as u32;
        row = row_of(opcode);
    }
    let nr = if row == 0 { NR_NONE } else { ld2(row, 0) };
    let stateful = row == 0 || row_byte(row, offset_of!(UringRow, flags)) & row_flag::STATEFUL != 0;
    let what = ring::what(kind::URING_COMPLETE, 0, nr as u64);
    let Some(record) = sched::begin_as(own_ids(task), what, stateful, None) else { return 0 };
    put_uring(record, DONE_URING, request, ring, opcode, 0);
    st8(record.start, EXIT_RET, outcome.ret as i64 as u64);
    st8(record.start, DONE_URING + offset_of!(UringFixed, user_data), outcome.user_data);
    st8(record.start, DONE_URING + offset_of!(UringFixed, flags), outcome.flags as u64);
    record.start_sections(DONE_LEN);
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else {
        record.publish_sections();
        return 0;
    };
    if request == 0 || row == 0 || nr == NR_NONE {
        no_words(record, EXIT_ARGS, DONE_URING);
        if request == 0 && outcome.ret >= 0 {
            // More results of one operation are fds where it accepts connections.
            sock::put_sock(record, task, ARG_RET as u64, outcome.ret as u32);
        }
        record.publish_sections();
        return 0;
    }
    load_cmd(scratch, request);
    store_words(record, scratch, row, 0, EXIT_ARGS, DONE_URING);
    take_back(record, scratch, row);
    let file = k8(request, ro!(K_FILE));
    put_results(record, task, nr, file, outcome.ret);
    hand_on(ctx, &DONE_TAILS, record, task, row_byte(row, offset_of!(UringRow, done_special)));
    0
}

/// A buffer stands again where the operation began.
#[inline(always)]
fn take_back(record: Record, scratch: *mut Scratch, row: u64) {
    let offset = (row_byte(row, offset_of!(UringRow, done_offset)) & 63) as u64;
    if offset != 0 {
        let done = ld4(scratch as u64 + CMD_AT as u64 + offset, 0) as u64;
        st8(record.start, EXIT_ARGS + 8, arg_of(record, EXIT_ARGS, 1).wrapping_sub(done));
    }
}

/// The sections of the call's exit, as its plan row says; names and addresses are the submission's.
#[inline(always)]
fn put_results(record: Record, task: u64, nr: u16, file: u64, ret: i32) {
    let index = nr as u64 & (COMPAT_ROWS - 1);
    let Some(plan) = PLAN.get_ptr(index as u32) else { return };
    let plan = plan as u64;
    let actions = plan + offset_of!(PlanRow, exit) as u64;
    let count = ld1(plan, offset_of!(PlanRow, exit_count) as u64) as u64;
    for n in 0..EXIT_ACTIONS {
        if n as u64 >= count {
            break;
        }
        let action = Action::load(actions, n);
        if action.when == when::OK && ret < 0 {
            continue;
        }
        let is_result = action.arg == ARG_RET as u64;
        match action.op {
            op::SOCK if is_result => sock::put_sock(record, task, action.arg, ret as u32),
            op::FDINFO if is_result => fdtable::put_fdinfo(record, task, action.arg, ret as u32),
            op::SOCK if file != 0 => sock::put_sock_of(record, file, action.arg, 0),
            op::BYTES => {
                let value = arg_of(record, EXIT_ARGS, action.arg);
                copy::put_memory(record, &action, value, EXIT_ARGS, ret as i64 as u64);
            }
            _ => {}
        }
    }
}

collector!("tp_btf/io_uring_submit_req", submit_iov, |_ctx, record, _task| {
    iov(record, ENTER_ARGS, Payload::All);
    record.publish_sections();
});

collector!("tp_btf/io_uring_submit_req", submit_msg, |_ctx, record, _task| {
    put_msg(record, arg_of(record, ENTER_ARGS, 1), 0, false, Payload::All);
    record.publish_sections();
});

collector!("tp_btf/io_uring_complete", done_iov, |_ctx, record, _task| {
    iov(record, EXIT_ARGS, Payload::Moved);
    record.publish_sections();
});

collector!("tp_btf/io_uring_complete", done_msg, |_ctx, record, _task| {
    put_msg(record, arg_of(record, EXIT_ARGS, 1), 0, false, Payload::Moved);
    record.publish_sections();
});

collector!("tp_btf/io_uring_complete", done_pipe, |_ctx, record, task| {
    if let Some(fd) = put_pair(record, 0) {
        fdtable::put_fdinfo(record, task, 0, fd);
    }
    record.publish_sections();
});
