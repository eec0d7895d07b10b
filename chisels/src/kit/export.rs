//! [`Export`]: saving the events around moments of interest to a file, by starting the program over
//! after the end of the input.

use super::{bad_arg, number_arg};
use crate::api::{ArgSpec, Input};
use crate::control::Control;
use crate::error::ChiselError;
use std::collections::BTreeMap;
use std::fmt::Write;

const NS_PER_MS: f64 = 1e6;
const DEFAULT_RANGE_NS: u64 = 1_000_000_000;

/// The argument that sets how much is saved.
pub(crate) const RANGE_ARG: ArgSpec = ArgSpec::optional(
    "dump_range_ms",
    "int",
    "Milliseconds before and after each event that are saved, 1000 unless given",
);
/// The argument that asks for a file, where that is optional.
pub(crate) const FILE_ARG: ArgSpec =
    ArgSpec::optional("dump_file_name", "string", "File to which the events around each entry are written");

/// What is to be saved.
#[derive(Debug)]
pub(crate) struct Export {
    /// Empty for nothing.
    file: String,
    range_ns: u64,
    source: String,
    entries: usize,
    /// For each thread the times to save, in order and apart from each other: first and last, ns.
    spans: BTreeMap<i64, Vec<(u64, u64)>>,
}

impl Default for Export {
    fn default() -> Self {
        Export {
            file: String::new(),
            range_ns: DEFAULT_RANGE_NS,
            source: String::new(),
            entries: 0,
            spans: BTreeMap::new(),
        }
    }
}

impl Export {
    /// Takes an argument. Answers whether it is one of its own.
    pub(crate) fn set_arg(&mut self, chisel: &str, name: &str, value: &str) -> Result<bool, ChiselError> {
        match name {
            "dump_file_name" if value.contains('"') => {
                return Err(bad_arg(chisel, name, "names with quotes are not supported"));
            }
            "dump_file_name" => value.clone_into(&mut self.file),
            "dump_range_ms" => {
                self.range_ns = (number_arg(chisel, name, value)?.max(0.0) * NS_PER_MS) as u64;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether anything is to be saved.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.file.is_empty()
    }

    /// The input is open. Only what is in a file can be read again.
    pub(crate) fn start(&mut self, chisel: &str, input: &Input<'_>) -> Result<(), ChiselError> {
        if !self.is_wanted() {
            return Ok(());
        }
        if input.live {
            let reason = "events around others can be saved from a file only, not from a live capture";
            return Err(bad_arg(chisel, "dump_file_name", reason));
        }
        if input.name.contains('"') {
            return Err(bad_arg(
                chisel,
                "dump_file_name",
                "captures with quotes in their names are not supported",
            ));
        }
        input.name.clone_into(&mut self.source);
        Ok(())
    }

    /// Notes a moment of interest of a thread.
    pub(crate) fn note(&mut self, ts_ns: u64, tid: i64) {
        if !self.is_wanted() {
            return;
        }
        self.entries += 1;
        let span = (ts_ns.saturating_sub(self.range_ns), ts_ns.saturating_add(self.range_ns));
        let spans = self.spans.entry(tid).or_default();
        match spans.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => spans.push(span),
        }
    }

    /// How many moments were noted, and the file.
    pub(crate) fn noted(&self) -> (usize, &str) {
        (self.entries, &self.file)
    }

    /// The input is over: asks for a run that saves what was noted.
    pub(crate) fn finish(&mut self, control: &mut Control) {
        let mut filter = String::new();
        for (tid, spans) in &self.spans {
            for (first, last) in spans {
                let between = if filter.is_empty() { "" } else { " or " };
                // Writing to a String cannot fail.
                let _ = write!(
                    filter,
                    "{between}(evt.rawtime>={first} and evt.rawtime<={last} and thread.tid={tid})"
                );
            }
        }
        // Without a filter everything would be saved.
        if !filter.is_empty() {
            control.run_again(format!("-F -r\"{}\" -w\"{}\" {filter}", self.source, self.file));
        }
        *self = Export { file: std::mem::take(&mut self.file), range_ns: self.range_ns, ..Export::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_engine::{Engine, Options};

    #[test]
    fn moments_that_overlap_are_one() {
        let mut export = Export::default();
        export.set_arg("x", "dump_file_name", "out file.scap").unwrap();
        export.set_arg("x", "dump_range_ms", "0.00001").unwrap();
        let engine = Engine::new(Options::default());
        let input = Input { live: false, name: "in.scap", machine: engine.machine() };
        export.start("x", &input).unwrap();
        for (ts_ns, tid) in [(100, 7), (115, 7), (200, 7), (100, 8)] {
            export.note(ts_ns, tid);
        }
        let mut control = Control::default();
        export.finish(&mut control);
        assert_eq!(
            control.rerun.as_deref(),
            Some(
                "-F -r\"in.scap\" -w\"out file.scap\" \
                 (evt.rawtime>=90 and evt.rawtime<=125 and thread.tid=7) \
                 or (evt.rawtime>=190 and evt.rawtime<=210 and thread.tid=7) \
                 or (evt.rawtime>=90 and evt.rawtime<=110 and thread.tid=8)"
            )
        );
        assert!(export.set_arg("x", "dump_range_ms", "soon").is_err());
        assert!(!export.set_arg("x", "disable_color", "x").unwrap());
    }
}
