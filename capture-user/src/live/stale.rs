//! What is no longer known: processes of which records about their state were lost, and for as long as
//! anything was lost, which exit belongs to which enter.
//!
//! The probe keeps a list of the processes per lane, and the time of the lane's first loss; the merge puts
//! each where the loss happened, before any record that is younger, so that nobody prints a name that the
//! lost record has changed.

use super::collector::Item;
use super::merge::Lane;
use super::ring::{LostState, Unknown};
use std::cell::RefCell;
use std::collections::VecDeque;

/// Losses within this time of each other are told in one go.
const TOGETHER_NS: u64 = 1_000_000;
/// Most processes that are told in one go.
const TOGETHER_MAX: usize = 64;

/// Nothing that was known of these processes before, or that their records tell up to a time, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale<'a> {
    /// The processes; `None`: all of the machine. With `None`, and where the list is empty, no exit that
    /// was recorded up to `until_ns`, or whose enter was, is known to belong to that enter.
    pub pids: Option<&'a [u32]>,
    /// From when on, CLOCK_MONOTONIC ns; at most the time of its place in the stream.
    pub from_ns: u64,
    /// Until when records about them may be missing.
    pub until_ns: u64,
    /// Its place in the stream.
    pub ts_ns: u64,
}

impl Stale<'_> {
    /// Whether exits and enters up to its end do not belong together.
    pub(crate) fn parts_pairs(&self) -> bool {
        self.pids.is_none_or(<[u32]>::is_empty)
    }
}

/// What was lost and has not found its place yet.
#[derive(Debug, Default)]
pub(crate) struct StaleQueue {
    waiting: VecDeque<LostState>,
    pids: Vec<u32>,
}

impl StaleQueue {
    pub(crate) fn push(&mut self, lost: LostState) {
        self.waiting.push_back(lost);
    }

    /// Brings what was pushed into order. What is found out late stands no earlier than `released_ns`.
    pub(crate) fn sort(&mut self, released_ns: u64) {
        for lost in &mut self.waiting {
            lost.from_ns = lost.from_ns.max(released_ns);
            lost.until_ns = lost.until_ns.max(released_ns);
        }
        self.waiting.make_contiguous().sort_by_key(|lost| lost.from_ns);
    }

    fn peek_ts(&self) -> Option<u64> {
        self.waiting.front().map(|lost| lost.from_ns)
    }

    /// Takes the first, and those close behind it. Times without pairs are long, and told alone.
    fn take(&mut self, ts_ns: u64, sink: &mut dyn FnMut(Item<'_>)) {
        let Some(first) = self.waiting.front().copied() else { return };
        self.pids.clear();
        let (mut until_ns, mut all) = (first.until_ns, false);
        if first.what == Unknown::Pairs {
            self.waiting.pop_front();
            return sink(Item::Stale(Stale { pids: Some(&[]), from_ns: first.from_ns, until_ns, ts_ns }));
        }
        while let Some(lost) = self.waiting.front()
            && lost.what != Unknown::Pairs
            && lost.from_ns <= first.from_ns.saturating_add(TOGETHER_NS)
            && self.pids.len() < TOGETHER_MAX
        {
            until_ns = until_ns.max(lost.until_ns);
            match lost.what {
                Unknown::Process(pid) if !self.pids.contains(&pid) => self.pids.push(pid),
                Unknown::Process(_) | Unknown::Pairs => {}
                Unknown::All => all = true,
            }
            self.waiting.pop_front();
        }
        let pids = if all { None } else { Some(&self.pids[..]) };
        sink(Item::Stale(Stale { pids, from_ns: first.from_ns, until_ns, ts_ns }));
    }
}

/// The queue as the merge sees it.
pub(crate) struct StaleLane<'a, 'b, 'c> {
    pub(crate) queue: &'a mut StaleQueue,
    pub(crate) sink: &'a RefCell<&'b mut (dyn FnMut(Item<'_>) + 'c)>,
}

impl Lane for StaleLane<'_, '_, '_> {
    fn peek_ts(&mut self) -> Option<u64> {
        self.queue.peek_ts()
    }

    fn release(&mut self, ts_ns: u64, _late: bool) {
        self.queue.take(ts_ns, &mut **self.sink.borrow_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_told_together_and_in_order() {
        let mut queue = StaleQueue::default();
        let lost = |what, from_ns, until_ns| LostState { what, from_ns, until_ns };
        queue.push(lost(Unknown::Process(3), 5_000_000, 5_000_001));
        queue.push(lost(Unknown::Process(1), 10, 30));
        queue.push(lost(Unknown::Process(2), 20, 25));
        queue.push(lost(Unknown::Process(1), 30, 40));
        queue.push(lost(Unknown::Pairs, 15, 90));
        queue.sort(0);
        let mut told = Vec::new();
        while let Some(ts_ns) = queue.peek_ts() {
            queue.take(ts_ns, &mut |item| {
                let Item::Stale(stale) = item else { panic!("{item:?}") };
                told.push((stale.pids.map(<[u32]>::to_vec), stale.from_ns, stale.until_ns, stale.ts_ns));
            });
        }
        let expected = [
            (Some(vec![1]), 10, 30, 10),
            (Some(vec![]), 15, 90, 15),
            (Some(vec![2, 1]), 20, 40, 20),
            (Some(vec![3]), 5_000_000, 5_000_001, 5_000_000),
        ];
        assert_eq!(told, expected);
        queue.push(lost(Unknown::All, 7, 9));
        queue
            .take(8, &mut |item| assert!(matches!(item, Item::Stale(Stale { pids: None, until_ns: 9, .. }))));
    }
}
