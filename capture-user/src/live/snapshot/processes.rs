//! One process: its threads' records from /proc/PID and /proc/PID/task.
//!
//! What threads of a process share (arguments, environment, directories, executable, cgroups) is
//! read once; per further thread two files are read.

use super::proc_text::{self, Stat, Status, parse_stat, parse_status};
use super::{CpuTime, Gaps, Roots, SnapshotError};
use capture_common::native::maps;
use capture_common::snapshot::{THREAD_LIST_MAX, THREAD_STRING_MAX, ThreadRecord};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Stored flags of a thread that is not its process's first: `CLONE_FILES | CLONE_THREAD`.
pub(super) const THREAD_FLAGS: u32 = 0x1 | 0x2000;
/// Bytes that are read of an environment: one more than files hold, so that a longer one shows.
const ENV_READ: u64 = THREAD_LIST_MAX as u64 + 1;
/// Bytes that are read of argv\[0\] and the arguments: as many, and the NUL between them.
const CMDLINE_READ: u64 = THREAD_STRING_MAX as u64 + 1 + THREAD_LIST_MAX as u64 + 1;
const CAP_DAC_OVERRIDE: u64 = 1 << 1;
/// Ticks of /proc/PID/stat: `USER_HZ` is part of the system's interface.
pub(in crate::live) const NS_PER_TICK: u64 = 1_000_000_000 / 100;
/// Stored flag of a thread whose own event has told of it (`CLONE_INVERTED`).
const HAS_TOLD: u32 = 1 << 16;
/// A creator's call may still return this long after its child has begun, as readers of files see
/// it; in ticks.
const YOUNG_TICKS: u64 = 100;

/// When the snapshot began, in ticks of the clock that /proc/PID/stat gives start times in.
///
/// The probe records before that, so the stream tells of every thread that began later: such a
/// thread is left out, since its record would be of a time after its first events. A thread that
/// began just before is marked: the exit of the call that made it is still to come, and stock
/// readers would take the record for a leftover and make the thread anew, as its creator's image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin(u64);

impl Begin {
    /// Long after the start of every thread: none is left out.
    pub(super) const LATE: Begin = Begin(u64::MAX);

    /// This moment.
    pub(super) fn now() -> Begin {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for writing.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) } != 0;
        let ns = u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000;
        let ns = ns + u64::try_from(time.tv_nsec).unwrap_or(0);
        if failed { Begin::LATE } else { Begin(ns / NS_PER_TICK) }
    }

    /// Whether the stream holds all of a thread.
    pub(super) fn is_before(self, start_ticks: u64) -> bool {
        start_ticks > self.0
    }

    /// Flags that a thread has for its age.
    pub(super) fn flags(self, start_ticks: u64) -> u32 {
        if start_ticks.saturating_add(YOUNG_TICKS) > self.0 { HAS_TOLD } else { 0 }
    }
}

/// A process and its threads.
pub(super) struct Process {
    pub(super) folder: PathBuf,
    pub(super) is_kernel_thread: bool,
    /// The main thread comes first.
    pub(super) threads: Vec<ThreadRecord>,
    /// Inode of its pid namespace, 0 unknown.
    pid_namespace: u64,
    pub(super) start_ts_ns: u64,
}

/// Pids of all processes, ascending.
pub(super) fn list(proc: &Path) -> Result<Vec<i64>, SnapshotError> {
    numbers_in(proc).map_err(|source| SnapshotError::Proc { proc: proc.into(), source })
}

/// The entries of a folder that are numbers, ascending.
fn numbers_in(folder: &Path) -> io::Result<Vec<i64>> {
    let entries = std::fs::read_dir(folder)?.flatten();
    let mut numbers: Vec<i64> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The CPU time of all threads that have had any. Those that end meanwhile are left out.
pub(super) fn cpu_times(proc: &Path) -> Result<Vec<CpuTime>, SnapshotError> {
    let mut times = Vec::new();
    for pid in list(proc)? {
        let folder = proc.join(pid.to_string()).join("task");
        for tid in numbers_in(&folder).unwrap_or_default() {
            let stat = read_file(&folder.join(tid.to_string()).join("stat"), u64::MAX);
            let Some(stat) = stat.and_then(|text| parse_stat(&text)) else { continue };
            let ([user, system], Ok(tid)) = (stat.cpu_ticks, u32::try_from(tid)) else { continue };
            times.extend((user + system > 0).then_some(CpuTime { tid, user, system }));
        }
    }
    Ok(times)
}

/// Reads a process; `None` if it is gone, or dead and only waits for its parent, or younger than
/// the snapshot.
pub(super) fn read(
    roots: &Roots,
    pid: i64,
    boot_ts_ns: u64,
    begin: Begin,
    gaps: &mut Gaps,
) -> Option<Process> {
    let folder = roots.proc.join(pid.to_string());
    let stat = read_file(&folder.join("stat"), u64::MAX).and_then(|text| parse_stat(&text));
    let status = read_file(&folder.join("status"), u64::MAX).map(|text| parse_status(&text));
    let (Some(stat), Some(status)) = (stat, status) else {
        gaps.vanished_threads += 1;
        return None;
    };
    if begin.is_before(stat.start_ticks) || matches!(stat.state, b'Z' | b'X') && stat.num_threads <= 1 {
        return None;
    }
    let mut main = thread_record(pid, pid, &stat, &status);
    main.flags |= begin.flags(stat.start_ticks);
    if stat.is_kernel_thread {
        main.exe.clone_from(&main.comm);
        (main.cwd, main.root) = (b"/".to_vec(), b"/".to_vec());
    } else {
        read_image(&folder, &status, &mut main);
    }
    main.cgroups = read_cgroups(&folder);
    let mut process = Process {
        pid_namespace: link(&folder.join("ns/pid")).as_deref().and_then(bracketed).unwrap_or(0),
        start_ts_ns: boot_ts_ns.saturating_add(stat.start_ticks.saturating_mul(NS_PER_TICK)),
        is_kernel_thread: stat.is_kernel_thread,
        threads: vec![main],
        folder,
    };
    if stat.num_threads > 1 {
        read_threads(&mut process, pid, begin, gaps);
    }
    Some(process)
}

/// The number in link texts like `pid:[4026531836]`.
pub(super) fn bracketed(link: &[u8]) -> Option<u64> {
    let open = link.iter().position(|&b| b == b'[')?;
    let close = link.iter().rposition(|&b| b == b']')?;
    std::str::from_utf8(link.get(open + 1..close)?).ok()?.parse().ok()
}

/// Text of a symbolic link.
pub(super) fn link(path: &Path) -> Option<Vec<u8>> {
    Some(std::fs::read_link(path).ok()?.into_os_string().into_vec())
}

/// Up to `max_bytes` of a file; `None` if it cannot be opened or read.
pub(super) fn read_file(path: &Path, max_bytes: u64) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(2048);
    File::open(path).ok()?.take(max_bytes).read_to_end(&mut content).ok()?;
    Some(content)
}

/// What one thread's stat and status say.
fn thread_record(tid: i64, pid: i64, stat: &Stat, status: &Status) -> ThreadRecord {
    ThreadRecord {
        tid,
        pid,
        ptid: status.ppid,
        sid: stat.session,
        pgid: stat.pgrp,
        vpgid: status.vpgid.unwrap_or(stat.pgrp),
        vtid: status.vtid.unwrap_or(tid),
        vpid: status.vpid.unwrap_or(pid),
        comm: stat.comm.clone(),
        flags: if tid == pid { 0 } else { THREAD_FLAGS },
        uid: status.euid,
        gid: status.egid,
        vm_size_kb: status.vm_size_kb,
        vm_rss_kb: status.vm_rss_kb,
        vm_swap_kb: status.vm_swap_kb,
        pfmajor: stat.major_faults,
        pfminor: stat.minor_faults,
        tty: stat.tty,
        caps: status.caps.map(|set| maps::CAPABILITIES.stored64(set)),
        ..ThreadRecord::default()
    }
}

/// The cgroups of a process in stored form.
pub(super) fn read_cgroups(folder: &Path) -> Vec<u8> {
    let text = read_file(&folder.join("cgroup"), u64::MAX);
    text.map(|text| proc_text::parse_cgroups(&text)).unwrap_or_default()
}

/// The whole name of a kernel thread, which its structure has cut; and what all of them have.
pub(super) fn name_kernel_thread(folder: &Path, thread: &mut ThreadRecord) {
    if let Some(mut comm) = read_file(&folder.join("comm"), 256).filter(|comm| !comm.is_empty()) {
        comm.pop_if(|last| *last == b'\n');
        thread.comm = comm;
    }
    thread.exe.clone_from(&thread.comm);
    (thread.cwd, thread.root) = (b"/".to_vec(), b"/".to_vec());
}

/// Arguments, environment and links of a process; its root is looked up where it is not this
/// process's.
pub(super) fn read_names(folder: &Path, has_own_root: bool, main: &mut ThreadRecord) {
    let cmdline = read_file(&folder.join("cmdline"), CMDLINE_READ).unwrap_or_default();
    (main.exe, main.args) = proc_text::parse_cmdline(&cmdline);
    if main.exe.is_empty() {
        main.exe.clone_from(&main.comm);
    }
    main.env = read_file(&folder.join("environ"), ENV_READ).unwrap_or_default();
    if main.env.last().is_some_and(|&b| b != 0) {
        main.env.push(0);
    }
    main.exepath = link(&folder.join("exe")).unwrap_or_default();
    // Not even root may follow these of every process (some kernels and sandboxes refuse init's).
    main.cwd = link(&folder.join("cwd")).unwrap_or_else(|| b"/".to_vec());
    let root = if has_own_root { None } else { link(&folder.join("root")) };
    main.root = root.unwrap_or_else(|| b"/".to_vec());
}

/// What a process's memory, directories and executable tell.
fn read_image(folder: &Path, status: &Status, main: &mut ThreadRecord) {
    read_names(folder, false, main);
    main.fdlimit =
        read_file(&folder.join("limits"), u64::MAX).map_or(-1, |text| proc_text::parse_fd_limit(&text));
    main.loginuid = read_file(&folder.join("loginuid"), 16)
        .and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse().ok())
        .unwrap_or(u32::MAX);
    main.exe_from_memfd = main.exepath.starts_with(b"/memfd:");
    if let Ok(file) = std::fs::metadata(folder.join("exe")) {
        let ns =
            |s: i64, ns: i64| u64::try_from(s).unwrap_or(0) * 1_000_000_000 + u64::try_from(ns).unwrap_or(0);
        main.exe_ino = file.ino();
        main.exe_ino_ctime_ns = ns(file.ctime(), file.ctime_nsec());
        main.exe_ino_mtime_ns = ns(file.mtime(), file.mtime_nsec());
        main.exe_writable = is_writable(&file, status);
    }
}

/// Whether a thread with these ids may write the file, by its mode.
fn is_writable(file: &std::fs::Metadata, status: &Status) -> bool {
    let mode = file.mode();
    if status.caps[2] & CAP_DAC_OVERRIDE != 0 {
        return true;
    }
    if file.uid() == status.euid {
        return mode & 0o200 != 0;
    }
    if file.gid() == status.egid || status.groups.contains(&file.gid()) {
        return mode & 0o020 != 0;
    }
    mode & 0o002 != 0
}

/// Adds the threads other than the main one.
fn read_threads(process: &mut Process, pid: i64, begin: Begin, gaps: &mut Gaps) {
    let Ok(tids) = numbers_in(&process.folder.join("task")) else {
        gaps.vanished_threads += 1;
        return;
    };
    for tid in tids.into_iter().filter(|&tid| tid != pid) {
        let folder = process.folder.join("task").join(tid.to_string());
        let stat = read_file(&folder.join("stat"), u64::MAX).and_then(|text| parse_stat(&text));
        let status = read_file(&folder.join("status"), u64::MAX).map(|text| parse_status(&text));
        let (Some(stat), Some(status)) = (stat, status) else {
            gaps.vanished_threads += 1;
            continue;
        };
        if begin.is_before(stat.start_ticks) {
            continue;
        }
        let mut own = thread_record(tid, pid, &stat, &status);
        own.flags |= begin.flags(stat.start_ticks);
        // The environment is looked up at the main thread, so it is not repeated.
        let shared = ThreadRecord { env: Vec::new(), ..process.threads[0].clone() };
        process.threads.push(ThreadRecord {
            exe: shared.exe,
            exepath: shared.exepath,
            args: shared.args,
            env: shared.env,
            cwd: shared.cwd,
            root: shared.root,
            cgroups: shared.cgroups,
            fdlimit: shared.fdlimit,
            loginuid: shared.loginuid,
            exe_writable: shared.exe_writable,
            exe_from_memfd: shared.exe_from_memfd,
            exe_ino: shared.exe_ino,
            exe_ino_ctime_ns: shared.exe_ino_ctime_ns,
            exe_ino_mtime_ns: shared.exe_ino_mtime_ns,
            ..own
        });
    }
}

/// When each pid namespace's init started.
#[derive(Default)]
pub(super) struct PidNamespaces {
    init_start_ts_ns: HashMap<u64, u64>,
    /// Indices of a process's threads, and its namespace.
    members: Vec<(Range<usize>, u64)>,
}

impl PidNamespaces {
    /// Notes a process whose threads will stand at `index` of the list.
    pub(super) fn note(&mut self, process: &Process, index: usize) {
        self.members.push((index..index + process.threads.len(), process.pid_namespace));
        if process.threads[0].vpid == 1 && process.pid_namespace != 0 {
            self.init_start_ts_ns.insert(process.pid_namespace, process.start_ts_ns);
        }
    }

    /// Fills in the start times, once every init was seen.
    pub(super) fn fill_in(&self, threads: &mut [ThreadRecord]) {
        for (range, namespace) in &self.members {
            let Some(&init_start_ts_ns) = self.init_start_ts_ns.get(namespace) else { continue };
            for thread in threads.get_mut(range.clone()).into_iter().flatten() {
                thread.pidns_init_start_ns = init_start_ts_ns;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_threads_are_left_to_the_stream_or_marked() {
        let begin = Begin(5_000);
        for (start_ticks, is_left_out, flags) in
            [(5_001, true, HAS_TOLD), (5_000, false, HAS_TOLD), (4_901, false, HAS_TOLD), (4_900, false, 0)]
        {
            assert_eq!(
                (begin.is_before(start_ticks), begin.flags(start_ticks)),
                (is_left_out, flags),
                "{start_ticks}"
            );
            assert!(!Begin::LATE.is_before(start_ticks) && Begin::LATE.flags(start_ticks) == 0);
        }
    }
}
