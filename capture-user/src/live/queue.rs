//! [`Queue`]: what the drain thread makes on its way to the consumer, bounded by bytes.
//!
//! Invariant: the drain thread never waits here. Batches that find the queue full are dropped, counted,
//! and declared in the stream at the place where they are missing. What such a batch itself declares as
//! lost is declared there, too.

use super::containers::{Sighting, Watch};
use super::decode::Decoder;
use super::pulse::PulseCell;
use super::{Loss, Stale};
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
    pub(super) pulse: PulseCell,
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

/// What a batch declares: losses, one of each cause and CPU, and that state does not hold.
#[derive(Debug, Default)]
struct Declared {
    losses: Vec<Loss>,
    stale: Option<Stale<'static>>,
}

impl Declared {
    fn clear(&mut self) {
        self.losses.clear();
        self.stale = None;
    }

    fn loss(&mut self, loss: &Loss) {
        let same = |known: &&mut Loss| (known.cause, known.cpu) == (loss.cause, loss.cpu);
        let Some(known) = self.losses.iter_mut().find(same) else { return self.losses.push(*loss) };
        known.count += loss.count;
        known.stateful += loss.stateful;
        known.enters += loss.enters;
        known.first_ts_ns = known.first_ts_ns.min(loss.first_ts_ns);
        known.ts_ns = known.ts_ns.max(loss.ts_ns);
    }

    /// Of whom it is, is not kept: after events that were dropped nothing holds of anybody.
    fn stale(&mut self, stale: &Stale<'_>) {
        let known = self.stale.get_or_insert(Stale { pids: None, ..*stale });
        known.from_ns = known.from_ns.min(stale.from_ns);
        known.until_ns = known.until_ns.max(stale.until_ns);
        known.ts_ns = known.ts_ns.max(stale.ts_ns);
    }

    /// Takes over all of another.
    fn take(&mut self, other: &mut Declared) {
        other.losses.drain(..).for_each(|loss| self.loss(&loss));
        other.stale.take().iter().for_each(|stale| self.stale(stale));
    }

    /// Puts it into the stream.
    fn declare(&mut self, decoder: &mut Decoder, mark: &mut Batch) {
        self.losses.sort_by_key(|loss| loss.ts_ns);
        self.losses.drain(..).for_each(|loss| decoder.loss_again(&loss, mark));
        self.stale.take().iter().for_each(|stale| decoder.stale(stale, mark));
    }
}

/// Events that found the queue full.
struct Missing {
    count: u64,
    first_ts_ns: u64,
    last_ts_ns: u64,
    /// What the batches declared that were dropped.
    declared: Declared,
}

/// The bounded way to the consumer.
pub(super) struct Queue {
    batches: Sender<Delivery>,
    used: Receiver<Batch>,
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Option<Watch>,
    missing: Option<Missing>,
    /// What the batch under way declares, and how many events that takes.
    declared: Declared,
    declaring: u64,
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
            declared: Declared::default(),
            declaring: 0,
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

    /// Declares a loss in the batch under way.
    pub(super) fn loss(&mut self, loss: &Loss, decoder: &mut Decoder, batch: &mut Batch) {
        let before = batch.len();
        decoder.loss(loss, batch);
        self.declared.loss(loss);
        self.declaring += (batch.len() - before) as u64;
    }

    /// Notes in the batch under way that state does not hold.
    pub(super) fn stale(&mut self, stale: &Stale<'_>, decoder: &mut Decoder, batch: &mut Batch) {
        let before = batch.len();
        decoder.stale(stale, batch);
        self.declared.stale(stale);
        self.declaring += (batch.len() - before) as u64;
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
        self.declared.clear();
        self.declaring = 0;
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
        let missing = self.missing.get_or_insert_with(|| Missing {
            count: 0,
            first_ts_ns: first,
            last_ts_ns: last,
            declared: Declared::default(),
        });
        missing.declared.take(&mut self.declared);
        // Those are not lost.
        let count = batch.len() as u64 - std::mem::take(&mut self.declaring);
        missing.count += count;
        missing.last_ts_ns = last;
        self.shared.sink_lost.fetch_add(count, Ordering::Relaxed);
        batch.clear();
        if let Some(watch) = &mut self.watch {
            watch.carry();
        }
    }

    /// Puts a marker for what is missing into the stream.
    pub(super) fn declare_missing(&mut self, mark: &mut Batch, decoder: &mut Decoder) {
        let Some(mut missing) = self.missing.take() else { return };
        missing.declared.declare(decoder, mark);
        decoder.sink_loss(missing.count, missing.first_ts_ns, missing.last_ts_ns, mark);
        self.has_lost_state = true;
        decoder.stale_after_sink(missing.first_ts_ns, missing.last_ts_ns, mark);
        self.pass(std::mem::take(mark), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::super::LossCause;
    use super::super::decode::DecodeOptions;
    use super::*;
    use capture_common::event_table::code;

    const WALL_NS: i64 = 1_000_000;

    fn lost(cpu: u32, count: u64, first_ts_ns: u64, ts_ns: u64) -> Loss {
        let cause = LossCause::RingFull;
        Loss { cause, cpu: Some(cpu), count, stateful: 1, enters: 2, first_ts_ns, ts_ns }
    }

    /// Notes of a batch: name and data.
    fn notes(batch: &Batch) -> Vec<(String, String)> {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let notes = batch.iter().filter(|event| event.code == code::ASYNCEVENT_E);
        notes.map(|event| (text(event.text(1)), text(event.param(2)))).collect()
    }

    #[test]
    fn what_a_dropped_batch_declares_is_declared_all_the_same() {
        let mut decoder = Decoder::new(DecodeOptions { wall_offset_ns: WALL_NS, snaplen: 80 });
        let (mut queue, out, _back) = Queue::new(Arc::new(Shared::default()), None);
        let mut batch = Batch::new();
        queue.shared.queued_bytes.store(QUEUE_BYTES, Ordering::Relaxed);
        // Three batches that find no room, the first and the last with losses.
        decoder.note(b"a", b"{}", 1_000_001, &mut batch);
        queue.loss(&lost(0, 10, 2, 5), &mut decoder, &mut batch);
        queue.loss(&lost(1, 100, 3, 6), &mut decoder, &mut batch);
        let stale = Stale { pids: Some(&[7]), from_ns: 1, until_ns: 9, ts_ns: 6 };
        queue.stale(&stale, &mut decoder, &mut batch);
        queue.send(&mut batch, &mut decoder);
        decoder.note(b"b", b"{}", 1_000_007, &mut batch);
        queue.send(&mut batch, &mut decoder);
        queue.loss(&lost(0, 1000, 6, 8), &mut decoder, &mut batch);
        decoder.note(b"c", b"{}", 1_000_010, &mut batch);
        queue.send(&mut batch, &mut decoder);
        assert!(out.try_recv().is_err() && batch.is_empty());
        assert_eq!(queue.shared.sink_lost.load(Ordering::Relaxed), 3);
        // One that finds it.
        queue.shared.queued_bytes.store(0, Ordering::Relaxed);
        queue.loss(&lost(0, 10_000, 11, 12), &mut decoder, &mut batch);
        queue.send(&mut batch, &mut decoder);
        let [mark, passed] = [(); 2].map(|()| out.try_recv().unwrap().batch);
        let loss = |cause: &str, cpu: &str, [count, stateful, enters]: [u64; 3], [first, last]: [u64; 2]| {
            let detail = format!(
                "{{\"cause\":\"{cause}\",\"cpu\":{cpu},\"count\":{count},\"stateful\":{stateful},\
                 \"enters\":{enters},\"first_ts_ns\":{first},\"last_ts_ns\":{last}}}"
            );
            ("capture.loss".to_owned(), detail)
        };
        let stale = |from: u64, until: u64| {
            let detail = format!("{{\"from_ts_ns\":{from},\"until_ts_ns\":{until},\"pids\":null}}");
            ("capture.stale".to_owned(), detail)
        };
        let wanted = [
            loss("ring_full", "1", [100, 1, 2], [1_000_003, 1_000_006]),
            loss("ring_full", "0", [1010, 2, 4], [1_000_002, 1_000_008]),
            stale(1_000_001, 1_000_009),
            loss("sink", "null", [3, 0, 0], [1_000_001, 1_000_010]),
            stale(1_000_001, 1_000_010),
        ];
        assert_eq!(notes(&mark), wanted);
        assert_eq!(notes(&passed), [loss("ring_full", "0", [10_000, 1, 2], [1_000_011, 1_000_012])]);
        // And nothing twice.
        decoder.note(b"d", b"{}", 1_000_020, &mut batch);
        queue.send(&mut batch, &mut decoder);
        queue.declare_missing(&mut batch, &mut decoder);
        assert_eq!(out.try_iter().flat_map(|passed| notes(&passed.batch)).count(), 1);
    }
}
