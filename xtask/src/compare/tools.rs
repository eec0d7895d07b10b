//! The tools that record or count every call of the machine.

use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a tool may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// Clock ticks a second in /proc/PID/stat.
const TICKS: f64 = 100.0;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Bare,
    /// The program, with enter records or without.
    Capture {
        program: PathBuf,
        enter: bool,
    },
    Strace,
    PerfRecord,
    PerfTrace,
    Bpftrace,
    /// The program, where one is given.
    Sysdig(Option<PathBuf>),
}

pub(super) fn all(capture: &Path, sysdig: Option<PathBuf>) -> Vec<Tool> {
    let program = capture.to_owned();
    use Tool::{Bare, Bpftrace, Capture, PerfRecord, PerfTrace, Strace, Sysdig};
    vec![
        Bare,
        Capture { program: program.clone(), enter: true },
        Capture { program, enter: false },
        Sysdig(sysdig),
        Bpftrace,
        PerfRecord,
        PerfTrace,
        Strace,
    ]
}

impl Tool {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Tool::Bare => "bare",
            Tool::Capture { enter: true, .. } => "`capture -w`",
            Tool::Capture { enter: false, .. } => "`capture --no-enter -w`",
            Tool::Strace => "`strace -f -c`",
            Tool::PerfRecord => "`perf record -e raw_syscalls:*`",
            Tool::PerfTrace => "`perf trace -s`",
            Tool::Bpftrace => "`bpftrace`, counting raw_syscalls",
            Tool::Sysdig(_) => "`sysdig --modern-bpf -w`",
        }
    }

    /// The command that records into `file`; the reason where there is none.
    fn command(&self, file: &Path) -> Result<Command, String> {
        let program = match self {
            Tool::Bare | Tool::Strace => return Err("is not one that records the machine".into()),
            Tool::Capture { program, .. } => program.clone(),
            Tool::PerfRecord | Tool::PerfTrace => needed("perf")?,
            Tool::Bpftrace => needed("bpftrace")?,
            Tool::Sysdig(program) => program.clone().ok_or("no program given (--sysdig)")?,
        };
        let mut command = Command::new(program);
        match self {
            Tool::Capture { enter, .. } => {
                command.arg("--no-containers").args((!enter).then_some("--no-enter")).arg("-w").arg(file)
            }
            Tool::PerfRecord => command.args(["record", "-q", "-a", "-e", "raw_syscalls:*", "-o"]).arg(file),
            Tool::PerfTrace => command.args(["trace", "-a", "-s", "-o"]).arg(file),
            Tool::Bpftrace => command.args([
                "-e",
                "tracepoint:raw_syscalls:sys_enter { @e = count(); } tracepoint:raw_syscalls:sys_exit { @x = count(); }",
                "-o",
            ]).arg(file),
            _ => command.args(["--modern-bpf", "-v", "-w"]).arg(file),
        };
        Ok(command)
    }

    /// Whether a round under it takes minutes.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Tool::Strace | Tool::PerfTrace)
    }

    /// Whether the file tells that recording has begun; other tools get a time.
    fn file_tells(&self) -> bool {
        matches!(self, Tool::Capture { .. } | Tool::Sysdig(_) | Tool::Bpftrace)
    }
}

/// Where cargo puts the release build.
pub(super) fn release_build() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    crate::repo_root().join(target).join("release/capture")
}

fn needed(program: &str) -> Result<PathBuf, String> {
    find(program).ok_or_else(|| format!("{program} is not installed"))
}

/// Path of a program.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
}

/// strace, also where it is not installed: starting it says so.
pub(super) fn strace_path() -> PathBuf {
    find("strace").unwrap_or_else(|| "strace".into())
}

/// Sends a signal to a child that was not waited for.
pub(super) fn signal(child: &Child, name: &str) {
    // One that is gone needs none.
    let _ = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .stderr(Stdio::null())
        .status();
}

/// A tool at work.
pub(super) struct Tracer {
    tool: Tool,
    child: Child,
    file: PathBuf,
    said: PathBuf,
}

impl Tracer {
    /// Starts a tool and waits until it records; the inner error is why it cannot.
    pub(super) fn start(tool: &Tool, dir: &Path) -> Result<Result<Tracer, String>> {
        let (file, said) = (dir.join("recording"), dir.join("said"));
        // Of the tool before.
        let _ = std::fs::remove_file(&file);
        let mut command = match tool.command(&file) {
            Ok(command) => command,
            Err(reason) => return Ok(Err(reason)),
        };
        let log = File::create(&said).context("making the log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut tracer = Tracer { tool: tool.clone(), child, file, said };
        let start = Instant::now();
        let enough = if tool.file_tells() { PATIENCE } else { Duration::from_secs(2) };
        while start.elapsed() < enough {
            if tracer.child.try_wait()?.is_some() {
                return Ok(Err(tracer.last_words()));
            }
            if tool.file_tells() && std::fs::metadata(&tracer.file).is_ok_and(|m| m.len() > 0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The last programs are attached after the first words.
        std::thread::sleep(Duration::from_millis(500));
        Ok(Ok(tracer))
    }

    fn last_words(&self) -> String {
        let said = std::fs::read_to_string(&self.said).unwrap_or_default();
        let line = said.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or("it ended at once");
        line.chars().take(80).collect()
    }

    /// CPU time of all its threads so far, in seconds.
    pub(super) fn cpu_s(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let rest = stat.rsplit_once(") ")?.1;
        let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
        Some(ticks.sum::<f64>() / TICKS)
    }

    /// Ends it; how many events it says it lost.
    pub(super) fn stop(mut self) -> Result<Option<u64>> {
        signal(&self.child, "INT");
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let said = std::fs::read_to_string(&self.said).unwrap_or_default();
        let after = |mark: &str| {
            let rest = said.lines().find_map(|line| Some(line.split_once(mark)?.1))?;
            rest.trim().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        Ok(match self.tool {
            Tool::Capture { .. } => after("lost:"),
            Tool::Sysdig(_) => after("Driver Drops:"),
            Tool::PerfRecord => Some(after("lost ").or_else(|| after("LOST ")).unwrap_or(0)),
            _ => None,
        })
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
