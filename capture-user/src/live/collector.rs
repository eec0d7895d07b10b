//! The collector: owns the loaded probe and its rings, and hands out one stream of records in
//! time order with losses declared in place. Single-threaded and movable to a thread of its own;
//! it never blocks on anything but its own sleep.

use super::{
    clock::{self, WallClock},
    error::LiveError,
    load::{Probe, ProbeOptions},
    loss::{LaneLedger, Loss, LossCause},
    mapping::Mapping,
    merge::{self, Lane, Merge},
    object::lane_bytes,
    probe_log::ProbeLog,
    pulse::Pulse,
    ring::{LaneReader, LostState, Unknown},
    sleep::Pace,
    stale::{Stale, StaleLane, StaleQueue},
};
use capture_common::abi::{self, LossFixed, RecordView, kind};
use std::{
    sync::atomic::{Ordering, fence},
    time::{Duration, Instant},
};

/// How to capture.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// What the probe records.
    pub probe: ProbeOptions,
}

/// A record in the stream.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// CPU that wrote it.
    pub cpu: u32,
    /// Its time in the stream, CLOCK_MONOTONIC ns: the header's, or later when it came late.
    pub ts_ns: u64,
    /// Its time was raised.
    pub late: bool,
    /// The record. Its bytes are only valid during the call.
    pub view: RecordView<'a>,
}

/// What a drain hands out.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A record (never of kind LOSS).
    Record(RecordRef<'a>),
    /// Records were lost here.
    Loss(Loss),
    /// State of processes changed here unseen.
    Stale(Stale<'a>),
}

/// Counts of one CPU since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// CPU number.
    pub cpu: u32,
    /// Records that were to be written.
    pub seen: u64,
    /// Records handed out by [`Collector::drain`].
    pub written: u64,
    /// Records lost in a full ring, or shed.
    pub dropped: u64,
    /// Records lost because both lanes were in use (not in `seen`).
    pub nested_lost: u64,
    /// Calls of capture itself, not recorded (not in `seen`).
    pub self_excluded: u64,
    /// Records of processes outside the watched tree, not made (not in `seen`).
    pub filtered: u64,
    /// Records that cannot pass the filter, not made (not in `seen`).
    pub left_out: u64,
}

/// Counts of the whole capture. Every record that was to be written is in exactly one of: written,
/// still in a ring, lost (`dropped` per CPU).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    /// By CPU.
    pub cpus: Vec<CpuStats>,
    /// Runs of programs that the kernel skipped.
    pub skipped: u64,
    /// Records lost on CPUs without a ring.
    pub without_ring: u64,
    /// Records whose time was raised.
    pub late: u64,
    /// Drains.
    pub drains: u64,
    /// Record bytes handed out.
    pub bytes: u64,
    /// Errors in rings: lanes given up.
    pub broken_lanes: u64,
    /// Bytes of each CPU's ring.
    pub ring_bytes: u64,
    /// How full the fullest ring was at worst, in percent.
    pub fill_percent: u64,
}

impl CaptureStats {
    /// All records lost, whatever the cause.
    pub fn lost(&self) -> u64 {
        let on_cpus = self.cpus.iter().map(|c| c.dropped + c.nested_lost).sum::<u64>();
        on_cpus + self.skipped + self.without_ring
    }

    /// All records handed out.
    pub fn written(&self) -> u64 {
        self.cpus.iter().map(|c| c.written).sum()
    }
}

/// Drains between looks at the counters that cost a system call or more.
const SLOW_LOOK_DRAINS: u64 = 64;
/// Drains after which a loss without a following record is declared from the counters.
const OPEN_DRAINS: u32 = 8;
/// How often the end looks whether a program is still writing, 1 ms apart. A CPU that the
/// hypervisor took away in the middle of a program comes back within this time.
const FINISH_LOOKS: u32 = 50;

/// One lane with its accounts.
struct Source {
    reader: LaneReader,
    ledger: LaneLedger,
    written: u64,
    /// Drains that saw an undeclared loss.
    open: u32,
}

/// A running capture.
pub struct Collector {
    sources: Vec<Source>,
    // Behind the readers: they point into it.
    _memory: Mapping,
    probe: Probe,
    log: Option<ProbeLog>,
    merge: Merge,
    pace: Pace,
    stats: CaptureStats,
    skipped_declared: u64,
    no_ring_declared: u64,
    clock: WallClock,
    began_ns: u64,
    stale: StaleQueue,
    /// Time of the last look at the lanes.
    looked_ns: u64,
    /// Everything up to here is handed out.
    released_ns: u64,
    /// How full the fullest ring was at the last drain.
    fill_percent: u64,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("probe", &self.probe)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Collector {
    /// Loads the probe and attaches its parts, in their order.
    ///
    /// # Errors
    /// What is missing or what the kernel refused.
    pub fn open(options: &LiveOptions) -> Result<Self, LiveError> {
        let mut probe = Probe::load(&options.probe)?;
        let lanes = probe.cpus.ringed.len() * abi::LANES_PER_CPU;
        let len = lanes * lane_bytes(probe.ring_bytes) as usize;
        let memory = Mapping::new(probe.lanes_fd()?, len, "mapping the probe's rings")?;
        let readers = LaneReader::all(&memory, probe.ring_bytes, &probe.cpus.ringed);
        let source = |reader| Source { reader, ledger: LaneLedger::default(), written: 0, open: 0 };
        let log = if options.probe.log { Some(ProbeLog::open(&mut probe)?) } else { None };
        let clock = WallClock::start()?;
        let (began_ns, began) = (clock::monotonic_ns()?, Instant::now());
        probe.attach_all()?;
        probe.steps.add("attaching", began);
        let ring_bytes = probe.ring_bytes;
        Ok(Self {
            sources: readers.into_iter().map(source).collect(),
            _memory: memory,
            probe,
            log,
            merge: Merge::default(),
            pace: Pace::new(ring_bytes),
            stats: CaptureStats { ring_bytes, ..CaptureStats::default() },
            skipped_declared: 0,
            no_ring_declared: 0,
            clock,
            began_ns,
            stale: StaleQueue::default(),
            looked_ns: began_ns,
            released_ns: 0,
            fill_percent: 0,
        })
    }

    /// Hands every record that is due to `sink`, in time order. Returns how long to sleep before
    /// the next drain.
    ///
    /// # Errors
    /// When the clock cannot be read or a ring holds garbage (the ring is then given up; draining
    /// again goes on with the others).
    pub fn drain(&mut self, sink: &mut dyn FnMut(Item<'_>)) -> Result<Duration, LiveError> {
        let taken_ns = clock::monotonic_ns()?;
        // The time is read before any lane is looked at.
        fence(Ordering::SeqCst);
        let limit = merge::watermark(taken_ns, self.sources.iter_mut().map(|s| s.reader.look()));
        let fill = self.sources.iter().map(|s| s.reader.fill()).fold(0.0, f64::max);
        self.fill_percent = (fill * 100.0) as u64;
        self.stats.fill_percent = self.stats.fill_percent.max(self.fill_percent);
        self.look_for_stale(taken_ns)?;
        let released = self.release(limit, sink);
        self.released_ns = limit;
        self.stats.drains += 1;
        self.declare_open(limit, sink);
        released.map(|()| self.pace.after_drain(fill))
    }

    /// A time before every record, CLOCK_MONOTONIC ns: when the probe was loaded, and not attached yet.
    pub fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// Everything up to this time is handed out, CLOCK_MONOTONIC ns.
    pub fn released_ns(&self) -> u64 {
        self.released_ns
    }

    /// A time at which something that is no record may stand in the stream now.
    pub fn place_now(&mut self) -> u64 {
        self.merge.place(self.released_ns)
    }

    fn look_for_stale(&mut self, taken_ns: u64) -> Result<(), LiveError> {
        let stale = &mut self.stale;
        let mut began_ns = None;
        for source in &mut self.sources {
            source.reader.lost_state(self.looked_ns, &mut |lost| stale.push(lost));
            let lane_began_ns = source.reader.loss_began(self.looked_ns);
            began_ns = began_ns.into_iter().chain(lane_began_ns).min();
        }
        let mut result = Ok(());
        if let Some(from_ns) = began_ns {
            // Counted may be what was lost after `taken_ns`.
            let now_ns = clock::monotonic_ns();
            let until_ns = *now_ns.as_ref().unwrap_or(&taken_ns);
            stale.push(LostState { what: Unknown::Pairs, from_ns, until_ns });
            result = now_ns.map(drop);
        }
        stale.sort(self.merge.place(0));
        self.looked_ns = taken_ns;
        result
    }

    /// Hands out what is published and not newer than `limit_ns`.
    fn release(&mut self, limit_ns: u64, sink: &mut dyn FnMut(Item<'_>)) -> Result<(), LiveError> {
        let mut error = None;
        {
            let sink = std::cell::RefCell::new(&mut *sink);
            let (bytes, error) = (std::cell::Cell::new(0), std::cell::RefCell::new(&mut error));
            let lane = |source| Merged::Lane(Draining { source, sink: &sink, bytes: &bytes, error: &error });
            // First, so that it comes before a record of the same time.
            let stale = Merged::Stale(StaleLane { queue: &mut self.stale, sink: &sink });
            let mut lanes = [stale].into_iter().chain(self.sources.iter_mut().map(lane)).collect::<Vec<_>>();
            self.merge.run(&mut lanes, limit_ns);
            self.stats.bytes += bytes.get();
        }
        for source in &mut self.sources {
            source.reader.give_back();
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        match error {
            Some(e) => {
                self.stats.broken_lanes += 1;
                Err(e)
            }
            None => Ok(()),
        }
    }

    /// Declares losses that no record followed, and those that only counters know.
    fn declare_open(&mut self, ts_ns: u64, sink: &mut dyn FnMut(Item<'_>)) {
        for source in &mut self.sources {
            let counters = source.reader.counters();
            source.open = if source.ledger.is_open(&counters) { source.open + 1 } else { 0 };
            let cpu = source.reader.cpu;
            let nested = source.ledger.settle_nested(cpu, ts_ns, &counters);
            let stale =
                if source.open > OPEN_DRAINS { source.ledger.settle(cpu, ts_ns, &counters) } else { None };
            for loss in [nested, stale].into_iter().flatten() {
                sink(Item::Loss(Loss { ts_ns: self.merge.place(ts_ns), ..loss }));
            }
            if nested.is_some() {
                sink(Item::Stale(anything(self.looked_ns, self.merge.place(ts_ns))));
            }
        }
        if self.stats.drains.is_multiple_of(SLOW_LOOK_DRAINS) {
            self.declare_slow(ts_ns, sink);
        }
    }

    fn declare_slow(&mut self, ts_ns: u64, sink: &mut dyn FnMut(Item<'_>)) {
        let skipped = self.probe.recursion_misses();
        let no_ring = self.probe.lost_without_ring();
        let counts = [
            (LossCause::Skipped, skipped.saturating_sub(self.skipped_declared)),
            (LossCause::NoRing, no_ring.saturating_sub(self.no_ring_declared)),
        ];
        self.skipped_declared = self.skipped_declared.max(skipped);
        self.no_ring_declared = self.no_ring_declared.max(no_ring);
        for (cause, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let ts_ns = self.merge.place(ts_ns);
            sink(Item::Loss(Loss { cause, cpu: None, count, stateful: 0, enters: 0, first_ts_ns: 0, ts_ns }));
            sink(Item::Stale(anything(ts_ns, ts_ns)));
        }
    }

    /// Stops recording, hands out what is left and declares every loss not yet declared. An error
    /// stops none of that.
    ///
    /// # Errors
    /// The first of: a program that cannot be detached, and what [`Collector::drain`] fails of.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Item<'_>)) -> Result<(), LiveError> {
        let mut result = self.probe.detach_all();
        // Programs that still run finish within microseconds, as a rule.
        for _ in 0..FINISH_LOOKS {
            std::thread::sleep(Duration::from_millis(1));
            if self.sources.iter_mut().all(|s| s.reader.look().busy == 0) {
                break;
            }
        }
        // A lane that breaks ends its own part only. Nothing is held back any more.
        result = result.and(self.drain(sink).map(|_| ()));
        for source in &mut self.sources {
            source.reader.look();
        }
        result = result.and(self.look_for_stale(self.looked_ns));
        result = result.and(self.release(u64::MAX, sink));
        // Only now: a marker placed at the present raises the time of every record behind it.
        let ts_ns = self.merge.place(clock::monotonic_ns()?);
        self.declare_slow(ts_ns, sink);
        for source in &mut self.sources {
            let (cpu, counters) = (source.reader.cpu, source.reader.counters());
            let full = source.ledger.settle(cpu, ts_ns, &counters);
            let nested = source.ledger.settle_nested(cpu, ts_ns, &counters);
            full.into_iter().chain(nested).for_each(|loss| sink(Item::Loss(loss)));
        }
        result
    }

    /// The counts that are shown while the capture runs.
    pub(super) fn pulse(&self) -> Pulse {
        let dropped = |source: &Source| {
            let now = source.reader.counters();
            now.dropped + now.nested_lost
        };
        Pulse {
            records: self.sources.iter().map(|source| source.written).sum(),
            bytes: self.stats.bytes,
            lost: self.sources.iter().map(dropped).sum::<u64>()
                + self.skipped_declared
                + self.no_ring_declared,
            fill_percent: self.fill_percent,
        }
    }

    /// Counts up to now.
    pub fn stats(&self) -> CaptureStats {
        let mut cpus: Vec<CpuStats> = Vec::new();
        for source in &self.sources {
            let now = source.reader.counters();
            let cpu = source.reader.cpu;
            if cpus.last().is_none_or(|c| c.cpu != cpu) {
                cpus.push(CpuStats { cpu, ..CpuStats::default() });
            }
            if let Some(stats) = cpus.last_mut() {
                stats.seen += now.seen;
                stats.written += source.written;
                stats.dropped += now.dropped;
                stats.nested_lost += now.nested_lost;
                stats.self_excluded += now.self_excluded;
                stats.filtered += now.filtered;
                stats.left_out += now.left_out;
            }
        }
        CaptureStats {
            cpus,
            late: self.merge.late,
            skipped: self.skipped_declared,
            without_ring: self.no_ring_declared,
            ..self.stats.clone()
        }
    }

    /// The clock that turns record times into wall-clock time. [`WallClock::check`] it now and
    /// then, and copy what it says into the stream.
    pub fn clock(&mut self) -> &mut WallClock {
        &mut self.clock
    }

    /// The loaded probe.
    pub fn probe(&mut self) -> &mut Probe {
        &mut self.probe
    }
}

/// Where the kind of what is lost is not known, anything may have changed.
fn anything(from_ns: u64, ts_ns: u64) -> Stale<'static> {
    Stale { pids: None, from_ns: from_ns.min(ts_ns), until_ns: ts_ns, ts_ns }
}

/// What is merged.
enum Merged<'a, 'b, 'c> {
    Stale(StaleLane<'a, 'b, 'c>),
    Lane(Draining<'a, 'b, 'c>),
}

impl Lane for Merged<'_, '_, '_> {
    #[inline]
    fn peek_ts(&mut self) -> Option<u64> {
        match self {
            Self::Stale(queue) => queue.peek_ts(),
            Self::Lane(lane) => lane.peek_ts(),
        }
    }

    #[inline]
    fn release(&mut self, ts_ns: u64, late: bool) {
        match self {
            Self::Stale(queue) => queue.release(ts_ns, late),
            Self::Lane(lane) => lane.release(ts_ns, late),
        }
    }
}

/// A lane during one drain.
struct Draining<'a, 'b, 'c> {
    source: &'a mut Source,
    sink: &'a std::cell::RefCell<&'b mut (dyn FnMut(Item<'_>) + 'c)>,
    bytes: &'a std::cell::Cell<u64>,
    error: &'a std::cell::RefCell<&'a mut Option<LiveError>>,
}

impl Lane for Draining<'_, '_, '_> {
    fn peek_ts(&mut self) -> Option<u64> {
        self.source.reader.peek().map(|h| h.ts_ns)
    }

    fn release(&mut self, ts_ns: u64, late: bool) {
        let cpu = self.source.reader.cpu;
        let record = match self.source.reader.next() {
            Ok(Some(bytes)) => RecordView::parse(bytes),
            Ok(None) => None,
            Err(e) => {
                **self.error.borrow_mut() = Some(e);
                None
            }
        };
        let Some(view) = record else { return };
        let mut sink = self.sink.borrow_mut();
        if view.header.kind == kind::LOSS {
            let loss =
                view.split::<LossFixed>().and_then(|(fixed, _)| self.source.ledger.mark(cpu, ts_ns, &fixed));
            if let Some(loss) = loss {
                sink(Item::Loss(loss));
            }
            return;
        }
        self.source.written += 1;
        self.bytes.set(self.bytes.get() + u64::from(view.header.len));
        sink(Item::Record(RecordRef { cpu, ts_ns, late, view }));
    }
}
