//! Shared helpers of the cross-crate suites.
//!
//! A test that cannot run here calls [`skip`] and returns: the reason goes to stderr past the
//! test harness's capture, and into the log that `cargo xtask test` counts. A skip is never
//! silent.

pub mod cgroup;
pub mod events;
pub mod interop;
pub mod live;
pub mod workload;

use std::io::Write;
use std::path::PathBuf;

/// Folder of the recorded data that the suites read.
pub fn data_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// Reports that test `name` did not run, and why.
pub fn skip(name: &str, reason: &str) {
    let line = format!("SKIPPED {name}: {reason}\n");
    // Plain writes: the harness captures only what the print macros say.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("CAPTURE_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = log.write_all(line.as_bytes());
    }
}

/// Path of stock sysdig; reports a skip of test `name` where it is not installed.
pub fn stock_sysdig(name: &str) -> Option<PathBuf> {
    installed("sysdig", name)
}

/// Path of a program; reports a skip of test `test` where it is not installed.
pub fn installed(program: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file());
    if found.is_none() {
        skip(test, &format!("{program} is not installed"));
    }
    found
}
