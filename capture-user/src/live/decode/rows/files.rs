//! Calls on files by path: open forms, stat, access, names, modes, owners, directories.

use crate::live::decode::call::Call;
use crate::live::decode::opened;
use crate::live::decode::source::Src::{Bytes, Const, Int, Map, Num, Ret, Str, Text, Uint};
use crate::live::decode::source::{Row, Src, coded, row};
use capture_common::abi::{ARG_RET, tag};
use capture_common::native::{self, maps};

/// `FMODE_CREATED`: this open made the file.
const FMODE_CREATED: u32 = 0x10_0000;
/// Stored bit: this open made the file.
const O_F_CREATED: u64 = 0x4000;
/// Stored bits: the file is on the upper or lower layer of an overlay.
const FD_UPPER_LAYER: u64 = 0x8000;
const FD_LOWER_LAYER: u64 = 0x1_0000;
/// `struct open_how`: flags, mode, resolve.
const HOW_FLAGS: usize = 0;
const HOW_MODE: usize = 1;
const HOW_RESOLVE: usize = 2;

fn created_and_layer(c: &Call<'_>) -> u64 {
    let Some(file) = c.file(ARG_RET) else { return 0 };
    let created = if file.f_mode & FMODE_CREATED != 0 { O_F_CREATED } else { 0 };
    let layer = match file.overlay {
        1 => FD_UPPER_LAYER,
        2 => FD_LOWER_LAYER,
        _ => 0,
    };
    created | layer
}

fn flags_of(c: &Call<'_>, native_flags: u64) -> u64 {
    u64::from(native::open_flags(native_flags & 0xffff_ffff)) | created_and_layer(c)
}

fn mode_of(native_flags: u64, mode: u64) -> u64 {
    // The mode register holds whatever it held when the flags do not ask for one.
    if native::open_uses_mode(native_flags) { mode & 0o7777 } else { 0 }
}

fn how(c: &Call<'_>, word: usize) -> u64 {
    c.raw_u64(2, word).unwrap_or(0)
}

fn dev(c: &Call<'_>) -> u64 {
    c.file(ARG_RET).map_or(0, |f| u64::from(f.dev))
}

fn ino(c: &Call<'_>) -> u64 {
    c.file(ARG_RET).map_or(0, |f| f.ino)
}

fn creat_layer(c: &Call<'_>) -> u64 {
    c.file(ARG_RET).map_or(0, |f| u64::from(f.overlay & 3))
}

fn open_how_resolve(c: &Call<'_>) -> u64 {
    u64::from(maps::OPENAT2_RESOLVE.stored(how(c, HOW_RESOLVE)))
}

fn mknod_mode(mode: u64) -> u64 {
    const S_IFMT: u64 = 0o170_000;
    const S_IFREG: u64 = 0o100_000;
    // A type of 0 makes a regular file.
    if mode & S_IFMT == 0 { mode & 0xffff | S_IFREG } else { mode & 0xffff }
}

/// Flags of mount(2): stored as they are, without the old magic number in the upper half.
fn mount_flags(c: &Call<'_>) -> u64 {
    const MS_MGC_VAL: u64 = 0xc0ed_0000;
    const MS_MGC_MSK: u64 = 0xffff_0000;
    let flags = c.arg(3) & 0xffff_ffff;
    if flags & MS_MGC_MSK == MS_MGC_VAL { flags & !MS_MGC_MSK } else { flags }
}

/// An open's path at its enter. What cannot be read there is left out, not marked: readers prefer
/// any text of the enter, even an empty one, to that of the exit, which has the path.
fn opened_path(c: &Call<'_>, arg: u8, out: &mut Vec<u8>) {
    if let Some(path) = c.opened_path(arg) {
        out.extend_from_slice(path);
        out.push(0);
    }
}

const MODE1: Src = Num(|c| c.arg(1) & 0o7777);
const OPENED_0: Src = Bytes(|c, out| opened_path(c, 0, out));
const OPENED_1: Src = Bytes(|c, out| opened_path(c, 1, out));
const PATH_OF_OPEN: Src = Text(|c| opened::path(c, 0, c.arg(1)));
const PATH_OF_CREAT: Src = Text(|c| opened::path(c, 0, 0));
const PATH_OF_OPENAT: Src = Text(|c| opened::path(c, 1, c.arg(2)));
const PATH_OF_OPENAT2: Src = Text(|c| opened::path(c, 1, how(c, HOW_FLAGS)));
const OPEN_FLAGS_1: Src = Num(|c| flags_of(c, c.arg(1)));
const OPEN_FLAGS_2: Src = Num(|c| flags_of(c, c.arg(2)));
const DEV: Src = Num(dev);
const INO: Src = Num(ino);

const OPEN_MODE: Src = Num(|c| mode_of(c.arg(1), c.arg(2)));
const OPENAT_MODE: Src = Num(|c| mode_of(c.arg(2), c.arg(3)));
const HOW_FLAGS_SRC: Src = Num(|c| flags_of(c, how(c, HOW_FLAGS)));
const HOW_MODE_SRC: Src = Num(|c| mode_of(how(c, HOW_FLAGS), how(c, HOW_MODE)));
const HOW_RESOLVE_SRC: Src = Num(open_how_resolve);

pub(in crate::live::decode) const ROWS: &[Row] = &[
    // Opening.
    row!(
        &["open"],
        &[OPENED_0, OPEN_FLAGS_1, OPEN_MODE],
        &[Ret, PATH_OF_OPEN, OPEN_FLAGS_1, OPEN_MODE, DEV, INO],
    ),
    row!(&["creat"], &[OPENED_0, MODE1], &[Ret, PATH_OF_CREAT, MODE1, DEV, INO, Num(creat_layer)]),
    row!(
        &["openat"],
        &[Int(0), OPENED_1, OPEN_FLAGS_2, OPENAT_MODE],
        &[Ret, Int(0), PATH_OF_OPENAT, OPEN_FLAGS_2, OPENAT_MODE, DEV, INO],
    ),
    row!(
        &["openat2"],
        &[Int(0), OPENED_1, HOW_FLAGS_SRC, HOW_MODE_SRC, HOW_RESOLVE_SRC],
        &[Ret, Int(0), PATH_OF_OPENAT2, HOW_FLAGS_SRC, HOW_MODE_SRC, HOW_RESOLVE_SRC, DEV, INO],
    ),
    row!(
        &["open_by_handle_at"],
        &[],
        &[Ret, Int(0), OPEN_FLAGS_2, Text(|c| c.text_tagged(tag::FDPATH)), DEV, INO]
    ),
    // Attributes.
    row!(&["stat"], &[], &[Ret, Str(0)]),
    row!(&["lstat"], &[], &[Ret, Str(0)]),
    row!(&["newfstatat", "fstatat64"], &[], &[Ret, Int(0), Str(1), Map(3, &maps::NEWFSTATAT_FLAGS)]),
    coded!(&["stat64"], (72, 73), &[], &[Ret, Str(0)]),
    coded!(&["lstat64"], (74, 75), &[], &[Ret, Str(0)]),
    row!(&["access"], &[Map(1, &maps::ACCESS_MODE)], &[Ret, Str(0), Map(1, &maps::ACCESS_MODE)]),
    row!(&["chmod"], &[], &[Ret, Str(0), Map(1, &maps::CHMOD_MODE)]),
    row!(&["fchmodat"], &[], &[Ret, Int(0), Str(1), Map(2, &maps::CHMOD_MODE)]),
    row!(&["chown", "chown32"], &[], &[Ret, Str(0), Uint(1), Uint(2)]),
    row!(&["lchown", "lchown32"], &[], &[Ret, Str(0), Uint(1), Uint(2)]),
    row!(&["fchownat"], &[], &[Ret, Int(0), Str(1), Uint(2), Uint(3), Map(4, &maps::FCHOWNAT_FLAGS)],),
    // Names.
    row!(&["rename"], &[], &[Ret, Str(0), Str(1)]),
    row!(&["renameat"], &[], &[Ret, Int(0), Str(1), Int(2), Str(3)]),
    row!(&["renameat2"], &[], &[Ret, Int(0), Str(1), Int(2), Str(3), Uint(4)]),
    row!(&["link"], &[], &[Ret, Str(0), Str(1)]),
    row!(&["linkat"], &[], &[Ret, Int(0), Str(1), Int(2), Str(3), Map(4, &maps::LINKAT_FLAGS)]),
    row!(&["symlink"], &[], &[Ret, Str(0), Str(1)]),
    row!(&["symlinkat"], &[], &[Ret, Str(0), Int(1), Str(2)]),
    row!(&["unlink"], &[], &[Ret, Str(0)]),
    row!(&["unlinkat"], &[], &[Ret, Int(0), Str(1), Map(2, &maps::UNLINKAT_FLAGS)]),
    row!(&["mkdir"], &[Uint(1)], &[Ret, Str(0), Uint(1)]),
    row!(&["mkdirat"], &[], &[Ret, Int(0), Str(1), Uint(2)]),
    row!(&["rmdir"], &[], &[Ret, Str(0)]),
    row!(&["mknod"], &[], &[Ret, Str(0), Num(|c| mknod_mode(c.arg(1))), Uint(2)]),
    row!(&["mknodat"], &[], &[Ret, Int(0), Str(1), Num(|c| mknod_mode(c.arg(2))), Uint(3)]),
    // Directories and mounts.
    row!(&["chdir"], &[], &[Ret, Str(0)]),
    row!(&["chroot"], &[], &[Ret, Str(0)]),
    row!(&["getcwd"], &[], &[Ret, Str(0)]),
    row!(&["mount"], &[Num(mount_flags)], &[Ret, Str(0), Str(1), Str(2), Num(mount_flags)]),
    row!(&["umount2"], &[Map(1, &maps::UMOUNT2_FLAGS)], &[Ret, Str(0)]),
    coded!(&["umount"], (258, 259), &[Const(0)], &[Ret, Str(0)]),
];
