//! [`Thread`]: all that is known of one thread, and `Entered`, what its enter event left for
//! the exit.
//!
//! Data of the whole process (fd table, cwd, environment, fd limit) live in the main thread,
//! the one whose tid is the pid; go through [`Machine::main_thread`](super::machine::Machine).

use super::fd_table::FdTable;
use super::{NOT_KNOWN, Text, empty_text};
use capture_common::EventCode;

/// Stored flag bits of a thread: `clone_flags` of the event table, and the engine's own.
pub mod thread_flags {
    /// A new pid namespace was made for it.
    pub const CLONE_NEWPID: u32 = 1 << 6;
    /// Sibling of its creator, not its child.
    pub const CLONE_PARENT: u32 = 1 << 8;
    /// A thread of its creator's process.
    pub const CLONE_THREAD: u32 = 1 << 13;
    /// Its own exit event of the clone arrived before its creator's.
    pub const CLONE_INVERTED: u32 = 1 << 16;
    /// Its name changed by exec.
    pub const NAME_CHANGED: u32 = 1 << 17;
    /// It has ended.
    pub const CLOSED: u32 = 1 << 18;
    /// It did something since it was found.
    pub const ACTIVE: u32 = 1 << 19;
    /// It duplicated an fd onto standard output.
    pub const PIPE_SRC: u32 = 1 << 21;
    /// It duplicated an fd onto standard input.
    pub const PIPE_DST: u32 = 1 << 22;
    /// Its creator waits for it.
    pub const CLONE_VFORK: u32 = 1 << 27;
    /// Its ids differ in its own pid namespace.
    pub const CHILD_IN_PIDNS: u32 = 1 << 29;
    /// Marked by some writers on main threads.
    pub const IS_MAIN_THREAD: u32 = 1 << 30;
}

/// One thread. Ids are the host's unless the name says otherwise.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Thread id.
    pub tid: i64,
    /// Process id: the tid of the main thread.
    pub pid: i64,
    /// Parent process, -1 unknown.
    pub ptid: i64,
    /// Session, -1 unknown.
    pub sid: i64,
    /// Process group in the thread's own pid namespace, -1 unknown.
    pub vpgid: i64,
    /// Process group, -1 unknown.
    pub pgid: i64,
    /// Thread id in its own pid namespace.
    pub vtid: i64,
    /// Process id in its own pid namespace.
    pub vpid: i64,
    /// Name (at most 15 bytes on Linux).
    pub comm: Text,
    /// argv\[0\].
    pub exe: Text,
    /// Path of the executable.
    pub exepath: Text,
    /// Arguments after argv\[0\], each followed by NUL. See [`Thread::args`].
    pub args_raw: Text,
    /// Environment, each entry followed by NUL (main threads; others may lag). See [`Thread::env`].
    pub env_raw: Text,
    /// Working directory, ends in `/` (main threads).
    pub cwd: Text,
    /// Root directory.
    pub root: Text,
    /// `subsystem=path`, each followed by NUL. See [`Thread::cgroups`].
    pub cgroups_raw: Text,
    /// Id of the container it runs in; empty on the host. Metadata:
    /// [`Machine::container`](super::machine::Machine::container).
    pub container_id: Text,
    /// [`thread_flags`].
    pub flags: u32,
    /// Effective user, all ones unknown.
    pub uid: u32,
    /// Effective group, all ones unknown.
    pub gid: u32,
    /// Login user, all ones for none.
    pub loginuid: u32,
    /// Terminal as a kernel device number, 0 none.
    pub tty: u32,
    /// Soft limit of open files (main threads), -1 unknown.
    pub fdlimit: i64,
    /// Virtual memory in kB.
    pub vm_size_kb: u32,
    /// Resident memory in kB.
    pub vm_rss_kb: u32,
    /// Swapped memory in kB.
    pub vm_swap_kb: u32,
    /// Major page faults.
    pub pfmajor: u64,
    /// Minor page faults.
    pub pfminor: u64,
    /// When it was created, ns since the epoch; 0: before the capture.
    pub clone_ts_ns: u64,
    /// Its last exec, ns since the epoch; 0: none seen.
    pub last_exec_ts_ns: u64,
    /// Start of the init of its pid namespace, ns since the epoch; 0 unknown.
    pub pidns_init_start_ns: u64,
    /// What is known of the executable's file.
    pub exe_file: ExeFile,
    /// Capability sets: inheritable, permitted, effective.
    pub caps: [u64; 3],
    /// Number of threads of the process besides the main one (main threads).
    pub nchilds: u32,
    /// Whether anything told its ids in its own pid namespace; the host's stand in for them else.
    pub has_namespace_ids: bool,
    /// Whether it was invented for an event of an unknown thread: most text is `<NA>`.
    pub is_fake: bool,
    /// Whether its process adopts orphans (prctl PR_SET_CHILD_SUBREAPER).
    pub is_subreaper: bool,
    /// User and system CPU as the last `procinfo` event had them, ns; 0 none.
    pub cpu: CpuTimes,
    /// The same as of the `procinfo` event before the last; 0 none.
    pub cpu_before: CpuTimes,
    /// CPU time by the context switches seen, ns.
    pub exec_ns: u64,
    /// Open files (main threads; empty otherwise).
    pub fds: FdTable,
    /// The call that it is in, or was in last.
    pub(crate) call: LastCall,
    /// Time of its last event before the current one, ns; 0 none. Updated after the event.
    pub last_event_ts_ns: u64,
    /// Tids of the processes whose parent it is.
    pub(crate) children: Vec<i64>,
}

/// The call that a thread is in, or was in last: what its exit needs of its enter.
#[derive(Clone, Debug)]
pub(crate) struct LastCall {
    /// Code of the last event that counts for pairing; `None` before the first.
    pub(crate) code: Option<EventCode>,
    /// Whether the exit of the enter was seen.
    pub(crate) has_returned: bool,
    /// Fd of the enter, or of the exit where that has one; -1 none.
    pub(crate) fd: i64,
    /// Time of the enter, ns; 0 none.
    pub(crate) enter_ts_ns: u64,
    /// Duration of the last completed call, ns.
    pub(crate) latency_ns: u64,
    /// What was kept of the parameters of an enter.
    pub(crate) entered: Option<Box<Entered>>,
    /// Whether `entered` is of the last enter event.
    pub(crate) entered_is_fresh: bool,
}

impl LastCall {
    /// The enter may be that of an earlier call than the next exit.
    pub(crate) fn forget_enter(&mut self) {
        (self.code, self.fd, self.entered_is_fresh) = (None, -1, false);
        (self.enter_ts_ns, self.latency_ns) = (0, 0);
    }
}

impl Default for LastCall {
    fn default() -> Self {
        LastCall {
            code: None,
            has_returned: false,
            fd: -1,
            enter_ts_ns: 0,
            latency_ns: 0,
            entered: None,
            entered_is_fresh: false,
        }
    }
}

/// Process CPU counters of `procinfo` events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User time.
    pub user: u64,
    /// System time.
    pub system: u64,
}

/// The file of an executable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExeFile {
    /// Writable by the thread.
    pub writable: bool,
    /// On the upper layer of an overlay.
    pub upper_layer: bool,
    /// On a lower layer of an overlay.
    pub lower_layer: bool,
    /// A memfd.
    pub from_memfd: bool,
    /// Inode, 0 unknown.
    pub ino: u64,
    /// Change time, ns since the epoch.
    pub ctime_ns: u64,
    /// Modification time, ns since the epoch.
    pub mtime_ns: u64,
}

/// What the last enter event left for its exit; the buffer is reused from call to call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entered {
    /// Numbers, by position as the parser that stores them says.
    pub(crate) nums: [i64; 4],
    /// Text or an address, at most [`Entered::MAX_BYTES`].
    pub(crate) bytes: Vec<u8>,
}

impl Entered {
    /// PATH_MAX of Linux: no path or address that a call can succeed with is longer.
    pub(crate) const MAX_BYTES: usize = 4096;
}

impl Thread {
    /// A thread of which only the id is known.
    pub fn new(tid: i64) -> Self {
        let none = empty_text();
        Thread {
            tid,
            pid: tid,
            ptid: -1,
            sid: -1,
            vpgid: -1,
            pgid: -1,
            vtid: tid,
            vpid: tid,
            comm: none.clone(),
            exe: none.clone(),
            exepath: none.clone(),
            args_raw: none.clone(),
            env_raw: none.clone(),
            cwd: none.clone(),
            root: none.clone(),
            cgroups_raw: none.clone(),
            container_id: none,
            flags: 0,
            uid: u32::MAX,
            gid: u32::MAX,
            loginuid: u32::MAX,
            tty: 0,
            fdlimit: -1,
            vm_size_kb: 0,
            vm_rss_kb: 0,
            vm_swap_kb: 0,
            pfmajor: 0,
            pfminor: 0,
            clone_ts_ns: 0,
            last_exec_ts_ns: 0,
            pidns_init_start_ns: 0,
            exe_file: ExeFile::default(),
            caps: [0; 3],
            nchilds: 0,
            has_namespace_ids: true,
            is_fake: false,
            is_subreaper: false,
            cpu: CpuTimes::default(),
            cpu_before: CpuTimes::default(),
            exec_ns: 0,
            fds: FdTable::default(),
            call: LastCall::default(),
            last_event_ts_ns: 0,
            children: Vec::new(),
        }
    }

    /// Whether more than its numbers is known: it was not invented, and neither the snapshot nor a loss left
    /// open who it is.
    pub fn is_known(&self) -> bool {
        !self.is_fake && &self.comm[..] != NOT_KNOWN
    }

    /// What it takes, roughly, in bytes: all of it, or only its share of text that others have, too.
    /// Open files have a budget of their own.
    pub(crate) fn cost_bytes(&self, only_share: bool) -> usize {
        /// Counters in front of text, and what its allocation costs.
        const TEXT: usize = 32;
        /// The slots that hold the thread, its number in an index and in its parent's list, with room to
        /// grow.
        const PLACE: usize = 96;
        let texts = [
            &self.comm,
            &self.exe,
            &self.exepath,
            &self.args_raw,
            &self.env_raw,
            &self.cwd,
            &self.root,
            &self.cgroups_raw,
            &self.container_id,
        ];
        let cost = |text: &Text| {
            let owners = if only_share { Text::strong_count(text).max(1) } else { 1 };
            if text.is_empty() { 0 } else { (text.len() + TEXT).div_ceil(owners) }
        };
        let entered = self.call.entered.as_ref().map_or(0, |e| size_of::<Entered>() + e.bytes.capacity());
        size_of::<Thread>() + PLACE + texts.map(cost).iter().sum::<usize>() + entered
    }

    /// Whether it is the main thread of its process.
    #[inline]
    pub fn is_main(&self) -> bool {
        self.tid == self.pid
    }

    /// Arguments after argv\[0\].
    pub fn args(&self) -> impl Iterator<Item = &[u8]> + Clone {
        nul_terminated(&self.args_raw)
    }

    /// Entries of the environment, `NAME=value`.
    pub fn env(&self) -> impl Iterator<Item = &[u8]> + Clone {
        nul_terminated(&self.env_raw)
    }

    /// Control groups: (normalised subsystem, path).
    pub fn cgroups(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        super::cgroups::entries(&self.cgroups_raw)
    }
}

/// Splits NUL-terminated strings; a last one without NUL counts too.
pub fn nul_terminated(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let empty = bytes.is_empty();
    bytes.split(|&b| b == 0).filter(move |_| !empty)
}
