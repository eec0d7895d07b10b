//! Order of work: numbers, pairing, latency, limits, strange input.

use crate::world::{Clone, O_RDONLY, World};
use capture_common::encode::EventHead;
use capture_common::event_table::{EVENTS, code};
use capture_common::raw_event::FLAG_STATE_ONLY;
use capture_common::{Batch, EventCode, Snapshot};
use capture_engine::{Engine, Options};

#[test]
fn every_event_is_numbered_and_internal_ones_are_not_shown() {
    let mut w = World::new();
    let shown = w.event(100, code::PROCINFO_E, 2, |e| {
        e.u64(1).u64(2);
    });
    assert_eq!((shown.num, shown.visible, shown.internal), (1, false, true));
    let shown = w.close_enter(100, 0);
    assert_eq!((shown.num, shown.visible, shown.internal), (2, true, false));
}

#[test]
fn state_only_events_change_state_unseen() {
    let mut w = World::new();
    let mut batch = Batch::new();
    let head = EventHead { ts_ns: 5, tid: 100, cpu: 0, code: code::SYSCALL_OPEN_X, flags: FLAG_STATE_ONLY };
    let mut event = batch.encode(head, 5);
    event.i64(5).text(b"/a").u32(1).u32(0).u32(0);
    event.finish();
    let applied = w.engine.apply(&batch.get(0).unwrap());
    assert!(!applied.visible);
    assert_eq!(w.fd_name(100, 5), "/a");
}

#[test]
fn an_exit_pairs_with_its_own_enter_only() {
    let mut w = World::new();
    w.close_enter(100, 0);
    let applied = w.event(100, code::SYSCALL_READ_X, 2, |e| {
        e.i64(-4).bytes(b"");
    });
    assert!(!applied.paired);
    assert_eq!((applied.fd_num, applied.error), (-1, 4));
    let enter = w.event(100, code::SYSCALL_READ_E, 2, |e| {
        e.i64(0).u32(10);
    });
    let exit = w.event(100, code::SYSCALL_READ_X, 2, |e| {
        e.i64(3).bytes(b"abc");
    });
    assert!(exit.paired);
    assert_eq!((enter.latency_ns, exit.latency_ns, exit.fd_num), (0, 1_000, 0));
    // With the full parameters no enter is needed.
    let exit = w.event(105, code::SYSCALL_READ_X, 4, |e| {
        e.i64(3).bytes(b"abc").i64(1).u32(10);
    });
    assert_eq!((exit.paired, exit.fd_num), (false, 1));
}

#[test]
fn internal_events_do_not_come_between_enter_and_exit() {
    let mut w = World::new();
    w.close_enter(100, 0);
    w.event(100, code::PROCINFO_E, 2, |e| {
        e.u64(1).u64(2);
    });
    assert!(w.close_exit(100, 0, 0).paired);
}

#[test]
fn for_threads_beyond_the_limit_idle_ones_go() {
    let mut w = World::with(Options { max_threads: 4, ..Default::default() });
    for tid in 500..510 {
        w.open(tid, 3, "/a", O_RDONLY);
    }
    w.clone_exit(100, 101, &Clone::default());
    assert_eq!(w.engine.machine().threads.len(), 4);
    // Nine of the strangers found no room, nor did the process, seen anew, and its child; whoever
    // acted last is there.
    assert_eq!(w.engine.counters().threads_evicted, 11);
    assert!(w.find(101).is_some() && w.find(100).is_some());
}

#[test]
fn a_new_section_forgets_everything_but_the_count() {
    let mut w = World::new();
    w.open(100, 5, "/a", O_RDONLY);
    w.engine.begin_section(&Snapshot::default());
    assert!(w.engine.machine().threads.is_empty());
    assert_eq!(w.close_enter(7, 1).num, 3);
}

/// Every code with any number of empty, short and long parameters: nothing panics, nothing grows
/// beyond its limits.
#[test]
fn strange_parameters_are_survived() {
    let mut engine = Engine::new(Options { max_threads: 64, max_fds_per_process: 16, ..Options::default() });
    engine.begin_section(&Snapshot::default());
    let fills: [&[u8]; 6] = [b"", b"\0", b"\xff\xff\xff\xff\xff\xff\xff\xff", &[0; 8], &[1; 4], &[2; 64]];
    let mut seed = 1u64;
    for round in 0..60u64 {
        for code in (0..EVENTS.len() as u16 + 3).map(EventCode) {
            let mut batch = Batch::new();
            let head = EventHead { ts_ns: round, tid: (seed >> 40) as i64 % 9 - 1, cpu: 0, code, flags: 0 };
            let nparams = round as usize % 33;
            let mut event = batch.encode(head, nparams);
            for _ in 0..nparams {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                event.bytes(fills[(seed >> 33) as usize % fills.len()]);
            }
            event.finish();
            let raw = batch.get(0).unwrap();
            let applied = engine.apply(&raw);
            let view = engine.view(raw, &applied);
            let _ = (view.thread(), view.fd(), view.container(), view.param("res"));
        }
    }
    assert!(engine.machine().threads.len() <= 64);
}
