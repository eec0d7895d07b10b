//! How long the collector sleeps between drains: nobody wakes it, so it follows the fill of the
//! rings. Pure arithmetic.

use std::time::Duration;

/// Shortest sleep.
const MIN: Duration = Duration::from_micros(500);
/// Longest sleep: what an idle machine's events wait at most.
const MAX: Duration = Duration::from_millis(10);
/// What one CPU writes of records in the shortest calls, rounded up: 7.4 million records of 88 bytes a
/// second were measured on a server's CPU of 2024.
const FASTEST_BYTES_PER_S: u64 = 800_000_000;

/// The current sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    sleep: Duration,
    longest: Duration,
}

impl Pace {
    /// For rings of so many bytes: a burst out of nothing fills at most half of one during a sleep.
    pub(crate) fn new(ring_bytes: u64) -> Self {
        let half_full = Duration::from_secs_f64(ring_bytes as f64 / 2.0 / FASTEST_BYTES_PER_S as f64);
        Self { sleep: MIN, longest: half_full.clamp(MIN, MAX) }
    }

    /// The sleep after a drain that found the fullest ring filled to `fill` (0.0 to 1.0).
    ///
    /// At the rate seen, that ring would be full after `sleep / fill`: aim at a sixteenth, halve
    /// at once when above an eighth, do not sleep at all above a quarter.
    pub(crate) fn after_drain(&mut self, fill: f64) -> Duration {
        if fill > 0.25 {
            self.sleep = MIN;
            return Duration::ZERO;
        }
        self.sleep = if fill > 0.125 {
            self.sleep / 2
        } else if fill < 0.0625 {
            self.sleep * 3 / 2
        } else {
            self.sleep
        };
        self.sleep = self.sleep.clamp(MIN, self.longest);
        self.sleep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_rises_to_the_longest_and_a_burst_falls_at_once() {
        let mut pace = Pace::new(64 << 20);
        let idle = (0..20).map(|_| pace.after_drain(0.0)).collect::<Vec<_>>();
        assert!(idle.is_sorted());
        assert_eq!(idle[19], MAX);
        assert_eq!(pace.after_drain(0.2), MAX / 2);
        assert_eq!(pace.after_drain(0.5), Duration::ZERO);
        assert_eq!(pace.after_drain(0.1), MIN);
    }

    #[test]
    fn small_rings_are_looked_at_more_often() {
        let longest = |ring_bytes| {
            let mut pace = Pace::new(ring_bytes);
            (0..20).map(|_| pace.after_drain(0.0)).max().unwrap()
        };
        assert_eq!(longest(8 << 20).as_millis(), 5);
        assert_eq!(longest(1 << 20).as_micros(), 655);
        assert_eq!(longest(4096), MIN);
    }
}
