//! Path walks: from a dentry up to the process's root, across mounts, written right to left.

use crate::{
    config::ro,
    fdtable::file_of,
    maps::{SCRATCH, Scratch, get, set},
    read::{cast, k4, k8, ld8, probe_into, st1},
    ring::{Record, body},
};
use capture_common::abi::{STR_MAX, section_flag};

/// Components (and mount crossings) walked in one run of a program: the verifier follows every step by
/// itself, so a long walk takes several runs.
const STEPS: usize = 8;
/// Runs that a walk takes at most.
pub(crate) const RUNS: u64 = 8;
// Runs are counted in low bits, and the kernel allows 32 calls of programs by programs in a row.
const _: () = assert!(RUNS.is_power_of_two() && 2 + 2 * RUNS <= 32);
/// The buffer is twice the longest path, so that masked positions stay inside it.
const BUFFER: u64 = 8192;

/// Words of `Scratch::loop_state` in which a walk keeps where it is, between its runs and, the position,
/// between its steps: the verifier then sees every turn of the loop in the same state.
const POSITION: usize = 0;
const DENTRY: usize = 1;
const VFSMOUNT: usize = 2;

/// Where a path begins: dentry and mount.
type Start = Option<(u64, u64)>;

/// The program of `task`.
#[inline(always)]
pub(crate) fn exe_of(task: u64) -> Start {
    let mm = ld8(task, ro!(T_MM));
    if mm == 0 {
        return None;
    }
    let file = ld8(mm, ro!(MM_EXE));
    if file == 0 {
        return None;
    }
    Some((ld8(file, ro!(F_DENTRY)), ld8(file, ro!(F_MNT))))
}

/// The current folder of `task`.
#[inline(always)]
pub(crate) fn cwd_of(task: u64) -> Start {
    let fs = ld8(task, ro!(T_FS));
    if fs == 0 {
        return None;
    }
    Some((ld8(fs, ro!(FS_PWD_DENTRY)), ld8(fs, ro!(FS_PWD_MNT))))
}

/// The file behind `fd`; nothing when it is not open.
#[inline(always)]
pub(crate) fn fd_of(task: u64, fd: u32) -> Start {
    let file = file_of(task, fd);
    if file == 0 {
        return None;
    }
    Some((k8(file, ro!(F_DENTRY)), k8(file, ro!(F_MNT))))
}

/// Run number `run` of the walk from `start`; true when it has ended: then the path is in the record, or
/// there is none.
#[inline(always)]
pub(crate) fn put_path(record: Record, task: u64, tag: u8, run: u64, start: impl FnOnce() -> Start) -> bool {
    let Some(scratch) = SCRATCH.get_ptr_mut(record.level) else { return true };
    if run == 0 {
        let Some((dentry, vfsmount)) = start() else { return true };
        // The last byte stays unused, so that 0 always means "nothing fitted".
        set(scratch, POSITION, BUFFER - 1);
        set(scratch, DENTRY, dentry);
        set(scratch, VFSMOUNT, vfsmount);
    }
    let walked = walk(scratch, task);
    if walked == Walked::All && run + 1 < RUNS {
        return false;
    }
    let Some(at) = record.section() else { return true };
    let pos = get(scratch, POSITION) & (BUFFER - 1);
    let mut len = BUFFER - 1 - pos;
    let mut flags = if walked == Walked::ToRoot { 0 } else { section_flag::TRUNCATED };
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
    true
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walked {
    /// At the process's root.
    ToRoot,
    /// Somewhere else, with nothing above it or no room.
    Out,
    /// After all its steps.
    All,
}

/// Goes up from where the walk is, writing the path so that it ends at the end of the buffer.
#[inline(always)]
fn walk(scratch: *mut Scratch, task: u64) -> Walked {
    let buffer: *mut u8 = scratch.cast();
    let fs = ld8(task, ro!(T_FS));
    let (root, root_mount) = (ld8(fs, ro!(FS_ROOT_DENTRY)), ld8(fs, ro!(FS_ROOT_MNT)));
    let mut dentry = cast(get(scratch, DENTRY), ro!(ID_DENTRY));
    let mut vfsmount = cast(get(scratch, VFSMOUNT), ro!(ID_VFSMOUNT));
    let mut walked = Walked::All;
    for _ in 0..STEPS {
        if dentry == 0 || vfsmount == 0 {
            walked = Walked::Out;
            break;
        }
        if dentry == root && vfsmount == root_mount {
            walked = Walked::ToRoot;
            break;
        }
        let parent = k8(dentry, ro!(D_PARENT));
        if dentry == k8(vfsmount, ro!(VM_ROOT)) {
            let mount = cast(vfsmount - ro!(M_MNT), ro!(ID_MOUNT));
            let above = k8(mount, ro!(M_PARENT));
            let above_vfsmount = cast(above, ro!(ID_MOUNT)) + ro!(M_MNT);
            if above == 0 || above_vfsmount == vfsmount {
                walked = Walked::ToRoot;
                break;
            }
            dentry = k8(mount, ro!(M_POINT));
            vfsmount = above_vfsmount;
            continue;
        }
        if dentry == parent {
            walked = Walked::Out;
            break;
        }
        let name = k8(dentry, ro!(D_NAME));
        let len = (k4(dentry, ro!(D_NAME_LEN)) & 0xff) as u64;
        let mut pos = get(scratch, POSITION);
        if pos < len + 1 {
            walked = Walked::Out;
            break;
        }
        pos -= len + 1;
        set(scratch, POSITION, pos);
        let at = (pos & (BUFFER - 1)) as usize;
        // SAFETY: at most BUFFER + 256 bytes into a 16 KB buffer.
        probe_into(unsafe { buffer.add(at + 1) }, len, name);
        st1(buffer, at, b'/');
        dentry = parent;
    }
    if walked == Walked::All {
        set(scratch, DENTRY, dentry);
        set(scratch, VFSMOUNT, vfsmount);
    }
    if walked == Walked::ToRoot && get(scratch, POSITION) == BUFFER - 1 {
        set(scratch, POSITION, BUFFER - 2);
        st1(buffer, BUFFER as usize - 2, b'/');
    }
    walked
}
