//! Runs one chisel on the events that passed the filter, internal ones included.

use super::stdout::Stdout;
use super::{Consumer, Event};
use crate::cli::error::CliError;
use crate::cli::plan::LinePlan;
use capture_file::WriteStats;
use chisels::{Chisel, Runner, Settings};

/// Feeds a chisel.
pub struct ChiselConsumer {
    runner: Runner,
    out: Stdout,
}

impl ChiselConsumer {
    /// Starts the chisel.
    pub fn start(chisel: Box<dyn Chisel>, plan: &LinePlan) -> Result<Self, CliError> {
        let settings = Settings { buffers: plan.buffers, container_data: plan.container_data };
        let runner = Runner::start(chisel, &settings)?;
        Ok(ChiselConsumer { runner, out: Stdout { unbuffered: plan.unbuffered, ..Stdout::default() } })
    }
}

impl Consumer for ChiselConsumer {
    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        if event.matched {
            self.runner.event(&event.view, &mut self.out.buffer)?;
            self.out.appended()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), CliError> {
        self.out.flush()
    }

    fn end(&mut self) -> Result<Option<WriteStats>, CliError> {
        self.runner.end(&mut self.out.buffer);
        self.out.flush().map(|()| None)
    }
}
