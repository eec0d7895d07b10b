//! Drives one chisel over a stream: applies its own filter, collects its output.

use crate::api::{Chisel, Settings};
use crate::error::ChiselError;
use capture_engine::{EventFilter, EventView};
use filter_lang::Library;

/// A chisel ready to take events.
#[derive(Debug)]
pub struct Runner {
    chisel: Box<dyn Chisel>,
    filter: Option<EventFilter>,
}

impl Runner {
    /// Starts the chisel and compiles its own filter.
    pub fn start(mut chisel: Box<dyn Chisel>, settings: &Settings) -> Result<Runner, ChiselError> {
        chisel.start(settings)?;
        let name = chisel.meta().name;
        let filter = match chisel.filter() {
            "" => None,
            text => Some(
                EventFilter::compile(text, &Library::new())
                    .map_err(|error| ChiselError::Filter { name, error })?,
            ),
        };
        Ok(Runner { chisel, filter })
    }

    /// Hands it one event that passed the command line's filter.
    #[inline]
    pub fn event(&mut self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), ChiselError> {
        if self.filter.as_mut().is_some_and(|f| !f.matches(event)) {
            return Ok(());
        }
        self.chisel.on_event(event, out)
    }

    /// The stream is over.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.chisel.on_end(out);
    }
}
