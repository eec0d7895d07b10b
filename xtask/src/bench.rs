//! `cargo xtask bench NAME`: the benchmarks of the project, each against its floor in one run;
//! `cargo xtask bench-file` makes the file that `bench replay` and `bench
//! chisels` read.

use crate::shell::{cargo, run as run_command};
use anyhow::{Result, bail};

/// Name, package, bench target, and the options by which that knows what is meant.
const BENCHES: &[(&str, &str, &str, &[&str])] = &[
    ("live", "capture-user", "live", &[]),
    ("replay", "capture-user", "replay", &[]),
    ("chisels", "capture-user", "replay", &["--chisels"]),
    ("filter", "capture-engine", "filter", &[]),
];

/// Entry point.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted = args.first().and_then(|name| BENCHES.iter().find(|(n, ..)| n == name));
    if wanted.is_some_and(|(name, ..)| *name == "live") {
        return crate::compare::run(&args[1..], |rest| start("capture-user", "live", rest));
    }
    let Some((_, package, target, options)) = wanted else {
        let names: Vec<&str> = BENCHES.iter().map(|(n, ..)| *n).collect();
        bail!("usage: cargo xtask bench NAME [ARGUMENTS]; names: {}", names.join(", "));
    };
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    start(package, target, &[&options, &args[1..]].concat())
}

/// Entry point of `bench-file`.
pub(crate) fn make_file(args: &[String]) -> Result<()> {
    let make = ["--make".to_owned()];
    start("capture-user", "replay", &[&make, args].concat())
}

fn start(package: &str, target: &str, args: &[String]) -> Result<()> {
    let mut command = cargo(&["bench", "--quiet", "--package", package, "--bench", target, "--"]);
    command.args(args);
    run_command(&mut command)
}
