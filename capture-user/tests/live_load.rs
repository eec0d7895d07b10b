//! Conservation under load on the running kernel: what dd says it did is in the stream, or declared
//! lost. Needs root; says SKIPPED otherwise.
#![allow(unsafe_code, reason = "geteuid")]

use capture_common::abi::kind;
use capture_user::live::{Collector, Item, LiveOptions, ProbeOptions};
use std::{
    collections::HashMap,
    process::{Child, Command, Stdio},
};

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
        println!("SKIPPED two_dd_at_full_speed: needs root");
        return;
    }
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
            if matches!(i64::from(h.nr), libc::SYS_read | libc::SYS_write) && matches!(h.kind, kind::ENTER | kind::EXIT) {
                counts.entry(h.pid).or_default()[usize::from(h.kind == kind::EXIT)] += 1;
            }
        }
        Item::Loss(loss) => {
            lost += loss.count;
            lost_enters += loss.enters;
            last = last.max(loss.ts_ns);
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
