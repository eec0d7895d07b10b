//! [`Limiter`]: when a run has had enough.

use super::plan::Limits;

/// `-n` and `-M`.
pub(super) struct Limiter {
    limits: Limits,
    /// Events that passed.
    pub(super) counted: u64,
    first_ts_ns: Option<u64>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Limiter { limits, counted: 0, first_ts_ns: None }
    }

    /// Whether an event of this time is past `-M`, which counts from the first event seen.
    #[inline]
    pub(super) fn is_past_end(&mut self, ts_ns: u64) -> bool {
        let first = *self.first_ts_ns.get_or_insert(ts_ns);
        self.limits.duration_ns.is_some_and(|limit| ts_ns.saturating_sub(first) >= limit)
    }

    /// Counts an event that passed the filter; whether it was the last of `-n`.
    #[inline]
    pub(super) fn count_is_reached(&mut self) -> bool {
        self.counted += 1;
        self.limits.count == Some(self.counted)
    }
}
