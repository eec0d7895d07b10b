//! [`EventFilter`]: a filter over events, with the memory that it works in.

use crate::catalogue::FieldCatalogue;
use crate::view::EventView;
use filter_lang::{Filter, FilterError, Library, Options, Scratch};

/// A compiled filter over the fields of events.
#[derive(Debug)]
pub struct EventFilter {
    filter: Filter,
    scratch: Scratch,
}

impl EventFilter {
    /// Compiles a filter's text, which may name the macros and lists of a library.
    ///
    /// # Errors
    /// When it is no filter over our fields; the error shows where and why.
    pub fn compile(text: &str, library: &Library) -> Result<EventFilter, Box<FilterError>> {
        let options = Options { library: library.clone() };
        let filter = Filter::compile(text, &FieldCatalogue, &options)?;
        Ok(EventFilter { filter, scratch: Scratch::default() })
    }

    /// Does the event satisfy it?
    #[inline]
    pub fn matches(&mut self, event: &EventView<'_>) -> bool {
        self.filter.matches(event, &mut self.scratch)
    }

    /// The filter itself.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}
