//! CPU time of threads in live captures: once a second for each, as the kernel counts it.

use capture_common::event_table::code;
use capture_tests::live::{self, Capture, Held};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// A process that runs all the time, killed with the guard.
struct Spinner(Held);

impl Spinner {
    fn start(folder: &Path) -> Spinner {
        let program = folder.join("spinner");
        symlink("/bin/sh", &program).expect("a name for the shell");
        Spinner(Held(Command::new(program).args(["-c", "while :; do :; done"]).spawn().expect("starts")))
    }

    fn pid(&self) -> u32 {
        self.0.0.id()
    }

    /// Ticks that it ran, as /proc/PID/stat has them.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let fields: Vec<&str> = stat.split_whitespace().collect();
        [13, 14].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum()
    }
}

/// Of each thread the samples in a file: second, and ticks of both kinds.
fn samples(file: &Path) -> BTreeMap<i64, Vec<(u64, u64)>> {
    let mut samples: BTreeMap<i64, Vec<(u64, u64)>> = BTreeMap::new();
    live::read_events(file, |event| {
        if event.code == code::PROCINFO_E {
            let ticks = event.uint(0).expect("user") + event.uint(1).expect("system");
            samples.entry(event.tid).or_default().push((event.ts_ns / 1_000_000_000, ticks));
        }
    })
    .expect("the file reads");
    samples
}

#[test]
fn each_thread_has_a_sample_in_each_second() {
    let name = "each_thread_has_a_sample_in_each_second";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let folder = tempfile::tempdir().expect("a folder");
    let spinner = Spinner::start(folder.path());
    let file = folder.path().join("cpu.scap");
    let before = spinner.ticks();
    let ended = Capture::to_file(CAPTURE, &file, &["-M", "4"]).wait();
    let after = spinner.ticks();
    assert!(ended.status.success(), "{}", ended.stderr);
    let samples = samples(&file);
    let own = &samples[&i64::from(spinner.pid())];
    println!("{} threads; the spinner: {before}, {own:?}, {after}", samples.len());
    assert!(own.len() >= 3, "{own:?}");
    assert!(own.iter().all(|(_, ticks)| (before..=after).contains(ticks)), "{before} {own:?} {after}");
    assert!(own.windows(2).all(|pair| pair[0].1 < pair[1].1), "{own:?}");
    // The first one is of the start; after that a second has one, unless the machine held everything up.
    let seconds: BTreeSet<u64> = own[1..].iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds.len(), own.len() - 1, "{own:?}");
    // Threads that hardly run have theirs, too.
    let others = samples.values().filter(|of_thread| of_thread.len() + 1 >= own.len());
    assert!(others.count() > 1, "{samples:?}");
}

#[test]
fn the_chisel_of_cpu_time_names_who_runs() {
    let name = "the_chisel_of_cpu_time_names_who_runs";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let folder = tempfile::tempdir().expect("a folder");
    let _spinner = Spinner::start(folder.path());
    let out = Command::new(CAPTURE)
        .args(["-M", "4", "-j", "-c", "topprocs_cpu"])
        .stdin(Stdio::null())
        .output()
        .expect("capture runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let share = |line: &str| {
        let table: serde_json::Value = serde_json::from_str(line).expect("is JSON");
        let rows = table["data"].as_array().cloned().unwrap_or_default();
        let row = rows.iter().find(|row| row[0] == "spinner" || row[1] == "spinner").cloned();
        row.and_then(|row| row.as_array()?.last()?.as_f64())
    };
    let most = text.lines().filter_map(share).fold(0.0, f64::max);
    // Nanoseconds of a second.
    assert!(most > 50e6 && most < 1.1e9, "{text}\n{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn of_a_watched_command_only_its_own_threads_are_sampled() {
    let name = "of_a_watched_command_only_its_own_threads_are_sampled";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let folder = tempfile::tempdir().expect("a folder");
    let spinner = Spinner::start(folder.path());
    let file = folder.path().join("tree.scap");
    let script = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 1.6";
    let out = Command::new(CAPTURE)
        .args(["-w", file.to_str().expect("is text"), "--", "sh", "-c", script])
        .output()
        .expect("capture runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let samples = samples(&file);
    assert!(!samples.contains_key(&i64::from(spinner.pid())), "{samples:?}");
    assert_eq!(samples.len(), 1, "the shell alone ran long enough: {samples:?}");
}
