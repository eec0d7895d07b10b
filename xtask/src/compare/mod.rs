//! The second half of `cargo xtask bench live`: what recording the machine does to real programs, for
//! capture and for other tools, side by side in one run.
//!
//! Every round runs each load bare and under each tool, in turn, so that a change of the machine's
//! mood hits all alike; printed is the median over the rounds of the ratio to the same round's bare
//! run. strace and perf trace take minutes for a round, so they get one, the last.

mod loads;
mod report;
mod start;
mod tools;

use anyhow::{Context, Result, bail};
use loads::Loads;
use report::Row;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tools::{Tool, Tracer};

/// No round but that of the slow tools begins after this time.
const TIME_MAX: Duration = Duration::from_secs(200);

const USAGE: &str = "usage: cargo xtask bench live [--rounds N] [--sysdig PROGRAM] [--capture PROGRAM] [--only-calls | --only-loads | --start] \
                     [--write]: the last keeps the table in docs/benchmarks.md";

/// What the command line says.
struct Options {
    rounds: usize,
    sysdig: Option<PathBuf>,
    /// A build of capture; the release build otherwise.
    capture: Option<PathBuf>,
    calls: bool,
    loads: bool,
    write: bool,
    /// Only where the time of the start goes.
    start: bool,
    /// For the benchmark of single calls.
    rest: Vec<String>,
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 3,
        sysdig: None,
        capture: None,
        calls: true,
        loads: true,
        write: false,
        start: false,
        rest: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => {
                let rounds = args.next().and_then(|n| n.parse().ok()).filter(|n| (1..=50).contains(n));
                options.rounds = rounds.context(USAGE)?;
            }
            "--sysdig" => options.sysdig = Some(args.next().context(USAGE)?.into()),
            "--capture" => options.capture = Some(args.next().context(USAGE)?.into()),
            "--only-calls" => options.loads = false,
            "--only-loads" => options.calls = false,
            "--start" => (options.start, options.calls, options.loads) = (true, false, false),
            "--write" => options.write = true,
            "--help" | "-h" => bail!(USAGE),
            other => options.rest.push(other.to_owned()),
        }
    }
    Ok(options)
}

/// Entry point; `calls` runs the benchmark of single calls with further arguments.
pub(crate) fn run(args: &[String], calls: impl FnOnce(&[String]) -> Result<()>) -> Result<()> {
    let options = parse(args)?;
    if options.calls {
        calls(&options.rest)?;
    }
    if !options.loads && !options.start {
        return Ok(());
    }
    if !crate::shell::is_root() {
        bail!("recording needs root");
    }
    let capture = match &options.capture {
        Some(program) => program.clone(),
        None => {
            let build = ["build", "--quiet", "--release", "--package", "capture-user"];
            crate::shell::run(&mut crate::shell::cargo(&build))?;
            tools::release_build()
        }
    };
    let dir = std::env::temp_dir().join(format!("capture-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let table = if options.start {
        start::run(&capture, options.rounds, &dir)
    } else {
        let rows = Loads::start(&dir).and_then(|loads| measure(&loads, &options, &capture, &dir));
        rows.map(|rows| report::table(&rows))
    };
    // What is left in a folder for temporary files is no failure.
    let _ = std::fs::remove_dir_all(&dir);
    let table = table?;
    println!("{table}");
    if options.write && options.loads { report::keep(&table) } else { Ok(()) }
}

fn measure(loads: &Loads, options: &Options, capture: &Path, dir: &Path) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = tools::all(capture, options.sysdig.clone()).into_iter().map(Row::new).collect();
    let start = Instant::now();
    for number in 0..options.rounds {
        if start.elapsed() > TIME_MAX {
            eprintln!("stopped after {number} rounds: this machine is slow or busy");
            break;
        }
        eprintln!("round {} of {}", number + 1, options.rounds);
        round(loads, &mut rows, dir, |tool| !tool.is_slow())?;
    }
    if rows.iter().any(|row| row.tool.is_slow() && !row.is_out()) {
        eprintln!("one round of what takes minutes");
        round(loads, &mut rows, dir, Tool::is_slow)?;
    }
    Ok(rows)
}

/// Runs the loads bare, then under each tool that takes part.
fn round(loads: &Loads, rows: &mut [Row], dir: &Path, takes_part: impl Fn(&Tool) -> bool) -> Result<()> {
    let bare = loads.run_all(None)?;
    for row in rows.iter_mut().filter(|row| takes_part(&row.tool)) {
        if row.tool == Tool::Bare {
            row.add(&bare, &bare, None, None);
        } else if row.is_out() {
            continue;
        } else if row.tool == Tool::Strace {
            row.add(&bare, &loads.run_all(Some(&tools::strace_path()))?, None, None);
        } else {
            match Tracer::start(&row.tool, dir)? {
                Err(reason) => row.rule_out(reason),
                Ok(tracer) => {
                    let before = tracer.cpu_s();
                    let times = loads.run_all(None)?;
                    let cpu_s = tracer.cpu_s().zip(before).map(|(now, before)| now - before);
                    let lost = tracer.stop()?;
                    row.add(&bare, &times, cpu_s, lost);
                }
            }
        }
    }
    Ok(())
}
