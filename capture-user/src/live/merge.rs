//! Merges the lanes into one stream in time order. Pure logic over a [`Lane`] trait: no kernel, no
//! memory mapping.
//!
//! Each lane is in order by itself. Per drain, the caller takes the time T and then looks at every
//! lane ([`watermark`]): an idle lane holds nothing older than T that is still to come; a busy one
//! may still publish the record it works on, so nothing newer than that one's time is released.
//! A record that comes late all the same is released with its time raised, and counted.

use std::{cmp::Reverse, collections::BinaryHeap};

/// What the merge needs of a lane.
pub(crate) trait Lane {
    /// Time of the next record, ns.
    fn peek_ts(&mut self) -> Option<u64>;
    /// Hands the next record on with the time it gets in the stream and steps over it.
    fn release(&mut self, ts_ns: u64, late: bool);
}

/// A lane's `busy` word (see `capture_common::abi::LaneHead`) and the time of its last published
/// record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneLook {
    /// 0 idle, 1 time not known, else the time of the record in progress.
    pub(crate) busy: u64,
    /// Time of the last published record, ns; 0: none yet.
    pub(crate) last_published_ts: u64,
}

/// Up to which time records may be released, given that every lane was looked at after `taken_ns`.
pub(crate) fn watermark(taken_ns: u64, looks: impl Iterator<Item = LaneLook>) -> u64 {
    looks.fold(taken_ns, |limit, look| match look.busy {
        0 => limit,
        1 => limit.min(look.last_published_ts),
        ts => limit.min(ts),
    })
}

/// State of the merge between drains.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// Time of the last released record.
    released_ns: u64,
    /// Records that came late.
    pub(crate) late: u64,
}

impl Merge {
    /// Releases every record with a time up to `limit_ns`, oldest first; equal times by lane.
    pub(crate) fn run<L: Lane>(&mut self, lanes: &mut [L], limit_ns: u64) {
        self.heap.clear();
        for (i, lane) in lanes.iter_mut().enumerate() {
            if let Some(ts) = lane.peek_ts().filter(|ts| *ts <= limit_ns) {
                self.heap.push(Reverse((ts, i)));
            }
        }
        while let Some(Reverse((ts, i))) = self.heap.pop() {
            // The lane goes on alone until another one has something older.
            let until = self.heap.peek().map_or(limit_ns, |Reverse((ts, _))| *ts);
            let lane = &mut lanes[i];
            let mut next = Some(ts);
            while let Some(ts) = next.filter(|ts| *ts <= until) {
                let late = ts < self.released_ns;
                self.late += u64::from(late);
                self.released_ns = self.released_ns.max(ts);
                lane.release(self.released_ns, late);
                next = lane.peek_ts();
            }
            if let Some(ts) = next.filter(|ts| *ts <= limit_ns) {
                self.heap.push(Reverse((ts, i)));
            }
        }
    }

    /// A time at which something that is no record may be placed: not before what was released.
    pub(crate) fn place(&mut self, ts_ns: u64) -> u64 {
        self.released_ns = self.released_ns.max(ts_ns);
        self.released_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, rc::Rc};

    type Out = Rc<RefCell<Vec<(u64, usize, bool)>>>;

    struct Fake {
        id: usize,
        times: Vec<u64>,
        out: Out,
    }

    impl Lane for Fake {
        fn peek_ts(&mut self) -> Option<u64> {
            self.times.first().copied()
        }
        fn release(&mut self, ts_ns: u64, late: bool) {
            self.times.remove(0);
            self.out.borrow_mut().push((ts_ns, self.id, late));
        }
    }

    fn lanes(times: &[&[u64]]) -> (Vec<Fake>, Out) {
        let out = Out::default();
        let fake = |(id, t): (usize, &&[u64])| Fake { id, times: t.to_vec(), out: out.clone() };
        (times.iter().enumerate().map(fake).collect(), out)
    }

    fn check(times: &[&[u64]], limit: u64, want: &[u64]) {
        let (mut lanes, out) = lanes(times);
        Merge::default().run(&mut lanes, limit);
        let got = out.borrow().iter().map(|r| r.0).collect::<Vec<_>>();
        assert_eq!(got, want);
    }

    #[test]
    fn lanes_are_interleaved_by_time_up_to_the_limit() {
        check(&[&[1, 4, 9], &[2, 3, 5], &[]], 5, &[1, 2, 3, 4, 5]);
        check(&[&[7, 7], &[7]], 7, &[7, 7, 7]);
        check(&[&[8]], 7, &[]);
    }

    #[test]
    fn a_late_record_is_raised_and_counted() {
        let (mut lanes, out) = lanes(&[&[10, 20], &[]]);
        let mut merge = Merge::default();
        merge.run(&mut lanes, 20);
        lanes[1].times = vec![15, 25];
        merge.run(&mut lanes, 30);
        assert_eq!(out.borrow()[2..], [(20, 1, true), (25, 1, false)]);
        assert_eq!(merge.late, 1);
    }

    #[test]
    fn a_busy_lane_holds_back_what_is_newer_than_its_record() {
        let idle = LaneLook { busy: 0, last_published_ts: 3 };
        let working = LaneLook { busy: 70, last_published_ts: 60 };
        let starting = LaneLook { busy: 1, last_published_ts: 40 };
        assert_eq!(watermark(100, [idle].into_iter()), 100);
        assert_eq!(watermark(100, [idle, working].into_iter()), 70);
        assert_eq!(watermark(100, [working, starting].into_iter()), 40);
        // Its clock was read after T: it holds nothing back.
        assert_eq!(watermark(100, [LaneLook { busy: 130, last_published_ts: 60 }].into_iter()), 100);
    }

    #[test]
    fn random_schedules_come_out_sorted_and_whole() {
        let mut seed = 7u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        for _ in 0..200 {
            let times = (0..4).map(|_| {
                let mut t = (0..random(30)).map(|_| random(100)).collect::<Vec<_>>();
                t.sort_unstable();
                t
            });
            let times = times.collect::<Vec<_>>();
            let mut want = times.concat();
            want.sort_unstable();
            let (mut lanes, out) = lanes(&times.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut merge = Merge::default();
            for limit in [random(50), 50 + random(50), 200] {
                merge.run(&mut lanes, limit);
            }
            assert_eq!(out.borrow().iter().map(|r| r.0).collect::<Vec<_>>(), want);
            assert_eq!(merge.late, 0);
        }
    }
}
