//! Tasks of the project; bare `cargo xtask` lists them.
//!
//! Each task is a module with `run(args)`; this file only finds the module by name.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod codegen;
mod compare;
mod demo;
mod ebpf;
mod fuzz;
mod sample;
mod shell;
mod suites;

use anyhow::{Result, bail};
use std::path::PathBuf;

type Task = (&'static str, &'static str, fn(&[String]) -> Result<()>);

const TASKS: &[Task] = &[
    (
        "demo",
        "build capture, record a small web request live and replay it (offline part without root)",
        demo::run_demo,
    ),
    ("test", "run all test suites and print the totals and skips", suites::test),
    ("ci", "what CI runs: formatting, generated files, lints, docs, probe rebuild, tests", ci::run_all),
    ("codegen", "write the tables of capture-common from its data (--check: only compare)", codegen::run),
    (
        "ebpf",
        "build the probe's object (--check: compare with the checked-in one; --log: with log messages)",
        ebpf::run,
    ),
    ("fuzz", "build and run the fuzz targets: `fuzz [TARGET|all [SECONDS]]`", fuzz::run),
    (
        "bench",
        "measure: `bench live` what capturing adds to a call and to programs, beside other tools, \
         `bench replay` replay against stock sysdig, `bench chisels` chisels against stock's, \
         `bench filter` filters per event",
        bench::run,
    ),
    (
        "bench-file",
        "make the capture that `bench replay` reads (--captures FOLDER, --out FOLDER, --events N)",
        bench::make_file,
    ),
    ("storms", "the law of loss in storms of N seconds each (60; root): `storms [N [TEST]]`", ci::storms),
    ("sample", "record samples/curl.scap anew (root)", sample::run_sample),
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first() else {
        println!("usage: cargo xtask TASK [ARGUMENTS]\n");
        for (name, help, _) in TASKS {
            println!("  {name:<12} {help}");
        }
        return Ok(());
    };
    match TASKS.iter().find(|(n, ..)| n == name) {
        Some((_, _, run)) => run(&args[1..]),
        None => bail!("no task called {name:?}; `cargo xtask` lists them"),
    }
}

/// The root folder of the repository.
pub(crate) fn repo_root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
