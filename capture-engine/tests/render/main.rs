//! What is printed, held against what two versions of stock sysdig printed of the same files.

mod exceptions;
mod forms;
mod hostile;
mod lines;

use capture_common::snapshot::Dialect;
use capture_common::{Batch, Next};
use capture_engine::catalogue::FieldCatalogue;
use capture_engine::format::{FormatOptions, Formatter};
use capture_engine::{Engine, Options};
use capture_file::Reader;
use filter_lang::{Filter, Scratch};
use std::io::Read;
use std::path::PathBuf;

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(path)
}

fn unpacked(path: &str) -> String {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(data(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Prints a capture. With `only_2022` as if it were in the superset form.
fn print(capture: &str, filter: &str, format: &str, options: FormatOptions, only_2022: bool) -> String {
    let filter = (!filter.is_empty())
        .then(|| Filter::compile(filter, &FieldCatalogue, &filter_lang::Options::default()).unwrap());
    let mut formatter = Formatter::new(format, options).unwrap();
    let mut reader = Reader::open(data("captures").join(capture)).unwrap();
    let mut engine = Engine::new(Options::default());
    let (mut scratch, mut batch, mut out) = (Scratch::new(), Batch::new(), Vec::new());
    loop {
        match reader.next_piece(&mut batch).unwrap() {
            Next::Section(mut snapshot) => {
                if only_2022 {
                    snapshot.dialect = Dialect::Superset;
                }
                engine.begin_section(&snapshot);
            }
            Next::Events => {
                for raw in batch.iter() {
                    let applied = engine.apply(&raw);
                    let view = engine.view(raw, &applied);
                    if applied.visible && filter.as_ref().is_none_or(|f| f.matches(&view, &mut scratch)) {
                        formatter.write(&view, &mut out);
                    }
                }
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    out.extend_from_slice(formatter.epilogue().as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}
