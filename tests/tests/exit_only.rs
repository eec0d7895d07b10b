//! Captures of current recorders hold exits only. Made from our own form by leaving the enters out,
//! they must give the same fds: at every exit, and in every table at the end.

use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::{Batch, EventCode, EventSource, Next, RawEvent};
use capture_engine::render::fd::push_fd_name;
use capture_engine::{Engine, Options};
use capture_file::Reader;
use capture_tests::data_dir;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// Captures in the form that carries the parameters of both eras, and fewest exits with an fd.
fn captures() -> Vec<(PathBuf, usize)> {
    let captures = data_dir().join("captures");
    vec![
        (captures.join("interop-superset.scap"), 8),
        (captures.join("interop-full.scap"), 8),
        (data_dir().join("../../samples/curl.scap"), 200),
    ]
}

/// Codes without an exit of their own that current recorders write.
fn stands_alone(event: EventCode) -> bool {
    EventCode(event.0 + 1).info().is_none_or(|exit| exit.is_unused())
}

/// Leaves the enters out, and writes exits under the codes that carry all they need.
#[derive(Default)]
struct ExitsOnly {
    /// By thread: the fd that the last enter of dup named.
    dup_of: HashMap<i64, i64>,
}

impl ExitsOnly {
    fn push(&mut self, raw: &RawEvent<'_>, out: &mut Batch) {
        if raw.code == code::SYSCALL_DUP_E {
            self.dup_of.insert(raw.tid, raw.int(0).unwrap_or(-1));
        }
        if raw.code.is_enter() && !stands_alone(raw.code) {
            return;
        }
        let mut head = EventHead { ts_ns: raw.ts_ns, tid: raw.tid, cpu: raw.cpu, code: raw.code, flags: 0 };
        if raw.code == code::SYSCALL_DUP_X {
            // The form of both eras keeps the code of 2022, which leaves the source to the enter.
            head.code = code::SYSCALL_DUP_1_X;
            let mut event = out.encode(head, 2);
            event.i64(raw.int(0).unwrap_or(-1)).i64(self.dup_of.remove(&raw.tid).unwrap_or(-1));
            event.finish();
            return;
        }
        let mut event = out.encode(head, raw.nparams());
        for param in raw.params() {
            event.bytes(param);
        }
        event.finish();
    }
}

/// What a replay said: the fd of each exit by time and thread, and all tables at the end.
#[derive(Default)]
struct Fds {
    exits: Vec<(u64, i64, i64, String)>,
    tables: BTreeMap<i64, Vec<(i64, String)>>,
}

fn replay(path: &PathBuf, without_enters: bool) -> Fds {
    let mut reader = Reader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut engine, mut batch) = (Engine::new(Options::default()), Batch::new());
    let (mut crafted, mut fds) = (ExitsOnly::default(), Fds::default());
    loop {
        match reader.next(&mut batch).expect("reads") {
            Next::End => break,
            Next::Idle => {}
            Next::Section(snapshot) => engine.begin_section(&snapshot),
            Next::Events => {
                let mut exits = Batch::new();
                if without_enters {
                    batch.iter().for_each(|raw| crafted.push(&raw, &mut exits));
                }
                for raw in if without_enters { exits.iter() } else { batch.iter() } {
                    see(&mut engine, raw, &mut fds);
                }
            }
        }
    }
    for thread in engine.machine().threads.iter().filter(|t| t.is_main()) {
        let mut table: Vec<_> = thread.fds.iter().map(|(fd, info)| (fd, text(info))).collect();
        table.sort();
        fds.tables.insert(thread.tid, table);
    }
    fds
}

fn see(engine: &mut Engine, raw: RawEvent<'_>, fds: &mut Fds) {
    let applied = engine.apply(&raw);
    let view = engine.view(raw, &applied);
    if raw.code.is_exit()
        && let Some(fd) = view.fd()
    {
        fds.exits.push((raw.ts_ns, raw.tid, applied.fd_num, text(fd)));
    }
}

fn text(fd: &capture_engine::FdInfo) -> String {
    let mut name = format!("{}:", fd.type_char()).into_bytes();
    push_fd_name(&mut name, fd);
    String::from_utf8_lossy(&name).into_owned()
}

#[test]
fn exits_alone_give_the_same_fds() {
    for (path, least) in captures() {
        let (with, without) = (replay(&path, false), replay(&path, true));
        let name = path.display();
        assert!(with.exits.len() >= least, "{name}: {} exits with an fd", with.exits.len());
        let differing: Vec<_> =
            with.exits.iter().zip(&without.exits).filter(|(a, b)| a != b).take(10).collect();
        assert!(differing.is_empty(), "{name}: {differing:#?}");
        assert_eq!(with.exits.len(), without.exits.len(), "{name}");
        for (tid, table) in &with.tables {
            assert_eq!(Some(table), without.tables.get(tid), "{name}: table of {tid}");
        }
        assert_eq!(with.tables.len(), without.tables.len(), "{name}");
    }
}
