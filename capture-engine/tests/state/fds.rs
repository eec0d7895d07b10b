//! The life of fds.

use crate::world::{O_CLOEXEC, O_DIRECTORY, O_RDONLY, World};
use capture_common::event_table::code;
use capture_common::snapshot::FdType;

#[test]
fn open_names_are_joined_and_typed() {
    let mut w = World::new();
    let applied = w.open(100, 5, "notes/../x", O_RDONLY);
    assert_eq!((applied.fd_num, applied.error), (5, 0));
    let fd = w.fd(100, 5).unwrap();
    assert_eq!((&*fd.name, &*fd.raw_name), (&b"/home/alice/x"[..], &b"notes/../x"[..]));
    assert_eq!((fd.ty, fd.dev, fd.ino), (FdType::File, 0x801, 77));
    w.open(100, 6, "/srv", O_RDONLY | O_DIRECTORY);
    assert_eq!(w.fd(100, 6).unwrap().ty, FdType::Directory);
    let applied = w.open(100, -2, "/none", O_RDONLY);
    assert_eq!(applied.error, 2);
    assert_eq!(w.thread(100).fds.len(), 4);
}

#[test]
fn openat_is_relative_to_its_directory() {
    let mut w = World::new();
    w.open(100, 5, "/srv", O_RDONLY | O_DIRECTORY);
    let mut openat = |dirfd: i64, name: &str, fd: i64| {
        w.event(100, code::SYSCALL_OPENAT_2_X, 6, |e| {
            e.i64(fd).i64(dirfd).text(name.as_bytes()).u32(O_RDONLY).u32(0).u32(0);
        });
        w.fd_name(100, fd)
    };
    assert_eq!(openat(5, "lab/x", 6), "/srv/lab/x");
    assert_eq!(openat(-100, "y", 7), "/home/alice/y");
    assert_eq!(openat(5, "/etc/z", 8), "/etc/z");
    assert_eq!(openat(99, "q", 9), "<UNKNOWN>q");
}

#[test]
fn the_enters_name_wins_unless_it_could_not_be_read() {
    let mut w = World::new();
    for (enter, expected) in [("/at/enter", "/at/enter"), ("<NA>", "/at/exit"), ("(NULL)", "/at/exit")] {
        w.event(100, code::SYSCALL_OPEN_E, 3, |e| {
            e.text(enter.as_bytes()).u32(1).u32(0);
        });
        w.event(100, code::SYSCALL_OPEN_X, 5, |e| {
            e.i64(5).text(b"/at/exit").u32(1).u32(0).u32(0);
        });
        assert_eq!(w.fd_name(100, 5), expected);
    }
}

#[test]
fn a_closed_fd_is_seen_by_the_close_and_by_none_after() {
    let mut w = World::new();
    w.open(100, 5, "/a", O_RDONLY);
    w.close_enter(100, 5);
    let applied = w.close_exit(100, 0, 5);
    assert_eq!(applied.fd_num, 5);
    assert_eq!(w.fd_name(100, 5), "/a");
    w.settle();
    assert_eq!(w.fd_name(100, 5), "-");
}

#[test]
fn the_old_close_takes_its_fd_from_the_enter() {
    let mut w = World::new();
    w.open(100, 5, "/a", O_RDONLY);
    w.close_enter(100, 5);
    let applied = w.event(100, code::SYSCALL_CLOSE_X, 1, |e| {
        e.i64(0);
    });
    assert_eq!(applied.fd_num, 5);
    w.settle();
    assert_eq!(w.fd_name(100, 5), "-");
    // Without its enter the old form says nothing.
    w.open(100, 5, "/b", O_RDONLY);
    let applied = w.event(100, code::SYSCALL_CLOSE_X, 1, |e| {
        e.i64(0);
    });
    assert_eq!((applied.fd_num, applied.paired), (-1, false));
    w.settle();
    assert_eq!(w.fd_name(100, 5), "/b");
}

#[test]
fn a_failed_close_keeps_the_fd() {
    let mut w = World::new();
    w.open(100, 5, "/a", O_RDONLY);
    w.close_enter(100, 5);
    w.close_exit(100, -5, 5);
    w.settle();
    assert_eq!(w.fd_name(100, 5), "/a");
    w.open(105, 5, "/b", O_RDONLY);
    w.close_enter(105, 5);
    w.close_exit(105, 0, 5);
    w.settle();
    assert_eq!(w.fd_name(100, 5), "-");
}

#[test]
fn a_number_given_out_again_during_its_close_survives_it() {
    let mut w = World::new();
    w.open(100, 5, "/old", O_RDONLY);
    w.close_enter(100, 5);
    w.open(105, 5, "/new", O_RDONLY);
    let applied = w.close_exit(100, 0, 5);
    let view_name = {
        let machine = w.engine.machine();
        let t = machine.thread(100).unwrap();
        String::from_utf8_lossy(&machine.fd(t, 5).unwrap().name).into_owned()
    };
    assert_eq!((applied.fd_num, view_name.as_str()), (5, "/new"));
    w.settle();
    assert_eq!(w.fd_name(100, 5), "/new");
    assert_eq!(w.thread(100).fds.len(), 3);
    // And is closed by its own close.
    w.close_enter(105, 5);
    w.close_exit(105, 0, 5);
    w.settle();
    assert_eq!(w.fd_name(100, 5), "-");
}

#[test]
fn a_lost_close_exit_does_not_protect_the_next_owner() {
    let mut w = World::new();
    w.open(100, 5, "/old", O_RDONLY);
    w.close_enter(100, 5);
    // The exit is lost; the same thread opens again.
    w.open(100, 5, "/new", O_RDONLY);
    w.close_enter(100, 5);
    w.close_exit(100, 0, 5);
    w.settle();
    assert_eq!(w.fd_name(100, 5), "-");
}

#[test]
fn dups_copy_over_what_is_open() {
    let mut w = World::new();
    w.open(100, 5, "/a", O_RDONLY | O_CLOEXEC);
    w.open(100, 6, "/b", O_RDONLY);
    // dup2 in its current form.
    w.event(100, code::SYSCALL_DUP2_X, 3, |e| {
        e.i64(6).i64(5).i64(6);
    });
    assert_eq!(w.fd_name(100, 6), "/a");
    assert_eq!(w.fd(100, 6).unwrap().open_flags & O_CLOEXEC, 0, "a copy does not close on exec");
    assert_ne!(w.fd(100, 5).unwrap().open_flags & O_CLOEXEC, 0);
    // dup in the 2022 form: the source is in the enter only.
    w.event(100, code::SYSCALL_DUP_E, 1, |e| {
        e.i64(5);
    });
    let applied = w.event(100, code::SYSCALL_DUP_X, 1, |e| {
        e.i64(7);
    });
    assert_eq!((applied.fd_num, w.fd_name(100, 7).as_str()), (7, "/a"));
    // fcntl F_DUPFD_CLOEXEC.
    w.event(100, code::SYSCALL_FCNTL_E, 2, |e| {
        e.i64(6).u8(26);
    });
    w.event(100, code::SYSCALL_FCNTL_X, 1, |e| {
        e.i64(9);
    });
    assert_ne!(w.fd(100, 9).unwrap().open_flags & O_CLOEXEC, 0);
    // A copy of an fd that is not known leaves what was there.
    w.event(100, code::SYSCALL_DUP2_X, 3, |e| {
        e.i64(9).i64(55).i64(9);
    });
    assert_eq!(w.fd_name(100, 9), "/a");
    // A failed one changes nothing.
    w.event(100, code::SYSCALL_DUP2_X, 3, |e| {
        e.i64(-9).i64(5).i64(6);
    });
    assert_eq!(w.fd_name(100, 6), "/a");
}

#[test]
fn close_on_exec_follows_fcntl_where_its_argument_is_known() {
    let mut w = World::new();
    w.open(100, 5, "/a", O_RDONLY);
    w.open(100, 6, "/b", O_RDONLY | O_CLOEXEC);
    let set = |w: &mut World, fd: i64, arg: Option<i64>| {
        w.event(100, code::SYSCALL_FCNTL_E, 2, |e| {
            e.i64(fd).u8(3);
        });
        w.event(100, code::SYSCALL_FCNTL_X, if arg.is_some() { 4 } else { 3 }, |e| {
            e.i64(0).i64(fd).u8(3);
            if let Some(arg) = arg {
                e.i64(arg);
            }
        });
        w.fd(100, fd).unwrap().open_flags & O_CLOEXEC != 0
    };
    assert!(set(&mut w, 5, Some(1)));
    assert!(!set(&mut w, 5, Some(0)));
    assert!(!set(&mut w, 6, None), "unknown: kept over the exec");
}

#[test]
fn pipes_and_the_rest() {
    let mut w = World::new();
    w.event(100, code::SYSCALL_PIPE_X, 4, |e| {
        e.i64(0).i64(5).i64(6).u64(99);
    });
    assert_eq!((w.fd(100, 5).unwrap().ty, w.fd(100, 6).unwrap().ino), (FdType::Pipe, 99));
    assert_eq!(w.fd_name(100, 6), "");
    w.event(100, code::SYSCALL_EVENTFD2_X, 3, |e| {
        e.i64(7).u16(O_CLOEXEC as u16).u64(0);
    });
    assert_eq!(w.fd(100, 7).unwrap().type_char(), 'e');
    w.event(100, code::SYSCALL_MEMFD_CREATE_X, 3, |e| {
        e.i64(8).text(b"shared").u32(1);
    });
    assert_eq!(w.fd_name(100, 8), "shared");
    w.event(100, code::SYSCALL_CLOSE_RANGE_X, 4, |e| {
        e.i64(0).u32(6).u32(u32::MAX).u32(0);
    });
    assert_eq!(w.thread(100).fds.len(), 6);
    w.settle();
    let left: Vec<_> = w.thread(100).fds.iter().map(|(fd, _)| fd).collect();
    assert_eq!(left, [0, 1, 5]);
}

#[test]
fn fds_beyond_the_limit_are_refused_and_counted() {
    let options = capture_engine::Options { max_fds_per_process: 4, ..Default::default() };
    let mut w = World::with(options);
    for fd in 5..10 {
        w.open(100, fd, "/a", O_RDONLY);
    }
    assert_eq!(w.thread(100).fds.len(), 4);
    assert_eq!(w.engine.counters().fds_refused, 3);
    w.open(100, 5, "/b", O_RDONLY);
    assert_eq!(w.fd_name(100, 5), "/b", "a number that is there may be replaced");
}
