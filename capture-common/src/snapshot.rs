//! The state of the machine at the start of a section: machine, interfaces, users, threads, fds.
//!
//! Made by the live collector or by a file reader, written by the file writer, loaded by the
//! engine. Text is bytes: names on Linux need not be UTF-8. Absent values are preset as readers
//! of the format must: ids -1, login uid all ones, the rest 0 or empty.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Mark in the first reserved word of the machine-info block by which our own files are known
/// (`capture1`, little endian). Other readers ignore the word.
pub const SUPERSET_MARK: u64 = u64::from_le_bytes(*b"capture1");

/// Longest comm, exe, exepath, cwd and root that readers of files accept, in bytes.
pub const THREAD_STRING_MAX: usize = 1024;
/// Longest args, environment and cgroups that they accept, in bytes.
pub const THREAD_LIST_MAX: usize = 4096;
/// Longest name of an fd that they accept, in bytes.
pub const FD_NAME_MAX: usize = 1023;

/// In which form the events of a section are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// As some other program wrote them: print every parameter that is there.
    #[default]
    Foreign,
    /// Our superset form: enters with the 2022 parameters, exits with the full current list.
    /// Listings show the 2022 parameters, since the rest repeats the enter's.
    Superset,
}

/// Everything known at the start of a section.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Form of the section's events.
    pub dialect: Dialect,
    /// The machine.
    pub machine: MachineInfo,
    /// Network interfaces, one entry per address.
    pub interfaces: Vec<Interface>,
    /// Users.
    pub users: Vec<User>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Threads; a process's main thread comes before its others.
    pub threads: Vec<ThreadRecord>,
    /// Fd tables: (tid, entries). Threads share the table of their main thread.
    pub fds: Vec<(i64, Vec<FdRecord>)>,
}

impl Snapshot {
    /// Cuts the texts of threads and fds to what a file holds, so that a live view and its recording
    /// have the same. Returns how many were longer.
    pub fn cut_to_stored(&mut self) -> u64 {
        let mut longer = 0;
        let mut cut = |text: &mut Vec<u8>, max_bytes: usize| {
            longer += u64::from(text.len() > max_bytes);
            text.truncate(max_bytes);
        };
        for t in &mut self.threads {
            for text in [&mut t.comm, &mut t.exe, &mut t.exepath, &mut t.cwd, &mut t.root] {
                cut(text, THREAD_STRING_MAX);
            }
            for list in [&mut t.args, &mut t.env, &mut t.cgroups] {
                cut(list, THREAD_LIST_MAX);
            }
        }
        for fd in self.fds.iter_mut().flat_map(|(_, fds)| fds) {
            if let FdKind::Unix { path: name, .. } | FdKind::File { name, .. } | FdKind::Other { name, .. } =
                &mut fd.kind
            {
                cut(name, FD_NAME_MAX);
            }
        }
        longer
    }
}

/// Machine info block (0x201).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineInfo {
    /// Number of CPUs.
    pub num_cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Highest pid.
    pub max_pid: u64,
    /// Host name.
    pub hostname: Vec<u8>,
    /// Boot time in ns since the epoch; 0 unknown.
    pub boot_ts_ns: u64,
    /// Flags word of current libs; 0 in older files.
    pub flags: u64,
}

/// One address of one network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name, e.g. `eth0`.
    pub name: Vec<u8>,
    /// Address, mask and broadcast.
    pub addr: InterfaceAddr,
    /// Link speed as stored, 0 unknown.
    pub link_speed: u64,
}

/// Addresses of an [`Interface`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum InterfaceAddr {
    V4 { addr: Ipv4Addr, netmask: Ipv4Addr, broadcast: Ipv4Addr },
    V6 { addr: Ipv6Addr, netmask: Ipv6Addr, broadcast: Ipv6Addr },
}

/// One user of the user database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "passwd(5)")]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub name: Vec<u8>,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

/// One group of the group database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "group(5)")]
pub struct Group {
    pub gid: u32,
    pub name: Vec<u8>,
}

/// One thread (process list block, 0x215).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRecord {
    /// Thread id (the host's).
    pub tid: i64,
    /// Process id (thread group).
    pub pid: i64,
    /// Parent process.
    pub ptid: i64,
    /// Session.
    pub sid: i64,
    /// Process group as seen in the thread's own pid namespace.
    pub vpgid: i64,
    /// Process group (the host's).
    pub pgid: i64,
    /// Thread id in its own pid namespace.
    pub vtid: i64,
    /// Process id in its own pid namespace.
    pub vpid: i64,
    /// Name (`/proc/PID/comm`).
    pub comm: Vec<u8>,
    /// argv\[0\].
    pub exe: Vec<u8>,
    /// Path of the executable.
    pub exepath: Vec<u8>,
    /// Arguments after argv\[0\], each followed by NUL.
    pub args: Vec<u8>,
    /// Environment, each entry followed by NUL.
    pub env: Vec<u8>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Root directory.
    pub root: Vec<u8>,
    /// `subsystem=path`, each followed by NUL.
    pub cgroups: Vec<u8>,
    /// Soft limit of open files; -1 unknown.
    pub fdlimit: i64,
    /// Stored clone flags: 0 for main threads, `CLONE_FILES|CLONE_THREAD` for others.
    pub flags: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Login user; all ones for none.
    pub loginuid: u32,
    /// Virtual, resident and swapped memory in kB.
    pub vm_size_kb: u32,
    /// See `vm_size_kb`.
    pub vm_rss_kb: u32,
    /// See `vm_size_kb`.
    pub vm_swap_kb: u32,
    /// Major page faults.
    pub pfmajor: u64,
    /// Minor page faults.
    pub pfminor: u64,
    /// Start of the pid namespace's init, ns since the epoch; 0 unknown.
    pub pidns_init_start_ns: u64,
    /// Terminal as a kernel device number; 0 none.
    pub tty: u32,
    /// Whether the executable's file is writable by the thread.
    pub exe_writable: bool,
    /// Capability sets: inheritable, permitted, effective.
    pub caps: [u64; 3],
    /// Whether the executable is on the upper layer of an overlay.
    pub exe_upper_layer: bool,
    /// Whether it is on a lower layer.
    pub exe_lower_layer: bool,
    /// Whether it is a memfd.
    pub exe_from_memfd: bool,
    /// Inode of the executable.
    pub exe_ino: u64,
    /// Change and modification time of the executable, ns since the epoch.
    pub exe_ino_ctime_ns: u64,
    /// See `exe_ino_ctime_ns`.
    pub exe_ino_mtime_ns: u64,
}

impl Default for ThreadRecord {
    fn default() -> Self {
        ThreadRecord {
            tid: -1,
            pid: -1,
            ptid: -1,
            sid: -1,
            vpgid: -1,
            pgid: -1,
            vtid: -1,
            vpid: -1,
            comm: Vec::new(),
            exe: Vec::new(),
            exepath: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: Vec::new(),
            root: Vec::new(),
            cgroups: Vec::new(),
            fdlimit: 0,
            flags: 0,
            uid: 0,
            gid: 0,
            loginuid: u32::MAX,
            vm_size_kb: 0,
            vm_rss_kb: 0,
            vm_swap_kb: 0,
            pfmajor: 0,
            pfminor: 0,
            pidns_init_start_ns: 0,
            tty: 0,
            exe_writable: false,
            caps: [0; 3],
            exe_upper_layer: false,
            exe_lower_layer: false,
            exe_from_memfd: false,
            exe_ino: 0,
            exe_ino_ctime_ns: 0,
            exe_ino_mtime_ns: 0,
        }
    }
}

/// One open file (fd list block, 0x218).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdRecord {
    /// Number.
    pub fd: i64,
    /// Inode, 0 unknown.
    pub ino: u64,
    /// What it is.
    pub kind: FdKind,
}

/// What an [`FdRecord`] refers to. IPs in reading order, ports as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "field names are the trade's")]
pub enum FdKind {
    Ipv4 {
        sip: Ipv4Addr,
        dip: Ipv4Addr,
        sport: u16,
        dport: u16,
        l4proto: L4Proto,
    },
    Ipv6 {
        sip: Ipv6Addr,
        dip: Ipv6Addr,
        sport: u16,
        dport: u16,
        l4proto: L4Proto,
    },
    Ipv4Server {
        ip: Ipv4Addr,
        port: u16,
        l4proto: L4Proto,
    },
    Ipv6Server {
        ip: Ipv6Addr,
        port: u16,
        l4proto: L4Proto,
    },
    /// Kernel addresses of the socket and of its peer, and the bound path.
    Unix {
        source: u64,
        destination: u64,
        path: Vec<u8>,
    },
    /// Regular file with stored open flags.
    File {
        open_flags: u32,
        name: Vec<u8>,
        dev: u32,
    },
    /// Every other type, with the name that files store for it.
    Other {
        ty: FdType,
        name: Vec<u8>,
    },
}

/// Type number of an fd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u8)]
pub enum FdType {
    Unknown = 0,
    /// Old form of a file, without flags.
    FileOld = 1,
    Directory = 2,
    Ipv4 = 3,
    Ipv6 = 4,
    Ipv4Server = 5,
    Ipv6Server = 6,
    Pipe = 7,
    Unix = 8,
    Event = 9,
    Unsupported = 10,
    Signal = 11,
    EventPoll = 12,
    Inotify = 13,
    Timer = 14,
    Netlink = 15,
    File = 16,
    Bpf = 17,
    Userfault = 18,
    IoUring = 19,
    Memfd = 20,
    Pid = 21,
}

impl FdType {
    /// All types in order of their numbers.
    pub const ALL: [FdType; 22] = [
        FdType::Unknown,
        FdType::FileOld,
        FdType::Directory,
        FdType::Ipv4,
        FdType::Ipv6,
        FdType::Ipv4Server,
        FdType::Ipv6Server,
        FdType::Pipe,
        FdType::Unix,
        FdType::Event,
        FdType::Unsupported,
        FdType::Signal,
        FdType::EventPoll,
        FdType::Inotify,
        FdType::Timer,
        FdType::Netlink,
        FdType::File,
        FdType::Bpf,
        FdType::Userfault,
        FdType::IoUring,
        FdType::Memfd,
        FdType::Pid,
    ];

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<FdType> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Transport protocol of a socket, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u8)]
pub enum L4Proto {
    #[default]
    Unknown = 0,
    /// Not applicable.
    Na = 1,
    Tcp = 2,
    Udp = 3,
    Icmp = 4,
    Raw = 5,
}

impl L4Proto {
    /// The protocol with this stored number; unknown numbers are [`L4Proto::Unknown`].
    pub fn from_number(number: u8) -> L4Proto {
        match number {
            1 => L4Proto::Na,
            2 => L4Proto::Tcp,
            3 => L4Proto::Udp,
            4 => L4Proto::Icmp,
            5 => L4Proto::Raw,
            _ => L4Proto::Unknown,
        }
    }
}
