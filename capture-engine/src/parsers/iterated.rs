//! A thread that was read again from the kernel: what a recorder tells of all threads at its start,
//! and of some after a loss.

use super::{Ctx, Row, reparent};
use crate::state::cgroups::container_id;
use crate::state::thread::{ExeFile, Thread};
use crate::state::{paths, share_text};
use capture_common::RawEvent;
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[(code::ITER_TASK_E, task)];

/// Indices of the parameters.
mod at {
    pub(super) const PPID: usize = 0;
    pub(super) const PGID: usize = 1;
    pub(super) const VPGID: usize = 2;
    pub(super) const SID: usize = 3;
    pub(super) const COMM: usize = 4;
    pub(super) const ARGV: usize = 5;
    pub(super) const EXEPATH: usize = 6;
    pub(super) const FLAGS: usize = 7;
    pub(super) const ENV: usize = 8;
    pub(super) const CWD: usize = 9;
    pub(super) const FDLIMIT: usize = 10;
    pub(super) const EUID: usize = 11;
    pub(super) const EGID: usize = 12;
    pub(super) const CAP_PERMITTED: usize = 13;
    pub(super) const CAP_EFFECTIVE: usize = 14;
    pub(super) const CAP_INHERITABLE: usize = 15;
    pub(super) const EXE_INO: usize = 16;
    pub(super) const EXE_CTIME: usize = 17;
    pub(super) const EXE_MTIME: usize = 18;
    pub(super) const VM_SIZE: usize = 19;
    pub(super) const VM_RSS: usize = 20;
    pub(super) const VM_SWAP: usize = 21;
    pub(super) const FAULTS_MAJOR: usize = 22;
    pub(super) const FAULTS_MINOR: usize = 23;
    pub(super) const VTGID: usize = 24;
    pub(super) const VTID: usize = 25;
    pub(super) const PIDNS_START: usize = 26;
    pub(super) const CGROUPS: usize = 27;
    pub(super) const ROOT: usize = 28;
    pub(super) const START: usize = 29;
    pub(super) const TTY: usize = 30;
    pub(super) const LOGINUID: usize = 31;
}

/// Replaces what is known of the thread. Its open files stay: events of their own tell of them.
fn task(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    let tid = raw.tid;
    let (Some(vtgid), Some(vtid)) = (raw.int(at::VTGID), raw.int(at::VTID)) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    if tid < 0 {
        return;
    }
    let known = ctx.machine.thread(tid).filter(|t| !t.is_fake).map(|t| t.pid);
    // Of one that was forgotten after a loss, only that much is left.
    let before = ctx.machine.thread(tid).map(|t| t.pid);
    // The event has the number of the process in its own pid namespace only.
    let pid = match known {
        Some(pid) => pid,
        None if vtgid == vtid => tid,
        None if vtid == tid => vtgid,
        None => before.unwrap_or(tid),
    };
    let mut thread = match ctx.machine.thread(tid) {
        Some(thread) => thread.clone(),
        None => Thread::new(tid),
    };
    thread.is_fake = false;
    thread.pid = pid;
    (thread.vtid, thread.vpid) = (vtid, vtgid);
    take_names(&mut thread, &raw);
    take_numbers(&mut thread, &raw);
    ctx.applied.thread = reparent::insert(ctx.machine, thread, tid);
}

fn take_names(thread: &mut Thread, raw: &RawEvent<'_>) {
    let text = |i| raw.text(i).unwrap_or(b"");
    thread.comm = share_text(&thread.comm, text(at::COMM));
    let argv = raw.param(at::ARGV).unwrap_or(b"");
    let exe_len = argv.iter().position(|&b| b == 0).unwrap_or(argv.len());
    thread.exe = share_text(&thread.exe, &argv[..exe_len]);
    thread.args_raw = share_text(&thread.args_raw, argv.get(exe_len + 1..).unwrap_or(b""));
    thread.exepath = share_text(&thread.exepath, text(at::EXEPATH));
    thread.env_raw = share_text(&thread.env_raw, raw.param(at::ENV).unwrap_or(b""));
    thread.root = share_text(&thread.root, text(at::ROOT));
    if text(at::CWD).first() == Some(&b'/') {
        let mut cwd = Vec::new();
        paths::join_directory(b"", text(at::CWD), &mut cwd);
        thread.cwd = share_text(&thread.cwd, &cwd);
    }
    let cgroups = raw.param(at::CGROUPS).unwrap_or(b"");
    if !cgroups.is_empty() {
        thread.cgroups_raw = share_text(&thread.cgroups_raw, cgroups);
        thread.container_id = container_id(cgroups);
    }
}

fn take_numbers(thread: &mut Thread, raw: &RawEvent<'_>) {
    let int = |i, old| raw.int(i).unwrap_or(old);
    let uint = |i| raw.uint(i).unwrap_or(0);
    thread.ptid = int(at::PPID, thread.ptid);
    thread.pgid = int(at::PGID, thread.pgid);
    thread.vpgid = int(at::VPGID, thread.vpgid);
    thread.sid = int(at::SID, thread.sid);
    thread.fdlimit = int(at::FDLIMIT, thread.fdlimit);
    (thread.uid, thread.gid) = (uint(at::EUID) as u32, uint(at::EGID) as u32);
    thread.caps = [uint(at::CAP_INHERITABLE), uint(at::CAP_PERMITTED), uint(at::CAP_EFFECTIVE)];
    thread.exe_file = ExeFile {
        ino: uint(at::EXE_INO),
        ctime_ns: uint(at::EXE_CTIME),
        mtime_ns: uint(at::EXE_MTIME),
        ..super::exec::exe_file(uint(at::FLAGS))
    };
    thread.vm_size_kb = uint(at::VM_SIZE) as u32;
    thread.vm_rss_kb = uint(at::VM_RSS) as u32;
    thread.vm_swap_kb = uint(at::VM_SWAP) as u32;
    (thread.pfmajor, thread.pfminor) = (uint(at::FAULTS_MAJOR), uint(at::FAULTS_MINOR));
    // 0: not known to the one who read it again.
    if uint(at::PIDNS_START) != 0 {
        thread.pidns_init_start_ns = uint(at::PIDNS_START);
    }
    thread.clone_ts_ns = uint(at::START);
    thread.tty = uint(at::TTY) as u32;
    thread.loginuid = raw.uint(at::LOGINUID).map_or(u32::MAX, |uid| uid as u32);
}
