//! Why a live capture cannot start or go on. Each message is one sentence that says what is
//! missing and which kernel or privilege would do.

use std::io;

/// What went wrong in live capture.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Neither root nor the capabilities that tracing programs need.
    #[error(
        "live capture needs root (or CAP_BPF and CAP_PERFMON): run it with sudo; files are read without (-r)"
    )]
    Privilege,
    /// The kernel was built without type information.
    #[error(
        "this kernel ({release}) has no /sys/kernel/btf/vmlinux: live capture needs Linux 5.11 or newer built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf {
        /// `uname -r`.
        release: String,
    },
    /// Too old.
    #[error("this kernel is {release}: live capture needs Linux 5.11 or newer")]
    OldKernel {
        /// `uname -r`.
        release: String,
    },
    /// A tracepoint is not there.
    #[error(
        "this kernel ({release}) has no tracepoint {name}: live capture needs Linux 5.11 or newer with CONFIG_FTRACE_SYSCALLS=y"
    )]
    NoTracepoint {
        /// Name of the tracepoint.
        name: &'static str,
        /// `uname -r`.
        release: String,
    },
    /// BTF bytes that do not parse.
    #[error("the kernel's type information is damaged at byte {offset}: {what}")]
    BadBtf {
        /// Offset in the BTF file.
        offset: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// A structure member the probe cannot do without.
    #[error("this kernel's {structure} has no member {member}: capture does not know this kernel yet")]
    NoMember {
        /// Kernel structure.
        structure: &'static str,
        /// Member path.
        member: &'static str,
    },
    /// The probe object is not what the loader expects.
    #[error("the probe object does not fit this program: {what}")]
    BadObject {
        /// What is wrong.
        what: String,
    },
    /// A probe object that was asked for by path cannot be read.
    #[error("cannot read probe object {path}: {source}")]
    ReadObject {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused the object's maps.
    #[error("cannot create the probe's maps (rings take {ring_bytes} bytes of kernel memory): {source}")]
    Maps {
        /// Memory asked for.
        ring_bytes: u64,
        /// Why.
        source: Box<aya::EbpfError>,
    },
    /// The kernel refused a program.
    #[error("the kernel ({release}) refused probe program {program}: {reason}")]
    Program {
        /// Name of the program.
        program: String,
        /// `uname -r`.
        release: String,
        /// The verifier's last words, or the error.
        reason: String,
    },
    /// A map operation failed.
    #[error("probe map {map}: {source}")]
    Map {
        /// Name of the map.
        map: &'static str,
        /// Why.
        source: Box<aya::maps::MapError>,
    },
    /// The command to be watched does not exist.
    #[error("{name}: there is no such command")]
    NoCommand {
        /// As it was typed.
        name: String,
    },
    /// The command to be watched could not be started.
    #[error("{name}: cannot be started: {source}")]
    NotStarted {
        /// As it was typed.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The process to be watched does not exist.
    #[error("there is no process {pid}{hint}")]
    NoProcess {
        /// Its id.
        pid: u32,
        /// What it is instead.
        hint: &'static str,
    },
    /// A process by its id, inside a pid namespace and without iterators.
    #[error(
        "--pid: this is a pid namespace of its own, and what the host counts its processes by cannot be told: no iterators over threads ({reason}): run it on the host (nsenter -t 1 -p), or watch a command"
    )]
    NotHostPids {
        /// Why there are none.
        reason: String,
    },
    /// A process of a pid namespace further in, by its number in this one.
    #[error(
        "--pid {pid}: the process is in a pid namespace inside this one, and the kernel ({release}; 6.1 can) does not tell what the host counts it by: {reason}: run capture on the host (nsenter -t 1 -p), or watch the process by which the inner namespace was made"
    )]
    NestedPid {
        /// Its number in this namespace.
        pid: u32,
        /// `uname -r`.
        release: String,
        /// What the kernel said.
        reason: String,
    },
    /// The user to go on as does not exist.
    #[error("--user {name}: there is no such user on this machine")]
    NoUser {
        /// As it was typed.
        name: String,
    },
    /// The system refused to let this process become another user's.
    #[error(
        "--user {name}: {what}: {reason}: only a capture that is started as root can go on as somebody else"
    )]
    BecomeUser {
        /// Name of the user.
        name: String,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The kernel refused bpf(2) although the capabilities are there.
    #[error("the kernel ({release}) refuses the probe: {obstacle}")]
    Obstacle {
        /// `uname -r`.
        release: String,
        /// What is in the way, and what to do.
        obstacle: &'static str,
    },
    /// The probe's iterators, wanted alone, cannot be had.
    #[error("no iterators over threads and files: {reason}")]
    NoIterators {
        /// Why.
        reason: String,
    },
    /// The start snapshot cannot be taken.
    #[error("start snapshot: {0}")]
    Snapshot(#[from] super::snapshot::SnapshotError),
    /// A system call of the collector failed.
    #[error("{what}: {source}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The ring holds bytes that no probe of this version writes.
    #[error("ring of CPU {cpu}, level {level}: bad record at {offset} (length {len}): stopped reading it")]
    BadRecord {
        /// CPU of the ring.
        cpu: u32,
        /// Lane of the CPU.
        level: u32,
        /// Position in the stream of this lane.
        offset: u64,
        /// Length field found.
        len: u32,
    },
}

impl LiveError {
    /// The last OS error, with what was tried.
    pub(crate) fn last_os(what: &'static str) -> Self {
        Self::Os { what, source: io::Error::last_os_error() }
    }
}
