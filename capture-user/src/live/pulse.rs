//! [`Pulse`]: what a capture under way has counted, for who watches it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts from the start up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Records handed out.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records lost, and events that a slow output did not take.
    pub lost: u64,
    /// How full the fullest ring was since the last look, in percent.
    pub fill_percent: u64,
}

/// Where the drain thread leaves it.
#[derive(Debug, Default)]
pub(super) struct PulseCell {
    records: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    fill_percent: AtomicU64,
}

impl PulseCell {
    /// Takes over what was counted.
    pub(super) fn beat(&self, pulse: &Pulse) {
        self.records.store(pulse.records, Ordering::Relaxed);
        self.bytes.store(pulse.bytes, Ordering::Relaxed);
        self.lost.store(pulse.lost, Ordering::Relaxed);
        self.fill_percent.fetch_max(pulse.fill_percent, Ordering::Relaxed);
    }

    /// What was counted; the fullest ring is asked for anew.
    pub(super) fn take(&self) -> Pulse {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Pulse {
            records: read(&self.records),
            bytes: read(&self.bytes),
            lost: read(&self.lost),
            fill_percent: self.fill_percent.swap(0, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_ring_since_the_last_look_counts() {
        let cell = PulseCell::default();
        let pulse = |records, fill_percent| Pulse { records, bytes: 0, lost: 0, fill_percent };
        cell.beat(&pulse(1, 70));
        cell.beat(&pulse(2, 30));
        assert_eq!(cell.take(), pulse(2, 70));
        assert_eq!(cell.take(), pulse(2, 0));
    }
}
