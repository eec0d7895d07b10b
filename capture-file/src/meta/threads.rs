//! Process list blocks (0x202 to 0x215): one entry per thread, versions 1 to 9.
//!
//! A field is present from some version on ([`decode_fields`]); from version 9 on an entry has
//! its length in front, and what follows the root directory depends on who wrote it.

use super::Opening;
use crate::block::{PROCESS_LIST_V9, begin_block, end_block};
use crate::cursor::{Cursor, Short, close_entry, put_string};
use crate::writer::ProcessTail;
use capture_common::snapshot::{THREAD_LIST_MAX, THREAD_STRING_MAX, ThreadRecord};

/// A tail of at most this many bytes is in the layout of sysdig 0.29.3: login uid, exe writable,
/// capabilities. A longer one is in that of current libs, which begins with the pidns time.
const OLD_TAIL_MAX: usize = 29;

/// Bits of the pidns start time that the dual tail uses for login uid and exe writable.
const DUAL_MASK: u64 = (1 << 40) - 1;

/// A block is closed when it passes this size; lengths are 32 bits wide.
const BLOCK_TARGET_BYTES: usize = 64 << 20;

/// Decodes one entry.
pub(super) fn decode(cursor: &mut Cursor<'_>, version: u8, to: &mut Opening) -> Result<(), Short> {
    let mut t = ThreadRecord::default();
    if version >= 9 {
        let mut entry = cursor.entry("process entry")?;
        decode_fields(&mut entry, version, &mut t)?;
        decode_tail(&mut entry, &mut t)?;
    } else {
        decode_fields(cursor, version, &mut t)?;
    }
    let text = [&t.comm, &t.exe, &t.exepath, &t.args, &t.env, &t.cwd, &t.root, &t.cgroups];
    if to.has_room::<ThreadRecord>(&text.map(|text| &text[..])) {
        to.snapshot.threads.push(t);
    }
    Ok(())
}

fn decode_fields(c: &mut Cursor<'_>, version: u8, t: &mut ThreadRecord) -> Result<(), Short> {
    t.tid = c.i64("tid")?;
    t.pid = c.i64("pid")?;
    t.ptid = c.i64("ptid")?;
    if version >= 6 {
        t.sid = c.i64("sid")?;
    }
    if version >= 8 {
        t.vpgid = c.i64("vpgid")?;
    }
    t.comm = c.string("comm")?;
    t.exe = c.string("exe")?;
    if version >= 7 {
        t.exepath = c.string("exepath")?;
    }
    t.args = c.nul_strings("args")?;
    t.cwd = c.string("cwd")?;
    t.fdlimit = c.i64("fd limit")?;
    t.flags = c.u32("thread flags")?;
    t.uid = c.u32("uid")?;
    t.gid = c.u32("gid")?;
    if version >= 2 {
        t.vm_size_kb = c.u32("vmsize")?;
        t.vm_rss_kb = c.u32("vmrss")?;
        t.vm_swap_kb = c.u32("vmswap")?;
        t.pfmajor = c.u64("major faults")?;
        t.pfminor = c.u64("minor faults")?;
    }
    if version >= 3 {
        t.env = c.nul_strings("environment")?;
    }
    if version >= 4 {
        t.vtid = c.i64("vtid")?;
        t.vpid = c.i64("vpid")?;
        t.cgroups = c.nul_strings("cgroups")?;
    }
    if version >= 5 {
        t.root = c.string("root directory")?;
    }
    Ok(())
}

fn decode_tail(c: &mut Cursor<'_>, t: &mut ThreadRecord) -> Result<(), Short> {
    let fits = |c: &Cursor<'_>, len: usize| c.left() >= len;
    if c.left() > OLD_TAIL_MAX {
        t.pidns_init_start_ns = c.u64("pidns start time")?;
        t.tty = c.u32("tty")?;
    }
    if fits(c, 4) {
        t.loginuid = c.u32("login uid")?;
    }
    if fits(c, 1) {
        t.exe_writable = c.u8("exe writable")? != 0;
    }
    if fits(c, 24) {
        for cap in &mut t.caps {
            *cap = c.u64("capabilities")?;
        }
    }
    if fits(c, 1) {
        t.exe_upper_layer = c.u8("exe on upper layer")? != 0;
    }
    for time_or_ino in [&mut t.exe_ino, &mut t.exe_ino_ctime_ns, &mut t.exe_ino_mtime_ns] {
        if fits(c, 8) {
            *time_or_ino = c.u64("exe inode")?;
        }
    }
    if fits(c, 1) {
        t.exe_from_memfd = c.u8("exe from memfd")? != 0;
    }
    if fits(c, 1) {
        t.exe_lower_layer = c.u8("exe on lower layer")? != 0;
    }
    if fits(c, 8) {
        t.pgid = c.i64("pgid")?;
    }
    if t.pidns_init_start_ns & DUAL_MASK == dual_bits(t) {
        t.pidns_init_start_ns &= !DUAL_MASK;
    }
    Ok(())
}

/// What the dual tail puts into the low 40 bits of the pidns start time. A time of which they are
/// all that is left was unknown.
fn dual_bits(t: &ThreadRecord) -> u64 {
    u64::from(t.loginuid) | u64::from(t.exe_writable) << 32
}

/// How many blocks were written, and how many strings were cut.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) blocks: u64,
    pub(super) cut_strings: u64,
}

pub(super) fn encode(threads: &[ThreadRecord], tail: ProcessTail, out: &mut Vec<u8>) -> Encoded {
    let mut made = Encoded { blocks: 1, cut_strings: 0 };
    let mut block_at = begin_block(out, PROCESS_LIST_V9);
    for thread in threads {
        if out.len() - block_at > BLOCK_TARGET_BYTES {
            end_block(out, block_at);
            block_at = begin_block(out, PROCESS_LIST_V9);
            made.blocks += 1;
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        made.cut_strings += encode_fields(thread, out);
        match tail {
            ProcessTail::Dual => encode_dual_tail(thread, out),
            ProcessTail::Safe => encode_safe_tail(thread, out),
        }
        close_entry(out, at);
    }
    end_block(out, block_at);
    made
}

fn encode_fields(t: &ThreadRecord, out: &mut Vec<u8>) -> u64 {
    let mut cut = 0;
    let mut text = |out: &mut Vec<u8>, value: &[u8], max| cut += u64::from(put_string(out, value, max));
    for id in [t.tid, t.pid, t.ptid, t.sid, t.vpgid] {
        out.extend_from_slice(&id.to_le_bytes());
    }
    for value in [&t.comm, &t.exe, &t.exepath] {
        text(out, value, THREAD_STRING_MAX);
    }
    text(out, &t.args, THREAD_LIST_MAX);
    text(out, &t.cwd, THREAD_STRING_MAX);
    out.extend_from_slice(&t.fdlimit.to_le_bytes());
    for word in [t.flags, t.uid, t.gid, t.vm_size_kb, t.vm_rss_kb, t.vm_swap_kb] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&t.pfmajor.to_le_bytes());
    out.extend_from_slice(&t.pfminor.to_le_bytes());
    text(out, &t.env, THREAD_LIST_MAX);
    out.extend_from_slice(&t.vtid.to_le_bytes());
    out.extend_from_slice(&t.vpid.to_le_bytes());
    text(out, &t.cgroups, THREAD_LIST_MAX);
    text(out, &t.root, THREAD_STRING_MAX);
    cut
}

/// The layout of current libs. sysdig 0.29.3 takes its first four bytes for the login uid and
/// the fifth for exe writable, so the pidns start time is given those as its low 40 bits.
fn encode_dual_tail(t: &ThreadRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(&(t.pidns_init_start_ns & !DUAL_MASK | dual_bits(t)).to_le_bytes());
    out.extend_from_slice(&t.tty.to_le_bytes());
    encode_safe_tail(t, out);
    out.push(u8::from(t.exe_upper_layer));
    for value in [t.exe_ino, t.exe_ino_ctime_ns, t.exe_ino_mtime_ns] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.push(u8::from(t.exe_from_memfd));
    out.push(u8::from(t.exe_lower_layer));
    out.extend_from_slice(&t.pgid.to_le_bytes());
}

/// The 29 bytes that every reader takes alike.
fn encode_safe_tail(t: &ThreadRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(&t.loginuid.to_le_bytes());
    out.push(u8::from(t.exe_writable));
    for cap in t.caps {
        out.extend_from_slice(&cap.to_le_bytes());
    }
}
