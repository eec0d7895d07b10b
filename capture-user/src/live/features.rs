//! What the running kernel and this process's privileges allow, found out before anything is
//! loaded, so that a refusal is one clear sentence.

use super::{btf::Btf, error::LiveError, offsets};

/// Where the kernel shows its type information.
pub(crate) const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// First kernel with everything the probe uses (bpf_get_current_task_btf).
const FLOOR: (u32, u32) = (5, 11);
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Tracepoints without which nothing works.
const TRACEPOINTS: [&str; 5] =
    ["sys_enter", "sys_exit", "sched_process_exec", "sched_process_fork", "sched_process_exit"];

/// `uname -r`.
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |s| s.trim().to_owned())
}

/// Major and minor number of a release name.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Whether a kernel of this name is older than what live capture needs.
pub(super) fn is_too_old(release: &str) -> bool {
    version(release).is_some_and(|v| v < FLOOR)
}

/// Effective capabilities of this process; all for lack of /proc.
fn capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    hex.and_then(|h| u64::from_str_radix(h.trim(), 16).ok()).unwrap_or(u64::MAX)
}

/// Whether these capabilities allow tracing programs.
pub(super) fn may_trace(caps: u64) -> bool {
    let has = |cap: u32| caps >> cap & 1 != 0;
    has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))
}

/// Checks privileges, kernel version and whether there is type information.
///
/// # Errors
/// The first thing that is missing.
pub fn check() -> Result<(), LiveError> {
    if !may_trace(capabilities()) {
        return Err(LiveError::Privilege);
    }
    let release = kernel_release();
    if is_too_old(&release) {
        return Err(LiveError::OldKernel { release });
    }
    std::fs::File::open(BTF_PATH).map(drop).map_err(|_| LiveError::NoBtf { release })
}

/// The bytes of the kernel's type information.
///
/// # Errors
/// Where there is none.
pub(super) fn type_bytes() -> Result<Vec<u8>, LiveError> {
    std::fs::read(BTF_PATH).map_err(|_| LiveError::NoBtf { release: kernel_release() })
}

/// Checks that this kernel has the tracepoints and everything else that the probe reads, by its
/// type information. Needs no privileges. Returns the number of places found.
///
/// # Errors
/// The first thing that is missing.
pub fn check_structures() -> Result<usize, LiveError> {
    check_structures_at(BTF_PATH.as_ref())
}

/// The same of the type information in a file.
pub(super) fn check_structures_at(btf: &std::path::Path) -> Result<usize, LiveError> {
    let bytes = std::fs::read(btf).map_err(|_| LiveError::NoBtf { release: kernel_release() })?;
    let btf = Btf::parse(&bytes)?;
    check_tracepoints(&btf)?;
    Ok(offsets::resolve(&btf)?.globals.len())
}

/// Checks that the tracepoints are there.
pub(crate) fn check_tracepoints(btf: &Btf<'_>) -> Result<(), LiveError> {
    for name in TRACEPOINTS {
        if btf.typedef_id(&format!("btf_trace_{name}")).is_none() {
            return Err(LiveError::NoTracepoint { name, release: kernel_release() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_names() {
        assert_eq!(version("6.18.44-fc-v782"), Some((6, 18)));
        assert_eq!(version("5.4.0"), Some((5, 4)));
        assert!(version("5.10.0-8-amd64").is_some_and(|v| v < FLOOR));
        assert_eq!(version("strange"), None);
    }

    #[test]
    fn either_sys_admin_or_both_new_capabilities() {
        assert!(may_trace(1 << CAP_SYS_ADMIN));
        assert!(may_trace(1 << CAP_BPF | 1 << CAP_PERFMON));
        assert!(!may_trace(1 << CAP_BPF));
        assert!(!may_trace(0));
    }
}
