//! [`Control`]: what a chisel asks of its host while it runs.

use crate::error::ChiselError;
use capture_engine::EventFilter;
use filter_lang::{Library, TypeSet};
use std::fmt;
use std::io;
use std::rc::Rc;

/// When a chisel is called besides for events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    /// Never.
    #[default]
    None,
    /// With the first event of each new sample of so many ns, counted from the epoch.
    Sample(u64),
    /// At the end of every slice of so many ns, the first of which begins with the first event. The
    /// moment is the beginning of the slice.
    Grid(u64),
}

/// Writes text out at once, with what came before it, and empties the buffer.
#[derive(Clone)]
pub struct Sink(Rc<WriteOut>);

type WriteOut = dyn Fn(&mut Vec<u8>) -> io::Result<()>;

impl Sink {
    /// A sink that hands the text to a function, which takes it out of the buffer.
    pub fn new(write: impl Fn(&mut Vec<u8>) -> io::Result<()> + 'static) -> Sink {
        Sink(Rc::new(write))
    }

    /// Writes out.
    pub fn write(&self, text: &mut Vec<u8>) -> io::Result<()> {
        (self.0)(text)
    }
}

impl Default for Sink {
    /// Leaves the text where it is.
    fn default() -> Self {
        Sink::new(|_| Ok(()))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// What one chisel asked for, and where its text goes.
#[derive(Debug, Default)]
pub struct Control {
    /// Text for standard output.
    pub out: Vec<u8>,
    /// Bytes of each buffer that it wants from a live capture.
    pub snaplen: Option<u32>,
    /// How far the input is read, in percent.
    pub progress_percent: f64,
    /// Time of the input's first event, ns since the epoch; 0 before it.
    pub first_ts_ns: u64,
    /// Time of the event under way, ns since the epoch.
    pub last_ts_ns: u64,
    pub(crate) filter: Option<EventFilter>,
    /// Types of which it takes events at all; none: all types.
    pub(crate) types: Option<TypeSet>,
    pub(crate) interval: Interval,
    /// `Some(None)` takes the command line's filter away.
    pub(crate) global_filter: Option<Option<EventFilter>>,
    pub(crate) rerun: Option<String>,
    pub(crate) ended: bool,
}

impl Control {
    /// Hands over only events that match; empty text takes the filter away.
    pub fn set_filter(&mut self, chisel: &str, text: &str) -> Result<(), ChiselError> {
        self.filter = compile(chisel, text)?;
        Ok(())
    }

    /// Hands over no event of another type. A chisel still looks for itself: some come all the same.
    pub fn set_types(&mut self, types: TypeSet) {
        self.types = Some(types);
    }

    /// Replaces the filter of the command line.
    pub fn set_global_filter(&mut self, chisel: &str, text: &str) -> Result<(), ChiselError> {
        self.global_filter = Some(compile(chisel, text)?);
        Ok(())
    }

    /// Asks for calls between events.
    pub fn set_interval(&mut self, interval: Interval) {
        self.interval = interval;
    }

    /// No further event is wanted, by anybody.
    pub fn end_capture(&mut self) {
        self.ended = true;
    }

    /// After the end the program is to start over with these words as its command line.
    pub fn run_again(&mut self, command_line: String) {
        self.rerun = Some(command_line);
    }
}

fn compile(chisel: &str, text: &str) -> Result<Option<EventFilter>, ChiselError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    match EventFilter::compile(text, &Library::new()) {
        Ok(filter) => Ok(Some(filter)),
        Err(error) => Err(ChiselError::Filter { name: chisel.to_owned(), error }),
    }
}
