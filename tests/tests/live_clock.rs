//! The wall clock is set while a capture runs: the file says so, its times follow a step forward, never
//! decrease, and the order of events stays that in which they happened.

use capture_common::event_table::code;
use capture_common::raw_event::RawEvent;
use capture_tests::live::{self, Capture};
use std::fs::File;
use std::ops::Range;
use std::time::Duration;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
const STEP_NS: i64 = 5_000_000_000;
/// What times may differ by.
const NEAR_NS: i64 = 10_000_000;
/// Longer than capture takes to notice, which it does once a second.
const NOTICED: Duration = Duration::from_millis(2500);
/// Name of a file that does not exist; opening it leaves a mark.
const MARK: &str = "/no/such/mark-of-the-clock-";

fn now_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut time) }, 0, "tells the time");
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// The wall clock, which goes right again with the end of the guard.
struct Clock {
    /// CLOCK_REALTIME - CLOCK_MONOTONIC.
    right_ns: i64,
}

impl Clock {
    fn new() -> Clock {
        // The tightest of some looks.
        let looks = (0..32).map(|_| {
            let before = now_ns(libc::CLOCK_MONOTONIC);
            let real = now_ns(libc::CLOCK_REALTIME);
            let after = now_ns(libc::CLOCK_MONOTONIC);
            (after - before, real - before - (after - before) / 2)
        });
        Clock { right_ns: looks.min().expect("some looks").1 }
    }

    /// Sets it so much ahead of the right time; whether that is allowed.
    fn set(&self, ahead_ns: i64) -> bool {
        let ns = now_ns(libc::CLOCK_MONOTONIC) + self.right_ns + ahead_ns;
        let time = libc::timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 };
        // SAFETY: `time` lives through the call.
        unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) == 0 }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What the workload's own clock said around each mark.
#[derive(Default)]
struct Marks(Vec<Range<i64>>);

impl Marks {
    fn leave(&mut self) {
        let before = now_ns(libc::CLOCK_REALTIME);
        assert!(File::open(format!("{MARK}{}", self.0.len())).is_err());
        self.0.push(before..now_ns(libc::CLOCK_REALTIME));
    }

    /// Some of them, for so long.
    fn leave_for(&mut self, time: Duration) -> Range<usize> {
        let from = self.0.len();
        live::within(time, || {
            self.leave();
            std::thread::sleep(Duration::from_millis(20));
            false
        });
        from..self.0.len()
    }
}

/// What a file has of marks and notes, in its order.
#[derive(Debug)]
enum Found {
    /// The clock was set by so much, ns.
    Stepped(i64),
    /// A mark by its number, and its time, ns.
    Mark(usize, i64),
}

fn found(event: &RawEvent<'_>) -> Option<Found> {
    let ts_ns = event.ts_ns as i64;
    if event.code == code::ASYNCEVENT_E && event.text(1) == Some(b"capture.clock") {
        let note: serde_json::Value = serde_json::from_slice(event.text(2)?).expect("JSON");
        return Some(Found::Stepped(note["stepped_ns"].as_i64().expect("a step")));
    }
    if event.code != code::SYSCALL_OPENAT_2_X {
        return None;
    }
    let name = std::str::from_utf8(event.text(2)?).ok()?.strip_prefix(MARK)?;
    Some(Found::Mark(name.parse().expect("a number"), ts_ns))
}

#[test]
fn steps_of_the_clock_are_noted_and_followed_forward() {
    let name = "steps_of_the_clock_are_noted_and_followed_forward";
    if !live::can_record(name) {
        return;
    }
    let _turn = live::turn();
    let clock = Clock::new();
    if !clock.set(0) {
        let error = std::io::Error::last_os_error();
        return capture_tests::skip(name, &format!("clock_settime: {error}"));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("clock.scap");
    let mut marks = Marks::default();
    let capture = Capture::to_file(CAPTURE, &file, &[]);
    let before = marks.leave_for(Duration::from_millis(200));
    assert!(clock.set(STEP_NS), "the clock can be set");
    let between = marks.leave_for(NOTICED);
    drop(clock);
    let after = marks.leave_for(NOTICED);
    let ended = capture.end(libc::SIGTERM);
    assert!(ended.status.success(), "{ended:?}");

    let (mut all, mut last_ns) = (Vec::new(), 0);
    live::read_events(&file, |event| {
        assert!(event.ts_ns >= last_ns, "times decrease: {} after {last_ns}", event.ts_ns);
        last_ns = event.ts_ns;
        all.extend(found(event));
    })
    .expect("reads");
    let steps: Vec<i64> =
        all.iter().filter_map(|f| if let Found::Stepped(ns) = f { Some(*ns) } else { None }).collect();
    println!("steps: {steps:?}; marks before {before:?}, between {between:?}, after {after:?}");
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!((steps[0] - STEP_NS).abs() < NEAR_NS && (steps[1] + STEP_NS).abs() < NEAR_NS, "{steps:?}");
    check_marks(&all, &marks, &between, &after);
}

/// All marks are there, in order, with the times that the workload's own clock had, as far as the
/// capture had noticed the step; one back is not followed.
fn check_marks(all: &[Found], marks: &Marks, between: &Range<usize>, after: &Range<usize>) {
    let (mut next, mut notes, mut followed, mut furthest) = (0, 0, 0, 0);
    for found in all {
        let (number, ts_ns) = match found {
            Found::Stepped(_) => {
                notes += 1;
                continue;
            }
            Found::Mark(number, ts_ns) => (*number, *ts_ns),
        };
        assert_eq!(number, next, "the order of the marks");
        next += 1;
        // By how much the file's clock is ahead of the workload's.
        let ahead_ns = match (notes, number) {
            (0, n) if between.contains(&n) => -STEP_NS,
            (1.., n) if after.contains(&n) => STEP_NS,
            _ => 0,
        };
        followed += usize::from(notes > 0 && between.contains(&number));
        let said = &marks.0[number];
        let off_ns = (ts_ns - ahead_ns - said.start).min(0) + (ts_ns - ahead_ns - said.end).max(0);
        furthest = furthest.max(off_ns.abs());
        assert!(off_ns.abs() < NEAR_NS, "mark {number} is {off_ns} ns off: {ts_ns}, {said:?}");
    }
    println!("{next} marks, {followed} with the stepped time; off by {furthest} ns at most");
    assert_eq!(next, marks.0.len(), "all marks");
    assert!(followed >= 10, "{followed} of {between:?}");
}
