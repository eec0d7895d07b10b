//! How long the collector sleeps between drains: nobody wakes it, so it follows the fill of the
//! rings. Pure arithmetic.

use std::time::Duration;

/// Shortest sleep.
const MIN: Duration = Duration::from_micros(500);
/// Longest sleep: what an idle machine's events wait at most.
const MAX: Duration = Duration::from_millis(10);

/// The current sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    sleep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { sleep: MIN }
    }
}

impl Pace {
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
        self.sleep = self.sleep.clamp(MIN, MAX);
        self.sleep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_rises_to_the_longest_and_a_burst_falls_at_once() {
        let mut pace = Pace::default();
        let idle = (0..20).map(|_| pace.after_drain(0.0)).collect::<Vec<_>>();
        assert!(idle.is_sorted());
        assert_eq!(idle[19], MAX);
        assert_eq!(pace.after_drain(0.2), MAX / 2);
        assert_eq!(pace.after_drain(0.5), Duration::ZERO);
        assert_eq!(pace.after_drain(0.1), MIN);
    }
}
