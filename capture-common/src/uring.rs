//! io_uring operations as system calls: for each operation the call that does the same and where
//! the kernel keeps that call's arguments in its request. One table for both sides: the loader
//! finds the members in the running kernel's type information and writes [`UringRow`]s into the
//! probe's map; the probe reads arguments by them and then copies what the call's plan row says.
//!
//! Arguments come from the kernel's request and not from the submission queue entry, which the
//! program can change after the kernel has read it.
//!
//! Invariant: operation numbers are those of `enum io_uring_op` (include/uapi/linux/io_uring.h),
//! which never change. An operation without a row, or with a member that this kernel does not have,
//! is recorded with its number and result only.

use crate::plan::special;

/// Words that a row says how to read: six arguments, the offset in the file, the slot.
pub const WORDS: usize = 8;
/// Index of the offset among them.
pub const OFFSET_WORD: usize = 6;
/// Index of the slot: of the ring's own table of files, counted from 1, where a new file goes (or one
/// is closed) instead of the process's table of fds; all ones: the kernel chooses.
pub const SLOT_WORD: usize = 7;
/// Rows of the probe's map; operations beyond are recorded without arguments.
pub const ROWS_MAX: usize = 80;

/// How the probe gets an argument ([`UringWord::how`]).
pub mod how {
    /// It is 0.
    pub const NONE: u8 = 0;
    /// From the request's own data.
    pub const LOAD: u8 = 1;
    /// The fd of the request.
    pub const FD: u8 = 2;
    /// A `struct filename`: the argument is the user's pointer, and the name makes a STR section.
    pub const NAME: u8 = 3;
    /// As NONE. An address makes a SOCKADDR section, with the length in the argument after this one: of
    /// size 0 the kernel's copy, else what the user's pointer there leads to.
    pub const ADDR: u8 = 4;
    /// The argument is 0; these bytes of the request make a RAW section.
    pub const COPY: u8 = 5;
}

/// One argument, for the probe.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UringWord {
    /// One of [`how`].
    pub how: u8,
    /// Offset in the request's own data (`io_kiocb.cmd`).
    pub offset: u8,
    /// Bytes there.
    pub size: u8,
    /// 0.
    pub reserved: u8,
}

/// Bits of [`UringRow::flags`].
pub mod row_flag {
    /// As `plan::row_flag::STATEFUL`.
    pub const STATEFUL: u8 = 1;
}

/// One operation, for the probe; 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UringRow {
    /// Number of the call, or [`crate::abi::NR_NONE`].
    pub nr: u16,
    /// Bits of [`row_flag`].
    pub flags: u8,
    /// One of `plan::special`, at the submission.
    pub submit_special: u8,
    /// One of `plan::special`, at the completion.
    pub done_special: u8,
    /// Offset of the count of bytes that moved in earlier tries, by which the kernel has moved the
    /// buffer on; 0: there is none.
    pub done_offset: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// The arguments, the offset, the slot.
    pub words: [UringWord; WORDS],
}

const _: () = assert!(core::mem::size_of::<UringRow>() == 40);

impl UringRow {
    /// The row of an operation that is no call.
    pub const PLAIN: UringRow = UringRow {
        nr: crate::abi::NR_NONE,
        flags: 0,
        submit_special: 0,
        done_special: 0,
        done_offset: 0,
        reserved: [0; 2],
        words: [UringWord { how: 0, offset: 0, size: 0, reserved: 0 }; WORDS],
    };

    /// The row as the bytes the probe's map takes.
    pub fn to_bytes(&self) -> [u8; 40] {
        let mut out = [0; 40];
        out[..2].copy_from_slice(&self.nr.to_ne_bytes());
        out[2..6].copy_from_slice(&[self.flags, self.submit_special, self.done_special, self.done_offset]);
        for (slot, word) in out[8..].chunks_exact_mut(4).zip(&self.words) {
            slot.copy_from_slice(&[word.how, word.offset, word.size, 0]);
        }
        out
    }
}

/// Where a word comes from, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// 0.
    Zero,
    /// The request's fd.
    Fd,
    /// A member of so many bytes, by structure and path.
    Member(&'static str, &'static str, u8),
    /// A `struct filename *`.
    Name(&'static str, &'static str),
    /// A user's sockaddr, whose copy the kernel holds.
    Addr,
    /// A structure inside the request.
    Part(&'static str, &'static str, u8),
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Name without `IORING_OP_`, in lower case.
    pub name: &'static str,
    /// The call that does the same; empty where there is none.
    pub call: &'static str,
    /// Its arguments.
    pub args: &'static [Word],
    /// The offset in the file.
    pub offset: Word,
    /// The slot.
    pub slot: Word,
    /// Structure and member with the bytes of earlier tries.
    pub done: Option<(&'static str, &'static str)>,
    /// Collector at the submission.
    pub submit_special: u8,
    /// Collector at the completion.
    pub done_special: u8,
}

impl Op {
    const fn new(name: &'static str, call: &'static str, args: &'static [Word]) -> Self {
        Self {
            name,
            call,
            args,
            offset: Word::Zero,
            slot: Word::Zero,
            done: None,
            submit_special: 0,
            done_special: 0,
        }
    }
    const fn bare(name: &'static str) -> Self {
        Self::new(name, "", &[])
    }
    const fn rw(name: &'static str, call: &'static str) -> Self {
        let mut op = Self::new(name, call, RW);
        op.offset = Member("io_rw", "kiocb.ki_pos", 8);
        op
    }
    const fn net(name: &'static str, call: &'static str, args: &'static [Word]) -> Self {
        let mut op = Self::new(name, call, args);
        op.done = Some(("io_sr_msg", "done_io"));
        op
    }
    const fn slot(mut self, structure: &'static str) -> Self {
        self.slot = Member(structure, "file_slot", 4);
        self
    }
    const fn special(mut self, submit: u8, done: u8) -> Self {
        self.submit_special = submit;
        self.done_special = done;
        self
    }
}

use Word::{Addr, Fd, Member, Name, Part, Zero};

const RW: &[Word] = &[Fd, Member("io_rw", "addr", 8), Member("io_rw", "len", 4)];
const BUF: &[Word] =
    &[Fd, Member("io_sr_msg", "buf", 8), Member("io_sr_msg", "len", 4), Member("io_sr_msg", "msg_flags", 4)];
const MSG: &[Word] = &[Fd, Member("io_sr_msg", "umsg", 8), Member("io_sr_msg", "msg_flags", 4)];
const XATTR: &[Word] = &[Fd];
const LINKS: &[Word] = &[
    Member("io_link", "old_dfd", 4),
    Name("io_link", "oldpath"),
    Member("io_link", "new_dfd", 4),
    Name("io_link", "newpath"),
    Member("io_link", "flags", 4),
];
const RENAME: &[Word] = &[
    Member("io_rename", "old_dfd", 4),
    Name("io_rename", "oldpath"),
    Member("io_rename", "new_dfd", 4),
    Name("io_rename", "newpath"),
    Member("io_rename", "flags", 4),
];

/// The operations in the order of their numbers. Each is shown as the call of its own name, where there
/// is one.
#[rustfmt::skip]
pub const OPS: &[Op] = &[
    Op::bare("nop"),
    Op::rw("readv", "readv").special(special::NONE, special::IOV),
    Op::rw("writev", "writev").special(special::IOV, special::NONE),
    Op::new("fsync", "fsync", &[Fd]),
    Op::rw("read_fixed", "read"),
    Op::rw("write_fixed", "write"),
    Op::bare("poll_add"),
    Op::bare("poll_remove"),
    Op::new("sync_file_range", "sync_file_range",
        &[Fd, Member("io_sync", "off", 8), Member("io_sync", "len", 8), Member("io_sync", "flags", 4)]),
    Op::net("sendmsg", "sendmsg", MSG).special(special::MSG, special::NONE),
    Op::net("recvmsg", "recvmsg", MSG).special(special::NONE, special::MSG),
    Op::bare("timeout"),
    Op::bare("timeout_remove"),
    Op::new("accept", "accept4",
        &[Fd, Member("io_accept", "addr", 8), Member("io_accept", "addr_len", 8), Member("io_accept", "flags", 4)])
        .slot("io_accept"),
    Op::bare("async_cancel"),
    Op::bare("link_timeout"),
    Op::new("connect", "connect", &[Fd, Addr, Member("io_connect", "addr_len", 4)]),
    Op::new("fallocate", "fallocate",
        &[Fd, Member("io_sync", "mode", 4), Member("io_sync", "off", 8), Member("io_sync", "len", 8)]),
    Op::new("openat", "openat", &[
        Member("io_open", "dfd", 4), Name("io_open", "filename"),
        Member("io_open", "how.flags", 4), Member("io_open", "how.mode", 4)]).slot("io_open"),
    Op::new("close", "close", &[Member("io_close", "fd", 4)]).slot("io_close"),
    Op::bare("files_update"),
    Op::new("statx", "statx", &[
        Member("io_statx", "dfd", 4), Name("io_statx", "filename"), Member("io_statx", "flags", 4),
        Member("io_statx", "mask", 4), Member("io_statx", "buffer", 8)]),
    Op::rw("read", "read"),
    Op::rw("write", "write"),
    Op::new("fadvise", "fadvise64", &[
        Fd, Member("io_fadvise", "offset", 8), Member("io_fadvise", "len", 8), Member("io_fadvise", "advice", 4)]),
    Op::new("madvise", "madvise",
        &[Member("io_madvise", "addr", 8), Member("io_madvise", "len", 8), Member("io_madvise", "advice", 4)]),
    Op::net("send", "sendto", BUF),
    Op::net("recv", "recvfrom", BUF),
    Op::new("openat2", "openat2",
        &[Member("io_open", "dfd", 4), Name("io_open", "filename"), Part("io_open", "how", 24)])
        .slot("io_open"),
    Op::new("epoll_ctl", "epoll_ctl",
        &[Member("io_epoll", "epfd", 4), Member("io_epoll", "op", 4), Member("io_epoll", "fd", 4)]),
    Op::new("splice", "splice", &[
        Member("io_splice", "splice_fd_in", 4), Zero, Fd, Zero, Member("io_splice", "len", 8),
        Member("io_splice", "flags", 4)]),
    Op::bare("provide_buffers"),
    Op::bare("remove_buffers"),
    Op::new("tee", "tee", &[
        Member("io_splice", "splice_fd_in", 4), Fd, Member("io_splice", "len", 8),
        Member("io_splice", "flags", 4)]),
    Op::new("shutdown", "shutdown", &[Fd, Member("io_shutdown", "how", 4)]),
    Op::new("renameat", "renameat2", RENAME),
    Op::new("unlinkat", "unlinkat",
        &[Member("io_unlink", "dfd", 4), Name("io_unlink", "filename"), Member("io_unlink", "flags", 4)]),
    Op::new("mkdirat", "mkdirat",
        &[Member("io_mkdir", "dfd", 4), Name("io_mkdir", "filename"), Member("io_mkdir", "mode", 2)]),
    Op::new("symlinkat", "symlinkat",
        &[Name("io_link", "oldpath"), Member("io_link", "new_dfd", 4), Name("io_link", "newpath")]),
    Op::new("linkat", "linkat", LINKS),
    Op::bare("msg_ring"),
    Op::new("fsetxattr", "fsetxattr", XATTR),
    Op::new("setxattr", "setxattr", &[]),
    Op::new("fgetxattr", "fgetxattr", XATTR),
    Op::new("getxattr", "getxattr", &[]),
    Op::new("socket", "socket",
        &[Member("io_socket", "domain", 4), Member("io_socket", "type", 4), Member("io_socket", "protocol", 4)])
        .slot("io_socket"),
    Op::bare("uring_cmd"),
    Op::net("send_zc", "sendto", BUF),
    Op::net("sendmsg_zc", "sendmsg", MSG).special(special::MSG, special::NONE),
    Op::rw("read_multishot", "read"),
    Op::new("waitid", "waitid",
        &[Member("io_waitid", "which", 4), Member("io_waitid", "upid", 4), Zero, Member("io_waitid", "options", 4)]),
    Op::bare("futex_wait"),
    Op::bare("futex_wake"),
    Op::bare("futex_waitv"),
    // A slot of the ring's own table becomes an fd, too.
    Op::new("fixed_fd_install", "dup", &[Fd]),
    Op::new("ftruncate", "ftruncate", &[Fd, Member("io_ftrunc", "len", 8)]),
    Op::new("bind", "bind", &[Fd, Addr, Member("io_bind", "addr_len", 4)]),
    Op::new("listen", "listen", &[Fd, Member("io_listen", "backlog", 4)]),
    // Its data stand in memory that the network card shares with the program.
    Op::new("recv_zc", "recvfrom", &[Fd]),
    Op::new("epoll_wait", "epoll_wait", &[Fd, Zero, Member("io_epoll_wait", "maxevents", 4)]),
    Op::rw("readv_fixed", "readv").special(special::NONE, special::IOV),
    Op::rw("writev_fixed", "writev").special(special::IOV, special::NONE),
    Op::new("pipe", "pipe2", &[Member("io_pipe", "fds", 8), Member("io_pipe", "flags", 4)])
        .slot("io_pipe")
        .special(special::NONE, special::PIPE),
];

/// The operation with this number.
pub fn op(number: u32) -> Option<&'static Op> {
    OPS.get(number as usize)
}

/// Numbers that the decoder and the probe's loader treat by themselves.
pub mod number {
    /// Closes an fd, or a slot of the ring's own table.
    pub const CLOSE: u32 = 19;
    /// Its result is a real fd although its fd is a slot.
    pub const FIXED_FD_INSTALL: u32 = 54;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernel_s() {
        for (number, name) in [
            (0, "nop"),
            (13, "accept"),
            (18, "openat"),
            (22, "read"),
            (28, "openat2"),
            (40, "msg_ring"),
            (54, "fixed_fd_install"),
            (62, "pipe"),
        ] {
            assert_eq!(op(number).map(|op| op.name), Some(name));
        }
        assert!(OPS.len() <= ROWS_MAX && op(63).is_none());
    }

    #[test]
    fn every_call_is_in_the_tables_and_takes_its_arguments() {
        for op in OPS {
            assert!(op.args.len() <= OFFSET_WORD, "{}", op.name);
            let known = crate::syscall_table::X86_64.iter().any(|call| call.name == op.call);
            assert!(op.call.is_empty() || known, "{}", op.name);
            for (n, word) in op.args.iter().enumerate() {
                // The probe takes an address's length from the argument after it.
                assert!(*word != Word::Addr || matches!(op.args.get(n + 1), Some(Word::Member(..))));
            }
        }
    }

    #[test]
    fn bytes_follow_the_declared_layout() {
        let mut row = UringRow { nr: 0x101, flags: 1, done_offset: 20, ..UringRow::PLAIN };
        row.words[OFFSET_WORD] = UringWord { how: how::LOAD, offset: 8, size: 8, reserved: 0 };
        let bytes = row.to_bytes();
        assert_eq!(&bytes[..8], &[1, 1, 1, 0, 0, 20, 0, 0]);
        assert_eq!(&bytes[8 + OFFSET_WORD * 4..], &[how::LOAD, 8, 8, 0, 0, 0, 0, 0]);
    }
}
