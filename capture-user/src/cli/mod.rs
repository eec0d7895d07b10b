//! The command line of `capture`.
//!
//! [`args`] is what was typed, [`plan`] what it means, [`session`] carries it out with
//! [`consumers`] at its end. Nothing here knows how events are made.

pub mod args;
pub mod consumers;
pub mod error;
mod feed;
mod lists;
pub mod plan;
mod proclist;
mod progress;
mod report;
pub mod rotation;
mod same_file;
pub mod session;
pub mod signals;

use args::RawArgs;
use capture_file::FileError;
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
    let args = match RawArgs::parse_words(words) {
        Ok(args) => args,
        Err(error) => {
            // A reader of the help text that went away is no error.
            let _ = error.print();
            return ExitCode::from(args::exit_code(&error));
        }
    };
    match run(args, stop) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to try if stderr is gone, too.
            let name = if matches!(error, CliError::TwoBufferFormats { .. }) { "" } else { "capture: " };
            let _ = writeln!(std::io::stderr(), "{name}{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: RawArgs, stop: io::Result<StopFlag>) -> Result<(), CliError> {
    let stop = stop.map_err(|error| CliError::Io {
        what: "installing the handlers of SIGINT and SIGTERM".into(),
        error,
    })?;
    if args.list_chisels || args.chisel.iter().any(|name| name == "l") {
        return report::list_chisels();
    }
    if let Some(text) = lists::asked_for(&args)? {
        return lists::print(&text);
    }
    if args.print.as_deref() == Some("p") {
        return report::default_format();
    }
    let plan = Plan::new(args)?;
    for note in &plan.notes {
        // Nothing is left to try if stderr is gone.
        let _ = writeln!(std::io::stderr(), "capture: note: {note}");
    }
    if let Some(filter) = &plan.filter {
        if plan.lint {
            report::lint(filter);
        }
        if plan.explain_filter {
            return report::explain(filter);
        }
    }
    session::run(plan, stop)
}

/// Whether the reader of what we print or write (`-w -`, a named pipe) went away, which ends a run
/// in order.
fn is_broken_pipe(error: &CliError) -> bool {
    let io = match error {
        CliError::Stdout(io) => io,
        CliError::Stream(error) => match error.downcast_ref() {
            Some(FileError::Write { source, .. }) => source,
            _ => return false,
        },
        _ => return false,
    };
    io.kind() == std::io::ErrorKind::BrokenPipe
}
