//! Locks, semaphores, signals, sleeping.

use crate::live::decode::call::Call;
use crate::live::decode::source::Src::{Arg, Int, Num, Ret, Uint};
use crate::live::decode::source::{Row, Src, row};
use capture_common::native::maps;

/// The operation is an enumeration, with two flag bits beside it.
fn futex_op(c: &Call<'_>) -> u64 {
    const FUTEX_PRIVATE_FLAG: u64 = 128;
    const FUTEX_CLOCK_REALTIME: u64 = 256;
    let flags = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
    let op = c.arg(1) & 0xffff_ffff;
    u64::from(maps::FUTEX_OP.stored(op & !flags)) | op & flags
}

/// `struct sembuf`: sem_num u16, sem_op s16, sem_flg s16.
fn sembuf(c: &Call<'_>, entry: usize, field: usize) -> Option<u16> {
    let at = entry * 6 + field * 2;
    Some(u16::from_ne_bytes(*c.raw(1)?.get(at..)?.first_chunk()?))
}

fn sem_number(c: &Call<'_>, entry: usize, field: usize) -> u64 {
    sembuf(c, entry, field).map_or(0, u64::from)
}

fn sem_flags(c: &Call<'_>, entry: usize) -> u64 {
    sembuf(c, entry, 2).map_or(0, |flags| u64::from(maps::SEMOP_FLAGS.stored(u64::from(flags))))
}

/// IPC_64 only says which struct layout the caller has.
fn semctl_cmd(c: &Call<'_>) -> u64 {
    const IPC_64: u64 = 0x100;
    u64::from(maps::SEMCTL_CMD.stored(c.arg(2) & 0xffff_ffff & !IPC_64))
}

/// Permission bits are stored as they are, IPC_CREAT and IPC_EXCL in their own form.
fn semget_flags(c: &Call<'_>) -> u64 {
    let flags = c.arg(2) & 0xffff_ffff;
    u64::from(maps::SEMGET_FLAGS.stored(flags)) | flags & 0o777
}

const FUTEX_OP: Src = Num(futex_op);
const SEMCTL_CMD: Src = Num(semctl_cmd);
const SEMGET_FLAGS: Src = Num(semget_flags);
const INTERVAL: Src = Num(|c| c.timespec_ns(0));

pub(in crate::live::decode) const ROWS: &[Row] = &[
    row!(&["futex", "futex_time64"], &[Arg(0), FUTEX_OP, Uint(2)], &[Ret, Arg(0), FUTEX_OP, Uint(2)]),
    row!(
        &["semop"],
        &[Int(0)],
        &[
            Ret,
            Uint(2),
            Num(|c| sem_number(c, 0, 0)),
            Num(|c| sem_number(c, 0, 1)),
            Num(|c| sem_flags(c, 0)),
            Num(|c| sem_number(c, 1, 0)),
            Num(|c| sem_number(c, 1, 1)),
            Num(|c| sem_flags(c, 1)),
            Int(0),
        ],
    ),
    row!(&["semget"], &[Int(0), Int(1), SEMGET_FLAGS], &[Ret, Int(0), Int(1), SEMGET_FLAGS]),
    row!(&["semctl"], &[Int(0), Int(1), SEMCTL_CMD, Int(3)], &[Ret, Int(0), Int(1), SEMCTL_CMD, Int(3)],),
    row!(&["kill"], &[Int(0), Uint(1)], &[Ret, Int(0), Uint(1)]),
    row!(&["tkill"], &[Int(0), Uint(1)], &[Ret, Int(0), Uint(1)]),
    row!(&["tgkill"], &[Int(0), Int(1), Uint(2)], &[Ret, Int(0), Int(1), Uint(2)]),
    row!(&["nanosleep"], &[INTERVAL], &[Ret, INTERVAL]),
];
