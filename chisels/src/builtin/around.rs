//! `around`: saves what a thread did around the events that pass the filter.

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Export, Fields, bad_arg, export, json_lines};
use capture_engine::EventView;
use capture_engine::format::Formatter;
use capture_engine::render::number::dec_i64;
use std::io::Write;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "around",
    "Misc",
    "Saves the events around those that match",
    "For each event that passes the filter of the command line, which it needs, saves to a file what the same \
     thread did shortly before and after it: around out.scap 500 'evt.type=connect and evt.failed=true'.",
    &ARGS,
);

static ARGS: [ArgSpec; 2] = [
    ArgSpec::required("dump_file_name", "string", "File to which the events are written"),
    export::RANGE_ARG,
];

const FIELDS: &[&str] = &["evt.time", "proc.name"];
const TIME: usize = 0;
const PROCESS: usize = 1;
const JSON: &[&str] = &["evt.rawtime", "proc.name", "thread.tid"];

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Around {
    export: Export,
    fields: Fields,
    is_terminal: bool,
    json: Option<Formatter>,
}

impl Chisel for Around {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        self.export.set_arg(&META.name, name, value).map(|_| ())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.is_terminal = settings.terminal.is_some();
        self.json = json_lines(JSON, settings);
        if settings.filter.trim().is_empty() {
            control.out.extend_from_slice(b"no filter specified\n");
            return Err(ChiselError::Refused(META.name.to_string()));
        }
        if !self.export.is_wanted() {
            return Err(bad_arg(&META.name, "dump_file_name", "the name is empty"));
        }
        Ok(None)
    }

    fn start(&mut self, input: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.export.start(&META.name, input)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let (out, tid) = (&mut control.out, event.raw.tid);
        self.export.note(event.raw.ts_ns, tid);
        if let Some(json) = &mut self.json {
            json.write(event, out);
            return Ok(());
        }
        self.fields.push(TIME, event, out);
        out.push(b' ');
        if !self.fields.push(PROCESS, event, out) {
            out.extend_from_slice(b"<NA>");
        }
        out.push(b'(');
        dec_i64(out, tid);
        out.extend_from_slice(b")\n");
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.json.is_none() {
            if self.is_terminal {
                control.out.extend_from_slice(b"\x1b[0m\n");
            }
            let (entries, file) = self.export.noted();
            // Writing to a Vec cannot fail. The wording is sysdig's.
            let _ = writeln!(control.out, "\nSaving events around {entries} syslog entries to {file}");
        }
        self.export.finish(control);
        Ok(())
    }
}
