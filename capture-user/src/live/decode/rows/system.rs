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
/// What goes where a call has no such text.
const NO_TEXT: &[u8] = b"<NA>";

/// Words of `struct if_dqblk`, and bits of its last word that say which are filled.
const DQBLK_WORDS: usize = 8;
const QIF_BLIMITS: u64 = 1;
const QIF_SPACE: u64 = 2;
const QIF_ILIMITS: u64 = 4;
const QIF_BTIME: u64 = 0x10;
const QIF_ITIME: u64 = 0x20;
/// Stored forms of the commands with a struct: Q_GETINFO, Q_SETINFO, Q_GETQUOTA, Q_SETQUOTA.
const STORED_GETFMT: u64 = 0x4;
const STORED_INFO: [u64; 2] = [0x8, 0x10];
const STORED_QUOTA: [u64; 2] = [0x20, 0x40];

/// Word `word` of the quota struct of a call that used one, where `valid` says that it is filled.
fn quota_word(c: &Call<'_>, word: usize, valid: u64) -> u64 {
    let filled = c.raw_u32(3, 2 * DQBLK_WORDS).map_or(0, u64::from);
    if c.is_ok() && STORED_QUOTA.contains(&quota_cmd(c)) && filled & valid != 0 {
        c.raw_u64(3, word).unwrap_or(0)
    } else {
        0
    }
}

/// Word of `struct if_dqinfo`: grace times (64 bits each), then flags.
fn quota_info(c: &Call<'_>, read: fn(&Call<'_>) -> Option<u64>) -> u64 {
    if c.is_ok() && STORED_INFO.contains(&quota_cmd(c)) { read(c).unwrap_or(0) } else { 0 }
}

fn quota_format_out(c: &Call<'_>) -> u64 {
    let format = c.raw_u32(3, 0).filter(|_| c.is_ok() && quota_cmd(c) == STORED_GETFMT);
    format.map_or(QFMT_NOT_USED, |format| u64::from(maps::QUOTACTL_FMT.stored(u64::from(format))))
}

const QUOTA_FILE: Src = Text(|c| if quota_cmd(c) == STORED_QUOTAON { c.text(3) } else { NO_TEXT });

/// Arguments of keyctl(2) that are text: operation and argument.
const KEY_TEXTS: &[(u64, u8)] = &[
    (1, 1),  // KEYCTL_JOIN_SESSION_KEYRING: name
    (10, 2), // KEYCTL_SEARCH: type
    (10, 3), // and description
    (29, 2), // KEYCTL_RESTRICT_KEYRING: type
    (29, 3), // and restriction
];

/// Argument `arg` of keyctl(2) in its dynamic form: a number or text.
fn push_key_arg(c: &Call<'_>, arg: u8, out: &mut Vec<u8>) {
    const NUMBER: u8 = 0;
    const TEXT: u8 = 1;
    if KEY_TEXTS.contains(&(c.arg(0) & 0xffff_ffff, arg)) {
        out.push(TEXT);
        out.extend_from_slice(c.text(arg));
        out.push(0);
    } else {
        out.push(NUMBER);
        out.extend_from_slice(&c.arg(arg).to_le_bytes());
    }
}

/// Commands of fsconfig(2) by what their value is.
const FSCONFIG_SET_BINARY: u64 = 2;
const FSCONFIG_WITH_TEXT: [u64; 3] = [1, 3, 4];

fn fsconfig_cmd(c: &Call<'_>) -> u64 {
    c.arg(1) & 0xffff_ffff
}

fn push_fsconfig_bytes(c: &Call<'_>, out: &mut Vec<u8>) {
    if fsconfig_cmd(c) == FSCONFIG_SET_BINARY {
        out.extend_from_slice(c.payload(3));
    }
}

fn fsconfig_text<'a>(c: &Call<'a>) -> &'a [u8] {
    if FSCONFIG_WITH_TEXT.contains(&fsconfig_cmd(c)) { c.text(3) } else { NO_TEXT }
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
            Bytes(|c, out| push_key_arg(c, 1, out)),
            Bytes(|c, out| push_key_arg(c, 2, out)),
            Bytes(|c, out| push_key_arg(c, 3, out)),
            Bytes(|c, out| push_key_arg(c, 4, out)),
        ],
    ),
    row!(
        &["quotactl"],
        &[QUOTA_CMD, QUOTA_TYPE, QUOTA_ID, QUOTA_FORMAT],
        &[
            Ret,
            Str(1),
            QUOTA_FILE,
            Num(|c| quota_word(c, 0, QIF_BLIMITS)),
            Num(|c| quota_word(c, 1, QIF_BLIMITS)),
            Num(|c| quota_word(c, 2, QIF_SPACE)),
            Num(|c| quota_word(c, 3, QIF_ILIMITS)),
            Num(|c| quota_word(c, 4, QIF_ILIMITS)),
            Num(|c| quota_word(c, 6, QIF_BTIME)),
            Num(|c| quota_word(c, 7, QIF_ITIME)),
            Num(|c| quota_info(c, |c| c.raw_u64(3, 0))),
            Num(|c| quota_info(c, |c| c.raw_u64(3, 1))),
            Num(|c| quota_info(c, |c| c.raw_u32(3, 4).map(u64::from))),
            Num(quota_format_out),
            QUOTA_CMD,
            QUOTA_TYPE,
            QUOTA_ID,
            QUOTA_FORMAT,
        ],
    ),
    row!(
        &["fsconfig"],
        &[],
        &[
            Ret,
            Int(0),
            Map(1, &maps::FSCONFIG_CMD),
            Str(2),
            Bytes(push_fsconfig_bytes),
            Text(fsconfig_text),
            Int(4),
        ],
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
