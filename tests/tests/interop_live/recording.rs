//! One recording of a workload, and everything that stock tools must say about it.

use capture_tests::interop::{self, EXCEPTIONS, EventKind};
use capture_tests::live::{self, Capture, Held, Summary, Turn};
use capture_tests::{installed, stock_sysdig};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// A folder in which a workload can be prepared before it is recorded.
pub(crate) struct Ready {
    name: &'static str,
    dir: TempDir,
    _turn: Turn,
}

/// What was recorded, and what `capture` prints of it.
pub(crate) struct Recording {
    name: &'static str,
    dir: TempDir,
    text: PathBuf,
    lines: Vec<String>,
    summary: Summary,
    _turn: Turn,
}

/// Keeps the folder of a failed test where this variable is set.
const KEEP: &str = "CAPTURE_KEEP_FAILED";

impl Drop for Recording {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os(KEEP).is_some() {
            self.dir.disable_cleanup(true);
            say(&format!("{}: files kept in {}\n", self.name, self.dir.path().display()));
        }
    }
}

fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

fn succeed(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Says something past the test harness, which hides what a passing test prints.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

impl Recording {
    /// A fresh folder, where this machine can record.
    pub(crate) fn ready(name: &'static str) -> Option<Ready> {
        if !live::can_record(name) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        Some(Ready { name, dir, _turn: live::turn() })
    }

    /// Folder of the workload.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The first printed line that holds all of `fragments`, in this order.
    pub(crate) fn line(&self, fragments: &[&str]) -> &str {
        let holds = |line: &String| {
            let mut rest = line.as_str();
            fragments.iter().all(|fragment| match rest.find(fragment) {
                // The blank that ends one fragment may begin the next.
                Some(at) => {
                    rest = &rest[at + fragment.trim_end().len()..];
                    true
                }
                None => false,
            })
        };
        let found = self.lines.iter().find(|line| holds(line));
        found.unwrap_or_else(|| {
            // Lines of the same program and event, for the reader of the failure.
            let near: Vec<&String> = self
                .lines
                .iter()
                .filter(|l| fragments.iter().take(2).all(|f| l.contains(f)))
                .take(5)
                .collect();
            panic!("{}: no line with {fragments:?} (lost: {}); near: {near:#?}", self.name, self.summary.lost)
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Converts the recording, and compares everything that stock tools make of it.
    pub(crate) fn hold_against_stock(&self) {
        let zstd = self.file("t.scap");
        let (plain, gzip, by_name) = (self.file("none.scap"), self.file("z.scap"), self.file("name.scap.gz"));
        for (options, file) in [(vec!["--compress", "none"], &plain), (vec!["-z"], &gzip), (vec![], &by_name)]
        {
            succeed(clean(CAPTURE).arg("-r").arg(&zstd).args(options).arg("-w").arg(file));
        }
        let blocks = interop::event_blocks(&fs::read(&plain).expect("the plain file"));
        assert_eq!(blocks.len() as u64, self.summary.written, "{}: blocks of the events written", self.name);
        // What was read again, since it changed during the start, has flags and no number.
        let events = interop::numbered_events(&blocks);
        // Wireshark passes over blocks with flags.
        let plain_blocks = blocks.iter().filter(|(_, flags)| *flags == 0).count();
        for file in [&plain, &gzip, &by_name] {
            self.same_text(clean(CAPTURE).arg("-r").arg(file), &events);
        }
        self.count_with_tshark(&[&plain, &gzip], plain_blocks);
        self.compare_with_sysdig(&plain, &gzip, &events);
    }

    /// Checks that a command prints what `capture -r` of the recording printed, but for the results
    /// of generic calls, which the containers of other tools do not hold.
    fn same_text(&self, command: &mut Command, events: &[EventKind]) {
        let child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut running = Held(child);
        let mut theirs = BufReader::new(running.0.stdout.take().expect("piped"));
        let mut ours = BufReader::new(File::open(&self.text).expect("the text"));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        loop {
            left.clear();
            right.clear();
            ours.read_until(b'\n', &mut left).expect("reads");
            theirs.read_until(b'\n', &mut right).expect("reads");
            if left.is_empty() && right.is_empty() {
                break;
            }
            let (left, right) =
                (left.strip_suffix(b"\n").unwrap_or(&left), right.strip_suffix(b"\n").unwrap_or(&right));
            let number = left.split(|&b| b == b' ').next().and_then(|n| str::from_utf8(n).ok()?.parse().ok());
            let kind = number.and_then(|number: usize| events.get(number - 1));
            let left = kind.and_then(|kind| interop::without_generic_result(*kind, left)).unwrap_or(left);
            let (left, right) = (String::from_utf8_lossy(left), String::from_utf8_lossy(right));
            assert_eq!(left, right, "{}: {command:?} prints what the recording prints", self.name);
        }
        assert!(running.0.wait().expect("its status").success(), "{command:?}");
    }

    fn count_with_tshark(&self, files: &[&Path], blocks: usize) {
        let Some(zstd) = installed("zstd", self.name) else { return };
        succeed(clean(&zstd).arg("-q").arg("-t").arg(self.file("t.scap")));
        let Some(tshark) = installed("tshark", self.name) else { return };
        let count = |command: &mut Command| {
            let out = succeed(command.args(["-T", "fields", "-e", "frame.number"]));
            out.iter().filter(|&&b| b == b'\n').count()
        };
        for file in files {
            let counted = count(clean(&tshark).arg("-r").arg(file));
            assert_eq!(counted, blocks, "{}: event blocks by tshark in {}", self.name, file.display());
        }
        let mut unpack = clean(&zstd);
        unpack.arg("-dc").arg(self.file("t.scap")).stdout(Stdio::piped());
        let mut unpack = Held(unpack.spawn().expect("zstd starts"));
        let pipe = unpack.0.stdout.take().expect("piped");
        let counted = count(clean(&tshark).args(["-r", "-"]).stdin(pipe));
        assert_eq!(counted, blocks, "{}: event blocks by tshark in a pipe from zstd", self.name);
    }

    fn compare_with_sysdig(&self, plain: &Path, gzip: &Path, events: &[EventKind]) {
        let Some(sysdig) = stock_sysdig(self.name) else { return };
        for file in [plain, gzip] {
            let mut command = clean(&sysdig);
            command.arg("-r").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut running = Held(command.spawn().expect("sysdig starts"));
            let stock = BufReader::new(running.0.stdout.take().expect("piped"));
            let ours = BufReader::new(File::open(&self.text).expect("the text"));
            let result = interop::compare(ours, stock, events).expect("both print events");
            let mut errors = String::new();
            running.0.stderr.take().expect("piped").read_to_string(&mut errors).expect("reads");
            let status = running.0.wait().expect("its status");
            assert!(
                status.success() && errors.is_empty(),
                "sysdig -r {}: {status}: {errors}",
                file.display()
            );
            if file == plain {
                self.report(&result, events.len());
            }
            assert_eq!(result.unexplained, 0, "{}: {}: {:#?}", self.name, file.display(), result.first);
        }
    }

    fn report(&self, result: &interop::Comparison, events: usize) {
        let mut text = format!(
            "{}: {events} numbered events, {} lost; {} lines compared with sysdig, {} unexplained, {} of events \
             younger than it\n",
            self.name, self.summary.lost, result.compared, result.unexplained, result.newer
        );
        for (exception, count) in EXCEPTIONS.iter().zip(result.explained).filter(|(_, count)| *count > 0) {
            text += &format!("    {count} lines, {}: {}\n", exception.name, exception.reason);
        }
        say(&text);
    }
}

impl Ready {
    /// Folder of the workload.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Records while `work` runs, and replays that.
    pub(crate) fn record(self, work: impl FnOnce(&Path)) -> Recording {
        let Ready { name, dir, _turn } = self;
        let file = dir.path().join("t.scap");
        let capture = Capture::to_file(CAPTURE, &file, &[]);
        work(dir.path());
        let ended = capture.end(libc::SIGINT);
        assert!(ended.status.success(), "{name}: {}: {}", ended.status, ended.stderr);
        let summary = Summary::parse(&ended.stderr);
        let text = dir.path().join("t.txt");
        let output = File::create(&text).expect("the text's file");
        let status = clean(CAPTURE).arg("-r").arg(&file).stdout(output).status().expect("capture starts");
        assert!(status.success(), "{name}: the replay ends with {status}");
        let bytes = fs::read(&text).expect("the text");
        let lines = bytes.split(|&b| b == b'\n').map(|l| String::from_utf8_lossy(l).into_owned()).collect();
        Recording { name, dir, text, lines, summary, _turn }
    }
}
