//! Threads and fds from the probe's iterators; from /proc only what those cannot tell: command line,
//! environment, the links to executable and directories, cgroups, and the processes that they left out.
//!
//! Invariant: the records are those that /proc alone would give, or say more. Where they differ is
//! listed in `tests/tests/live_start.rs`.

use super::processes::{self, Begin, NS_PER_TICK, THREAD_FLAGS};
use super::{fds, sockets};
use crate::live::iterators::Iterators;
use crate::live::tasks::kernel_pid_of;
use crate::live::watch::open_process;
use crate::live::whoami::Numbers;
use capture_common::abi::{
    FdInfo, IterFileFixed, IterTaskFixed, RecordView, SockInfo, TaskInfo, exe_flag, iter_flag, kind,
    section_flag, tag,
};
use capture_common::native::maps;
use capture_common::snapshot::{FdKind, FdRecord, FdType, ThreadRecord};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

/// `task_struct.flags`: a kernel thread.
const PF_KTHREAD: u32 = 0x20_0000;
/// Both EXIT_DEAD and EXIT_ZOMBIE.
const EXITED: u32 = 0x30;
/// The bit of native open flags that the fd has, and not the file.
const O_CLOEXEC: u64 = libc::O_CLOEXEC as u64;

/// A thread as the iterator gave it.
struct Task {
    fixed: IterTaskFixed,
    info: TaskInfo,
}

/// The fds of a process.
#[derive(Default)]
pub(super) struct Table {
    pub(super) fds: Vec<FdRecord>,
    /// When the last of them was read, CLOCK_MONOTONIC ns.
    pub(super) read_ns: u64,
    /// The thread through which they were found.
    tid: u32,
}

/// What the iterators told.
#[derive(Default)]
pub(super) struct Found {
    folders: Folders,
    /// Folders of processes in namespaces further in, by the kernel's ids.
    further_in: HashMap<u32, u32>,
    /// Records that cannot be understood.
    pub(super) bad_records: u32,
    /// By process, the main thread first, then ascending.
    tasks: Vec<Task>,
    tables: HashMap<i64, Table>,
}

/// Which folder of /proc is that of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Folders {
    /// That of the kernel's id.
    ByKernelId,
    /// That of the process's number in its pid namespace, if it is one at this level.
    ByNumber { level: u32 },
    /// It cannot be told.
    #[default]
    Unknown,
}

impl Folders {
    fn new(numbers: Numbers, own: Option<&TaskInfo>) -> Folders {
        match (numbers, own) {
            (Numbers::Kernel, _) => Folders::ByKernelId,
            (Numbers::Own, Some(own)) => Folders::ByNumber { level: own.pidns_level },
            _ => Folders::Unknown,
        }
    }

    fn number(self, process: &TaskInfo) -> Option<u32> {
        match self {
            Folders::ByKernelId => Some(process.pid),
            Folders::ByNumber { level } => (process.pidns_level == level).then_some(process.vpid),
            Folders::Unknown => None,
        }
    }
}

impl Found {
    /// Reads the threads. `numbers` is what the folders of /proc are named by.
    pub(super) fn read_tasks(&mut self, iterators: &mut Iterators, numbers: Numbers) -> io::Result<()> {
        let read = iterators.each_task(&mut |record| match task(record) {
            Some(task) => self.tasks.push(task),
            None => self.bad_records += 1,
        });
        self.tasks.sort_unstable_by_key(|t| (t.info.pid, t.info.tid != t.info.pid, t.info.tid));
        let own = self.tasks.iter().find(|t| t.info.pid == iterators.own_pid());
        self.folders = Folders::new(numbers, own.map(|t| &t.info));
        read
    }

    /// Finds the folders of processes in namespaces further in, whose records have the numbers of those: by
    /// asking of each folder that is left over whose it is, which takes Linux 6.1. `listed` are the folders.
    pub(super) fn look_further_in(&mut self, iterators: &Iterators, listed: &[i64]) {
        let Folders::ByNumber { level } = self.folders else { return };
        if self.tasks.iter().all(|t| t.info.pidns_level == level) {
            return;
        }
        let known: HashSet<u32> = self.tasks.iter().filter_map(|t| self.folders.number(&t.info)).collect();
        let numbers = listed.iter().filter_map(|&number| u32::try_from(number).ok());
        for number in numbers.filter(|number| !known.contains(number)) {
            if let Ok(process) = open_process(number)
                && let Ok(pid) = kernel_pid_of(iterators, &process)
            {
                self.further_in.insert(pid, number);
            }
        }
    }

    fn folder(&self, proc: &Path, process: &TaskInfo) -> Option<PathBuf> {
        let number = self.folders.number(process).or_else(|| self.further_in.get(&process.pid).copied());
        number.map(|number| proc.join(number.to_string()))
    }

    /// Reads the open files, too.
    pub(super) fn read_files(&mut self, iterators: &mut Iterators) -> io::Result<()> {
        let own_pid = iterators.own_pid();
        let own_fds = iterators.own_fds();
        iterators.each_file(&mut |record| {
            let Some(fd) = file(record) else {
                self.bad_records += 1;
                return;
            };
            let header = record.header;
            if header.pid == own_pid && own_fds.contains(&fd.fd) {
                return;
            }
            let table = self.tables.entry(i64::from(header.pid)).or_default();
            if table.fds.is_empty() {
                table.tid = header.tid;
            }
            // Where the first thread has ended, each of the others comes with the table.
            if table.tid == header.tid {
                table.fds.push(fd);
                table.read_ns = header.ts_ns;
            }
        })
    }

    /// The processes, ascending.
    pub(super) fn pids(&self) -> Vec<i64> {
        let mains = self.tasks.iter().filter(|t| t.info.tid == t.info.pid);
        mains.map(|t| i64::from(t.info.pid)).collect()
    }

    /// The fds of a process; once.
    pub(super) fn take_table(&mut self, pid: i64) -> Option<Table> {
        self.tables.remove(&pid)
    }

    /// A process of [`pids`](Self::pids); `None` if it is dead and only waits for its parent, or
    /// younger than the snapshot.
    pub(super) fn process(
        &self,
        proc: &Path,
        pid: i64,
        boot_ts_ns: u64,
        begin: Begin,
    ) -> Option<Vec<ThreadRecord>> {
        let from = self.tasks.partition_point(|t| i64::from(t.info.pid) < pid);
        let len = self.tasks[from..].partition_point(|t| i64::from(t.info.pid) == pid);
        let (main, others) = self.tasks[from..from + len].split_first()?;
        if begin.is_before(ticks(&main.info)) || main.fixed.exit_state & EXITED != 0 && others.is_empty() {
            return None;
        }
        let mut first = thread_record(&main.info, boot_ts_ns, begin);
        // The first thread's counts are the process's, as /proc/PID/stat has them.
        first.pfminor = main.fixed.group_min_flt + total(main, others, |t| t.min_flt);
        first.pfmajor = main.fixed.group_maj_flt + total(main, others, |t| t.maj_flt);
        let folder = self.folder(proc, &main.info);
        let is_kernel_thread = main.info.pf_flags & PF_KTHREAD != 0;
        match &folder {
            Some(folder) if is_kernel_thread => processes::name_kernel_thread(folder, &mut first),
            Some(folder) => {
                let own_root = main.fixed.flags & iter_flag::ROOT_OF_READER != 0;
                processes::read_names(folder, own_root, &mut first);
            }
            None => first.exe.clone_from(&first.comm),
        }
        if !is_kernel_thread {
            set_image(&main.info, &mut first);
        }
        first.cgroups = folder.map(|folder| processes::read_cgroups(&folder)).unwrap_or_default();
        let mut threads = vec![first];
        for task in others.iter().filter(|t| !begin.is_before(ticks(&t.info))) {
            let mut thread = thread_record(&task.info, boot_ts_ns, begin);
            set_image(&task.info, &mut thread);
            let first = &threads[0];
            thread.exe.clone_from(&first.exe);
            thread.exepath.clone_from(&first.exepath);
            thread.args.clone_from(&first.args);
            thread.cwd.clone_from(&first.cwd);
            thread.root.clone_from(&first.root);
            thread.cgroups.clone_from(&first.cgroups);
            threads.push(thread);
        }
        Some(threads)
    }
}

fn total(main: &Task, others: &[Task], count: fn(&TaskInfo) -> u64) -> u64 {
    std::iter::once(main).chain(others).map(|t| count(&t.info)).fold(0, u64::saturating_add)
}

/// Start of a thread in ticks, as /proc/PID/stat has it.
fn ticks(info: &TaskInfo) -> u64 {
    info.start_boot_ns / NS_PER_TICK
}

fn task(record: &RecordView<'_>) -> Option<Task> {
    if record.header.kind != kind::ITER_TASK {
        return None;
    }
    let (fixed, sections) = record.split::<IterTaskFixed>()?;
    Some(Task { fixed, info: TaskInfo::read(sections.find_tag(tag::TASK)?.data)? })
}

/// What the kernel's structures say of a thread.
fn thread_record(info: &TaskInfo, boot_ts_ns: u64, begin: Begin) -> ThreadRecord {
    let id = i64::from;
    let is_main = info.tid == info.pid;
    let init_start_ns = info.pidns_init_start_boot_ns / NS_PER_TICK * NS_PER_TICK;
    let comm = info.comm.split(|&b| b == 0).next().unwrap_or_default();
    let caps = [info.cap_inheritable, info.cap_permitted, info.cap_effective];
    ThreadRecord {
        tid: id(info.tid),
        pid: id(info.pid),
        ptid: id(info.ppid),
        sid: id(info.sid),
        pgid: id(info.pgid),
        vpgid: id(info.vpgid),
        vtid: id(info.vtid),
        vpid: id(info.vpid),
        comm: comm.to_vec(),
        flags: if is_main { 0 } else { THREAD_FLAGS } | begin.flags(ticks(info)),
        uid: info.euid,
        gid: info.egid,
        vm_size_kb: info.mm.vm_size_kb,
        vm_rss_kb: info.mm.vm_rss_kb,
        vm_swap_kb: info.mm.vm_swap_kb,
        pfmajor: info.maj_flt,
        pfminor: info.min_flt,
        tty: info.tty,
        caps: caps.map(|set| maps::CAPABILITIES.stored64(set)),
        pidns_init_start_ns: boot_ts_ns.saturating_add(init_start_ns),
        ..ThreadRecord::default()
    }
}

/// What a thread of a user process has besides.
fn set_image(info: &TaskInfo, thread: &mut ThreadRecord) {
    let has = |flag| info.exe_flags & flag != 0;
    // No limit is -1 in either form.
    thread.fdlimit = info.fdlimit as i64;
    thread.loginuid = info.loginuid;
    thread.exe_ino = info.exe_ino;
    thread.exe_ino_ctime_ns = info.exe_ctime_ns;
    thread.exe_ino_mtime_ns = info.exe_mtime_ns;
    thread.exe_writable = has(exe_flag::WRITABLE);
    thread.exe_upper_layer = has(exe_flag::UPPER_LAYER);
    thread.exe_lower_layer = has(exe_flag::LOWER_LAYER);
    thread.exe_from_memfd = has(exe_flag::MEMFD);
}

/// An open file.
fn file(record: &RecordView<'_>) -> Option<FdRecord> {
    if record.header.kind != kind::ITER_FILE {
        return None;
    }
    let (fixed, sections) = record.split::<IterFileFixed>()?;
    let fd = i64::from(fixed.fd);
    let info = FdInfo::read(sections.find_tag(tag::FDINFO)?.data)?;
    let path = sections.find_tag(tag::FDPATH);
    let Some(path) = path.filter(|path| path.header.flags & section_flag::FAULT == 0) else {
        let kind = FdKind::Other { ty: FdType::Unsupported, name: Vec::new() };
        return Some(FdRecord { fd, ino: info.ino, kind });
    };
    let name = path.data.to_vec();
    if name.starts_with(b"socket:[") {
        let of = |arg| sections.find(tag::UNIX_NAME, arg).map_or(&[][..], |name| name.data);
        let sock = sections.find_tag(tag::SOCK).and_then(|section| SockInfo::read(section.data));
        let kind = sock.and_then(|sock| sockets::by_structure(&sock, of(0), of(1)));
        let kind = kind.unwrap_or(FdKind::Other { ty: FdType::Unsupported, name });
        return Some(FdRecord { fd, ino: info.ino, kind });
    }
    let kind = fds::kind(name, Some(info.mode), || {
        let on_exec = if fixed.flags & iter_flag::CLOSE_ON_EXEC != 0 { O_CLOEXEC } else { 0 };
        (u64::from(info.f_flags) & !O_CLOEXEC | on_exec, info.dev)
    });
    Some(FdRecord { fd, ino: info.ino, kind })
}

#[cfg(test)]
mod tests;
