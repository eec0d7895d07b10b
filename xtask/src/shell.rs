//! Running other programs, with an error that says which one failed and how.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// A command of the repository's cargo, run in its root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(crate::repo_root());
    command
}

/// Runs it and fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

/// Runs it and returns what it printed; fails unless it exits with 0.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let out = command.output().with_context(|| format!("starting {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(out.stdout)
}

/// Whether the effective user is root.
pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| s.lines().find_map(|l| l.strip_prefix("Uid:").map(str::to_owned)))
        .is_some_and(|l| l.split_whitespace().nth(1) == Some("0"))
}
