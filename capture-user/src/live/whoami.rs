//! This process's id as the kernel counts it, also where it runs inside a pid namespace.

use super::load::{map_error, missing, refused};
use super::{error::LiveError, object, offsets};
use aya::{EbpfLoader, maps::Array, programs::BtfTracePoint};
use capture_common::abi;

/// Inode of the root pid namespace (PROC_PID_INIT_INO).
pub(super) const ROOT_PID_NS: &str = "pid:[4026531836]";

/// This process's id as the kernel counts it. Inside a pid namespace getpid tells another one: a
/// small program looks then.
pub(super) fn own_tgid(resolved: &offsets::Resolved, btf: &aya::Btf) -> Result<u64, LiveError> {
    if has_host_pids() {
        return Ok(u64::from(std::process::id()));
    }
    let mut object = object::read(None)?;
    object::patch(&mut object, 1 << 20, resolved.cast_kfunc)?;
    let mut loader = EbpfLoader::new();
    loader.btf(Some(btf));
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

#[expect(unsafe_code, reason = "a raw call with an argument that no wrapper would pass")]
fn call_whoami() {
    // SAFETY: getpgid of an impossible id: fails with ESRCH.
    unsafe { libc::syscall(libc::SYS_getpgid, abi::WHOAMI_MAGIC) };
}
