//! The event decoder: whatever events hold, state follows, and lines, JSON, fields and filters print and
//! judge them. The state can be saved and loaded again.

#![no_main]

use capture_common::Snapshot;
use capture_common::snapshot::{
    Dialect, FdKind, FdRecord, Group, Interface, InterfaceAddr, L4Proto, ThreadRecord, User,
};
use capture_engine::fields::{self, Use};
use capture_engine::format::{DEFAULT, FormatOptions, Formatter, KUBERNETES, TimeForm};
use capture_engine::render::{BufferFormat, TextOptions};
use capture_engine::{Engine, EventFilter, Options, PortNames};
use capture_fuzz::{script, seeds};
use filter_lang::{ArgRule, Library};
use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;

/// Limits low enough to be met.
const OPTIONS: Options = {
    let mut options = Options::DEFAULT;
    options.max_threads = 24;
    options.max_fds_per_process = 16;
    options.max_fd_bytes = 16 << 10;
    options.max_thread_bytes = 256 << 10;
    options.max_container_bytes = 16 << 10;
    options.ports = PortNames::Services;
    options
};

const FILTER: &str = "(fd.name contains /e or fd.sport in (80, 443) or evt.buffer contains GET or \
proc.aname[2]=sh or proc.args icontains A) and not (evt.failed=true and evt.arg[0]!=-2 and \
fd.cip=127.0.0.1) or proc.env[HOME] exists or container.name startswith w";

/// One format with every field that can be printed.
fn all_fields() -> String {
    let mut format = String::from("*");
    for field in fields::all().filter(|f| f.usage != Use::Filter) {
        let arg = match (field.arg, field.name) {
            (ArgRule::Required, "evt.type.is" | "thread.cgroup") => ".open",
            (ArgRule::Required, _) => "[0]",
            _ => "",
        };
        format.push_str(&format!("%{}{arg}|", field.name));
    }
    format
}

fn machine(dialect: Dialect) -> Snapshot {
    let thread = |tid: i64| ThreadRecord {
        tid,
        pid: tid & !1,
        ptid: 1,
        vtid: tid,
        vpid: tid & !1,
        comm: b"sh".to_vec(),
        exe: b"/bin/sh".to_vec(),
        args: b"-c\0true\0".to_vec(),
        env: b"HOME=/root\0".to_vec(),
        cwd: b"/root/".to_vec(),
        cgroups: b"cpu=/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e\0".to_vec(),
        ..ThreadRecord::default()
    };
    let (ip, l4proto) = (Ipv4Addr::LOCALHOST, L4Proto::Tcp);
    let kinds = [
        FdKind::File { open_flags: 1, name: b"/etc/hosts".to_vec(), dev: 1 },
        FdKind::Ipv4 { sip: ip, dip: ip, sport: 40_000, dport: 80, l4proto },
        FdKind::Ipv4Server { ip, port: 80, l4proto },
        FdKind::Unix { source: 1, destination: 2, path: b"/run/s\n".to_vec() },
    ];
    let fds = || (3..).zip(kinds.clone()).map(|(fd, kind)| FdRecord { fd, ino: 1, kind }).collect();
    Snapshot {
        dialect,
        interfaces: vec![Interface {
            name: b"lo".to_vec(),
            addr: InterfaceAddr::V4 { addr: ip, netmask: Ipv4Addr::new(255, 0, 0, 0), broadcast: ip },
            link_speed: 0,
        }],
        users: vec![User { name: b"root".to_vec(), ..User::default() }],
        groups: vec![Group { gid: 0, name: b"root".to_vec() }],
        threads: [1, 2, 3, 100, 101].map(thread).to_vec(),
        fds: vec![(2, fds()), (100, fds())],
        ..Snapshot::default()
    }
}

/// What looks at events.
struct Lookers {
    line: Formatter,
    pods: Formatter,
    fields: Formatter,
    json: Formatter,
    filter: EventFilter,
}

impl Lookers {
    fn new() -> Lookers {
        let text = |buffer| TextOptions { buffer, ..TextOptions::default() };
        let with = |format: &str, buffer, time, json| {
            Formatter::new(format, FormatOptions { text: text(buffer), time, json }).expect("a format")
        };
        Lookers {
            line: with(DEFAULT, BufferFormat::Dotted, TimeForm::default(), false),
            pods: with(KUBERNETES, BufferFormat::HexAscii, TimeForm::default(), false),
            fields: with(&all_fields(), BufferFormat::Base64, TimeForm::default(), false),
            json: with(&all_fields(), BufferFormat::Ascii, TimeForm::default(), true),
            filter: EventFilter::compile(FILTER, &Library::new()).expect("a filter"),
        }
    }
}

thread_local! {
    static LOOKERS: std::cell::RefCell<Lookers> = std::cell::RefCell::new(Lookers::new());
}

fuzz_target!(init: seeds::write_if_asked(seeds::scripts), |data: &[u8]| {
    LOOKERS.with_borrow_mut(|lookers| run(data, lookers));
});

fn run(data: &[u8], lookers: &mut Lookers) {
    let Some((&first, script)) = data.split_first() else { return };
    // Every sixteenth run asks for all fields, which is slow.
    let with_fields = first % 16 == 0;
    let dialect = if first & 16 == 0 { Dialect::Foreign } else { Dialect::Superset };
    let batch = script::batch_of(script);
    let mut engine = Engine::new(OPTIONS);
    engine.begin_section(&machine(dialect));
    let mut out = Vec::new();
    for raw in batch.iter() {
        let applied = engine.apply(&raw);
        let view = engine.view(raw, &applied);
        out.clear();
        assert!(lookers.line.write(&view, &mut out));
        lookers.filter.matches(&view);
        if with_fields {
            assert!(lookers.pods.write(&view, &mut out));
            assert!(lookers.fields.write(&view, &mut out));
            out.clear();
            assert!(lookers.json.write(&view, &mut out));
            let text = std::str::from_utf8(&out).expect("JSON is text");
            assert!(text.starts_with('{') && text.ends_with("}\n"));
        }
    }
    let machine = engine.machine();
    assert!(machine.threads.len() <= OPTIONS.max_threads);
    let saved = machine.save();
    engine.begin_section(&saved);
    assert!(engine.machine().threads.len() <= OPTIONS.max_threads);
}
