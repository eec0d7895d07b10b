//! After a loss no name is wrong: what may have changed unseen is unknown, and is read again from the
//! machine. A storm of processes says in every line it writes who it is and where it writes to, so the
//! recording is held against itself.

use capture_common::event_table::code;
use capture_common::raw_event::RawEvent;
use capture_common::{Batch, Next};
use capture_engine::{Engine, EventView, Options};
use capture_file::Reader;
use capture_tests::live::{self, Capture, Summary};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// Length of the storm.
const STORM_MS: &str = "2500";
/// Chains of children at a time.
const CHAINS: &str = "4";
/// Between two drains: rings of 1 MiB overflow meanwhile.
const PAUSE_MS: &str = "400";
/// After the storm; long enough for some drains and for what is read again.
const CALM: Duration = Duration::from_millis(4000);
/// The keeper's names must be right within this time before the end.
const SETTLED_NS: u64 = 400_000_000;
/// Without losses for this long before that; at one look in [`PAUSE_MS`] reading again takes some looks.
const QUIET_NS: u64 = 2_500_000_000;
/// Descriptors that the keeper holds.
const KEPT: usize = 6;
const UNKNOWN: &[u8] = b"<NA>";

/// A running storm; its standard input ends it.
struct Storm {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
    keeper: i64,
}

impl Storm {
    fn prepare(program: &Path, folder: &Path) -> Storm {
        for name in 'a'..='h' {
            std::os::unix::fs::symlink(program, folder.join(format!("prog-{name}"))).expect("a name");
        }
        let mut child = Command::new(program)
            .arg(folder)
            .args([STORM_MS, CHAINS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the storm starts");
        let input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let keeper = number(&mut output);
        Storm { child, input, output, keeper }
    }

    /// Begins it, and waits for its end; how many children it made.
    fn rage(&mut self) -> i64 {
        self.input.write_all(b"x").expect("the storm listens");
        number(&mut self.output)
    }

    fn end(self) {
        let Storm { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().expect("its status").success());
    }
}

fn number(from: &mut impl BufRead) -> i64 {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line.trim().parse().unwrap_or_else(|_| panic!("the storm said {line:?}"))
}

/// What a written line says: who writes, and where.
fn said<'a>(raw: &RawEvent<'a>) -> Option<(&'a [u8], &'a [u8])> {
    if raw.code != code::SYSCALL_WRITE_X {
        return None;
    }
    let mut parts = raw.param(1)?.strip_prefix(b"S|")?.split(|&b| b == b'|');
    let said = (parts.next()?, parts.next()?);
    // The end is there: the snaplen did not cut it.
    parts.next().map(|_| said)
}

/// The names that a listing shows.
fn shown(view: &EventView<'_>) -> (Vec<u8>, Vec<u8>) {
    let thread = view.thread().map_or(UNKNOWN, |thread| &thread.comm);
    let fd = view.fd().map_or(UNKNOWN, |fd| &fd.name);
    (thread.to_vec(), if fd.is_empty() { UNKNOWN.to_vec() } else { fd.to_vec() })
}

/// What a replay says of the lines.
#[derive(Debug, Default)]
struct Told {
    lines: u64,
    /// Lines whose process, or whose file, is unknown.
    unknown: [u64; 2],
    wrong: Vec<String>,
    stale: u64,
    /// The last note about the keeper.
    stale_ns: u64,
    reread: u64,
    lost: [u64; 2],
    last_ns: u64,
    /// Per fd of the keeper: its lines near the end, and those of them that are fully named.
    settled: HashMap<i64, [u64; 2]>,
}

impl Told {
    fn read(file: &Path, keeper: i64, end_ns: u64) -> Told {
        let mut told = Told::default();
        let mut engine = Engine::new(Options::default());
        let mut reader = Reader::open(file).expect("the file opens");
        let mut batch = Batch::new();
        // Names of the last write's enter by thread.
        let mut entered: HashMap<i64, (Vec<u8>, Vec<u8>)> = HashMap::new();
        loop {
            match reader.next_piece(&mut batch).expect("the file reads") {
                Next::Section(snapshot) => engine.begin_section(&snapshot),
                Next::Idle => {}
                Next::End => return told,
                Next::Events => {
                    for raw in batch.iter() {
                        let view = engine.see(raw);
                        told.event(&raw, &view, keeper, end_ns, &mut entered);
                    }
                }
            }
        }
    }

    fn event(
        &mut self,
        raw: &RawEvent<'_>,
        view: &EventView<'_>,
        keeper: i64,
        end_ns: u64,
        entered: &mut HashMap<i64, (Vec<u8>, Vec<u8>)>,
    ) {
        self.last_ns = raw.ts_ns;
        match raw.code {
            code::ASYNCEVENT_E if raw.text(1) == Some(b"capture.stale") => {
                self.stale += 1;
                let note: serde_json::Value =
                    serde_json::from_slice(raw.text(2).unwrap_or_default()).expect("JSON");
                let is_meant = |pids: &Vec<serde_json::Value>| pids.iter().any(|pid| *pid == keeper);
                if note["pids"].as_array().is_none_or(is_meant) {
                    self.stale_ns = raw.ts_ns;
                }
            }
            code::ITER_TASK_E => self.reread += 1,
            code::SYSCALL_WRITE_E => {
                entered.insert(raw.tid, shown(view));
            }
            _ => {}
        }
        if let Some(detail) = raw.text(2).filter(|_| live::declared_loss(raw).is_some()) {
            let detail: serde_json::Value = serde_json::from_slice(detail).expect("JSON");
            self.lost[0] += detail["count"].as_u64().unwrap_or(0);
            self.lost[1] += detail["stateful"].as_u64().unwrap_or(0);
        }
        let Some((name, path)) = said(raw) else { return };
        self.lines += 1;
        let now = shown(view);
        let enter = entered.remove(&raw.tid).filter(|_| view.applied.paired);
        for (shown_name, shown_path) in [Some(now.clone()), enter].into_iter().flatten() {
            let is_wrong = |shown: &[u8], said: &[u8]| shown != UNKNOWN && shown != said;
            if is_wrong(&shown_name, name) || is_wrong(&shown_path, path) {
                self.wrong.push(format!(
                    "{} {}: shown {} and {}, was {} and {}",
                    raw.ts_ns,
                    raw.tid,
                    String::from_utf8_lossy(&shown_name),
                    String::from_utf8_lossy(&shown_path),
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(path),
                ));
            }
        }
        self.unknown[0] += u64::from(now.0 == UNKNOWN);
        self.unknown[1] += u64::from(now.1 == UNKNOWN);
        if raw.tid == keeper && raw.ts_ns + SETTLED_NS > end_ns {
            let fd = raw.int(2).expect("the exit says its fd");
            let counts = self.settled.entry(fd).or_default();
            counts[0] += 1;
            counts[1] += u64::from(now.0 == name && now.1 == path);
        }
    }
}

fn start_dd() -> Child {
    Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/null", "bs=1"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dd starts")
}

#[test]
fn after_losses_names_are_right_or_unknown_and_return() {
    let name = "after_losses_names_are_right_or_unknown_and_return";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    if capture_tests::installed("dd", name).is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile("storm", dir.path(), name) else { return };
    let files = dir.path().join("f");
    std::fs::create_dir(&files).expect("a folder");
    let file = dir.path().join("storm.scap.gz");
    let _turn = live::turn();
    let mut storm = Storm::prepare(&program, &files);
    let options = ["-z", "--no-containers", "--buffer", "1", "--drain-pause", PAUSE_MS];
    let capture = Capture::to_file(CAPTURE, &file, &options);
    // Calls that change nothing fill the rings up to where they are shed.
    let mut dd = start_dd();
    let made = storm.rage();
    live::kill(dd.id(), libc::SIGKILL);
    dd.wait().expect("its status");
    std::thread::sleep(CALM);
    let ended = capture.end(libc::SIGINT);
    let keeper = storm.keeper;
    storm.end();
    assert!(ended.status.success(), "{ended:?}");
    let summary = Summary::parse(&ended.stderr);
    let end_ns = Told::read(&file, keeper, u64::MAX).last_ns;
    let told = Told::read(&file, keeper, end_ns);
    println!(
        "{made} children, {} lines, unknown {:?}, lost {:?}, {} stale notes, {} threads read again\n{}",
        told.lines, told.unknown, told.lost, told.stale, told.reread, ended.stderr
    );
    assert_eq!(told.lost[0], summary.lost, "declared and counted");
    assert!(
        told.wrong.is_empty(),
        "{} of {} wrong: {:#?}",
        told.wrong.len(),
        told.lines,
        &told.wrong[..told.wrong.len().min(10)]
    );
    assert!(told.lost[0] > 0 && told.lines > 0, "the rings did not overflow");
    if told.lost[1] == 0 {
        return capture_tests::skip(name, "no record that changes state was lost: the machine is too slow");
    }
    assert!(told.stale > 0 && told.reread > 0);
    stock_reads(name, &file);
    if end_ns.saturating_sub(told.stale_ns) < QUIET_NS {
        return capture_tests::skip(
            name,
            "the machine is so loaded that records went on being lost after the storm",
        );
    }
    assert_eq!(told.settled.len(), KEPT, "{:?}", told.settled);
    assert!(told.settled.values().all(|[lines, named]| *lines > 0 && lines == named), "{:?}", told.settled);
}

/// sysdig 0.29.3 reads the file to its end, notes and what was read again included. It does not list
/// calls that are younger than it.
fn stock_reads(name: &str, file: &Path) {
    let Some(sysdig) = capture_tests::stock_sysdig(name) else { return };
    let last_line = |command: &mut Command| {
        let arguments = ["-p", "%evt.rawtime %thread.tid", "-r"];
        let out = command.args(arguments).arg(file).env("TZ", "UTC").output().expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (text.lines().count(), text.lines().last().unwrap_or_default().to_owned())
    };
    let filter = "evt.type in (read, write, open, openat, close)";
    let (stock, stock_last) = last_line(Command::new(sysdig).arg(filter));
    let (ours, our_last) = last_line(Command::new(CAPTURE).arg(filter));
    println!("stock lists {stock} events up to {stock_last}, capture {ours} up to {our_last}");
    assert_eq!((stock, stock_last), (ours, our_last));
}
