//! [`Pump`]: the drain thread. It takes records from the rings, has them decoded, and hands the events to
//! the queue; beside that it watches the clocks, and places what was read again
//! and what CPU time threads have had.
//!
//! Invariant: it waits for nothing but its own pause between drains.

use super::decode::Decoder;
use super::opening::Opening;
use super::queue::Queue;
use super::reread::Rereads;
use super::samples::CpuTime;
use super::{CaptureStats, ClockEvent, Collector, Item, LiveError, priority};
use capture_common::Batch;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// A batch is handed over when it holds this many bytes, or at the end of a drain.
const BATCH_BYTES: usize = 1 << 20;
/// How often the clocks are compared.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// What the drain thread leaves.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) stats: CaptureStats,
    pub(super) reread: u64,
    pub(super) result: Result<(), LiveError>,
}

/// The drain thread.
pub(super) struct Pump {
    /// Until the start snapshot is taken.
    pub(super) opening: Option<Box<OpeningWatch>>,
    pub(super) collector: Collector,
    pub(super) decoder: Decoder,
    pub(super) queue: Queue,
    pub(super) rereads: Rereads,
    /// CPU time of threads.
    pub(super) samples: Receiver<Vec<CpuTime>>,
    pub(super) pause: Option<Duration>,
    pub(super) clock_looked: Instant,
}

/// Watches what changes while the start snapshot is taken.
pub(super) struct OpeningWatch {
    opening: Opening,
    /// Says when the snapshot was complete, CLOCK_MONOTONIC ns.
    taken: Receiver<u64>,
    answer: Sender<Opening>,
    taken_ns: Option<u64>,
}

impl OpeningWatch {
    /// A watch, where to say when the snapshot was complete, and where the answer comes then.
    pub(super) fn new() -> (Box<OpeningWatch>, Sender<u64>, Receiver<Opening>) {
        let (say, taken) = channel();
        let (answer, opened) = channel();
        (Box::new(OpeningWatch { opening: Opening::default(), taken, answer, taken_ns: None }), say, opened)
    }
}

impl Pump {
    /// After a drain: once it has passed the snapshot, hands over what changed before.
    fn end_opening(&mut self, released_ns: u64) {
        let Some(watch) = &mut self.opening else { return };
        if watch.taken_ns.is_none() {
            match watch.taken.try_recv() {
                Ok(taken_ns) => watch.taken_ns = Some(taken_ns),
                Err(TryRecvError::Empty) => {}
                // No snapshot, no capture.
                Err(TryRecvError::Disconnected) => self.opening = None,
            }
            return;
        }
        if watch.taken_ns.is_some_and(|taken_ns| taken_ns <= released_ns)
            && let Some(watch) = self.opening.take()
        {
            watch.opening.spoilt().for_each(|pid| self.rereads.want(pid, 0));
            // Whoever does not wait any more has a snapshot without it.
            let _ = watch.answer.send(watch.opening);
        }
    }

    pub(super) fn run(mut self) -> Ended {
        priority::raise(priority::DRAIN);
        let mut batch = self.queue.empty_batch();
        let drained = self.drain_until_stopped(&mut batch);
        // After an error, too: what was recorded before it is delivered.
        let mut way = Way {
            decoder: &mut self.decoder,
            queue: &mut self.queue,
            rereads: &mut self.rereads,
            opening: None,
        };
        let finished = self.collector.finish(&mut |item| way.take(item, &mut batch));
        self.queue.send(&mut batch, &mut self.decoder);
        self.queue.declare_missing(&mut batch, &mut self.decoder);
        Ended { stats: self.collector.stats(), reread: self.rereads.placed, result: drained.and(finished) }
    }

    fn drain_until_stopped(&mut self, batch: &mut Batch) -> Result<(), LiveError> {
        loop {
            let mut way = Way {
                decoder: &mut self.decoder,
                queue: &mut self.queue,
                rereads: &mut self.rereads,
                opening: self.opening.as_deref_mut(),
            };
            let pause = self.collector.drain(&mut |item| way.take(item, batch))?;
            let (released_ns, place_ns) = (self.collector.released_ns(), self.collector.place_now());
            self.queue.until_ns = self.queue.until_ns.max(released_ns);
            self.queue.shared.pulse.beat(&self.collector.pulse());
            self.end_opening(released_ns);
            self.rereads.step(released_ns, place_ns, &mut self.decoder, batch);
            for times in self.samples.try_iter() {
                self.decoder.cpu_times(&times, place_ns, batch);
            }
            self.queue.send(batch, &mut self.decoder);
            if std::mem::take(&mut self.queue.has_lost_state) {
                self.rereads.want_all(released_ns);
            }
            if self.queue.shared.stop.load(Ordering::Relaxed) || self.queue.is_closed {
                return Ok(());
            }
            self.look_at_clock(batch)?;
            let pause = if self.opening.is_some() { pause } else { self.pause.unwrap_or(pause) };
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

/// The way of what is drained into a batch.
struct Way<'a> {
    decoder: &'a mut Decoder,
    queue: &'a mut Queue,
    rereads: &'a mut Rereads,
    opening: Option<&'a mut OpeningWatch>,
}

impl Way<'_> {
    fn take(&mut self, item: Item<'_>, batch: &mut Batch) {
        match item {
            Item::Record(record) => {
                let mut view = record.view;
                view.header.ts_ns = record.ts_ns;
                self.queue.last_ts_ns = record.ts_ns;
                self.rereads.observe(&view, record.ts_ns);
                if let Some(watch) = &mut self.opening {
                    watch.opening.observe(&view, record.ts_ns);
                }
                self.decoder.decode(&view, record.cpu as u16, batch);
                if let Some(watch) = &mut self.queue.watch
                    && let Some(at) = self.decoder.take_described()
                    && let Some(event) = batch.get(at)
                {
                    watch.look(&event, at);
                }
            }
            Item::Loss(loss) => {
                self.queue.last_ts_ns = loss.ts_ns;
                self.queue.loss(&loss, self.decoder, batch);
            }
            Item::Stale(stale) => {
                self.queue.last_ts_ns = stale.ts_ns;
                self.queue.is_blind |= stale.pids.is_none();
                self.rereads.stale(&stale);
                if let Some(watch) = &mut self.opening {
                    stale.pids.into_iter().flatten().for_each(|&pid| watch.opening.spoil(pid, stale.from_ns));
                }
                self.queue.stale(&stale, self.decoder, batch);
            }
        }
        if batch.bytes().len() >= BATCH_BYTES {
            // Records of the same time may follow.
            self.queue.until_ns = self.queue.until_ns.max(self.queue.last_ts_ns.saturating_sub(1));
            self.queue.send(batch, self.decoder);
        }
    }
}
