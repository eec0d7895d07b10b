//! `files`: what was opened, read, written, created, renamed and deleted, and by whom.

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::place::{Places, who};
use crate::kit::{Fields, JsonLine, count_arg};
use crate::state::visible;
use crate::text::{write_bytes, write_row};
use capture_common::EventFlags;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::render::event_name;
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "files",
    "I/O",
    "What was opened, read, written, created and deleted",
    "Shows for each file and process how often it was opened, how much was read and written, and whether it was \
     created (C), renamed (R), deleted (D) or could not be opened (F and how often), most bytes first. Rows: 100 \
     unless given, 0 for all: files 0 'fd.directory=/etc'.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] =
    [ArgSpec::optional("rows", "int", "Rows that are shown, 100 unless given, 0 for all")];

const ROWS: usize = 100;
const WIDTHS: [usize; 6] = [9, 9, 6, 5, 26, 0];
/// Files that are counted; further ones go together.
const FILES_MAX: usize = 200_000;

/// What a call does to the path that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Open,
    Create,
    Delete,
    /// Has two paths.
    Rename,
    /// Makes the second of two paths.
    Link,
}

#[rustfmt::skip]
const CALLS: &[(&str, Act)] = &[
    ("open", Act::Open), ("openat", Act::Open), ("openat2", Act::Open), ("creat", Act::Open),
    ("open_by_handle_at", Act::Open),
    ("mkdir", Act::Create), ("mkdirat", Act::Create), ("mknod", Act::Create), ("mknodat", Act::Create),
    ("unlink", Act::Delete), ("unlinkat", Act::Delete), ("rmdir", Act::Delete),
    ("rename", Act::Rename), ("renameat", Act::Rename), ("renameat2", Act::Rename),
    ("link", Act::Link), ("linkat", Act::Link), ("symlink", Act::Link), ("symlinkat", Act::Link),
];

const FIELDS: &[&str] =
    &["fd.name", "fs.path.name", "fs.path.source", "fs.path.target", "evt.is_open_create"];
const FD: usize = 0;
const PATH: usize = 1;
const SOURCE: usize = 2;
const TARGET: usize = 3;
const CREATES: usize = 4;

/// A file, as one process uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    path: Vec<u8>,
    comm: Vec<u8>,
    pid: i64,
    place: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Use {
    opened: u64,
    refused: u64,
    read: u64,
    written: u64,
    created: bool,
    deleted: bool,
    renamed: bool,
    renamed_to: Option<Vec<u8>>,
}

/// The chisel.
#[derive(Debug)]
pub(super) struct Files {
    rows: usize,
    json: bool,
    fields: Fields,
    places: Places,
    uses: HashMap<Key, Use>,
}

impl Default for Files {
    fn default() -> Self {
        Files {
            rows: ROWS,
            json: false,
            fields: Fields::default(),
            places: Places::default(),
            uses: HashMap::new(),
        }
    }
}

impl Chisel for Files {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        self.rows = count_arg(&META.name, name, value)?;
        Ok(())
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.places = Places::new(settings);
        self.json = settings.json;
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.uses.clear();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let Some(info) = event.info.filter(|info| info.code.is_exit()) else { return Ok(()) };
        let flags = flags_of(info);
        let (reads, writes) =
            (flags.contains(EventFlags::READS_FROM_FD), flags.contains(EventFlags::WRITES_TO_FD));
        if reads || writes {
            let moved = event.raw.int(0).unwrap_or(0);
            if moved > 0 && event.fd().is_some_and(|fd| fd.is_file()) {
                let Some(path) = self.fields.text(FD, event) else { return Ok(()) };
                let file = self.file(path, event);
                *(if writes { &mut file.written } else { &mut file.read }) += moved as u64;
            }
            return Ok(());
        }
        let name = event_name(event);
        let Some((_, act)) = CALLS.iter().find(|(call, _)| *call == name) else { return Ok(()) };
        self.act(*act, event);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let mut rows: Vec<(Key, Use)> = self.uses.drain().collect();
        let bytes = |file: &Use| file.read + file.written;
        rows.sort_by(|(key, file), (other_key, other)| {
            (bytes(other), &key.path, &key.comm, key.pid).cmp(&(
                bytes(file),
                &other_key.path,
                &other_key.comm,
                other_key.pid,
            ))
        });
        let found = rows.len();
        if self.rows != 0 {
            rows.truncate(self.rows);
        }
        let out = &mut control.out;
        if self.json {
            rows.iter().for_each(|(key, file)| write_json(key, file, out));
            return Ok(());
        }
        write_row(out, WIDTHS, [b"READ", b"WRITTEN", b"OPENED", b"DONE", b"WHO", b"FILE"]);
        for (key, file) in &rows {
            let size = |bytes: u64| {
                let mut text = Vec::new();
                if bytes > 0 {
                    write_bytes(&mut text, bytes);
                }
                text
            };
            let opened = if file.opened > 0 { file.opened.to_string() } else { String::new() };
            let mut path = key.path.clone();
            if let Some(target) = &file.renamed_to {
                path.extend_from_slice(b" -> ");
                path.extend_from_slice(target);
            }
            write_row(
                out,
                WIDTHS,
                [
                    &size(file.read),
                    &size(file.written),
                    opened.as_bytes(),
                    file.done().as_bytes(),
                    &who(&key.comm, key.pid, &key.place),
                    &path,
                ],
            );
        }
        if found > rows.len() {
            let text = format!("{} more rows: files 0 shows all.\n", found - rows.len());
            out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

impl Files {
    /// The uses of a file by the event's process.
    fn file(&mut self, path: Vec<u8>, event: &EventView<'_>) -> &mut Use {
        let thread = event.thread();
        let mut key = Key {
            path,
            comm: thread.map(|t| visible(&t.comm)).unwrap_or_default(),
            pid: thread.map_or(event.raw.tid, |t| t.pid),
            place: self.places.of(event),
        };
        if self.uses.len() >= FILES_MAX && !self.uses.contains_key(&key) {
            key.path = b"(other)".to_vec();
        }
        self.uses.entry(key).or_default()
    }

    fn act(&mut self, act: Act, event: &EventView<'_>) {
        let failed = event.applied.error != 0;
        let mut text = |at: usize| self.fields.text(at, event).filter(|text| !text.is_empty());
        match act {
            Act::Open if failed => {
                let Some(path) = text(PATH) else { return };
                self.file(path, event).refused += 1;
            }
            Act::Open => {
                let Some(path) = text(FD).or_else(|| text(PATH)) else { return };
                let creates = text(CREATES).is_some_and(|creates| creates == b"true");
                let file = self.file(path, event);
                file.opened += 1;
                file.created |= creates;
            }
            _ if failed => {}
            Act::Create => {
                let Some(path) = text(PATH) else { return };
                self.file(path, event).created = true;
            }
            Act::Delete => {
                let Some(path) = text(PATH) else { return };
                self.file(path, event).deleted = true;
            }
            Act::Rename => {
                let (Some(source), target) = (text(SOURCE), text(TARGET)) else { return };
                let file = self.file(source, event);
                file.renamed = true;
                file.renamed_to = target;
            }
            Act::Link => {
                let Some(path) = text(TARGET) else { return };
                self.file(path, event).created = true;
            }
        }
    }
}

impl Use {
    /// `C`, `RD`, `F3` and so on.
    fn done(&self) -> String {
        let marks = [(self.created, "C"), (self.renamed, "R"), (self.deleted, "D")];
        let mut text: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        if self.refused > 0 {
            text.push_str(&format!("F{}", self.refused));
        }
        text
    }
}

fn write_json(key: &Key, file: &Use, out: &mut Vec<u8>) {
    let mut json = JsonLine::begin(out);
    json.text("file", &key.path).text("proc.name", &key.comm).int("proc.pid", key.pid);
    json.text("container", &key.place).uint("read", file.read).uint("written", file.written);
    json.uint("opened", file.opened).uint("refused", file.refused).is("created", file.created);
    json.is("renamed", file.renamed)
        .maybe("renamed_to", file.renamed_to.as_deref())
        .is("deleted", file.deleted);
    json.end();
}
