//! Records this process: opens a collector, runs a closure on a thread of its own, decodes
//! everything that was recorded meanwhile.

use capture_common::batch::Batch;
use capture_common::raw_event::RawEvent;
use capture_tests::live;
use capture_user::live::decode::{DecodeOptions, Decoder};
use capture_user::live::{Item, LiveOptions};
use std::sync::Mutex;

/// Payload bytes that are recorded.
pub(crate) const SNAPLEN: usize = 80;
/// One collector at a time: the tests check values, not load.
static TURN: Mutex<()> = Mutex::new(());

/// What was recorded.
pub(crate) struct Recording {
    batch: Batch,
    lost: u64,
}

impl Recording {
    /// Events of thread `tid`, in order.
    pub(crate) fn of(&self, tid: i64) -> Vec<RawEvent<'_>> {
        self.batch.iter().filter(|e| e.tid == tid).collect()
    }
}

/// Thread id of the caller.
pub(crate) fn gettid() -> i64 {
    // SAFETY: the call takes no argument.
    i64::from(unsafe { libc::gettid() })
}

/// Runs `work` while recording. `None`, after a word about the reason, where this machine cannot
/// record.
pub(crate) fn record<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Option<(T, Recording)> {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut options = LiveOptions::default();
    options.probe.exclude_self = false;
    options.probe.snaplen = SNAPLEN as u32;
    let mut collector = live::collector(name, &options)?;
    let wall_offset_ns = collector.clock().offset_ns();
    let mut decoder = Decoder::new(DecodeOptions { wall_offset_ns, snaplen: SNAPLEN as u32 });
    let mut batch = Batch::new();
    let result = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        let mut last_ns = 0;
        let mut sink = |item: Item<'_>| match item {
            Item::Record(record) => {
                assert!(record.ts_ns >= last_ns, "the stream goes back in time");
                last_ns = record.ts_ns;
                let mut view = record.view;
                view.header.ts_ns = record.ts_ns;
                decoder.decode(&view, record.cpu as u16, &mut batch);
            }
            Item::Loss(loss) => decoder.loss(&loss, &mut batch),
            Item::Stale(stale) => decoder.stale(&stale, &mut batch),
        };
        while !worker.is_finished() {
            let pause = collector.drain(&mut sink).expect("drains");
            std::thread::sleep(pause);
        }
        collector.finish(&mut sink).expect("drains to the end");
        worker.join()
    });
    let lost = collector.stats().lost();
    assert_eq!(decoder.counts().malformed, 0, "records that the decoder does not know");
    match result {
        Ok(value) => Some((value, Recording { batch, lost })),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Recording {
    /// Fails the test if events are missing, since then absence proves nothing.
    pub(crate) fn assert_whole(&self) {
        assert_eq!(self.lost, 0, "records were lost while a test recorded");
    }
}
