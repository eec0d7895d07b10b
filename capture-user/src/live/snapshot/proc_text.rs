//! The text of /proc/PID/stat, status, cgroup and limits (proc(5)) as values.
//!
//! Missing or strange fields keep their preset; nothing here fails.

/// What /proc/PID/stat says.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(in crate::live) struct Stat {
    pub(super) comm: Vec<u8>,
    pub(in crate::live) state: u8,
    pub(in crate::live) ppid: i64,
    pub(super) pgrp: i64,
    pub(super) session: i64,
    pub(super) tty: u32,
    pub(super) is_kernel_thread: bool,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    /// Clock ticks in user mode and in the kernel.
    pub(super) cpu_ticks: [u64; 2],
    pub(in crate::live) num_threads: u64,
    /// Clock ticks between boot and the thread's start.
    pub(super) start_ticks: u64,
}

/// Flag of kernel threads in field 9 of stat.
const PF_KTHREAD: u64 = 0x0020_0000;

/// `None` if the text is no stat line at all.
pub(in crate::live) fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name may hold parentheses and blanks itself.
    let open = text.iter().position(|&b| b == b'(')?;
    let close = text.iter().rposition(|&b| b == b')')?;
    let comm = text.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    // Field 3 (state) comes first here.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let signed = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<i64>().ok()).unwrap_or(0);
    let number = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Some(Stat {
        comm,
        state: fields.first()?.bytes().next()?,
        ppid: signed(4),
        pgrp: signed(5),
        session: signed(6),
        tty: signed(7) as u32,
        is_kernel_thread: number(9) & PF_KTHREAD != 0,
        minor_faults: number(10),
        major_faults: number(12),
        cpu_ticks: [number(14), number(15)],
        num_threads: number(20),
        start_ticks: number(22),
    })
}

/// What /proc/PID/status says.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Status {
    pub(super) ppid: i64,
    pub(super) euid: u32,
    pub(super) egid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) vm_size_kb: u32,
    pub(super) vm_rss_kb: u32,
    pub(super) vm_swap_kb: u32,
    /// Native capability sets: inheritable, permitted, effective.
    pub(super) caps: [u64; 3],
    /// Ids in the thread's own pid namespace; `None` before kernel 4.1.
    pub(super) vtid: Option<i64>,
    pub(super) vpid: Option<i64>,
    pub(super) vpgid: Option<i64>,
}

/// Row per line of status that is used.
type SetField = fn(&mut Status, &str);
const STATUS_LINES: &[(&str, SetField)] = &[
    ("PPid:", |s, v| s.ppid = word(v, 0).unwrap_or(0)),
    ("Uid:", |s, v| s.euid = word(v, 1).unwrap_or(0)),
    ("Gid:", |s, v| s.egid = word(v, 1).unwrap_or(0)),
    ("Groups:", |s, v| s.groups = v.split_ascii_whitespace().filter_map(|g| g.parse().ok()).collect()),
    ("NStgid:", |s, v| s.vpid = last(v)),
    ("NSpid:", |s, v| s.vtid = last(v)),
    ("NSpgid:", |s, v| s.vpgid = last(v)),
    ("VmSize:", |s, v| s.vm_size_kb = word(v, 0).unwrap_or(0)),
    ("VmRSS:", |s, v| s.vm_rss_kb = word(v, 0).unwrap_or(0)),
    ("VmSwap:", |s, v| s.vm_swap_kb = word(v, 0).unwrap_or(0)),
    ("CapInh:", |s, v| s.caps[0] = hex(v)),
    ("CapPrm:", |s, v| s.caps[1] = hex(v)),
    ("CapEff:", |s, v| s.caps[2] = hex(v)),
];

pub(super) fn parse_status(text: &[u8]) -> Status {
    let mut status = Status {
        ppid: 0,
        euid: 0,
        egid: 0,
        groups: Vec::new(),
        vm_size_kb: 0,
        vm_rss_kb: 0,
        vm_swap_kb: 0,
        caps: [0; 3],
        vtid: None,
        vpid: None,
        vpgid: None,
    };
    for line in text.split(|&b| b == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if let Some((key, set)) = STATUS_LINES.iter().find(|(key, _)| line.starts_with(key)) {
            set(&mut status, &line[key.len()..]);
        }
    }
    status
}

fn word<T: std::str::FromStr>(value: &str, at: usize) -> Option<T> {
    value.split_ascii_whitespace().nth(at)?.parse().ok()
}

fn last(value: &str) -> Option<i64> {
    value.split_ascii_whitespace().next_back()?.parse().ok()
}

fn hex(value: &str) -> u64 {
    u64::from_str_radix(value.trim(), 16).unwrap_or(0)
}

/// Subsystems that stand for the one path of a version-2 hierarchy, as in the events' cgroups.
const UNIFIED_SUBSYSTEMS: [&str; 5] = ["cpuset", "cpu", "cpuacct", "io", "memory"];

/// `subsystem=path`, each followed by NUL, from /proc/PID/cgroup.
pub(super) fn parse_cgroups(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut has_controllers = false;
    let mut unified = None;
    let mut put = |subsystem: &[u8], path: &[u8]| {
        out.extend_from_slice(subsystem);
        out.push(b'=');
        out.extend_from_slice(path);
        out.push(0);
    };
    for line in text.split(|&b| b == b'\n') {
        // hierarchy:subsystem,subsystem:path, where the path may hold colons.
        let mut parts = line.splitn(3, |&b| b == b':');
        let (Some(_), Some(subsystems), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if subsystems.is_empty() {
            unified = Some(path);
            continue;
        }
        has_controllers |= !subsystems.starts_with(b"name=");
        subsystems.split(|&b| b == b',').for_each(|subsystem| put(subsystem, path));
    }
    // Beside controllers of version 1 the unified hierarchy has none.
    if let (Some(path), false) = (unified, has_controllers) {
        UNIFIED_SUBSYSTEMS.iter().for_each(|subsystem| put(subsystem.as_bytes(), path));
    }
    out
}

/// Soft limit of open files from /proc/PID/limits; -1 unlimited or unknown.
pub(super) fn parse_fd_limit(text: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|l| l.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(-1)
}

/// argv\[0\] and the rest of /proc/PID/cmdline, each argument followed by NUL.
pub(super) fn parse_cmdline(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    let rest = text.get(end + 1..).unwrap_or(&[]);
    // A process that renamed itself leaves NULs where its arguments were.
    let used = rest.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    let mut args = rest[..used].to_vec();
    if used > 0 {
        args.push(0);
    }
    (text[..end].to_vec(), args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let line = b"42 (a) b (c) S 1 40 39 34816 -1 4194304 98 5 7 0 0 0 0 0 20 0 3 0 313319 3133440 358\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.comm, b"a) b (c");
        assert_eq!((stat.state, stat.pgrp, stat.session, stat.tty), (b'S', 40, 39, 34816));
        assert_eq!((stat.minor_faults, stat.major_faults), (98, 7));
        assert_eq!((stat.num_threads, stat.start_ticks, stat.is_kernel_thread), (3, 313_319, false));
        assert!(parse_stat(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0").unwrap().is_kernel_thread);
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"1 )x("), None);
    }

    #[test]
    fn stat_has_both_times_whatever_the_name() {
        let cpu_ticks = |text: &[u8]| parse_stat(text).map(|stat| stat.cpu_ticks);
        let stat = b"12 (a) b (c) R 1 2 3 4 5 4194304 10 11 12 13 101 202 0 0 20 0 1 0 5\n";
        assert_eq!(cpu_ticks(stat), Some([101, 202]));
        assert_eq!(cpu_ticks(b"12 (a"), None);
        assert_eq!(cpu_ticks(b""), None);
    }

    #[test]
    fn status_lines() {
        let s = parse_status(
            b"Name:\tx\nPPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 \nNStgid:\t99\t3\nNSpid:\t100\t4\n\
            NSpgid:\t98\t2\nVmSize:\t  3060 kB\nVmRSS:\t 1712 kB\nVmSwap:\t 1 kB\nCapEff:\t000001fffeffffff\n",
        );
        assert_eq!((s.ppid, s.euid, s.egid, &s.groups[..]), (7, 2, 6, &[10, 20][..]));
        assert_eq!((s.vpid, s.vtid, s.vpgid), (Some(3), Some(4), Some(2)));
        assert_eq!((s.vm_size_kb, s.vm_rss_kb, s.vm_swap_kb), (3060, 1712, 1));
        assert_eq!(s.caps, [0, 0, 0x1ff_feff_ffff]);
    }

    #[test]
    fn cgroups_of_both_versions() {
        let check = |text: &[u8], expected: &str| {
            assert_eq!(String::from_utf8(parse_cgroups(text)).unwrap().replace('\0', "|"), expected);
        };
        check(b"2:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/\n", "cpu=/a:b|cpuacct=/a:b|name=systemd=/|");
        check(b"0::/x\n", "cpuset=/x|cpu=/x|cpuacct=/x|io=/x|memory=/x|");
        check(b"1:name=systemd:/s\n0::/x\n", "name=systemd=/s|cpuset=/x|cpu=/x|cpuacct=/x|io=/x|memory=/x|");
        check(b"", "");
    }

    #[test]
    fn limits_and_command_lines() {
        assert_eq!(
            parse_fd_limit(b"Max cpu time   1 2 s\nMax open files            20000   30000  files\n"),
            20000
        );
        assert_eq!(parse_fd_limit(b"Max open files   unlimited   unlimited  files\n"), -1);
        assert_eq!(parse_cmdline(b"ls\0-l\0\0x\0"), (b"ls".to_vec(), b"-l\0\0x\0".to_vec()));
        assert_eq!(parse_cmdline(b"nginx: worker\0\0\0\0"), (b"nginx: worker".to_vec(), vec![]));
        assert_eq!(parse_cmdline(b"no nul"), (b"no nul".to_vec(), vec![]));
        assert_eq!(parse_cmdline(b""), (vec![], vec![]));
    }
}
