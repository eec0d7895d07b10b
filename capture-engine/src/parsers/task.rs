//! What threads set about themselves: session, process group, limits, prctl.

use super::{Ctx, Row};
use capture_common::event_table::code;

/// Stored number of RLIMIT_NOFILE.
const RLIMIT_NOFILE: u64 = 7;
/// Stored numbers of prctl options.
const PR_SET_CHILD_SUBREAPER: u64 = 36;
const PR_GET_CHILD_SUBREAPER: u64 = 37;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_SETSID_X, setsid),
    (code::SYSCALL_SETPGID_E, setpgid_enter),
    (code::SYSCALL_SETPGID_X, setpgid_exit),
    (code::SYSCALL_GETRLIMIT_E, |c| keep_resource(c, 0)),
    (code::SYSCALL_SETRLIMIT_E, |c| keep_resource(c, 0)),
    (code::SYSCALL_PRLIMIT_E, prlimit_enter),
    (code::SYSCALL_GETRLIMIT_X, rlimit_exit),
    (code::SYSCALL_SETRLIMIT_X, rlimit_exit),
    (code::SYSCALL_PRLIMIT_X, prlimit_exit),
    (code::SYSCALL_PRCTL_X, prctl),
];

fn setsid(ctx: &mut Ctx<'_>) {
    let Some(sid) = ctx.success(0) else { return };
    // In a pid namespace the result is the namespace's number; the session's host number is
    // the process's own.
    if let Some(main) = ctx.main_mut() {
        main.sid = if main.vpid == main.pid { sid } else { main.pid };
        main.vpgid = main.vpid;
        main.pgid = main.pid;
    }
}

fn setpgid_enter(ctx: &mut Ctx<'_>) {
    let int = |at| ctx.raw.int(at).unwrap_or(0);
    let nums = [int(0), int(1), 0, 0];
    ctx.keep(nums, b"");
}

fn setpgid_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let own = ctx.raw.int(1).zip(ctx.raw.int(2));
    let Some((pid, pgid)) = own.or_else(|| ctx.entered().map(|e| (e.nums[0], e.nums[1]))) else { return };
    let Some(caller) = ctx.thread() else { return };
    // Numbers are those of the caller's pid namespace.
    let in_namespace = caller.vpid != caller.pid;
    let target = if pid == 0 || pid == caller.vpid { caller.pid } else { pid };
    if in_namespace && target != caller.pid {
        return;
    }
    let Some(main) = ctx.machine.threads.get_mut(target) else { return };
    main.vpgid = if pgid == 0 { main.vpid } else { pgid };
    if main.vpid == main.pid {
        main.pgid = main.vpgid;
    } else if main.vpgid == main.vpid {
        main.pgid = main.pid;
    }
}

fn keep_resource(ctx: &mut Ctx<'_>, param: usize) {
    let resource = ctx.raw.uint(param).unwrap_or(u64::MAX) as i64;
    ctx.keep([resource, 0, 0, 0], b"");
}

/// res, cur, max, resource.
fn rlimit_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let resource = ctx.raw.uint(3).or_else(|| Some(ctx.entered()?.nums[0] as u64));
    if resource != Some(RLIMIT_NOFILE) {
        return;
    }
    if let (Some(current), Some(main)) = (ctx.raw.int(1), ctx.main_mut()) {
        main.fdlimit = current;
    }
}

fn prlimit_enter(ctx: &mut Ctx<'_>) {
    let pid = ctx.raw.int(0).unwrap_or(0);
    let resource = ctx.raw.uint(1).unwrap_or(u64::MAX) as i64;
    ctx.keep([resource, pid, 0, 0], b"");
}

/// res, newcur, newmax, oldcur, oldmax, pid, resource.
fn prlimit_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let own = ctx.raw.int(5).zip(ctx.raw.uint(6));
    let Some((pid, resource)) = own.or_else(|| ctx.entered().map(|e| (e.nums[1], e.nums[0] as u64))) else {
        return;
    };
    if resource != RLIMIT_NOFILE {
        return;
    }
    // A new limit of -1 stands for none given.
    let current = match (ctx.raw.int(1), ctx.raw.int(3)) {
        (Some(new), _) if new >= 0 => new,
        (_, Some(old)) if old >= 0 => old,
        _ => return,
    };
    let main = if pid == 0 { ctx.main_mut() } else { ctx.machine.threads.get_mut(pid) };
    if let Some(main) = main {
        main.fdlimit = current;
    }
}

/// res, option, arg2_str, arg2_int.
fn prctl(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let raw = *ctx.raw;
    // A thread's new name (PR_SET_NAME) is not its process's: that is the name since exec.
    if matches!(raw.uint(1), Some(PR_SET_CHILD_SUBREAPER | PR_GET_CHILD_SUBREAPER))
        && let (Some(on), Some(main)) = (raw.int(3), ctx.main_mut())
    {
        main.is_subreaper = on != 0;
    }
}
