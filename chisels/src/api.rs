//! The trait that every chisel implements, and what it is told.

use crate::error::ChiselError;
use capture_engine::EventView;
use capture_engine::render::BufferFormat;
use std::fmt::Debug;

/// What a chisel says of itself.
#[derive(Debug)]
pub struct Meta {
    /// Name for `-c`.
    pub name: &'static str,
    /// Heading in the list of chisels.
    pub category: &'static str,
    /// One line.
    pub short: &'static str,
    /// A paragraph.
    pub description: &'static str,
    /// Arguments, required ones first.
    pub args: &'static [ArgSpec],
}

/// One argument of a chisel.
#[derive(Debug)]
pub struct ArgSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type: `string`, `int`, `filter`, …; only `filter` changes how words are taken.
    pub kind: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
}

/// What the command line asks of all chisels.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Form in which byte buffers print (-A, -b, -x, -X).
    pub buffers: BufferFormat,
    /// Whether container data is to be shown (-pc, -pk, -pm).
    pub container_data: bool,
}

/// A small program over the stream of events.
///
/// Order of calls: [`set_arg`](Chisel::set_arg) for each argument given,
/// [`start`](Chisel::start), then [`on_event`](Chisel::on_event) for each event that passes the
/// command line's filter and the chisel's own, [`on_end`](Chisel::on_end) once. Text goes to the
/// end of `out`; the caller writes it away and clears it.
pub trait Chisel: Debug {
    /// What it is.
    fn meta(&self) -> &'static Meta;

    /// Takes the value of one argument.
    fn set_arg(&mut self, name: &str, value: &str) -> Result<(), ChiselError>;

    /// Bytes of each buffer that it wants from a live capture.
    fn snaplen(&self) -> Option<u32> {
        None
    }

    /// Its own filter; only matching events reach [`on_event`](Chisel::on_event).
    fn filter(&self) -> &str {
        ""
    }

    /// Called once before the first event.
    fn start(&mut self, settings: &Settings) -> Result<(), ChiselError>;

    /// Takes one event.
    fn on_event(&mut self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), ChiselError>;

    /// The stream is over.
    fn on_end(&mut self, out: &mut Vec<u8>);
}
