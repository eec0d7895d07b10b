//! Path walks: from a dentry up to the process's root, across mounts, written right to left.

use crate::{
    config::ro,
    fdtable::file_of,
    maps::{SCRATCH, Scratch},
    read::{cast, k4, k8, ld8, probe_into, st1},
    ring::{Record, body},
};
use capture_common::abi::{STR_MAX, section_flag, tag};
use core::ptr::{read_volatile, write_volatile};

/// Components (and mount crossings) walked at most.
const STEPS: usize = 64;
/// The buffer is twice the longest path, so that masked positions stay inside it.
const BUFFER: u64 = 8192;

/// EXEPATH of `task`.
#[inline(always)]
pub(crate) fn put_exe_path(record: Record, task: u64) {
    let mm = ld8(task, ro!(T_MM));
    if mm == 0 {
        return;
    }
    let file = ld8(mm, ro!(MM_EXE));
    if file == 0 {
        return;
    }
    put_path(record, task, tag::EXEPATH, ld8(file, ro!(F_DENTRY)), ld8(file, ro!(F_MNT)));
}

/// CWD of `task`.
#[inline(always)]
pub(crate) fn put_cwd(record: Record, task: u64) {
    let fs = ld8(task, ro!(T_FS));
    if fs == 0 {
        return;
    }
    put_path(record, task, tag::CWD, ld8(fs, ro!(FS_PWD_DENTRY)), ld8(fs, ro!(FS_PWD_MNT)));
}

/// FDPATH: the path of the file behind `fd`; nothing when it is not open.
#[inline(always)]
pub(crate) fn put_fd_path(record: Record, task: u64, fd: u32) {
    let file = file_of(task, fd);
    if file != 0 {
        put_path(record, task, tag::FDPATH, k8(file, ro!(F_DENTRY)), k8(file, ro!(F_MNT)));
    }
}

#[inline(always)]
fn put_path(record: Record, task: u64, tag: u8, dentry: u64, mount: u64) {
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else { return };
    let complete = walk(scratch, task, dentry, mount);
    let Some(at) = record.section() else { return };
    // SAFETY: the map's value.
    let pos = unsafe { read_volatile(&raw const (*scratch).loop_state[0]) } & (BUFFER - 1);
    let mut len = BUFFER - 1 - pos;
    let mut flags = if complete { 0 } else { section_flag::TRUNCATED };
    if len > STR_MAX as u64 {
        len = STR_MAX as u64;
        flags = section_flag::TRUNCATED;
    }
    let text = scratch as u64 + pos;
    if !probe_into(body(at), len, text) {
        flags = section_flag::FAULT;
        len = 0;
    }
    record.end_section(at, tag, 0, flags, len);
}

/// Writes the path so that it ends at the end of the buffer; its start goes to `loop_state[0]`.
/// False when the walk ended before the root.
#[inline(always)]
fn walk(scratch: *mut Scratch, task: u64, mut dentry: u64, mut vfsmount: u64) -> bool {
    let buffer: *mut u8 = scratch.cast();
    // SAFETY: fields of the map's value. The position lives there and not in a register: the
    // verifier then sees every turn of the loop in the same state.
    let position = unsafe { &raw mut (*scratch).loop_state[0] };
    // SAFETY: as above. The last byte stays unused, so that 0 always means "nothing fitted".
    unsafe { write_volatile(position, BUFFER - 1) };
    let fs = ld8(task, ro!(T_FS));
    let (root, root_mount) = (ld8(fs, ro!(FS_ROOT_DENTRY)), ld8(fs, ro!(FS_ROOT_MNT)));
    let mut complete = false;
    for _ in 0..STEPS {
        if dentry == 0 || vfsmount == 0 {
            break;
        }
        if dentry == root && vfsmount == root_mount {
            complete = true;
            break;
        }
        let parent = k8(dentry, ro!(D_PARENT));
        if dentry == k8(vfsmount, ro!(VM_ROOT)) {
            let mount = cast(vfsmount - ro!(M_MNT), ro!(ID_MOUNT));
            let above = k8(mount, ro!(M_PARENT));
            let above_vfsmount = cast(above, ro!(ID_MOUNT)) + ro!(M_MNT);
            if above == 0 || above_vfsmount == vfsmount {
                complete = true;
                break;
            }
            dentry = k8(mount, ro!(M_POINT));
            vfsmount = above_vfsmount;
            continue;
        }
        if dentry == parent {
            break;
        }
        let name = k8(dentry, ro!(D_NAME));
        let len = (k4(dentry, ro!(D_NAME_LEN)) & 0xff) as u64;
        // SAFETY: as above.
        let mut pos = unsafe { read_volatile(position) };
        if pos < len + 1 {
            break;
        }
        pos -= len + 1;
        // SAFETY: as above.
        unsafe { write_volatile(position, pos) };
        let at = (pos & (BUFFER - 1)) as usize;
        // SAFETY: at most BUFFER + 256 bytes into a 16 KB buffer.
        probe_into(unsafe { buffer.add(at + 1) }, len, name);
        st1(buffer, at, b'/');
        dentry = parent;
    }
    // SAFETY: as above.
    if complete && unsafe { read_volatile(position) } == BUFFER - 1 {
        // SAFETY: as above.
        unsafe { write_volatile(position, BUFFER - 2) };
        st1(buffer, BUFFER as usize - 2, b'/');
    }
    complete
}
