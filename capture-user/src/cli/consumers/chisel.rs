//! Runs the chisels on the events that passed the filter, internal ones included.
//!
//! All in one consumer: each event goes through them in the order of the command line, and so do
//! their lines.

use super::stdout::Stdout;
use super::{Consumer, Event};
use crate::cli::chisel_plan::ChiselPlan;
use crate::cli::error::CliError;
use crate::cli::plan::LinePlan;
use capture_common::RawEvent;
use capture_engine::render::Zone;
use capture_engine::{EventFilter, EventView, Machine};
use capture_file::WriteStats;
use chisels::{ChiselError, Input, Runner, Settings, Sink};
use jiff::tz::TimeZone;
use std::io::IsTerminal;

/// Feeds the chisels.
pub struct ChiselConsumer {
    runners: Vec<Runner>,
    out: Stdout,
    /// Whether they were told that an input is open.
    started: bool,
}

impl ChiselConsumer {
    /// Initialises the chisels.
    pub fn new(plan: ChiselPlan, lines: &LinePlan) -> Result<Self, CliError> {
        let mut out = Stdout { unbuffered: lines.unbuffered, ..Stdout::default() };
        out.buffer = plan.out;
        let terminal = std::io::stdout().is_terminal().then(|| {
            let size = terminal_size::terminal_size();
            size.map_or((80, 24), |(width, height)| (width.0, height.0))
        });
        let settings = Settings {
            buffers: lines.buffers,
            container_data: lines.container_data,
            json: lines.json,
            zone: Zone::new(TimeZone::system()),
            filter: plan.filter,
            terminal,
            registry: plan.registry,
            sink: Sink::new(super::stdout::write_out),
        };
        let mut runners = Vec::new();
        for chisel in plan.calls {
            match Runner::new(chisel, &settings, &mut out.buffer) {
                Ok(runner) => runners.push(runner),
                Err(error) => {
                    // What it said before counts.
                    out.flush()?;
                    return Err(error.into());
                }
            }
        }
        Ok(ChiselConsumer { runners, out, started: false })
    }

    /// Bytes of each buffer that they want from a live capture.
    pub fn snaplen(&self) -> Option<u32> {
        self.runners.iter().filter_map(Runner::snaplen).max()
    }

    fn each(
        &mut self,
        mut call: impl FnMut(&mut Runner, &mut Vec<u8>) -> Result<(), ChiselError>,
    ) -> Result<(), CliError> {
        let mut result = Ok(());
        for runner in &mut self.runners {
            result = call(runner, &mut self.out.buffer);
            if result.is_err() {
                break;
            }
        }
        self.out.appended()?;
        Ok(result?)
    }
}

impl Consumer for ChiselConsumer {
    fn start(&mut self, input: &Input<'_>) -> Result<(), CliError> {
        self.started = true;
        let result = self.each(|runner, out| runner.start(input, out));
        self.out.flush()?;
        result
    }

    fn passes_over(&mut self, raw: &RawEvent<'_>) -> bool {
        // Of records without a thread some are kept from chisels altogether.
        let passes_over =
            raw.tid >= 0 && self.runners.iter().all(|runner| runner.passes_over(raw.code, raw.ts_ns));
        if passes_over {
            self.runners.iter_mut().for_each(|runner| runner.pass_over(raw.ts_ns));
        }
        passes_over
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        // Records that belong to no thread are for readers, not something that happened.
        if event.view.raw.tid < 0 && event.view.applied.internal {
            return Ok(());
        }
        self.each(|runner, out| runner.event(event.view, event.matched, out))
    }

    fn has_ended(&self) -> bool {
        self.runners.iter().any(Runner::has_ended)
    }

    fn pause(&mut self) -> Result<(), CliError> {
        self.out.flush()
    }

    fn progress(&mut self, percent: f64) {
        self.runners.iter_mut().for_each(|runner| runner.set_progress(percent));
    }

    fn input_end(&mut self, last: Option<&EventView<'_>>, machine: &Machine) -> Result<(), CliError> {
        if !std::mem::take(&mut self.started) {
            return Ok(());
        }
        // Each one ends, whatever happens to the others.
        let mut first_error = Ok(());
        for runner in &mut self.runners {
            let result = runner.end(last, machine, &mut self.out.buffer);
            first_error = first_error.and(result);
        }
        self.out.flush()?;
        Ok(first_error?)
    }

    fn take_filter(&mut self) -> Option<Option<EventFilter>> {
        self.runners.iter_mut().filter_map(Runner::take_global_filter).next_back()
    }

    fn take_rerun(&mut self) -> Option<String> {
        self.runners.iter_mut().filter_map(Runner::take_rerun).next_back()
    }

    fn end(&mut self) -> Result<Option<WriteStats>, CliError> {
        self.out.flush().map(|()| None)
    }
}
