//! Captures and what the suites do with their events.

use capture_engine::{EventFilter, EventView};
use capture_tests::{data_dir, events};
use filter_lang::Library;

/// Calls back with every event of a capture that listings show.
pub(crate) fn each_event(capture: &str, mut see: impl FnMut(&EventView<'_>)) {
    events::each_event(capture, |view| {
        if view.applied.visible {
            see(view);
        }
    });
}

/// A filter without macros.
pub(crate) fn compile(text: &str) -> EventFilter {
    EventFilter::compile(text, &Library::new()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The filters of `varied.txt`: every operator and most fields, in words that all versions of
/// sysdig share.
pub(crate) fn varied_filters() -> Vec<String> {
    let text = std::fs::read_to_string(data_dir().join("filters/varied.txt")).expect("reads");
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}
