//! Exit events of clone and exec forms: the image of the calling thread.
//!
//! In a parent's clone exit the image is the parent's, in the child's (result 0) the child's, as
//! readers expect. After a successful exec it is the new image; the path that was executed comes
//! from the probe's EXEC record, because by then the memory with the argument is gone.

use super::call::Call;
use super::source::Src::{self, Bytes, Num, Ret, Text};
use capture_common::abi::{TaskInfo, tag};
use capture_common::native::maps;

/// Stored clone flag: the child is in a pid namespace of its own, its ids are namespace-local.
const CLONE_CHILD_IN_PIDNS: u64 = 0x2000_0000;
/// Native flags of vfork and fork in terms of clone.
const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;

fn field(c: &Call<'_>, f: fn(&TaskInfo) -> u64) -> u64 {
    c.task().map_or(0, |t| f(&t))
}

/// A field where "unknown" must not read as 0 (root, or no id).
fn id_field(c: &Call<'_>, f: fn(&TaskInfo) -> u64) -> u64 {
    c.task().map_or(u64::MAX, |t| f(&t))
}

/// The program as it was called: argv[0].
fn exe<'a>(c: &Call<'a>) -> &'a [u8] {
    match c.data_of(tag::ARGS) {
        Some(args) => args.split(|&b| b == 0).next().unwrap_or(&[]),
        None => b"<NA>",
    }
}

/// Bytes up to and with the last whole string; a cut one gets its NUL.
fn push_strings(strings: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(strings);
    if strings.last().is_some_and(|&b| b != 0) {
        out.push(0);
    }
}

fn push_args(c: &Call<'_>, out: &mut Vec<u8>) {
    let args = c.data_of(tag::ARGS).unwrap_or(&[]);
    let rest = args.iter().position(|&b| b == 0).map_or(&[][..], |end| &args[end + 1..]);
    push_strings(rest, out);
}

fn push_env(c: &Call<'_>, out: &mut Vec<u8>) {
    push_strings(c.data_of(tag::ENV).unwrap_or(&[]), out);
}

fn push_comm(c: &Call<'_>, out: &mut Vec<u8>) {
    let comm = c.task().map_or([0; 16], |t| t.comm);
    out.extend(comm.iter().take_while(|&&b| b != 0));
    out.push(0);
}

fn push_cgroups(c: &Call<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(c.cgroups);
}

/// The path given to exec: from the EXEC record, or on failure the caller's argument.
fn exec_filename<'a>(c: &Call<'a>) -> &'a [u8] {
    if c.is_ok() && !c.exec_filename.is_empty() { c.exec_filename } else { c.text(0) }
}

fn clone_flags(c: &Call<'_>, native: u64) -> u64 {
    let in_pidns = c.task().is_some_and(|t| t.pidns_level > 0);
    u64::from(maps::CLONE_FLAGS.stored(native)) | if in_pidns { CLONE_CHILD_IN_PIDNS } else { 0 }
}

/// Start of the pid namespace's init, ns since boot; said by the child only, whose namespace it is.
fn pidns_start(c: &Call<'_>) -> u64 {
    if c.ret == 0 { field(c, |t| t.pidns_init_start_boot_ns) } else { 0 }
}

const EXE: Src = Text(exe);
const ARGS: Src = Bytes(push_args);
const TID: Src = Num(|c| u64::from(c.header.tid));
const PID: Src = Num(|c| u64::from(c.header.pid));
const PTID: Src = Num(|c| id_field(c, |t| u64::from(t.ppid)));
const CWD: Src = Text(|c| c.whole_path(tag::CWD).unwrap_or_default());
const FDLIMIT: Src = Num(|c| field(c, |t| t.fdlimit));
const PGFT_MAJ: Src = Num(|c| field(c, |t| t.maj_flt));
const PGFT_MIN: Src = Num(|c| field(c, |t| t.min_flt));
const VM_SIZE: Src = Num(|c| field(c, |t| u64::from(t.mm.vm_size_kb)));
const VM_RSS: Src = Num(|c| field(c, |t| u64::from(t.mm.vm_rss_kb)));
const VM_SWAP: Src = Num(|c| field(c, |t| u64::from(t.mm.vm_swap_kb)));
const COMM: Src = Bytes(push_comm);
const CGROUPS: Src = Bytes(push_cgroups);
/// Files know one uid and gid of a thread: the effective ones.
const UID: Src = Num(|c| id_field(c, |t| u64::from(t.euid)));
const GID: Src = Num(|c| id_field(c, |t| u64::from(t.egid)));
const VTID: Src = Num(|c| c.task().map_or(u64::from(c.header.tid), |t| u64::from(t.vtid)));
const VPID: Src = Num(|c| c.task().map_or(u64::from(c.header.pid), |t| u64::from(t.vpid)));
const PIDNS_START: Src = Num(pidns_start);

macro_rules! clone_row {
    ($flags:expr) => {
        &[
            Ret,
            EXE,
            ARGS,
            TID,
            PID,
            PTID,
            CWD,
            FDLIMIT,
            PGFT_MAJ,
            PGFT_MIN,
            VM_SIZE,
            VM_RSS,
            VM_SWAP,
            COMM,
            CGROUPS,
            Num($flags),
            UID,
            GID,
            VTID,
            VPID,
            PIDNS_START,
        ]
    };
}

/// clone(2).
pub(super) const CLONE: &[Src] = clone_row!(|c| clone_flags(c, c.arg(0) & 0xffff_ffff));
/// clone3(2): the flags are the first word of its struct, at the enter if that was seen.
pub(super) const CLONE3: &[Src] =
    clone_row!(|c| clone_flags(c, c.clone3_flags.or_else(|| c.raw_u64(0, 0)).unwrap_or(0)));
/// fork(2).
pub(super) const FORK: &[Src] = clone_row!(|c| clone_flags(c, 0));
/// vfork(2).
pub(super) const VFORK: &[Src] = clone_row!(|c| clone_flags(c, CLONE_VM | CLONE_VFORK));

const ENV: Src = Bytes(push_env);
const TTY: Src = Num(|c| field(c, |t| u64::from(t.tty)));
const VPGID: Src = Num(|c| id_field(c, |t| u64::from(t.vpgid)));
const LOGINUID: Src = Num(|c| id_field(c, |t| u64::from(t.loginuid)));
/// The probe's bits are the stored ones.
const EXE_FLAGS: Src = Num(|c| field(c, |t| u64::from(t.exe_flags)));
const CAP_INHERITABLE: Src = Num(|c| field(c, |t| maps::CAPABILITIES.stored64(t.cap_inheritable)));
const CAP_PERMITTED: Src = Num(|c| field(c, |t| maps::CAPABILITIES.stored64(t.cap_permitted)));
const CAP_EFFECTIVE: Src = Num(|c| field(c, |t| maps::CAPABILITIES.stored64(t.cap_effective)));
const EXE_INO: Src = Num(|c| field(c, |t| t.exe_ino));
const EXE_CTIME: Src = Num(|c| field(c, |t| t.exe_ctime_ns));
const EXE_MTIME: Src = Num(|c| field(c, |t| t.exe_mtime_ns));
/// Of one that lies too deep the state tells, by the name that was executed.
const EXE_PATH: Src = Text(|c| c.whole_path(tag::EXEPATH).unwrap_or_default());
const PGID: Src = Num(|c| id_field(c, |t| u64::from(t.pgid)));

macro_rules! exec_row {
    ($($last:expr)?) => {
        &[
            Ret, EXE, ARGS, TID, PID, PTID, CWD, FDLIMIT, PGFT_MAJ, PGFT_MIN, VM_SIZE, VM_RSS,
            VM_SWAP, COMM, CGROUPS, ENV, TTY, VPGID, LOGINUID, EXE_FLAGS, CAP_INHERITABLE,
            CAP_PERMITTED, CAP_EFFECTIVE, EXE_INO, EXE_CTIME, EXE_MTIME, UID, EXE_PATH, PGID, GID,
            $($last,)?
        ]
    };
}

/// execve(2), and what a successful execveat(2) becomes.
pub(super) const EXECVE: &[Src] = exec_row!(Text(exec_filename));
/// A failed execveat(2).
pub(super) const EXECVEAT: &[Src] = exec_row!();
