//! The rows of the copy plan, by call name. Data only: what the fields mean is in [`super`].

use super::{CopyAction, PlanRow, len_from, op, row_flag, special};

const RET: u8 = crate::abi::ARG_RET;
const P: PlanRow = PlanRow::PLAIN;
/// A plain row of a state-bearing call.
const S: PlanRow = P.flag(row_flag::STATEFUL);

/// A state-bearing call that changes what filters know of its thread.
const C: PlanRow = S.flag(row_flag::CHANGES_THREAD);

const fn path(arg: u8) -> CopyAction {
    CopyAction::new(op::STR, arg, crate::abi::STR_MAX as u16)
}
const fn raw(arg: u8, len_bytes: u16) -> CopyAction {
    CopyAction::new(op::RAW, arg, len_bytes)
}
const fn raw_by(arg: u8, from: u8, len_arg: u8, cap: u16) -> CopyAction {
    CopyAction::new(op::RAW, arg, cap).len(from, len_arg)
}
const fn sockaddr(arg: u8, from: u8, len_arg: u8) -> CopyAction {
    CopyAction::new(op::SOCKADDR, arg, crate::abi::SOCKADDR_MAX as u16).len(from, len_arg)
}
const fn sock(arg: u8) -> CopyAction {
    CopyAction::new(op::SOCK, arg, 0)
}
const FILE_OF_RET: CopyAction = CopyAction::new(op::FDINFO, RET, 0).ok();
const MM: CopyAction = CopyAction::new(op::MM, 0, 0);
const READ: CopyAction = CopyAction::new(op::BYTES, 1, 0).len(len_from::RET, 0);
const WRITE: CopyAction = CopyAction::new(op::BYTES, 1, 0).len(len_from::RET_OR_ARG, 2);
const RLIMIT: u16 = 16;
const TIMESPEC: u16 = 16;
/// `struct if_dqblk`, the largest of quotactl's structs.
const DQBLK: u16 = 72;

/// The plan by call name. A name may belong to the native table, to ia32's, or to both.
pub const ROWS: &[(&str, PlanRow)] = &[
    // Data.
    ("read", P.on_exit(READ)),
    ("pread64", P.on_exit(READ)),
    ("write", P.on_exit(WRITE)),
    ("pwrite64", P.on_exit(WRITE)),
    ("readv", P.special(special::NONE, special::IOV).flag(row_flag::RECEIVES)),
    ("preadv", P.special(special::NONE, special::IOV).flag(row_flag::RECEIVES)),
    ("preadv2", P.special(special::NONE, special::IOV).flag(row_flag::RECEIVES)),
    ("writev", P.special(special::IOV, special::IOV)),
    ("pwritev", P.special(special::IOV, special::IOV)),
    ("pwritev2", P.special(special::IOV, special::IOV)),
    ("process_vm_readv", P.special(special::NONE, special::IOV).flag(row_flag::RECEIVES)),
    ("process_vm_writev", P.special(special::NONE, special::IOV)),
    ("sendfile", P.both(raw(2, 8))),
    ("sendfile64", P.both(raw(2, 8))),
    ("copy_file_range", P.both(raw(1, 8)).both(raw(3, 8))),
    // Files by path.
    ("open", S.both(path(0)).on_exit(FILE_OF_RET).special(special::NONE, special::FDPATH)),
    ("creat", S.both(path(0)).on_exit(FILE_OF_RET).special(special::NONE, special::FDPATH)),
    ("openat", S.both(path(1)).on_exit(FILE_OF_RET).special(special::NONE, special::FDPATH)),
    (
        "openat2",
        S.both(path(1))
            .both(raw_by(2, len_from::ARG, 3, 24))
            .on_exit(FILE_OF_RET)
            .special(special::NONE, special::FDPATH),
    ),
    ("open_by_handle_at", S.on_exit(FILE_OF_RET).special(special::NONE, special::FDPATH)),
    ("memfd_create", S.on_exit(path(0)).on_exit(FILE_OF_RET)),
    ("stat", P.on_exit(path(0))),
    ("stat64", P.on_exit(path(0))),
    ("lstat", P.on_exit(path(0))),
    ("lstat64", P.on_exit(path(0))),
    ("newfstatat", P.on_exit(path(1))),
    ("fstatat64", P.on_exit(path(1))),
    ("access", P.on_exit(path(0))),
    ("faccessat", P.on_exit(path(1))),
    ("faccessat2", P.on_exit(path(1))),
    ("rename", S.on_exit(path(0)).on_exit(path(1))),
    ("renameat", S.on_exit(path(1)).on_exit(path(3))),
    ("renameat2", S.on_exit(path(1)).on_exit(path(3))),
    ("link", P.on_exit(path(0)).on_exit(path(1))),
    ("linkat", P.on_exit(path(1)).on_exit(path(3))),
    ("symlink", P.on_exit(path(0)).on_exit(path(1))),
    ("symlinkat", P.on_exit(path(0)).on_exit(path(2))),
    ("unlink", P.on_exit(path(0))),
    ("unlinkat", P.on_exit(path(1))),
    ("mkdir", P.on_exit(path(0))),
    ("mkdirat", P.on_exit(path(1))),
    ("rmdir", P.on_exit(path(0))),
    ("chmod", P.on_exit(path(0))),
    ("fchmodat", P.on_exit(path(1))),
    ("fchmodat2", P.on_exit(path(1))),
    ("chown", P.on_exit(path(0))),
    ("chown32", P.on_exit(path(0))),
    ("lchown", P.on_exit(path(0))),
    ("lchown32", P.on_exit(path(0))),
    ("fchownat", P.on_exit(path(1))),
    ("mknod", P.on_exit(path(0))),
    ("mknodat", P.on_exit(path(1))),
    ("chdir", S.on_exit(path(0))),
    ("fchdir", S),
    ("chroot", S.on_exit(path(0))),
    ("getcwd", P.on_exit(path(0).ok())),
    ("mount", P.on_exit(path(0)).on_exit(path(1)).on_exit(path(2))),
    ("umount", P.on_exit(path(0))),
    ("umount2", P.on_exit(path(0))),
    // Descriptors.
    ("close", S),
    ("close_range", S),
    ("dup", S),
    ("dup2", S),
    ("dup3", S),
    ("fcntl", S),
    ("fcntl64", S),
    ("pipe", S.special(special::NONE, special::PIPE)),
    ("pipe2", S.special(special::NONE, special::PIPE)),
    ("eventfd", S),
    ("eventfd2", S),
    ("signalfd", S.both(raw(1, 8))),
    ("signalfd4", S.both(raw(1, 8))),
    ("timerfd_create", S),
    ("inotify_init", S),
    ("inotify_init1", S),
    ("epoll_create", S),
    ("epoll_create1", S),
    ("userfaultfd", S),
    ("bpf", S),
    ("pidfd_open", S),
    ("pidfd_getfd", S),
    ("io_uring_setup", S.on_exit(raw(1, 120))),
    ("perf_event_open", S),
    ("fanotify_init", S),
    // Sockets.
    ("socket", S),
    ("socketpair", S.special(special::NONE, special::SOCKPAIR)),
    ("bind", S.on_exit(sockaddr(1, len_from::ARG, 2))),
    ("listen", S),
    // One that is under way (EINPROGRESS) has failed, too.
    ("connect", S.flag(row_flag::STATEFUL_FAILED).both(sockaddr(1, len_from::ARG, 2)).on_exit(sock(0))),
    ("accept", S.on_exit(sock(RET).ok()).on_exit(sock(0))),
    ("accept4", S.on_exit(sock(RET).ok()).on_exit(sock(0))),
    ("sendto", P.both(sock(0)).both(sockaddr(4, len_from::ARG, 5)).on_exit(WRITE)),
    ("send", P.both(sock(0)).on_exit(WRITE)),
    ("recvfrom", P.on_exit(sock(0)).on_exit(sockaddr(4, len_from::PTR, 5).ok()).on_exit(READ)),
    ("recv", P.on_exit(sock(0)).on_exit(READ)),
    ("sendmsg", P.both(sock(0)).special(special::MSG, special::MSG)),
    ("recvmsg", P.on_exit(sock(0)).special(special::NONE, special::MSG).flag(row_flag::RECEIVES)),
    ("sendmmsg", P.on_exit(sock(0)).special(special::NONE, special::MMSG)),
    ("recvmmsg", P.on_exit(sock(0)).special(special::NONE, special::MMSG).flag(row_flag::RECEIVES)),
    ("recvmmsg_time64", P.on_exit(sock(0)).special(special::NONE, special::MMSG).flag(row_flag::RECEIVES)),
    ("shutdown", S),
    ("setsockopt", P.on_exit(raw_by(3, len_from::ARG, 4, 256))),
    ("getsockopt", P.on_exit(raw_by(3, len_from::PTR, 4, 256).ok()).on_exit(raw(4, 4))),
    // May be a connect.
    ("socketcall", S.flag(row_flag::STATEFUL_FAILED).special(special::SOCKETCALL, special::SOCKETCALL)),
    // Memory.
    ("mmap", P.on_exit(MM)),
    ("mmap2", P.on_exit(MM)),
    ("munmap", P.on_exit(MM)),
    ("brk", P.on_exit(MM)),
    // Waiting.
    ("poll", P.both(raw_by(0, len_from::ARG, 1, crate::abi::RAW_MAX as u16).times(8))),
    ("ppoll", PPOLL),
    ("ppoll_time64", PPOLL),
    ("nanosleep", P.both(raw(0, TIMESPEC))),
    ("semop", P.on_exit(raw_by(1, len_from::ARG, 2, 12).times(6))),
    // Limits, credentials, modules.
    ("getrlimit", P.on_exit(raw(1, RLIMIT).ok())),
    ("setrlimit", P.on_exit(raw(1, RLIMIT))),
    ("prlimit64", P.on_exit(raw(2, RLIMIT)).on_exit(raw(3, RLIMIT).ok())),
    ("getresuid", P.on_exit(raw(0, 4).ok()).on_exit(raw(1, 4).ok()).on_exit(raw(2, 4).ok())),
    ("getresuid32", P.on_exit(raw(0, 4).ok()).on_exit(raw(1, 4).ok()).on_exit(raw(2, 4).ok())),
    ("getresgid", P.on_exit(raw(0, 4).ok()).on_exit(raw(1, 4).ok()).on_exit(raw(2, 4).ok())),
    ("getresgid32", P.on_exit(raw(0, 4).ok()).on_exit(raw(1, 4).ok()).on_exit(raw(2, 4).ok())),
    ("setuid", C),
    ("setgid", C),
    ("setreuid", C),
    ("setregid", C),
    ("setresuid", C),
    ("setresgid", C),
    ("setuid32", C),
    ("setgid32", C),
    ("setresuid32", C),
    ("setresgid32", C),
    ("setreuid32", C),
    ("setregid32", C),
    ("setsid", S),
    ("setpgid", S),
    ("capset", S.on_exit(raw(1, 24))),
    ("prctl", S.on_exit(path(1))),
    ("unshare", S),
    ("setns", S),
    ("init_module", P.on_exit(CopyAction::new(op::BYTES, 0, 0).len(len_from::ARG, 1)).on_exit(path(2))),
    ("finit_module", P.on_exit(path(1))),
    ("delete_module", P.on_exit(path(0))),
    ("quotactl", P.on_exit(path(1)).on_exit(path(3)).on_exit(raw(3, DQBLK))),
    ("keyctl", P.on_exit(path(1)).on_exit(path(2)).on_exit(path(3))),
    (
        "fsconfig",
        P.on_exit(path(2)).on_exit(path(3)).on_exit(CopyAction::new(op::BYTES, 3, 0).len(len_from::ARG, 4)),
    ),
    ("ptrace", P.on_exit(raw(3, 8).ok())),
    // Processes.
    ("clone", C.special(special::NONE, special::TASK)),
    // The new thread returns when its maker may have left the struct with the flags, which are
    // remembered from the enter up to any exit.
    (
        "clone3",
        C.flag(row_flag::STATEFUL_ENTER | row_flag::STATEFUL_FAILED)
            .both(raw_by(0, len_from::ARG, 1, 88))
            .special(special::NONE, special::TASK),
    ),
    ("fork", C.special(special::NONE, special::TASK)),
    ("vfork", C.special(special::NONE, special::TASK)),
    ("execve", C.both(path(0)).special(special::NONE, special::EXEC)),
    ("execveat", C.both(path(1)).special(special::NONE, special::EXECAT)),
    ("exit", S),
    ("exit_group", S),
];

const PPOLL: PlanRow = P
    .both(raw_by(0, len_from::ARG, 1, crate::abi::RAW_MAX as u16).times(8))
    .both(raw(2, TIMESPEC))
    .both(raw(3, 8));

/// Copies whose user struct is smaller for an ia32 caller: call, argument, bytes there.
pub const COMPAT_CAPS: &[(&str, u8, u16)] =
    &[("nanosleep", 0, 8), ("ppoll", 2, 8), ("getrlimit", 1, 8), ("setrlimit", 1, 8), ("sendfile", 2, 4)];

/// The row of the call with this name.
pub fn row(name: &str) -> PlanRow {
    ROWS.iter().find(|(n, _)| *n == name).map_or(PlanRow::PLAIN, |(_, row)| *row)
}

/// The row of the ia32 call with this name.
pub fn compat_row(name: &str) -> PlanRow {
    let mut row = row(name);
    row.flags |= row_flag::COMPAT32;
    if name == "mmap" {
        row = row.special(special::OLD_MMAP, special::OLD_MMAP);
    }
    for (_, arg, cap) in COMPAT_CAPS.iter().filter(|(n, ..)| *n == name) {
        for a in row.enter.iter_mut().chain(&mut row.exit) {
            if a.op == op::RAW && a.arg == *arg {
                a.cap = *cap;
            }
        }
    }
    row
}
