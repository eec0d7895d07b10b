//! Events of every code with bytes that no kernel would write, about threads and users with names
//! that nobody would choose: everything prints something, nothing panics, and nothing of it is a
//! control character that a terminal would obey.

use capture_common::encode::EventHead;
use capture_common::event_table::EVENTS;
use capture_common::snapshot::{Dialect, FdKind, FdRecord, Group, ThreadRecord, User};
use capture_common::{Batch, Snapshot};
use capture_engine::fields::{self, Use};
use capture_engine::format::{DEFAULT, FormatOptions, Formatter};
use capture_engine::render::{BufferFormat, TextOptions};
use capture_engine::{Engine, Options};
use filter_lang::ArgRule;

/// A small generator of bytes; the same ones in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // The multiplier of Knuth's MMIX; the high bits are good enough.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = [0, 1, 2, 4, 8, 13, 19, 37, 100][(self.next() % 9) as usize];
        // Small values reach the tables, and the families of addresses.
        let small = self.next().is_multiple_of(2);
        (0..len).map(|_| if small { (self.next() % 12) as u8 } else { self.next() as u8 }).collect()
    }
}

fn batch(noise: &mut Noise) -> Batch {
    let mut batch = Batch::new();
    for row in EVENTS.iter() {
        let nparams = (noise.next() as usize) % (row.params.len() + 2);
        let head = EventHead {
            ts_ns: noise.next(),
            tid: (noise.next() % 5) as i64 - 1,
            cpu: 0,
            code: row.code,
            flags: 0,
        };
        let mut event = batch.encode(head, nparams);
        for _ in 0..nparams {
            event.bytes(&noise.bytes());
        }
        event.finish();
    }
    batch
}

/// A name that clears the screen, in all the ways there are to say so.
const EVIL: &[u8] = b"/e\x1b[2J/v\xc2\x9b2J\n\x9b2J\x7f\xc3\xa9";

fn machine(dialect: Dialect) -> Snapshot {
    let evil = || EVIL.to_vec();
    let thread = |tid| ThreadRecord {
        tid,
        pid: tid,
        comm: evil(),
        exe: evil(),
        exepath: evil(),
        args: [EVIL, b"\0", EVIL, b"\0"].concat(),
        env: [EVIL, b"\0"].concat(),
        cwd: evil(),
        root: evil(),
        cgroups: [b"cpu=", EVIL, b"\0"].concat(),
        ..Default::default()
    };
    let file = |fd| FdRecord { fd, ino: 1, kind: FdKind::File { open_flags: 1, name: evil(), dev: 1 } };
    let user = |uid| User { uid, gid: uid, name: evil(), home: evil(), shell: evil() };
    Snapshot {
        dialect,
        threads: (0..4).map(thread).collect(),
        fds: (0..4).map(|tid| (tid, (0..12).map(file).collect())).collect(),
        users: (0..12).map(user).collect(),
        groups: (0..12).map(|gid| Group { gid, name: evil() }).collect(),
        ..Default::default()
    }
}

/// Nothing but the layout of `buffer` may hold control characters.
fn check_printable(text: &[u8], lines: usize, buffer: BufferFormat) {
    let plain = matches!(buffer, BufferFormat::Dotted | BufferFormat::Base64);
    for chunk in text.utf8_chunks() {
        let bad = |c: char| c.is_control() && c != '\n' && (plain || c != '\t');
        assert!(!chunk.valid().contains(bad), "{buffer:?} {:?}", chunk.valid());
        assert!(!chunk.invalid().iter().any(|b| (0x80..0xa0).contains(b)), "{:?}", chunk.invalid());
    }
    if plain {
        assert_eq!(text.iter().filter(|&&b| b == b'\n').count(), lines);
    }
}

/// One format with every field that can be printed.
fn all_fields() -> String {
    let mut format = String::from("*");
    for field in fields::all().filter(|f| f.usage != Use::Filter) {
        let arg = match (field.arg, field.name) {
            (ArgRule::Required, "evt.arg" | "evt.rawarg") => "[0]",
            (ArgRule::Required, "evt.type.is" | "thread.cgroup") => ".open",
            (ArgRule::Required, _) => "[0]",
            _ => "",
        };
        format.push_str(&format!("%{}{arg}|", field.name));
    }
    format
}

#[test]
fn whatever_the_bytes_events_print() {
    let buffers = [
        BufferFormat::Dotted,
        BufferFormat::Ascii,
        BufferFormat::Hex,
        BufferFormat::HexAscii,
        BufferFormat::Base64,
    ];
    let mut noise = Noise(1);
    let mut printed = 0;
    for round in 0..10 {
        let options = |json| FormatOptions {
            text: TextOptions { buffer: buffers[round % buffers.len()], ..TextOptions::default() },
            json,
            ..FormatOptions::default()
        };
        let mut line = Formatter::new(DEFAULT, options(false)).unwrap();
        let mut fields = Formatter::new(&all_fields(), options(false)).unwrap();
        let mut json = Formatter::new(&all_fields(), options(true)).unwrap();
        let mut engine = Engine::new(Options::default());
        let dialect = if round % 2 == 0 { Dialect::Foreign } else { Dialect::Superset };
        engine.begin_section(&machine(dialect));
        let batch = batch(&mut noise);
        assert_eq!(batch.len(), EVENTS.len());
        for raw in batch.iter() {
            let applied = engine.apply(&raw);
            let view = engine.view(raw, &applied);
            let mut out = Vec::new();
            assert!(line.write(&view, &mut out) && fields.write(&view, &mut out));
            check_printable(&out, 2, buffers[round % buffers.len()]);
            out.clear();
            assert!(json.write(&view, &mut out));
            check_printable(&out, 1, BufferFormat::Dotted);
            let text = std::str::from_utf8(&out).unwrap();
            serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            printed += 1;
        }
    }
    assert_eq!(printed, 10 * EVENTS.len());
}
