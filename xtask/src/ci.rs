//! `cargo xtask ci`: what a change has to pass.
//!
//! The tests come last, so that their totals and failures end what is printed.

use crate::shell::{cargo, run};
use anyhow::{Result, bail};
use std::process::Stdio;
use std::time::Instant;

/// One step of the check.
struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "formatting", run: fmt },
    Step { name: "generated files", run: || crate::codegen::run(&["--check".to_string()]) },
    Step { name: "lints", run: clippy },
    Step { name: "documentation", run: docs },
    Step { name: "probe rebuild", run: || crate::ebpf::run(&["--check".to_string()]) },
    Step { name: "examples", run: examples },
    Step { name: "fuzz targets", run: crate::fuzz::check },
    Step { name: "tests", run: || crate::suites::test(&[]) },
];

/// Entry point of `ci`.
pub(crate) fn run_all(_: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    let mut times = Vec::new();
    for step in STEPS {
        eprintln!("\n=== {} ===", step.name);
        let start = Instant::now();
        if let Err(error) = (step.run)() {
            eprintln!("{}: FAILED: {error:#}", step.name);
            failed.push(step.name);
        }
        times.push(format!("{} {:.0} s", step.name, start.elapsed().as_secs_f64()));
    }
    eprintln!("\nsteps: {}", times.join(", "));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    eprintln!("all steps passed");
    Ok(())
}

/// Entry point of `storms`.
pub(crate) fn storms(args: &[String]) -> Result<()> {
    let seconds = args.first().map_or("60", String::as_str);
    if seconds.parse::<u64>().is_err() {
        bail!("usage: cargo xtask storms [SECONDS [TEST]]");
    }
    let mut command =
        cargo(&["test", "--release", "--package", "capture-tests", "--test", "live_storms", "--"]);
    command.args(["--nocapture", "--test-threads=1"]).args(args.get(1));
    run(command.env("CAPTURE_STORM_SECONDS", seconds))
}

fn fmt() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    // A workspace of its own.
    run(&mut cargo(&["fmt", "--manifest-path", "capture-ebpf/Cargo.toml", "--check"]))
}

fn clippy() -> Result<()> {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn docs() -> Result<()> {
    run(cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn examples() -> Result<()> {
    run(&mut cargo(&["build", "--workspace", "--examples", "--quiet"]))?;
    run(&mut cargo(&["run", "--quiet", "--package", "filter-lang", "--example", "made_up_record"]))?;
    run(cargo(&["run", "--quiet", "--package", "filter-lang", "--example", "json_lines"])
        .stdin(Stdio::null()))
}
