//! Runs a program once and says what it took: time, CPU, memory.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A program with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
}

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall_s: f64,
    /// Of all threads, in the program and in the kernel.
    pub(crate) cpu_s: f64,
    /// In the program alone.
    pub(crate) user_s: f64,
    /// Highest resident memory in kB.
    pub(crate) peak_kb: u64,
}

impl Call {
    pub(crate) fn new(program: impl Into<String>, args: &[&str]) -> Call {
        Call { program: program.into(), args: args.iter().map(|arg| (*arg).to_owned()).collect() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Its local time costs stock a look at the zone's file for every line.
        command.args(&self.args).env("TZ", "UTC").stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it with its output thrown away. It must exit with 0.
    pub(crate) fn measure(&self) -> Result<Usage> {
        let started = Instant::now();
        let child = self.command().stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("starting {}", self.program))?;
        let (status, rusage) = wait(child)?;
        let wall_s = started.elapsed().as_secs_f64();
        if status != 0 {
            bail!("{} {}: wait status {status:#x}", self.program, self.args.join(" "));
        }
        let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
        Ok(Usage {
            wall_s,
            user_s: seconds(rusage.ru_utime),
            cpu_s: seconds(rusage.ru_utime) + seconds(rusage.ru_stime),
            peak_kb: rusage.ru_maxrss as u64,
        })
    }

    /// Runs it and counts the lines that it prints. It must exit with 0.
    pub(crate) fn count_lines(&self) -> Result<u64> {
        let child = self.command().stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("starting {}", self.program))?;
        let mut lines = 0;
        if let Some(out) = child.stdout.take() {
            let mut out = BufReader::with_capacity(1 << 20, out);
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line)? > 0 {
                lines += 1;
                line.clear();
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("{} {}: {status} after {lines} lines", self.program, self.args.join(" "));
        }
        Ok(lines)
    }
}

/// Waits for a child that nobody else waits for; its wait status and what it used.
#[expect(unsafe_code, reason = "std cannot say what one child used")]
fn wait(child: Child) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: a zeroed rusage is a valid one; the call fills both through their addresses.
    let (pid, rusage) = unsafe {
        let mut rusage: libc::rusage = std::mem::zeroed();
        let pid = libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut rusage);
        (pid, rusage)
    };
    if pid < 0 {
        return Err(std::io::Error::last_os_error()).context("waiting for a child");
    }
    Ok((status, rusage))
}

/// Whether a program of this name can be started.
pub(crate) fn is_installed(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
