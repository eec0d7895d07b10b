//! What a thread is doing while events of its io_uring operations stand in the stream.
//!
//! The recorder puts the result of an operation into the stream as a note
//! (`capture.io_uring.complete`) and right behind it enter and exit of the system call that does the
//! same. The thread is in another call at that time, as a rule io_uring_enter, whose enter must still be
//! known at its exit: it is set aside from the note on until both events are through.
//!
//! Invariant: at most one thread's call is set aside, for the two events that follow the note; whatever
//! else comes instead puts it back.

use crate::state::thread::{Entered, LastCall, Thread};
use capture_common::RawEvent;
use capture_common::event_table::code;

/// How the names of all notes on io_uring begin.
pub(crate) const NOTES: &[u8] = b"capture.io_uring.";
/// Name of the note.
const NOTE: &[u8] = b"capture.io_uring.complete";

/// A call that was set aside.
#[derive(Debug)]
pub(crate) struct Aside {
    /// The thread.
    pub(crate) tid: i64,
    /// Events that are still to come.
    left: u8,
    /// When the operation was submitted, ns; 0 unknown.
    submit_ts_ns: u64,
    call: LastCall,
}

impl Aside {
    /// Sets the thread's call aside where the event is a note with a call behind it. `spare` is what an
    /// earlier one left.
    pub(crate) fn begin(
        raw: &RawEvent<'_>,
        thread: &mut Thread,
        spare: &mut Option<Box<Entered>>,
    ) -> Option<Self> {
        if raw.code != code::ASYNCEVENT_E || raw.text(1) != Some(NOTE) {
            return None;
        }
        let data = raw.text(2).filter(|data| data.windows(11).any(|part| part == b"\"call\":true"))?;
        let call = LastCall { entered: spare.take(), ..LastCall::default() };
        Some(Aside {
            tid: raw.tid,
            left: 2,
            submit_ts_ns: number(data, b"\"submit_ts_ns\":").unwrap_or(0),
            call: std::mem::replace(&mut thread.call, call),
        })
    }

    /// Takes the thread's next event; whether it is one of the two.
    pub(crate) fn take(&mut self, raw: &RawEvent<'_>) -> bool {
        let is_next = raw.tid == self.tid && self.left > 0 && raw.code.is_enter() == (self.left == 2);
        self.left = if is_next { self.left - 1 } else { 0 };
        is_next
    }

    /// When the operation began, for the enter that stands for it, whose own time is that of the result.
    pub(crate) fn began_ts_ns(&self, enter_ts_ns: u64) -> u64 {
        if self.submit_ts_ns == 0 { enter_ts_ns } else { self.submit_ts_ns.min(enter_ts_ns) }
    }

    /// Whether both events are through.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Puts the call back; what the operation's own events left there can be used again.
    pub(crate) fn end(self, thread: &mut Thread) -> Option<Box<Entered>> {
        std::mem::replace(&mut thread.call, self.call).entered
    }
}

/// The number behind `key` in the note's JSON.
fn number(data: &[u8], key: &[u8]) -> Option<u64> {
    let at = data.windows(key.len()).position(|part| part == key)? + key.len();
    let digits = data[at..].iter().take_while(|b| b.is_ascii_digit());
    digits
        .map(|digit| u64::from(digit - b'0'))
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_note() {
        let data = br#"{"op":"read","res":5,"submit_ts_ns":1700000000123456789,"call":true}"#;
        assert_eq!(number(data, b"\"submit_ts_ns\":"), Some(1_700_000_000_123_456_789));
        assert_eq!(number(data, b"\"by\":"), None);
        assert_eq!(number(b"\"by\":99999999999999999999999", b"\"by\":"), None);
    }
}
