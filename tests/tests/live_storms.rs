//! The law of loss in storms: produced = written + declared lost + own calls left out + calls outside the
//! tree left out; also when rings overflow, and with a tree filter. Markers stand where the loss was, and
//! calls that change state survive longest.
//!
//! A storm takes two seconds here; `CAPTURE_STORM_SECONDS=60 cargo xtask storms` runs them longer.

use capture_common::event_table::{EventCode, code};
use capture_common::plan::{self, row_flag};
use capture_common::raw_event::RawEvent;
use capture_common::syscall_table;
use capture_tests::live::{self, Capture, Summary};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
const SECONDS_DEFAULT: u64 = 2;
/// Rings of 1 MiB that are looked at so rarely overflow in every storm.
const SHRUNK: [&str; 4] = ["--buffer", "1", "--drain-pause", "200"];
const THREADS: u64 = 3000;
const MANY_THREADS: u64 = 20_000;

/// Which calls a storm says that it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// Two dd: reads of descriptor 0 and writes of descriptor 1.
    Copies,
    /// Children: process ends.
    Children,
    /// Calls without parameters.
    Plain,
    /// Only the law holds.
    None,
}

/// How it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Whole,
    Shrunk,
    /// Rings that overflow, and only the storm's tree.
    ShrunkTree,
}

/// What a file says.
#[derive(Debug, Default)]
struct Told {
    /// Flags of the calls by the code of their exit.
    exits: HashMap<EventCode, u8>,
    events: u64,
    /// Enters and exits by thread of reads of descriptor 0, writes of descriptor 1, plain calls.
    copies: HashMap<i64, [u64; 4]>,
    plain: [u64; 2],
    ends: u64,
    /// Ends of calls and of processes that change state.
    stateful: u64,
    /// Declared: records, of these stateful ones, enters, and records of unknown kind.
    lost: [u64; 4],
    /// Time of the last record of each CPU.
    last_ns: HashMap<u16, u64>,
    /// Markers with a beginning, and those of them that have an event of their CPU behind that.
    markers: [u64; 2],
}

impl Told {
    fn read(file: &Path) -> Told {
        let row = |call: &syscall_table::Syscall| (call.exit, plan::row(call.name).flags);
        let exits = syscall_table::X86_64.iter().map(row).filter(|(exit, _)| *exit != code::GENERIC_X);
        let mut told = Told { exits: exits.collect(), ..Told::default() };
        live::read_events(file, |event| told.event(event)).expect("the file reads to its end");
        told
    }

    fn event(&mut self, event: &RawEvent<'_>) {
        self.events += 1;
        if live::declared_loss(event).is_some() {
            return self.loss(event.text(2).expect("its detail"));
        }
        // What belongs to no thread, what was read again, and samples were no records of that CPU.
        if event.tid < 0 || event.is_state_only() || event.code == code::PROCINFO_E {
            return;
        }
        self.last_ns.insert(event.cpu, event.ts_ns);
        let side = usize::from(event.code.is_exit());
        let fd = event.int(if side == 1 { 2 } else { 0 });
        match event.code {
            code::SYSCALL_READ_E | code::SYSCALL_READ_X if fd == Some(0) => {
                self.copies.entry(event.tid).or_default()[side] += 1;
            }
            code::SYSCALL_WRITE_E | code::SYSCALL_WRITE_X if fd == Some(1) => {
                self.copies.entry(event.tid).or_default()[2 + side] += 1;
            }
            code::GENERIC_E | code::GENERIC_X => self.plain[side] += 1,
            code::PROCEXIT_1_E => self.ends += 1,
            _ => {}
        }
        self.stateful += u64::from(event.code == code::PROCEXIT_1_E || self.bears_state(event));
    }

    /// Whether it is the end of a call that the probe keeps longest.
    fn bears_state(&self, event: &RawEvent<'_>) -> bool {
        let flags = self.exits.get(&event.code).copied().unwrap_or(0);
        let failed = event.int(0).is_some_and(|result| result < 0);
        flags & if failed { row_flag::STATEFUL_FAILED } else { row_flag::STATEFUL } != 0
    }

    fn loss(&mut self, detail: &[u8]) {
        let detail: serde_json::Value = serde_json::from_slice(detail).expect("JSON");
        let number = |key: &str| detail[key].as_u64().unwrap_or(0);
        let count = number("count");
        self.lost[0] += count;
        self.lost[1] += number("stateful");
        self.lost[2] += number("enters");
        if detail["cause"] != "ring_full" {
            self.lost[3] += count;
        }
        let first_ns = number("first_ts_ns");
        if let Some(cpu) = detail["cpu"].as_u64().filter(|_| first_ns != 0) {
            assert!(first_ns <= number("last_ts_ns"), "{detail}");
            let last_ns = self.last_ns.get(&(cpu as u16)).copied().unwrap_or(0);
            self.markers[0] += 1;
            self.markers[1] += u64::from(last_ns > first_ns);
        }
    }

    /// What the two threads that copied most have: enters and exits of both calls.
    fn copied(&self) -> [u64; 4] {
        let mut all: Vec<[u64; 4]> = self.copies.values().copied().collect();
        all.sort_by_key(|counts| std::cmp::Reverse(counts.iter().sum::<u64>()));
        all.iter().take(2).fold([0; 4], |sum, counts| std::array::from_fn(|i| sum[i] + counts[i]))
    }
}

fn seconds() -> u64 {
    let wanted = std::env::var("CAPTURE_STORM_SECONDS").ok().and_then(|s| s.parse().ok());
    wanted.unwrap_or(SECONDS_DEFAULT)
}

/// A storm that waits behind a shell's `read`.
struct Gate {
    shell: Child,
    dir: PathBuf,
}

impl Gate {
    fn new(dir: &Path, script: &str) -> Gate {
        let shell = Command::new("sh")
            .arg("-c")
            .arg(format!("read _; {script}"))
            .current_dir(dir)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        Gate { shell, dir: dir.to_owned() }
    }

    /// Lets it loose, and waits for its end; whether it succeeded.
    fn open(&mut self) -> bool {
        self.shell.stdin.take().expect("its input").write_all(b"\n").expect("it listens");
        self.shell.wait().expect("its status").success()
    }

    /// The numbers in the files that the storm left.
    fn said(&self, files: &[&str]) -> Vec<String> {
        files.iter().map(|f| std::fs::read_to_string(self.dir.join(f)).unwrap_or_default()).collect()
    }
}

fn dd(size: &str) -> String {
    let one = |n: u32| {
        format!(
            // In the foreground: the signal comes once, and dd says what it did.
            "timeout --foreground -s INT {} env --default-signal=INT \
             dd if=/dev/zero of=/dev/null bs={size} 2>dd{n} & ",
            seconds()
        )
    };
    format!("{}{}wait", one(1), one(2))
}

/// Records that dd says it read and wrote; nothing of one that was ended before it began.
fn dd_counts(stderr: &str) -> Option<[u64; 2]> {
    let count = |what: &str| {
        let line = stderr.lines().find(|line| line.ends_with(what))?;
        line.split_once('+').and_then(|(n, _)| n.parse().ok())
    };
    Some([count("records in")?, count("records out")?])
}

/// Runs a storm in every mode.
fn storm(name: &str, truth: Truth, dir: &Path, script: &str) {
    for mode in [Mode::Whole, Mode::Shrunk, Mode::ShrunkTree] {
        one(name, truth, dir, script, mode);
    }
}

fn one(name: &str, truth: Truth, dir: &Path, script: &str, mode: Mode) {
    let file = dir.join("storm.scap");
    // Of the mode before.
    let _ = std::fs::remove_file(&file);
    let mut gate = Gate::new(dir, script);
    let pid = gate.shell.id().to_string();
    let mut options = vec!["--no-containers"];
    if mode != Mode::Whole {
        options.extend(SHRUNK);
    }
    if mode == Mode::ShrunkTree {
        options.extend(["--pid", &pid]);
    }
    let capture = Capture::to_file(CAPTURE, &file, &options);
    let started = std::time::Instant::now();
    assert!(gate.open(), "{name}: the storm failed");
    let took_s = started.elapsed().as_secs_f64();
    let ended = if mode == Mode::ShrunkTree { capture.wait() } else { capture.end(libc::SIGINT) };
    assert!(ended.status.success(), "{ended:?}");
    let (told, summary) = (Told::read(&file), Summary::parse(&ended.stderr));
    check_law(&told, &summary);
    let made = made(truth, &gate);
    check_truth(truth, &made, &told, mode);
    let share = |lost: u64, kept: u64| lost as f64 * 100.0 / (lost + kept).max(1) as f64;
    // Records, not events: of forks and execs the probe writes more, markers and what was read again are none.
    let plain = (told.lost[0] - told.lost[1], summary.sum(1) - told.stateful);
    let (lost_stateful, lost_plain) = (share(told.lost[1], told.stateful), share(plain.0, plain.1));
    println!(
        "{name} {mode:?}: {took_s:.1} s, {} records, lost {} ({lost_stateful:.2} % of those that change state, \
         {lost_plain:.2} % of others), {} own, {} markers, {made:?} made",
        summary.sum(0),
        summary.lost,
        summary.sum(4),
        told.markers[0],
    );
    assert_eq!(told.markers[1], 0, "{} of {} markers stand too late", told.markers[1], told.markers[0]);
    if mode != Mode::Whole && plain.0 > 10_000 {
        assert!(lost_stateful < lost_plain, "{lost_stateful} % of the state, {lost_plain} % of the rest");
    }
}

fn check_law(told: &Told, summary: &Summary) {
    assert_eq!(told.events, summary.events, "events in the file");
    assert_eq!(summary.events, summary.written, "events written");
    assert_eq!(told.lost[0], summary.lost, "declared in the stream and counted: {told:?}");
    for [seen, recorded, dropped, ..] in &summary.cpus {
        assert_eq!(*seen, recorded + dropped, "produced = written + lost: {summary:?}");
    }
}

/// What the storm says it made: per call. Nothing where it was ended before it could say.
fn made(truth: Truth, gate: &Gate) -> Vec<u64> {
    match truth {
        Truth::Copies => {
            let said = gate.said(&["dd1", "dd2"]);
            let counts: Option<Vec<[u64; 2]>> = said.iter().map(|s| dd_counts(s)).collect();
            counts.map_or_else(Vec::new, |c| (0..2).map(|side| c.iter().map(|c| c[side]).sum()).collect())
        }
        Truth::Children | Truth::Plain => {
            let said = gate.said(&["said"]).concat();
            said.split_whitespace().map(|n| n.parse().expect("a number")).collect()
        }
        Truth::None => Vec::new(),
    }
}

/// What is missing of what was made is declared.
fn check_truth(truth: Truth, made: &[u64], told: &Told, mode: Mode) {
    let [lost, stateful, enters, unknown] = told.lost;
    let exits = lost - enters;
    match truth {
        _ if made.is_empty() => {}
        Truth::Copies => {
            let [read_e, read_x, write_e, write_x] = told.copied();
            let missing_e = (2 * made[0]).saturating_sub(read_e + write_e);
            let missing_x = (2 * made[0]).saturating_sub(read_x + write_x);
            // The interrupted call is not counted by dd.
            assert!(read_x <= made[0] + 10 && write_x <= made[1] + 10, "{made:?} made, {:?}", told.copied());
            assert!(
                missing_e <= enters + unknown + 4,
                "{missing_e} enters of {made:?} missing, {:?}",
                told.lost
            );
            assert!(missing_x <= exits + 4, "{missing_x} exits of {made:?} missing, {:?}", told.lost);
        }
        Truth::Children => {
            let missing = made[0].saturating_sub(told.ends);
            assert!(missing <= stateful + unknown, "{missing} ends of {} missing, {:?}", made[0], told.lost);
            // The children, the program itself, and the shell.
            assert!(mode != Mode::ShrunkTree || told.ends <= made[0] + 2, "{} ends, {made:?}", told.ends);
        }
        Truth::Plain => {
            let missing = made[1].saturating_sub(told.plain[0]);
            assert!(missing <= enters + unknown, "{missing} enters of {made:?} missing, {:?}", told.lost);
            let missing = made[1].saturating_sub(told.plain[1]);
            assert!(missing <= exits, "{missing} exits of {made:?} missing, {:?}", told.lost);
        }
        Truth::None => {}
    }
}

/// Whether the machine has what the test needs; a folder for it.
fn prepared(name: &str, programs: &[&str]) -> Option<tempfile::TempDir> {
    if !live::can_record(name) || !live::has_host_ids(name) {
        return None;
    }
    for program in programs {
        capture_tests::installed(program, name)?;
    }
    Some(tempfile::tempdir().expect("a folder"))
}

#[test]
fn copies_of_single_bytes() {
    let name = "copies_of_single_bytes";
    let Some(dir) = prepared(name, &["dd", "timeout", "env"]) else { return };
    let _turn = live::turn();
    storm(name, Truth::Copies, dir.path(), &dd("1"));
}

#[test]
fn copies_of_64_kib() {
    let name = "copies_of_64_kib";
    let Some(dir) = prepared(name, &["dd", "timeout", "env"]) else { return };
    let _turn = live::turn();
    storm(name, Truth::Copies, dir.path(), &dd("64k"));
}

#[test]
fn forks_and_execs() {
    let name = "forks_and_execs";
    let Some(dir) = prepared(name, &["true"]) else { return };
    let Some(program) = live::compile("forks", dir.path(), name) else { return };
    let to_exec = capture_tests::installed("true", name).expect("it was there");
    let _turn = live::turn();
    let script = format!("{} {} {} >said", program.display(), seconds() * 1000, to_exec.display());
    storm(name, Truth::Children, dir.path(), &script);
}

#[test]
fn redis_in_pipelines() {
    let name = "redis_in_pipelines";
    let Some(dir) = prepared(name, &["redis-server", "redis-benchmark", "timeout"]) else { return };
    let server = capture_tests::installed("redis-server", name).expect("it was there");
    let _turn = live::turn();
    let server = capture_tests::workload::redis(&server, dir.path());
    let script = format!(
        "timeout {} redis-benchmark -q -p {} -P 16 -c 32 -l -t set,get >/dev/null 2>&1; true",
        seconds(),
        server.port
    );
    storm(name, Truth::None, dir.path(), &script);
}

/// Threads that are all there at once, and make so many calls, again and again for a time.
fn threads(name: &str, count: u64, calls: u64, time_s: u64, modes: &[Mode]) {
    let Some(dir) = prepared(name, &[]) else { return };
    let Some(program) = live::compile("threads", dir.path(), name) else { return };
    let limit = Command::new(&program).args([count.to_string(), "1".to_owned()]).output().expect("it starts");
    if !limit.status.success() {
        let said = String::from_utf8_lossy(&limit.stdout);
        return capture_tests::skip(name, &format!("this machine allows {} threads of {count}", said.trim()));
    }
    let _turn = live::turn();
    let script = format!("{} {count} {calls} {} >said", program.display(), time_s * 1000);
    for mode in modes {
        one(name, Truth::Plain, dir.path(), &script, *mode);
    }
}

#[test]
fn thousands_of_threads() {
    threads("thousands_of_threads", THREADS, 100, seconds(), &[Mode::Whole, Mode::Shrunk, Mode::ShrunkTree]);
}

#[test]
fn twenty_thousand_threads() {
    threads("twenty_thousand_threads", MANY_THREADS, 20, 0, &[Mode::Whole]);
}
