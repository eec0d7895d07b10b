//! How events travel: sources hand over batches, sinks take them.
//!
//! A source yields sections. Each opens with a [`Snapshot`] of the machine at that moment;
//! batches of events follow. A live capture is one section that ends when the user says so, a
//! file is one or more of them.

use crate::batch::Batch;
use crate::snapshot::Snapshot;
use std::error::Error;

/// Error of a source or sink. The concrete types live with their makers; consumers only report
/// them.
pub type StreamError = Box<dyn Error + Send + Sync>;

/// What a call of [`EventSource::next`] brought.
#[derive(Debug)]
pub enum Next {
    /// A section begins: forget all state, start from this.
    Section(Box<Snapshot>),
    /// The batch was filled with at least one event.
    Events,
    /// Nothing at the moment (live only); call again.
    Idle,
    /// The end.
    End,
}

/// Where events come from: a capture file, a pipe, the running kernel, a test.
///
/// A source whose batches are columns (one array per header field and parameter) would add a
/// method that yields such a batch; consumers that know it skip what they do not need.
pub trait EventSource {
    /// Brings the next piece of the stream. `batch` is cleared and filled when the answer is
    /// [`Next::Events`]; its memory is reused from call to call.
    ///
    /// An error ends the stream, after everything readable before it was handed over.
    fn next(&mut self, batch: &mut Batch) -> Result<Next, StreamError>;
}

/// Where whole batches go: a capture file, a relay.
pub trait EventSink {
    /// A section begins. Called before the first batch.
    fn section(&mut self, snapshot: &Snapshot) -> Result<(), StreamError>;

    /// Takes a batch.
    fn events(&mut self, batch: &Batch) -> Result<(), StreamError>;

    /// The stream is over: flush and close. Nothing is called after it.
    fn finish(&mut self) -> Result<(), StreamError>;
}

/// A source that replays what it was given; for tests and examples.
#[derive(Default, Debug)]
pub struct MemorySource {
    pieces: std::collections::VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Section(Box<Snapshot>),
    Events(Batch),
}

impl MemorySource {
    /// A source with one section.
    pub fn new(snapshot: Snapshot, events: Batch) -> Self {
        let mut source = Self::default();
        source.push_section(snapshot);
        source.push_events(events);
        source
    }

    /// Appends a section start.
    pub fn push_section(&mut self, snapshot: Snapshot) {
        self.pieces.push_back(Piece::Section(Box::new(snapshot)));
    }

    /// Appends a batch.
    pub fn push_events(&mut self, events: Batch) {
        self.pieces.push_back(Piece::Events(events));
    }
}

impl EventSource for MemorySource {
    fn next(&mut self, batch: &mut Batch) -> Result<Next, StreamError> {
        Ok(match self.pieces.pop_front() {
            None => Next::End,
            Some(Piece::Section(s)) => Next::Section(s),
            Some(Piece::Events(b)) if b.is_empty() => return self.next(batch),
            Some(Piece::Events(b)) => {
                *batch = b;
                Next::Events
            }
        })
    }
}
