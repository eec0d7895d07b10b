//! Events of the recorded captures, with the state that makes them readable.

use crate::data_dir;
use capture_common::{Batch, EventSource, Next};
use capture_engine::{Engine, EventView, Options};
use capture_file::Reader;
use std::path::Path;

/// Calls back with every event of a capture in `data/captures`, shown in listings or not.
///
/// # Panics
/// Where the capture cannot be read to its end.
pub fn each_event(capture: &str, see: impl FnMut(&EventView<'_>)) {
    each_event_of(&data_dir().join("captures").join(capture), see);
}

/// The same for any file.
///
/// # Panics
/// Where it cannot be read to its end.
pub fn each_event_of(file: &Path, mut see: impl FnMut(&EventView<'_>)) {
    let mut reader = Reader::open(file).expect("opens");
    let (mut engine, mut batch) = (Engine::new(Options::default()), Batch::new());
    loop {
        match reader.next(&mut batch).expect("reads") {
            Next::End => return,
            Next::Idle => {}
            Next::Section(snapshot) => engine.begin_section(&snapshot),
            Next::Events => batch.iter().for_each(|raw| see(&engine.see(raw))),
        }
    }
}
