//! Limits of the state: hostile and huge captures stay within them, and what that cost is counted.

use crate::world::{Clone, O_RDONLY, World};
use capture_common::event_table::code;
use capture_engine::Options;

/// A process with many fds that forks without end: tables are shared until they change, and then the memory
/// for fds is the limit.
#[test]
fn forks_of_large_tables_stay_within_the_memory_for_fds() {
    let mut w = World::with(Options { max_fd_bytes: 1 << 20, ..Options::default() });
    for fd in 3..1_003 {
        w.open(100, fd, "/var/log/a", O_RDONLY);
    }
    for child in 1_000..2_000 {
        w.clone_exit(100, child, &Clone::default());
        assert_eq!(w.thread(child).fds.len(), 1_002);
    }
    assert_eq!(w.engine.counters().fds_forgotten, 0, "forks alone take no memory");
    for child in 1_000..2_000 {
        w.close_enter(child, 3);
        w.close_exit(child, 0, 3);
    }
    w.settle();
    let forgotten = w.engine.counters().fds_forgotten;
    assert!(forgotten > 900_000, "{forgotten}");
    assert_eq!(w.thread(1_000).fds.len(), 1_001);
    assert_eq!(w.thread(100).fds.len(), 1_002);
    w.engine.begin_section(&capture_common::Snapshot::default());
    assert_eq!(w.engine.counters().fds_forgotten, forgotten, "counts go on");
}

#[test]
fn fds_beyond_the_memory_for_them_are_refused_and_counted() {
    let mut w = World::with(Options { max_fd_bytes: 1 << 14, ..Options::default() });
    for fd in 3..1_003 {
        w.open(100, fd, "/var/log/a", O_RDONLY);
    }
    let held = w.thread(100).fds.len();
    assert!((20..100).contains(&held), "{held}");
    assert_eq!(w.engine.counters().fds_refused, 1_002 - held as u64);
    w.close_enter(100, 3);
    w.close_exit(100, 0, 3);
    w.open(100, 5_000, "/b", O_RDONLY);
    assert_eq!(w.fd_name(100, 5_000), "/b", "a closed fd makes room");
}

#[test]
fn bad_container_records_are_counted_over_all_sections() {
    let mut w = World::new();
    w.event(-1, code::CONTAINER_JSON_2_E, 1, |e| {
        e.text(b"{");
    });
    w.engine.begin_section(&capture_common::Snapshot::default());
    assert_eq!(w.engine.counters().containers_malformed, 1);
    assert!(w.engine.counters().notes().any(|(n, what)| n == 1 && what.contains("container")));
}

/// What threads take together is limited, however much text each brings; those go that did nothing for
/// longest.
#[test]
fn threads_with_much_text_make_idle_ones_go() {
    let mut w = World::with(Options { max_thread_bytes: 4 << 20, ..Options::default() });
    let cgroups =
        |n: i64| Box::leak([b"cpu=/", n.to_string().repeat(5_000).as_bytes(), b"\0"].concat().into());
    for child in 1_000..2_000 {
        w.clone_exit(100, child, &Clone { cgroups: cgroups(child), ..Clone::default() });
    }
    w.settle();
    let held = w.engine.machine().threads.len();
    assert!((150..220).contains(&held), "{held}");
    assert_eq!(w.engine.counters().threads_evicted as usize, 1_003 - held);
    assert!(w.find(1_999).is_some() && w.find(100).is_some() && w.find(1_000).is_none());
}

/// Text that threads share counts once, so that large families keep all of their members.
#[test]
fn shared_text_counts_once() {
    let mut w = World::with(Options { max_thread_bytes: 4 << 20, ..Options::default() });
    let cgroups = Box::leak([b"cpu=/", &vec![b'x'; 20_000][..], b"\0"].concat().into());
    w.clone_exit(100, 1_000, &Clone { cgroups, ..Clone::default() });
    for child in 1_001..3_000 {
        let (vtid, vpid) = (child - 1, child - 1);
        w.clone_exit(child - 1, child, &Clone { cgroups, vtid, vpid, ..Clone::default() });
    }
    w.settle();
    assert_eq!(w.engine.machine().threads.len(), 2_003);
    assert_eq!(w.engine.counters().threads_evicted, 0);
}

/// Threads that keep on telling what they are about to do, and change into other programs.
#[test]
fn what_threads_say_later_counts_too() {
    let mut w = World::with(Options { max_thread_bytes: 2 << 20, ..Options::default() });
    for tid in 1_000..2_000 {
        w.clone_exit(100, tid, &Clone::default());
        w.event(tid, code::SYSCALL_EXECVE_19_E, 1, |e| {
            e.text(&[b'/'; 4_000]);
        });
        w.exec_exit(tid, 0, tid, 100, "sh");
    }
    w.settle();
    let held = w.engine.machine().threads.len();
    assert!((200..450).contains(&held), "{held}");
}

#[test]
fn opening_tables_with_much_text_are_cut_and_counted() {
    use capture_common::Snapshot;
    use capture_common::snapshot::{ThreadRecord, User};
    let thread =
        |tid: i64| ThreadRecord { tid, pid: tid, env: vec![b'x'; 20_000], ..ThreadRecord::default() };
    let user = |uid| User { uid, name: vec![b'x'; 60_000], ..User::default() };
    let snapshot = Snapshot {
        threads: (1..=1_000).map(thread).collect(),
        users: (0..200).map(user).collect(),
        ..Snapshot::default()
    };
    let mut engine = capture_engine::Engine::new(Options { max_thread_bytes: 4 << 20, ..Options::default() });
    engine.begin_section(&snapshot);
    let held = engine.machine().threads.len() as u64;
    assert!((180..220).contains(&held), "{held}");
    let counters = engine.counters();
    assert_eq!((counters.threads_refused, counters.threads_evicted), (1_000 - held, 0));
    assert_eq!(counters.names_refused, 200 - engine.machine().users.users().count() as u64);
}

/// A thread's own copies of what its process has are the process's text.
#[test]
fn threads_of_a_process_share_its_text() {
    use capture_common::Snapshot;
    use capture_common::snapshot::ThreadRecord;
    let thread = |tid: i64| ThreadRecord { tid, pid: 1, env: vec![b'x'; 20_000], ..ThreadRecord::default() };
    let snapshot = Snapshot { threads: (1..=1_000).map(thread).collect(), ..Snapshot::default() };
    let mut engine = capture_engine::Engine::new(Options { max_thread_bytes: 2 << 20, ..Options::default() });
    engine.begin_section(&snapshot);
    assert_eq!(engine.machine().threads.len(), 1_000);
    assert_eq!(engine.counters().threads_refused, 0);
}

/// Names that sockets get later are paid for like those that they were made with.
#[test]
fn long_names_given_later_stay_within_the_memory_for_fds() {
    let mut w = World::with(Options { max_fd_bytes: 1 << 20, ..Options::default() });
    for fd in 3..200 {
        w.event(100, code::SOCKET_SOCKET_X, 1, |e| {
            e.i64(fd);
        });
        w.event(100, code::SOCKET_SOCKET_E, 3, |e| {
            e.u32(1).u32(1).u32(0);
        });
        w.event(100, code::SOCKET_SOCKET_X, 1, |e| {
            e.i64(fd);
        });
        w.event(100, code::SOCKET_BIND_E, 1, |e| {
            e.i64(fd);
        });
        w.event(100, code::SOCKET_BIND_X, 2, |e| {
            e.i64(0).pieces(&[b"\x01", &[b'/'; 60_000], b"\0"]);
        });
    }
    let held: usize = w.thread(100).fds.iter().map(|(_, fd)| fd.name.len()).sum();
    assert!((500_000..1 << 20).contains(&held), "{held}");
    assert!(w.engine.counters().fds_refused > 100);
}
