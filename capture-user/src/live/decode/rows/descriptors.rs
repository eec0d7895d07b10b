//! Calls on descriptors: reading and writing, position, duplicating, pipes, and the calls that
//! make other kinds of descriptor.

use crate::live::decode::call::Call;
use crate::live::decode::poll::{FDS, REVENTS};
use crate::live::decode::source::Src::{Arg, Bytes, Const, Data, Int, Map, Num, Ret, Str, Uint};
use crate::live::decode::source::{Row, Src, coded, row};
use capture_common::abi::tag;
use capture_common::native::{self, maps};

fn gathered(c: &Call<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(c.gathered());
}

fn iov_total(c: &Call<'_>) -> u64 {
    c.iov().map_or(0, |iov| iov.total_len.min(u64::from(u32::MAX)))
}

/// Bytes that a vectored read delivered: stored as its size, as stock does.
fn received(c: &Call<'_>) -> u64 {
    c.ret.max(0) as u64
}

fn pipe_fd(c: &Call<'_>, index: usize) -> u64 {
    match c.raw_u32(0, index) {
        Some(fd) if c.is_ok() => i64::from(fd as i32) as u64,
        _ => -1i64 as u64,
    }
}

fn pipe_ino(c: &Call<'_>) -> u64 {
    c.data_of(tag::FDINFO).and_then(capture_common::abi::FdInfo::read).map_or(0, |f| f.ino)
}

fn fcntl_cmd(c: &Call<'_>) -> u64 {
    u64::from(native::fcntl_cmd(c.arg(1) & 0xffff_ffff))
}

fn offset_at(c: &Call<'_>, arg: u8) -> u64 {
    c.raw_u64(arg, 0).or_else(|| c.raw_u32(arg, 0).map(u64::from)).unwrap_or(0)
}

const GATHERED: Src = Bytes(gathered);
const IOV_SIZE: Src = Num(iov_total);
const POS: Src = Num(|c| c.wide(3, 3));
const SENDFILE_OFFSET: Src = Num(|c| offset_at(c, 2));
const FCNTL_CMD: Src = Num(fcntl_cmd);
const LLSEEK_OFFSET: Src = Num(|c| c.arg(1) << 32 | c.arg(2) & 0xffff_ffff);
const POLL_TIMEOUT: Src = Int(2);
const PPOLL_TIMEOUT: Src = Num(|c| c.timespec_ns(2));
const PPOLL_MASK: Src = Num(|c| c.raw_u32(3, 0).map_or(0, u64::from));
const NO_FLAGS: Src = Const(0);

pub(in crate::live::decode) const ROWS: &[Row] = &[
    row!(&["close"], &[Int(0)], &[Ret, Int(0)]),
    row!(&["close_range"], &[], &[Ret, Uint(0), Uint(1), Map(2, &maps::CLOSE_RANGE_FLAGS)],),
    // Data.
    row!(&["read"], &[Int(0), Uint(2)], &[Ret, Data(1), Int(0), Uint(2)]),
    row!(&["write"], &[Int(0), Uint(2)], &[Ret, Data(1), Int(0), Uint(2)]),
    row!(&["pread64"], &[Int(0), Uint(2), POS], &[Ret, Data(1), Int(0), Uint(2), POS]),
    row!(&["pwrite64"], &[Int(0), Uint(2), POS], &[Ret, Data(1), Int(0), Uint(2), POS]),
    row!(&["readv"], &[Int(0)], &[Ret, Num(received), GATHERED, Int(0)]),
    row!(&["writev"], &[Int(0), IOV_SIZE], &[Ret, GATHERED, Int(0), IOV_SIZE]),
    row!(&["preadv"], &[Int(0), POS], &[Ret, Num(received), GATHERED, Int(0), POS]),
    row!(&["pwritev"], &[Int(0), IOV_SIZE, POS], &[Ret, GATHERED, Int(0), IOV_SIZE, POS]),
    row!(
        &["sendfile", "sendfile64"],
        &[Int(0), Int(1), SENDFILE_OFFSET, Arg(3)],
        &[Ret, SENDFILE_OFFSET, Int(0), Int(1), Arg(3)],
    ),
    row!(
        &["copy_file_range"],
        &[Int(0), Num(|c| offset_at(c, 1)), Arg(4)],
        &[Ret, Int(2), Num(|c| offset_at(c, 3)), Int(0), Num(|c| offset_at(c, 1)), Arg(4)],
    ),
    row!(
        &["splice"],
        &[Int(0), Int(2), Arg(4), Map(5, &maps::SPLICE_FLAGS)],
        &[Ret, Int(0), Int(2), Arg(4), Map(5, &maps::SPLICE_FLAGS)],
    ),
    row!(&["process_vm_readv"], &[], &[Ret, Int(0), GATHERED]),
    row!(&["process_vm_writev"], &[], &[Ret, Int(0), GATHERED]),
    // Position and attributes.
    row!(
        &["lseek"],
        &[Int(0), Arg(1), Map(2, &maps::LSEEK_WHENCE)],
        &[Ret, Int(0), Arg(1), Map(2, &maps::LSEEK_WHENCE)],
    ),
    coded!(
        &["_llseek"],
        (88, 89),
        &[Int(0), LLSEEK_OFFSET, Map(4, &maps::LSEEK_WHENCE)],
        &[Ret, Int(0), LLSEEK_OFFSET, Map(4, &maps::LSEEK_WHENCE)],
    ),
    row!(&["fstat"], &[Int(0)], &[Ret, Int(0)]),
    coded!(&["fstat64"], (76, 77), &[Int(0)], &[Ret]),
    row!(&["fchmod"], &[], &[Ret, Int(0), Map(1, &maps::CHMOD_MODE)]),
    row!(&["fchown", "fchown32"], &[], &[Ret, Int(0), Uint(1), Uint(2)]),
    row!(&["fchdir"], &[Int(0)], &[Ret, Int(0)]),
    row!(&["getdents"], &[Int(0)], &[Ret, Int(0)]),
    row!(&["getdents64"], &[Int(0)], &[Ret, Int(0)]),
    row!(
        &["flock"],
        &[Int(0), Map(1, &maps::FLOCK_OPERATION)],
        &[Ret, Int(0), Map(1, &maps::FLOCK_OPERATION)],
    ),
    row!(&["fcntl", "fcntl64"], &[Int(0), FCNTL_CMD], &[Ret, Int(0), FCNTL_CMD, Arg(2)]),
    row!(&["ioctl"], &[Int(0), Uint(1), Arg(2)], &[Ret, Int(0), Uint(1), Arg(2)]),
    // Copies and pipes.
    row!(&["dup", "dup2", "dup3"], &[Int(0)], &[Ret]),
    row!(&["pipe", "pipe2"], &[], &[Ret, Num(|c| pipe_fd(c, 0)), Num(|c| pipe_fd(c, 1)), Num(pipe_ino)],),
    // Other kinds.
    row!(&["eventfd"], &[Uint(0), NO_FLAGS], &[Ret, Uint(0), NO_FLAGS]),
    row!(
        &["eventfd2"],
        &[Uint(0), Map(1, &maps::EVENTFD2_FLAGS)],
        &[Ret, Uint(0), Map(1, &maps::EVENTFD2_FLAGS)],
    ),
    row!(
        &["signalfd"],
        &[Int(0), Num(signalfd_mask), NO_FLAGS],
        &[Ret, Int(0), Num(signalfd_mask), NO_FLAGS],
    ),
    // The flags parameter of signalfd, timerfd_create and inotify_init has 8 bits: of its stored
    // flags only O_NONBLOCK (64) fits.
    row!(
        &["signalfd4"],
        &[Int(0), Num(signalfd_mask), Map(3, &maps::SIGNALFD4_FLAGS)],
        &[Ret, Int(0), Num(signalfd_mask), Map(3, &maps::SIGNALFD4_FLAGS)],
    ),
    row!(
        &["timerfd_create"],
        &[Uint(0), Map(1, &maps::TIMERFD_CREATE_FLAGS)],
        &[Ret, Uint(0), Map(1, &maps::TIMERFD_CREATE_FLAGS)],
    ),
    row!(&["inotify_init"], &[NO_FLAGS], &[Ret, NO_FLAGS]),
    row!(
        &["inotify_init1"],
        &[Map(0, &maps::INOTIFY_INIT1_FLAGS)],
        &[Ret, Map(0, &maps::INOTIFY_INIT1_FLAGS)],
    ),
    row!(&["epoll_create"], &[Uint(0)], &[Ret, Uint(0)]),
    row!(
        &["epoll_create1"],
        &[Map(0, &maps::EPOLL_CREATE1_FLAGS)],
        &[Ret, Map(0, &maps::EPOLL_CREATE1_FLAGS)],
    ),
    row!(
        &["userfaultfd"],
        &[],
        &[Ret, Num(|c| u64::from(native::open_flags(c.arg(0) & 0xffff_ffff & !3)) & !1)],
    ),
    row!(&["memfd_create"], &[], &[Ret, Str(0), Map(1, &maps::MEMFD_CREATE_FLAGS)]),
    row!(&["pidfd_open"], &[], &[Ret, Int(0), Map(1, &maps::PIDFD_OPEN_FLAGS)]),
    row!(&["pidfd_getfd"], &[], &[Ret, Int(0), Int(1), Uint(2)]),
    // Waiting for descriptors.
    row!(&["poll"], &[FDS, POLL_TIMEOUT], &[Ret, REVENTS, POLL_TIMEOUT]),
    row!(
        &["ppoll", "ppoll_time64"],
        &[FDS, PPOLL_TIMEOUT, PPOLL_MASK],
        &[Ret, REVENTS, PPOLL_TIMEOUT, PPOLL_MASK],
    ),
    row!(&["select", "_newselect"], &[], &[Ret]),
    row!(&["epoll_wait"], &[Int(2)], &[Ret, Int(2)]),
];

fn signalfd_mask(c: &Call<'_>) -> u64 {
    c.raw_u32(1, 0).map_or(0, u64::from)
}
