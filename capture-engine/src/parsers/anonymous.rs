//! Fds without a path: eventfd, signalfd, timerfd, inotify, epoll, userfaultfd, io_uring, bpf,
//! memfd, pidfd.

use super::{Ctx, Row};
use crate::state::Text;
use crate::state::fd::{FdInfo, O_CLOEXEC};
use capture_common::event_table::{ParamExtra, code};
use capture_common::snapshot::FdType;
use capture_common::{EventCode, ParamType};

/// Stored bit of close-on-exec in the flag tables of epoll_create1 and memfd_create.
const CLOEXEC_BIT0: u64 = 1;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_EVENTFD_X, |c| plain(c, FdType::Event)),
    (code::SYSCALL_EVENTFD2_X, |c| with_flags(c, FdType::Event, 1)),
    (code::SYSCALL_SIGNALFD_X, |c| plain(c, FdType::Signal)),
    (code::SYSCALL_SIGNALFD4_X, |c| with_flags(c, FdType::Signal, 1)),
    (code::SYSCALL_TIMERFD_CREATE_X, |c| plain(c, FdType::Timer)),
    (code::SYSCALL_INOTIFY_INIT_X, |c| plain(c, FdType::Inotify)),
    (code::SYSCALL_INOTIFY_INIT1_X, |c| with_flags(c, FdType::Inotify, 1)),
    (code::SYSCALL_EPOLL_CREATE_X, |c| plain(c, FdType::EventPoll)),
    (code::SYSCALL_EPOLL_CREATE1_X, epoll_create1),
    (code::SYSCALL_USERFAULTFD_X, |c| with_flags(c, FdType::Userfault, 1)),
    (code::SYSCALL_IO_URING_SETUP_X, |c| plain(c, FdType::IoUring)),
    (code::SYSCALL_BPF_X, bpf),
    (code::SYSCALL_BPF_2_X, bpf_2),
    (code::SYSCALL_MEMFD_CREATE_X, memfd_create),
    (code::SYSCALL_PIDFD_OPEN_X, pidfd_open),
    (code::SYSCALL_PIDFD_GETFD_X, pidfd_getfd),
    (code::ITER_TASK_FILE_PIPE_E, |c| iterated(c, FdType::Pipe)),
    (code::ITER_TASK_FILE_MEMFD_E, |c| iterated(c, FdType::Memfd)),
    (code::ITER_TASK_FILE_DIRECTORY_E, |c| iterated(c, FdType::Directory)),
    (code::ITER_TASK_FILE_REGULAR_E, |c| iterated(c, FdType::File)),
    (code::ITER_TASK_FILE_ANON_INODE_E, iterated_anonymous),
];

/// Types of fds by the stored numbers of `anon_inode_fd_types`. Perf events have no type of their own.
const ANON_TYPES: &[FdType] = &[
    FdType::Unknown,
    FdType::Event,
    FdType::EventPoll,
    FdType::Inotify,
    FdType::Signal,
    FdType::Timer,
    FdType::IoUring,
    FdType::Userfault,
    FdType::Pid,
    FdType::Bpf,
    FdType::Bpf,
    FdType::Bpf,
    FdType::Bpf,
    FdType::Unsupported,
];

/// Stored numbers of bpf commands that answer with an fd: BPF_MAP_CREATE, BPF_PROG_LOAD,
/// BPF_OBJ_GET, *_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD, LINK_CREATE, ENABLE_STATS,
/// ITER_CREATE.
const BPF_MAKES_FD: &[u64] = &[0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33];

fn plain(ctx: &mut Ctx<'_>, ty: FdType) {
    if let Some(fd) = ctx.success(0) {
        ctx.add_fd(fd, FdInfo::new(ty));
    }
}

/// As [`plain`], with a parameter of stored open flags.
fn with_flags(ctx: &mut Ctx<'_>, ty: FdType, flags_param: usize) {
    let open_flags = ctx.raw.uint(flags_param).unwrap_or(0) as u32;
    if let Some(fd) = ctx.success(0) {
        ctx.add_fd(fd, FdInfo { open_flags, ..FdInfo::new(ty) });
    }
}

fn epoll_create1(ctx: &mut Ctx<'_>) {
    let open_flags = cloexec(ctx.raw.uint(1));
    if let Some(fd) = ctx.success(0) {
        ctx.add_fd(fd, FdInfo { open_flags, ..FdInfo::new(FdType::EventPoll) });
    }
}

fn cloexec(flags: Option<u64>) -> u32 {
    if flags.unwrap_or(0) & CLOEXEC_BIT0 != 0 { O_CLOEXEC } else { 0 }
}

/// The old form: its only parameter says itself whether it is an fd.
fn bpf(ctx: &mut Ctx<'_>) {
    let Some((&choice, value)) = ctx.raw.param(0).and_then(<[u8]>::split_first) else { return };
    let types = code_alternatives(code::SYSCALL_BPF_X);
    let Some((ParamType::Fd, _)) = types.get(usize::from(choice)) else { return };
    if let Some(fd) = capture_common::raw_event::read_int(value).filter(|&fd| fd >= 0) {
        ctx.add_fd(fd, FdInfo { open_flags: O_CLOEXEC, ..FdInfo::new(FdType::Bpf) });
    }
}

fn code_alternatives(event: EventCode) -> &'static [(ParamType, capture_common::ParamFormat)] {
    match event.info().and_then(|i| i.param(0)).map(|p| p.extra) {
        Some(ParamExtra::Dynamic(types)) => types,
        _ => &[],
    }
}

fn bpf_2(ctx: &mut Ctx<'_>) {
    let makes = ctx.raw.uint(1).is_some_and(|cmd| BPF_MAKES_FD.contains(&cmd));
    if let Some(fd) = ctx.success(0).filter(|_| makes) {
        // The kernel sets close-on-exec on every bpf fd.
        ctx.add_fd(fd, FdInfo { open_flags: O_CLOEXEC, ..FdInfo::new(FdType::Bpf) });
    }
}

fn memfd_create(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let name = Text::from(ctx.raw.text(1).unwrap_or(b""));
    let open_flags = cloexec(ctx.raw.uint(2));
    ctx.add_fd(fd, FdInfo { name, open_flags, ..FdInfo::new(FdType::Memfd) });
}

fn pidfd_open(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let pid = ctx.raw.int(1).unwrap_or(-1);
    // The kernel sets close-on-exec on every pidfd.
    let name = Text::from(format!("/proc/{pid}").as_bytes());
    ctx.add_fd(fd, FdInfo { pid, name, open_flags: O_CLOEXEC, ..FdInfo::new(FdType::Pid) });
}

fn pidfd_getfd(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let (Some(pidfd), Some(target)) = (ctx.raw.int(1), ctx.raw.int(2)) else { return };
    let Some(pid) = ctx.fds().and_then(|fds| fds.get(pidfd)).map(|p| p.pid) else { return };
    let entry = ctx.machine.threads.get(pid).and_then(|t| ctx.machine.main_thread(t).fds.get(target));
    if let Some(entry) = entry {
        // The kernel sets close-on-exec on the copy.
        let open_flags = entry.open_flags | O_CLOEXEC;
        let copy = FdInfo { open_flags, closing_tid: -1, charged_bytes: 0, ..entry.clone() };
        ctx.add_fd(fd, copy);
    }
}

/// fd, fd_type, path, ino_num. These fds have no name in listings, whatever the kernel calls them.
fn iterated_anonymous(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let number = ctx.raw.uint(1).and_then(|ty| usize::try_from(ty).ok()).unwrap_or(0);
    let ty = ANON_TYPES.get(number).copied().unwrap_or(FdType::Unknown);
    let ino = ctx.raw.uint(3).unwrap_or(0);
    ctx.add_fd(fd, FdInfo { ino, ..FdInfo::new(ty) });
}

/// An fd that was read again from the kernel after a loss.
fn iterated(ctx: &mut Ctx<'_>, ty: FdType) {
    let Some(fd) = ctx.success(0) else { return };
    let name = Text::from(ctx.raw.text(1).unwrap_or(b""));
    let regular = ty == FdType::File;
    let ino = ctx.raw.uint(if regular { 4 } else { 2 }).unwrap_or(0);
    let open_flags = if regular { ctx.raw.uint(2).unwrap_or(0) as u32 } else { 0 };
    let mount_id = if regular { ctx.raw.uint(3).unwrap_or(0) as u32 } else { 0 };
    ctx.add_fd(fd, FdInfo { name, ino, open_flags, mount_id, ..FdInfo::new(ty) });
}
