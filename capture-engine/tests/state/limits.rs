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
