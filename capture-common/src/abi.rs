//! The record ABI between the probe (writer) and the collector (reader): every byte that crosses
//! the ring. Invariant: everything here is `repr(C)`, without padding, native-endian (probe and
//! reader run on the same machine), and each size is asserted, so a change on one side only does
//! not compile.
//!
//! A **record** is a [`RecordHeader`], then a fixed part that its kind decides ([`EnterFixed`],
//! [`ExitFixed`], …), then zero or more **sections**: a [`SectionHeader`] and `len` bytes of data,
//! padded to 8. `RecordHeader::len` counts all of it and is a multiple of 8. Sections come in the
//! order in which the copy plan (see [`crate::plan`]) lists them.
//!
//! A **lane** is one ring: [`LaneHead`] on page 0 (written by the probe), [`LaneTail`] on page 1
//! (written by the collector), then `ring_len` bytes of data and [`LANE_SLACK`] bytes that the
//! last record of a turn may run into, so records are always contiguous.

/// Reads one ABI value from the front of a byte slice.
pub trait Wire: Sized {
    /// Takes the value and moves `bytes` behind it; `None` when there are too few bytes.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! wire_int {
    ($($t:ty),*) => {$(
        impl Wire for $t {
            #[inline]
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (head, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(<$t>::from_ne_bytes(*head))
            }
        }
    )*};
}
wire_int!(u8, u16, u32, u64, i32, i64);

impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    #[inline]
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut out = [T::default(); N];
        for slot in &mut out {
            *slot = T::take(bytes)?;
        }
        Some(out)
    }
}

/// Declares a `repr(C)` struct, asserts its size (which also proves that it has no padding) and
/// gives it [`Wire`] and `read`.
macro_rules! wire_struct {
    ($(#[$meta:meta])* $name:ident: $size:literal { $($(#[$fmeta:meta])* $field:ident: $t:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $t,)* }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            assert!($(core::mem::size_of::<$t>() +)* 0 == $size);
            assert!($size % 8 == 0);
        };

        impl $name {
            /// Size in bytes; a multiple of 8.
            pub const LEN_BYTES: usize = $size;

            /// Reads the struct from the front of `bytes`.
            #[inline]
            pub fn read(mut bytes: &[u8]) -> Option<Self> {
                Self::take(&mut bytes)
            }
        }

        impl Wire for $name {
            #[inline]
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: <$t>::take(bytes)?,)* })
            }
        }
    };
}

/// What a record is about.
pub mod kind {
    /// System call entry: [`EnterFixed`](super::EnterFixed), then sections.
    pub const ENTER: u8 = 1;
    /// System call return: [`ExitFixed`](super::ExitFixed), then sections.
    pub const EXIT: u8 = 2;
    /// `sched_process_exec`, inside a successful execve: [`ExecFixed`](super::ExecFixed), then a
    /// FILENAME section. Lies between the call's enter and exit; header ids are the new ones.
    pub const EXEC: u8 = 3;
    /// `sched_process_fork`, inside clone/fork in the parent: [`ForkFixed`](super::ForkFixed).
    /// Header ids are the parent's.
    pub const FORK: u8 = 4;
    /// `sched_process_exit`: [`ProcExitFixed`](super::ProcExitFixed). One per thread.
    pub const PROC_EXIT: u8 = 5;
    /// `sched_switch`: [`SwitchFixed`](super::SwitchFixed). Header ids are those of the thread
    /// that leaves the CPU.
    pub const SWITCH: u8 = 6;
    /// Records were lost in this lane just here: [`LossFixed`](super::LossFixed). Header time is
    /// that of the record that follows; tid and pid are 0.
    pub const LOSS: u8 = 7;
    /// `signal_deliver`, in the thread that gets the signal: [`SignalFixed`](super::SignalFixed).
    pub const SIGNAL: u8 = 8;
    /// `io_uring_submit_req`: an operation was taken from a submission queue.
    /// [`EnterFixed`](super::EnterFixed), [`UringFixed`](super::UringFixed), then sections. Header ids
    /// are the submitting thread's (for a polled queue those of the thread that made the ring), `nr`
    /// is the system call that does the same, or [`NR_NONE`](super::NR_NONE).
    pub const URING_SUBMIT: u8 = 9;
    /// `io_uring_complete`, or a result that found its queue full:
    /// [`ExitFixed`](super::ExitFixed), [`UringFixed`](super::UringFixed), then sections. Header ids
    /// are those of the thread that ran at that moment.
    pub const URING_COMPLETE: u8 = 10;
    /// `page_fault_user` or `page_fault_kernel`, in the thread that touched the page:
    /// [`PageFaultFixed`](super::PageFaultFixed).
    pub const PAGE_FAULT: u8 = 11;
    /// Not in a ring, but from the iterator over threads: [`IterTaskFixed`](super::IterTaskFixed), then a
    /// TASK section. Header ids are the thread's, the time is that of reading it.
    pub const ITER_TASK: u8 = 12;
    /// The same of open files: [`IterFileFixed`](super::IterFileFixed), then FDINFO, SOCK and UNIX_NAME
    /// for a socket, FDPATH with the text of the link in /proc/PID/fd.
    pub const ITER_FILE: u8 = 13;
    /// The same of the CPU time of threads: [`IterCpuFixed`](super::IterCpuFixed).
    pub const ITER_CPU: u8 = 14;
}

/// Bits of [`RecordHeader::flags`].
pub mod flag {
    /// The caller is a 32-bit (ia32) one: `nr` counts in the ia32 table; args come from
    /// bx, cx, dx, si, di, bp, zero-extended; user structs have the ia32 layout.
    pub const COMPAT32: u8 = 1;
    /// The call number had the x32 bit; `nr` is without it.
    pub const X32: u8 = 2;
    /// The record ran out of room: sections at its end are missing or cut.
    pub const TRUNCATED: u8 = 4;
}

/// `RecordHeader::nr` of a call without a number: `orig_ax` was -1, as after rt_sigreturn, or it
/// did not fit 16 bits.
pub const NR_NONE: u16 = 0xffff;

wire_struct! {
/// First bytes of every record.
RecordHeader: 24 {
    /// Bytes of the whole record, this header included; a multiple of 8.
    len: u32,
    /// One of [`kind`].
    kind: u8,
    /// Bits of [`flag`].
    flags: u8,
    /// System call number (x86_64 table, or ia32 with COMPAT32), or [`NR_NONE`]. For kinds that
    /// are no calls: 0.
    nr: u16,
    /// CLOCK_MONOTONIC, ns.
    ts_ns: u64,
    /// Thread id in the root pid namespace (`task_struct.pid`).
    tid: u32,
    /// Process id in the root pid namespace (`task_struct.tgid`).
    pid: u32,
}}

wire_struct! {
/// Fixed part of an ENTER record.
EnterFixed: 48 {
    /// The raw argument registers.
    args: [u64; 6],
}}

wire_struct! {
/// Fixed part of an EXIT record.
ExitFixed: 56 {
    /// Result: a value, or -errno; -512..=-516 are the kernel's restart codes.
    ret: i64,
    /// The raw argument registers as they are at exit: unchanged by the kernel except after a
    /// successful exec (all 0) and rt_sigreturn (those of the interrupted code).
    args: [u64; 6],
}}

wire_struct! {
/// Fixed part of an EXEC record.
ExecFixed: 8 {
    /// Thread id before the exec; differs from the header's when a non-leader did it.
    old_tid: u32,
    /// 0.
    reserved: u32,
}}

wire_struct! {
/// Fixed part of a FORK record.
ForkFixed: 24 {
    /// Thread id of the child.
    child_tid: u32,
    /// Process id of the child; equal to the header's pid for a new thread.
    child_pid: u32,
    /// Thread id of the child in its own pid namespace.
    child_vtid: u32,
    /// Process id of the child in its own pid namespace.
    child_vpid: u32,
    /// `task_struct.start_boottime` of the child, ns.
    child_start_boot_ns: u64,
}}

wire_struct! {
/// Fixed part of a PROC_EXIT record.
ProcExitFixed: 24 {
    /// `task_struct.exit_code`: wait status form (`ret << 8 | core << 7 | signal`).
    exit_code: u32,
    /// Thread that inherits the children (`find_new_reaper` order: a living thread of the same
    /// process, else the nearest child subreaper, else the namespace's init); 0 when there are
    /// no children.
    reaper_tid: u32,
    /// `signal_struct.live` after this exit: 0 means that the whole process is gone.
    live_threads: u32,
    /// 0.
    reserved: u32,
    /// `task_struct.start_boottime`, ns.
    start_boot_ns: u64,
}}

wire_struct! {
/// Fixed part of a SWITCH record. Fault counts and memory are those of the leaving thread.
SwitchFixed: 40 {
    /// The thread that gets the CPU.
    next_tid: u32,
    /// Its process.
    next_pid: u32,
    /// Major faults of the thread.
    maj_flt: u64,
    /// Minor faults of the thread.
    min_flt: u64,
    /// Memory of the process.
    mm: MmInfo,
}}

wire_struct! {
/// Fixed part of a SIGNAL record, from the signal's `kernel_siginfo`; all but the number are 0 for
/// one that the kernel sends without.
SignalFixed: 16 {
    /// Number of the signal.
    signal: u32,
    /// `si_code`: above 0 from the kernel, else from a process.
    code: u32,
    /// First word of `_sifields`: the sender for signals of processes and for SIGCHLD.
    sender: u32,
    /// 0.
    reserved: u32,
}}

wire_struct! {
/// Second fixed part of URING_SUBMIT and URING_COMPLETE records; the first has the arguments of the
/// system call that does the same, read from the kernel's request.
UringFixed: 56 {
    /// Address of the `io_kiocb`: what a submission and its completions have in common; 0 for a
    /// completion that the kernel reports without (more results of one operation).
    request: u64,
    /// Address of the `io_ring_ctx`.
    ring: u64,
    /// The caller's mark of the operation.
    user_data: u64,
    /// Submission: `io_kiocb.flags`, whose low bits are the IOSQE_ ones. Completion: `cqe.flags`.
    flags: u64,
    /// Position in the file that a read or write names; all ones for the file's own, 0 elsewhere.
    offset: u64,
    /// Slot of the ring's own table, as [`crate::uring::SLOT_WORD`] says; 0 for an fd.
    slot: u64,
    /// IORING_OP_ number; [`URING_OP_NONE`] where the request is not known.
    opcode: u32,
    /// Submission: the fd (or the slot of the ring's own table) that the caller gave.
    fd: u32,
}}

wire_struct! {
/// Fixed part of a PAGE_FAULT record.
PageFaultFixed: 24 {
    /// Address that was touched.
    address: u64,
    /// Instruction that touched it.
    ip: u64,
    /// The processor's error code (x86: bit 0 protection, 1 write, 2 user, 3 reserved bit, 4 fetch).
    error: u32,
    /// 0.
    reserved: u32,
}}

wire_struct! {
/// Fixed part of an ITER_TASK record.
IterTaskFixed: 24 {
    /// Minor faults of the process's threads that have ended (`signal_struct.min_flt`).
    group_min_flt: u64,
    /// Major ones.
    group_maj_flt: u64,
    /// `task_struct.exit_state` (EXIT_DEAD = 0x10, EXIT_ZOMBIE = 0x20); 0: it lives.
    exit_state: u32,
    /// [`iter_flag::ROOT_OF_READER`].
    flags: u32,
}}

wire_struct! {
/// Fixed part of an ITER_FILE record.
IterFileFixed: 8 {
    /// The fd.
    fd: u32,
    /// [`iter_flag::CLOSE_ON_EXEC`].
    flags: u32,
}}

wire_struct! {
/// Fixed part of an ITER_CPU record.
IterCpuFixed: 24 {
    /// `task_struct.utime`, ns: what of the time ran in user mode, as far as it was noticed.
    user_ns: u64,
    /// `task_struct.stime`, ns: the same in the kernel.
    system_ns: u64,
    /// `task_struct.se.sum_exec_runtime`, ns: the exact time.
    ran_ns: u64,
}}

/// Bits of the flags of iterators' records.
pub mod iter_flag {
    /// The thread's root directory is that of the process that reads.
    pub const ROOT_OF_READER: u32 = 1;
    /// An exec closes the fd.
    pub const CLOSE_ON_EXEC: u32 = 2;
}

/// `UringFixed::opcode` of a completion without its request.
pub const URING_OP_NONE: u32 = u32::MAX;

wire_struct! {
/// Fixed part of a LOSS record: what this lane lost since its last written record.
LossFixed: 40 {
    /// Records lost.
    count: u64,
    /// Of these, records of the classes that are lost last ([`crate::plan::row_flag::STATEFUL`] and
    /// those like it, process tracepoints, state-bearing io_uring operations).
    stateful: u64,
    /// Of these, enter records.
    enters: u64,
    /// CLOCK_MONOTONIC of the first lost one, ns.
    first_ts_ns: u64,
    /// `LaneHead::seen` at the following record.
    seen: u64,
}}

/// What a section holds.
pub mod tag {
    /// User string at the argument, no terminating NUL stored.
    pub const STR: u8 = 1;
    /// User buffer at the argument, at most snaplen bytes (read, write, send, recv data).
    pub const BYTES: u8 = 2;
    /// Bytes gathered from the iovec at the argument (or the one inside a msghdr), at most
    /// snaplen.
    pub const IOV: u8 = 3;
    /// [`IovInfo`](super::IovInfo) of the iovec at the argument.
    pub const IOV_INFO: u8 = 4;
    /// Raw user sockaddr at the argument (or the `msg_name` of a msghdr), at most 128 bytes.
    pub const SOCKADDR: u8 = 5;
    /// [`MsgInfo`](super::MsgInfo). For sendmmsg and recvmmsg one per message, each followed by its
    /// own SOCKADDR, IOV and CMSG sections (at most [`MMSG_MAX`](super::MMSG_MAX) groups; more
    /// messages were handled when the call's result is greater).
    pub const MSG: u8 = 6;
    /// Raw `msg_control` bytes of a received message.
    pub const CMSG: u8 = 7;
    /// [`SockInfo`](super::SockInfo) of the fd; `arg` says which ([`ARG_RET`](super::ARG_RET) for
    /// a returned fd). For AF_UNIX followed by UNIX_NAME sections where names exist.
    pub const SOCK: u8 = 8;
    /// `sun_path` bytes of an AF_UNIX socket as the kernel holds it (abstract names start with
    /// NUL; no terminating NUL); arg 0: the socket's own, 1: its peer's.
    pub const UNIX_NAME: u8 = 9;
    /// [`FdInfo`](super::FdInfo) of the fd, `arg` as for SOCK.
    pub const FDINFO: u8 = 10;
    /// [`TaskInfo`](super::TaskInfo) of the calling thread.
    pub const TASK: u8 = 11;
    /// argv block (`mm.arg_start..arg_end`): NUL-separated strings. On a failed execve the
    /// strings of the caller's argv array instead, each with its NUL.
    pub const ARGS: u8 = 12;
    /// Environment block (`mm.env_start..env_end`), or the caller's envp strings on failure.
    pub const ENV: u8 = 13;
    /// Path of `mm.exe_file`, mounts crossed, from the mount namespace's root.
    pub const EXEPATH: u8 = 14;
    /// `linux_binprm.filename` at sched_process_exec.
    pub const FILENAME: u8 = 15;
    /// Fixed user struct or array at the argument (timespec, int pair, pollfd array, sigset,
    /// sockopt value, open_how, clone_args, rlimit …), raw.
    pub const RAW: u8 = 16;
    /// [`MmInfo`](super::MmInfo) of the calling process.
    pub const MM: u8 = 17;
    /// Working directory of the thread (`fs.pwd`), path as EXEPATH.
    pub const CWD: u8 = 18;
    /// Path of the file behind the returned fd, as EXEPATH.
    pub const FDPATH: u8 = 19;
}

/// Bits of [`SectionHeader::flags`].
pub mod section_flag {
    /// The memory could not be read (fully): `len` says what was; often 0.
    pub const FAULT: u16 = 1;
    /// There was more than the snaplen, the section's limit or the record had room for.
    pub const TRUNCATED: u16 = 2;
    /// The user pointer was NULL; `len` is 0.
    pub const NULL: u16 = 4;
}

/// `SectionHeader::arg` for something taken from the call's result.
pub const ARG_RET: u8 = 0xff;

wire_struct! {
/// First bytes of every section; `len` data bytes follow, then zero to seven bytes of padding
/// with any value.
SectionHeader: 8 {
    /// One of [`tag`].
    tag: u8,
    /// The argument (0..=5) that led to the data, or [`ARG_RET`], or as the tag says.
    arg: u8,
    /// Bits of [`section_flag`].
    flags: u16,
    /// Stored data bytes, padding not counted.
    len: u32,
}}

mod info;

pub use info::{FdInfo, IovInfo, MmInfo, MsgInfo, SockInfo, TaskInfo, cgroup_slot, exe_flag};

/// First argument of the getpgid call by which the loader makes itself known to `capture_whoami`.
pub const WHOAMI_MAGIC: u64 = 0x6361_7074;

/// Entries of an iovec array that the probe looks at.
pub const IOV_MAX: usize = 32;
/// Largest number of messages of one sendmmsg/recvmmsg call that get sections.
pub const MMSG_MAX: usize = 24;
/// Limit of STR data, bytes (PATH_MAX).
pub const STR_MAX: usize = 4096;
/// Limit of ARGS and of ENV data, bytes (stock stores at most one page of each).
pub const ARGS_MAX: usize = 4096;
/// Limit of SOCKADDR data, bytes (`struct sockaddr_storage`).
pub const SOCKADDR_MAX: usize = 128;
/// Limit of RAW data, bytes.
pub const RAW_MAX: usize = 4096;
/// Largest snaplen, bytes.
pub const SNAPLEN_MAX: u32 = 65000;
/// No section starts behind this offset in a record; each holds at most 64 KB.
pub const SECTION_START_MAX: usize = 0xffff;
/// Upper bound of a record's length, bytes.
pub const RECORD_MAX: usize = 0x2_0000 + 0x1000;

mod lane;
mod threads;
mod view;

pub use lane::*;
pub use threads::*;
pub use view::{RecordView, Section, Sections};

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sections: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![0u8; RecordHeader::LEN_BYTES + EnterFixed::LEN_BYTES];
        out[4] = kind::ENTER;
        for (tag, arg, data) in sections {
            out.extend([*tag, *arg, 0, 0]);
            out.extend((data.len() as u32).to_ne_bytes());
            out.extend(*data);
            out.resize((out.len() + 7) & !7, 0xee);
        }
        let len = (out.len() as u32).to_ne_bytes();
        out[..4].copy_from_slice(&len);
        out
    }

    #[test]
    fn sections_are_found_behind_padding() {
        let bytes = record(&[(tag::STR, 1, b"abc"), (tag::BYTES, 2, b""), (tag::RAW, 3, b"12345678")]);
        let view = RecordView::parse(&bytes).unwrap();
        let (_, sections) = view.split::<EnterFixed>().unwrap();
        assert_eq!(sections.count(), 3);
        assert_eq!(sections.find(tag::STR, 1).unwrap().data, b"abc");
        assert_eq!(sections.find_tag(tag::RAW).unwrap().data, b"12345678");
    }

    #[test]
    fn a_cut_record_is_refused_at_every_byte() {
        let bytes = record(&[(tag::STR, 1, b"abc")]);
        for cut in 0..bytes.len() {
            assert!(RecordView::parse(&bytes[..cut]).is_none());
        }
    }

    #[test]
    fn a_section_longer_than_its_record_ends_the_walk() {
        let mut bytes = record(&[(tag::STR, 1, b"abc")]);
        let at = RecordHeader::LEN_BYTES + EnterFixed::LEN_BYTES + 4;
        bytes[at] = 0xff;
        let view = RecordView::parse(&bytes).unwrap();
        assert_eq!(view.split::<EnterFixed>().unwrap().1.count(), 0);
    }
}
