//! `iobytes`, `iobytes_file`, `iobytes_net`: bytes read and written, second by second.

use crate::api::{Chisel, Handover, Meta, Settings, Tick};
use crate::control::{Control, Interval};
use crate::error::ChiselError;
use crate::kit::{Fields, JsonLine};
use capture_common::EventFlags;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::render::Zone;
use capture_engine::render::clock::{Fraction, push_time_of_day};
use std::io::Write;

const SECOND_NS: u64 = 1_000_000_000;

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    filter: &'static str,
}

#[rustfmt::skip]
static ROWS: [Row; 3] = [
    Row {
        meta: Meta::new("iobytes", "I/O", "Bytes read and written per second",
            "Counts the bytes that are read from and written to fds of any kind, and prints the sums of each \
             second.", &[]),
        filter: "evt.is_io=true and evt.dir=<",
    },
    Row {
        meta: Meta::new("iobytes_file", "I/O", "Bytes read from and written to files per second",
            "Counts the bytes that are read from and written to files, and prints the sums of each second.", &[]),
        filter: "evt.is_io=true and evt.dir=< and fd.type=file",
    },
    Row {
        meta: Meta::new("iobytes_net", "Net", "Bytes read and written over the network per second",
            "Counts the bytes that are read from and written to network sockets, and prints the sums of each \
             second.", &[]),
        filter: "evt.is_io=true and evt.dir=< and (fd.type=ipv4 or fd.type=ipv6)",
    },
];

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    let (zone, fields) = (Zone::default(), Fields::default());
    Some(Box::new(IoBytes { row, fields, zone, json: false, bytes_in: 0.0, bytes_out: 0.0 }))
}

/// The chisel.
#[derive(Debug)]
struct IoBytes {
    row: &'static Row,
    /// The result of the call.
    fields: Fields,
    zone: Zone,
    json: bool,
    bytes_in: f64,
    bytes_out: f64,
}

impl Chisel for IoBytes {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(&["evt.rawarg.res"], settings).expect("the field exists");
        self.zone = settings.zone.clone();
        self.json = settings.json;
        control.set_filter(&self.row.meta.name, self.row.filter)?;
        control.set_interval(Interval::Sample(SECOND_NS));
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let Some(bytes) = self.fields.number(0, event).filter(|&bytes| bytes > 0.0) else { return Ok(()) };
        let reads = event.info.is_some_and(|info| flags_of(info).contains(EventFlags::READS_FROM_FD));
        *(if reads { &mut self.bytes_in } else { &mut self.bytes_out }) += bytes;
        Ok(())
    }

    fn on_interval(
        &mut self,
        tick: Tick,
        _: &EventView<'_>,
        control: &mut Control,
    ) -> Result<(), ChiselError> {
        let (bytes_in, bytes_out) = (std::mem::take(&mut self.bytes_in), std::mem::take(&mut self.bytes_out));
        let out = &mut control.out;
        if self.json {
            let mut json = JsonLine::begin(out);
            json.uint("evt.rawtime", tick.ts_ns).number("in", bytes_in).number("out", bytes_out);
            json.number("tot", bytes_in + bytes_out);
            json.end();
            return Ok(());
        }
        push_time_of_day(out, &self.zone, tick.ts_ns, Fraction::None);
        // Writing to a Vec cannot fail.
        let _ = writeln!(out, " in:{bytes_in} out:{bytes_out} tot:{}", bytes_in + bytes_out);
        Ok(())
    }
}
