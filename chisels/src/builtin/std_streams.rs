//! `stdin`, `stdout`, `stderr`: the data of fds 0, 1 and 2 as it is.

use crate::api::{ArgSpec, Chisel, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Fields, json_lines};
use crate::text::write_exactly;
use capture_engine::EventView;
use capture_engine::format::Formatter;

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    filter: &'static str,
    /// Whether lines name the container where container data are asked for.
    names_container: bool,
}

static COLOUR: [ArgSpec; 1] =
    [ArgSpec::optional("disable_color", "string", "Set to 'disable_color' to print without colours")];

#[rustfmt::skip]
static ROWS: [Row; 3] = [
    Row {
        meta: Meta::new("stdin", "I/O", "Standard input of processes",
            "Prints what processes read from their standard input, as it is. A filter says of which.", &[]),
        filter: "fd.num=0 and evt.is_io=true", names_container: false,
    },
    Row {
        meta: Meta::new("stdout", "I/O", "Standard output of processes",
            "Prints what processes write to their standard output, as it is. A filter says of which.", &[]),
        filter: "fd.num=1 and evt.is_io=true", names_container: false,
    },
    Row {
        meta: Meta::new("stderr", "I/O", "Standard error of processes",
            "Prints what processes write to their standard error, as it is. A filter says of which. With -pc \
             or -pk the container stands before it, in green for the host and in blue for containers.", &COLOUR),
        filter: "fd.num=2 and evt.is_io=true", names_container: true,
    },
];

/// Bytes of each buffer that are worth keeping for these chisels.
const SNAPLEN: u32 = 2000;

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    let (colours, fields) = (Colours::ON, Fields::default());
    Some(Box::new(Stream { row, colours, fields, names_container: false, json: None }))
}

const FIELDS: &[&str] = &["evt.rawarg.data", "container.id", "container.name"];
const DATA: usize = 0;
const CONTAINER_ID: usize = 1;
const CONTAINER_NAME: usize = 2;
const JSON: &[&str] =
    &["evt.rawtime", "container.id", "container.name", "proc.name", "proc.pid", "fd.name", "evt.rawarg.data"];

/// The chisel.
#[derive(Debug)]
struct Stream {
    row: &'static Row,
    colours: Colours,
    fields: Fields,
    names_container: bool,
    json: Option<Formatter>,
}

impl Chisel for Stream {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        if !crate::kit::colours::disables(value) {
            let (chisel, arg) = (self.row.meta.name.to_string(), name.to_owned());
            return Err(ChiselError::RefusedArg { name: chisel, arg, value: value.to_owned() });
        }
        self.colours = Colours::OFF;
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.names_container = self.row.names_container && settings.container_data;
        self.json = json_lines(JSON, settings);
        control.snaplen = Some(SNAPLEN);
        control.set_filter(&self.row.meta.name, self.row.filter)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(data) = self.fields.text(DATA, event) else { return Ok(()) };
        let out = &mut control.out;
        if let Some(json) = &mut self.json {
            json.write(event, out);
            return Ok(());
        }
        if self.names_container {
            let mut text = |at: usize| self.fields.text_or_na(at, event);
            let (id, name) = (text(CONTAINER_ID), text(CONTAINER_NAME));
            let colour = if name == b"host" { self.colours.green } else { self.colours.blue };
            out.extend_from_slice(colour.as_bytes());
            for column in [id, name] {
                write_exactly(out, &column, 20);
                out.push(b' ');
            }
        }
        out.extend_from_slice(&data);
        out.push(b'\n');
        Ok(())
    }
}
