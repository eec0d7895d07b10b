//! `cargo xtask sample`: records `samples/curl.scap` anew (root).
//!
//! The workload runs in namespaces and cgroups of its own with an empty environment; the record
//! of the whole machine is then cut to it, process table included. The task fails if a word of
//! the recording machine is found in the result.

use crate::shell::{cargo, is_root, output, run};
use anyhow::{Result, bail};
use std::process::Command;

/// Entry point.
pub(crate) fn run_sample(_: &[String]) -> Result<()> {
    if !is_root() {
        bail!("recording the sample needs root");
    }
    run(&mut cargo(&["build", "--release", "--package", "capture-user"]))?;
    let program = crate::demo::program();
    let root = crate::repo_root();
    let raw = std::env::temp_dir().join(format!("sample-{}.scap", std::process::id()));
    // The environment is cleared: even the workload's first exec must not show it.
    run(Command::new("unshare")
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["--uts", "--net", "sh"])
        .arg(root.join("xtask/src/sample.sh"))
        .arg(&program)
        .arg(&raw)
        .current_dir("/"))?;
    let sample = root.join("samples/curl.scap");
    run(Command::new(&program).arg("-r").arg(&raw).arg("-w").arg(&sample).args([
        "-E",
        "--filter-proclist",
        "thread.cgroups contains /sample",
    ]))?;
    std::fs::remove_file(&raw)?;
    let plain = output(Command::new("zstd").arg("-dc").arg(&sample))?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let home = std::env::var("HOME").unwrap_or_default();
    for word in [host.trim(), home.as_str(), &root.to_string_lossy(), "CARGO", "LS_COLORS"] {
        if word.len() > 3 && plain.windows(word.len()).any(|w| w == word.as_bytes()) {
            bail!("{} holds {word:?}, a word of this machine", sample.display());
        }
    }
    println!("{}: {} bytes", sample.display(), std::fs::metadata(&sample)?.len());
    Ok(())
}
