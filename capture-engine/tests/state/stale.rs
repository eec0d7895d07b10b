//! What is not known any more after a loss.

use crate::world::{Clone, World};
use capture_common::event_table::code;
use capture_engine::kernel_filter::{CallEvents, KernelFilter, Shown};
use capture_engine::{Applied, EventFilter};
use filter_lang::Library;

fn stale(w: &mut World, pids: &str, until_ns: u64) {
    let data = format!("{{\"from_ts_ns\":1,\"until_ts_ns\":{until_ns},\"pids\":{pids}}}");
    w.event(-1, code::ASYNCEVENT_E, 3, |e| {
        e.u32(0).text(b"capture.stale").bytes(data.as_bytes());
    });
}

fn open(w: &mut World, tid: i64, fd: i64, path: &str) -> Applied {
    w.event(tid, code::SYSCALL_OPEN_X, 6, |e| {
        e.i64(fd).text(path.as_bytes()).u32(1).u32(0).u32(0).u64(0);
    })
}

#[test]
fn a_process_is_unknown_until_events_tell_of_it() {
    let mut w = World::new();
    assert!(w.fd(100, 0).is_some());
    stale(&mut w, "[100]", 0);
    for tid in [100, 105] {
        let t = w.thread(tid);
        assert_eq!(
            (&*t.comm, &*t.exe, &*t.cwd, t.pid, t.is_fake),
            (&b"<NA>"[..], &b"<NA>"[..], &b""[..], 100, true)
        );
    }
    assert!(w.fd(100, 0).is_none());
    assert_eq!(&*w.thread(1).comm, b"init");
    open(&mut w, 105, 4, "/etc/hosts");
    assert_eq!(&*w.fd(100, 4).unwrap().name, b"/etc/hosts");
    assert_eq!(w.thread(100).nchilds, 1);
}

#[test]
fn while_records_are_missing_nothing_is_kept() {
    let mut w = World::new();
    let until_ns = w.ts_ns + 1_000_000_000;
    stale(&mut w, "[100]", until_ns);
    open(&mut w, 100, 4, "/etc/hosts");
    open(&mut w, 1, 4, "/etc/passwd");
    open(&mut w, 1, 5, "/etc/group");
    assert!(w.fd(100, 4).is_none());
    assert!(w.fd(1, 4).is_some() && w.fd(1, 5).is_some());
    w.ts_ns = until_ns + 1;
    open(&mut w, 100, 4, "/etc/hosts");
    open(&mut w, 1, 6, "/etc/group");
    assert!(w.fd(100, 4).is_some());
}

#[test]
fn everything_can_be_unknown() {
    let mut w = World::new();
    stale(&mut w, "null", 0);
    for tid in [1, 100, 105] {
        assert_eq!(&*w.thread(tid).comm, b"<NA>");
    }
    // A clone tells what its caller is.
    w.clone_exit(100, 200, &Clone::default());
    assert_eq!(&*w.thread(100).comm, b"bash");
    assert_eq!(&*w.thread(200).comm, b"bash");
}

#[test]
fn an_exit_without_its_own_enter_does_not_take_that_of_another() {
    let mut w = World::new();
    w.event(100, code::SYSCALL_OPEN_E, 3, |e| {
        e.text(b"/first").u32(1).u32(0);
    });
    open(&mut w, 100, 4, "/first");
    // The enter of the next one is lost.
    open(&mut w, 100, 5, "/second");
    assert_eq!(&*w.fd(100, 5).unwrap().name, b"/second");
    // The exit of a read, then the enter of the next are lost.
    w.event(100, code::SYSCALL_READ_E, 2, |e| {
        e.i64(4).u32(10);
    });
    let read = w.event(100, code::SYSCALL_READ_X, 4, |e| {
        e.i64(1).bytes(b"a").i64(5).u32(10);
    });
    assert_eq!(read.fd_num, 5);
}

#[test]
fn strange_notes_change_nothing() {
    let mut w = World::new();
    for data in ["", "{", "[]", "7", "{\"pids\":[]}", "{\"pids\":[\"x\",-5,1e99]}"] {
        w.event(-1, code::ASYNCEVENT_E, 3, |e| {
            e.u32(0).text(b"capture.stale").bytes(data.as_bytes());
        });
    }
    assert_eq!(&*w.thread(100).comm, b"bash");
}

/// The classes of threads by a filter that tells threads apart.
struct Classes {
    filter: EventFilter,
    kernel: KernelFilter,
}

impl Classes {
    fn of(text: &str) -> Classes {
        let filter = EventFilter::compile(text, &Library::new()).unwrap();
        let write = CallEvents {
            enter: code::SYSCALL_WRITE_E,
            exit: code::SYSCALL_WRITE_X,
            generic: None,
            tells_result: true,
        };
        let kernel = KernelFilter::new(filter.filter(), Shown::default(), &[write]).unwrap();
        Classes { filter, kernel }
    }

    fn class(&mut self, w: &World, tid: i64) -> Option<u8> {
        self.kernel.class_of(&mut self.filter, w.engine.machine(), tid)
    }
}

#[test]
fn what_is_not_known_has_no_class_for_the_kernel() {
    let mut by_name = Classes::of("proc.name=bash");
    let mut by_ancestor = Classes::of("proc.aname=bash");
    let mut w = World::new();
    w.clone_exit(100, 200, &Clone::default());
    w.clone_exit(
        200,
        0,
        &Clone { comm: "ls", pid: 200, ptid: 100, vtid: 200, vpid: 200, ..Clone::default() },
    );
    let (matches, other) = (by_name.class(&w, 100), by_name.class(&w, 1));
    assert!(matches.is_some() && other.is_some() && matches != other);
    assert_eq!(by_name.class(&w, 200), matches);
    let below = by_ancestor.class(&w, 200);
    assert!(below.is_some() && below != by_ancestor.class(&w, 1));

    let until_ns = w.ts_ns + 1_000_000_000;
    stale(&mut w, "[100]", until_ns);
    open(&mut w, 100, 4, "/etc/hosts");
    assert_eq!(by_name.class(&w, 100), None);
    assert_eq!(by_ancestor.class(&w, 200), None, "whose ancestor is not known");
    // A record of 100 can still be missing: whatever one that came tells of it.
    w.clone_exit(100, 201, &Clone::default());
    assert_eq!(by_name.class(&w, 100), None);

    w.ts_ns = until_ns + 1;
    w.clone_exit(100, 202, &Clone::default());
    assert_eq!(by_name.class(&w, 100), matches);
    assert_eq!(by_name.class(&w, 1), other);
}

#[test]
fn a_clone_tells_name_and_user_but_not_the_program() {
    let mut by_name = Classes::of("proc.name=bash");
    let mut by_path = Classes::of("proc.exepath=/bin/bash");
    let mut by_ancestor = Classes::of("proc.aexepath=/bin/bash");
    let mut w = World::new();
    stale(&mut w, "[100]", 0);
    assert_eq!([by_name.class(&w, 100), by_path.class(&w, 100)], [None, None]);
    w.clone_exit(100, 201, &Clone::default());
    assert!(by_name.class(&w, 100).is_some());
    assert_eq!([by_path.class(&w, 100), by_ancestor.class(&w, 201)], [None, None]);
}

#[test]
fn while_calls_are_missing_no_exit_has_an_earlier_enter() {
    let mut w = World::new();
    let enter = |w: &mut World, path: &str| {
        w.event(100, code::SYSCALL_OPEN_E, 3, |e| {
            e.text(path.as_bytes()).u32(1).u32(0);
        })
    };
    enter(&mut w, "/missing");
    // Its exit is missing, and the enter of the next open.
    let until_ns = w.ts_ns + 10_000;
    stale(&mut w, "[]", until_ns);
    let exit = open(&mut w, 100, 4, "/etc/hosts");
    assert_eq!((exit.paired, exit.latency_ns), (false, 0));
    assert_eq!(&*w.fd(100, 4).unwrap().name, b"/etc/hosts");
    assert_eq!(&*w.thread(100).comm, b"bash", "nothing else is forgotten");
    enter(&mut w, "/missing");
    w.ts_ns = until_ns + 1;
    open(&mut w, 100, 5, "/etc/passwd");
    assert_eq!(&*w.fd(100, 5).unwrap().name, b"/etc/passwd");
    // An enter's path is the one that was asked for, again.
    enter(&mut w, "/link");
    let exit = open(&mut w, 100, 6, "/target");
    assert!(exit.paired && exit.latency_ns > 0);
    assert_eq!(&*w.fd(100, 6).unwrap().name, b"/link");
}

#[test]
fn an_io_uring_operation_has_its_own_enter_whatever_is_missing() {
    let mut w = World::new();
    let until_ns = w.ts_ns + 10_000;
    stale(&mut w, "[]", until_ns);
    let data = b"{\"op\":\"openat\",\"res\":4,\"submit_ts_ns\":1,\"call\":true}";
    w.event(100, code::ASYNCEVENT_E, 3, |e| {
        e.u32(0).text(b"capture.io_uring.complete").bytes(data);
    });
    let exit = w.open(100, 4, "/etc/hosts", 1);
    assert!(exit.paired && exit.is_io_uring && exit.latency_ns > 0);
}
