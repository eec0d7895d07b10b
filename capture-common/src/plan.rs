//! The copy plan: which user memory and which kernel objects the probe copies into the records of
//! each system call. One row per call, by name; the loader turns names into numbers (native and
//! ia32) and writes the rows into the probe's table map. Calls without a row give a plain enter
//! and exit record with arguments and result.
//!
//! Invariant: a new call is a new row here and nothing else, unless it needs a special collector.

/// What a [`CopyAction`] does: the tag of the section that it makes.
pub mod op {
    use crate::abi::tag;

    /// Nothing; ends the list.
    pub const NONE: u8 = 0;
    /// STR section: user string at `arg`, at most `cap` bytes.
    pub const STR: u8 = tag::STR;
    /// BYTES section: user buffer at `arg`, limited by the snaplen.
    pub const BYTES: u8 = tag::BYTES;
    /// RAW section: user memory at `arg`, limited by `cap`.
    pub const RAW: u8 = tag::RAW;
    /// SOCKADDR section: as RAW.
    pub const SOCKADDR: u8 = tag::SOCKADDR;
    /// SOCK section (and UNIX_NAMEs) of the fd in `arg`.
    pub const SOCK: u8 = tag::SOCK;
    /// FDINFO section of the fd in `arg`.
    pub const FDINFO: u8 = tag::FDINFO;
    /// MM section of the caller.
    pub const MM: u8 = tag::MM;
}

/// Where the length of a copy comes from; it is then multiplied by `scale` and limited.
pub mod len_from {
    /// `cap` itself.
    pub const FIXED: u8 = 0;
    /// The call's result; nothing when negative.
    pub const RET: u8 = 1;
    /// Argument `len_arg`.
    pub const ARG: u8 = 2;
    /// The 32-bit number at the user pointer in argument `len_arg`.
    pub const PTR: u8 = 3;
    /// The result, or argument `len_arg` when the call failed (what it wanted to write).
    pub const RET_OR_ARG: u8 = 4;
}

/// When an exit action runs.
pub mod when {
    /// Always.
    pub const ALWAYS: u8 = 0;
    /// The call succeeded (result >= 0).
    pub const OK: u8 = 1;
}

/// Collectors that the action list cannot say; each is a program of its own, reached by tail call.
pub mod special {
    /// None.
    pub const NONE: u8 = 0;
    /// iovec at argument 1 with argument 2 entries: IOV_INFO, and at exit IOV data.
    pub const IOV: u8 = 1;
    /// msghdr at argument 1: MSG, SOCKADDR (its name); at exit also IOV data, and CMSG for a
    /// received one.
    pub const MSG: u8 = 2;
    /// mmsghdr array at argument 1: one group as MSG for each message of the result.
    pub const MMSG: u8 = 3;
    /// clone family: TASK, ARGS.
    pub const TASK: u8 = 4;
    /// exec family: on success TASK, ARGS, ENV, EXEPATH, CWD; on failure TASK and the strings of the
    /// argv and envp arrays, EXEPATH, CWD.
    pub const EXEC: u8 = 5;
    /// execveat: as EXEC, arrays at arguments 2 and 3.
    pub const EXECAT: u8 = 6;
    /// pipe: RAW with both fds, FDINFO of the first.
    pub const PIPE: u8 = 7;
    /// socketpair: RAW (argument 3) with both fds, SOCK of the first.
    pub const SOCKPAIR: u8 = 8;
    /// Number of values.
    pub const COUNT: u8 = 9;
}

/// Slot of the path collector in the probe's tail-call table, behind those of [`special`].
pub const TAIL_PATHS: u8 = 12;

/// Bits of [`PlanRow::flags`].
pub mod row_flag {
    /// Later events are understood wrongly without this one; dropped last when a ring fills.
    pub const STATEFUL: u8 = 1;
    /// [`special::IOV`], MSG and MMSG: the call takes data in, so a failed one has none, and
    /// control data is read at exit.
    pub const RECEIVES: u8 = 2;
    /// Set by the loader in the rows of the ia32 table.
    pub const COMPAT32: u8 = 4;
}

/// One copy.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyAction {
    /// One of [`op`].
    pub op: u8,
    /// Argument with the pointer or fd; [`crate::abi::ARG_RET`]: the result.
    pub arg: u8,
    /// One of [`len_from`].
    pub len_from: u8,
    /// Argument the length comes from.
    pub len_arg: u8,
    /// Upper limit (FIXED: the length), bytes.
    pub cap: u16,
    /// Bytes per unit of the length source.
    pub scale: u8,
    /// One of [`when`].
    pub when: u8,
}

/// Actions at enter.
pub const ENTER_ACTIONS: usize = 3;
/// Actions at exit.
pub const EXIT_ACTIONS: usize = 4;

/// What to do for one call number; 64 bytes, the value type of the probe's table map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanRow {
    /// Bits of [`row_flag`].
    pub flags: u8,
    /// One of [`special`], after the enter actions.
    pub enter_special: u8,
    /// One of [`special`], after the exit actions.
    pub exit_special: u8,
    /// Number of actions in `enter`; written by [`PlanRow::counted`].
    pub enter_count: u8,
    /// Number of actions in `exit`.
    pub exit_count: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// Copies at enter, in order.
    pub enter: [CopyAction; ENTER_ACTIONS],
    /// Copies at exit, in order.
    pub exit: [CopyAction; EXIT_ACTIONS],
}

const _: () = assert!(core::mem::size_of::<CopyAction>() == 8);
const _: () = assert!(core::mem::size_of::<PlanRow>() == 64);

impl CopyAction {
    const fn new(op: u8, arg: u8, cap: u16) -> Self {
        Self { op, arg, len_from: len_from::FIXED, len_arg: 0, cap, scale: 1, when: when::ALWAYS }
    }
    const fn len(mut self, len_from: u8, len_arg: u8) -> Self {
        self.len_from = len_from;
        self.len_arg = len_arg;
        self
    }
    const fn times(mut self, scale: u8) -> Self {
        self.scale = scale;
        self
    }
    const fn ok(mut self) -> Self {
        self.when = when::OK;
        self
    }
}

impl PlanRow {
    /// The row of a call for which nothing is copied.
    pub const PLAIN: PlanRow = PlanRow {
        flags: 0,
        enter_special: 0,
        exit_special: 0,
        enter_count: 0,
        exit_count: 0,
        reserved: [0; 3],
        enter: [CopyAction::new(op::NONE, 0, 0); ENTER_ACTIONS],
        exit: [CopyAction::new(op::NONE, 0, 0); EXIT_ACTIONS],
    };

    /// Whether losing a record of this call harms the state that is kept from events.
    pub const fn stateful(&self) -> bool {
        self.flags & row_flag::STATEFUL != 0
    }

    /// The row as the 64 bytes the probe's map takes.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..5].copy_from_slice(&[
            self.flags,
            self.enter_special,
            self.exit_special,
            self.enter_count,
            self.exit_count,
        ]);
        for (slot, a) in out[8..].chunks_exact_mut(8).zip(self.enter.iter().chain(&self.exit)) {
            let cap = a.cap.to_ne_bytes();
            slot.copy_from_slice(&[a.op, a.arg, a.len_from, a.len_arg, cap[0], cap[1], a.scale, a.when]);
        }
        out
    }

    const fn on_enter(mut self, a: CopyAction) -> Self {
        self.enter[self.enter_count as usize] = a;
        self.enter_count += 1;
        self
    }
    const fn on_exit(mut self, a: CopyAction) -> Self {
        self.exit[self.exit_count as usize] = a;
        self.exit_count += 1;
        self
    }
    const fn both(self, a: CopyAction) -> Self {
        self.on_enter(a).on_exit(a)
    }
    const fn special(mut self, enter: u8, exit: u8) -> Self {
        self.enter_special = enter;
        self.exit_special = exit;
        self
    }
    const fn flag(mut self, bit: u8) -> Self {
        self.flags |= bit;
        self
    }
}

const RET: u8 = crate::abi::ARG_RET;
const P: PlanRow = PlanRow::PLAIN;
/// A plain row of a state-bearing call.
const S: PlanRow = P.flag(row_flag::STATEFUL);

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
    ("open", S.both(path(0)).on_exit(FILE_OF_RET)),
    ("creat", S.both(path(0)).on_exit(FILE_OF_RET)),
    ("openat", S.both(path(1)).on_exit(FILE_OF_RET)),
    ("openat2", S.both(path(1)).both(raw_by(2, len_from::ARG, 3, 24)).on_exit(FILE_OF_RET)),
    ("open_by_handle_at", S.on_exit(FILE_OF_RET)),
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
    ("connect", S.both(sockaddr(1, len_from::ARG, 2)).on_exit(sock(0))),
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
    ("socketcall", S.both(raw(1, 24))),
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
    ("setuid", S),
    ("setgid", S),
    ("setreuid", S),
    ("setregid", S),
    ("setresuid", S),
    ("setresgid", S),
    ("setuid32", S),
    ("setgid32", S),
    ("setresuid32", S),
    ("setresgid32", S),
    ("setsid", S),
    ("setpgid", S),
    ("capset", S.on_exit(raw(1, 24))),
    ("prctl", S.on_exit(path(1))),
    ("unshare", S),
    ("setns", S),
    ("init_module", P.on_exit(CopyAction::new(op::BYTES, 0, 0).len(len_from::ARG, 1)).on_exit(path(2))),
    ("finit_module", P.on_exit(path(1))),
    ("delete_module", P.on_exit(path(0))),
    ("quotactl", P.on_exit(path(1))),
    // Processes.
    ("clone", S.special(special::NONE, special::TASK)),
    ("clone3", S.on_exit(raw_by(0, len_from::ARG, 1, 88)).special(special::NONE, special::TASK)),
    ("fork", S.special(special::NONE, special::TASK)),
    ("vfork", S.special(special::NONE, special::TASK)),
    ("execve", S.both(path(0)).special(special::NONE, special::EXEC)),
    ("execveat", S.both(path(1)).special(special::NONE, special::EXECAT)),
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
    for (_, arg, cap) in COMPAT_CAPS.iter().filter(|(n, ..)| *n == name) {
        for a in row.enter.iter_mut().chain(&mut row.exit) {
            if a.op == op::RAW && a.arg == *arg {
                a.cap = *cap;
            }
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_actions_sane() {
        for (i, (name, row)) in ROWS.iter().enumerate() {
            assert!(ROWS[..i].iter().all(|(n, _)| n != name), "{name} twice");
            for a in row.enter.iter().chain(&row.exit) {
                assert!(a.op <= op::MM && (a.arg < 6 || a.arg == RET), "{name}");
                assert!(a.len_arg < 6 && a.scale > 0, "{name}");
            }
            for a in &row.enter {
                assert!(
                    a.when == when::ALWAYS && a.len_from != len_from::RET && a.arg != RET,
                    "{name}: needs a result at enter"
                );
            }
            assert!(row.enter_special < special::COUNT && row.exit_special < special::COUNT);
        }
    }

    #[test]
    fn an_ia32_row_has_the_small_struct() {
        assert_eq!(compat_row("nanosleep").enter[0].cap, 8);
        assert_eq!(row("nanosleep").enter[0].cap, 16);
    }

    #[test]
    fn bytes_follow_the_declared_layout() {
        let b = row("openat2").to_bytes();
        assert_eq!((b[0], b[3], b[4]), (row_flag::STATEFUL, 2, 3));
        assert_eq!(&b[8..16], &[op::STR, 1, 0, 0, 0, 0x10, 1, 0]);
        assert_eq!(b[8 + 3 * 8 + 2 * 8], op::FDINFO);
    }
}
