//! One source of events on its way through its own state: what is read and not yet delivered.

use super::error::CliError;
use super::limiter::Limiter;
use super::signals::StopFlag;
use super::stages::Stages;
use crate::live::source::LiveSource;
use capture_common::{Batch, EventSource, Next, RawEvent, Snapshot};
use capture_engine::{Engine, Options};
use capture_file::{ReadStats, Reader};
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How long a wait lasts at most before Ctrl-C is looked at.
const WAIT: Duration = Duration::from_millis(100);

/// Where events come from.
pub(crate) enum Source {
    File(Box<Reader>),
    Live(Box<LiveSource>),
}

/// A source, its state, and the batch under way.
pub(crate) struct Feed {
    /// Name of the file, for reports.
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) engine: Engine,
    /// What changes the stream on its way.
    pub(crate) stages: Stages,
    pub(crate) batch: Batch,
    /// The next event of the batch.
    pub(crate) at: usize,
    /// Sections that begin before that event.
    pub(crate) sections: Vec<Snapshot>,
    /// Whether nothing comes after the batch.
    pub(crate) is_over: bool,
    /// What ended it, if that was a fault.
    pub(crate) fault: Option<CliError>,
}

impl Feed {
    pub(crate) fn new(name: &str, source: Source, options: Options) -> Feed {
        Feed {
            name: name.to_owned(),
            source,
            engine: Engine::new(options),
            stages: Stages::default(),
            batch: Batch::new(),
            at: 0,
            sections: Vec::new(),
            is_over: false,
            fault: None,
        }
    }

    /// Opens a file; `None` where the user asked for the end meanwhile. A pipe can keep the open
    /// and the first read waiting for ever, so they happen on a thread of their own, which such an
    /// end leaves behind.
    pub(crate) fn open(file: &str, options: Options, stop: &StopFlag) -> Result<Option<Feed>, CliError> {
        let (done, opened) = channel();
        let path = file.to_owned();
        let work = move || {
            let reader = match &path[..] {
                "-" => Reader::from_reader(io::stdin(), "standard input"),
                path => Reader::open(path),
            };
            // Nobody listens after an end.
            let _ = done.send(reader);
        };
        if file != "-" && std::fs::metadata(file).is_ok_and(|meta| meta.is_file()) {
            work();
        } else {
            let thread = std::thread::Builder::new().name("capture-open".into()).spawn(work);
            thread.map_err(|error| CliError::Io { what: format!("opening {file}"), error })?;
        }
        loop {
            match opened.recv_timeout(WAIT) {
                Ok(reader) => {
                    let reader = reader.map_err(|e| CliError::Stream(Box::new(e)))?;
                    return Ok(Some(Feed::new(file, Source::File(Box::new(reader)), options)));
                }
                Err(RecvTimeoutError::Timeout) if stop.is_set() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let error = io::Error::other("the thread that opens it ended without an answer");
                    return Err(CliError::Io { what: format!("opening {file}"), error });
                }
            }
        }
    }

    /// Brings the next piece; a batch replaces the one before.
    pub(crate) fn fetch(&mut self) -> Result<Next, CliError> {
        let mut next = match &mut self.source {
            Source::File(reader) => {
                reader.next_within(&mut self.batch, WAIT).map_err(|e| CliError::Stream(Box::new(e)))
            }
            Source::Live(live) => live.next(&mut self.batch).map_err(CliError::Stream),
        };
        self.at = 0;
        match &mut next {
            Ok(Next::Section(snapshot)) => self.stages.section(snapshot),
            Ok(Next::Events) => self.stages.batch(&mut self.batch),
            _ => {}
        }
        if !matches!(next, Ok(Next::Events)) {
            self.batch.clear();
        }
        next
    }

    /// Reads on until an event is there or the end; a fault waits until it is this feed's turn.
    pub(crate) fn fill(&mut self, stop: &StopFlag) {
        while !self.is_over && !stop.is_set() {
            match self.fetch() {
                Ok(Next::Events) => return,
                Ok(Next::Idle) => {}
                Ok(Next::Section(snapshot)) => self.sections.push(*snapshot),
                Ok(Next::End) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    self.fault = Some(error);
                }
            }
        }
    }

    /// Time of the next event; sections without events come last.
    pub(crate) fn next_ts_ns(&self) -> Option<u64> {
        match self.batch.get(self.at) {
            Some(event) => Some(event.ts_ns),
            None if self.at < self.batch.len() => Some(0),
            None => (!self.sections.is_empty()).then_some(u64::MAX),
        }
    }

    /// What the reader counted.
    pub(crate) fn read_stats(&self) -> Option<ReadStats> {
        match &self.source {
            Source::File(reader) => Some(reader.stats()),
            Source::Live(_) => None,
        }
    }

    /// Bytes read, and size; `None` for pipes and live captures.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        match &self.source {
            Source::File(reader) => reader.progress(),
            Source::Live(_) => None,
        }
    }
}

/// The event of a batch that is next. There is none at the batch's end, behind `until_ns`, and past a limit,
/// which breaks the flow.
#[inline(always)]
pub(super) fn due<'a>(
    batch: &'a Batch,
    at: &mut usize,
    until_ns: u64,
    limiter: &mut Limiter,
    flow: &mut ControlFlow<()>,
) -> Option<RawEvent<'a>> {
    while *at < batch.len() {
        let Some(raw) = batch.get(*at) else {
            *at += 1;
            continue;
        };
        if raw.ts_ns > until_ns {
            return None;
        }
        if limiter.is_past_end(raw.ts_ns) {
            *flow = ControlFlow::Break(());
            return None;
        }
        return Some(raw);
    }
    None
}
