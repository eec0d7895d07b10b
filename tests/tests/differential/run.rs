//! Runs one of the two programs.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a run printed, and how it ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
}

pub(crate) fn stock(words: &[&str], file: &Path) -> Outcome {
    run("sysdig", words, file)
}

pub(crate) fn ours(words: &[&str], file: &Path) -> Outcome {
    run(env!("CARGO_BIN_EXE_capture-test"), words, file)
}

fn run(program: &str, words: &[&str], file: &Path) -> Outcome {
    let output = Command::new(program)
        .arg("-r")
        .arg(file)
        .args(words)
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    Outcome { code: output.status.code(), stdout: String::from_utf8_lossy(&output.stdout).into_owned() }
}
