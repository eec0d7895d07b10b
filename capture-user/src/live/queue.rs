//! [`Queue`]: what the drain thread makes on its way to the consumer, bounded by bytes.
//!
//! Invariant: the drain thread never waits here. Batches that find the queue full are dropped, counted,
//! and declared in the stream at the place where they are missing.

use super::containers::{Sighting, Watch};
use super::decode::Decoder;
use capture_common::Batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};

/// Bytes of events that may wait for the consumer.
const QUEUE_BYTES: usize = 128 << 20;
/// Batches that were used and wait to be used again. Each keeps the memory of the fullest that it was, so
/// that what a queue of many small ones takes would not go down again.
const SPARE_BATCHES: usize = 8;

/// What both ends look at.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    pub(super) queued_bytes: AtomicUsize,
    pub(super) sink_lost: AtomicU64,
}

/// What the drain thread hands over.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) batch: Batch,
    /// New containers, by the index of their first event.
    pub(super) new: Vec<(usize, Sighting)>,
    /// Every record up to here is in this batch or in one before, CLOCK_MONOTONIC ns.
    pub(super) until_ns: u64,
    /// Records about any process may be missing before the end of this batch that nothing has noted.
    pub(super) is_blind: bool,
}

/// Events that found the queue full.
#[derive(Clone, Copy)]
struct Missing {
    count: u64,
    first_ts_ns: u64,
    last_ts_ns: u64,
}

/// The bounded way to the consumer.
pub(super) struct Queue {
    batches: Sender<Delivery>,
    used: Receiver<Batch>,
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Option<Watch>,
    missing: Option<Missing>,
    /// The consumer went away.
    pub(super) is_closed: bool,
    /// Events were dropped that may have changed state.
    pub(super) has_lost_state: bool,
    /// CLOCK_MONOTONIC of the last record or loss taken.
    pub(super) last_ts_ns: u64,
    /// Every record up to here was taken.
    pub(super) until_ns: u64,
    /// See [`Delivery::is_blind`].
    pub(super) is_blind: bool,
}

impl Queue {
    /// A queue with nothing in it, what comes out of it, and the way back for batches that were used.
    pub(super) fn new(
        shared: Arc<Shared>,
        watch: Option<Watch>,
    ) -> (Queue, Receiver<Delivery>, SyncSender<Batch>) {
        let (batches, out) = channel();
        let (back, used) = sync_channel(SPARE_BATCHES);
        let queue = Queue {
            batches,
            used,
            shared,
            watch,
            missing: None,
            is_closed: false,
            has_lost_state: false,
            last_ts_ns: 0,
            until_ns: 0,
            is_blind: false,
        };
        (queue, out, back)
    }

    pub(super) fn empty_batch(&self) -> Batch {
        match self.used.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Batch::new(),
        }
    }

    /// Hands the batch over, or drops it where the queue is full. It is empty afterwards.
    pub(super) fn send(&mut self, batch: &mut Batch, decoder: &mut Decoder) {
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
        let (until_ns, is_blind) = (self.until_ns, std::mem::take(&mut self.is_blind));
        self.is_closed |= self.batches.send(Delivery { batch, new, until_ns, is_blind }).is_err();
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
    pub(super) fn declare_missing(&mut self, mark: &mut Batch, decoder: &mut Decoder) {
        let Some(missing) = self.missing.take() else { return };
        decoder.sink_loss(missing.count, missing.first_ts_ns, missing.last_ts_ns, mark);
        self.has_lost_state = true;
        decoder.stale_after_sink(missing.first_ts_ns, missing.last_ts_ns, mark);
        self.pass(std::mem::take(mark), Vec::new());
    }
}
