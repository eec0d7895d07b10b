//! Captures and what the suites do with their events.

use capture_common::{Batch, EventSource, Next};
use capture_engine::{Engine, EventFilter, EventView, Options};
use capture_file::Reader;
use capture_tests::data_dir;
use filter_lang::Library;

/// Calls back with every event of a capture that listings show.
pub(crate) fn each_event(capture: &str, mut see: impl FnMut(&EventView<'_>)) {
    let mut reader = Reader::open(data_dir().join("captures").join(capture)).expect("opens");
    let (mut engine, mut batch) = (Engine::new(Options::default()), Batch::new());
    loop {
        match reader.next(&mut batch).expect("reads") {
            Next::End => return,
            Next::Idle => {}
            Next::Section(snapshot) => engine.begin_section(&snapshot),
            Next::Events => {
                for raw in (0..batch.len()).filter_map(|at| batch.get(at)) {
                    let applied = engine.apply(&raw);
                    if applied.visible {
                        see(&engine.view(raw, applied));
                    }
                }
            }
        }
    }
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
