//! io_uring operations. The program hands them to the kernel without a call of its own, so files have
//! them in two forms, one beside the other:
//!
//! * notes of the thread that submitted: `capture.io_uring.submit` when the kernel takes an operation,
//!   `capture.io_uring.complete` with its result, the data of both being JSON;
//! * right behind a result's note, where there is a system call that does the same, enter and exit of
//!   that call. They let filters, names of fds and chisels of every reader see the operation; what the
//!   thread is doing meanwhile (io_uring_enter, as a rule) goes on around them.
//!
//! A file in a ring's own table has no fd. Its slot stands in for one: bit 30, which no fd has, ten bits
//! for the table, twenty for the slot.
//!
//! Invariant: what is remembered (operations under way, tables) is bounded; if results were lost it is
//! emptied rather than grown.

use super::call::Call;
use capture_common::abi::{
    ExitFixed, NR_NONE, RecordHeader, Section, Sections, UringFixed, section_flag, tag,
};
use capture_common::uring::{self, Word, number};
use std::collections::HashMap;
use std::io::Write;

/// Name of the note of a submission.
pub(super) const SUBMIT: &[u8] = b"capture.io_uring.submit";
/// Name of the note of a result.
pub(super) const COMPLETE: &[u8] = b"capture.io_uring.complete";

/// Most operations under way at once; beyond that results were lost.
const PENDING_MAX: usize = 1 << 16;
/// Most rings whose tables are told apart.
const TABLES_MAX: usize = 1 << 10;
/// The first number that stands for a slot.
const SLOT_BASE: u64 = 1 << 30;
const SLOT_BITS: u32 = 20;
/// `IORING_FILE_INDEX_ALLOC`: the kernel chooses the slot, and the result says which.
const ANY_SLOT: u32 = u32::MAX;
/// `IORING_CQE_F_MORE`: more results of this operation will come.
const CQE_MORE: u64 = 1 << 1;
/// `IORING_CQE_F_NOTIF`: the kernel is done with the buffer; not a result.
const CQE_NOTIF: u64 = 1 << 3;
/// `IOSQE_FIXED_FILE`: the fd is a slot.
const FIXED_FILE: u64 = 1;

/// What the caller asked for, by bit of `io_kiocb.flags`.
const FLAG_NAMES: [&str; 7] =
    ["fixed_file", "drain", "link", "hardlink", "async", "buffer_select", "cqe_skip_success"];

/// An operation that was submitted.
struct Pending {
    header: RecordHeader,
    args: [u64; 6],
    uring: UringFixed,
    /// Sections of the submission.
    sections: Vec<u8>,
}

/// A ring's own table of files.
struct FileTable {
    number: u64,
    pid: u32,
}

/// A result that is a call, put together.
pub(super) struct Done {
    /// Ids and number of the call.
    pub(super) header: RecordHeader,
    /// Its arguments.
    pub(super) args: [u64; 6],
    /// Its result.
    pub(super) ret: i64,
    /// Whether the operation is to be shown as the call.
    pub(super) is_call: bool,
}

/// Operations under way.
#[derive(Default)]
pub(super) struct Rings {
    pending: HashMap<u64, Pending>,
    /// Of results that come without their request: ring and mark to request.
    by_mark: HashMap<(u64, u64), u64>,
    tables: HashMap<u64, FileTable>,
    tables_made: u64,
    /// Sections of the result at hand: those of the submission, then its own.
    sections: Vec<u8>,
}

impl Rings {
    /// Takes a submission, and appends its description to `out`.
    pub(super) fn submitted(
        &mut self,
        header: RecordHeader,
        args: [u64; 6],
        uring: UringFixed,
        sections: Sections<'_>,
        out: &mut Vec<u8>,
    ) {
        describe_submission(&args, &uring, sections, out);
        if self.pending.len() >= PENDING_MAX {
            self.pending.clear();
            self.by_mark.clear();
        }
        let pending = Pending { header, args, uring, sections: sections.bytes().to_vec() };
        // A request that is used again was one that nobody reported the end of.
        if let Some(old) = self.pending.insert(uring.request, pending) {
            self.forget_mark(&old.uring);
        }
        self.by_mark.insert((uring.ring, uring.user_data), uring.request);
    }

    /// Takes a result, appends its description to `out` and tells the call. `wall_ns` turns a time of
    /// the probe into ns since 1970.
    pub(super) fn completed(
        &mut self,
        header: RecordHeader,
        fixed: &ExitFixed,
        uring: &UringFixed,
        sections: Sections<'_>,
        wall_ns: impl Fn(u64) -> u64,
        out: &mut Vec<u8>,
    ) -> Done {
        let key = self.key_of(uring);
        let is_notice = uring.flags & CQE_NOTIF != 0;
        self.sections.clear();
        let mut done = Done { header, args: fixed.args, ret: fixed.ret, is_call: false };
        let (mut opcode, mut submit_ts_ns) = (uring.opcode, 0);
        let pending = key.and_then(|key| self.pending.get(&key));
        let mut submitted = *uring;
        if let Some(pending) = pending {
            opcode = pending.uring.opcode;
            submitted = pending.uring;
            submit_ts_ns = wall_ns(pending.header.ts_ns);
            done.args = pending.args;
            done.header.nr = pending.header.nr;
            (done.header.tid, done.header.pid) = (pending.header.tid, pending.header.pid);
            self.sections.extend_from_slice(&pending.sections);
            while !self.sections.len().is_multiple_of(8) {
                self.sections.push(0);
            }
        }
        let is_known = pending.is_some();
        self.sections.extend_from_slice(sections.bytes());
        // Without its submission an operation's fd is not known: only calls that make one are shown.
        let makes_fd = uring::op(opcode).is_some_and(|op| MAKE_FDS.contains(&op.name));
        let is_pipe_of_slots = opcode == PIPE && submitted.slot != 0;
        done.is_call = done.header.nr != NR_NONE && !is_notice && !is_pipe_of_slots && (is_known || makes_fd);
        self.put_slots(&mut done, opcode, &submitted, is_known);
        describe_result(&done, fixed.ret, header.tid, opcode, uring, submit_ts_ns, out);
        if uring.flags & CQE_MORE == 0
            && let Some(old) = key.and_then(|key| self.pending.remove(&key))
        {
            self.forget_mark(&old.uring);
        }
        done
    }

    /// Sections of the result at hand.
    pub(super) fn sections(&self) -> Sections<'_> {
        Sections::new(&self.sections)
    }

    /// The process has changed which files stand in the tables of its rings, or made a ring: what
    /// their slots stood for does not hold.
    pub(super) fn tables_changed(&mut self, pid: u32) {
        self.tables.retain(|_, table| table.pid != pid);
    }

    /// The operation that a result is of: by its request, or by ring and mark.
    fn key_of(&self, uring: &UringFixed) -> Option<u64> {
        let is_same = |key: &u64| {
            let pending = self.pending.get(key);
            pending.is_some_and(|p| p.uring.ring == uring.ring && p.uring.user_data == uring.user_data)
        };
        let by_request = Some(uring.request).filter(|key| *key != 0 && is_same(key));
        by_request.or_else(|| self.by_mark.get(&(uring.ring, uring.user_data)).copied().filter(is_same))
    }

    fn forget_mark(&mut self, uring: &UringFixed) {
        let mark = (uring.ring, uring.user_data);
        if self.by_mark.get(&mark) == Some(&uring.request) {
            self.by_mark.remove(&mark);
        }
    }

    /// Puts numbers that stand for slots where a call has fds.
    fn put_slots(&mut self, done: &mut Done, opcode: u32, uring: &UringFixed, is_known: bool) {
        let Some(op) = uring::op(opcode) else { return };
        let pid = done.header.pid;
        // Bits of a submission's flags: those of a result mean something else.
        if is_known && uring.flags & FIXED_FILE != 0 {
            for (arg, word) in done.args.iter_mut().zip(op.args) {
                if *word == Word::Fd {
                    *arg = self.slot_number(uring.ring, pid, *arg);
                }
            }
        }
        let slot = uring.slot as u32;
        if slot == 0 {
            return;
        }
        if opcode == number::CLOSE {
            done.args[0] = self.slot_number(uring.ring, pid, u64::from(slot - 1));
        } else if done.ret >= 0 {
            let slot = if slot == ANY_SLOT { done.ret as u64 } else { u64::from(slot - 1) };
            done.ret = self.slot_number(uring.ring, pid, slot) as i64;
        }
    }

    fn slot_number(&mut self, ring: u64, pid: u32, slot: u64) -> u64 {
        if self.tables.len() >= TABLES_MAX {
            self.tables.clear();
        }
        if self.tables.get(&ring).is_some_and(|table| table.pid != pid) {
            self.tables.remove(&ring);
        }
        let made = &mut self.tables_made;
        let table = self.tables.entry(ring).or_insert_with(|| {
            *made += 1;
            FileTable { number: (*made - 1) % TABLES_MAX as u64, pid }
        });
        SLOT_BASE | table.number << SLOT_BITS | slot & ((1 << SLOT_BITS) - 1)
    }
}

/// Operations whose result is an fd.
const MAKE_FDS: &[&str] = &["openat", "openat2", "accept", "socket"];
/// Its fds stand in memory.
const PIPE: u32 = 62;

fn push_op(opcode: u32, out: &mut Vec<u8>) {
    match uring::op(opcode) {
        Some(op) => out.extend_from_slice(op.name.as_bytes()),
        None if opcode == capture_common::abi::URING_OP_NONE => out.extend_from_slice(b"unknown"),
        None => push(out, format_args!("{opcode}")),
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

fn describe_submission(args: &[u64; 6], uring: &UringFixed, sections: Sections<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"op\":\"");
    push_op(uring.opcode, out);
    out.push(b'"');
    if let Some(op) = uring::op(uring.opcode) {
        let is_fixed = uring.flags & FIXED_FILE != 0;
        if op.args.contains(&Word::Fd) {
            push(out, format_args!(",\"{}\":{}", if is_fixed { "slot" } else { "fd" }, uring.fd as i32));
        } else if uring.opcode == number::CLOSE && uring.slot == 0 {
            push(out, format_args!(",\"fd\":{}", args[0] as i32));
        }
        for (key, section) in ["path", "path2"].iter().zip(sections.filter(|s| s.header.tag == tag::STR)) {
            push(out, format_args!(",\"{key}\":"));
            push_path(&section, out);
        }
        if let Some(Word::Member(_, "len", _)) = op.args.get(2) {
            let key = if op.call.ends_with('v') { "vectors" } else { "len" };
            push(out, format_args!(",\"{key}\":{}", args[2]));
        }
        if op.offset != Word::Zero && uring.offset != u64::MAX {
            push(out, format_args!(",\"off\":{}", uring.offset));
        }
        if uring.slot != 0 && uring.slot as u32 != ANY_SLOT {
            push(out, format_args!(",\"slot\":{}", uring.slot - 1));
        }
    }
    push(out, format_args!(",\"user_data\":{}", uring.user_data));
    let mut flags = FLAG_NAMES.iter().enumerate().filter(|(bit, _)| uring.flags >> bit & 1 != 0);
    if let Some((_, first)) = flags.next() {
        push(out, format_args!(",\"flags\":\"{first}"));
        flags.for_each(|(_, name)| push(out, format_args!("|{name}")));
        out.push(b'"');
    }
    out.push(b'}');
}

fn push_path(section: &Section<'_>, out: &mut Vec<u8>) {
    if section.header.flags & section_flag::FAULT != 0 {
        out.extend_from_slice(b"null");
    } else {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(out, &String::from_utf8_lossy(section.data));
    }
}

fn describe_result(
    done: &Done,
    res: i64,
    worker: u32,
    opcode: u32,
    uring: &UringFixed,
    submit_ts_ns: u64,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"op\":\"");
    push_op(opcode, out);
    push(out, format_args!("\",\"res\":{res},\"user_data\":{}", uring.user_data));
    if uring.flags != 0 {
        push(out, format_args!(",\"cqe_flags\":{}", uring.flags));
    }
    if worker != done.header.tid {
        push(out, format_args!(",\"by\":{worker}"));
    }
    if submit_ts_ns != 0 {
        push(out, format_args!(",\"submit_ts_ns\":{submit_ts_ns}"));
    }
    push(out, format_args!(",\"call\":{}}}", done.is_call));
}

/// Whether a call of this process changes what slots of ring tables stand for.
pub(super) fn changes_tables(call: &Call<'_>) -> bool {
    const IO_URING_SETUP: u16 = 425;
    const IO_URING_REGISTER: u16 = 427;
    // IORING_REGISTER_FILES, UNREGISTER_FILES, FILES_UPDATE, FILES2, FILES_UPDATE2.
    const OF_FILES: [u64; 5] = [2, 3, 6, 13, 14];
    match call.header.nr {
        IO_URING_SETUP => call.is_ok(),
        IO_URING_REGISTER => call.is_ok() && OF_FILES.contains(&(call.arg(1) & 0x7fff_ffff)),
        _ => false,
    }
}
