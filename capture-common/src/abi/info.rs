//! The fixed structures that sections carry: vectors, messages, sockets, files, memory, tasks.

use super::Wire;

wire_struct! {
/// Totals of a user iovec array.
IovInfo: 16 {
    /// Sum of all `iov_len` (of the first [`IOV_MAX`](super::IOV_MAX) entries).
    total_len: u64,
    /// Entries the caller gave.
    count: u32,
    /// Entries counted in `total_len`.
    counted: u32,
}}

wire_struct! {
/// A user msghdr, layout-independent.
MsgInfo: 48 {
    /// Sum of `iov_len` (first [`IOV_MAX`](super::IOV_MAX) entries).
    total_len: u64,
    /// `msg_controllen`; after recvmsg the length received.
    control_len: u64,
    /// Bytes of this message that were sent or received: `mmsghdr.msg_len`, or the call's result.
    msg_len: u64,
    /// `msg_iovlen`.
    iov_count: u32,
    /// `msg_namelen`.
    name_len: u32,
    /// `msg_flags`.
    flags: u32,
    /// Index in the mmsghdr array; 0 for a single message.
    index: u32,
    /// `msg_iov`, a user address.
    iov_addr: u64,
}}

wire_struct! {
/// A socket as the kernel sees it (`struct sock` and what it leads to).
SockInfo: 88 {
    /// Kernel address of the `struct sock`: an identity, shown as stock shows it for AF_UNIX.
    sk_addr: u64,
    /// AF_UNIX: kernel address of the peer's `struct sock` (0: none). Else 0.
    peer_addr: u64,
    /// `sock.sk_ack_backlog` (accept queue in use).
    ack_backlog: u32,
    /// `sock.sk_max_ack_backlog` (accept queue limit).
    max_ack_backlog: u32,
    /// The fd.
    fd: i32,
    /// `sk_family` (AF_*).
    family: u16,
    /// `sk_type` (SOCK_*).
    sock_type: u16,
    /// `sk_protocol` (IPPROTO_*).
    protocol: u16,
    /// `skc_num` or `inet_sport`: local port in host byte order.
    local_port: u16,
    /// `skc_dport`: remote port in host byte order; 0: not connected.
    remote_port: u16,
    /// `skc_state` (TCP_ESTABLISHED = 1, TCP_CLOSE = 7, TCP_LISTEN = 10 …).
    state: u16,
    /// `socket.file->f_inode->i_ino`.
    ino: u64,
    /// Local address, network byte order; IPv4 in the first four bytes.
    local_addr: [u8; 16],
    /// Remote address, same form.
    remote_addr: [u8; 16],
    /// Device of the socket's inode (sockfs), `new_encode_dev` form.
    dev: u32,
    /// `file.f_flags`.
    f_flags: u32,
}}

wire_struct! {
/// An open file (`struct file` and its inode).
FdInfo: 48 {
    /// `inode.i_ino`.
    ino: u64,
    /// `inode.i_sb->s_dev` in `new_encode_dev` form: `minor & 0xff | major << 8 | (minor & !0xff) << 12`.
    dev: u32,
    /// `inode.i_mode`.
    mode: u32,
    /// `file.f_flags`.
    f_flags: u32,
    /// `file.f_mode` (FMODE_CREATED = 0x100000 …).
    f_mode: u32,
    /// The fd.
    fd: i32,
    /// Overlay layer: 0 not overlayfs or unknown, 1 upper, 2 lower.
    overlay: u32,
    /// `super_block.s_magic`.
    fs_magic: u64,
    /// `inode.i_nlink`.
    nlink: u32,
    /// 0.
    reserved: u32,
}}

wire_struct! {
/// Memory use of a process, kB (`mm_struct`).
MmInfo: 16 {
    /// `total_vm`.
    vm_size_kb: u32,
    /// File, anonymous and shared-memory pages.
    vm_rss_kb: u32,
    /// Swap entries.
    vm_swap_kb: u32,
    /// 0.
    reserved: u32,
}}

/// Bits of [`TaskInfo::exe_flags`].
pub mod exe_flag {
    /// The exe's inode has a write bit that applies to the task's user (owner, group or other),
    /// or the task has CAP_DAC_OVERRIDE.
    pub const WRITABLE: u32 = 1;
    /// Exe on an overlay's upper layer.
    pub const UPPER_LAYER: u32 = 2;
    /// Exe is a memfd.
    pub const MEMFD: u32 = 4;
    /// Exe on an overlay's lower layer.
    pub const LOWER_LAYER: u32 = 8;
}

/// Indexes into [`TaskInfo::cgroup_ids`], in the order in which stock lists cgroups.
pub mod cgroup_slot {
    /// cpuset controller.
    pub const CPUSET: usize = 0;
    /// cpu controller.
    pub const CPU: usize = 1;
    /// cpuacct controller.
    pub const CPUACCT: usize = 2;
    /// io (v1: blkio) controller.
    pub const IO: usize = 3;
    /// memory controller.
    pub const MEMORY: usize = 4;
    /// pids controller.
    pub const PIDS: usize = 5;
    /// devices controller.
    pub const DEVICES: usize = 6;
    /// The unified (v2) hierarchy.
    pub const UNIFIED: usize = 7;
    /// Number of slots.
    pub const COUNT: usize = 8;
}

wire_struct! {
/// A thread as clone and exec events want it (`task_struct` and what it leads to).
TaskInfo: 272 {
    /// `pid`: thread id in the root namespace.
    tid: u32,
    /// `tgid`: process id in the root namespace.
    pid: u32,
    /// `real_parent->tgid`.
    ppid: u32,
    /// `real_parent->pid`: the thread that made it (stock's ptid is the process: use `ppid`).
    ptid: u32,
    /// Thread id in its own pid namespace.
    vtid: u32,
    /// Process id in its own pid namespace.
    vpid: u32,
    /// Process group in the root namespace.
    pgid: u32,
    /// Process group in its own namespace.
    vpgid: u32,
    /// Session in the root namespace.
    sid: u32,
    /// Session in its own namespace.
    vsid: u32,
    /// Controlling terminal, `new_encode_dev` form; 0: none.
    tty: u32,
    /// Level of its pid namespace; 0 is the root.
    pidns_level: u32,
    /// Real user id (`cred.uid`), initial user namespace.
    uid: u32,
    /// Real group id.
    gid: u32,
    /// Effective user id.
    euid: u32,
    /// Effective group id.
    egid: u32,
    /// Saved user id.
    suid: u32,
    /// Saved group id.
    sgid: u32,
    /// Audit login uid; u32::MAX: unset.
    loginuid: u32,
    /// `task_struct.flags` (PF_*; PF_KTHREAD = 0x200000).
    pf_flags: u32,
    /// Kernel capability words (bit n: capability n).
    cap_inheritable: u64,
    /// As above.
    cap_permitted: u64,
    /// As above.
    cap_effective: u64,
    /// RLIMIT_NOFILE soft limit.
    fdlimit: u64,
    /// Major page faults of the thread.
    maj_flt: u64,
    /// Minor page faults of the thread.
    min_flt: u64,
    /// Memory; all 0 for kernel threads.
    mm: MmInfo,
    /// Name of the thread, NUL-padded.
    comm: [u8; 16],
    /// `start_boottime` of the thread, ns since boot, suspend counted.
    start_boot_ns: u64,
    /// `start_boottime` of the init of its pid namespace.
    pidns_init_start_boot_ns: u64,
    /// `exe_file` inode number; 0: none.
    exe_ino: u64,
    /// Its change time, wall-clock ns.
    exe_ctime_ns: u64,
    /// Its modification time, wall-clock ns.
    exe_mtime_ns: u64,
    /// Device of the exe, `new_encode_dev` form.
    exe_dev: u32,
    /// Bits of [`exe_flag`].
    exe_flags: u32,
    /// Ids (kernfs ids: inode numbers of the cgroup directories) by [`cgroup_slot`]; 0: none.
    cgroup_ids: [u64; 8],
}}
