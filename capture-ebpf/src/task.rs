//! TASK and MM sections: what clone, exec and exit events say about a thread.

use crate::{
    config::ro,
    fdtable::{encode_dev, overlay_layer},
    read::{ld2, ld4, ld8, plain, probe4, probe8, st4, st8},
    ring::{Record, body},
};
use capture_common::{
    abi::{MmInfo, TaskInfo, cgroup_slot, exe_flag, tag},
    kernel_offsets::ABSENT,
};
use core::mem::offset_of;

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
/// `struct upid`: an int, padding and a pointer.
const UPID_LEN: u64 = 16;
/// The kernel allows 32 levels of pid namespaces.
const PIDNS_LEVELS: u64 = 32;
/// Bit 31 of `i_ctime_nsec` marks that the time was looked at.
const NSEC_MASK: u32 = 0x7fff_ffff;

/// MM of the process of `task`.
#[inline(always)]
pub(crate) fn put_mm(record: Record, task: u64) {
    let Some(at) = record.section() else { return };
    fill_mm(body(at), 0, task);
    record.end_section(at, tag::MM, 0, 0, MmInfo::LEN_BYTES as u64);
}

/// Writes an [`MmInfo`] at `out + base`.
#[inline(always)]
pub(crate) fn fill_mm(out: *mut u8, base: usize, task: u64) {
    let mm = ld8(task, ro!(T_MM));
    let (mut size, mut rss, mut swap) = (0, 0, 0);
    if mm != 0 {
        size = kb(ld8(mm, ro!(MM_TOTAL)));
        rss = kb(ld8(mm, ro!(MM_FILE))) + kb(ld8(mm, ro!(MM_ANON))) + kb(ld8(mm, ro!(MM_SHMEM)));
        swap = kb(ld8(mm, ro!(MM_SWAP)));
    }
    st4(out, base + offset_of!(MmInfo, vm_size_kb), size);
    st4(out, base + offset_of!(MmInfo, vm_rss_kb), rss);
    st4(out, base + offset_of!(MmInfo, vm_swap_kb), swap);
    st4(out, base + offset_of!(MmInfo, reserved), 0);
}

/// Pages to kB; the per-CPU counters behind rss may read slightly below 0.
#[inline(always)]
fn kb(pages: u64) -> u32 {
    if (pages as i64) < 0 { 0 } else { (pages << ro!(PAGE_KB_SHIFT)) as u32 }
}

/// TASK of `task`.
#[inline(always)]
pub(crate) fn put_task(record: Record, task: u64) {
    let Some(at) = record.section() else { return };
    let out = body(at);
    fill_ids(out, task);
    fill_cred(out, task);
    fill_mm(out, offset_of!(TaskInfo, mm), task);
    st8(out, offset_of!(TaskInfo, maj_flt), ld8(task, ro!(T_MAJ_FLT)));
    st8(out, offset_of!(TaskInfo, min_flt), ld8(task, ro!(T_MIN_FLT)));
    st8(out, offset_of!(TaskInfo, comm), ld8(task, ro!(T_COMM)));
    st8(out, offset_of!(TaskInfo, comm) + 8, ld8(task, ro!(T_COMM) + 8));
    st8(out, offset_of!(TaskInfo, start_boot_ns), ld8(task, ro!(T_START)));
    fill_exe(out, task);
    fill_cgroups(out, task);
    record.end_section(at, tag::TASK, 0, 0, TaskInfo::LEN_BYTES as u64);
}

#[inline(always)]
fn fill_ids(out: *mut u8, task: u64) {
    let parent = ld8(task, ro!(T_REAL_PARENT));
    let signal = ld8(task, ro!(T_SIGNAL));
    st4(out, offset_of!(TaskInfo, tid), ld4(task, ro!(T_PID)));
    st4(out, offset_of!(TaskInfo, pid), ld4(task, ro!(T_TGID)));
    st4(out, offset_of!(TaskInfo, ppid), ld4(parent, ro!(T_TGID)));
    st4(out, offset_of!(TaskInfo, ptid), ld4(parent, ro!(T_PID)));
    st4(out, offset_of!(TaskInfo, pf_flags), ld4(task, ro!(T_FLAGS)));
    st8(out, offset_of!(TaskInfo, fdlimit), ld8(signal, ro!(S_NOFILE)));
    st4(out, offset_of!(TaskInfo, tty), tty_of(signal));
    // struct pid is one per id; its numbers[] hold the id as each namespace level sees it, and
    // that index is not constant: by helper, with plain addresses.
    let slot: *mut u64 = out.cast::<u8>().wrapping_add(offset_of!(TaskInfo, cap_inheritable)).cast();
    let thread = plain(slot, ld8(task, ro!(T_THREAD_PID)));
    let process = plain(slot, ld8(signal, ro!(S_PID_TGID)));
    let group = plain(slot, ld8(signal, ro!(S_PID_PGID)));
    let session = plain(slot, ld8(signal, ro!(S_PID_SID)));
    let mut level = probe4(thread + ro!(PID_LEVEL)) as u64;
    if level >= PIDNS_LEVELS {
        level = 0;
    }
    st4(out, offset_of!(TaskInfo, pidns_level), level as u32);
    st4(out, offset_of!(TaskInfo, vtid), id_at(thread, level));
    st4(out, offset_of!(TaskInfo, vpid), id_at(process, level));
    st4(out, offset_of!(TaskInfo, pgid), id_at(group, 0));
    st4(out, offset_of!(TaskInfo, vpgid), id_at(group, level));
    st4(out, offset_of!(TaskInfo, sid), id_at(session, 0));
    st4(out, offset_of!(TaskInfo, vsid), id_at(session, level));
    let namespace = probe8(thread + ro!(PID_NUMBERS) + level * UPID_LEN + ro!(UPID_NS));
    let init = probe8(namespace + ro!(NS_REAPER));
    st8(out, offset_of!(TaskInfo, pidns_init_start_boot_ns), probe8(init + ro!(T_START)));
}

/// The number of `pid` (plain address) at a namespace level; 0 where it has none: a group or
/// session made outside the namespace has fewer levels, and what lies behind its last number is
/// something else.
#[inline(always)]
fn id_at(pid: u64, level: u64) -> u32 {
    if pid == 0 || (level != 0 && (probe4(pid + ro!(PID_LEVEL)) as u64) < level) {
        return 0;
    }
    probe4(pid + ro!(PID_NUMBERS) + level * UPID_LEN + ro!(UPID_NR))
}

/// Thread and process id of `task` in its own pid namespace; `slot` is a word in a map value.
#[inline(always)]
pub(crate) fn own_ids(task: u64, slot: *mut u64) -> (u32, u32) {
    let thread = plain(slot, ld8(task, ro!(T_THREAD_PID)));
    let leader = ld8(task, ro!(T_LEADER));
    let process = plain(slot, ld8(leader, ro!(T_THREAD_PID)));
    let mut level = probe4(thread + ro!(PID_LEVEL)) as u64;
    if level >= PIDNS_LEVELS {
        level = 0;
    }
    (id_at(thread, level), id_at(process, level))
}

/// Controlling terminal in the form of stat's field 7.
#[inline(always)]
fn tty_of(signal: u64) -> u32 {
    let tty = ld8(signal, ro!(S_TTY));
    if tty == 0 {
        return 0;
    }
    let driver = ld8(tty, ro!(TTY_DRIVER));
    if driver == 0 {
        return 0;
    }
    let minor = ld4(driver, ro!(TTYD_MINOR)).wrapping_add(ld4(tty, ro!(TTY_INDEX)));
    encode_dev(ld4(driver, ro!(TTYD_MAJOR)) << 20 | minor & 0xf_ffff)
}

#[inline(always)]
fn fill_cred(out: *mut u8, task: u64) {
    let cred = ld8(task, ro!(T_CRED));
    st4(out, offset_of!(TaskInfo, uid), ld4(cred, ro!(C_UID)));
    st4(out, offset_of!(TaskInfo, gid), ld4(cred, ro!(C_GID)));
    st4(out, offset_of!(TaskInfo, euid), ld4(cred, ro!(C_EUID)));
    st4(out, offset_of!(TaskInfo, egid), ld4(cred, ro!(C_EGID)));
    st4(out, offset_of!(TaskInfo, suid), ld4(cred, ro!(C_SUID)));
    st4(out, offset_of!(TaskInfo, sgid), ld4(cred, ro!(C_SGID)));
    let loginuid = if ro!(T_LOGINUID) == ABSENT { u32::MAX } else { ld4(task, ro!(T_LOGINUID)) };
    st4(out, offset_of!(TaskInfo, loginuid), loginuid);
    st8(out, offset_of!(TaskInfo, cap_inheritable), caps(cred, ro!(C_CAP_INH)));
    st8(out, offset_of!(TaskInfo, cap_permitted), caps(cred, ro!(C_CAP_PRM)));
    st8(out, offset_of!(TaskInfo, cap_effective), caps(cred, ro!(C_CAP_EFF)));
}

/// A `kernel_cap_t`: two u32 before 6.3, one u64 since; on little-endian machines the same bytes.
#[inline(always)]
fn caps(cred: u64, offset: u64) -> u64 {
    ld4(cred, offset) as u64 | (ld4(cred, offset + 4) as u64) << 32
}

#[inline(always)]
fn fill_exe(out: *mut u8, task: u64) {
    let slot: *mut u64 = out.cast::<u8>().wrapping_add(offset_of!(TaskInfo, exe_ino)).cast();
    let (mut ino, mut ctime, mut mtime, mut dev, mut flags) = (0, 0, 0, 0, 0);
    let mm = ld8(task, ro!(T_MM));
    let file = if mm == 0 { 0 } else { ld8(mm, ro!(MM_EXE)) };
    if file != 0 {
        let inode = ld8(file, ro!(F_INODE));
        let sb = ld8(inode, ro!(I_SB));
        ino = ld8(inode, ro!(I_INO));
        ctime =
            ld8(inode, ro!(I_CTIME_SEC)) * 1_000_000_000 + (ld4(inode, ro!(I_CTIME_NSEC)) & NSEC_MASK) as u64;
        mtime =
            ld8(inode, ro!(I_MTIME_SEC)) * 1_000_000_000 + (ld4(inode, ro!(I_MTIME_NSEC)) & NSEC_MASK) as u64;
        dev = encode_dev(ld4(sb, ro!(SB_DEV)));
        let layer = overlay_layer(plain(slot, inode), ld8(sb, ro!(SB_MAGIC)));
        if layer == 1 {
            flags |= exe_flag::UPPER_LAYER;
        } else if layer == 2 {
            flags |= exe_flag::LOWER_LAYER;
        }
        if is_writable(inode, ld8(task, ro!(T_CRED))) {
            flags |= exe_flag::WRITABLE;
        }
        if ld4(inode, ro!(I_NLINK)) == 0 && is_memfd(ld8(file, ro!(F_DENTRY)), slot) {
            flags |= exe_flag::MEMFD;
        }
    }
    st8(out, offset_of!(TaskInfo, exe_ino), ino);
    st8(out, offset_of!(TaskInfo, exe_ctime_ns), ctime);
    st8(out, offset_of!(TaskInfo, exe_mtime_ns), mtime);
    st4(out, offset_of!(TaskInfo, exe_dev), dev);
    st4(out, offset_of!(TaskInfo, exe_flags), flags);
}

/// Whether the mode bits (or CAP_DAC_OVERRIDE) let the task write the inode; ACLs and read-only
/// mounts are not looked at.
#[inline(always)]
fn is_writable(inode: u64, cred: u64) -> bool {
    let mode = ld2(inode, ro!(I_MODE));
    if caps(cred, ro!(C_CAP_EFF)) & CAP_DAC_OVERRIDE != 0 {
        return true;
    }
    if ld4(inode, ro!(I_UID)) == ld4(cred, ro!(C_FSUID)) {
        return mode & 0o200 != 0;
    }
    if ld4(inode, ro!(I_GID)) == ld4(cred, ro!(C_FSGID)) {
        return mode & 0o020 != 0;
    }
    mode & 0o002 != 0
}

/// An unlinked file whose name starts with `memfd:`.
#[inline(always)]
fn is_memfd(dentry: u64, slot: *mut u64) -> bool {
    let name = plain(slot, ld8(dentry, ro!(D_NAME)));
    probe8(name) & 0xffff_ffff_ffff == u64::from_le_bytes(*b"memfd:\0\0")
}

#[inline(always)]
fn fill_cgroups(out: *mut u8, task: u64) {
    const IDS: usize = offset_of!(TaskInfo, cgroup_ids);
    macro_rules! controllers {
        ($set:ident: $($slot:ident $index:ident;)*) => {$(
            let mut id = 0;
            if ro!($index) != ABSENT {
                let css = ld8($set, ro!(CS_SUBSYS) + ro!($index) * 8);
                if css != 0 {
                    id = ld8(ld8(ld8(css, ro!(CSS_CGROUP)), ro!(CG_KN)), ro!(KN_ID));
                }
            }
            st8(out, IDS + cgroup_slot::$slot * 8, id);
        )*};
    }
    if ro!(T_CGROUPS) == ABSENT {
        for slot in 0..cgroup_slot::COUNT {
            st8(out, IDS + slot * 8, 0);
        }
        return;
    }
    let set = ld8(task, ro!(T_CGROUPS));
    controllers! { set:
        CPUSET CG_CPUSET; CPU CG_CPU; CPUACCT CG_CPUACCT; IO CG_IO;
        MEMORY CG_MEMORY; PIDS CG_PIDS; DEVICES CG_DEVICES;
    }
    let unified = ld8(ld8(ld8(set, ro!(CS_DFL)), ro!(CG_KN)), ro!(KN_ID));
    st8(out, IDS + cgroup_slot::UNIFIED * 8, unified);
}
