//! The CPU time of threads, once a second, as `procinfo` events: what the chisels and views of CPU
//! usage count.
//!
//! A thread of its own reads it, from an iterator of the probe or, where the kernel has none, from
//! `/proc`. It reads in the middle of each second of the wall clock, so that each second of the stream
//! has one sample of every thread, and rests nine times as long as a reading took.

use super::error::LiveError;
use super::iter_link::IterLink;
use super::iterators::each_record;
use super::snapshot::{self, NS_PER_TICK};
use super::whoami::Numbers;
use capture_common::abi::IterCpuFixed;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// A reading may take one part of so many of the time.
const REST: u32 = 9;

/// CPU time of a thread since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    pub(crate) tid: u32,
    /// In user mode, ticks of 10 ms.
    pub(crate) user: u64,
    /// In the kernel, ticks of 10 ms.
    pub(crate) system: u64,
}

impl CpuTime {
    /// As the kernel itself puts it into /proc/PID/stat: the exact time, split as it was noticed.
    fn of(tid: u32, times: &IterCpuFixed) -> CpuTime {
        let (user, system) = (u128::from(times.user_ns), u128::from(times.system_ns));
        let ran_ns = times.ran_ns;
        let system_ns = (u128::from(ran_ns) * system).checked_div(user + system).unwrap_or(0) as u64;
        CpuTime { tid, user: (ran_ns - system_ns) / NS_PER_TICK, system: system_ns / NS_PER_TICK }
    }
}

/// What an iterator over the CPU time of threads tells now.
fn read(iterator: &IterLink) -> io::Result<Vec<CpuTime>> {
    let mut times = Vec::new();
    each_record(&mut iterator.open()?, &mut |record| {
        if let Some((fixed, _)) = record.split::<IterCpuFixed>() {
            times.push(CpuTime::of(record.header.tid, &fixed));
        }
    })?;
    Ok(times)
}

/// The thread that samples.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts to sample; `iterator` is where from, if not from /proc. `None` where that
    /// has other ids than the events, inside a pid namespace.
    pub(super) fn start(
        iterator: Option<IterLink>,
        to: Sender<Vec<CpuTime>>,
    ) -> Result<Option<Sampler>, LiveError> {
        let has_proc = Numbers::of_proc() == Numbers::Kernel;
        if iterator.is_none() && !has_proc {
            return Ok(None);
        }
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("capture-samples".into())
            .spawn(move || sample(iterator.as_ref(), has_proc, &stopped, &to))
            .map_err(|source| LiveError::Os {
                what: "starting the thread that notes the CPU time of threads",
                source,
            })?;
        Ok(Some(Sampler { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Whether it panicked is of no interest to a capture that ends.
            let _ = thread.join();
        }
    }
}

fn sample(
    mut iterator: Option<&IterLink>,
    has_proc: bool,
    stopped: &Receiver<()>,
    to: &Sender<Vec<CpuTime>>,
) {
    loop {
        let began = Instant::now();
        let times = match iterator.map(read) {
            Some(Ok(times)) => times,
            // Rights that were given up, or a /proc that is hidden: the next way, or no samples.
            Some(Err(_)) | None => {
                iterator = None;
                if has_proc { snapshot::cpu_times().unwrap_or_default() } else { Vec::new() }
            }
        };
        if to.send(times).is_err() {
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let pause = until_middle(now).max(began.elapsed() * REST);
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// From a time of the wall clock to the middle of a second, at least a quarter of one.
fn until_middle(now: Duration) -> Duration {
    let middle_ms = if now.subsec_millis() < 250 { 500 } else { 1500 };
    Duration::from_millis(middle_ms) - Duration::from_nanos(u64::from(now.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_time_is_split_as_it_was_noticed() {
        let of = |user_ns, system_ns, ran_ns| CpuTime::of(7, &IterCpuFixed { user_ns, system_ns, ran_ns });
        let time = |user, system| CpuTime { tid: 7, user, system };
        assert_eq!(of(0, 0, 50_000_000), time(5, 0));
        assert_eq!(of(0, 4_000_000, 50_000_000), time(0, 5));
        assert_eq!(of(30_000_000, 10_000_000, 1_000_000_000), time(75, 25));
        // Ten years on a CPU.
        assert_eq!(of(u64::MAX / 40, u64::MAX / 40, 315_360_000_000_000_000).user, 15_768_000_000);
    }

    #[test]
    fn proc_tells_of_threads() {
        let own = snapshot::cpu_times().expect("/proc is there");
        assert!(own.iter().all(|time| time.tid != 0));
    }

    #[test]
    fn readings_fall_into_the_middle_of_seconds() {
        for ns in [0, 100_000_000, 249_999_999, 250_000_000, 500_000_000, 999_999_999] {
            let now = Duration::new(1_700_000_000, ns);
            let wait = until_middle(now);
            assert_eq!((now + wait).subsec_nanos(), 500_000_000, "{ns}");
            assert!(wait >= Duration::from_millis(250) && wait <= Duration::from_millis(1250), "{ns}");
        }
    }
}
