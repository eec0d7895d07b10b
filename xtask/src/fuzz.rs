//! `cargo xtask fuzz [TARGET [SECONDS]]`: builds the fuzz targets, makes their seeds from the captures of
//! the test suites, and runs one target, or all, for so long each.
//!
//! The flags are those of cargo-fuzz without a sanitizer. All are known to stable Rust, so nothing but a
//! C++ compiler, for libFuzzer itself, has to be there. What is found stays in `target/fuzz`.

use crate::shell::{cargo, run as run_command};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name, the longest input that is tried, and whether the target makes seeds.
const TARGETS: &[(&str, usize, bool)] = &[
    ("filter", 400, false),
    ("reader", 30_000, true),
    ("events", 4_096, true),
    ("containers", 16_384, true),
];

/// Tells compilers to count the edges that a run takes, and to show what comparisons see.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
--cfg fuzzing -Cdebug-assertions";

const SECONDS: u64 = 900;

/// How long `cargo xtask ci` runs each target: always the same inputs in the same order, so that a change is
/// judged by what it changes. New ones are looked for with `cargo xtask fuzz`.
const CHECK_SECONDS: u64 = 15;
const CHECK_SEED: u64 = 1;

/// Where libFuzzer's lines go.
#[derive(Clone, Copy)]
enum Lines {
    Shown,
    /// Into a file, of which the end is shown if the target fails.
    Kept,
}

/// Entry point of `fuzz`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    run_targets(args, Lines::Shown)
}

/// All targets for a short time, with a line for each.
pub(crate) fn check() -> Result<()> {
    run_targets(&["all".to_string(), CHECK_SECONDS.to_string()], Lines::Kept)
}

fn run_targets(args: &[String], lines: Lines) -> Result<()> {
    let names = || TARGETS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
    let wanted = args.first().map_or("all", String::as_str);
    let targets: Vec<_> = TARGETS.iter().filter(|(name, ..)| wanted == "all" || wanted == *name).collect();
    if targets.is_empty() {
        bail!("usage: cargo xtask fuzz [TARGET|all [SECONDS]]; targets: {}", names());
    }
    let seconds = args.get(1).map_or(Ok(SECONDS), |text| text.parse()).context("SECONDS is no number")?;
    let Some(compiler) = cxx() else {
        eprintln!("SKIPPED fuzz targets: no C++ compiler (c++, g++ or clang++), which libFuzzer needs");
        return Ok(());
    };
    let host = host()?;
    let folder = crate::repo_root().join("target").join("fuzz");
    let mut build = cargo(&["build", "--manifest-path", "fuzz/Cargo.toml", "--release"]);
    build.args(["--target", &host]).arg("--target-dir").arg(&folder);
    for (name, ..) in &targets {
        build.args(["--bin", name]);
    }
    run_command(build.env("RUSTFLAGS", RUSTFLAGS).env("CXX", compiler))?;
    for (name, max_len, has_seeds) in targets {
        let program = folder.join(&host).join("release").join(name);
        let corpus = folder.join("corpus").join(name);
        std::fs::create_dir_all(&corpus)?;
        if *has_seeds {
            run_command(Command::new(&program).env("CAPTURE_FUZZ_SEEDS", &corpus))?;
        }
        let findings = folder.join("artifacts").join(name);
        std::fs::create_dir_all(&findings)?;
        let mut fuzz = Command::new(&program);
        fuzz.arg(&corpus)
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={max_len}"))
            .args(["-rss_limit_mb=1024", "-timeout=30", "-print_final_stats=1", "-verbosity=1"]);
        eprintln!("fuzz target {name}, {seconds} s");
        let result = match lines {
            Lines::Shown => run_command(&mut fuzz),
            Lines::Kept => {
                fuzz.arg(format!("-seed={CHECK_SEED}"));
                run_quietly(&mut fuzz, &folder.join(format!("{name}.log")))
            }
        };
        result.with_context(|| format!("what was found is in {}", findings.display()))?;
    }
    Ok(())
}

/// Runs it with its output in a file, and fails with the last lines of that.
fn run_quietly(fuzz: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    run_command(fuzz.stdout(file.try_clone()?).stderr(file)).map_err(|error| {
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        error.context(lines[lines.len().saturating_sub(40)..].join("\n"))
    })
}

/// The C++ compiler that `CXX` or the system has.
fn cxx() -> Option<PathBuf> {
    let wanted = std::env::var_os("CXX").map(PathBuf::from);
    let names = wanted.into_iter().chain(["c++", "g++", "clang++"].map(PathBuf::from));
    names.into_iter().find(|name| {
        let version =
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}

/// The triple of this machine.
fn host() -> Result<String> {
    let version = crate::shell::output(Command::new("rustc").arg("-vV"))?;
    let text = String::from_utf8_lossy(&version).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}
