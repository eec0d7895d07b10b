//! Carries out a [`Plan`]: brings events from the source through state and filter to the
//! consumers, and ends in order on Ctrl-C, limits and errors.

mod live;

use super::consumers::{ChiselConsumer, Consumer, Event, FileConsumer, LineConsumer, SummaryConsumer};
use super::counters::Counters;
use super::error::CliError;
use super::feed::{Feed, Source, due};
use super::kernel_filter;
use super::limiter::Limiter;
use super::plan::{Input as PlannedInput, Plan};
use super::progress::Progress;
use super::report::ReplayStats;
use super::signals::StopFlag;
use super::stages::Stages;
use super::{Outcome, proclist, report, same_file};
use crate::live::push::Push;
use crate::live::source::LiveStats;
use capture_common::event_table::code;
use capture_common::{Batch, Next, RawEvent, Snapshot};
use capture_engine::kernel_filter::KernelFilter;
use capture_engine::{Applied, Engine, EventFilter, EventView, Options};
use chisels::Input;
use std::ops::ControlFlow;
use std::time::Instant;

/// Runs the whole plan.
pub fn run(plan: Plan, stop: StopFlag) -> Result<Outcome, CliError> {
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
    /// What of the filter the probe decides.
    kernel_filter: Option<KernelFilter>,
    push: Option<Push>,
    consumers: Vec<Box<dyn Consumer>>,
    /// Whether whole batches may go to the file without a look at their events.
    passthrough: bool,
    limiter: Limiter,
    progress: Option<Progress>,
    counters: Option<Counters>,
    live: Option<LiveStats>,
    /// Exit code of the watched command.
    command_code: Option<u8>,
    replay: ReplayStats,
    started: Instant,
    /// `None` where no chisel runs.
    chisels: Option<ChiselState>,
}

/// What chisels want to know besides events.
#[derive(Default)]
struct ChiselState {
    wanted_snaplen: Option<u32>,
    /// Whether they were told that the input is open.
    started: bool,
    /// A copy of the last event, and what applying it found out.
    last: Batch,
    last_applied: Option<Applied>,
}

impl Session {
    fn new(mut plan: Plan, stop: StopFlag) -> Result<Session, CliError> {
        let pushed = kernel_filter::of_plan(&plan).and_then(Result::ok);
        let mut filter = plan.filter.take();
        let display = if plan.display_filter { filter.take() } else { None };
        let limited = plan.limits.count.is_some() || plan.limits.duration_ns.is_some();
        let mut consumers: Vec<Box<dyn Consumer>> = Vec::new();
        let chisels = std::mem::take(&mut plan.chisels);
        let with_chisels = !chisels.calls.is_empty();
        let mut chisel_state = None;
        if with_chisels {
            let consumer = ChiselConsumer::new(chisels, &plan.lines)?;
            let wanted_snaplen = consumer.snaplen();
            chisel_state = Some(ChiselState { wanted_snaplen, ..ChiselState::default() });
            consumers.push(Box::new(consumer));
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
        let (kernel_filter, push) = pushed.unzip();
        let session = Session {
            limiter: Limiter::new(plan.limits),
            progress: plan.progress.then(Progress::default),
            counters: plan.counters.map(Counters::new),
            filter,
            kernel_filter,
            push,
            consumers,
            passthrough,
            plan,
            stop,
            live: None,
            command_code: None,
            replay: ReplayStats::default(),
            started: Instant::now(),
            chisels: chisel_state,
        };
        Ok(session)
    }

    fn engine_options(&self) -> Options {
        Options { ports: self.plan.ports, ..Options::default() }
    }

    fn run_inputs(&mut self) -> Result<(), CliError> {
        match &self.plan.input {
            PlannedInput::Live(live) => {
                let live = live.clone();
                self.run_live(&live)
            }
            PlannedInput::Files(files) => {
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
                Some(feed) => feeds.push(Feed { stages: Stages::of(&self.plan), ..feed }),
                None => return Ok(()),
            }
        }
        let (result, last) = match &mut feeds[..] {
            [feed] => (self.pass_on(feed), 0),
            feeds => self.merge(feeds),
        };
        let result = result.and(self.end_input(&feeds[last].engine));
        for feed in &feeds {
            self.replay.add(&feed.name, feed.read_stats(), feed.engine.counters());
            report::say(&feed.stages.report(&feed.name));
        }
        if let (Ok(()), Some(progress)) = (&result, &mut self.progress) {
            progress.end();
        }
        result
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
                Next::Section(snapshot) => {
                    self.section(feed, *snapshot)?;
                    self.classify(feed, true)?;
                    self.begin_command(feed)?;
                    if matches!(self.plan.input, PlannedInput::Live(_)) {
                        self.limiter.begin();
                    }
                }
                Next::Events => {
                    flow = self.events(feed, u64::MAX)?;
                    self.classify(feed, false)?;
                }
                Next::Idle if self.limiter.is_over_by_clock() => flow = ControlFlow::Break(()),
                Next::Idle => {}
            }
            self.pause(std::slice::from_ref(feed))?;
            if let (Some(counters), Source::Live(live)) = (&mut self.counters, &feed.source) {
                counters.show(|| live.pulse());
            }
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
    ///
    /// Answers with the index of the feed whose event was the last.
    fn merge(&mut self, feeds: &mut [Feed]) -> (Result<(), CliError>, usize) {
        let mut last = 0;
        (self.merge_until_end(feeds, &mut last), last)
    }

    fn merge_until_end(&mut self, feeds: &mut [Feed], last: &mut usize) -> Result<(), CliError> {
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
            *last = first;
            let others = times.filter(|&(_, i)| i != first).map(|(ts_ns, _)| ts_ns).min();
            let until_ns = if writes { u64::MAX } else { others.unwrap_or(u64::MAX) };
            while let Some(feed) = feeds.get_mut(first) {
                for snapshot in std::mem::take(&mut feed.sections) {
                    self.section(feed, snapshot)?;
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
        if self.progress.is_some() || self.chisels.is_some() {
            let (mut read, mut size) = (0, 0);
            for (feed_read, feed_size) in feeds.iter().filter_map(Feed::progress) {
                (read, size) = (read + feed_read, size + feed_size);
            }
            if let Some(progress) = &mut self.progress {
                progress.show(read, size);
            }
            let percent = if size == 0 { 0.0 } else { read as f64 * 100.0 / size as f64 };
            self.consumers.iter_mut().for_each(|consumer| consumer.progress(percent.min(100.0)));
        }
        self.consumers.iter_mut().try_for_each(|consumer| consumer.pause())
    }

    fn section(&mut self, feed: &mut Feed, mut snapshot: Snapshot) -> Result<(), CliError> {
        if self.plan.filter_proclist
            && let Some(filter) = &mut self.filter
        {
            proclist::keep_matching(&mut snapshot, filter);
        }
        // `-E` is about the machine that is recorded: a replay has the names that its file has.
        if matches!(&self.plan.input, PlannedInput::Live(live) if !live.users) {
            snapshot.users.clear();
            snapshot.groups.clear();
        }
        feed.engine.begin_section(&snapshot);
        if let Some(chisels) = &mut self.chisels
            && !std::mem::replace(&mut chisels.started, true)
        {
            let live = matches!(feed.source, Source::Live(_));
            let name = if live { "" } else { &feed.name };
            let input = Input { live, name, machine: feed.engine.machine() };
            self.consumers.iter_mut().try_for_each(|consumer| consumer.start(&input))?;
            self.take_filter();
        }
        self.consumers.iter_mut().try_for_each(|consumer| consumer.section(&snapshot))
    }

    /// A chisel may have replaced the filter.
    fn take_filter(&mut self) {
        for consumer in &mut self.consumers {
            if let Some(filter) = consumer.take_filter() {
                self.filter = filter;
            }
        }
    }

    /// Tells the consumers that the input is over; `engine` applied its last event.
    fn end_input(&mut self, engine: &Engine) -> Result<(), CliError> {
        let Some(chisels) = &self.chisels else { return Ok(()) };
        let raw = chisels.last.get(0);
        let last = raw.zip(chisels.last_applied.as_ref()).map(|(raw, applied)| engine.view(raw, applied));
        let mut result = Ok(());
        for consumer in &mut self.consumers {
            result = result.and(consumer.input_end(last.as_ref(), engine.machine()));
        }
        result
    }

    /// Keeps the event that chisels saw last.
    fn keep_last(&mut self, batch: &Batch, at: usize, applied: Applied) {
        if let (Some(chisels), Some(raw)) = (&mut self.chisels, batch.get(at)) {
            chisels.last.clear();
            chisels.last.push_copy(batch, at, raw.flags);
            chisels.last_applied = Some(applied);
        }
    }

    /// Whether it is what a live capture notes by itself; that counts for no limit.
    fn is_sample(&self, raw: &RawEvent<'_>) -> bool {
        raw.code == code::PROCINFO_E && matches!(self.plan.input, PlannedInput::Live(_))
    }

    /// Whether all events go to chisels and nowhere else. They are asked at each event whether they want
    /// it, since their own filters may change at any.
    fn only_chisels_see(&self) -> bool {
        let only = self.chisels.is_some() && self.consumers.len() == 1;
        only && self.filter.is_none() && self.plan.suppress.is_empty()
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
        if self.only_chisels_see() {
            return self.events_for_chisels(feed, until_ns);
        }
        // Events that cannot pass are only applied where nobody wants to see them.
        let matched_only = self.plan.suppress.is_empty()
            && self.chisels.is_none()
            && self.consumers.iter().all(|consumer| consumer.takes_matched_only());
        let types = self.filter.as_ref().map(|filter| *filter.filter().event_types());
        let cannot_pass = |raw: &RawEvent<'_>| {
            raw.is_state_only() || types.as_ref().is_some_and(|types| !types.contains(raw.code.0))
        };
        let mut last = None;
        let mut flow = ControlFlow::Continue(());
        while let Some(raw) = due(batch, at, until_ns, &mut self.limiter, &mut flow) {
            if matched_only && cannot_pass(&raw) {
                engine.follow(&raw);
                *at += 1;
                continue;
            }
            let view = engine.see(raw);
            let suppressed = !self.plan.suppress.is_empty() && is_suppressed(&view, &self.plan.suppress);
            self.replay.suppressed += u64::from(suppressed);
            let matched = !suppressed
                && !raw.is_state_only()
                && self.filter.as_mut().is_none_or(|filter| filter.matches(&view));
            if matched || !matched_only {
                let event = Event { view: &view, batch, at: *at, matched, suppressed };
                for consumer in &mut self.consumers {
                    consumer.event(&event)?;
                }
                last = Some(*at);
            }
            *at += 1;
            let enough = self.chisels.is_some() && self.consumers.iter().any(|c| c.has_ended());
            if enough || (matched && !self.is_sample(&raw) && self.limiter.count_is_reached()) {
                flow = ControlFlow::Break(());
                break;
            }
        }
        self.end_batch(batch, last, engine);
        Ok(flow)
    }

    /// The same where all events go to chisels.
    fn events_for_chisels(&mut self, feed: &mut Feed, until_ns: u64) -> Result<ControlFlow<()>, CliError> {
        let Feed { batch, at, engine, .. } = feed;
        let is_live = matches!(self.plan.input, PlannedInput::Live(_));
        let consumer = &mut self.consumers[0];
        let mut last = None;
        let mut flow = ControlFlow::Continue(());
        while let Some(raw) = due(batch, at, until_ns, &mut self.limiter, &mut flow) {
            let matched = !raw.is_state_only();
            let mut enough = false;
            if consumer.passes_over(&raw) {
                engine.follow(&raw);
            } else {
                let view = engine.see(raw);
                consumer.event(&Event { view: &view, batch, at: *at, matched, suppressed: false })?;
                enough = consumer.has_ended();
            }
            last = Some(*at);
            *at += 1;
            let is_sample = is_live && raw.code == code::PROCINFO_E;
            if enough || (matched && !is_sample && self.limiter.count_is_reached()) {
                flow = ControlFlow::Break(());
                break;
            }
        }
        self.end_batch(batch, last, engine);
        Ok(flow)
    }

    /// What chisels need of the last event that they saw.
    fn end_batch(&mut self, batch: &Batch, last: Option<usize>, engine: &Engine) {
        if self.chisels.is_none() {
            return;
        }
        if let Some(at) = last {
            // With chisels every event is shown, so that the last one shown is the last one applied.
            self.keep_last(batch, at, *engine.last_applied());
        }
        self.take_filter();
    }

    /// Ends the consumers, prints what is to be said at the end.
    fn end(mut self) -> Result<Outcome, CliError> {
        let mut first_error = None;
        let mut written = None;
        let mut rerun = None;
        for consumer in &mut self.consumers {
            rerun = consumer.take_rerun().or(rerun);
            match consumer.end() {
                Ok(Some(stats)) => written = Some(stats),
                Ok(None) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if let Some(live) = &self.live {
            if written.is_some() || self.plan.verbose || live.lost() > 0 {
                report::live_summary(live, written.as_ref(), self.plan.verbose);
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
            // The user asked for the end of everything.
            _ if self.stop.is_set() => Ok(Outcome::Ended(self.command_code.unwrap_or(0))),
            _ => Ok(rerun.map_or(Outcome::Ended(self.command_code.unwrap_or(0)), Outcome::Again)),
        }
    }
}

/// `-U`: whether the event's thread has one of the names.
fn is_suppressed(view: &EventView<'_>, names: &[String]) -> bool {
    view.thread().is_some_and(|thread| names.iter().any(|name| name.as_bytes() == &*thread.comm))
}
