//! `spy_ip`, `spy_port`: what is exchanged with an address or over a port.
//!
//! A heading stands where the direction changes and is repeated as it is until it changes again, as in
//! sysdig: its size is that of the first piece.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Fields, colours, json_lines};
use crate::text::write_bytes;
use capture_common::EventFlags;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::format::Formatter;

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    /// The field that the argument is the value of.
    field: &'static str,
    /// How the heading of a write begins. sysdig's spy_ip calls both directions a read.
    write: &'static str,
}

const NO_COLOUR: ArgSpec =
    ArgSpec::optional("disable_color", "string", "Set to 'disable_colors' to print without colours");
static IP_ARGS: [ArgSpec; 2] =
    [ArgSpec::required("host_ip", "ipv4", "The address, of either end"), NO_COLOUR];
static PORT_ARGS: [ArgSpec; 2] =
    [ArgSpec::required("host_port", "int", "The port, of either end"), NO_COLOUR];

#[rustfmt::skip]
static ROWS: [Row; 2] = [
    Row {
        meta: Meta::new("spy_ip", "Net", "Data exchanged with an IP address",
            "Prints what is sent to and received from an IP address. Reads are red and writes are blue. The \
             options -A, -x and -X choose the form of the data.", &IP_ARGS),
        field: "fd.ip", write: "------ Read ",
    },
    Row {
        meta: Meta::new("spy_port", "Net", "Data exchanged over a port",
            "Prints what is sent and received over connections with a port. Reads are red and writes are \
             blue. The options -A, -x and -X choose the form of the data.", &PORT_ARGS),
        field: "fd.port", write: "------ Write ",
    },
];

/// Bytes of each buffer that are worth keeping for these chisels.
const SNAPLEN: u32 = 1000;

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    let (colours, fields) = (Colours::ON, Fields::default());
    let (peer, heading, data) = (String::new(), Vec::new(), Vec::new());
    Some(Box::new(SpyPeer { row, peer, colours, fields, reads: None, heading, data, json: None }))
}

const FIELDS: &[&str] = &["evt.arg.data", "evt.rawarg.res"];
const DATA: usize = 0;
const RESULT: usize = 1;
const JSON: &[&str] = &[
    "evt.rawtime",
    "evt.io_dir",
    "evt.rawarg.res",
    "fd.name",
    "proc.name",
    "proc.pid",
    "container.name",
    "container.id",
    "evt.buffer",
];

/// The chisel.
#[derive(Debug)]
struct SpyPeer {
    row: &'static Row,
    peer: String,
    colours: Colours,
    fields: Fields,
    /// Direction of the heading.
    reads: Option<bool>,
    heading: Vec<u8>,
    data: Vec<u8>,
    json: Option<Formatter>,
}

impl Chisel for SpyPeer {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match name {
            "host_ip" | "host_port" => value.clone_into(&mut self.peer),
            _ if colours::disables(value) => self.colours = Colours::OFF,
            _ => {}
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.json = json_lines(JSON, settings);
        control.snaplen = Some(SNAPLEN);
        // Only exits have data.
        let filter = format!(
            "evt.is_io=true and evt.dir=< and (fd.type=ipv4 or fd.type=ipv6) and {}={}",
            self.row.field, self.peer
        );
        control.set_filter(&self.row.meta.name, &filter)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(bytes) = self.fields.number(RESULT, event).filter(|&bytes| bytes > 0.0) else {
            return Ok(());
        };
        self.data.clear();
        if !self.fields.push(DATA, event, &mut self.data) {
            return Ok(());
        }
        let out = &mut control.out;
        if let Some(json) = &mut self.json {
            json.write(event, out);
            return Ok(());
        }
        let reads = event.info.is_some_and(|info| flags_of(info).contains(EventFlags::READS_FROM_FD));
        if self.reads.replace(reads) != Some(reads) {
            let (colour, text) =
                if reads { (self.colours.red, "------ Read ") } else { (self.colours.blue, self.row.write) };
            self.heading.clear();
            self.heading.extend_from_slice(colour.as_bytes());
            self.heading.extend_from_slice(text.as_bytes());
            write_bytes(&mut self.heading, bytes as u64);
            self.heading.push(b'\n');
        }
        out.extend_from_slice(&self.heading);
        out.extend_from_slice(&self.data);
        out.push(b'\n');
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.json.is_none() {
            self.colours.finish(&mut control.out);
        }
        Ok(())
    }
}
