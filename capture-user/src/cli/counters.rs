//! What a live capture counts while it runs, on standard error, once a second.

use super::args::RawArgs;
use super::report;
use super::status_line::StatusLine;
use crate::live::pulse::Pulse;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

/// The line of counters.
#[derive(Debug)]
pub(crate) struct Counters {
    /// One line of a terminal, over and over; else one after another.
    overwrites: bool,
    line: StatusLine,
    began: Instant,
    shown: Instant,
    before: Pulse,
}

impl Counters {
    /// Whether they are wanted, and then whether over and over on one line: with `-v`, or on a terminal that
    /// nobody else writes to.
    pub(crate) fn mode(args: &RawArgs) -> Option<bool> {
        let overwrites = args.write.is_some() && args.command.is_empty() && std::io::stderr().is_terminal();
        (args.verbose || overwrites).then_some(overwrites)
    }

    pub(crate) fn new(overwrites: bool) -> Counters {
        let now = Instant::now();
        Counters { overwrites, line: StatusLine::default(), began: now, shown: now, before: Pulse::default() }
    }

    /// Shows them if a second has passed.
    pub(crate) fn show(&mut self, take: impl FnOnce() -> Pulse) {
        let passed = self.shown.elapsed();
        if passed < EVERY {
            return;
        }
        self.shown = Instant::now();
        let now = take();
        let text = line(self.began.elapsed(), passed, &self.before, &now);
        self.before = now;
        if self.overwrites {
            self.line.put(&text, "");
        } else {
            report::say(&format!("{text}\n"));
        }
    }

    /// Leaves the line empty for what is said next.
    pub(crate) fn wipe(&mut self) {
        self.line.wipe();
    }
}

fn line(since: Duration, passed: Duration, before: &Pulse, now: &Pulse) -> String {
    let per_second = |after: u64, before: u64| after.saturating_sub(before) as f64 / passed.as_secs_f64();
    let lost = match now.lost.saturating_sub(before.lost) {
        0 => format!("lost {}", now.lost),
        more => format!("lost {} ({more} more)", now.lost),
    };
    format!(
        "{} s: {:.0} events/s, {:.1} MB/s, fullest ring {} %, {lost}",
        since.as_secs(),
        per_second(now.records, before.records),
        per_second(now.bytes, before.bytes) / 1e6,
        now.fill_percent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_since_the_last_line() {
        let before = Pulse { records: 1000, bytes: 1_000_000, lost: 2, fill_percent: 9 };
        let now = Pulse { records: 4000, bytes: 7_500_000, lost: 7, fill_percent: 41 };
        let [since, passed] = [12_400, 2000].map(Duration::from_millis);
        let text = "12 s: 1500 events/s, 3.2 MB/s, fullest ring 41 %, lost 7 (5 more)";
        assert_eq!(line(since, passed, &before, &now), text);
        assert!(
            line(since, passed, &now, &now).ends_with(" 0 events/s, 0.0 MB/s, fullest ring 41 %, lost 7")
        );
    }
}
