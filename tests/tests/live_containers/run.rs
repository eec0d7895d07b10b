//! Short containers in a row, under two captures at once: one that writes a file and one that prints
//! lines as they come. What both say of the containers, and the memory of the first, is counted.

use crate::engine::CAPTURE;
use crate::replay;
use capture_tests::live::{self, Capture, PATIENCE, within};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Most short containers in a row, unless `CAPTURE_CONTAINERS` says otherwise.
const COUNT_DEFAULT: usize = 25;
/// Containers after which memory is flat, and the least length of a row in which that is looked at.
const SETTLED: usize = 100;
const LONG: usize = 200;
/// Containers over which memory is looked at: the least of it counts, since what waits for a consumer comes
/// and goes with the machine's load.
const WINDOW: usize = 20;
/// What a capture may grow by from then to the end of a long row, in percent, by the median of the growth
/// from window to window. What is kept of containers grows in each window; what others of the machine make
/// the capture keep (thousands of threads at once) comes in steps.
const GROWTH_MAX_PERCENT: i64 = 10;
/// What any capture may grow by, steps and all.
const GROWTH_MAX_KIB: i64 = 32 << 10;
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
    /// Memory of both after each container.
    file_kib: Vec<u64>,
    lines_kib: Vec<u64>,
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
        Run {
            engine,
            file,
            lines,
            to_file,
            to_lines,
            file_kib: Vec::new(),
            lines_kib: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Runs the row.
    pub(crate) fn row(&mut self, mut one: impl FnMut(&str)) {
        self.started = Instant::now();
        for n in 0..count() {
            one(&name(n));
            self.file_kib.push(live::rss_kib(self.to_file.child().id()).expect("its memory"));
            self.lines_kib.push(live::rss_kib(self.to_lines.child().id()).expect("its memory"));
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
        let memory =
            [("file", &self.file_kib), ("lines", &self.lines_kib)].map(|(of, kib)| Memory::of(of, kib));
        let report = format!(
            "{}: {} of {} short containers named in the file, {} in live lines, in {:.0} s; {}; {}\n",
            self.engine,
            in_file.len(),
            count(),
            live.len(),
            took.as_secs_f64(),
            memory[0],
            memory[1],
        );
        // Plain: the harness keeps what the print macros say.
        let _ = std::io::stderr().write_all(report.as_bytes());
        assert_eq!(in_file, all, "{}", ended[0].stderr);
        assert_eq!(live, all, "{}", ended[1].stderr);
        for of in &memory {
            assert!(of.is_flat(), "{of}: {:?}", of.least_kib);
        }
        self.file
    }
}

/// Memory of a capture along a row, in KiB.
struct Memory {
    of: &'static str,
    /// The least of each window, the first of them after [`SETTLED`] containers of a long row.
    least_kib: Vec<i64>,
    is_long: bool,
}

impl Memory {
    /// By the samples after each container.
    fn of(of: &'static str, samples_kib: &[u64]) -> Memory {
        let is_long = samples_kib.len() >= LONG;
        let (first, window) = match samples_kib.len() {
            _ if is_long => (SETTLED, WINDOW),
            len => (len / 4, (len / 4).max(1)),
        };
        let windows = samples_kib[first..].chunks_exact(window);
        let least_kib =
            windows.filter_map(|of_window| of_window.iter().min()).map(|kib| *kib as i64).collect();
        Memory { of, least_kib, is_long }
    }

    fn ends(&self) -> [i64; 2] {
        [self.least_kib.first(), self.least_kib.last()].map(|kib| kib.copied().unwrap_or(0))
    }

    /// Growth from the first window to the last as it would be without steps.
    fn steady_kib(&self) -> i64 {
        let mut growth: Vec<i64> = self.least_kib.windows(2).map(|pair| pair[1] - pair[0]).collect();
        growth.sort_unstable();
        growth.get(growth.len() / 2).map_or(0, |median| median * growth.len() as i64)
    }

    /// Whether it did not grow.
    fn is_flat(&self) -> bool {
        let [first, last] = self.ends();
        let most = first * GROWTH_MAX_PERCENT / 100;
        last - first <= GROWTH_MAX_KIB && (!self.is_long || self.steady_kib() <= most)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, last] = self.ends();
        let from = if self.is_long { SETTLED } else { count() / 4 };
        let steady = self.steady_kib();
        write!(
            f,
            "{}: {first} KiB from container {from} on, {last} KiB at the end, {steady} KiB without steps",
            self.of
        )
    }
}

#[test]
fn growth_in_each_window_counts_and_steps_do_not() {
    let row = |of: fn(u64) -> u64| Memory::of("made up", &(0..500).map(of).collect::<Vec<u64>>());
    let leak = row(|n| 60_000 + 50 * n);
    assert_eq!((leak.ends(), leak.steady_kib()), ([65_000, 84_000], 19_000));
    assert!(!leak.is_flat());
    let step = row(|n| 60_000 + n + if n > 300 { 20_000 } else { 0 });
    assert_eq!(step.steady_kib(), 380);
    assert!(step.is_flat());
    assert!(!row(|n| if n > 300 { 100_000 } else { 60_000 }).is_flat());
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
