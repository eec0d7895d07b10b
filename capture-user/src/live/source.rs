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
use super::containers::{self, ContainerOptions, ContainerStats, Placer, Sighting, Watch};
use super::decode::{DecodeOptions, Decoder};
use super::priority;
use super::watch::{WatchOptions, Watching};
use super::{CaptureStats, ClockEvent, Collector, CpuStats, Item, LiveError, LiveOptions, snapshot};
use capture_common::stream::StreamError;
use capture_common::{Batch, EventSource, Next, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A batch is handed over when it holds this many bytes, or at the end of a drain.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of events that may wait for the consumer.
const QUEUE_BYTES: usize = 128 << 20;
/// Batches that were used and wait to be used again. Each keeps the memory of the fullest that it was, so
/// that what a queue of many small ones takes would not go down again.
const SPARE_BATCHES: usize = 8;
/// How often the clocks are compared.
const CLOCK_LOOK: Duration = Duration::from_secs(1);
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

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    queued_bytes: AtomicUsize,
    sink_lost: AtomicU64,
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
        let start_ns = super::clock::monotonic_ns()?;
        Ok(Attached { collector: Collector::open(options)?, started, start_ns })
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
            (stats.capture, result) = (ended.stats, ended.result);
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
    start_ns: u64,
}

impl Attached {
    /// Starts to drain the rings, and takes the start snapshot.
    ///
    /// # Errors
    /// What the system refused, in one sentence.
    pub fn start(self, options: &SourceOptions) -> Result<LiveSource, LiveError> {
        let Attached { mut collector, started, start_ns } = self;
        let decoder = Decoder::new(DecodeOptions {
            wall_offset_ns: collector.clock().offset_ns(),
            snaplen: options.live.probe.snaplen,
        });
        let start_ts_ns = collector.clock().wall_ns(start_ns);
        let shared = Arc::new(Shared::default());
        let watching = match &options.watch {
            Some(watch) => {
                let (stop, stopped) = (shared.clone(), shared.clone());
                let stop = move || stop.stop.store(true, Ordering::Relaxed);
                let stopped = move || stopped.stop.load(Ordering::Relaxed);
                Some(Watching::prepare(watch, collector.probe(), stop, stopped)?)
            }
            None => None,
        };
        let classes = collector.probe().take_classes(&options.live.probe)?;
        let (batch_tx, batches) = channel();
        let (used, used_rx) = sync_channel(SPARE_BATCHES);
        let pump = Pump {
            collector,
            decoder,
            queue: Queue {
                batches: batch_tx,
                used: used_rx,
                shared: shared.clone(),
                watch: options.containers.as_ref().map(|c| Watch::new(c.directory.clone())),
                missing: None,
                is_closed: false,
                last_ts_ns: 0,
                until_ns: 0,
            },
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
            started,
            stats,
        };
        let mut snapshot = snapshot::take()?;
        if let Some(watching) = &source.watching {
            watching.cut(&mut snapshot);
        }
        if let (Some(placer), Some(containers)) = (&mut source.placer, &options.containers) {
            placer.open(containers::in_snapshot(&snapshot, containers.directory.as_ref()));
        }
        source.snapshot = Some(Box::new(snapshot));
        Ok(source)
    }
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
            Ok(Delivery { batch: fresh, new, until_ns }) => {
                self.until_ns = self.until_ns.max(until_ns);
                self.shared.queued_bytes.fetch_sub(fresh.bytes().len(), Ordering::Relaxed);
                let fresh = match &mut self.placer {
                    Some(placer) => placer.place(fresh, new),
                    None => fresh,
                };
                self.stats.events += fresh.len() as u64;
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

/// What the drain thread hands over.
#[derive(Debug)]
struct Delivery {
    batch: Batch,
    /// New containers, by the index of their first event.
    new: Vec<(usize, Sighting)>,
    /// Every record up to here is in this batch or in one before, CLOCK_MONOTONIC ns.
    until_ns: u64,
}

/// What the drain thread leaves.
#[derive(Debug)]
struct Ended {
    stats: CaptureStats,
    result: Result<(), LiveError>,
}

/// The drain thread.
struct Pump {
    collector: Collector,
    decoder: Decoder,
    queue: Queue,
    clock_looked: Instant,
}

impl Pump {
    fn run(mut self) -> Ended {
        priority::raise(priority::DRAIN);
        let mut batch = self.queue.empty_batch();
        let drained = self.drain_until_stopped(&mut batch);
        // After an error, too: what was recorded before it is delivered.
        let (decoder, queue) = (&mut self.decoder, &mut self.queue);
        let finished = self.collector.finish(&mut |item| take(item, decoder, queue, &mut batch));
        self.queue.send(&mut batch, &mut self.decoder);
        self.queue.declare_missing(&mut batch, &mut self.decoder);
        Ended { stats: self.collector.stats(), result: drained.and(finished) }
    }

    fn drain_until_stopped(&mut self, batch: &mut Batch) -> Result<(), LiveError> {
        loop {
            let (decoder, queue) = (&mut self.decoder, &mut self.queue);
            let pause = self.collector.drain(&mut |item| take(item, decoder, queue, batch))?;
            self.queue.until_ns = self.collector.released_ns();
            self.queue.send(batch, &mut self.decoder);
            if self.queue.shared.stop.load(Ordering::Relaxed) || self.queue.is_closed {
                return Ok(());
            }
            self.look_at_clock(batch)?;
            std::thread::sleep(pause);
        }
    }

    fn look_at_clock(&mut self, batch: &mut Batch) -> Result<(), LiveError> {
        if self.clock_looked.elapsed() < CLOCK_LOOK {
            return Ok(());
        }
        self.clock_looked = Instant::now();
        let clock = self.collector.clock();
        let Some(event) = clock.check()? else { return Ok(()) };
        let offset_ns = clock.offset_ns();
        // Not the present time: records older than that are still to come.
        let ts_ns = clock.wall_ns(self.queue.last_ts_ns);
        let note = match event {
            ClockEvent::Stepped { by_ns } => format!("{{\"stepped_ns\":{by_ns}}}"),
            ClockEvent::Suspended { for_ns } => format!("{{\"suspended_ns\":{for_ns}}}"),
        };
        self.decoder.set_wall_offset_ns(offset_ns);
        self.decoder.note(b"capture.clock", note.as_bytes(), ts_ns, batch);
        Ok(())
    }
}

fn take(item: Item<'_>, decoder: &mut Decoder, queue: &mut Queue, batch: &mut Batch) {
    match item {
        Item::Record(record) => {
            let mut view = record.view;
            view.header.ts_ns = record.ts_ns;
            queue.last_ts_ns = record.ts_ns;
            decoder.decode(&view, record.cpu as u16, batch);
            if let Some(watch) = &mut queue.watch
                && let Some(at) = decoder.take_described()
                && let Some(event) = batch.get(at)
            {
                watch.look(&event, at);
            }
        }
        Item::Loss(loss) => {
            queue.last_ts_ns = loss.ts_ns;
            decoder.loss(&loss, batch);
        }
    }
    if batch.bytes().len() >= BATCH_BYTES {
        // Records of the same time may follow.
        queue.until_ns = queue.until_ns.max(queue.last_ts_ns.saturating_sub(1));
        queue.send(batch, decoder);
    }
}

/// Events that found the queue full.
#[derive(Clone, Copy)]
struct Missing {
    count: u64,
    first_ts_ns: u64,
    last_ts_ns: u64,
}

/// The bounded way to the consumer.
struct Queue {
    batches: Sender<Delivery>,
    used: Receiver<Batch>,
    shared: Arc<Shared>,
    watch: Option<Watch>,
    missing: Option<Missing>,
    /// The consumer went away.
    is_closed: bool,
    /// CLOCK_MONOTONIC of the last record or loss taken.
    last_ts_ns: u64,
    /// Every record up to here was taken.
    until_ns: u64,
}

impl Queue {
    fn empty_batch(&self) -> Batch {
        match self.used.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Batch::new(),
        }
    }

    /// Hands the batch over, or drops it where the queue is full. It is empty afterwards.
    fn send(&mut self, batch: &mut Batch, decoder: &mut Decoder) {
        if batch.is_empty() {
            return;
        }
        let len = batch.bytes().len();
        if self.shared.queued_bytes.load(Ordering::Relaxed) + len > QUEUE_BYTES {
            self.miss(batch);
            return;
        }
        if self.missing.is_some() {
            let mut mark = self.empty_batch();
            self.declare_missing(&mut mark, decoder);
        }
        let fresh = self.empty_batch();
        let new = self.watch.as_mut().map(Watch::take).unwrap_or_default();
        self.pass(std::mem::replace(batch, fresh), new);
    }

    fn pass(&mut self, batch: Batch, new: Vec<(usize, Sighting)>) {
        self.shared.queued_bytes.fetch_add(batch.bytes().len(), Ordering::Relaxed);
        let until_ns = self.until_ns;
        self.is_closed |= self.batches.send(Delivery { batch, new, until_ns }).is_err();
    }

    fn miss(&mut self, batch: &mut Batch) {
        let times = batch.get(0).zip(batch.get(batch.len() - 1)).map(|(a, b)| (a.ts_ns, b.ts_ns));
        let (first, last) = times.unwrap_or_default();
        let missing = self.missing.get_or_insert(Missing { count: 0, first_ts_ns: first, last_ts_ns: last });
        missing.count += batch.len() as u64;
        missing.last_ts_ns = last;
        self.shared.sink_lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
        batch.clear();
        if let Some(watch) = &mut self.watch {
            watch.carry();
        }
    }

    /// Puts a marker for what is missing into the stream.
    fn declare_missing(&mut self, mark: &mut Batch, decoder: &mut Decoder) {
        let Some(missing) = self.missing.take() else { return };
        decoder.sink_loss(missing.count, missing.first_ts_ns, missing.last_ts_ns, mark);
        self.pass(std::mem::take(mark), Vec::new());
    }
}
