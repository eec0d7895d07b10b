//! What this kernel and this user can do: one finding per thing that live capture needs or makes
//! use of. The last one records a call of this very process, so that "works" is seen and not
//! concluded.
//!
//! Nothing is changed on the machine. What is missing is said with one sentence on what to do.

use super::btf::Btf;
use super::iterators::Iterators;
use super::snapshot::{self, Roots};
use super::{Collector, Item, LiveOptions, ProbeOptions, features};
use capture_common::abi::kind;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Live capture works, with less.
    Limited,
    /// Live capture does not work.
    Missing,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Missing => "MISSING",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The thing.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, in one sentence, where it is not as it should be.
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Finding { what, state: State::Ok, found: found.into(), advice: None }
    }

    /// Something is less than it could be.
    pub fn limited(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { what, state: State::Limited, found: found.into(), advice: Some(advice.into()) }
    }

    /// Nothing works without.
    pub fn missing(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { what, state: State::Missing, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Everything that is looked at in files, in the order of printing.
const CHECKS: &[fn(&Roots) -> Finding] = &[
    kernel,
    type_information,
    tracepoints,
    structures,
    capabilities,
    lockdown,
    seccomp,
    jit,
    bpf_file_system,
    perf_and_tracefs,
    process_table,
    pid_namespace,
    cgroups,
];

/// Tracepoints that options need, beside those that nothing works without.
const OPTIONAL_TRACEPOINTS: &[(&str, &str)] = &[
    ("signal_deliver", "delivered signals"),
    ("sched_switch", "--switches"),
    ("sched_process_free", "--pid"),
    ("page_fault_user", "--page-faults"),
    ("page_fault_kernel", "--page-faults"),
    ("io_uring_submit_req", "io_uring operations"),
    ("io_uring_complete", "io_uring operations"),
];

/// Capabilities that live capture makes use of, by number: name and what for.
const USEFUL_CAPABILITIES: &[(u32, &str, &str)] = &[
    (2, "CAP_DAC_READ_SEARCH", "files of other users under /proc"),
    (19, "CAP_SYS_PTRACE", "open files and environments of other users' processes"),
    (23, "CAP_SYS_NICE", "the priority that keeps a busy machine from overtaking the capture"),
];

/// Looks at everything.
pub fn examine() -> Vec<Finding> {
    let mut findings = examine_files(&Roots::default());
    findings.extend(record_a_call());
    findings
}

/// Looks at what the files of `roots` tell.
pub fn examine_files(roots: &Roots) -> Vec<Finding> {
    CHECKS.iter().map(|check| check(roots)).collect()
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A line of /proc/self/status.
fn status(roots: &Roots, name: &str) -> Option<String> {
    let status = text(&roots.proc.join("self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn kernel(roots: &Roots) -> Finding {
    const WHAT: &str = "kernel";
    let Some(release) = text(&roots.proc.join("sys/kernel/osrelease")) else {
        return Finding::limited(WHAT, "unknown", "Mount /proc.");
    };
    if features::is_too_old(&release) {
        return Finding::missing(WHAT, release, "Live capture needs Linux 5.11 or newer.");
    }
    Finding::ok(WHAT, format!("Linux {release}"))
}

fn btf_path(roots: &Roots) -> std::path::PathBuf {
    roots.sys.join("kernel/btf/vmlinux")
}

fn type_information(roots: &Roots) -> Finding {
    const WHAT: &str = "type information";
    match fs::read(btf_path(roots)) {
        Ok(bytes) if Btf::parse(&bytes).is_err() => {
            Finding::missing(WHAT, "damaged", "Report this kernel, or boot another one.")
        }
        Ok(bytes) => Finding::ok(WHAT, format!("BTF, {} kB", bytes.len() / 1024)),
        Err(error) => Finding::missing(
            WHAT,
            format!("/sys/kernel/btf/vmlinux: {error}"),
            "Use a kernel built with CONFIG_DEBUG_INFO_BTF=y (those of the distributions are), and mount /sys.",
        ),
    }
}

fn tracepoints(roots: &Roots) -> Finding {
    const WHAT: &str = "tracepoints";
    let Ok(bytes) = fs::read(btf_path(roots)) else {
        return Finding::missing(WHAT, "not known without type information", "See there.");
    };
    let Ok(btf) = Btf::parse(&bytes) else {
        return Finding::missing(WHAT, "the type information is damaged", "Report this kernel.");
    };
    if let Err(error) = features::check_tracepoints(&btf) {
        return Finding::missing(WHAT, error.to_string(), "Use a kernel with CONFIG_FTRACE_SYSCALLS=y.");
    }
    let has = |name: &str| btf.typedef_id(&format!("btf_trace_{name}")).is_some();
    let lacking = OPTIONAL_TRACEPOINTS.iter().filter(|(name, _)| !has(name));
    let lacking: Vec<String> = lacking.map(|(name, option)| format!("{name} ({option})")).collect();
    if lacking.is_empty() {
        Finding::ok(WHAT, "all, for programs with types (tp_btf)")
    } else {
        Finding::limited(
            WHAT,
            format!("without {}", lacking.join(", ")),
            "Do without these, or use a newer kernel.",
        )
    }
}

fn structures(roots: &Roots) -> Finding {
    const WHAT: &str = "kernel structures";
    match features::check_structures_at(&btf_path(roots)) {
        Ok(places) => Finding::ok(WHAT, format!("{places} places found")),
        Err(error) => Finding::missing(WHAT, error.to_string(), "Report this kernel: capture must learn it."),
    }
}

fn capabilities(roots: &Roots) -> Finding {
    const WHAT: &str = "capabilities";
    let caps = status(roots, "CapEff").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    let Some(caps) = caps else {
        return Finding::limited(WHAT, "/proc/self/status cannot be read", "Mount /proc.");
    };
    if !features::may_trace(caps) {
        return Finding::missing(
            WHAT,
            "neither CAP_SYS_ADMIN nor both of CAP_BPF and CAP_PERFMON",
            "Run capture with sudo, or give the program the rights: setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep capture.",
        );
    }
    let lacking = USEFUL_CAPABILITIES.iter().filter(|(bit, ..)| caps >> bit & 1 == 0);
    let lacking: Vec<String> = lacking.map(|(_, name, what)| format!("{name} ({what})")).collect();
    if lacking.is_empty() {
        return Finding::ok(WHAT, "all that capture makes use of");
    }
    Finding::limited(WHAT, format!("without {}", lacking.join(", ")), "Run capture as root for these.")
}

fn lockdown(roots: &Roots) -> Finding {
    const WHAT: &str = "lockdown";
    let Some(modes) = text(&roots.sys.join("kernel/security/lockdown")) else {
        return Finding::ok(WHAT, "none to be seen");
    };
    let mode = modes.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("none").to_owned();
    if mode == "confidentiality" {
        return Finding::missing(
            WHAT,
            mode,
            "Boot without lockdown=confidentiality, in which the kernel refuses to let programs read its memory.",
        );
    }
    Finding::ok(WHAT, mode)
}

fn seccomp(roots: &Roots) -> Finding {
    const WHAT: &str = "seccomp";
    match status(roots, "Seccomp").as_deref() {
        Some("2") => Finding::limited(
            WHAT,
            "this process runs under a filter",
            "If the probe below is refused, let the container run without its seccomp profile (--security-opt seccomp=unconfined).",
        ),
        _ => Finding::ok(WHAT, "no filter"),
    }
}

fn jit(roots: &Roots) -> Finding {
    const WHAT: &str = "compiler of programs";
    match text(&roots.proc.join("sys/net/core/bpf_jit_enable")).as_deref() {
        Some("0") => Finding::limited(
            WHAT,
            "off: programs are interpreted",
            "Turn it on for a probe that is several times faster: sysctl net.core.bpf_jit_enable=1.",
        ),
        Some(_) => Finding::ok(WHAT, "on"),
        None => Finding::ok(WHAT, "not to be seen (on in most kernels)"),
    }
}

/// Type, options and place of every mount.
fn mounts(roots: &Roots) -> Vec<(String, String, String)> {
    let text = text(&roots.proc.join("self/mounts")).unwrap_or_default();
    let fields = |line: &str| {
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        Some((kind, options, place))
    };
    text.lines().filter_map(fields).collect()
}

fn bpf_file_system(roots: &Roots) -> Finding {
    let mounted = mounts(roots).into_iter().find(|(kind, ..)| kind == "bpf");
    let found = mounted
        .map_or("not mounted (not needed)".to_owned(), |(.., place)| format!("at {place} (not needed)"));
    Finding::ok("bpf file system", found)
}

fn perf_and_tracefs(roots: &Roots) -> Finding {
    let has_tracefs = mounts(roots).iter().any(|(kind, ..)| kind == "tracefs");
    let paranoid =
        text(&roots.proc.join("sys/kernel/perf_event_paranoid")).unwrap_or_else(|| "unknown".to_owned());
    let tracefs = if has_tracefs { "mounted" } else { "not mounted" };
    Finding::ok("tracefs and perf", format!("{tracefs}; perf_event_paranoid {paranoid} (neither is needed)"))
}

fn process_table(roots: &Roots) -> Finding {
    const WHAT: &str = "process table";
    let Ok(entries) = fs::read_dir(&roots.proc) else {
        return Finding::missing(WHAT, "/proc cannot be listed", "Mount /proc.");
    };
    let pids = entries.flatten().filter(|e| e.file_name().to_str().is_some_and(|n| n.parse::<u32>().is_ok()));
    let (mut all, mut closed) = (0, 0);
    for process in pids {
        all += 1;
        closed += u32::from(fs::read_dir(process.path().join("fd")).is_err());
    }
    let hides = mounts(roots).into_iter().any(|(kind, options, place)| {
        kind == "proc"
            && place == "/proc"
            && options.split(',').any(|o| o.starts_with("hidepid=") && o != "hidepid=0")
    });
    if hides && status(roots, "Uid").is_some_and(|uids| !uids.starts_with('0')) {
        return Finding::limited(
            WHAT,
            format!("{all} processes to be seen, others are hidden"),
            "Run capture as root, or mount /proc without hidepid.",
        );
    }
    // Not even root may look at every process: a sandboxed init, or one that ends just now.
    if closed > all / 10 {
        let found = format!("{all} processes, the open files of {closed} cannot be listed");
        return Finding::limited(
            WHAT,
            found,
            "Run capture as root (or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH) to know the names of files that were open before.",
        );
    }
    Finding::ok(WHAT, format!("{all} processes"))
}

fn pid_namespace(roots: &Roots) -> Finding {
    const WHAT: &str = "pid namespace";
    match fs::read_link(roots.proc.join("self/ns/pid")) {
        Ok(link) if link.as_os_str() == super::whoami::ROOT_PID_NS => Finding::ok(WHAT, "the host's"),
        Ok(_) => Finding::limited(
            WHAT,
            "one of its own",
            "Run capture on the host (nsenter -t 1 -p -m) to know the processes outside this namespace from the start on.",
        ),
        Err(error) => Finding::limited(WHAT, error.to_string(), "Mount /proc."),
    }
}

fn cgroups(roots: &Roots) -> Finding {
    const WHAT: &str = "cgroups";
    let mounts = mounts(roots);
    let has = |wanted: &str| mounts.iter().any(|(kind, ..)| kind == wanted);
    match (has("cgroup2"), has("cgroup")) {
        (true, true) => Finding::ok(WHAT, "version 1 and 2"),
        (true, false) => Finding::ok(WHAT, "version 2"),
        (false, true) => Finding::ok(WHAT, "version 1"),
        (false, false) => {
            Finding::limited(WHAT, "not mounted", "Mount /sys/fs/cgroup, from which containers are known.")
        }
    }
}

/// Loads and attaches the probe and looks for a call of this process in the rings.
fn record_a_call() -> Vec<Finding> {
    const PROBE: &str = "probe";
    const CALL: &str = "first event";
    const PATIENCE: Duration = Duration::from_secs(5);
    let started = Instant::now();
    let probe = ProbeOptions { exclude_self: false, ring_bytes: Some(1 << 20), ..ProbeOptions::default() };
    let mut collector = match Collector::open(&LiveOptions { probe }) {
        Ok(collector) => collector,
        Err(error) => return vec![Finding::missing(PROBE, error.to_string(), "See the lines above.")],
    };
    let loaded =
        Finding::ok(PROBE, format!("loaded, mapped and attached in {} ms", started.elapsed().as_millis()));
    let loaded = [loaded, start_state(collector.probe().take_iterators())];
    let with = |finding| loaded.iter().cloned().chain([finding]).collect();
    let called = Instant::now();
    while called.elapsed() < PATIENCE {
        // Any call does, and getppid has no other effect.
        let _ = std::os::unix::process::parent_id();
        let mut seen = false;
        let mut look = |item: Item<'_>| {
            if let Item::Record(record) = item {
                seen |= matches!(record.view.header.kind, kind::ENTER | kind::EXIT);
            }
        };
        match collector.drain(&mut look) {
            Err(error) => {
                return with(Finding::missing(CALL, error.to_string(), "Report this kernel."));
            }
            Ok(_) if seen => {
                let found = format!("recorded {} ms after the start", started.elapsed().as_millis());
                return with(Finding::ok(CALL, found));
            }
            Ok(pause) => std::thread::sleep(pause),
        }
    }
    let advice = "Report this kernel: its tracepoints are attached and say nothing.";
    with(Finding::missing(CALL, "none within 5 s", advice))
}

/// Reads threads and fds as a capture does at its start.
fn start_state(iterators: Result<Iterators, String>) -> Finding {
    const WHAT: &str = "start state";
    const ADVICE: &str = "Nothing is missing for that, but it takes longer where there are thousands of threads and open files.";
    match iterators.map(snapshot::take_with) {
        Ok(Ok(taken)) => match taken.start.without_iterators {
            None => {
                let snapshot::StartState { threads, fds, left_out, .. } = taken.start;
                let found = format!(
                    "{threads} threads, {fds} fds by BPF iterators; {left_out} processes that they left out"
                );
                Finding::ok(WHAT, found)
            }
            Some(why) => Finding::limited(WHAT, format!("from /proc: {why}"), ADVICE),
        },
        Ok(Err(error)) => Finding::missing(WHAT, error.to_string(), "Mount /proc."),
        Err(why) => Finding::limited(WHAT, format!("from /proc: {why}"), ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of files: path and content.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<Finding>) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let roots =
            Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys"), etc: dir.path().join("etc") };
        let findings = examine_files(&roots);
        (dir, findings)
    }

    fn check(files: &[(&str, &str)], what: &str, state: State, says: &str) {
        let (_dir, findings) = machine(files);
        let finding = findings.iter().find(|f| f.what == what).unwrap_or_else(|| panic!("no {what}"));
        assert_eq!(finding.state, state, "{finding:?}");
        let all = format!("{} {}", finding.found, finding.advice.as_deref().unwrap_or(""));
        assert!(all.contains(says), "{all}");
        assert_eq!(finding.advice.is_none(), state == State::Ok);
    }

    #[test]
    fn kernels_with_features_masked_off() {
        let release = "proc/sys/kernel/osrelease";
        check(&[(release, "5.10.0-8-amd64\n")], "kernel", State::Missing, "5.11");
        check(&[(release, "6.1.0\n")], "kernel", State::Ok, "6.1.0");
        check(&[], "type information", State::Missing, "CONFIG_DEBUG_INFO_BTF");
        check(&[("sys/kernel/btf/vmlinux", "not it")], "kernel structures", State::Missing, "damaged");
        let lockdown = "sys/kernel/security/lockdown";
        check(
            &[(lockdown, "none integrity [confidentiality]\n")],
            "lockdown",
            State::Missing,
            "Boot without",
        );
        check(&[(lockdown, "none [integrity] confidentiality\n")], "lockdown", State::Ok, "integrity");
        let jit = "proc/sys/net/core/bpf_jit_enable";
        check(&[(jit, "0\n")], "compiler of programs", State::Limited, "bpf_jit_enable=1");
    }

    #[test]
    fn users_with_less() {
        let status = "proc/self/status";
        check(&[(status, "CapEff:\t0000000000000000\n")], "capabilities", State::Missing, "setcap");
        check(&[(status, "CapEff:\t000000c000000000\n")], "capabilities", State::Limited, "CAP_SYS_PTRACE");
        check(&[(status, "CapEff:\t000001ffffffffff\n")], "capabilities", State::Ok, "all");
        check(&[(status, "Seccomp:\t2\n")], "seccomp", State::Limited, "unconfined");
    }

    #[test]
    fn mounts_of_all_kinds() {
        let mounts = "proc/self/mounts";
        let cgroup2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        check(&[(mounts, cgroup2)], "cgroups", State::Ok, "version 2");
        check(&[(mounts, "")], "cgroups", State::Limited, "not mounted");
        check(&[(mounts, "bpf /sys/fs/bpf bpf rw 0 0\n")], "bpf file system", State::Ok, "/sys/fs/bpf");
        let hiding =
            [(mounts, "proc /proc proc rw,hidepid=2 0 0\n"), ("proc/self/status", "Uid:\t1000 1000\n")];
        check(&hiding, "process table", State::Limited, "hidepid");
    }
}
