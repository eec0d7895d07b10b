//! Events as lines of text or JSON on standard output.

use super::stdout::Stdout;
use super::{Consumer, Event};
use crate::cli::error::CliError;
use crate::cli::plan::LinePlan;
use capture_engine::EventFilter;
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
    /// `-d`: chooses among the lines.
    display: Option<EventFilter>,
}

impl LineConsumer {
    /// Compiles the format.
    pub fn new(
        plan: &LinePlan,
        verbose: bool,
        internal: bool,
        display: Option<EventFilter>,
    ) -> Result<Self, CliError> {
        let text = TextOptions {
            buffer: plan.buffers.unwrap_or_default(),
            cut_buffers: !verbose && !plan.json,
            zone: Zone::new(TimeZone::system()),
            ..TextOptions::default()
        };
        let options = FormatOptions { text, time: plan.time, json: plan.json };
        let is_terminal =
            if plan.to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let format = match plan.format.as_deref() {
            None if is_terminal => format::DEFAULT_TERMINAL,
            None => format::DEFAULT,
            Some("c" | "container") => format::CONTAINER,
            Some("k" | "kubernetes") => format::KUBERNETES,
            Some("m" | "mesos") => format::MESOS,
            Some(own) => own,
        };
        let out = Stdout { unbuffered: plan.unbuffered, is_stderr: plan.to_stderr, ..Stdout::default() };
        Ok(LineConsumer { formatter: Formatter::new(format, options)?, out, internal, display })
    }
}

impl Consumer for LineConsumer {
    fn takes_matched_only(&self) -> bool {
        !self.internal
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        let applied = event.view.applied;
        // As in sysdig no filter hides internal events from `-D`.
        let internal = self.internal && applied.internal && !event.suppressed;
        if (event.matched && applied.visible) || internal {
            let start = self.out.buffer.len();
            self.formatter.write(event.view, &mut self.out.buffer);
            // The line was made first: `-t D` counts from the line before, shown or not.
            if let Some(display) = &mut self.display
                && !display.matches(event.view)
            {
                self.out.buffer.truncate(start);
            }
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
