//! Conservation: what was produced is written or declared lost, to the last record; and at a
//! paced million events a second nothing is lost.

use capture_common::event_table::code;
use capture_tests::live::{self, Capture, Summary};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// Records that each dd copies.
const DD_COUNT: u64 = 3_000_000;
/// Calls a second of the paced load, each an enter and an exit event.
const PACED_CALLS_PER_S: u64 = 500_000;
/// Length of the paced load.
const PACED_S: u64 = 6;
/// The pace counts as reached from this share of it on.
const PACE_REACHED: f64 = 0.98;
/// What memory may grow by in the second half of the load: a batch more in the queue, no trend.
const MEMORY_SLACK_KB: u64 = 16 << 10;
/// dd works on descriptors 0 and 1; its loader reads from others.
const FROM_FD: i64 = 0;
const TO_FD: i64 = 1;

/// What a file says about calls and losses.
#[derive(Debug, Default)]
struct Told {
    events: u64,
    /// Enters and exits by thread and call.
    calls: HashMap<(i64, &'static str), [u64; 2]>,
    /// Declared losses by cause: markers, records, enters among them.
    losses: HashMap<String, [u64; 3]>,
}

impl Told {
    fn read(file: &Path) -> Told {
        let mut told = Told::default();
        let end = live::read_events(file, |event| {
            told.events += 1;
            if let Some(loss) = live::declared_loss(event) {
                let sums = told.losses.entry(loss.cause).or_default();
                *sums = [sums[0] + 1, sums[1] + loss.count, sums[2] + loss.enters];
                return;
            }
            let call = match event.code {
                code::SYSCALL_READ_E | code::SYSCALL_READ_X => "read",
                code::SYSCALL_WRITE_E | code::SYSCALL_WRITE_X => "write",
                code::GENERIC_E | code::GENERIC_X => "generic",
                _ => return,
            };
            // The exit says the fd behind result and data; the enter says it first.
            let fd = event.int(if event.code.is_exit() { 2 } else { 0 });
            let is_copy = match call {
                "read" => fd == Some(FROM_FD),
                "write" => fd == Some(TO_FD),
                _ => true,
            };
            if is_copy {
                told.calls.entry((event.tid, call)).or_default()[usize::from(event.code.is_exit())] += 1;
            }
        });
        end.expect("the file reads to its end");
        told
    }

    fn of(&self, tid: u32, call: &'static str) -> [u64; 2] {
        self.calls.get(&(i64::from(tid), call)).copied().unwrap_or_default()
    }

    /// Records that the stream says are missing, and the enters among them.
    fn lost(&self) -> [u64; 2] {
        self.losses.values().fold([0, 0], |sum, loss| [sum[0] + loss[1], sum[1] + loss[2]])
    }
}

/// The stream, the file and the summary say the same; the law of every CPU.
fn check_conservation(told: &Told, summary: &Summary) {
    assert_eq!(told.events, summary.events, "events in the file");
    assert_eq!(summary.events, summary.written, "events written");
    assert_eq!(told.lost()[0], summary.lost, "losses in the stream and in the summary: {told:?}");
    for [seen, recorded, dropped, ..] in &summary.cpus {
        assert_eq!(*seen, recorded + dropped, "produced = written + lost: {summary:?}");
    }
}

/// The CPUs that this process may use.
fn cpus() -> Vec<usize> {
    // SAFETY: an all-zero set is a valid one, and the call fills it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        set
    };
    // SAFETY: the set is whole and the number inside it.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

fn start_dd(taskset: &PathBuf, cpu: usize) -> Child {
    // taskset execs dd: the process stays the same.
    Command::new(taskset)
        .args(["-c", &cpu.to_string(), "dd", "if=/dev/zero", "of=/dev/null", "bs=1"])
        .arg(format!("count={DD_COUNT}"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dd starts")
}

/// The records that dd says it read and wrote.
fn dd_counts(stderr: &str) -> [u64; 2] {
    let count = |what: &str| {
        let line = stderr.lines().find(|line| line.ends_with(what)).expect("dd says how many");
        line.split_once("+0 ").and_then(|(n, _)| n.parse().ok()).expect("whole records")
    };
    [count("records in"), count("records out")]
}

#[test]
fn two_dd_at_full_speed_are_accounted_for() {
    let name = "two_dd_at_full_speed_are_accounted_for";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let Some(taskset) = capture_tests::installed("taskset", name) else { return };
    if capture_tests::installed("dd", name).is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("dd.scap");
    let _turn = live::turn();
    let capture = Capture::to_file(CAPTURE, &file, &[]);
    let cpus = cpus();
    let started = std::time::Instant::now();
    let dds: Vec<Child> = (0..2).map(|n| start_dd(&taskset, cpus[n % cpus.len()])).collect();
    let dds: Vec<(u32, [u64; 2])> = dds
        .into_iter()
        .map(|dd| {
            let pid = dd.id();
            let out = dd.wait_with_output().expect("dd ends");
            (pid, dd_counts(&String::from_utf8_lossy(&out.stderr)))
        })
        .collect();
    let seconds = started.elapsed().as_secs_f64();
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    let told = Told::read(&file);
    let summary = Summary::parse(&ended.stderr);
    let rate = summary.sum(0) as f64 / seconds;
    println!("full speed: {rate:.0} records/s for {seconds:.1} s\n{}{:?}", ended.stderr, told.losses);
    check_conservation(&told, &summary);

    let mut missing = [0, 0];
    for (pid, counts) in &dds {
        assert_eq!(*counts, [DD_COUNT; 2], "dd itself");
        for (call, made) in ["read", "write"].into_iter().zip(counts) {
            let [enters, exits] = told.of(*pid, call);
            println!("dd {pid}: {made} {call}s made, {enters} enters and {exits} exits in the file");
            assert!(enters <= *made && exits <= *made, "more {call}s than made");
            missing = [missing[0] + made - enters, missing[1] + made - exits];
        }
    }
    // Of losses whose kind is not known ("nested", "skipped") enters are not counted apart.
    let [lost, lost_enters] = told.lost();
    let others = lost - (missing[0] + missing[1]).min(lost);
    println!(
        "missing {missing:?} (enters, exits), declared {lost} ({lost_enters} enters), {others} of other processes"
    );
    assert!(missing[0] + missing[1] <= lost, "{missing:?} records of dd are missing, {lost} declared");
    let unknown: u64 = told.losses.iter().filter(|(cause, _)| *cause != "ring_full").map(|(_, l)| l[1]).sum();
    assert!(missing[0] <= lost_enters + unknown, "enters: {missing:?} of {:?}", told.losses);
    assert!(missing[1] <= lost - lost_enters, "exits: {missing:?} of {:?}", told.losses);
    println!("loss at full speed: {:.4} %", lost as f64 / (summary.sum(0) + summary.sum(3)) as f64 * 100.0);
}

#[test]
fn nothing_is_lost_at_a_paced_million_events_a_second() {
    let name = "nothing_is_lost_at_a_paced_million_events_a_second";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(paced) = live::compile("paced", dir.path(), name) else { return };
    let file = dir.path().join("paced.scap");
    let _turn = live::turn();
    let mut capture = Capture::to_file(CAPTURE, &file, &[]);
    let recorder = capture.child().id();
    let load = Command::new(paced)
        .args([PACED_CALLS_PER_S.to_string(), PACED_S.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the load starts");
    // Memory in the first and in the second half.
    let halves = [0, 1].map(|_| {
        let half_ends = std::time::Instant::now() + std::time::Duration::from_millis(PACED_S * 500);
        let mut most_kb = 0;
        while std::time::Instant::now() < half_ends {
            most_kb = most_kb.max(live::rss_kib(recorder).unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        most_kb
    });
    let out = load.wait_with_output().expect("the load ends");
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    let summary = Summary::parse(&ended.stderr);
    let told = Told::read(&file);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let numbers: Vec<u64> = said.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    let [calls, took_ns] = numbers[..] else { panic!("the load said {said:?}") };
    let events_per_s = 2e9 * calls as f64 / took_ns as f64;
    println!("paced: {events_per_s:.0} events/s for {:.1} s\n{}", took_ns as f64 / 1e9, ended.stderr);
    println!("at most {} kB resident in the first half, {} kB in the second", halves[0], halves[1]);
    check_conservation(&told, &summary);
    let share = events_per_s / (2 * PACED_CALLS_PER_S) as f64;
    if share < PACE_REACHED {
        let reason =
            format!("the machine is too loaded: only {events_per_s:.0} events/s, {} lost", summary.lost);
        return capture_tests::skip(name, &reason);
    }
    assert_eq!(summary.lost, 0, "{}", ended.stderr);
    assert!(halves[1] < halves[0] + MEMORY_SLACK_KB, "memory grows: {halves:?} kB");
    let generic = told.calls.iter().filter(|((_, call), _)| *call == "generic").map(|(_, n)| n);
    let [enters, exits] = generic.fold([0, 0], |sum, n| [sum[0] + n[0], sum[1] + n[1]]);
    println!("{calls} calls made; in the file {enters} enters and {exits} exits of calls without parameters");
    assert!(enters >= calls && exits >= calls);
}
