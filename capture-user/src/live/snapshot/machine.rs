//! Machine info: CPUs, memory, highest pid, host name, boot time.

use super::Roots;
use capture_common::snapshot::MachineInfo;
use std::path::Path;

const NS_PER_S: u64 = 1_000_000_000;

/// Values that cannot be read stay 0 or empty.
pub(super) fn read(roots: &Roots) -> MachineInfo {
    let proc_text = |name: &str| text(&roots.proc.join(name));
    MachineInfo {
        num_cpus: count_cpus(&text(&roots.sys.join("devices/system/cpu/online"))),
        memory_bytes: after(&proc_text("meminfo"), "MemTotal:").unwrap_or(0) * 1024,
        max_pid: proc_text("sys/kernel/pid_max").trim().parse().unwrap_or(0),
        hostname: proc_text("sys/kernel/hostname").trim().as_bytes().to_vec(),
        boot_ts_ns: after(&proc_text("stat"), "btime").unwrap_or(0) * NS_PER_S,
        flags: 0,
    }
}

fn text(path: &Path) -> String {
    std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// The number behind `key` at the start of a line.
fn after(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// Number of CPUs in a list like `0-3,8`.
fn count_cpus(list: &str) -> u32 {
    let range = |part: &str| -> Option<u32> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    list.trim().split(',').filter_map(range).fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(count_cpus("0-1\n"), 2);
        assert_eq!(count_cpus("0,2-5,9"), 6);
        assert_eq!(count_cpus(""), 0);
        assert_eq!(count_cpus("5-2,x,1"), 1);
    }
}
