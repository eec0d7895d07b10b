//! Shared helpers of the live suites: whether this machine can record, one loaded test at a time,
//! workloads compiled from C, the program under test as a child process, and its files read back.
//!
//! Every wait here has an end, and every process is ended by its own id.

use capture_common::raw_event::RawEvent;
use capture_common::{Batch, Next};
use capture_file::Reader;
use capture_user::live::{Collector, LiveError, LiveOptions};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time within which the program must have started to record, or have ended after a signal. Long,
/// because the suites share their CPUs with a build.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Whether this machine can record; otherwise reports a skip of test `name` with the reason.
pub fn can_record(name: &str) -> bool {
    collector(name, &LiveOptions::default()).is_some()
}

/// A collector for test `name`; `None`, after a report of a skip, where this machine cannot record.
pub fn collector(name: &str, options: &LiveOptions) -> Option<Collector> {
    match Collector::open(options) {
        Ok(collector) => Some(collector),
        Err(
            error @ (LiveError::Privilege
            | LiveError::NoBtf { .. }
            | LiveError::OldKernel { .. }
            | LiveError::NoTracepoint { .. }),
        ) => {
            crate::skip(name, &error.to_string());
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Whether thread ids of this process are those that the kernel records (not so inside a pid
/// namespace); otherwise reports a skip of test `name`.
pub fn has_host_ids(name: &str) -> bool {
    // Inode of the initial pid namespace (PROC_PID_INIT_INO, include/linux/proc_ns.h).
    const INITIAL: &str = "pid:[4026531836]";
    let is_initial = std::fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns.as_os_str() == INITIAL);
    if !is_initial {
        crate::skip(name, "runs inside a pid namespace, whose thread ids are not the recorded ones");
    }
    is_initial
}

/// Held by a test that loads the CPUs or measures, across all test programs of this machine.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "closing the file ends the lock")] File);

/// Waits for the turn. It ends with the guard, or with the process.
pub fn turn() -> Turn {
    let path = std::env::temp_dir().join("capture-live-suites.lock");
    let file = File::options().create(true).append(true).open(&path).expect("the lock file opens");
    file.lock().expect("the lock file locks");
    Turn(file)
}

/// Compiles `tests/src/programs/{name}.c` into `dir`; reports a skip of `test` without a compiler.
pub fn compile(name: &str, dir: &Path, test: &str) -> Option<PathBuf> {
    let cc = crate::installed("cc", test)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/programs").join(name).with_extension("c");
    let program = dir.join(name);
    let out = Command::new(cc)
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .args([&program, &source])
        .output()
        .expect("the compiler starts");
    assert!(out.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&out.stderr));
    Some(program)
}

/// Compiles `tests/src/programs/{name}.c` as a 32-bit program; reports a skip of `test` where the compiler
/// has no libraries for that, or the kernel runs none.
pub fn compile_32(name: &str, dir: &Path, test: &str) -> Option<PathBuf> {
    let cc = crate::installed("cc", test)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/programs").join(name).with_extension("c");
    let program = dir.join(name);
    let out = Command::new(cc)
        .args(["-m32", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .output()
        .expect("the compiler starts");
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let lacks_libraries = said.contains("cannot find") || said.contains("No such file");
        assert!(lacks_libraries, "{}: {said}", source.display());
        crate::skip(test, "no 32-bit libraries: install gcc-multilib");
        return None;
    }
    match Command::new(&program).output() {
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            crate::skip(test, "this kernel runs no 32-bit programs");
            None
        }
        _ => Some(program),
    }
}

/// Compiles a program that was recorded elsewhere, as it was compiled there: its warnings and its
/// optimisation are part of the recording.
pub fn compile_as_is(name: &str, dir: &Path, test: &str) -> Option<PathBuf> {
    let cc = crate::installed("cc", test)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/programs").join(name).with_extension("c");
    let program = dir.join(name);
    let out = Command::new(cc)
        .args(["-O1", "-w", "-pthread", "-o"])
        .args([&program, &source])
        .output()
        .expect("the compiler starts");
    assert!(out.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&out.stderr));
    Some(program)
}

/// A running `capture`.
#[derive(Debug)]
pub struct Capture {
    child: Child,
}

/// How a `capture` ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it said on stderr.
    pub stderr: String,
}

impl Capture {
    /// Starts `program` (the binary under test) with `args`; stdout goes nowhere.
    pub fn start<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Capture {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        Capture::spawn(&mut command)
    }

    /// Starts a prepared command; its stderr is read at the end. Signals mean to it what they mean
    /// to a program started by hand, whatever this process was told to ignore.
    pub fn spawn(command: &mut Command) -> Capture {
        // SAFETY: signal(2) is async-signal-safe and touches nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        Capture { child: command.stderr(Stdio::piped()).spawn().expect("capture starts") }
    }

    /// Starts `capture -w file args` and waits until it records: the file begins with the start
    /// snapshot, which is taken after the probe is attached.
    pub fn to_file(program: &str, file: &Path, args: &[&str]) -> Capture {
        let mut words = vec![OsStr::new("-w"), file.as_os_str()];
        words.extend(args.iter().map(OsStr::new));
        let mut capture = Capture::start(program, &words);
        let is_recording = || std::fs::metadata(file).is_ok_and(|m| m.len() > 0);
        if !within(PATIENCE, || is_recording() || capture.has_ended()) || !is_recording() {
            panic!("capture does not record: {:?}", capture.end(libc::SIGKILL));
        }
        capture
    }

    /// The process itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it is over.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        kill(self.child.id(), signal);
    }

    /// Sends it a signal and waits for its end.
    pub fn end(self, signal: i32) -> Ended {
        self.signal(signal);
        self.wait()
    }

    /// Waits for its end; fails the test, and ends it, if that takes too long.
    pub fn wait(mut self) -> Ended {
        // Read meanwhile: a full pipe would keep it from ending.
        let stderr = self.child.stderr.take();
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stderr) = stderr {
                stderr.read_to_end(&mut text).expect("stderr reads");
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let ended = within(PATIENCE, || self.has_ended());
        if !ended {
            kill(self.child.id(), libc::SIGKILL);
        }
        let status = self.child.wait().expect("its status");
        let stderr = reader.join().expect("the reader of stderr ends");
        assert!(ended, "capture did not end; it said {stderr:?}");
        Ended { status, stderr }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !self.has_ended() {
            kill(self.child.id(), libc::SIGKILL);
            // The status of a process that is done away with is of no interest.
            let _ = self.child.wait();
        }
    }
}

/// A child that is killed with the guard, where it has not ended by itself.
#[derive(Debug)]
pub struct Held(pub Child);

impl Drop for Held {
    fn drop(&mut self) {
        // Both fail only where it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to a child that was not waited for yet, so that its id is still its own.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: the call takes no pointers.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Resident memory of a process in KiB; `None` where it is gone.
pub fn rss_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Looks until `done` or the time is over; whether it was done.
pub fn within(time: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() > time {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// Hands every event of a file to `each`; how the file ends ("ok" or the error's text).
pub fn read_events(file: &Path, mut each: impl FnMut(&RawEvent<'_>)) -> Result<(), String> {
    let mut reader = Reader::open(file).map_err(|e| e.to_string())?;
    let mut batch = Batch::new();
    loop {
        match reader.next_piece(&mut batch).map_err(|e| e.to_string())? {
            Next::Events => {
                assert_eq!(batch.iter().count(), batch.len(), "{}: damaged events", file.display());
                batch.iter().for_each(|event| each(&event));
            }
            Next::Section(_) | Next::Idle => {}
            Next::End => return Ok(()),
        }
    }
}

/// A loss as the stream declares it (`capture.loss`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredLoss {
    /// Why.
    pub cause: String,
    /// Records.
    pub count: u64,
    /// Of these, enter records.
    pub enters: u64,
}

/// The loss that an event declares, if it is one that does.
pub fn declared_loss(event: &RawEvent<'_>) -> Option<DeclaredLoss> {
    let is_note = event.code == capture_common::event_table::code::ASYNCEVENT_E;
    if !is_note || event.text(1) != Some(b"capture.loss") {
        return None;
    }
    let detail: serde_json::Value = serde_json::from_slice(event.text(2)?).expect("a loss is JSON");
    let number = |key: &str| detail[key].as_u64().unwrap_or_else(|| panic!("no {key} in {detail}"));
    let cause = detail["cause"].as_str().expect("a cause").to_owned();
    Some(DeclaredLoss { cause, count: number("count"), enters: number("enters") })
}

/// The summary that a live capture prints at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events handed to the output.
    pub events: u64,
    /// Events written to the file.
    pub written: u64,
    /// Per CPU: seen, recorded, dropped, nested, own.
    pub cpus: Vec<[u64; 5]>,
    /// All that was lost, whatever the cause.
    pub lost: u64,
}

impl Summary {
    /// Reads it from what `capture` said on stderr.
    ///
    /// # Panics
    /// Where a part of it is missing.
    pub fn parse(stderr: &str) -> Summary {
        let mut summary = Summary::default();
        let mut parts = 0;
        for line in stderr.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words.get(at).and_then(|w| w.parse::<u64>().ok());
            match words.as_slice() {
                [_, "events", "in", ..] => summary.events = number(0).expect("events"),
                ["written:", ..] => summary.written = number(1).expect("events written"),
                ["lost:", ..] => summary.lost = number(1).expect("records lost"),
                [_, _, _, _, _, _] if number(0).is_some() => {
                    summary.cpus.push(std::array::from_fn(|column| number(column + 1).expect("a count")));
                    continue;
                }
                _ => continue,
            }
            parts += 1;
        }
        assert!(parts == 3 && !summary.cpus.is_empty(), "no summary in {stderr:?}");
        summary
    }

    /// The sum over the CPUs of a column.
    pub fn sum(&self, column: usize) -> u64 {
        self.cpus.iter().map(|cpu| cpu[column]).sum()
    }
}

/// A small random number generator (xorshift64*), seeded with the time and the process.
#[derive(Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Random(now.as_nanos() as u64 ^ u64::from(std::process::id()) << 32 | 1)
    }
}

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read() {
        let text = "\
12 events in 3.0 s
written: 12 events, 900 bytes of blocks in 300 bytes of file
 cpu         seen     recorded    dropped     nested        own
   0           10            8          2          0          5
   1            5            5          0          1          7
lost: 3 (3 found no room in a ring, 0 skipped by the kernel, 0 on CPUs without a ring, 0 not taken by a slow output)
";
        let summary = Summary::parse(text);
        assert_eq!((summary.events, summary.written, summary.lost), (12, 12, 3));
        assert_eq!(summary.cpus, [[10, 8, 2, 0, 5], [5, 5, 0, 1, 7]]);
        assert_eq!(summary.sum(2) + summary.sum(3), 3);
    }
}
