//! What is said besides events: about the filter, and the summary at the end (stderr).

use super::error::CliError;
use crate::live::containers::ContainerStats;
use crate::live::snapshot::Gaps;
use crate::live::source::LiveStats;
use capture_engine::{Counters, EventFilter};
use capture_file::{ReadStats, WriteStats};
use std::fmt::Write as _;
use std::io::Write as _;

/// `--lint`: what is legal in the filter but probably not meant. Says so if it is nothing, so that
/// silence never has to be interpreted.
pub(crate) fn lint(filter: &EventFilter) {
    let warnings = filter.filter().warnings();
    let mut out = String::new();
    for warning in warnings {
        let _ = writeln!(out, "{warning}");
    }
    if warnings.is_empty() {
        out.push_str("filter: no warnings\n");
    }
    // Nothing is left to try if stderr is gone.
    let _ = std::io::stderr().lock().write_all(out.as_bytes());
}

/// `--explain-filter`: the tree, the order of evaluation and what is known of it, and what a live
/// capture leaves to the kernel.
pub(crate) fn explain(filter: &EventFilter, in_kernel: &str) -> Result<(), CliError> {
    let text = filter.filter().explain();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = std::io::stdout().lock();
    write!(out, "{text}{end}{in_kernel}").and_then(|()| out.flush()).map_err(CliError::Stdout)
}

/// What of the events and the process table is not in the file.
fn write_notes(out: &mut String, written: &WriteStats) {
    cut_note(out, written.cut_strings);
    if written.skipped_events > 0 {
        let _ = writeln!(out, "not written: {} events that are no whole blocks", written.skipped_events);
    }
}

/// What the process table does not have whole.
fn cut_note(out: &mut String, strings: u64) {
    if strings > 0 {
        let _ = writeln!(out, "cut: {strings} long strings of the process table");
    }
}

/// `-pp`: the format of lines that no option changes.
pub(crate) fn default_format() -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", capture_engine::format::DEFAULT).and_then(|()| out.flush()).map_err(CliError::Stdout)
}

/// The capture of a command ended before the command did.
pub(crate) fn command_runs() {
    // Nothing is left to try if stderr is gone.
    let _ = writeln!(std::io::stderr(), "capture: the command still runs; it is not recorded any more");
}

/// Says something on standard error.
pub(crate) fn say(text: &str) {
    // Nothing is left to try if stderr is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What cannot be found out of the cluster, and why; from a thread of its own.
pub(crate) fn kubernetes(message: &str) {
    say(&format!("capture: Kubernetes: {message}\n"));
}

/// How the capture began: from where its start state is, and where the time went.
fn start_notes(out: &mut String, live: &LiveStats) {
    let start = &live.start;
    let _ = write!(out, "start state: {} threads, {} fds ", start.threads, start.fds);
    let _ = match &start.without_iterators {
        Some(why) => writeln!(out, "from /proc, without BPF iterators: {why}"),
        None => writeln!(out, "by BPF iterators, {} processes that they left out from /proc", start.left_out),
    };
    let _ = writeln!(out, "start: {}", start.steps);
    if let Some(first_event) = live.first_event {
        let _ = writeln!(out, "first event: {:.1} ms after the start", first_event.as_secs_f64() * 1000.0);
    }
    let c = &live.capture;
    let _ =
        writeln!(out, "rings: {} MiB for each CPU, at most {} % full", c.ring_bytes >> 20, c.fill_percent);
}

/// What would lose less the next time.
fn advise(out: &mut String, live: &LiveStats) {
    let c = &live.capture;
    let mib = c.ring_bytes >> 20;
    if c.cpus.iter().any(|cpu| cpu.dropped > 0) {
        let _ = writeln!(
            out,
            "to lose less: --buffer {} doubles the rings ({mib} MiB for each CPU); a filter, --no-enter or -s 0 make fewer bytes",
            mib * 2
        );
    }
    if live.sink_lost > 0 {
        out.push_str("to lose less: the output was slower than the events; a file (-w) takes more than lines, and a filter leaves out more\n");
    }
}

/// The end of a live capture: events, bytes, drops, per CPU.
pub(crate) fn live_summary(live: &LiveStats, written: Option<&WriteStats>, verbose: bool) {
    let mut out = String::new();
    if verbose {
        start_notes(&mut out, live);
    }
    let _ = writeln!(out, "{} events in {:.1} s", live.events, live.seconds);
    if let Some(w) = written {
        let _ = writeln!(
            out,
            "written: {} events, {} bytes of blocks in {} bytes of file",
            w.events, w.raw_bytes, w.file_bytes
        );
        write_notes(&mut out, w);
    }
    let gaps = &live.start.gaps;
    if gaps.is_notable() || (verbose && *gaps != Gaps::default()) {
        let _ = writeln!(out, "start state, not read or not in full: {gaps}");
    }
    cut_note(&mut out, live.start.cut_strings);
    let _ = writeln!(
        out,
        "{:>4} {:>12} {:>12} {:>10} {:>10} {:>10}",
        "cpu", "seen", "recorded", "dropped", "nested", "own"
    );
    for cpu in live.cpus() {
        let _ = writeln!(
            out,
            "{:>4} {:>12} {:>12} {:>10} {:>10} {:>10}",
            cpu.cpu, cpu.seen, cpu.written, cpu.dropped, cpu.nested_lost, cpu.self_excluded
        );
    }
    let c = &live.capture;
    let dropped: u64 = c.cpus.iter().map(|c| c.dropped + c.nested_lost).sum();
    let _ = writeln!(
        out,
        "lost: {} ({dropped} found no room in a ring, {} skipped by the kernel, {} on CPUs without a ring, {} not taken by a slow output)",
        live.lost(),
        c.skipped,
        c.without_ring,
        live.sink_lost
    );
    advise(&mut out, live);
    if live.reread > 0 {
        let _ = writeln!(
            out,
            "read again: {} processes, whose state changed unseen or while the start was read",
            live.reread
        );
    }
    let filtered: u64 = c.cpus.iter().map(|c| c.filtered).sum();
    if filtered > 0 {
        let _ = writeln!(out, "left out: {filtered} records of processes outside the watched tree");
    }
    let left_out: u64 = c.cpus.iter().map(|c| c.left_out).sum();
    if left_out > 0 {
        let _ = writeln!(out, "left out in the kernel: {left_out} records that cannot pass the filter");
    }
    if live.tree_lost > 0 {
        let _ = writeln!(out, "not followed: {} processes, more than can be at a time", live.tree_lost);
    }
    let containers = &live.containers;
    if *containers != ContainerStats::default() {
        let _ = writeln!(
            out,
            "containers: {} named before their first event, {} not; {} records completed later",
            containers.in_time, containers.late, containers.updates
        );
    }
    if c.late > 0 {
        let _ = writeln!(out, "late: {} records, their times raised to keep the order", c.late);
    }
    // The summary is a courtesy: a closed stderr does not make a good capture a failed one.
    let _ = std::io::stderr().write_all(out.as_bytes());
}

/// What a replay counted, over all its files.
#[derive(Debug, Default)]
pub(crate) struct ReplayStats {
    /// Events that passed the filter.
    pub(crate) events: u64,
    /// Events left out by `-U`.
    pub(crate) suppressed: u64,
    /// Time from start to end.
    pub(crate) seconds: f64,
    files: Vec<(String, Option<ReadStats>, Counters)>,
}

impl ReplayStats {
    pub(crate) fn add(&mut self, file: &str, read: Option<ReadStats>, counters: Counters) {
        self.files.push((file.to_owned(), read, counters));
    }
}

/// The end of a replay: what could not be read or written is always said, the rest with `-v`.
pub(crate) fn replay_summary(stats: &ReplayStats, written: Option<&WriteStats>, verbose: bool) {
    let mut out = String::new();
    if verbose {
        // The four lines of sysdig; the first two are about its driver.
        let _ = writeln!(out, "Driver Events:0\nDriver Drops:0\nSuppressed by Comm:{}", stats.suppressed);
        let (events, seconds) = (stats.events, stats.seconds);
        let rate = if seconds > 0.0 { events as f64 / seconds } else { 0.0 };
        let _ = writeln!(out, "Elapsed time: {seconds:.3}, Captured Events: {events}, {rate:.2} eps");
    }
    for (file, read, counters) in &stats.files {
        let read = read.unwrap_or_default();
        let notes = [
            (true, read.unreadable_events, "events could not be read and are left out"),
            (true, read.damaged_events, "events are damaged and miss parameters"),
            (
                true,
                read.refused_entries,
                "entries of the opening tables are left out, since there are too many",
            ),
            (verbose, read.unknown_blocks, "blocks of unknown types are left out"),
        ];
        for (said, count, what) in notes {
            if said && count > 0 {
                let _ = writeln!(out, "{file}: {count} {what}");
            }
        }
        for (count, what) in counters.notes().filter(|_| verbose) {
            let _ = writeln!(out, "{file}: {count} {what}");
        }
    }
    if let Some(written) = written {
        write_notes(&mut out, written);
    }
    // As above.
    let _ = std::io::stderr().write_all(out.as_bytes());
}
