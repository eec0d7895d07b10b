//! Conservation under load on the running kernel: what dd says it did is in the stream, or declared
//! lost. Needs root; skipped otherwise.
#![allow(unsafe_code, reason = "geteuid")]

use capture_common::abi::{SwitchFixed, kind};
use capture_tests::skip;
use capture_user::live::{Collector, Item, LiveOptions, Part, ProbeOptions};
use std::{
    collections::HashMap,
    process::{Child, Command, Stdio},
};

/// One probe at a time: tests of a file run in parallel.
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

const COUNT: u64 = 1_000_000;

fn dd() -> Child {
    let mut command = Command::new("dd");
    command.args(["if=/dev/zero", "of=/dev/null", "bs=1", &format!("count={COUNT}")]).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn two_dd_at_full_speed() {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return skip("two_dd_at_full_speed", "needs root");
    }
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut collector = Collector::open(&LiveOptions { probe: ProbeOptions::default() }).unwrap();
    // Per pid: enters and exits of read and write.
    let mut counts: HashMap<u32, [u64; 2]> = HashMap::new();
    let (mut lost, mut lost_enters, mut records, mut last) = (0, 0, 0u64, 0);
    let mut children = [dd(), dd()];
    let mut count = |item: Item<'_>| match item {
        Item::Record(r) => {
            assert!(r.ts_ns >= last, "times never go back");
            last = r.ts_ns;
            records += 1;
            let h = r.view.header;
            if matches!(i64::from(h.nr), libc::SYS_read | libc::SYS_write)
                && matches!(h.kind, kind::ENTER | kind::EXIT)
            {
                counts.entry(h.pid).or_default()[usize::from(h.kind == kind::EXIT)] += 1;
            }
        }
        Item::Loss(loss) => {
            lost += loss.count;
            lost_enters += loss.enters;
            last = last.max(loss.ts_ns);
        }
        Item::Stale(stale) => {
            assert!(stale.ts_ns >= last && stale.from_ns <= stale.ts_ns, "{stale:?} after {last}");
            last = stale.ts_ns;
        }
    };
    let started = std::time::Instant::now();
    while children.iter_mut().any(|c| c.try_wait().unwrap().is_none()) {
        let sleep = collector.drain(&mut count).unwrap();
        std::thread::sleep(sleep);
    }
    let elapsed = started.elapsed();
    collector.finish(&mut count).unwrap();
    let stats = collector.stats();
    println!("{records} records in {elapsed:?}, {lost} lost, {stats:?}");
    let seen = stats.cpus.iter().map(|c| c.seen).sum::<u64>();
    let dropped = stats.cpus.iter().map(|c| c.dropped).sum::<u64>();
    assert_eq!(seen, stats.written() + dropped, "every record is written or dropped");
    assert_eq!(stats.written(), records);
    assert_eq!(stats.lost(), lost, "every lost record is declared once");
    for child in &children {
        let [enters, exits] = counts[&child.id()];
        // dd itself: COUNT reads and writes, and a few of the loader's and libc's.
        assert!(exits + (lost - lost_enters) >= 2 * COUNT, "{exits} exits, {lost} lost");
        assert!(enters + lost_enters >= 2 * COUNT, "{enters} enters, {lost_enters} lost");
        assert!(exits <= 2 * COUNT + 200 && enters <= 2 * COUNT + 200, "{enters} {exits}");
    }
}

#[test]
fn context_switches_when_asked_for() {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return skip("context_switches_when_asked_for", "needs root");
    }
    let parts = vec![Part::Switch];
    let probe = ProbeOptions { exclude_self: false, parts, ..ProbeOptions::default() };
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut collector = Collector::open(&LiveOptions { probe }).unwrap();
    let mut switches = 0;
    let mut count = |item: Item<'_>| match item {
        Item::Record(r) if r.view.header.kind == kind::SWITCH => {
            let (fixed, _) = r.view.split::<SwitchFixed>().unwrap();
            assert_ne!(fixed.next_tid, r.view.header.tid);
            switches += 1;
        }
        other => panic!("only switches were attached: {other:?}"),
    };
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        collector.drain(&mut count).unwrap();
    }
    collector.finish(&mut count).unwrap();
    assert!(switches >= 20, "every sleep is a switch: {switches}");
}

#[test]
fn a_ring_that_nobody_drains_declares_what_it_lost() {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return skip("a_ring_that_nobody_drains_declares_what_it_lost", "needs root");
    }
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let probe = ProbeOptions { ring_bytes: Some(1 << 20), ..ProbeOptions::default() };
    let mut collector = Collector::open(&LiveOptions { probe }).unwrap();
    let (mut records, mut lost, mut placed, mut last) = (0, 0, 0, collector.began_ns());
    let mut count = |item: Item<'_>| {
        let ts = match item {
            Item::Record(r) => {
                records += 1;
                r.ts_ns
            }
            Item::Loss(loss) => {
                lost += loss.count;
                placed += u64::from(loss.first_ts_ns != 0 && loss.first_ts_ns <= loss.ts_ns);
                loss.ts_ns
            }
            Item::Stale(stale) => stale.ts_ns,
        };
        assert!(ts >= last, "times never go back");
        last = ts;
    };
    // Each pass overflows the ring, then makes room, so that a marker is written in place.
    for _ in 0..3 {
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", "of=/dev/null", "bs=1", "count=20000"]).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
        collector.drain(&mut count).unwrap();
    }
    collector.finish(&mut count).unwrap();
    let stats = collector.stats();
    assert!(lost > 0 && placed > 0, "{lost} lost, {placed} markers in place");
    assert_eq!(stats.lost(), lost);
    let seen = stats.cpus.iter().map(|c| c.seen).sum::<u64>();
    assert_eq!(seen, records + lost, "every record is written or declared lost");
}
