//! Iterator programs: the start state of the machine, one record per thread and one per open file; and
//! what CPU time threads have had.
//!
//! The records have the form of those in the rings, with the same sections, but go to whoever reads the
//! iterator. They are built in a map value of their own that stands in for a lane; there is one reader
//! at a time.

use crate::{
    config::ro,
    fdtable::put_fdinfo_of,
    maps::ITER_LANE,
    read::{Ctx, arg, cast, current, ld4, ld8, now_ns, probe8, st4, st8, untrusted},
    ring::{self, Record, body, head},
    sock::put_sock_of,
    task::put_task,
    tree,
};
use aya_ebpf::helpers::generated as helper;
use capture_common::abi::{
    FdInfo, IterCpuFixed, IterFileFixed, IterTaskFixed, LaneHead, RecordHeader, STR_MAX, SectionHeader,
    iter_flag, kind, section_flag, tag,
};
use core::mem::offset_of;

const FIXED: usize = RecordHeader::LEN_BYTES;
/// Where the record starts, behind what stands in for the lane's head.
const START: usize = 4096;
/// Longest record, a power of two; the kernel's buffer has eight pages.
const LEN_MAX: u64 = 0x4000;
const S_IFMT: u32 = 0xf000;
const S_IFSOCK: u32 = 0xc000;

/// Begins a record of `kind` about `task` with a fixed part of `len` bytes.
#[inline(always)]
fn begin(kind: u8, task: u64, len: usize) -> Option<Record> {
    let lane: *mut u8 = ITER_LANE.get_ptr_mut(0)?.cast();
    // SAFETY: inside the map value.
    let start = unsafe { lane.add(START) };
    let ids = (ld4(task, ro!(T_TGID)) as u64) << 32 | ld4(task, ro!(T_PID)) as u64;
    st8(start, 0, ring::what(kind, 0, 0) << 32);
    st8(start, offset_of!(RecordHeader, ts_ns), now_ns());
    st8(start, offset_of!(RecordHeader, tid), ids);
    let record = Record { lane, start, level: 0 };
    record.start_sections(FIXED + len);
    Some(record)
}

/// Hands the record over; one that finds the kernel's buffer full is asked for again.
#[inline(always)]
fn write(ctx: Ctx, record: Record) -> i32 {
    let len = head!(record.lane, pos);
    if len >= LEN_MAX {
        return 0;
    }
    st4(record.start, 0, len as u32);
    let seq = ld8(arg(ctx, 0), ro!(IM_SEQ));
    // SAFETY: the verifier proves that the bytes lie in the map value.
    unsafe { helper::bpf_seq_write(seq as *mut _, record.start.cast(), (len & (LEN_MAX - 1)) as u32) };
    0
}

/// iter/task: (meta, task).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub fn capture_iter_task(ctx: Ctx) -> i32 {
    let task = arg(ctx, 1);
    if task == 0 {
        return 0;
    }
    let task = untrusted(task);
    let Some(record) = begin(kind::ITER_TASK, task, IterTaskFixed::LEN_BYTES) else { return 0 };
    let signal = ld8(task, ro!(T_SIGNAL));
    st8(record.start, FIXED + offset_of!(IterTaskFixed, group_min_flt), ld8(signal, ro!(S_MIN_FLT)));
    st8(record.start, FIXED + offset_of!(IterTaskFixed, group_maj_flt), ld8(signal, ro!(S_MAJ_FLT)));
    st4(record.start, FIXED + offset_of!(IterTaskFixed, exit_state), ld4(task, ro!(T_EXIT_STATE)));
    let flags = if has_root_of_reader(task) { iter_flag::ROOT_OF_READER } else { 0 };
    st4(record.start, FIXED + offset_of!(IterTaskFixed, flags), flags);
    put_task(record, task);
    write(ctx, record)
}

/// Threads that ran for less have had no tick of /proc/PID/stat either.
const TICK_NS: u64 = 10_000_000;

/// iter/task: (meta, task). CPU time of the threads that the capture is about.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub fn capture_iter_cpu(ctx: Ctx) -> i32 {
    let task = arg(ctx, 1);
    if task == 0 {
        return 0;
    }
    let task = untrusted(task);
    let ran_ns = ld8(task, ro!(T_RAN));
    if ran_ns < TICK_NS || ro!(ONLY_TREE) != 0 && !tree::has(ld4(task, ro!(T_TGID))) {
        return 0;
    }
    let Some(record) = begin(kind::ITER_CPU, task, IterCpuFixed::LEN_BYTES) else { return 0 };
    st8(record.start, FIXED + offset_of!(IterCpuFixed, user_ns), ld8(task, ro!(T_UTIME)));
    st8(record.start, FIXED + offset_of!(IterCpuFixed, system_ns), ld8(task, ro!(T_STIME)));
    st8(record.start, FIXED + offset_of!(IterCpuFixed, ran_ns), ran_ns);
    write(ctx, record)
}

/// Whether the root directory of `task` is that of the process that reads the iterator.
#[inline(always)]
fn has_root_of_reader(task: u64) -> bool {
    let (own, other) = (ld8(untrusted(current()), ro!(T_FS)), ld8(task, ro!(T_FS)));
    other != 0
        && ld8(own, ro!(FS_ROOT_DENTRY)) == ld8(other, ro!(FS_ROOT_DENTRY))
        && ld8(own, ro!(FS_ROOT_MNT)) == ld8(other, ro!(FS_ROOT_MNT))
}

/// iter/task_file: (meta, task, fd, file).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub fn capture_iter_file(ctx: Ctx) -> i32 {
    let (task, fd, file) = (arg(ctx, 1), arg(ctx, 2) as u32, arg(ctx, 3));
    if task == 0 || file == 0 {
        return 0;
    }
    let task = untrusted(task);
    // Threads share the table of their process's first one, unless that has ended.
    if ld4(task, ro!(T_PID)) != ld4(task, ro!(T_TGID)) && ld8(ld8(task, ro!(T_LEADER)), ro!(T_FILES)) != 0 {
        return 0;
    }
    let Some(record) = begin(kind::ITER_FILE, task, IterFileFixed::LEN_BYTES) else { return 0 };
    let flags = if is_closed_at_exec(task, fd) { iter_flag::CLOSE_ON_EXEC } else { 0 };
    st4(record.start, FIXED + offset_of!(IterFileFixed, fd), fd);
    st4(record.start, FIXED + offset_of!(IterFileFixed, flags), flags);
    put_fdinfo_of(record, cast(file, ro!(ID_FILE)), 0, fd);
    const MODE: usize =
        FIXED + IterFileFixed::LEN_BYTES + SectionHeader::LEN_BYTES + offset_of!(FdInfo, mode);
    // What a socket is called follows from its inode.
    if ld4(record.start as u64, MODE as u64) & S_IFMT == S_IFSOCK {
        put_sock_of(record, cast(file, ro!(ID_FILE)), 0, fd);
    }
    put_path(record, file);
    write(ctx, record)
}

/// FDPATH: what the links in /proc/PID/fd say.
#[inline(always)]
fn put_path(record: Record, file: u64) {
    let Some(at) = record.section() else { return };
    let path = file + ro!(F_MNT);
    // SAFETY: `mnt` is the first member of `struct path`, and the section has room for the longest one.
    let len = unsafe { helper::bpf_d_path(path as *mut _, body(at).cast(), STR_MAX as u32) };
    // The length counts the NUL.
    if len > 0 && len <= STR_MAX as i64 {
        record.end_section(at, tag::FDPATH, 0, 0, len as u64 - 1);
    } else {
        record.end_section(at, tag::FDPATH, 0, section_flag::FAULT, 0);
    }
}

/// The fd's bit in the table's `close_on_exec`.
#[inline(always)]
fn is_closed_at_exec(task: u64, fd: u32) -> bool {
    let fdt = ld8(ld8(task, ro!(T_FILES)), ro!(FILES_FDT));
    if fd >= ld4(fdt, ro!(FDT_MAX)) {
        return false;
    }
    let word = ld8(fdt, ro!(FDT_CLOEXEC)) + (fd as u64 >> 6) * 8;
    let word = if ro!(CAST) != 0 { ld8(cast(word, ro!(ID_WORD)), 0) } else { probe8(word) };
    word >> (fd & 63) & 1 != 0
}

const _: () = assert!(LaneHead::LEN_BYTES <= START);
