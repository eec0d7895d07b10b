//! Values that user space patches into `.rodata` before load. The verifier sees them as constants,
//! so branches on them cost nothing and unused ones disappear.

/// Reads a `.rodata` global.
macro_rules! ro {
    ($name:ident) => {
        // SAFETY: a plain static; volatile so that the compiler does not fold the unpatched value.
        unsafe { core::ptr::read_volatile(&raw const $crate::config::$name) }
    };
}
pub(crate) use ro;

macro_rules! globals {
    ($($name:ident: $structure:literal [$($path:literal),+] $need:ident;)*) => {
        $(#[unsafe(no_mangle)] pub(crate) static $name: u64 = 0;)*
    };
}
capture_common::kernel_offsets!(globals);

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $default:expr;)*) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub(crate) static $name: u64 = $default;)*
    };
}
settings! {
    /// Offsets of call number, instruction pointer and arguments in pt_regs, native and ia32.
    R_NR = 0; R_IP = 0; R_A0 = 0; R_A1 = 0; R_A2 = 0; R_A3 = 0; R_A4 = 0; R_A5 = 0;
    R_C0 = 0; R_C1 = 0; R_C2 = 0; R_C3 = 0; R_C4 = 0; R_C5 = 0;
    /// Not 0: the kernel has bpf_rdonly_cast, and these are the BTF ids to cast to.
    CAST = 0; ID_TASK = 0; ID_FILE = 0; ID_SIGINFO = 0; ID_SOCKET = 0; ID_UNIX_SOCK = 0; ID_INET_SOCK = 0; ID_MOUNT = 0; ID_KIOCB = 0;
    ID_WORD = 0; ID_DENTRY = 0; ID_VFSMOUNT = 0;
    /// `sizeof(struct inode)`: overlayfs keeps its upper dentry right behind.
    INODE_SIZE = 0;
    /// Bit of `signal_struct.is_child_subreaper` in its byte.
    S_SUBREAPER_BIT = 0;
    /// Element of `css_set.subsys` per `abi::cgroup_slot`, or ABSENT.
    CG_CPUSET = u64::MAX; CG_CPU = u64::MAX; CG_CPUACCT = u64::MAX; CG_IO = u64::MAX;
    CG_MEMORY = u64::MAX; CG_PIDS = u64::MAX; CG_DEVICES = u64::MAX;
    /// Ring size in bytes minus 1; a power of two minus 1.
    RING_MASK = (1 << 20) - 1;
    /// Fill in bytes above which enters and plain records are shed, and above which none is written.
    SHED_LIMIT = 3 << 17; FULL_LIMIT = 1 << 19;
    /// Not 0: lanes by the table CPU_SLOT; 0: CPU n has slot n.
    USE_SLOTS = 0;
    /// Bytes of payload per record.
    SNAPLEN = 80;
    /// Process that is not recorded; 0: none.
    SELF_TGID = 0;
    /// Not 0: only the processes in the map TREE are recorded.
    ONLY_TREE = 0;
    /// This capture's process, which makes the command that is watched; 0: none is.
    TREE_MAKER = 0;
    /// Not 0: io_uring_complete has the result as a pointer to a `struct io_uring_cqe`; 0: as numbers.
    URING_CQE = 0;
    /// Not 0: records that cannot pass the filter are left out, by the rows of the plan.
    FILTER = 0;
    /// Not 0: classes of threads are kept in the map THREADS, and decide, too.
    FILTER_THREADS = 0;
    /// Not 0: a thread's class is known by its key in the map KEYS.
    FILTER_KEYS = 0;
    /// Not 0: classes change with ancestors, and with cgroups.
    FILTER_ANCESTORS = 0; FILTER_CGROUPS = 0;
    /// Size of THREADS minus 1; a power of two minus 1.
    THREADS_MASK = 0;
    /// Classes that pass, for events that are no calls.
    PASS_SIGNAL = 0xff; PASS_SWITCH = 0xff;
    /// log2 of the page size minus 10: pages to kB.
    PAGE_KB_SHIFT = 2;
}
