//! `fileslower`, `netlower`, `scallslower`: calls that took longer than a number of milliseconds, one
//! line each as they end.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Fields, colours, json_lines, number_arg};
use crate::text::{write_at_least, write_exactly, write_number};
use capture_engine::EventView;
use capture_engine::format::Formatter;
use std::io::Write;

const NS_PER_MS: f64 = 1e6;

static ARGS: [ArgSpec; 2] = [
    ArgSpec::required("min_ms", "int", "Milliseconds that a call must take to be shown; 0 shows all"),
    ArgSpec::optional("disable_color", "string", "Set to 'disable_color' to print without colours"),
];

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    filter: &'static str,
    /// Whether lines are about an fd; else they are about a call.
    is_io: bool,
    /// Names below which fds are left out.
    without: &'static [u8],
}

#[rustfmt::skip]
static ROWS: [Row; 3] = [
    Row {
        meta: Meta::new("fileslower", "Performance", "Slow reads and writes of files",
            "Reads and writes of files that took longer than a number of milliseconds, one line each. Files \
             below /dev are left out. With -pc or -pk lines name the container; those of containers are blue \
             and those of the host green.", &ARGS),
        filter: "evt.is_io=true and evt.dir=< and fd.type=file", is_io: true, without: b"/dev/",
    },
    Row {
        meta: Meta::new("netlower", "Performance", "Slow reads and writes of network sockets",
            "Reads and writes of network sockets that took longer than a number of milliseconds, one line \
             each. With -pc or -pk lines name the container; those of containers are blue and those of the \
             host green.", &ARGS),
        filter: "evt.is_io=true and evt.dir=< and (fd.type=ipv4 or fd.type=ipv6)", is_io: true, without: b"",
    },
    Row {
        meta: Meta::new("scallslower", "Performance", "Slow system calls",
            "System calls that took longer than a number of milliseconds, one line each. With -pc or -pk \
             lines name the container; those of containers are blue and those of the host green.", &ARGS),
        filter: "", is_io: false, without: b"",
    },
];

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    let (colours, fields) = (Colours::ON, Fields::default());
    let (container_data, reset_at_end) = (false, false);
    Some(Box::new(Slower { row, min_ms: 0.0, colours, fields, container_data, reset_at_end, json: None }))
}

const FIELDS: &[&str] =
    &["evt.datetime", "container.id", "container.name", "proc.name", "evt.type", "fd.name"];
const DATETIME: usize = 0;
const CONTAINER_ID: usize = 1;
const CONTAINER_NAME: usize = 2;
const PROCESS: usize = 3;
const CALL: usize = 4;
const FD: usize = 5;
const IO_JSON: &[&str] = &[
    "evt.rawtime",
    "container.id",
    "container.name",
    "proc.name",
    "thread.tid",
    "evt.type",
    "evt.latency",
    "fd.name",
];
const CALL_JSON: &[&str] =
    &["evt.rawtime", "container.id", "container.name", "proc.name", "thread.tid", "evt.type", "evt.latency"];

/// The chisel.
#[derive(Debug)]
struct Slower {
    row: &'static Row,
    min_ms: f64,
    colours: Colours,
    fields: Fields,
    container_data: bool,
    /// On a terminal the colour of the last line ends with it.
    reset_at_end: bool,
    json: Option<Formatter>,
}

impl Chisel for Slower {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match name {
            "min_ms" => self.min_ms = number_arg(&self.row.meta.name, name, value)?,
            _ if colours::disables(value) => self.colours = Colours::OFF,
            _ => {}
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.container_data = settings.container_data;
        self.reset_at_end = settings.terminal.is_some();
        self.json = json_lines(if self.row.is_io { IO_JSON } else { CALL_JSON }, settings);
        control.set_filter(&self.row.meta.name, self.row.filter)?;
        if self.json.is_none() {
            self.headings(&mut control.out);
        }
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let latency_ms = event.applied.latency_ns as f64 / NS_PER_MS;
        if latency_ms <= self.min_ms || (self.row.is_io && event.raw.code.is_enter()) {
            return Ok(());
        }
        if !self.row.without.is_empty() && event.fd().is_some_and(|fd| fd.name.starts_with(self.row.without))
        {
            return Ok(());
        }
        match &mut self.json {
            Some(json) => _ = json.write(event, &mut control.out),
            None => self.line(event, latency_ms, &mut control.out),
        }
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.reset_at_end && self.json.is_none() {
            control.out.extend_from_slice(self.colours.reset.as_bytes());
        }
        Ok(())
    }
}

impl Slower {
    /// Names of the columns, and a line below them.
    fn headings(&self, out: &mut Vec<u8>) {
        const DASHES: &str = "-----------------------------------------";
        for is_line in [false, true] {
            let mut column = |name: &'static str, dashes: usize, width: usize| {
                let text = if is_line { &DASHES[..dashes] } else { name };
                write_at_least(out, text.as_bytes(), width);
                out.push(if width == 0 { b'\n' } else { b' ' });
            };
            column("evt.datetime", 23, 23);
            if self.container_data {
                // sysdig's scallslower has a blank more here.
                column("container.id", 20, 20 + usize::from(!self.row.is_io && !is_line));
                column("container.name", 20, 20);
            }
            if self.row.is_io {
                column("proc.name", 12, 12);
                column("evt.type", 8, 8);
                column("LATENCY(ms)", 12, 12);
                column("fd.name", DASHES.len(), 0);
            } else {
                column("proc.name", 23, 23);
                column("LATENCY(ms)", 20, 20);
                column("evt.type", 20, 0);
            }
        }
    }

    fn line(&mut self, event: &EventView<'_>, latency_ms: f64, out: &mut Vec<u8>) {
        let mut text = |at: usize| self.fields.text_or_na(at, event);
        let container = text(CONTAINER_NAME);
        let colour = if container == b"host" { self.colours.green } else { self.colours.blue };
        out.extend_from_slice(colour.as_bytes());
        let mut column = |text: &[u8], width: usize| {
            write_exactly(out, text, width);
            out.push(b' ');
        };
        column(&text(DATETIME), 23);
        if self.container_data {
            column(&text(CONTAINER_ID), 20);
            column(&container, 20);
        }
        column(&text(PROCESS), if self.row.is_io { 12 } else { 23 });
        if self.row.is_io {
            write_at_least(out, &text(CALL), 8);
            // Writing to a Vec cannot fail.
            let _ = write!(out, " {:>12} ", latency_ms as u64);
            out.extend_from_slice(&text(FD));
        } else {
            let mut latency = Vec::new();
            write_number(&mut latency, latency_ms);
            write_at_least(out, &latency, 20);
            out.push(b' ');
            out.extend_from_slice(&text(CALL));
        }
        out.push(b'\n');
    }
}
