//! `spy_file`: every read and write of files, or of one file, with the data.

use crate::api::{ArgSpec, Chisel, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Fields, json_lines};
use crate::text::write_bytes;
use capture_common::EventFlags;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::format::Formatter;
use capture_engine::render::BufferFormat;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "spy_file",
    "I/O",
    "Reads and writes of files, with the data",
    "Prints each read and write of any file, or of one file, with time, process, size and data: spy_file RW \
     /etc/hosts. Terminals are left out unless one is named.",
    &ARGS,
);

static ARGS: [ArgSpec; 2] = [
    ArgSpec::optional("read_or_write", "string", "R for reads, W for writes, RW for both (the default)"),
    ArgSpec::optional("spy_on_file_name", "string", "The only file of interest"),
];

/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 2000;

const FIELDS: &[&str] = &["evt.time", "proc.name", "proc.pid", "fd.name", "evt.arg.data", "evt.rawarg.res"];
const TIME: usize = 0;
const PROCESS: usize = 1;
const PID: usize = 2;
const FD: usize = 3;
const DATA: usize = 4;
const RESULT: usize = 5;
const JSON: &[&str] = &[
    "evt.rawtime",
    "proc.name",
    "proc.pid",
    "evt.io_dir",
    "evt.rawarg.res",
    "fd.name",
    "container.name",
    "container.id",
    "evt.buffer",
];

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct SpyFile {
    direction: String,
    file: String,
    fields: Fields,
    json: Option<Formatter>,
}

impl Chisel for SpyFile {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        value.clone_into(if name == "read_or_write" { &mut self.direction } else { &mut self.file });
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.json = json_lines(JSON, settings);
        let buffers = settings.buffers.or(Some(BufferFormat::Ascii));
        self.fields =
            Fields::new(FIELDS, &Settings { buffers, ..settings.clone() }).expect("the fields exist");
        control.snaplen = Some(SNAPLEN);
        let file = match &self.file[..] {
            // Its own output to a terminal would be shown again and again.
            "" => "(not fd.name contains /dev/pt and not fd.name contains /dev/tty)".to_owned(),
            name => format!("fd.name=\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
        };
        let io = match &self.direction[..] {
            "R" | "r" => "evt.is_io_read=true",
            "W" | "w" => "evt.is_io_write=true",
            _ => "evt.is_io=true",
        };
        let filter = format!("{file} and {io} and fd.type=file and evt.dir=< and evt.failed=false");
        control.set_filter(&META.name, &filter)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let out = &mut control.out;
        if let Some(json) = &mut self.json {
            json.write(event, out);
            return Ok(());
        }
        let Some(bytes) = self.fields.number(RESULT, event) else { return Ok(()) };
        let mut push = |out: &mut Vec<u8>, at: usize, between: &str| {
            if !self.fields.push(at, event, out) {
                out.extend_from_slice(b"<NA>");
            }
            out.extend_from_slice(between.as_bytes());
        };
        let writes = event.info.is_some_and(|info| flags_of(info).contains(EventFlags::WRITES_TO_FD));
        push(out, TIME, " ");
        push(out, PROCESS, "(");
        push(out, PID, if writes { ") W " } else { ") R " });
        write_bytes(out, bytes.max(0.0) as u64);
        out.push(b' ');
        push(out, FD, " ");
        push(out, DATA, "\n");
        Ok(())
    }
}
