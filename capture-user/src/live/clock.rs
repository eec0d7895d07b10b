//! From the probe's clock (CLOCK_MONOTONIC) to wall-clock time: one offset, taken at the start.
//! When the wall clock is stepped or the machine was suspended, the offset moves, but only
//! forward, so that times in a file never decrease.

use super::error::LiveError;

/// A difference above this between two looks at the clocks is a step, not slewing (adjtime slews
/// at most 0.5 ms per second, and looks are seconds apart).
const STEP_NS: i64 = 50_000_000;

/// What a look at the clocks found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock was set; by how much, ns. A negative one is not followed.
    Stepped {
        /// New minus old offset, ns.
        by_ns: i64,
    },
    /// The machine slept; for how long, ns.
    Suspended {
        /// Length of the sleep, ns.
        for_ns: i64,
    },
}

/// Offsets of the other clocks from CLOCK_MONOTONIC, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offsets {
    real: i64,
    boot: i64,
}

/// The offset in use.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// What is added to the probe's times.
    offset_ns: i64,
    /// What the clocks said at the last look.
    last: Offsets,
}

impl WallClock {
    /// Looks at the clocks and starts.
    ///
    /// # Errors
    /// When the kernel does not tell the time.
    pub fn start() -> Result<Self, LiveError> {
        let last = sample()?;
        Ok(Self { offset_ns: last.real, last })
    }

    /// Wall-clock ns since 1970 of a monotonic time.
    #[inline]
    pub fn wall_ns(&self, mono_ns: u64) -> u64 {
        mono_ns.wrapping_add_signed(self.offset_ns)
    }

    /// What is added to monotonic times, ns.
    pub fn offset_ns(&self) -> i64 {
        self.offset_ns
    }

    /// `CLOCK_REALTIME - CLOCK_BOOTTIME` at the last look, ns: turns `start_boot_ns` of tasks into
    /// wall-clock time.
    pub fn boot_epoch_ns(&self) -> i64 {
        self.last.real - self.last.boot
    }

    /// Looks again.
    ///
    /// # Errors
    /// When the kernel does not tell the time.
    pub fn check(&mut self) -> Result<Option<ClockEvent>, LiveError> {
        let now = sample()?;
        Ok(self.apply(now))
    }

    fn apply(&mut self, now: Offsets) -> Option<ClockEvent> {
        let slept = now.boot - self.last.boot;
        let stepped = now.real - self.last.real;
        self.last = now;
        let event = if slept > STEP_NS {
            ClockEvent::Suspended { for_ns: slept }
        } else if stepped.abs() > STEP_NS {
            ClockEvent::Stepped { by_ns: stepped }
        } else {
            return None;
        };
        self.offset_ns = self.offset_ns.max(now.real);
        Some(event)
    }
}

/// CLOCK_MONOTONIC, ns.
pub(crate) fn monotonic_ns() -> Result<u64, LiveError> {
    read_clock(libc::CLOCK_MONOTONIC).map(|ns| ns as u64)
}

#[expect(unsafe_code, reason = "clock_gettime has no safe form for clocks other than std's two")]
fn read_clock(clock: libc::clockid_t) -> Result<i64, LiveError> {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result.
    if unsafe { libc::clock_gettime(clock, &raw mut t) } != 0 {
        return Err(LiveError::last_os("clock_gettime"));
    }
    Ok(t.tv_sec * 1_000_000_000 + t.tv_nsec)
}

/// The tightest of several looks: the other clocks between two reads of the monotonic one.
fn sample() -> Result<Offsets, LiveError> {
    let mut best = (i64::MAX, Offsets { real: 0, boot: 0 });
    for _ in 0..8 {
        let before = read_clock(libc::CLOCK_MONOTONIC)?;
        let real = read_clock(libc::CLOCK_REALTIME)?;
        let boot = read_clock(libc::CLOCK_BOOTTIME)?;
        let after = read_clock(libc::CLOCK_MONOTONIC)?;
        let middle = before + (after - before) / 2;
        if after - before < best.0 {
            best = (after - before, Offsets { real: real - middle, boot: boot - middle });
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(real: i64, boot: i64) -> Offsets {
        Offsets { real, boot }
    }

    #[test]
    fn only_forward() {
        let second = 1_000_000_000;
        let mut clock = WallClock { offset_ns: 100 * second, last: at(100 * second, 0) };
        assert_eq!(clock.apply(at(100 * second + 1000, 0)), None);
        assert_eq!(clock.offset_ns, 100 * second);
        assert_eq!(clock.apply(at(90 * second, 0)), Some(ClockEvent::Stepped { by_ns: -10 * second - 1000 }));
        assert_eq!(clock.offset_ns, 100 * second);
        assert!(clock.apply(at(130 * second, 0)).is_some());
        assert_eq!(clock.wall_ns(5), 130 * second as u64 + 5);
        assert_eq!(
            clock.apply(at(160 * second, 30 * second)),
            Some(ClockEvent::Suspended { for_ns: 30 * second })
        );
        assert_eq!(clock.offset_ns, 160 * second);
    }

    #[test]
    fn real_clocks_agree() {
        let clock = WallClock::start().unwrap();
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(clock.wall_ns(monotonic_ns().unwrap()).abs_diff(now) < 1_000_000_000);
    }
}
