//! `follow`: both directions of a connection, or the reads and writes of a file, put together again.

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::place::{Places, who};
use crate::kit::{Colours, Fields, JsonLine, bad_arg};
use crate::state::visible;
use crate::text::write_bytes;
use capture_common::EventFlags;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::render::clock::{Fraction, push_time_of_day};
use capture_engine::render::{BufferFormat, Zone, buffer::push_buffer};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "follow",
    "Net",
    "One connection or file: what went in both directions",
    "Prints what is read from and written to the connection or file whose name contains a text, as follow \
     10.0.0.53:80 or follow /var/log/app.log, with a heading at each change of direction. As ascii (the default), \
     hex, or raw; raw writes the bytes of each direction to files called NAME.N.in and NAME.N.out, where NAME is \
     the third argument. What the capture does not have is told; record with a larger -s to have it.",
    &ARGS,
);

static ARGS: [ArgSpec; 3] = [
    ArgSpec::required("what", "string", "Text in the name of the connection or file, as fd.name shows it"),
    ArgSpec::optional("form", "string", "ascii, hex or raw"),
    ArgSpec::optional(
        "name",
        "string",
        "Beginning of the names of the files of the raw form, follow unless given",
    ),
];

/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 65_000;
/// Streams that files are written for.
const FILES_MAX: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Ascii,
    Hex,
    Raw,
}

/// One end of a stream: an fd of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    pid: i64,
    fd: i64,
    name: Vec<u8>,
}

/// The files of a stream.
#[derive(Debug)]
struct Files {
    read: File,
    written: File,
    paths: [PathBuf; 2],
}

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Follow {
    what: String,
    form: Form,
    file_name: String,
    fields: Fields,
    places: Places,
    zone: Zone,
    json: bool,
    colours: Colours,
    /// Stream and direction of what was printed last.
    last: Option<(Key, bool)>,
    files: HashMap<Key, Files>,
    bytes: [u64; 2],
    missing: u64,
}

impl Chisel for Follow {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match name {
            "what" if value.is_empty() => {
                return Err(bad_arg(&META.name, name, "it is empty, which is in every name"));
            }
            "what" => value.clone_into(&mut self.what),
            "form" => {
                self.form = match value {
                    "ascii" => Form::Ascii,
                    "hex" => Form::Hex,
                    "raw" => Form::Raw,
                    _ => {
                        return Err(bad_arg(
                            &META.name,
                            name,
                            format!("{value:?} is none of ascii, hex, raw"),
                        ));
                    }
                };
            }
            _ => value.clone_into(&mut self.file_name),
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(&["fd.name"], settings).expect("the field exists");
        self.places = Places::new(settings);
        self.zone = settings.zone.clone();
        self.json = settings.json;
        self.colours = if settings.terminal.is_some() { Colours::ON } else { Colours::OFF };
        if self.file_name.is_empty() {
            self.file_name = "follow".to_owned();
        }
        control.snaplen = Some(SNAPLEN);
        control.set_filter(&META.name, "evt.is_io=true and evt.dir=< and evt.rawres>0")?;
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        (self.last, self.files, self.bytes, self.missing) = Default::default();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(name) = self.fields.text(0, event) else { return Ok(()) };
        if !name.windows(self.what.len()).any(|part| part == self.what.as_bytes()) {
            return Ok(());
        }
        let reads = event.info.is_some_and(|info| flags_of(info).contains(EventFlags::READS_FROM_FD));
        let data = event.param("data").unwrap_or_default();
        let moved = event.raw.int(0).unwrap_or(0).max(0) as u64;
        let missing = moved.saturating_sub(data.len() as u64);
        self.bytes[usize::from(!reads)] += moved;
        self.missing += missing;
        let thread = event.thread();
        let key = Key { pid: thread.map_or(event.raw.tid, |t| t.pid), fd: event.applied.fd_num, name };
        let out = &mut control.out;
        if self.form == Form::Raw {
            return self.save(key, reads, data, missing);
        }
        let comm = thread.map(|t| visible(&t.comm)).unwrap_or_default();
        if self.json {
            let mut json = JsonLine::begin(out);
            json.uint("evt.rawtime", event.raw.ts_ns).text("dir", if reads { b"in" } else { b"out" });
            json.text("proc.name", &comm)
                .int("proc.pid", key.pid)
                .int("fd.num", key.fd)
                .text("fd.name", &key.name);
            json.uint("bytes", moved).uint("missing", missing).text("data", data);
            json.end();
            return Ok(());
        }
        let place = self.places.of(event);
        let turn = (key, reads);
        if self.last.as_ref() != Some(&turn) {
            self.heading(&turn, &comm, &place, event.raw.ts_ns, out);
            self.last = Some(turn);
        }
        match self.form {
            Form::Hex => push_buffer(out, data, BufferFormat::HexAscii, false),
            _ => push_text(out, data),
        }
        if missing > 0 {
            end_line(out);
            // Writing to a Vec cannot fail.
            let _ = writeln!(out, "[{missing} bytes are not in the capture]");
        }
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let out = &mut control.out;
        let streams = std::mem::take(&mut self.files);
        if self.json {
            return Ok(());
        }
        end_line(out);
        out.extend_from_slice(self.colours.reset.as_bytes());
        let mut streams: Vec<(Key, Files)> = streams.into_iter().collect();
        streams.sort_by(|(_, files), (_, other)| files.paths.cmp(&other.paths));
        for (key, files) in streams {
            let [read, written] = files.paths;
            let _ = write!(out, "{} and {}: ", read.display(), written.display());
            out.extend_from_slice(&key.name);
            let _ = writeln!(out, " (pid {} fd {})", key.pid, key.fd);
        }
        if self.bytes == [0, 0] {
            let _ = writeln!(out, "nothing was read from or written to a name with {:?} in it", self.what);
            return Ok(());
        }
        for (bytes, direction) in self.bytes.into_iter().zip(["in", "out"]) {
            write_bytes(out, bytes);
            let _ = write!(out, " {direction}, ");
        }
        write_bytes(out, self.missing);
        out.extend_from_slice(b" not in the capture\n");
        Ok(())
    }
}

impl Follow {
    fn heading(&self, (key, reads): &(Key, bool), comm: &[u8], place: &[u8], ts_ns: u64, out: &mut Vec<u8>) {
        end_line(out);
        let (colour, arrow) = if *reads { (self.colours.red, "<<<") } else { (self.colours.blue, ">>>") };
        out.extend_from_slice(colour.as_bytes());
        out.extend_from_slice(arrow.as_bytes());
        out.push(b' ');
        push_time_of_day(out, &self.zone, ts_ns, Fraction::Ns);
        out.push(b' ');
        out.extend_from_slice(&who(comm, key.pid, place));
        out.push(b' ');
        out.extend_from_slice(&key.name);
        out.push(b'\n');
    }

    /// Appends to the file of the stream's direction. A hole keeps its size, so that offsets are right.
    fn save(&mut self, key: Key, reads: bool, data: &[u8], missing: u64) -> Result<(), ChiselError> {
        let number = self.files.len() + 1;
        let failed = |path: &PathBuf, error: std::io::Error| {
            bad_arg(&META.name, "name", format!("{}: {error}", path.display()))
        };
        if !self.files.contains_key(&key) {
            if number > FILES_MAX {
                let reason =
                    format!("more than {FILES_MAX} streams have {:?} in their name; choose fewer", self.what);
                return Err(bad_arg(&META.name, "what", reason));
            }
            let path = |end: &str| PathBuf::from(format!("{}.{number}.{end}", self.file_name));
            let paths = [path("in"), path("out")];
            // Files of an earlier run are not the reader's to lose.
            let make = |path: &PathBuf| File::create_new(path).map_err(|error| failed(path, error));
            let files = Files { read: make(&paths[0])?, written: make(&paths[1])?, paths };
            self.files.insert(key.clone(), files);
        }
        let Some(files) = self.files.get_mut(&key) else { return Ok(()) };
        let (file, path) =
            if reads { (&mut files.read, &files.paths[0]) } else { (&mut files.written, &files.paths[1]) };
        let mut padding = std::io::Read::take(std::io::repeat(0), missing);
        let written = file.write_all(data).and_then(|()| std::io::copy(&mut padding, file));
        written.map(|_| ()).map_err(|error| failed(path, error))
    }
}

/// Text as it is, but for what a terminal would obey.
fn push_text(out: &mut Vec<u8>, data: &[u8]) {
    out.reserve(data.len());
    for chunk in data.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => out.push(c as u8),
                '\r' => {}
                c if c.is_control() => out.push(b'.'),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.resize(out.len() + chunk.invalid().len(), b'.');
    }
}

fn end_line(out: &mut Vec<u8>) {
    if out.last().is_some_and(|&last| last != b'\n') {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_lines_and_loses_escapes() {
        let mut out = Vec::new();
        push_text(&mut out, b"GET /\r\nx\t\x1b[2J\xff\xc3\xa9");
        assert_eq!(out, "GET /\nx\t.[2J.é".as_bytes());
    }

    #[test]
    fn holes_keep_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let file_name = folder.path().join("s").to_str().unwrap().to_owned();
        let mut follow = Follow { file_name: file_name.clone(), what: "x".to_owned(), ..Follow::default() };
        let key = Key { pid: 1, fd: 3, name: b"x".to_vec() };
        follow.save(key.clone(), true, b"ab", 3).unwrap();
        follow.save(key.clone(), true, b"c", 0).unwrap();
        follow.save(key, false, b"d", 0).unwrap();
        drop(follow);
        assert_eq!(std::fs::read(format!("{file_name}.1.in")).unwrap(), b"ab\0\0\0c");
        assert_eq!(std::fs::read(format!("{file_name}.1.out")).unwrap(), b"d");
        let mut again = Follow { file_name, what: "x".to_owned(), ..Follow::default() };
        assert!(
            again.save(Key { pid: 1, fd: 3, name: vec![] }, true, b"", 0).is_err(),
            "files that exist stay"
        );
    }
}
