//! Where events end: lines, chisels, a file, a table of counts. One file each.

mod chisel;
mod file;
mod lines;
mod stdout;
mod summary;

pub use chisel::ChiselConsumer;
pub use file::FileConsumer;
pub use lines::LineConsumer;
pub use summary::SummaryConsumer;

use super::error::CliError;
use capture_common::{Batch, RawEvent, Snapshot};
use capture_engine::{EventFilter, EventView, Machine};
use capture_file::WriteStats;
use chisels::Input;

/// One event on its way to the consumers.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The event and the state around it.
    pub view: &'a EventView<'a>,
    /// The batch that holds it.
    pub batch: &'a Batch,
    /// Its index there.
    pub at: usize,
    /// Whether it passed the filter.
    pub matched: bool,
    /// Whether its thread's events are left out (`-U`).
    pub suppressed: bool,
}

/// Takes events. Calls come in the order of the methods.
pub trait Consumer {
    /// The input is open, its first section begun.
    fn start(&mut self, _input: &Input<'_>) -> Result<(), CliError> {
        Ok(())
    }

    /// A section begins.
    fn section(&mut self, _snapshot: &Snapshot) -> Result<(), CliError> {
        Ok(())
    }

    /// Whether it does nothing with events that did not pass the filter, so that it need not be
    /// given them.
    fn takes_matched_only(&self) -> bool {
        false
    }

    /// Whether it has no use for an event that passed the filter, which it knows by the event's type; it
    /// has noted its time then. The event is applied only, and nobody needs to look at it.
    fn passes_over(&mut self, _raw: &RawEvent<'_>) -> bool {
        false
    }

    /// Takes one event.
    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError>;

    /// Takes a batch as a whole, when nobody needs to look at its events.
    fn whole_batch(&mut self, _batch: &Batch) -> Result<(), CliError> {
        Ok(())
    }

    /// The source has nothing at the moment, or a batch is over: write out what waits.
    fn pause(&mut self) -> Result<(), CliError> {
        Ok(())
    }

    /// How far the input is read, in percent.
    fn progress(&mut self, _percent: f64) {}

    /// Whether no further event is wanted, by anybody.
    fn has_ended(&self) -> bool {
        false
    }

    /// The filter, or none, that is to replace the command line's; once.
    fn take_filter(&mut self) -> Option<Option<EventFilter>> {
        None
    }

    /// The input is over, and this is its last event and the machine after it.
    fn input_end(&mut self, _last: Option<&EventView<'_>>, _machine: &Machine) -> Result<(), CliError> {
        Ok(())
    }

    /// The command line with which the program is to start over; once.
    fn take_rerun(&mut self) -> Option<String> {
        None
    }

    /// The stream is over. What was written, for those that write a file.
    fn end(&mut self) -> Result<Option<WriteStats>, CliError>;
}
