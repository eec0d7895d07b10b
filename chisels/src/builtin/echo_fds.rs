//! `echo_fds`: what processes read from and write to their fds.
//!
//! Each read or write that moved data prints a heading (size, direction, fd, process, with
//! container data also the container) and the captured part of the data below it.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Fields, colours, json_lines};
use crate::text::write_bytes;
use capture_common::{EventCode, EventFlags, EventInfo};
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::format::Formatter;
use capture_engine::render::text::push_visible;
use capture_engine::render::{TextOptions, push_arg};
use filter_lang::TypeSet;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "echo_fds",
    "I/O",
    "Data read and written by processes",
    "Prints the data that processes read from and write to any fd: files, pipes and sockets. A filter \
     says which. Reads are red and writes blue; with -pc or -pk the container stands in each heading, \
     the host in green and containers in cyan.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] =
    [ArgSpec::optional("disable_color", "string", "Set to 'disable_color' to print without colours")];

/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 2000;
const NA: &[u8] = b"<NA>";

/// The chisel.
#[derive(Debug)]
pub(super) struct EchoFds {
    colours: Colours,
    text: TextOptions,
    container_data: bool,
    json: Option<Formatter>,
    /// `fd.name`.
    name: Fields,
}

/// What a line of JSON holds.
const JSON: &[&str] = &[
    "evt.rawtime",
    "evt.io_dir",
    "evt.rawarg.res",
    "fd.name",
    "fd.type",
    "proc.name",
    "proc.pid",
    "container.name",
    "container.id",
    "evt.buffer",
];

impl Default for EchoFds {
    fn default() -> Self {
        EchoFds {
            colours: Colours::ON,
            text: TextOptions::default(),
            container_data: false,
            json: None,
            name: Fields::default(),
        }
    }
}

impl Chisel for EchoFds {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        if name == "disable_color" && colours::disables(value) {
            self.colours = Colours::OFF;
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        let buffer = settings.buffers.unwrap_or_default();
        // With a chisel buffers are never cut.
        self.text = TextOptions { buffer, cut_buffers: false, ..TextOptions::default() };
        self.container_data = settings.container_data;
        self.json = json_lines(JSON, settings);
        self.name = Fields::new(&["fd.name"], settings).expect("the field exists");
        control.snaplen = Some(SNAPLEN);
        control.set_types(types());
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(io) = Transfer::of(event) else { return Ok(()) };
        if let Some(json) = &mut self.json {
            json.write(event, &mut control.out);
            return Ok(());
        }
        let out = &mut control.out;
        self.heading(event, &io, out);
        if let Some(data) = event.info.and_then(|i| i.param_index("data"))
            && push_arg(out, event, data, &self.text)
        {
            out.push(b'\n');
        }
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.json.is_some() {
            return Ok(());
        }
        self.colours.finish(&mut control.out);
        Ok(())
    }
}

/// A read or write that moved data.
struct Transfer {
    is_read: bool,
    bytes: u64,
}

impl Transfer {
    /// `None` for events that are no exits of such a call, or moved nothing.
    #[inline]
    fn of(event: &EventView<'_>) -> Option<Transfer> {
        let info = event.info.filter(|info| moves_data(info))?;
        let is_read = flags_of(info).contains(EventFlags::READS_FROM_FD);
        let bytes = event.raw.int(0).filter(|&n| n > 0)?;
        Some(Transfer { is_read, bytes: bytes as u64 })
    }
}

/// The types of which there are transfers.
fn types() -> TypeSet {
    let mut types = TypeSet::EMPTY;
    for code in 0..TypeSet::CAPACITY {
        if EventCode(code).info().is_some_and(moves_data) {
            types.insert(code);
        }
    }
    types
}

/// Whether events of this type are exits of reads or writes.
#[inline]
fn moves_data(info: &'static EventInfo) -> bool {
    let flags = flags_of(info);
    info.code.is_exit()
        && (flags.contains(EventFlags::READS_FROM_FD) || flags.contains(EventFlags::WRITES_TO_FD))
}

impl EchoFds {
    fn heading(&mut self, event: &EventView<'_>, io: &Transfer, out: &mut Vec<u8>) {
        let colours = self.colours;
        let (colour, verb, preposition) =
            if io.is_read { (colours.red, "Read ", " from ") } else { (colours.blue, "Write ", " to ") };
        let mut say = |text: &[u8]| out.extend_from_slice(text);
        say(colour.as_bytes());
        say(b"------ ");
        say(verb.as_bytes());
        write_bytes(out, io.bytes);
        out.extend_from_slice(preposition.as_bytes());
        if self.container_data {
            self.container(event, out);
        }
        let mut say = |text: &[u8]| out.extend_from_slice(text);
        say(b" ");
        say(colour.as_bytes());
        say(b" ");
        if !self.name.push(0, event, out) {
            out.extend_from_slice(NA);
        }
        out.extend_from_slice(b" (");
        push_visible(out, event.thread().map_or(NA, |t| &t.comm));
        out.extend_from_slice(b")\n");
    }

    fn container(&self, event: &EventView<'_>, out: &mut Vec<u8>) {
        let id: &[u8] = event.thread().map_or(&[], |t| &t.container_id);
        let (colour, name, id): (_, &[u8], &[u8]) = match event.container() {
            _ if id.is_empty() => (self.colours.green, b"host", b"host"),
            Some(container) => (self.colours.cyan, &container.name, id),
            None => (self.colours.cyan, NA, id),
        };
        out.extend_from_slice(colour.as_bytes());
        for text in [name, id] {
            out.extend_from_slice(b" [");
            push_visible(out, text);
            out.push(b']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::encode::EventHead;
    use capture_common::event_table::code;
    use capture_common::snapshot::{FdKind, FdRecord, ThreadRecord};
    use capture_common::{Batch, Snapshot};
    use capture_engine::{Engine, Options};

    /// What the chisel prints of a read of `data` by a thread with this name from such a file.
    fn print(name: &[u8], data: &[u8]) -> String {
        let mut engine = Engine::new(Options::default());
        let kind = FdKind::File { open_flags: 1, name: name.to_vec(), dev: 0 };
        engine.begin_section(&Snapshot {
            threads: vec![ThreadRecord { tid: 7, pid: 7, comm: name.to_vec(), ..Default::default() }],
            fds: vec![(7, vec![FdRecord { fd: 3, ino: 0, kind }])],
            ..Default::default()
        });
        let mut batch = Batch::new();
        let head = |code| EventHead { ts_ns: 1, tid: 7, cpu: 0, code, flags: 0 };
        let mut enter = batch.encode(head(code::SYSCALL_READ_E), 2);
        enter.i64(3).u32(100);
        enter.finish();
        let mut exit = batch.encode(head(code::SYSCALL_READ_X), 2);
        exit.i64(data.len() as i64).bytes(data);
        exit.finish();
        let mut chisel = EchoFds::default();
        let mut control = Control::default();
        chisel.set_arg("disable_color", "disable_color", &mut control).unwrap();
        chisel.init(&Settings::default(), &mut control).unwrap();
        for raw in batch.iter() {
            let applied = engine.apply(&raw);
            chisel.on_event(&engine.view(raw, &applied), &mut control).unwrap();
        }
        String::from_utf8(control.out).unwrap()
    }

    #[test]
    fn a_read_has_a_heading_and_its_data() {
        assert_eq!(print(b"cat", b"hello\n"), "------ Read 6B from   cat (cat)\nhello.\n");
    }

    #[test]
    fn names_cannot_speak_to_the_terminal() {
        let text = print(b"/e\x1b[2J\xc2\x9b2J", b"\x1b[2J");
        assert_eq!(text, "------ Read 4B from   /e.[2J..2J (/e[2J2J)\n.[2J\n");
    }
}
