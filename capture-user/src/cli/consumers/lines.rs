//! Events as lines of text or JSON on standard output.

use super::stdout::Stdout;
use super::{Consumer, Event};
use crate::cli::error::CliError;
use crate::cli::plan::LinePlan;
use capture_engine::format::{self, FormatOptions, Formatter};
use capture_engine::render::{TextOptions, Zone};
use capture_file::WriteStats;
use jiff::tz::TimeZone;
use std::io::IsTerminal;

/// Prints every event that passed the filter.
pub struct LineConsumer {
    formatter: Formatter,
    out: Stdout,
    internal: bool,
}

impl LineConsumer {
    /// Compiles the format.
    pub fn new(plan: &LinePlan, verbose: bool, internal: bool) -> Result<Self, CliError> {
        let text = TextOptions {
            buffer: plan.buffers,
            cut_buffers: !verbose && !plan.json,
            zone: Zone::new(TimeZone::system()),
            ..TextOptions::default()
        };
        let options = FormatOptions { text, time: plan.time, json: plan.json };
        let format = match plan.format.as_deref() {
            None if std::io::stdout().is_terminal() => format::DEFAULT_TERMINAL,
            None => format::DEFAULT,
            Some("c" | "container") => format::CONTAINER,
            Some("k" | "kubernetes") => format::KUBERNETES,
            Some("m" | "mesos") => format::MESOS,
            Some(own) => own,
        };
        let out = Stdout { unbuffered: plan.unbuffered || plan.json, ..Stdout::default() };
        Ok(LineConsumer { formatter: Formatter::new(format, options)?, out, internal })
    }
}

impl Consumer for LineConsumer {
    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        let applied = event.view.applied;
        if event.matched && (applied.visible || (self.internal && applied.internal)) {
            self.formatter.write(&event.view, &mut self.out.buffer);
            self.out.appended()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), CliError> {
        self.out.flush()
    }

    fn end(&mut self) -> Result<Option<WriteStats>, CliError> {
        self.out.buffer.extend_from_slice(self.formatter.epilogue().as_bytes());
        self.out.flush().map(|()| None)
    }
}
