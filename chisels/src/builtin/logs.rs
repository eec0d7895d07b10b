//! `spy_logs`, `spy_syslog`: what processes write to log files and to the system log, and on demand
//! the events around each entry in a file.

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Export, Fields, colours, export, json_lines};
use crate::text::write_at_least;
use capture_engine::EventView;
use capture_engine::format::Formatter;
use capture_engine::render::BufferFormat;
use capture_engine::render::number::dec_i64;
use std::io::Write;

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    filter: &'static str,
    /// Bytes of each buffer that are worth keeping.
    snaplen: u32,
    fields: &'static [&'static str],
    json: &'static [&'static str],
    write: fn(&mut Logs, &EventView<'_>, &mut Vec<u8>),
}

const NO_COLOUR: ArgSpec =
    ArgSpec::optional("disable_color", "string", "Set to 'disable_color' to print without colours");
static ARGS: [ArgSpec; 3] = [export::FILE_ARG, export::RANGE_ARG, NO_COLOUR];

const CONTAINER_ID: usize = 0;
const CONTAINER_NAME: usize = 1;
const PROCESS: usize = 2;
// Of spy_logs.
const FILE: usize = 3;
const TEXT: usize = 4;
// Of spy_syslog.
const FACILITY: usize = 3;
const SEVERITY: usize = 4;
const SEVERITY_CODE: usize = 5;
const MESSAGE: usize = 6;

#[rustfmt::skip]
static ROWS: [Row; 2] = [
    Row {
        meta: Meta::new("spy_logs", "Logs", "What is written to log files",
            "Prints what processes write to files with .log, _log or /var/log in their name, line by line with \
             the process and the file. On a terminal errors are red, warnings yellow and the rest green. With a \
             file name the events around each entry are saved there.", &ARGS),
        filter: "(fd.name contains .log or fd.name contains _log or fd.name contains /var/log) \
                 and not (fd.name contains .gz or fd.name contains .tgz) \
                 and evt.is_io_write=true and evt.dir=< and evt.failed=false",
        snaplen: 2000,
        fields: &["container.id", "container.name", "proc.name", "fd.name", "evt.buffer"],
        json: &["evt.rawtime", "container.id", "container.name", "proc.name", "thread.tid", "fd.name", "evt.buffer"],
        write: Logs::write_log,
    },
    Row {
        meta: Meta::new("spy_syslog", "Logs", "What is written to the system log",
            "Prints the messages that processes write to /dev/log, with facility, severity and process. On a \
             terminal errors are red, warnings yellow and the rest green, or blue in containers. With a file \
             name the events around each entry are saved there.", &ARGS),
        filter: "fd.name contains /dev/log and evt.is_io_write=true and evt.dir=< and evt.failed=false",
        snaplen: 1000,
        fields: &[
            "container.id", "container.name", "proc.name", "syslog.facility.str", "syslog.severity.str",
            "syslog.severity", "syslog.message",
        ],
        json: &[
            "evt.rawtime", "container.id", "container.name", "proc.name", "thread.tid", "syslog.facility.str",
            "syslog.severity.str", "syslog.message",
        ],
        write: Logs::write_message,
    },
];

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    Some(Box::new(Logs {
        row,
        export: Export::default(),
        fields: Fields::default(),
        colours: Colours::ON,
        is_terminal: false,
        container_data: false,
        json: None,
    }))
}

/// The chisel.
#[derive(Debug)]
struct Logs {
    row: &'static Row,
    export: Export,
    fields: Fields,
    /// None where the output is no terminal.
    colours: Colours,
    is_terminal: bool,
    container_data: bool,
    json: Option<Formatter>,
}

impl Chisel for Logs {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        let chisel = &self.row.meta.name;
        if self.export.set_arg(chisel, name, value)? {
            return Ok(());
        }
        if !colours::disables(value) {
            let (name, arg) = (chisel.to_string(), name.to_owned());
            return Err(ChiselError::RefusedArg { name, arg, value: value.to_owned() });
        }
        self.colours = Colours::OFF;
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.json = json_lines(self.row.json, settings);
        let buffers = settings.buffers.or(Some(BufferFormat::Ascii));
        let settings = Settings { buffers, ..settings.clone() };
        self.fields = Fields::new(self.row.fields, &settings).expect("the fields exist");
        self.is_terminal = settings.terminal.is_some();
        self.container_data = settings.container_data;
        control.snaplen = Some(self.row.snaplen);
        control.set_filter(&self.row.meta.name, self.row.filter)?;
        Ok(None)
    }

    fn start(&mut self, input: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.export.start(&self.row.meta.name, input)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.export.note(event.raw.ts_ns, event.raw.tid);
        match &mut self.json {
            Some(json) => _ = json.write(event, &mut control.out),
            None => (self.row.write)(self, event, &mut control.out),
        }
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.json.is_none() {
            if self.is_terminal {
                self.colours.finish(&mut control.out);
            }
            if self.export.is_wanted() {
                // Writing to a Vec cannot fail.
                let _ = writeln!(control.out, "Writing events for {} log entries", self.export.noted().0);
            }
        }
        self.export.finish(control);
        Ok(())
    }
}

impl Logs {
    /// The lines of a write to a log file.
    fn write_log(&mut self, event: &EventView<'_>, out: &mut Vec<u8>) {
        let Some(buffer) = self.fields.text(TEXT, event) else { return };
        let mut text = |at: usize| self.fields.text_or_na(at, event);
        let (container, process, file) = (text(CONTAINER_NAME), text(PROCESS), text(FILE));
        let mut say = |text: &[u8]| out.extend_from_slice(text);
        for line in buffer.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let colour = self.colour_of(line);
            if self.container_data {
                if self.is_terminal {
                    let own = if container == b"host" { colour } else { self.colours.blue };
                    [colour, " ", own, " "].iter().for_each(|text| say(text.as_bytes()));
                }
                say(&container);
                say(b" ");
            }
            if self.is_terminal {
                say(colour.as_bytes());
                say(b" ");
            }
            [&process, &b" "[..], &file, b" ", line, b"\n"].into_iter().for_each(&mut say);
        }
    }

    fn colour_of(&self, line: &[u8]) -> &'static str {
        let has = |word: &[u8], text: &[u8]| text.windows(word.len()).any(|part| part == word);
        match () {
            () if has(b"warn", &line.to_ascii_lowercase()) => self.colours.yellow,
            () if has(b"err", line) => self.colours.red,
            () => self.colours.green,
        }
    }

    /// A message to the system log.
    fn write_message(&mut self, event: &EventView<'_>, out: &mut Vec<u8>) {
        let severity = self.fields.number(SEVERITY_CODE, event).unwrap_or(f64::INFINITY);
        let mut text = |at: usize| self.fields.text_or_na(at, event);
        let container = text(CONTAINER_NAME);
        if self.is_terminal {
            /// That of a warning.
            const WARNING: f64 = 4.0;
            let colour = match () {
                () if severity == WARNING => self.colours.yellow,
                () if severity < WARNING => self.colours.red,
                () if container != b"host" => self.colours.blue,
                () => self.colours.green,
            };
            out.extend_from_slice(colour.as_bytes());
        }
        if self.container_data {
            for column in [text(CONTAINER_ID), container] {
                write_at_least(out, &column, 20);
                out.push(b' ');
            }
        }
        for (at, end) in [(FACILITY, "."), (SEVERITY, " "), (PROCESS, "[")] {
            out.extend_from_slice(&text(at));
            out.extend_from_slice(end.as_bytes());
        }
        dec_i64(out, event.raw.tid);
        out.extend_from_slice(b"] ");
        out.extend_from_slice(&text(MESSAGE));
        out.push(b'\n');
    }
}
