//! What is not known any more after a loss.

use crate::world::{Clone, World};
use capture_common::event_table::code;

fn stale(w: &mut World, pids: &str, until_ns: u64) {
    let data = format!("{{\"from_ts_ns\":1,\"until_ts_ns\":{until_ns},\"pids\":{pids}}}");
    w.event(-1, code::ASYNCEVENT_E, 3, |e| {
        e.u32(0).text(b"capture.stale").bytes(data.as_bytes());
    });
}

fn open(w: &mut World, tid: i64, fd: i64, path: &str) {
    w.event(tid, code::SYSCALL_OPEN_X, 6, |e| {
        e.i64(fd).text(path.as_bytes()).u32(1).u32(0).u32(0).u64(0);
    });
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
