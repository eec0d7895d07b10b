//! This process's id as the kernel counts it, also where it runs inside a pid namespace, and what the
//! numbers in /proc mean.

use super::load::{map_error, missing, refused};
use super::{error::LiveError, object, offsets};
use aya::{EbpfLoader, maps::Array, programs::BtfTracePoint};
use capture_common::abi;

/// Inode of the root pid namespace (PROC_PID_INIT_INO).
pub(super) const ROOT_PID_NS: &str = "pid:[4026531836]";

/// This process's id as the kernel counts it. Inside a pid namespace getpid tells another one: a
/// small program looks then, loaded with the probe's `loader`, which sizes no maps yet.
pub(super) fn own_tgid<'a>(
    loader: &mut EbpfLoader<'a>,
    resolved: &'a offsets::Resolved,
    btf: &aya::Btf,
) -> Result<u64, LiveError> {
    if has_host_pids() {
        return Ok(u64::from(std::process::id()));
    }
    let mut object = object::read(None)?;
    object::patch(&mut object, 1 << 20, resolved.cast_kfunc)?;
    for (name, value) in &resolved.globals {
        loader.override_global(name, value, true);
    }
    let mut ebpf =
        loader.load(&object).map_err(|e| LiveError::Maps { ring_bytes: 0, source: Box::new(e) })?;
    let program: &mut BtfTracePoint = ebpf
        .program_mut("capture_whoami")
        .ok_or_else(|| missing("capture_whoami"))?
        .try_into()
        .map_err(|_| missing("capture_whoami"))?;
    program
        .load("sys_enter", btf)
        .and_then(|()| program.attach())
        .map_err(|e| refused("capture_whoami", &e))?;
    call_whoami();
    let map = ebpf.map("WHOAMI").ok_or_else(|| missing("map WHOAMI"))?;
    Array::<_, u64>::try_from(map).and_then(|m| m.get(&0, 0)).map_err(|e| map_error("WHOAMI", e))
}

/// Whether process ids mean to this process what they mean to the kernel.
pub(super) fn has_host_pids() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns.as_os_str() == ROOT_PID_NS)
}

/// Whose ids the folders of /proc are named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// The kernel's, as events have them.
    Kernel,
    /// Those of the pid namespace in which this process runs.
    Own,
    /// Those of a namespace in between.
    Other,
}

impl Numbers {
    /// Those of /proc.
    pub(super) fn of_proc() -> Numbers {
        let has_root = |ns: std::path::PathBuf| ns.as_os_str() == ROOT_PID_NS;
        // Its first process is the init of the namespace that it shows.
        if has_host_pids() || std::fs::read_link("/proc/1/ns/pid").is_ok_and(has_root) {
            return Numbers::Kernel;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if levels_in(&status) == Some(1) { Numbers::Own } else { Numbers::Other }
    }
}

/// How many pid namespaces there are from that of /proc to that of a process, by its status.
fn levels_in(status: &str) -> Option<usize> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(numbers.split_whitespace().count())
}

#[expect(unsafe_code, reason = "a raw call with an argument that no wrapper would pass")]
fn call_whoami() {
    // SAFETY: getpgid of an impossible id: fails with ESRCH.
    unsafe { libc::syscall(libc::SYS_getpgid, abi::WHOAMI_MAGIC) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_counted() {
        assert_eq!(levels_in("Name:\ta\nNSpid:\t7\nNSpgid:\t7\t1\n"), Some(1));
        assert_eq!(levels_in("Pid:\t9\nNSpid:\t900\t9\t1\n"), Some(3));
        assert_eq!(levels_in("Pid:\t9\n"), None);
    }
}
