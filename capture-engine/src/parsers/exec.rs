//! execve and execveat: a process becomes another program.

use super::files::{AT_FDCWD, resolve};
use super::{Ctx, Row, reparent};
use crate::state::cgroups::container_id;
use crate::state::fd::O_CLOEXEC;
use crate::state::thread::{ExeFile, thread_flags as flag};
use crate::state::{NOT_KNOWN, Text, empty_text, share_text};
use capture_common::RawEvent;
use capture_common::event_table::code;

/// Stored bit of AT_EMPTY_PATH in execveat's flags.
const AT_EMPTY_PATH: i64 = 1 << 0;

/// Bits of the `flags` parameter (`execve_flags`).
const EXE_WRITABLE: u64 = 1;
const EXE_UPPER_LAYER: u64 = 2;
const EXE_FROM_MEMFD: u64 = 4;
const EXE_LOWER_LAYER: u64 = 8;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_EXECVE_18_E, exec_enter),
    (code::SYSCALL_EXECVE_19_E, exec_enter),
    (code::SYSCALL_EXECVEAT_E, execveat_enter),
    (code::SYSCALL_EXECVE_8_X, |c| exec_exit(c, &LAYOUT_8)),
    (code::SYSCALL_EXECVE_13_X, |c| exec_exit(c, &LAYOUT_13)),
    (code::SYSCALL_EXECVE_14_X, |c| exec_exit(c, &LAYOUT_14)),
    (code::SYSCALL_EXECVE_15_X, |c| exec_exit(c, &LAYOUT_15)),
    (code::SYSCALL_EXECVE_16_X, |c| exec_exit(c, &LAYOUT_16)),
    (code::SYSCALL_EXECVE_17_X, |c| exec_exit(c, &LAYOUT_16)),
    (code::SYSCALL_EXECVE_18_X, |c| exec_exit(c, &LAYOUT_16)),
    (code::SYSCALL_EXECVE_19_X, |c| exec_exit(c, &LAYOUT_16)),
    (code::SYSCALL_EXECVEAT_X, |c| exec_exit(c, &LAYOUT_16)),
];

/// Where the parameters of an exit stand that differ between versions. From the sixteenth on
/// each version only added.
struct Layout {
    memory: Option<usize>,
    comm: Option<usize>,
    cgroups: Option<usize>,
    env: Option<usize>,
    newer: bool,
}

const LAYOUT_8: Layout = Layout { memory: None, comm: None, cgroups: None, env: None, newer: false };
const LAYOUT_13: Layout = Layout { memory: Some(8), comm: None, cgroups: None, env: None, newer: false };
const LAYOUT_14: Layout = Layout { memory: Some(8), comm: None, cgroups: None, env: Some(13), newer: false };
const LAYOUT_15: Layout =
    Layout { memory: Some(8), comm: Some(13), cgroups: None, env: Some(14), newer: false };
const LAYOUT_16: Layout =
    Layout { memory: Some(8), comm: Some(13), cgroups: Some(14), env: Some(15), newer: true };

/// Indices of the parameters that only the newer versions have.
const TTY: usize = 16;
const VPGID: usize = 17;
const LOGINUID: usize = 18;
const FLAGS: usize = 19;
const CAPS: usize = 20;
const EXE_INO: usize = 23;
const UID: usize = 26;
const TRUSTED_EXEPATH: usize = 27;
const PGID: usize = 28;
const GID: usize = 29;
const FILENAME: usize = 30;

fn exec_enter(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    ctx.keep([AT_FDCWD, 0, 0, 0], raw.text(0).unwrap_or(b""));
}

/// dirfd, pathname, flags.
fn execveat_enter(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    let nums = [raw.int(0).unwrap_or(AT_FDCWD), raw.int(2).unwrap_or(0), 0, 0];
    ctx.keep(nums, raw.text(1).unwrap_or(b""));
}

fn exec_exit(ctx: &mut Ctx<'_>, at: &Layout) {
    if ctx.failed() {
        return;
    }
    let raw = *ctx.raw;
    let (Some(exe), Some(args), Some(pid)) = (raw.text(1), raw.param(2), raw.int(4)) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    join_process(ctx, pid, raw.int(5).unwrap_or(-1));
    let exepath = exepath(ctx, &raw, exe, at.newer);
    leave_threads_behind(ctx, pid);
    let Some(thread) = ctx.thread_mut() else { return };
    thread.is_fake = false;
    thread.exe = share_text(&thread.exe, exe);
    thread.args_raw = share_text(&thread.args_raw, args);
    thread.comm = share_text(&thread.comm, at.comm.and_then(|i| raw.text(i)).unwrap_or(exe));
    thread.exepath = exepath;
    thread.last_exec_ts_ns = raw.ts_ns;
    thread.fdlimit = raw.int(7).unwrap_or(thread.fdlimit);
    if let Some(m) = at.memory {
        let number = |i: usize| raw.uint(m + i).unwrap_or(0);
        (thread.pfmajor, thread.pfminor) = (number(0), number(1));
        thread.vm_size_kb = number(2) as u32;
        thread.vm_rss_kb = number(3) as u32;
        thread.vm_swap_kb = number(4) as u32;
    }
    if let Some(env) = at.env.and_then(|i| raw.param(i)) {
        thread.env_raw = share_text(&thread.env_raw, env);
    }
    if let Some(cgroups) = at.cgroups.and_then(|i| raw.param(i)).filter(|c| !c.is_empty()) {
        // A runtime moves a process into its container between fork and exec.
        thread.cgroups_raw = share_text(&thread.cgroups_raw, cgroups);
        thread.container_id = container_id(cgroups);
    }
    if thread.cwd.is_empty() {
        let cwd = raw.text(6).unwrap_or(b"");
        if cwd.first() == Some(&b'/') {
            thread.cwd = Text::from([cwd.strip_suffix(b"/").unwrap_or(cwd), b"/"].concat());
        }
    }
    if at.newer {
        take_newer(thread, &raw);
    }
    let kept = flag::PIPE_SRC | flag::PIPE_DST | flag::IS_MAIN_THREAD | flag::CLONE_INVERTED;
    thread.flags = thread.flags & kept | flag::ACTIVE | flag::NAME_CHANGED;
    thread.fds.retain(|_, fd| fd.open_flags & O_CLOEXEC == 0);
    let bytes = thread.cost_bytes(false);
    ctx.machine.threads.charge(bytes);
}

fn take_newer(thread: &mut crate::Thread, raw: &RawEvent<'_>) {
    let number = |i: usize| raw.uint(i);
    thread.tty = number(TTY).map_or(thread.tty, |v| v as u32);
    thread.vpgid = raw.int(VPGID).unwrap_or(thread.vpgid);
    thread.loginuid = number(LOGINUID).map_or(thread.loginuid, |v| v as u32);
    if let Some(bits) = number(FLAGS) {
        let ExeFile { ino, ctime_ns, mtime_ns, .. } = thread.exe_file;
        thread.exe_file = ExeFile { ino, ctime_ns, mtime_ns, ..exe_file(bits) };
    }
    for (i, word) in thread.caps.iter_mut().enumerate() {
        *word = number(CAPS + i).unwrap_or(*word);
    }
    if let Some(ino) = number(EXE_INO) {
        thread.exe_file.ino = ino;
        thread.exe_file.ctime_ns = number(EXE_INO + 1).unwrap_or(0);
        thread.exe_file.mtime_ns = number(EXE_INO + 2).unwrap_or(0);
    }
    thread.uid = number(UID).map_or(thread.uid, |v| v as u32);
    thread.pgid = raw.int(PGID).unwrap_or(thread.pgid);
    thread.gid = number(GID).map_or(thread.gid, |v| v as u32);
}

/// What the `flags` parameter tells of the executable's file.
pub(super) fn exe_file(bits: u64) -> ExeFile {
    ExeFile {
        writable: bits & EXE_WRITABLE != 0,
        upper_layer: bits & EXE_UPPER_LAYER != 0,
        from_memfd: bits & EXE_FROM_MEMFD != 0,
        lower_layer: bits & EXE_LOWER_LAYER != 0,
        ..ExeFile::default()
    }
}

/// A thread that was unknown learns its process and its parent.
fn join_process(ctx: &mut Ctx<'_>, pid: i64, ptid: i64) {
    let tid = ctx.raw.tid;
    let Some(thread) = ctx.thread() else { return };
    if thread.is_fake && thread.pid != pid {
        let mut real = thread.clone();
        real.pid = pid;
        real.vpid = pid;
        ctx.applied.thread = reparent::insert(ctx.machine, real, tid);
    }
    if ctx.thread().is_some_and(|t| t.ptid == -1) {
        reparent::set_parent(ctx.machine, tid, ptid);
    }
}

/// Exec ends all other threads of the process; the one that called becomes the main thread, and
/// the kernel reports it by the main thread's number.
fn leave_threads_behind(ctx: &mut Ctx<'_>, pid: i64) {
    if ctx.machine.thread(pid).is_none_or(|main| main.nchilds == 0) {
        return;
    }
    let others: Vec<i64> =
        ctx.machine.threads.iter().filter(|t| t.pid == pid && t.tid != pid).map(|t| t.tid).collect();
    let survivor = ctx.raw.tid;
    for tid in others.into_iter().filter(|&tid| tid != survivor) {
        reparent::remove(ctx.machine, tid, pid);
    }
}

/// The path of the program: the kernel's own word where the event has it, else what the enter
/// asked for.
fn exepath(ctx: &mut Ctx<'_>, raw: &RawEvent<'_>, exe: &[u8], newer: bool) -> Text {
    let known = |path: Option<&[u8]>| path.filter(|p| !p.is_empty() && *p != NOT_KNOWN).map(<[u8]>::to_vec);
    let execve = raw.code == code::SYSCALL_EXECVE_19_X;
    if let Some(path) = newer.then(|| known(raw.text(TRUSTED_EXEPATH))).flatten() {
        return Text::from(path);
    }
    if let Some((nums, bytes)) = ctx.entered().map(|e| (e.nums, e.bytes.clone())) {
        let [dirfd, flags, ..] = nums;
        if bytes == NOT_KNOWN {
            return Text::from(bytes);
        }
        if bytes.is_empty() && dirfd >= 0 && flags & AT_EMPTY_PATH != 0 {
            return ctx.fds().and_then(|f| f.get(dirfd)).map_or_else(empty_text, |fd| fd.name.clone());
        }
        if !bytes.is_empty() {
            return resolve(ctx, dirfd, &bytes);
        }
    }
    if let Some(path) = execve.then(|| known(raw.text(FILENAME))).flatten() {
        return resolve(ctx, AT_FDCWD, &path);
    }
    if exe.first() == Some(&b'/') { Text::from(exe) } else { empty_text() }
}
