//! `cargo xtask bench NAME`: the benchmarks of the project, each against its floor in one run.

use crate::shell::{cargo, run as run_command};
use anyhow::{Result, bail};

/// Name, package and bench target.
const BENCHES: &[(&str, &str, &str)] = &[("live", "capture-user", "live")];

/// Entry point.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted = args.first().and_then(|name| BENCHES.iter().find(|(n, ..)| n == name));
    let Some((_, package, target)) = wanted else {
        let names: Vec<&str> = BENCHES.iter().map(|(n, ..)| *n).collect();
        bail!("usage: cargo xtask bench NAME [ARGUMENTS]; names: {}", names.join(", "));
    };
    let mut command = cargo(&["bench", "--quiet", "--package", package, "--bench", target, "--"]);
    command.args(&args[1..]);
    run_command(&mut command)
}
