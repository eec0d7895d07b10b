//! The command line of `capture`.
//!
//! [`args`] is what was typed, [`plan`] what it means, [`session`] carries it out with
//! [`consumers`] at its end. Nothing here knows how events are made.

pub mod args;
mod chisel_list;
mod chisel_plan;
pub mod consumers;
mod counters;
mod doctor;
mod enrich;
pub mod error;
mod feed;
mod kernel_filter;
mod limiter;
mod lists;
mod misplaced;
pub mod plan;
mod proclist;
mod progress;
mod report;
mod rerun;
pub mod rotation;
mod same_file;
pub mod session;
pub mod signals;
mod stages;
mod status_line;

use args::RawArgs;
use capture_file::FileError;
use chisels::ChiselError;
use error::CliError;
use plan::Plan;
use signals::StopFlag;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The whole program: parses the words (program name first), runs, reports.
pub fn main_with(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    // First of all: from here on a signal ends the program in order.
    let stop = StopFlag::install();
    let mut words: Vec<OsString> = words.into_iter().collect();
    loop {
        let args = match RawArgs::parse_words(&words) {
            Ok(args) => args,
            Err(error) => {
                // A reader of the help text that went away is no error.
                let _ = error.print();
                return ExitCode::from(args::exit_code(&error));
            }
        };
        let kept = rerun::kept_words(&args);
        match run(args, &stop) {
            Ok(Outcome::Ended(code)) => return ExitCode::from(code),
            // A chisel asked for another run.
            Ok(Outcome::Again(again)) => {
                words.truncate(1);
                words.extend(kept.into_iter().chain(rerun::split_words(&again)).map(OsString::from));
            }
            Err(error) if is_broken_pipe(&error) => return ExitCode::SUCCESS,
            Err(CliError::Chisel(ChiselError::Exit(code))) => return ExitCode::from(code as u8),
            Err(error) => {
                // Nothing is left to try if stderr is gone, too.
                let name = if matches!(error, CliError::TwoBufferFormats { .. }) { "" } else { "capture: " };
                let _ = writeln!(std::io::stderr(), "{name}{error}");
                return ExitCode::from(error.exit_code());
            }
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// With this exit code: 0, or that of the command that was watched.
    Ended(u8),
    /// A chisel asks for another run with this command line.
    Again(String),
}

/// One run.
fn run(args: RawArgs, stop: &io::Result<StopFlag>) -> Result<Outcome, CliError> {
    const DONE: Outcome = Outcome::Ended(0);
    let stop = stop.as_ref().map_err(|error| CliError::Io {
        what: "installing the handlers of SIGINT and SIGTERM".into(),
        error: io::Error::new(error.kind(), error.to_string()),
    })?;
    if args.list_chisels || args.chisel.iter().any(|name| name == "l") {
        return chisel_list::list(&args).map(|()| DONE);
    }
    if let Some(name) = &args.chisel_info {
        return chisel_list::describe(&args, name).map(|()| DONE);
    }
    if let Some(text) = lists::asked_for(&args)? {
        return lists::print(&text).map(|()| DONE);
    }
    if args.print.as_deref() == Some("p") {
        return report::default_format().map(|()| DONE);
    }
    if args.read.is_empty() && args.words == ["doctor"] {
        return doctor::run(args.json);
    }
    let args = enrich::verb(args)?;
    let plan = Plan::new(args, stop)?;
    for note in &plan.notes {
        // Nothing is left to try if stderr is gone.
        let _ = writeln!(std::io::stderr(), "capture: note: {note}");
    }
    if let Some(filter) = &plan.filter {
        if plan.lint {
            report::lint(filter);
        }
        if plan.explain_filter {
            let in_kernel = kernel_filter::explain(filter, &plan);
            return report::explain(filter, &in_kernel).map(|()| DONE);
        }
        if plan.lint && matches!(plan.input, plan::Input::Live(_)) {
            // Who asks about a filter does not mean to watch the machine.
            return Ok(DONE);
        }
    }
    session::run(plan, stop.clone())
}

/// Whether the reader of what we print or write (`-w -`, a named pipe) went away, which ends a run
/// in order.
fn is_broken_pipe(error: &CliError) -> bool {
    let io = match error {
        CliError::Stdout(io) | CliError::Chisel(ChiselError::Output(io)) => io,
        CliError::Stream(error) => match error.downcast_ref() {
            Some(FileError::Write { source, .. }) => source,
            _ => return false,
        },
        _ => return false,
    };
    io.kind() == std::io::ErrorKind::BrokenPipe
}
