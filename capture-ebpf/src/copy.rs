//! Runs the copy actions of a plan row (`capture_common::plan`).

use crate::{
    config::ro,
    fdtable,
    read::{ld8, user_into, user_str_into},
    ring::{Record, body},
    sock, task,
};
use capture_common::{
    abi::{ARG_RET, RAW_MAX, RecordHeader, STR_MAX, section_flag},
    plan::{len_from, op, when},
};

/// Offset of the argument registers in an enter and an exit record.
pub(crate) const ENTER_ARGS: usize = RecordHeader::LEN_BYTES;
pub(crate) const EXIT_RET: usize = RecordHeader::LEN_BYTES;
pub(crate) const EXIT_ARGS: usize = EXIT_RET + 8;

/// Argument `n` of the record, from the registers stored in it.
#[inline(always)]
pub(crate) fn arg_of(record: Record, args_at: usize, n: u64) -> u64 {
    // A call has six arguments; more than 7 words are never addressed.
    let n = if n > 5 { 5 } else { n };
    ld8(record.start as u64, args_at as u64 + n * 8)
}

/// One action, unpacked from its 8 bytes.
pub(crate) struct Action {
    pub(crate) op: u8,
    pub(crate) arg: u64,
    from: u8,
    len_arg: u64,
    cap: u64,
    scale: u64,
    pub(crate) when: u8,
}

impl Action {
    #[inline(always)]
    pub(crate) fn load(at: u64, index: usize) -> Self {
        let word = ld8(at, index as u64 * 8);
        Self {
            op: word as u8,
            arg: word >> 8 & 0xff,
            from: (word >> 16) as u8,
            len_arg: word >> 24 & 0xff,
            cap: word >> 32 & 0xffff,
            scale: word >> 48 & 0xff,
            when: (word >> 56) as u8,
        }
    }
}

/// Runs `count` of the at most `MAX` actions at `actions`, a map value. `ret` is the call's result
/// (0 at enter).
#[inline(always)]
pub(crate) fn run<const MAX: usize>(
    record: Record,
    task: u64,
    actions: u64,
    count: u64,
    args_at: usize,
    ret: u64,
) {
    for i in 0..MAX {
        if i as u64 >= count {
            break;
        }
        let action = Action::load(actions, i);
        if action.when == when::OK && (ret as i64) < 0 {
            continue;
        }
        let value = if action.arg == ARG_RET as u64 { ret } else { arg_of(record, args_at, action.arg) };
        match action.op {
            op::SOCK => sock::put_sock(record, task, action.arg, value as u32),
            op::FDINFO => fdtable::put_fdinfo(record, task, action.arg, value as u32),
            op::MM => task::put_mm(record, task),
            op::STR => put_str(record, action.arg, value, action.cap),
            _ => put_memory(record, &action, value, args_at, ret),
        }
    }
}

/// STR: a user string.
#[inline(always)]
pub(crate) fn put_str(record: Record, arg: u64, pointer: u64, cap: u64) {
    let Some(at) = record.section() else { return };
    if pointer == 0 {
        record.end_section(at, op::STR, arg, section_flag::NULL, 0);
        return;
    }
    let cap = if cap > STR_MAX as u64 { STR_MAX as u64 } else { cap };
    let n = user_str_into(body(at), cap, pointer);
    if n <= 0 {
        record.end_section(at, op::STR, arg, section_flag::FAULT, 0);
        return;
    }
    let flags = if n as u64 == cap { section_flag::TRUNCATED } else { 0 };
    record.end_section(at, op::STR, arg, flags, (n as u64 - 1) & 0x1fff);
}

/// BYTES, RAW, SOCKADDR: user memory of a length known from the call.
#[inline(always)]
pub(crate) fn put_memory(record: Record, action: &Action, pointer: u64, args_at: usize, ret: u64) {
    let mut len = match action.from {
        len_from::FIXED => action.cap,
        len_from::RET => ret,
        len_from::RET_OR_ARG if (ret as i64) >= 0 => ret,
        len_from::PTR => {
            let Some(at) = record.section() else { return };
            if !user_into(body(at), 4, arg_of(record, args_at, action.len_arg)) {
                return;
            }
            crate::read::ld4(body(at) as u64, 0) as u64
        }
        _ => arg_of(record, args_at, action.len_arg),
    };
    if (len as i64) <= 0 {
        return;
    }
    if action.from == len_from::ARG || action.from == len_from::PTR {
        if len > 0xffff {
            len = 0xffff;
        }
        len *= action.scale;
    }
    let limit = if action.op == op::BYTES {
        ro!(SNAPLEN)
    } else if action.cap > RAW_MAX as u64 {
        RAW_MAX as u64
    } else {
        action.cap
    };
    let mut flags = 0;
    if len > limit {
        len = limit;
        flags = section_flag::TRUNCATED;
    }
    put_user(record, action.op, action.arg, pointer, len, flags);
}

/// A section with `len` bytes at the user pointer.
#[inline(always)]
pub(crate) fn put_user(record: Record, tag: u8, arg: u64, pointer: u64, len: u64, mut flags: u16) {
    let Some(at) = record.section() else { return };
    let mut len = len & 0xffff;
    if pointer == 0 {
        flags = section_flag::NULL;
        len = 0;
    } else if !user_into(body(at), len, pointer) {
        flags = section_flag::FAULT;
        len = 0;
    }
    record.end_section(at, tag, arg, flags, len);
}
