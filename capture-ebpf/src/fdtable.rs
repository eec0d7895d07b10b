//! From an fd number to its `struct file`, and the FDINFO section.

use crate::{
    config::ro,
    read::{cast, k2, k4, k8, ld4, ld8, probe8, st4, st8},
    ring::{Record, body},
};
use capture_common::abi::{FdInfo, tag};
use core::mem::offset_of;

const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

/// The file behind `fd` of `task` (typed where the kernel can), or 0.
#[inline(always)]
pub(crate) fn file_of(task: u64, fd: u32) -> u64 {
    let fdt = ld8(ld8(task, ro!(T_FILES)), ro!(FILES_FDT));
    if fd >= ld4(fdt, ro!(FDT_MAX)) {
        return 0;
    }
    let slot = ld8(fdt, ro!(FDT_FD)) + fd as u64 * 8;
    // `struct file **` is a plain number to the verifier; pt_regs starts with a plain word.
    let file = if ro!(CAST) != 0 { ld8(cast(slot, ro!(ID_WORD)), 0) } else { probe8(slot) };
    if file == 0 { 0 } else { cast(file, ro!(ID_FILE)) }
}

/// Overlay layer of a file's inode (0 none, 1 upper, 2 lower): overlayfs keeps the upper dentry in
/// the word behind `struct inode` (`struct ovl_inode`).
#[inline(always)]
pub(crate) fn overlay_layer(inode_plain: u64, magic: u64) -> u32 {
    if magic != OVERLAYFS_MAGIC {
        return 0;
    }
    if probe8(inode_plain + ro!(INODE_SIZE)) != 0 { 1 } else { 2 }
}

/// `new_encode_dev`: the form in which stat shows device numbers, from the kernel's 12:20 form.
#[inline(always)]
pub(crate) fn encode_dev(dev: u32) -> u32 {
    let (major, minor) = (dev >> 20, dev & 0xf_ffff);
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

/// FDINFO of `fd`; nothing when it is not open.
#[inline(always)]
pub(crate) fn put_fdinfo(record: Record, task: u64, arg: u64, fd: u32) {
    let file = file_of(task, fd);
    if file != 0 {
        put_fdinfo_of(record, file, arg, fd);
    }
}

/// The same of a file.
#[inline(always)]
pub(crate) fn put_fdinfo_of(record: Record, file: u64, arg: u64, fd: u32) {
    let Some(at) = record.section() else { return };
    let out = body(at);
    let inode = k8(file, ro!(F_INODE));
    let sb = k8(inode, ro!(I_SB));
    let magic = k8(sb, ro!(SB_MAGIC));
    st4(out, offset_of!(FdInfo, dev), encode_dev(k4(sb, ro!(SB_DEV))));
    st4(out, offset_of!(FdInfo, mode), k2(inode, ro!(I_MODE)) as u32);
    st4(out, offset_of!(FdInfo, f_flags), k4(file, ro!(F_FLAGS)));
    st4(out, offset_of!(FdInfo, f_mode), k4(file, ro!(F_MODE)));
    st4(out, offset_of!(FdInfo, fd), fd);
    st8(out, offset_of!(FdInfo, fs_magic), magic);
    st4(out, offset_of!(FdInfo, nlink), k4(inode, ro!(I_NLINK)));
    st4(out, offset_of!(FdInfo, reserved), 0);
    let inode_plain = crate::read::plain(out.cast(), inode);
    st8(out, offset_of!(FdInfo, ino), k8(inode, ro!(I_INO)));
    st4(out, offset_of!(FdInfo, overlay), overlay_layer(inode_plain, magic));
    record.end_section(at, tag::FDINFO, arg, 0, FdInfo::LEN_BYTES as u64);
}
