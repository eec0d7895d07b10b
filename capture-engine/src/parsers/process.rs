//! Processes and threads come and go: clone, fork, vfork, clone3 and process exit.
//!
//! A clone has two exits, the creator's (the result is the child's number as the creator sees
//! it) and the child's (the result is 0), in either order. Whichever comes first makes the
//! thread. Inside a pid namespace only the child's event can: the creator's result is a number
//! of the namespace.

use super::{Ctx, Row, reparent};
use crate::state::cgroups::container_id;
use crate::state::machine::Machine;
use crate::state::thread::{Thread, thread_flags as flag};
use crate::state::{Text, share_text};
use capture_common::event_table::code;
use capture_common::{EventCode, RawEvent};

/// A thread of the same number that is older than this is a leftover whose exit was lost.
const LEFTOVER_AGE_NS: u64 = 2_000_000_000;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_CLONE_11_X, |c| clone_exit(c, &LAYOUT_11)),
    (code::SYSCALL_CLONE_16_X, |c| clone_exit(c, &LAYOUT_16)),
    (code::SYSCALL_FORK_X, |c| clone_exit(c, &LAYOUT_16)),
    (code::SYSCALL_VFORK_X, |c| clone_exit(c, &LAYOUT_16)),
    (code::SYSCALL_CLONE_17_X, |c| clone_exit(c, &LAYOUT_17)),
    (code::SYSCALL_FORK_17_X, |c| clone_exit(c, &LAYOUT_17)),
    (code::SYSCALL_VFORK_17_X, |c| clone_exit(c, &LAYOUT_17)),
    (code::SYSCALL_CLONE_20_X, |c| clone_exit(c, &LAYOUT_20)),
    (code::SYSCALL_CLONE3_X, |c| clone_exit(c, &LAYOUT_20)),
    (code::SYSCALL_FORK_20_X, |c| clone_exit(c, &LAYOUT_20)),
    (code::SYSCALL_VFORK_20_X, |c| clone_exit(c, &LAYOUT_20)),
    (code::PROCEXIT_E, process_exit),
    (code::PROCEXIT_1_E, process_exit),
];

/// Where the later parameters of a clone's exit stand; the first eight are the same in all.
struct Layout {
    memory: Option<usize>,
    comm: Option<usize>,
    cgroups: Option<usize>,
    flags: usize,
    vtid: Option<usize>,
}

const LAYOUT_11: Layout = Layout { memory: None, comm: None, cgroups: None, flags: 8, vtid: None };
const LAYOUT_16: Layout = Layout { memory: Some(8), comm: None, cgroups: None, flags: 13, vtid: None };
const LAYOUT_17: Layout = Layout { memory: Some(8), comm: Some(13), cgroups: None, flags: 14, vtid: None };
const LAYOUT_20: Layout =
    Layout { memory: Some(8), comm: Some(13), cgroups: Some(14), flags: 15, vtid: Some(18) };

/// Whether an event is the exit of a call that makes a thread.
pub(crate) fn is_clone_exit(event: EventCode) -> bool {
    ROWS.iter().any(|&(row, _)| row == event && event.is_exit())
}

fn is_vfork(event: EventCode) -> bool {
    matches!(event, code::SYSCALL_VFORK_X | code::SYSCALL_VFORK_17_X | code::SYSCALL_VFORK_20_X)
}

/// The parameters of a clone's exit.
struct Cloned<'a> {
    exe: &'a [u8],
    args: &'a [u8],
    comm: &'a [u8],
    cwd: &'a [u8],
    cgroups: Option<&'a [u8]>,
    pid: i64,
    ptid: i64,
    fdlimit: i64,
    faults: [u64; 2],
    memory_kb: [u32; 3],
    flags: u32,
    uid: u32,
    gid: u32,
    vtid: Option<i64>,
    vpid: Option<i64>,
    pidns_init_start_ns: u64,
}

impl<'a> Cloned<'a> {
    fn of(raw: &RawEvent<'a>, at: &Layout) -> Option<Self> {
        let exe = raw.text(1)?;
        let number = |i: usize| raw.uint(i).unwrap_or(0);
        let memory = |i: usize| at.memory.map_or(0, |m| number(m + i));
        Some(Cloned {
            exe,
            args: raw.param(2)?,
            comm: at.comm.and_then(|i| raw.text(i)).unwrap_or(exe),
            cwd: raw.text(6).unwrap_or(b""),
            cgroups: at.cgroups.and_then(|i| raw.param(i)),
            pid: raw.int(4)?,
            ptid: raw.int(5)?,
            fdlimit: raw.int(7).unwrap_or(-1),
            faults: [memory(0), memory(1)],
            memory_kb: [memory(2) as u32, memory(3) as u32, memory(4) as u32],
            flags: raw.uint(at.flags)? as u32,
            uid: raw.uint(at.flags + 1)? as u32,
            gid: raw.uint(at.flags + 2)? as u32,
            vtid: at.vtid.and_then(|i| raw.int(i)),
            vpid: at.vtid.and_then(|i| raw.int(i + 1)),
            pidns_init_start_ns: at.vtid.map_or(0, |i| number(i + 2)),
        })
    }

    fn is_thread(&self) -> bool {
        self.flags & flag::CLONE_THREAD != 0
    }

    /// Whether the caller's numbers are not the host's.
    fn in_namespace(&self, tid: i64) -> bool {
        self.flags & flag::CHILD_IN_PIDNS != 0 || self.vtid.is_some_and(|v| v != tid)
    }
}

fn clone_exit(ctx: &mut Ctx<'_>, layout: &Layout) {
    let raw = *ctx.raw;
    let (Some(result), Some(cloned)) = (raw.int(0), Cloned::of(&raw, layout)) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    match result {
        0 => child_side(ctx, &cloned),
        1.. => creator_side(ctx, &cloned, result),
        _ => {}
    }
}

/// The creator's exit.
fn creator_side(ctx: &mut Ctx<'_>, cloned: &Cloned<'_>, child: i64) {
    let (tid, ts_ns) = (ctx.raw.tid, ctx.raw.ts_ns);
    introduce_caller(ctx, cloned);
    // In these cases the child has run already, or its number or parent is not what this event
    // says; its own event tells.
    let child_tells = cloned.in_namespace(tid)
        || cloned.flags & (flag::CLONE_NEWPID | flag::CLONE_PARENT | flag::CLONE_VFORK) != 0
        || is_vfork(ctx.raw.code);
    if child_tells || ctx.machine.recent_exits.contains(child, ts_ns) {
        return;
    }
    if ctx.machine.thread(child).is_some_and(|t| t.flags & flag::CLONE_INVERTED != 0) {
        return;
    }
    let parent = if cloned.is_thread() { cloned.pid } else { tid };
    let ptid = if cloned.is_thread() { cloned.ptid } else { tid };
    make_thread(ctx, cloned, child, parent, ptid, 0);
}

/// The child's exit.
fn child_side(ctx: &mut Ctx<'_>, cloned: &Cloned<'_>) {
    let (tid, ts_ns) = (ctx.raw.tid, ctx.raw.ts_ns);
    if tid < 0 {
        return;
    }
    let in_namespace = cloned.in_namespace(tid);
    if let Some(thread) = ctx.machine.threads.get_mut(tid) {
        let leftover = if thread.clone_ts_ns != 0 {
            ts_ns.saturating_sub(thread.clone_ts_ns) > LEFTOVER_AGE_NS
        } else {
            // It was there before, and has lived: not the one that only now begins.
            thread.call.code.is_some_and(EventCode::is_enter)
        };
        if !leftover && !thread.is_fake {
            if in_namespace {
                thread.vtid = cloned.vtid.unwrap_or(tid);
                thread.vpid = cloned.vpid.unwrap_or(thread.pid);
            }
            return;
        }
    }
    let parent = if cloned.is_thread() { cloned.pid } else { cloned.ptid };
    make_thread(ctx, cloned, tid, parent, cloned.ptid, flag::CLONE_INVERTED);
    ctx.applied.thread = ctx.machine.threads.slot(tid);
}

/// Makes the creator known if it was not: the child is its image.
fn introduce_caller(ctx: &mut Ctx<'_>, cloned: &Cloned<'_>) {
    let tid = ctx.raw.tid;
    if tid < 0 || ctx.machine.thread(tid).is_some_and(Thread::is_known) {
        return;
    }
    let mut caller = match ctx.machine.thread(tid) {
        Some(fake) => fake.clone(),
        None => Thread::new(tid),
    };
    caller.comm = Text::from(cloned.comm);
    caller.exe = Text::from(cloned.exe);
    caller.args_raw = Text::from(cloned.args);
    caller.pid = cloned.pid;
    caller.ptid = cloned.ptid;
    caller.uid = cloned.uid;
    caller.gid = cloned.gid;
    caller.vtid = cloned.vtid.unwrap_or(tid);
    caller.vpid = cloned.vpid.unwrap_or(cloned.pid);
    caller.cwd = cwd_of(cloned.cwd);
    caller.is_fake = false;
    set_cgroups(&mut caller, cloned.cgroups);
    ctx.applied.thread = reparent::insert(ctx.machine, caller, tid);
}

fn cwd_of(cwd: &[u8]) -> Text {
    match cwd {
        b"" | [b'<', ..] => crate::state::empty_text(),
        [.., b'/'] => Text::from(cwd),
        _ => Text::from([cwd, b"/"].concat()),
    }
}

fn set_cgroups(thread: &mut Thread, cgroups: Option<&[u8]>) {
    let Some(cgroups) = cgroups.filter(|c| !c.is_empty()) else { return };
    if *thread.cgroups_raw != *cgroups {
        thread.cgroups_raw = Text::from(cgroups);
        thread.container_id = container_id(cgroups);
    }
}

/// Adds the child, with what it has from its parent and from the event.
fn make_thread(ctx: &mut Ctx<'_>, c: &Cloned<'_>, tid: i64, parent: i64, ptid: i64, extra_flags: u32) {
    if ctx.machine.thread(tid).is_some() {
        // A leftover whose exit was lost.
        reparent::remove(ctx.machine, tid, 0);
    }
    let pid = if c.is_thread() { c.pid } else { tid };
    let mut thread = Thread::new(tid);
    if let Some(parent) = ctx.machine.thread(parent) {
        inherit(&mut thread, parent, ctx.machine, c.is_thread());
    } else {
        thread.cwd = cwd_of(c.cwd);
    }
    thread.pid = pid;
    thread.ptid = ptid;
    thread.comm = share_text(&thread.comm, c.comm);
    thread.exe = share_text(&thread.exe, c.exe);
    thread.args_raw = share_text(&thread.args_raw, c.args);
    thread.uid = c.uid;
    thread.gid = c.gid;
    thread.fdlimit = c.fdlimit;
    [thread.pfmajor, thread.pfminor] = c.faults;
    [thread.vm_size_kb, thread.vm_rss_kb, thread.vm_swap_kb] = c.memory_kb;
    set_cgroups(&mut thread, c.cgroups);
    let by_child = extra_flags & flag::CLONE_INVERTED != 0;
    (thread.vtid, thread.vpid) = match (c.vtid, c.vpid) {
        (Some(vtid), Some(vpid)) if by_child => (vtid, vpid),
        _ => (tid, pid),
    };
    thread.flags = c.flags | extra_flags;
    thread.clone_ts_ns = ctx.raw.ts_ns;
    thread.pidns_init_start_ns = c.pidns_init_start_ns;
    reparent::insert(ctx.machine, thread, ctx.raw.tid);
}

fn inherit(thread: &mut Thread, parent: &Thread, machine: &Machine, shares: bool) {
    thread.exepath = parent.exepath.clone();
    thread.root = parent.root.clone();
    thread.comm = parent.comm.clone();
    thread.exe = parent.exe.clone();
    thread.args_raw = parent.args_raw.clone();
    thread.cgroups_raw = parent.cgroups_raw.clone();
    thread.container_id = parent.container_id.clone();
    thread.sid = parent.sid;
    thread.vpgid = parent.vpgid;
    thread.pgid = parent.pgid;
    thread.tty = parent.tty;
    thread.loginuid = parent.loginuid;
    thread.exe_file = parent.exe_file;
    thread.caps = parent.caps;
    if !shares {
        let main = machine.main_thread(parent);
        thread.env_raw = main.env_raw.clone();
        thread.cwd = main.cwd.clone();
        thread.fds = main.fds.clone_for_fork();
    }
}

/// A thread ends. It is removed after the event.
fn process_exit(ctx: &mut Ctx<'_>) {
    // status, ret, sig, core, reaper_tid.
    let reaper = ctx.raw.int(4).unwrap_or(0);
    let tid = ctx.raw.tid;
    if let Some(thread) = ctx.thread_mut() {
        thread.flags |= flag::CLOSED;
        ctx.deferred.thread = Some((tid, reaper));
    }
}

/// Removes a thread that has ended. A main thread stays, marked closed, while other threads of
/// its process live: they share what it holds.
pub(crate) fn end_thread(machine: &mut Machine, tid: i64, reaper: i64, ts_ns: u64) {
    machine.recent_exits.add(tid, ts_ns);
    let Some(thread) = machine.thread(tid) else { return };
    if thread.is_main() && thread.nchilds > 0 {
        return;
    }
    let (is_main, pid) = (thread.is_main(), thread.pid);
    reparent::remove(machine, tid, reaper);
    let leader_waits = !is_main
        && machine.thread(pid).is_some_and(|main| main.nchilds == 0 && main.flags & flag::CLOSED != 0);
    if leader_waits {
        reparent::remove(machine, pid, reaper);
    }
}
