//! The rest: modules, bpf, seccomp, keys, quotas, io_uring, the mount API.

use crate::live::decode::call::Call;
use crate::live::decode::source::Src::{Arg, Bytes, Const, Int, Map, Num, Ret, Str, Text, Uint};
use crate::live::decode::source::{Row, Src, row};
use capture_common::native::maps;

/// Dynamic forms of bpf's result.
const DYN_FD: u8 = 0;
const DYN_ERRNO: u8 = 1;
/// Commands of bpf(2) that return an fd: MAP_CREATE, PROG_LOAD, OBJ_GET, PROG_GET_FD_BY_ID,
/// MAP_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD, BTF_GET_FD_BY_ID, LINK_CREATE,
/// LINK_GET_FD_BY_ID, ENABLE_STATS, ITER_CREATE, TOKEN_CREATE.
const BPF_FD_COMMANDS: &[u64] = &[0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33, 36];

fn push_bpf_result(c: &Call<'_>, out: &mut Vec<u8>) {
    let makes_fd = BPF_FD_COMMANDS.contains(&(c.arg(0) & 0xffff_ffff));
    out.push(if makes_fd { DYN_FD } else { DYN_ERRNO });
    out.extend_from_slice(&c.ret.to_le_bytes());
}

/// Quota commands are stored as bits: (native number, stored).
const QUOTA_COMMANDS: &[(u32, u64)] = &[
    (0x80_0002, 0x1),  // Q_QUOTAON
    (0x80_0003, 0x2),  // Q_QUOTAOFF
    (0x80_0004, 0x4),  // Q_GETFMT
    (0x80_0005, 0x8),  // Q_GETINFO
    (0x80_0006, 0x10), // Q_SETINFO
    (0x80_0007, 0x20), // Q_GETQUOTA
    (0x80_0008, 0x40), // Q_SETQUOTA
    (0x80_0001, 0x80), // Q_SYNC
    (0x5801, 0x100),   // Q_XQUOTAON
    (0x5802, 0x200),   // Q_XQUOTAOFF
    (0x5803, 0x400),   // Q_XGETQUOTA
    (0x5804, 0x800),   // Q_XSETQLIM
    (0x5805, 0x1000),  // Q_XGETQSTAT
    (0x5806, 0x2000),  // Q_XQUOTARM
    (0x5807, 0x4000),  // Q_XQUOTASYNC
];
/// Stored form of Q_QUOTAON.
const STORED_QUOTAON: u64 = 0x1;
/// Stored quota format where the command has none.
const QFMT_NOT_USED: u64 = 0x1;

/// `cmd` of quotactl(2) holds the command above the 8 bits of the type.
fn quota_cmd(c: &Call<'_>) -> u64 {
    let native = (c.arg(0) as u32) >> 8;
    QUOTA_COMMANDS.iter().find(|(n, _)| *n == native).map_or(0, |(_, stored)| *stored)
}

fn quota_type(c: &Call<'_>) -> u64 {
    u64::from(maps::QUOTACTL_TYPE.stored(c.arg(0) & 0xff))
}

fn quota_format(c: &Call<'_>) -> u64 {
    if quota_cmd(c) == STORED_QUOTAON {
        u64::from(maps::QUOTACTL_FMT.stored(c.arg(2) & 0xffff_ffff))
    } else {
        QFMT_NOT_USED
    }
}

fn quota_id(c: &Call<'_>) -> u64 {
    if quota_cmd(c) == STORED_QUOTAON { 0 } else { c.arg(2) & 0xffff_ffff }
}

const QUOTA_CMD: Src = Num(quota_cmd);
const QUOTA_TYPE: Src = Num(quota_type);
const QUOTA_ID: Src = Num(quota_id);
const QUOTA_FORMAT: Src = Num(quota_format);
/// Text of something that the probe does not copy.
const NOT_COPIED: Src = Text(|_| b"<NA>");

/// Dynamic form 0 of a key argument: s64.
const fn key_arg(f: fn(&Call<'_>, &mut Vec<u8>)) -> Src {
    Bytes(f)
}

fn push_key_arg(value: u64, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Word of `struct io_uring_params`: sq_entries, cq_entries, flags, sq_thread_cpu,
/// sq_thread_idle, features.
fn ring_param(c: &Call<'_>, word: usize) -> u64 {
    c.raw_u32(1, word).map_or(0, u64::from)
}

fn ring_flags(c: &Call<'_>) -> u64 {
    let flags = ring_param(c, 2);
    // The map's first row would also set the stored bit that stands for an internal kernel flag.
    const IOPOLL: u64 = 1;
    u64::from(maps::IO_URING_SETUP_FLAGS.stored(flags & !IOPOLL)) | flags & IOPOLL
}

/// Feature bits that have a name in files.
const RING_FEATURES: u64 = 0x7ff;

pub(in crate::live::decode) const ROWS: &[Row] = &[
    row!(&["bpf"], &[Int(0)], &[Bytes(push_bpf_result)]),
    row!(&["seccomp"], &[Uint(0)], &[Ret, Uint(0), Uint(1)]),
    row!(&["init_module"], &[], &[Ret, Src::Data(0), Arg(1), Str(2)]),
    row!(&["finit_module"], &[], &[Ret, Int(0), Str(1), Map(2, &maps::FINIT_MODULE_FLAGS)]),
    row!(&["delete_module"], &[], &[Ret, Str(0), Map(1, &maps::DELETE_MODULE_FLAGS)]),
    row!(
        &["keyctl"],
        &[],
        &[
            Ret,
            Uint(0),
            key_arg(|c, out| push_key_arg(c.arg(1), out)),
            key_arg(|c, out| push_key_arg(c.arg(2), out)),
            key_arg(|c, out| push_key_arg(c.arg(3), out)),
            key_arg(|c, out| push_key_arg(c.arg(4), out)),
        ],
    ),
    row!(
        &["quotactl"],
        &[QUOTA_CMD, QUOTA_TYPE, QUOTA_ID, QUOTA_FORMAT],
        &[
            Ret,
            Str(1),
            NOT_COPIED,
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(0),
            Const(QFMT_NOT_USED),
            QUOTA_CMD,
            QUOTA_TYPE,
            QUOTA_ID,
            QUOTA_FORMAT,
        ],
    ),
    row!(
        &["fsconfig"],
        &[],
        &[Ret, Int(0), Map(1, &maps::FSCONFIG_CMD), NOT_COPIED, Bytes(|_, _| {}), NOT_COPIED, Int(4),],
    ),
    row!(
        &["io_uring_setup"],
        &[],
        &[
            Ret,
            Uint(0),
            Num(|c| ring_param(c, 0)),
            Num(|c| ring_param(c, 1)),
            Num(ring_flags),
            Num(|c| ring_param(c, 3)),
            Num(|c| ring_param(c, 4)),
            Num(|c| ring_param(c, 5) & RING_FEATURES),
        ],
    ),
    row!(
        &["io_uring_enter"],
        &[],
        &[Ret, Int(0), Uint(1), Uint(2), Map(3, &maps::IO_URING_ENTER_FLAGS), Const(0)],
    ),
    row!(
        &["io_uring_register"],
        &[],
        &[Ret, Int(0), Map(1, &maps::IO_URING_REGISTER_OPCODE), Arg(2), Uint(3)],
    ),
];
