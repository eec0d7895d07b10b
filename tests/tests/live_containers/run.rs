//! Short containers in a row, under two captures at once: one that writes a file and one that prints
//! lines as they come. What both say of the containers, and the memory of the first, is counted.

use crate::engine::CAPTURE;
use crate::replay;
use capture_tests::live::{Capture, PATIENCE, within};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Most short containers in a row, unless `CAPTURE_CONTAINERS` says otherwise.
const COUNT_DEFAULT: usize = 25;
/// What the file's capture may grow by from the second quarter of the row to the last, in KiB: by the
/// least of each quarter, since what waits for a consumer comes and goes with the machine's load.
const GROWTH_MAX_KIB: u64 = 32 << 10;
/// How long a short container lives.
pub(crate) const LIFE: &str = "0.02";

/// How many short containers to run in a row.
pub(crate) fn count() -> usize {
    std::env::var("CAPTURE_CONTAINERS").ok().and_then(|n| n.parse().ok()).unwrap_or(COUNT_DEFAULT)
}

/// Name of a short container.
pub(crate) fn name(n: usize) -> String {
    format!("short-{n}")
}

/// Two captures under way.
pub(crate) struct Run {
    engine: &'static str,
    file: PathBuf,
    lines: PathBuf,
    to_file: Capture,
    to_lines: Capture,
    samples_kib: Vec<u64>,
    started: Instant,
}

impl Run {
    /// Starts both, and waits until both record.
    pub(crate) fn start(engine: &'static str, folder: &Path) -> Run {
        let (file, lines) = (folder.join("row.scap"), folder.join("lines"));
        let mut command = Command::new(CAPTURE);
        command
            .args(["-p", "%container.name %evt.type %evt.dir %proc.name", "evt.type = execve"])
            .args(["--meta-wait", "1000", "--unbuffered"])
            .stdin(Stdio::null())
            .stdout(File::create(&lines).expect("a file"));
        let to_lines = Capture::spawn(&mut command);
        let shown = || {
            // Something of this test's own that shows.
            let _ = Command::new("true").status();
            std::fs::metadata(&lines).is_ok_and(|m| m.len() > 0)
        };
        assert!(within(PATIENCE, shown), "no line is printed");
        let to_file = Capture::to_file(CAPTURE, &file, &[]);
        Run { engine, file, lines, to_file, to_lines, samples_kib: Vec::new(), started: Instant::now() }
    }

    /// Runs the row.
    pub(crate) fn row(&mut self, mut one: impl FnMut(&str)) {
        self.started = Instant::now();
        for n in 0..count() {
            one(&name(n));
            self.samples_kib.push(rss_kib(self.to_file.child().id()));
        }
    }

    /// Ends both. Every container of the row must be named in both, by the enter of its first exec;
    /// the answer is the file.
    pub(crate) fn end(self) -> PathBuf {
        let took = self.started.elapsed();
        std::thread::sleep(Duration::from_millis(200));
        let ended = [self.to_file, self.to_lines].map(|capture| capture.end(libc::SIGINT));
        assert!(ended.iter().all(|ended| ended.status.success()), "{ended:?}");
        let mut in_file = named(&replay::lines(
            &self.file,
            "%container.name %evt.type %evt.dir %proc.name",
            "evt.type = execve and container.id != host",
        ));
        let text = std::fs::read_to_string(&self.lines).expect("the lines");
        let mut live = named(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        let all: BTreeSet<String> = (0..count()).map(name).collect();
        // Others may run containers meanwhile.
        in_file.retain(|name| all.contains(name));
        live.retain(|name| all.contains(name));
        let quarter = |n: usize| {
            let of_quarter = &self.samples_kib[count() * n / 4..count() * (n + 1) / 4];
            *of_quarter.iter().min().expect("four containers at least")
        };
        let (first, last) = (quarter(1), quarter(3));
        let report = format!(
            "{}: {} of {} short containers named in the file, {} in live lines, in {:.0} s; at least {first} KiB of \
             memory in the second quarter, {last} KiB in the last\n",
            self.engine,
            in_file.len(),
            count(),
            live.len(),
            took.as_secs_f64(),
        );
        // Plain: the harness keeps what the print macros say.
        let _ = std::io::stderr().write_all(report.as_bytes());
        assert_eq!(in_file, all, "{}", ended[0].stderr);
        assert_eq!(live, all, "{}", ended[1].stderr);
        assert!(last < first + GROWTH_MAX_KIB, "{:?}", self.samples_kib);
        self.file
    }
}

/// The short containers of which the enter of the first exec and the exit, by which it is `sleep`, are
/// among the lines.
fn named(lines: &[String]) -> BTreeSet<String> {
    let mut entered = BTreeSet::new();
    let mut named = BTreeSet::new();
    for line in lines.iter().filter(|line| line.starts_with("short-")) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [name, "execve", ">", ..] => drop(entered.insert(name)),
            [name, "execve", "<", "sleep"] if entered.contains(name) => drop(named.insert(name.to_owned())),
            _ => {}
        }
    }
    named
}

/// Resident memory of a process.
fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).expect("its memory")
}
