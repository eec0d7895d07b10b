//! The life of fds apart from their making: close, close_range, the dup forms, fcntl, pipes.

use super::{Ctx, Row};
use crate::state::fd::{FdInfo, O_CLOEXEC};
use crate::state::fd_table::CANCELLED_KEY;
use crate::state::thread::thread_flags;
use capture_common::event_table::code;
use capture_common::snapshot::FdType;
use std::sync::Arc;

/// Stored numbers of fcntl commands.
const F_DUPFD: i64 = 1;
const F_SETFD: i64 = 3;
const F_DUPFD_CLOEXEC: i64 = 26;
/// FD_CLOEXEC, the argument of F_SETFD.
const FD_CLOEXEC: i64 = 1;
/// Stored bit of CLOSE_RANGE_CLOEXEC.
const CLOSE_RANGE_CLOEXEC: u64 = 4;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_CLOSE_E, close_enter),
    (code::SYSCALL_CLOSE_X, close_exit),
    (code::SYSCALL_CLOSE_RANGE_X, close_range),
    (code::SYSCALL_DUP_X, |c| dup(c, None, CloseOnExec::Clear)),
    (code::SYSCALL_DUP_1_X, |c| dup(c, Some(1), CloseOnExec::Clear)),
    (code::SYSCALL_DUP2_X, |c| dup(c, Some(1), CloseOnExec::Clear)),
    (code::SYSCALL_DUP3_X, dup3),
    (code::SYSCALL_FCNTL_E, fcntl_enter),
    (code::SYSCALL_FCNTL_X, fcntl_exit),
    (code::SYSCALL_PIPE_X, |c| pipe(c, None)),
    (code::SYSCALL_PIPE2_X, |c| pipe(c, Some(4))),
    (code::SYSCALL_COPY_FILE_RANGE_X, copy_file_range),
];

/// Whether a copy of an fd closes on exec.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CloseOnExec {
    Set,
    Clear,
}

fn close_enter(ctx: &mut Ctx<'_>) {
    ctx.mark_closing(ctx.raw.tid);
}

fn close_exit(ctx: &mut Ctx<'_>) {
    let (tid, fd) = (ctx.raw.tid, ctx.applied.fd_num);
    if fd < 0 {
        return;
    }
    let Some(fds) = ctx.fds() else { return };
    if fds.get(CANCELLED_KEY).is_some_and(|aside| aside.closing_tid == tid) {
        ctx.applied.fd_key = CANCELLED_KEY;
        ctx.remove_fd_later(CANCELLED_KEY, CANCELLED_KEY);
    } else if !ctx.failed() {
        ctx.remove_fd_later(fd, fd);
    } else {
        ctx.mark_closing(-1);
    }
}

fn close_range(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let (Some(first), Some(last)) = (ctx.raw.uint(1), ctx.raw.uint(2)) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    let (first, last) = (first as i64, last as i64);
    if ctx.raw.uint(3).unwrap_or(0) & CLOSE_RANGE_CLOEXEC == 0 {
        ctx.remove_fd_later(first, last);
        return;
    }
    let Some(main) = ctx.main_mut() else { return };
    let inside: Vec<i64> =
        main.fds.iter().map(|(fd, _)| fd).filter(|fd| (first..=last).contains(fd)).collect();
    for fd in inside {
        if let Some(entry) = main.fds.get_mut(fd) {
            entry.open_flags |= O_CLOEXEC;
        }
    }
}

fn dup3(ctx: &mut Ctx<'_>) {
    let on_exec = if ctx.raw.uint(3).unwrap_or(0) as u32 & O_CLOEXEC != 0 {
        CloseOnExec::Set
    } else {
        CloseOnExec::Clear
    };
    dup(ctx, Some(1), on_exec);
}

/// A copy of an fd: the source is `source_param` of the exit, or the enter's fd.
fn dup(ctx: &mut Ctx<'_>, source_param: Option<usize>, on_exec: CloseOnExec) {
    let Some(new) = ctx.success(0) else { return };
    let source = source_param.and_then(|at| ctx.raw.int(at)).unwrap_or(ctx.applied.fd_num);
    // A copy onto standard input or output is how shells build pipelines.
    let mark = match new {
        0 => thread_flags::PIPE_DST,
        1 => thread_flags::PIPE_SRC,
        _ => 0,
    };
    if let Some(thread) = ctx.thread_mut() {
        thread.flags |= mark;
    }
    if source == new {
        return;
    }
    // Where the source is not known the number keeps what it had, as stock tools have it; the
    // event is about the source.
    let Some(mut copy) = ctx.fds().and_then(|fds| fds.get_shared(source)) else { return };
    let closes = copy.open_flags & O_CLOEXEC != 0;
    if closes != (on_exec == CloseOnExec::Set) || copy.closing_tid >= 0 {
        let changed = Arc::make_mut(&mut copy);
        changed.open_flags ^= if closes == (on_exec == CloseOnExec::Set) { 0 } else { O_CLOEXEC };
        changed.closing_tid = -1;
    }
    ctx.add_fd_shared(new, copy);
}

fn fcntl_enter(ctx: &mut Ctx<'_>) {
    let cmd = ctx.raw.int(1).unwrap_or(0);
    ctx.keep([cmd, 0, 0, 0], b"");
}

fn fcntl_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let cmd = ctx.raw.int(2).or_else(|| Some(ctx.entered()?.nums[0]));
    match cmd {
        Some(F_DUPFD) => dup(ctx, None, CloseOnExec::Clear),
        Some(F_DUPFD_CLOEXEC) => dup(ctx, None, CloseOnExec::Set),
        Some(F_SETFD) => {
            // Older forms lack the argument: in doubt the fd outlives the next exec.
            let closes = ctx.raw.int(3).is_some_and(|arg| arg & FD_CLOEXEC != 0);
            if let Some(fd) = ctx.fd_mut() {
                if closes {
                    fd.open_flags |= O_CLOEXEC;
                } else {
                    fd.open_flags &= !O_CLOEXEC;
                }
            }
        }
        _ => {}
    }
}

fn pipe(ctx: &mut Ctx<'_>, flags_param: Option<usize>) {
    if ctx.failed() {
        return;
    }
    let (Some(read_end), Some(write_end)) = (ctx.success(1), ctx.success(2)) else { return };
    let ino = ctx.raw.uint(3).unwrap_or(0);
    let flags = flags_param.and_then(|at| ctx.raw.uint(at)).unwrap_or(0) as u32;
    let info = Arc::new(FdInfo { ino, open_flags: flags, ..FdInfo::new(FdType::Pipe) });
    ctx.add_fd_shared(read_end, info.clone());
    ctx.add_fd_shared(write_end, info);
}

/// The event is about the output; its enter was about the input.
fn copy_file_range(ctx: &mut Ctx<'_>) {
    if let Some(out) = ctx.raw.int(1) {
        ctx.set_event_fd(out);
    }
}
