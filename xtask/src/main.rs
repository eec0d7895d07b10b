//! Tasks of the project; bare `cargo xtask` lists them.
//!
//! Each task is a module with `run(args)`; this file only finds the module by name.
#![forbid(unsafe_code)]

mod codegen;

use anyhow::{Result, bail};
use std::path::PathBuf;

type Task = (&'static str, &'static str, fn(&[String]) -> Result<()>);

const TASKS: &[Task] =
    &[("codegen", "write the tables of capture-common from its data (--check: only compare)", codegen::run)];

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
