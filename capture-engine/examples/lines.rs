//! Prints a capture file's events: `lines [-j] [--2022] FILE [FILTER [FORMAT]]`.
//!
//! `-j` prints JSON, `--2022` only the parameters that sysdig 0.29.3 knows. Internal events and
//! those that the filter drops are left out; times are in UTC.

use capture_common::snapshot::Dialect;
use capture_common::{Batch, Next};
use capture_engine::catalogue::FieldCatalogue;
use capture_engine::format::{DEFAULT, FormatOptions, Formatter};
use capture_engine::{Engine, Options};
use capture_file::Reader;
use filter_lang::{Filter, Scratch};
use std::error::Error;
use std::io::Write;

/// Output is handed on in pieces of this size.
const FLUSH_BYTES: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let at = args.iter().position(|a| a == name);
        at.map(|at| args.remove(at)).is_some()
    };
    let (json, only_2022) = (flag("-j"), flag("--2022"));
    let [file, rest @ ..] = &args[..] else {
        return Err("usage: lines [-j] [--2022] FILE [FILTER [FORMAT]]".into());
    };
    let filter_text = rest.first().map_or("", |f| f);
    let filter = match filter_text {
        "" => None,
        text => Some(Filter::compile(text, &FieldCatalogue, &filter_lang::Options::default())?),
    };
    let format = rest.get(1).map_or(DEFAULT, |f| f);
    let mut formatter = Formatter::new(format, FormatOptions { json, ..FormatOptions::default() })?;

    let mut reader = Reader::open(file)?;
    let mut engine = Engine::new(Options::default());
    let mut scratch = Scratch::new();
    let (mut batch, mut out) = (Batch::new(), Vec::new());
    let mut stdout = std::io::stdout().lock();
    loop {
        match reader.next_piece(&mut batch)? {
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
                    if out.len() >= FLUSH_BYTES {
                        stdout.write_all(&out)?;
                        out.clear();
                    }
                }
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    out.extend_from_slice(formatter.epilogue().as_bytes());
    stdout.write_all(&out)?;
    Ok(())
}
