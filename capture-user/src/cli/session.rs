//! Carries out a [`Plan`]: brings events from the source through state and filter to the
//! consumers, and ends in order on Ctrl-C, limits and errors.

use super::consumers::{ChiselConsumer, Consumer, Event, FileConsumer, LineConsumer, SummaryConsumer};
use super::error::CliError;
use super::feed::{Feed, Source};
use super::plan::{Input, Limits, LivePlan, Plan};
use super::progress::Progress;
use super::report::ReplayStats;
use super::signals::StopFlag;
use super::{proclist, report, same_file};
use crate::enrich::Enrichment;
use crate::live::containers::ContainerOptions;
use crate::live::priority;
use crate::live::source::{LiveSource, LiveStats};
use capture_common::{Next, Snapshot};
use capture_engine::{Engine, EventFilter, EventView, Options};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// Runs the whole plan.
pub fn run(plan: Plan, stop: StopFlag) -> Result<(), CliError> {
    let mut session = Session::new(plan, stop)?;
    let result = session.run_inputs();
    // Consumers end even after an error: what was read before it counts.
    let ended = session.end();
    result.and(ended)
}

struct Session {
    plan: Plan,
    stop: StopFlag,
    filter: Option<EventFilter>,
    consumers: Vec<Box<dyn Consumer>>,
    /// Whether whole batches may go to the file without a look at their events.
    passthrough: bool,
    limiter: Limiter,
    progress: Option<Progress>,
    live: Option<LiveStats>,
    replay: ReplayStats,
    started: Instant,
}

impl Session {
    fn new(mut plan: Plan, stop: StopFlag) -> Result<Session, CliError> {
        let mut filter = plan.filter.take();
        let display = if plan.display_filter { filter.take() } else { None };
        let limited = plan.limits.count.is_some() || plan.limits.duration_ns.is_some();
        let mut consumers: Vec<Box<dyn Consumer>> = Vec::new();
        let chisels = std::mem::take(&mut plan.chisels);
        let with_chisels = !chisels.is_empty();
        for call in chisels {
            consumers.push(Box::new(ChiselConsumer::start(call.chisel, &plan.lines)?));
        }
        if !with_chisels && !plan.lines.quiet {
            consumers.push(Box::new(LineConsumer::new(&plan.lines, plan.verbose, plan.debug, display)?));
        }
        if plan.summary {
            // As in sysdig nothing is counted while a chisel runs.
            consumers.push(Box::new(SummaryConsumer::new(!with_chisels)));
        }
        let chooses = filter.is_some() || limited || !plan.suppress.is_empty();
        let rotates = plan.write.as_ref().is_some_and(|write| write.rotation.is_some());
        let passthrough = consumers.is_empty() && !chooses && !rotates && plan.write.is_some();
        let session = Session {
            limiter: Limiter::new(plan.limits),
            progress: plan.progress.then(Progress::default),
            filter,
            consumers,
            passthrough,
            plan,
            stop,
            live: None,
            replay: ReplayStats::default(),
            started: Instant::now(),
        };
        Ok(session)
    }

    fn engine_options(&self) -> Options {
        Options { ports: self.plan.ports, ..Options::default() }
    }

    fn run_inputs(&mut self) -> Result<(), CliError> {
        match &self.plan.input {
            Input::Live(live) => {
                let live = live.clone();
                self.run_live(&live)
            }
            Input::Files(files) => {
                let files = files.clone();
                if let Some(write) = &self.plan.write {
                    same_file::refuse(&files, &write.path)?;
                }
                self.run_files(&files)
            }
        }
    }

    fn run_files(&mut self, files: &[String]) -> Result<(), CliError> {
        let mut feeds = Vec::new();
        for file in files {
            match Feed::open(file, self.engine_options(), &self.stop)? {
                Some(feed) => feeds.push(feed),
                None => return Ok(()),
            }
        }
        let result = match &mut feeds[..] {
            [feed] => self.pass_on(feed),
            feeds => self.merge(feeds),
        };
        for feed in &feeds {
            self.replay.add(&feed.name, feed.read_stats(), feed.engine.counters());
        }
        if let (Ok(()), Some(progress)) = (&result, &mut self.progress) {
            progress.end();
        }
        result
    }

    fn run_live(&mut self, live: &LivePlan) -> Result<(), CliError> {
        priority::raise(priority::CONSUMER);
        let mut options = live.source_options();
        if let Some(plan) = &live.containers {
            let directory = Enrichment::start(&plan.sources).map_err(|error| CliError::Io {
                what: "starting the threads that ask for containers".into(),
                error,
            })?;
            options.containers = Some(ContainerOptions { directory: Arc::new(directory), wait: plan.wait });
        }
        let source = LiveSource::open(&options)?;
        let mut feed = Feed::new("live", Source::Live(Box::new(source)), self.engine_options());
        let result = self.pass_on(&mut feed);
        // The capture ends in order whatever happened: what was lost is told after a failure, too.
        if let Source::Live(live) = feed.source {
            let (stats, closed) = live.close();
            self.live = Some(stats);
            result?;
            closed?;
        }
        Ok(())
    }

    /// Creates the file to write, once: when the first source has delivered something, so that a
    /// refusal leaves nothing and an input that is no capture costs no older file of that name.
    fn open_writer(&mut self) -> Result<(), CliError> {
        if let Some(write) = self.plan.write.take() {
            self.consumers.push(Box::new(FileConsumer::create(write)?));
        }
        Ok(())
    }

    /// Passes one source on to its end.
    fn pass_on(&mut self, feed: &mut Feed) -> Result<(), CliError> {
        let mut stopping = false;
        loop {
            let next = feed.fetch()?;
            if !matches!(next, Next::Idle) {
                self.open_writer()?;
            }
            let mut flow = ControlFlow::Continue(());
            match next {
                Next::End => return Ok(()),
                Next::Section(snapshot) => self.section(&mut feed.engine, *snapshot)?,
                Next::Events => flow = self.events(feed, u64::MAX)?,
                Next::Idle => {}
            }
            self.pause(std::slice::from_ref(feed))?;
            if flow.is_break() {
                // A limit drops what is still under way; Ctrl-C delivers it.
                return Ok(());
            }
            match &mut feed.source {
                Source::File(_) if self.stop.is_set() => return Ok(()),
                Source::Live(live) if self.stop.is_set() && !stopping => {
                    stopping = true;
                    live.stop();
                }
                _ => {}
            }
        }
    }

    /// Passes several files on in the order of their events' times, each through a state of its
    /// own. A file that is written cannot hold two machines at a time: it gets one input after
    /// another, in the order of their first events. A fault of one input ends that input alone.
    fn merge(&mut self, feeds: &mut [Feed]) -> Result<(), CliError> {
        let writes = self.plan.write.is_some();
        for feed in feeds.iter_mut() {
            feed.fill(&self.stop);
        }
        if feeds.iter().any(|feed| feed.next_ts_ns().is_some()) {
            self.open_writer()?;
        }
        while !self.stop.is_set() {
            let times = feeds.iter().enumerate().filter_map(|(i, feed)| Some((feed.next_ts_ns()?, i)));
            let Some((_, first)) = times.clone().min() else { break };
            let others = times.filter(|&(_, i)| i != first).map(|(ts_ns, _)| ts_ns).min();
            let until_ns = if writes { u64::MAX } else { others.unwrap_or(u64::MAX) };
            while let Some(feed) = feeds.get_mut(first) {
                for snapshot in std::mem::take(&mut feed.sections) {
                    self.section(&mut feed.engine, snapshot)?;
                }
                let flow = self.events(feed, until_ns)?;
                if flow.is_break() {
                    return Ok(());
                }
                if feed.at < feed.batch.len() {
                    break;
                }
                feed.fill(&self.stop);
                self.pause(feeds)?;
                let feed = &feeds[first];
                if self.stop.is_set() || feed.next_ts_ns().is_none_or(|ts_ns| ts_ns > until_ns) {
                    break;
                }
            }
        }
        feeds.iter_mut().find_map(|feed| feed.fault.take()).map_or(Ok(()), Err)
    }

    /// Between batches.
    fn pause(&mut self, feeds: &[Feed]) -> Result<(), CliError> {
        if let Some(progress) = &mut self.progress {
            let (mut read, mut size) = (0, 0);
            for (feed_read, feed_size) in feeds.iter().filter_map(Feed::progress) {
                (read, size) = (read + feed_read, size + feed_size);
            }
            progress.show(read, size);
        }
        self.consumers.iter_mut().try_for_each(|consumer| consumer.pause())
    }

    fn section(&mut self, engine: &mut Engine, mut snapshot: Snapshot) -> Result<(), CliError> {
        if self.plan.filter_proclist
            && let Some(filter) = &mut self.filter
        {
            proclist::keep_matching(&mut snapshot, filter);
        }
        // `-E` is about the machine that is recorded: a replay has the names that its file has.
        if matches!(&self.plan.input, Input::Live(live) if !live.users) {
            snapshot.users.clear();
            snapshot.groups.clear();
        }
        engine.begin_section(&snapshot);
        self.consumers.iter_mut().try_for_each(|consumer| consumer.section(&snapshot))
    }

    /// Passes on the events of the feed's batch up to a time.
    fn events(&mut self, feed: &mut Feed, until_ns: u64) -> Result<ControlFlow<()>, CliError> {
        let Feed { batch, at, engine, .. } = feed;
        if self.passthrough && *at == 0 && until_ns == u64::MAX {
            *at = batch.len();
            self.limiter.counted += batch.len() as u64;
            for consumer in &mut self.consumers {
                consumer.whole_batch(batch)?;
            }
            return Ok(ControlFlow::Continue(()));
        }
        while *at < batch.len() {
            let Some(raw) = batch.get(*at) else {
                *at += 1;
                continue;
            };
            if raw.ts_ns > until_ns {
                break;
            }
            if self.limiter.is_past_end(raw.ts_ns) {
                return Ok(ControlFlow::Break(()));
            }
            let applied = engine.apply(&raw);
            let view = engine.view(raw, applied);
            let suppressed = !self.plan.suppress.is_empty() && is_suppressed(&view, &self.plan.suppress);
            self.replay.suppressed += u64::from(suppressed);
            let matched = !suppressed
                && !raw.is_state_only()
                && self.filter.as_mut().is_none_or(|filter| filter.matches(&view));
            let event = Event { view, batch, at: *at, matched, suppressed };
            for consumer in &mut self.consumers {
                consumer.event(&event)?;
            }
            *at += 1;
            if matched && self.limiter.count_is_reached() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Ends the consumers, prints what is to be said at the end.
    fn end(mut self) -> Result<(), CliError> {
        let mut first_error = None;
        let mut written = None;
        for consumer in &mut self.consumers {
            match consumer.end() {
                Ok(Some(stats)) => written = Some(stats),
                Ok(None) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if let Some(live) = &self.live {
            if written.is_some() || self.plan.verbose || live.lost() > 0 {
                report::live_summary(live, written.as_ref());
            }
        } else {
            self.replay.events = self.limiter.counted;
            self.replay.seconds = self.started.elapsed().as_secs_f64();
            report::replay_summary(&self.replay, written.as_ref(), self.plan.verbose);
        }
        if let Some(error) = first_error {
            return Err(error);
        }
        match &self.live {
            Some(live) if self.plan.strict && live.lost() > 0 => Err(CliError::Lost(live.lost())),
            _ => Ok(()),
        }
    }
}

/// `-U`: whether the event's thread has one of the names.
fn is_suppressed(view: &EventView<'_>, names: &[String]) -> bool {
    view.thread().is_some_and(|thread| names.iter().any(|name| name.as_bytes() == &*thread.comm))
}

/// `-n` and `-M`.
struct Limiter {
    limits: Limits,
    counted: u64,
    first_ts_ns: Option<u64>,
}

impl Limiter {
    fn new(limits: Limits) -> Self {
        Limiter { limits, counted: 0, first_ts_ns: None }
    }

    /// Whether an event of this time is past `-M`, which counts from the first event seen.
    #[inline]
    fn is_past_end(&mut self, ts_ns: u64) -> bool {
        let first = *self.first_ts_ns.get_or_insert(ts_ns);
        self.limits.duration_ns.is_some_and(|limit| ts_ns.saturating_sub(first) >= limit)
    }

    /// Counts an event that passed the filter; whether it was the last of `-n`.
    #[inline]
    fn count_is_reached(&mut self) -> bool {
        self.counted += 1;
        self.limits.count == Some(self.counted)
    }
}
