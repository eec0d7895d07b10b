//! `-n` and `-M`: when enough events have come.

use super::plan::Limits;
use std::time::{Duration, Instant};

/// Counts and times events against the limits.
pub(super) struct Limiter {
    limits: Limits,
    /// Events that passed the filter.
    pub(super) counted: u64,
    first_ts_ns: Option<u64>,
    /// When that was seen; before it, when the capture was ready for it.
    first_at: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Limiter { limits, counted: 0, first_ts_ns: None, first_at: None }
    }

    /// A live capture is ready: its time begins, whether or not an event comes.
    pub(super) fn begin(&mut self) {
        self.first_at.get_or_insert_with(Instant::now);
    }

    /// Whether an event of this time is past `-M`, which counts from the first event seen.
    #[inline]
    pub(super) fn is_past_end(&mut self, ts_ns: u64) -> bool {
        let first = match self.first_ts_ns {
            Some(first) => first,
            None => {
                self.first_at = Some(Instant::now());
                *self.first_ts_ns.insert(ts_ns)
            }
        };
        self.limits.duration_ns.is_some_and(|limit| ts_ns.saturating_sub(first) >= limit)
    }

    /// Whether the time of `-M` is over though no event of later has come: a filter or a quiet tree
    /// can keep them all from coming.
    pub(super) fn is_over_by_clock(&self) -> bool {
        /// What is under way still comes.
        const GRACE: Duration = Duration::from_millis(500);
        let limit = self.limits.duration_ns.map(Duration::from_nanos);
        limit.zip(self.first_at).is_some_and(|(limit, at)| at.elapsed() > limit.saturating_add(GRACE))
    }

    /// Counts an event that passed the filter; whether it was the last of `-n`.
    #[inline]
    pub(super) fn count_is_reached(&mut self) -> bool {
        self.counted += 1;
        self.limits.count == Some(self.counted)
    }
}
