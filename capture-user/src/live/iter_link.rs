//! [`IterLink`]: an iterator program, attached. Each opening of it is another reading.

#![allow(unsafe_code, reason = "live/: bpf(2) for what aya has no call for")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_TRACE_ITER: u32 = 28;

/// `union bpf_attr` of both commands, as far as they go.
#[repr(C)]
#[derive(Default)]
struct BpfAttr {
    /// Program, or link.
    fd: u32,
    /// Target, or flags; 0.
    target: u32,
    attach_type: u32,
    flags: u32,
    /// Address and length of a [`TaskInfo`].
    info: u64,
    info_len: u32,
    /// 0.
    reserved: u32,
}

/// `task` of `union bpf_iter_link_info` (Linux 6.1): what an iterator over threads is limited to.
#[repr(C)]
struct TaskInfo {
    tid: u32,
    pid: u32,
    pid_fd: u32,
}

/// The link.
#[derive(Debug)]
pub(super) struct IterLink(OwnedFd);

impl IterLink {
    /// Attaches a program that is loaded.
    pub(super) fn attach(program: BorrowedFd<'_>) -> io::Result<IterLink> {
        let attr =
            BpfAttr { fd: program.as_raw_fd() as u32, attach_type: BPF_TRACE_ITER, ..BpfAttr::default() };
        bpf(BPF_LINK_CREATE, &attr).map(IterLink)
    }

    /// Attaches a program over threads, limited to those of one process, of which this is the pidfd.
    /// Kernels before 6.1 refuse that.
    pub(super) fn attach_to(program: BorrowedFd<'_>, process: BorrowedFd<'_>) -> io::Result<IterLink> {
        let info = TaskInfo { tid: 0, pid: 0, pid_fd: process.as_raw_fd() as u32 };
        let attr = BpfAttr {
            fd: program.as_raw_fd() as u32,
            attach_type: BPF_TRACE_ITER,
            info: (&raw const info).expose_provenance() as u64,
            info_len: size_of::<TaskInfo>() as u32,
            ..BpfAttr::default()
        };
        // The kernel copies the information before the call returns.
        bpf(BPF_LINK_CREATE, &attr).map(IterLink)
    }

    /// Begins a reading.
    pub(super) fn open(&self) -> io::Result<File> {
        let attr = BpfAttr { fd: self.0.as_raw_fd() as u32, ..BpfAttr::default() };
        bpf(BPF_ITER_CREATE, &attr).map(File::from)
    }
}

/// bpf(2) for a command that makes an fd. What a kernel does not know yet of the attributes is 0, or it
/// refuses.
fn bpf(command: libc::c_int, attr: &BpfAttr) -> io::Result<OwnedFd> {
    let len = size_of::<BpfAttr>();
    // SAFETY: the kernel reads `len` bytes of `attr`, which has as many, and what `info` points at, which
    // lives in the caller.
    let made = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), len) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new fd that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(made as i32) })
}
