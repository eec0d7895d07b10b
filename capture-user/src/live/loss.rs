//! Loss accounting: every lost record is declared once, where it happened when that is known.
//! Pure arithmetic over the counters of the lanes.
//!
//! The probe writes a LOSS record before the first record that finds room again. Until that
//! happens the counters run ahead of the LOSS records; what is still undeclared at the end (or
//! after a while) is declared from the counters, and subtracted from a LOSS record that follows.

use super::ring::Counters;
use capture_common::abi::LossFixed;

/// Why records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The ring was full, or the class was shed because it filled up.
    RingFull,
    /// Both lanes of the CPU were in use.
    Nested,
    /// The kernel skipped runs of a program that was already running on that CPU
    /// (`recursion_misses`); the CPU is not known.
    Skipped,
    /// The CPU came up after the start and has no ring.
    NoRing,
}

/// A declared loss, placed in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub cause: LossCause,
    /// CPU, where known.
    pub cpu: Option<u32>,
    /// Records lost.
    pub count: u64,
    /// Of these, records that change state, which are lost last.
    pub stateful: u64,
    /// Of these, enter records.
    pub enters: u64,
    /// CLOCK_MONOTONIC of the first lost one, ns; 0: not known.
    pub first_ts_ns: u64,
    /// Time of this marker in the stream, CLOCK_MONOTONIC ns.
    pub ts_ns: u64,
}

/// Amounts of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    count: u64,
    stateful: u64,
    enters: u64,
}

impl Amounts {
    fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            stateful: self.stateful + other.stateful,
            enters: self.enters + other.enters,
        }
    }
    fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_sub(other.count),
            stateful: self.stateful.saturating_sub(other.stateful),
            enters: self.enters.saturating_sub(other.enters),
        }
    }
}

/// The ledger of one lane.
#[derive(Debug, Default)]
pub(crate) struct LaneLedger {
    /// What LOSS records added up to.
    marked: Amounts,
    /// What was declared in the stream.
    declared: Amounts,
    nested_declared: u64,
}

impl LaneLedger {
    /// A LOSS record was read: the marker to put in its place, if it says something new.
    pub(crate) fn mark(&mut self, cpu: u32, ts_ns: u64, loss: &LossFixed) -> Option<Loss> {
        self.marked =
            self.marked.plus(Amounts { count: loss.count, stateful: loss.stateful, enters: loss.enters });
        self.declare(cpu, ts_ns, loss.first_ts_ns, self.marked)
    }

    /// Declares what the counters say and no marker has said yet.
    pub(crate) fn settle(&mut self, cpu: u32, ts_ns: u64, now: &Counters) -> Option<Loss> {
        let all = Amounts { count: now.dropped, stateful: now.dropped_stateful, enters: now.dropped_enters };
        self.declare(cpu, ts_ns, 0, all)
    }

    /// Declares records lost because both lanes were in use.
    pub(crate) fn settle_nested(&mut self, cpu: u32, ts_ns: u64, now: &Counters) -> Option<Loss> {
        let count = now.nested_lost.saturating_sub(self.nested_declared);
        self.nested_declared += count;
        (count > 0).then_some(Loss {
            cause: LossCause::Nested,
            cpu: Some(cpu),
            count,
            stateful: 0,
            enters: 0,
            first_ts_ns: 0,
            ts_ns,
        })
    }

    /// Whether the counters are ahead of what was declared.
    pub(crate) fn is_open(&self, now: &Counters) -> bool {
        now.dropped > self.declared.count
    }

    fn declare(&mut self, cpu: u32, ts_ns: u64, first_ts_ns: u64, up_to: Amounts) -> Option<Loss> {
        let new = up_to.minus(self.declared);
        if new.count == 0 {
            return None;
        }
        self.declared = self.declared.plus(new);
        let Amounts { count, stateful, enters } = new;
        Some(Loss { cause: LossCause::RingFull, cpu: Some(cpu), count, stateful, enters, first_ts_ns, ts_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(count: u64) -> LossFixed {
        LossFixed { count, stateful: 1, enters: count / 2, first_ts_ns: 5, seen: 0 }
    }

    fn dropped(count: u64) -> Counters {
        Counters { dropped: count, dropped_stateful: 1, dropped_enters: count / 2, ..Counters::default() }
    }

    #[test]
    fn a_marker_says_what_its_record_says() {
        let mut ledger = LaneLedger::default();
        let loss = ledger.mark(1, 9, &record(10)).unwrap();
        assert_eq!((loss.count, loss.stateful, loss.enters, loss.first_ts_ns, loss.ts_ns), (10, 1, 5, 5, 9));
        assert_eq!(ledger.settle(1, 9, &dropped(10)), None);
    }

    #[test]
    fn what_was_settled_early_is_not_declared_twice() {
        let mut ledger = LaneLedger::default();
        assert!(ledger.is_open(&dropped(4)));
        assert_eq!(ledger.settle(0, 1, &dropped(4)).unwrap().count, 4);
        assert_eq!(ledger.mark(0, 2, &record(10)).unwrap().count, 6);
        assert!(!ledger.is_open(&dropped(10)));
    }

    #[test]
    fn nested_losses_are_declared_as_they_grow() {
        let mut ledger = LaneLedger::default();
        let nested = |n| Counters { nested_lost: n, ..Counters::default() };
        assert_eq!(ledger.settle_nested(0, 1, &nested(3)).unwrap().count, 3);
        assert_eq!(ledger.settle_nested(0, 1, &nested(3)), None);
        assert_eq!(ledger.settle_nested(0, 1, &nested(5)).unwrap().count, 2);
    }
}
