//! [`LiveSource`]: the running kernel as an [`EventSource`].
//!
//! A thread of its own drains the rings and decodes; what it makes waits in a queue bounded by
//! bytes. A consumer that stops taking (a stalled terminal, a full disk) therefore never blocks
//! the drain: batches that find the queue full are dropped, counted as sink loss, and declared in
//! the stream at the place where they are missing.
//!
//! The probe is attached first and the snapshot taken after, while events already queue up:
//! nothing falls between the two.

use super::classes::Classes;
use super::command::Running;
use super::containers::{self, ContainerOptions, ContainerStats, Placer, Watch};
use super::decode::{DecodeOptions, Decoder};
use super::iterators::Iterators;
use super::pulse::Pulse;
use super::pump::{Ended, OpeningWatch, Pump};
use super::queue::{Delivery, Queue, Shared};
use super::reread::Rereads;
use super::samples::Sampler;
use super::watch::{WatchOptions, Watching};
use super::{CaptureStats, Collector, CpuStats, LiveError, LiveOptions, snapshot};
use capture_common::stream::StreamError;
use capture_common::{Batch, EventSource, Next, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the start waits for the drain to reach the snapshot; a busy machine needs some drains.
const OPENING_WAIT: Duration = Duration::from_secs(2);
/// How long [`LiveSource::next`] waits before it answers [`Next::Idle`].
const IDLE: Duration = Duration::from_millis(100);

/// How to capture.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// What the probe records and how the rings are sized.
    pub live: LiveOptions,
    /// How containers are recorded; not at all without.
    pub containers: Option<ContainerOptions>,
    /// The process tree that is recorded, where it is not the machine. Needs
    /// [`ProbeOptions::only_tree`](super::ProbeOptions::only_tree).
    pub watch: Option<WatchOptions>,
    /// Whether the CPU time of all threads is noted once a second.
    pub samples: bool,
    /// A fixed pause between drains instead of one that follows the load: rings overflow then, which is
    /// what tests of loss want.
    pub pause: Option<Duration>,
}

/// Counts of a live capture that ended.
#[derive(Clone, Debug, Default)]
pub struct LiveStats {
    /// Events handed to the consumer.
    pub events: u64,
    /// Events that the consumer did not take in time.
    pub sink_lost: u64,
    /// Containers by when their record came.
    pub containers: ContainerStats,
    /// Processes of the watched tree that were too many to be followed.
    pub tree_lost: u64,
    /// Processes that were read again: after a loss, or since they changed while the start was read.
    pub reread: u64,
    /// How the start state was read.
    pub start: snapshot::StartState,
    /// From the start to the first event that was handed over.
    pub first_event: Option<Duration>,
    /// Length of the capture in seconds.
    pub seconds: f64,
    /// What the collector counted.
    pub capture: CaptureStats,
}

impl LiveStats {
    /// By CPU.
    pub fn cpus(&self) -> &[CpuStats] {
        &self.capture.cpus
    }

    /// All that is missing from the stream.
    pub fn lost(&self) -> u64 {
        self.capture.lost() + self.sink_lost
    }
}

/// A capture under way. Dropping it ends the capture, too: the probe is detached and the thread
/// gone when that returns.
#[derive(Debug)]
pub struct LiveSource {
    snapshot: Option<Box<Snapshot>>,
    batches: Receiver<Delivery>,
    used: SyncSender<Batch>,
    shared: Arc<Shared>,
    placer: Option<Placer>,
    watching: Option<Watching>,
    classes: Option<Classes>,
    /// Every record up to here is in the batches delivered, CLOCK_MONOTONIC ns.
    until_ns: u64,
    pump: Option<JoinHandle<Ended>>,
    sampler: Option<Sampler>,
    started: Instant,
    stats: LiveStats,
}

impl LiveSource {
    /// Loads and attaches the probe, starts to drain it, and takes the start snapshot.
    ///
    /// # Errors
    /// What is missing or what the kernel refused, in one sentence.
    pub fn open(options: &SourceOptions) -> Result<LiveSource, LiveError> {
        Self::attach(&options.live)?.start(options)
    }

    /// Loads and attaches the probe: all that takes rights which a capture under way does not need
    /// ([`User`](super::rights::User)).
    ///
    /// # Errors
    /// What is missing or what the kernel refused, in one sentence.
    pub fn attach(options: &LiveOptions) -> Result<Attached, LiveError> {
        let started = Instant::now();
        Ok(Attached { collector: Collector::open(options)?, started })
    }

    /// Lets the watched command begin, where there is one: its first event is the enter of its exec.
    /// From here on signals to this process are for the command; `stop` is set when they are not.
    ///
    /// # Errors
    /// When the system refuses the signal handlers.
    pub fn begin_command(&mut self, stop: Arc<AtomicBool>) -> Result<bool, LiveError> {
        self.watching.as_mut().map_or(Ok(false), |watching| watching.begin(stop))
    }

    /// The classes of threads, where the probe wants to know them.
    pub fn classes(&mut self) -> Option<&mut Classes> {
        self.classes.as_mut()
    }

    /// Time up to which every record is in the batches delivered, CLOCK_MONOTONIC ns.
    pub fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// What was counted up to now.
    pub fn pulse(&self) -> Pulse {
        let pulse = self.shared.pulse.take();
        Pulse { lost: pulse.lost + self.shared.sink_lost.load(Ordering::Relaxed), ..pulse }
    }

    /// Asks for the end: recording stops, what was recorded is still delivered.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the capture, dropping what is still under way. Returns its counts and the command it
    /// watched, which may still run, and what the drain thread failed of: the rest holds after a
    /// failure, too.
    pub fn close(mut self) -> (LiveStats, Option<Running>, Result<(), LiveError>) {
        let mut stats = std::mem::take(&mut self.stats);
        // Looked at before the end: from here on nobody takes, and what is not wanted is no loss.
        // After the end of the stream the thread is gone and the number final.
        stats.sink_lost = self.shared.sink_lost.load(Ordering::Relaxed);
        stats.containers = self.placer.as_ref().map(|p| p.stats).unwrap_or_default();
        self.stop();
        let mut result = Ok(());
        if let Some(pump) = self.pump.take() {
            let ended = pump.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (stats.capture, stats.reread, result) = (ended.stats, ended.reread, ended.result);
        }
        stats.seconds = self.started.elapsed().as_secs_f64();
        let watching = self.watching.take();
        stats.tree_lost = watching.as_ref().map_or(0, Watching::lost);
        (stats, watching.and_then(Watching::into_command), result)
    }
}

/// The probe attached, and nobody who drains its rings yet.
#[derive(Debug)]
pub struct Attached {
    collector: Collector,
    started: Instant,
}

impl Attached {
    /// Starts to drain the rings, and takes the start snapshot.
    ///
    /// # Errors
    /// What the system refused, in one sentence.
    pub fn start(self, options: &SourceOptions) -> Result<LiveSource, LiveError> {
        let Attached { mut collector, started } = self;
        let mut decoder = Decoder::new(DecodeOptions {
            wall_offset_ns: collector.clock().offset_ns(),
            snaplen: options.live.probe.snaplen,
        });
        if options.live.probe.strings_twice {
            decoder.compare_strings();
        }
        let mut iterators = collector.probe().take_iterators();
        let cpu_iterator = iterators.as_mut().ok().and_then(Iterators::take_cpu);
        let (to_samples, samples) = channel();
        let mut steps = std::mem::take(&mut collector.probe().steps);
        let began_ns = collector.began_ns();
        let start_ts_ns = collector.clock().wall_ns(began_ns);
        let shared = Arc::new(Shared::default());
        let watching = prepare_watch(options, &mut collector, iterators.as_ref(), &shared)?;
        let classes = collector.probe().take_classes(&options.live.probe)?;
        let watch = options.containers.as_ref().map(|c| Watch::new(c.directory.clone()));
        let (queue, batches, used) = Queue::new(shared.clone(), watch);
        let (opening, snapshot_taken, opened) = OpeningWatch::new();
        let pump = Pump {
            opening: Some(opening),
            collector,
            decoder,
            queue,
            rereads: Rereads::start().map_err(|source| LiveError::Os {
                what: "starting the thread that reads processes",
                source,
            })?,
            samples,
            pause: options.pause,
            clock_looked: Instant::now(),
        };
        let pump = std::thread::Builder::new()
            .name("capture-drain".into())
            .spawn(move || pump.run())
            .map_err(|source| LiveError::Os { what: "starting the drain thread", source })?;
        let stats = LiveStats::default();
        let placer = options.containers.clone().map(|containers| Placer::new(containers, start_ts_ns));
        let mut source = LiveSource {
            snapshot: None,
            batches,
            used,
            shared,
            placer,
            watching,
            classes,
            until_ns: 0,
            pump: Some(pump),
            sampler: None,
            started,
            stats,
        };
        let mut snapped = snapshot::take(iterators)?;
        let began = Instant::now();
        // A drain that ended tells at the first batch why.
        if snapshot_taken.send(snapped.ended_ns).is_ok()
            && let Ok(opening) = opened.recv_timeout(OPENING_WAIT)
        {
            opening.cut(&mut snapped);
        }
        steps.append(std::mem::take(&mut snapped.start.steps));
        steps.add("events of the meantime", began);
        source.stats.start = snapshot::StartState { steps, ..snapped.start };
        let mut snapshot = snapped.snapshot;
        if let Some(watching) = &source.watching {
            watching.cut(&mut snapshot);
        }
        source.stats.start.cut_strings = snapshot.cut_to_stored();
        if let (Some(placer), Some(containers)) = (&mut source.placer, &options.containers) {
            placer.open(containers::in_snapshot(&snapshot, containers.directory.as_ref()));
        }
        source.snapshot = Some(Box::new(snapshot));
        // The iterators share their memory: not before the start was read.
        if options.samples {
            source.sampler = Sampler::start(cpu_iterator, to_samples)?;
        }
        Ok(source)
    }
}

/// Puts the root of the watched tree into it, where one is watched.
fn prepare_watch(
    options: &SourceOptions,
    collector: &mut Collector,
    iterators: Result<&Iterators, &String>,
    shared: &Arc<Shared>,
) -> Result<Option<Watching>, LiveError> {
    let Some(watch) = &options.watch else { return Ok(None) };
    let (stop, stopped) = (shared.clone(), shared.clone());
    let stop = move || stop.stop.store(true, Ordering::Relaxed);
    let stopped = move || stopped.stop.load(Ordering::Relaxed);
    Watching::prepare(watch, collector.probe(), iterators, stop, stopped).map(Some)
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        self.stop();
        if let Some(pump) = self.pump.take() {
            // Nobody is left to tell an error.
            let _ = pump.join();
        }
    }
}

impl EventSource for LiveSource {
    fn next(&mut self, batch: &mut Batch) -> Result<Next, StreamError> {
        if let Some(snapshot) = self.snapshot.take() {
            return Ok(Next::Section(snapshot));
        }
        match self.batches.recv_timeout(IDLE) {
            Ok(Delivery { batch: fresh, new, until_ns, is_blind }) => {
                self.until_ns = self.until_ns.max(until_ns);
                if let Some(classes) = self.classes.as_mut().filter(|_| is_blind) {
                    classes.take_back();
                }
                self.shared.queued_bytes.fetch_sub(fresh.bytes().len(), Ordering::Relaxed);
                let fresh = match &mut self.placer {
                    Some(placer) => placer.place(fresh, new),
                    None => fresh,
                };
                self.stats.events += fresh.len() as u64;
                if self.stats.first_event.is_none() {
                    self.stats.first_event = Some(self.started.elapsed());
                }
                let mut old = std::mem::replace(batch, fresh);
                old.clear();
                // Where enough are spare, or the pump has ended, there is no use for it.
                let _ = self.used.try_send(old);
                Ok(Next::Events)
            }
            Err(ended) => {
                let records = self.placer.as_mut().map(|p| p.place(Batch::new(), Vec::new()));
                if let Some(records) = records.filter(|r| !r.is_empty()) {
                    self.stats.events += records.len() as u64;
                    *batch = records;
                    return Ok(Next::Events);
                }
                Ok(if ended == RecvTimeoutError::Timeout { Next::Idle } else { Next::End })
            }
        }
    }
}
