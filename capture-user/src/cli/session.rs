//! Carries out a [`Plan`]: brings events from the source through state and filter to the
//! consumers, and ends in order on Ctrl-C, limits and errors.

use super::consumers::{ChiselConsumer, Consumer, Event, FileConsumer, LineConsumer, SummaryConsumer};
use super::error::CliError;
use super::plan::{Input, Limits, LivePlan, Plan};
use super::signals::StopFlag;
use super::{proclist, report, same_file};
use crate::live::priority;
use crate::live::source::{LiveSource, LiveStats};
use capture_common::{Batch, EventSource, Next, Snapshot};
use capture_engine::{Engine, EventFilter, Options};
use capture_file::Reader;
use std::io;
use std::ops::ControlFlow;

/// Runs the whole plan.
pub fn run(plan: Plan) -> Result<(), CliError> {
    let stop = StopFlag::install().map_err(|error| CliError::Io {
        what: "installing the handlers of SIGINT and SIGTERM".into(),
        error,
    })?;
    let mut session = Session::new(plan, stop)?;
    let result = session.run_inputs();
    // Consumers end even after an error: what was read before it counts.
    let ended = session.end();
    result.and(ended)
}

/// Where events come from, one at a time.
enum Source {
    File(Box<Reader>),
    Live(Box<LiveSource>),
}

struct Session {
    plan: Plan,
    stop: StopFlag,
    engine: Engine,
    filter: Option<EventFilter>,
    consumers: Vec<Box<dyn Consumer>>,
    /// Whether whole batches may go to the file without a look at their events.
    passthrough: bool,
    limiter: Limiter,
    live: Option<LiveStats>,
}

impl Session {
    fn new(mut plan: Plan, stop: StopFlag) -> Result<Session, CliError> {
        let filter = plan.filter.take();
        let limited = plan.limits.count.is_some() || plan.limits.duration_ns.is_some();
        let mut consumers: Vec<Box<dyn Consumer>> = Vec::new();
        let chisels = std::mem::take(&mut plan.chisels);
        let lines = chisels.is_empty() && !plan.lines.quiet;
        for call in chisels {
            consumers.push(Box::new(ChiselConsumer::start(call.chisel, &plan.lines)?));
        }
        if lines {
            consumers.push(Box::new(LineConsumer::new(&plan.lines, plan.verbose, plan.debug)?));
        }
        if plan.summary {
            consumers.push(Box::new(SummaryConsumer::default()));
        }
        let passthrough = consumers.is_empty() && filter.is_none() && !limited && plan.write.is_some();
        let session = Session {
            limiter: Limiter::new(plan.limits),
            engine: Engine::new(Options::default()),
            filter,
            consumers,
            passthrough,
            plan,
            stop,
            live: None,
        };
        Ok(session)
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
                for file in files {
                    let reader = if file == "-" {
                        Reader::from_reader(io::stdin(), "standard input")
                    } else {
                        Reader::open(&file)
                    };
                    let reader = reader.map_err(|e| CliError::Stream(Box::new(e)))?;
                    self.engine = Engine::new(Options::default());
                    if self.run_source(Source::File(Box::new(reader)))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    fn run_live(&mut self, live: &LivePlan) -> Result<(), CliError> {
        priority::raise(priority::CONSUMER);
        let source = LiveSource::open(&live.source_options())?;
        self.run_source(Source::Live(Box::new(source))).map(|_| ())
    }

    /// Creates the file to write, once: when the first source has delivered something, so that a
    /// refusal leaves nothing and an input that is no capture costs no older file of that name.
    fn open_writer(&mut self) -> Result<(), CliError> {
        if let Some(write) = self.plan.write.take() {
            self.consumers.push(Box::new(FileConsumer::create(&write)?));
        }
        Ok(())
    }

    /// Passes a source on to its end, and ends a live one in order whatever happened: what was
    /// lost is told after a failure, too.
    fn run_source(&mut self, mut source: Source) -> Result<ControlFlow<()>, CliError> {
        let flow = self.pass_on(&mut source);
        let Source::Live(live) = source else { return flow };
        let (stats, closed) = live.close();
        self.live = Some(stats);
        let flow = flow?;
        closed?;
        Ok(flow)
    }

    fn pass_on(&mut self, source: &mut Source) -> Result<ControlFlow<()>, CliError> {
        let mut batch = Batch::new();
        let mut stopping = false;
        loop {
            let next = match &mut *source {
                Source::File(reader) => reader.next(&mut batch).map_err(CliError::Stream)?,
                Source::Live(live) => live.next(&mut batch).map_err(CliError::Stream)?,
            };
            self.open_writer()?;
            let flow = match next {
                Next::End => break,
                Next::Section(snapshot) => self.section(*snapshot)?,
                Next::Events => self.events(&batch)?,
                Next::Idle => ControlFlow::Continue(()),
            };
            for consumer in &mut self.consumers {
                consumer.pause()?;
            }
            let stop = flow.is_break() || self.stop.is_set();
            match &mut *source {
                Source::File(_) if stop => return Ok(ControlFlow::Break(())),
                // A limit drops what is still under way; Ctrl-C delivers it.
                Source::Live(_) if flow.is_break() => break,
                Source::Live(live) if stop && !stopping => {
                    stopping = true;
                    live.stop();
                }
                _ => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn section(&mut self, mut snapshot: Snapshot) -> Result<ControlFlow<()>, CliError> {
        if self.plan.filter_proclist
            && let Some(filter) = &mut self.filter
        {
            proclist::keep_matching(&mut snapshot, filter);
        }
        self.engine.begin_section(&snapshot);
        for consumer in &mut self.consumers {
            consumer.section(&snapshot)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn events(&mut self, batch: &Batch) -> Result<ControlFlow<()>, CliError> {
        if self.passthrough {
            for consumer in &mut self.consumers {
                consumer.whole_batch(batch)?;
            }
            return Ok(ControlFlow::Continue(()));
        }
        for at in 0..batch.len() {
            let Some(raw) = batch.get(at) else { continue };
            if self.limiter.is_past_end(raw.ts_ns) {
                return Ok(ControlFlow::Break(()));
            }
            let applied = self.engine.apply(&raw);
            let view = self.engine.view(raw, applied);
            let matched =
                !raw.is_state_only() && self.filter.as_mut().is_none_or(|filter| filter.matches(&view));
            let event = Event { view, batch, at, matched };
            for consumer in &mut self.consumers {
                consumer.event(&event)?;
            }
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
        } else if self.plan.verbose {
            report::replay_summary(self.limiter.counted, &self.engine.counters());
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
