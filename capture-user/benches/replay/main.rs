//! `cargo xtask bench replay`: replay side by side with stock sysdig, in one run; `cargo xtask bench
//! chisels`: the same for chisels, built in and in Lua.
//!
//! The file is what `cargo xtask bench-file` makes. First both must read it to its end and print as
//! many lines. Then the cases take turns, stock and capture one after the other in every round, so
//! that a noisy machine hits both; the table shows medians: events per second, the ratio to stock
//! (or to `zstd -dc`, the floor), the target, and the highest resident memory.
//!
//! Chisels are many, so their file is smaller and no case begins after [`CHISELS_S`] seconds; their
//! targets are of the CPU time in the program, which a machine that others use does not spoil.

mod big_file;
mod cases;
mod rewrite;
mod run;

use anyhow::{Context, Result, bail};
use big_file::BigFile;
use cases::{Against, CHISELS, Case, REPLAY};
use run::{Call, Usage};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Events of the file that is made.
const EVENTS: u64 = 5_000_000;
const ROUNDS: usize = 3;
/// Events of the file for chisels: every capture once.
const CHISELS_EVENTS: u64 = 1_000_000;
/// Seconds after which no further chisel is measured.
const CHISELS_S: u64 = 100;

/// Which time targets are of.
#[derive(Clone, Copy, Debug)]
struct Clock {
    name: &'static str,
    of: fn(&Usage) -> f64,
}

const WALL: Clock = Clock { name: "wall time", of: |run| run.wall_s };
const CPU: Clock = Clock { name: "CPU time", of: |run| run.cpu_s };
const USER: Clock = Clock { name: "user CPU time", of: |run| run.user_s };

#[derive(Debug)]
struct Options {
    make: bool,
    captures: PathBuf,
    folder: PathBuf,
    events: u64,
    rounds: usize,
    cases: &'static [Case],
    /// Only cases whose name contains this.
    only: String,
    /// Targets are of this time; none means wall time, or user CPU time for chisels.
    clock: Option<Clock>,
    /// Seconds after which no further case begins.
    seconds: Option<u64>,
    sysdig: String,
    capture: String,
    check: bool,
}

const USAGE: &str = "options: --captures FOLDER (holding http, redis, build, shell, postgres as .scap or \
.scap.gz), --out FOLDER, --events N, --rounds N, --only TEXT, --sysdig PROGRAM, --capture PROGRAM, \
--chisels (measure them), --by-cpu (targets are of CPU time, which a machine that others use does not spoil), \
--seconds N (begin no case after them), --check (fail where a target is missed)";

impl Options {
    fn parse() -> Result<Options> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let program = PathBuf::from(env!("CARGO_BIN_EXE_capture"));
        let target = program.parent().and_then(|release| release.parent()).context("no target folder")?;
        let mut options = Options {
            make: false,
            captures: root.join("tests/data/captures"),
            folder: PathBuf::new(),
            events: 0,
            rounds: ROUNDS,
            cases: REPLAY,
            only: String::new(),
            clock: None,
            seconds: None,
            sysdig: "sysdig".to_owned(),
            capture: program.display().to_string(),
            check: false,
        };
        let mut chisels = false;
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value; {USAGE}"));
            match &word[..] {
                // What cargo itself adds.
                "--bench" => {}
                "--make" => options.make = true,
                "--chisels" => chisels = true,
                "--check" => options.check = true,
                "--by-cpu" => options.clock = Some(CPU),
                "--seconds" => options.seconds = Some(number(&value()?)?),
                "--captures" => options.captures = value()?.into(),
                "--out" => options.folder = value()?.into(),
                "--events" => options.events = number(&value()?)?,
                "--rounds" => options.rounds = usize::try_from(number(&value()?)?)?,
                "--only" => options.only = value()?,
                "--sysdig" => options.sysdig = value()?,
                "--capture" => options.capture = value()?,
                _ => bail!("unknown option {word:?}; {USAGE}"),
            }
        }
        let (folder, events) =
            if chisels { ("bench-chisels", CHISELS_EVENTS) } else { ("bench-replay", EVENTS) };
        if options.folder.as_os_str().is_empty() {
            options.folder = target.join(folder);
        }
        if options.events == 0 {
            options.events = events;
        }
        if chisels {
            options.cases = CHISELS;
            options.clock = options.clock.or(Some(USER));
            options.seconds = options.seconds.or(Some(CHISELS_S));
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().ok().filter(|&n| n > 0).with_context(|| format!("{text:?} is no number above 0; {USAGE}"))
}

fn main() -> Result<()> {
    let options = Options::parse()?;
    let files = BigFile::in_folder(&options.folder);
    std::fs::create_dir_all(&options.folder)
        .with_context(|| format!("creating {}", options.folder.display()))?;
    if options.make || !files.exists() {
        big_file::make(&options.captures, options.events, &files)?;
    }
    if options.make {
        return Ok(());
    }
    for program in [&options.sysdig, "zstd"] {
        if !run::is_installed(program) {
            bail!("{program} is not installed: the comparison needs sysdig 0.29.3 and zstd");
        }
    }
    let bench = Bench::new(options, files)?;
    bench.run()
}

struct Bench {
    options: Options,
    files: BigFile,
    events: u64,
}

/// Measured runs of a case: the other program's and ours.
struct Measured {
    case: &'static Case,
    theirs: Vec<Usage>,
    ours: Vec<Usage>,
}

impl Bench {
    /// Both programs read the plain file to its end and see as many events.
    fn new(options: Options, files: BigFile) -> Result<Bench> {
        let plain = files.plain.display().to_string();
        let args = ["-r", &plain, "-p", "%evt.num"];
        let theirs = Call::new(&*options.sysdig, &args).count_lines().context("stock sysdig on the file")?;
        let ours = Call::new(&*options.capture, &args).count_lines()?;
        println!(
            "{plain}: {} reads it to its end, exits with 0 and prints {theirs} events; capture {ours}",
            options.sysdig
        );
        if theirs != ours {
            bail!("the programs do not agree on the number of events");
        }
        Ok(Bench { options, files, events: ours })
    }

    fn run(&self) -> Result<()> {
        let chosen = self.options.cases.iter().filter(|case| case.name.contains(&*self.options.only));
        let mut all: Vec<Measured> =
            chosen.map(|case| Measured { case, theirs: Vec::new(), ours: Vec::new() }).collect();
        let started = Instant::now();
        let limit = self.options.seconds.map(Duration::from_secs);
        for round in 0..self.options.rounds {
            for measured in &mut all {
                if limit.is_some_and(|limit| started.elapsed() > limit) {
                    break;
                }
                let (theirs, ours) = self.calls(measured.case);
                // Who is first changes from round to round.
                if round % 2 == 0 {
                    measured.theirs.push(theirs.measure()?);
                    measured.ours.push(ours.measure()?);
                } else {
                    measured.ours.push(ours.measure()?);
                    measured.theirs.push(theirs.measure()?);
                }
            }
        }
        let (all, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|measured| !measured.ours.is_empty());
        let missed = self.report(&all);
        if !left.is_empty() {
            let names: Vec<&str> = left.iter().map(|measured| measured.case.name).collect();
            println!("\nNot measured, since the time was over: {}", names.join(", "));
        }
        if self.options.check && !missed.is_empty() {
            bail!("targets missed: {}", missed.join(", "));
        }
        Ok(())
    }

    fn calls(&self, case: &Case) -> (Call, Call) {
        let out = self.options.folder.join("written.scap").display().to_string();
        let args = |file: &str, more: &[&str]| {
            let mut args = vec!["-r".to_owned(), file.to_owned()];
            args.extend(case.args.iter().chain(more).map(|arg| arg.replace("OUT", &out)));
            args
        };
        let plain = self.files.plain.display().to_string();
        let zstd = self.files.zstd.display().to_string();
        let (theirs, file) = match case.against {
            Against::Stock(_) => {
                (Call { program: self.options.sysdig.clone(), args: args(&plain, &[]) }, plain)
            }
            Against::Zstd(_) => (Call::new("zstd", &["-dc", &zstd]), zstd),
        };
        (theirs, Call { program: self.options.capture.clone(), args: args(&file, case.own_args) })
    }

    /// Prints the table; the targets that are missed.
    fn report(&self, all: &[Measured]) -> Vec<String> {
        let rounds = |least: bool| {
            let counts = all.iter().map(|measured| measured.ours.len());
            if least { counts.min() } else { counts.max() }.unwrap_or(0)
        };
        let (least, most) = (rounds(true), rounds(false));
        let clock = self.options.clock.unwrap_or(WALL);
        println!(
            "\nmillions of events per second, medians of {} rounds, stock and capture in turn; targets are of {}\n",
            if least == most { most.to_string() } else { format!("{least} to {most}") },
            clock.name
        );
        println!(
            "| {:<40} | {:>7} | {:>7} | {:>7} | {:>7} | {:>9} | {:>10} | {:>8} | {:>8} |",
            "", "stock", "capture", "ratio", "target", "CPU ratio", "user ratio", "stock MB", "our MB"
        );
        println!("|{}|", [42, 9, 9, 9, 9, 11, 12, 10, 10].map(|width| "-".repeat(width)).join("|"));
        let mut missed = Vec::new();
        for Measured { case, theirs, ours } in all {
            let rate = |runs: &[Usage]| self.events as f64 / 1e6 / median(runs, |run| run.wall_s);
            let peak_mb = |runs: &[Usage]| median(runs, |run| run.peak_kb as f64) / 1024.0;
            let ratio = |of: fn(&Usage) -> f64| median(theirs, of) / median(ours, of);
            let (speed, cpu) = (ratio(|run| run.wall_s), ratio(|run| run.cpu_s));
            let (user, judged) = (ratio(USER.of), ratio(clock.of));
            let (shown, target, met) = match case.against {
                Against::Stock(None) => (speed, "-".to_owned(), true),
                Against::Stock(Some(least)) => (speed, format!(">= {least}"), judged >= least),
                Against::Zstd(most) => (1.0 / speed, format!("<= {most}"), 1.0 / judged <= most),
            };
            let is_stock = matches!(case.against, Against::Stock(_));
            let (their_mb, our_mb) = (peak_mb(theirs), peak_mb(ours));
            println!(
                "| {:<40} | {:>7.2} | {:>7.2} | {:>7.2} | {:>7} | {:>9.2} | {:>10.2} | {:>8.1} | {:>8.1} |{}",
                case.name,
                rate(theirs),
                rate(ours),
                shown,
                target,
                if is_stock { cpu } else { 1.0 / cpu },
                if is_stock { user } else { 1.0 / user },
                their_mb,
                our_mb,
                if met { "" } else { " MISSED" }
            );
            if !met {
                missed.push(case.name.to_owned());
            }
            if is_stock && our_mb >= their_mb {
                missed.push(format!("memory of {}", case.name));
            }
        }
        if all.iter().any(|measured| matches!(measured.case.against, Against::Zstd(_))) {
            println!(
                "\nThe rows of the zstd file stand against zstd -dc FILE: their ratios are times, not speeds."
            );
        }
        missed
    }
}

fn median(runs: &[Usage], of: impl Fn(&Usage) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}
