//! [`Reader`]: a capture file or a pipe as an [`EventSource`].
//!
//! Decompression and the walk over the blocks run on a thread of their own, a few batches ahead
//! of the consumer; batches and their memory go round in a circle. Events are views into the
//! decompressed bytes, nothing is copied per event.

mod sections;
mod stream;

use crate::FileError;
use crate::container::{self, Container};
use capture_common::stream::StreamError;
use capture_common::{Batch, EventSource, Next};
use sections::SectionReader;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use stream::{BlockStream, KEPT_BYTES};

/// Batches that the reading thread may be ahead.
const BATCHES_AHEAD: usize = 2;

/// What a [`Reader`] saw so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadStats {
    /// How the blocks are wrapped.
    pub container: Container,
    /// Events handed over, damaged ones included.
    pub events: u64,
    /// Events handed over of which parameters are missing because lengths disagree.
    pub damaged_events: u64,
    /// Events skipped because not even their header and length array fit their block, or, in old
    /// blocks, because the table does not know them.
    pub unreadable_events: u64,
    /// Blocks of unknown type among the metadata, skipped.
    pub unknown_blocks: u64,
    /// Threads, fds, users and interfaces of the opening tables that were left out, since the tables
    /// were larger than any machine's.
    pub refused_entries: u64,
    /// Blocks of all types.
    pub blocks: u64,
    /// Bytes of blocks, after decompression.
    pub raw_bytes: u64,
    /// Sections.
    pub sections: u64,
}

impl Default for ReadStats {
    fn default() -> Self {
        ReadStats {
            container: Container::Plain,
            events: 0,
            damaged_events: 0,
            unreadable_events: 0,
            unknown_blocks: 0,
            refused_entries: 0,
            blocks: 0,
            raw_bytes: 0,
            sections: 0,
        }
    }
}

/// Reads a capture file, or a capture that comes through a pipe.
///
/// ```no_run
/// use capture_common::{Batch, EventSource, Next};
/// let mut reader = capture_file::Reader::open("trace.scap")?;
/// let mut batch = Batch::new();
/// loop {
///     match reader.next(&mut batch)? {
///         Next::Section(snapshot) => println!("{} threads", snapshot.threads.len()),
///         Next::Events => batch.iter().for_each(|event| println!("{}", event.ts_ns)),
///         Next::Idle => {}
///         Next::End => break,
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct Reader {
    file: String,
    work: Work,
    stats: ReadStats,
    /// Bytes read of a regular file, and its size.
    progress: Option<(Arc<AtomicU64>, u64)>,
}

/// Who does the reading.
enum Work {
    Inline(Box<SectionReader>),
    Thread { results: Receiver<Piece>, spares: SyncSender<Batch> },
    Done,
}

/// One answer of the reading thread.
struct Piece {
    what: Result<Next, FileError>,
    batch: Batch,
    stats: ReadStats,
}

impl Reader {
    /// Opens a file. Named pipes work too.
    pub fn open(path: impl AsRef<Path>) -> Result<Reader, FileError> {
        let file = path.as_ref().display().to_string();
        let opened = File::open(path.as_ref()).and_then(|f| Ok((f.metadata()?, f)));
        let (meta, handle) = opened.map_err(|source| FileError::Open { file: file.clone(), source })?;
        let sections = section_reader(Box::new(handle), file.clone(), meta.is_file())?;
        let read = sections.bytes_read();
        let mut reader = Self::start(sections, file)?;
        reader.progress = meta.is_file().then_some((read, meta.len()));
        Ok(reader)
    }

    /// Reads what `input` brings, as soon as it brings it; `name` stands for it in errors.
    pub fn from_reader(
        input: impl Read + Send + 'static,
        name: impl Into<String>,
    ) -> Result<Reader, FileError> {
        let name = name.into();
        Self::start(section_reader(Box::new(input), name.clone(), false)?, name)
    }

    /// As [`Reader::from_reader`], without a thread: every call works on the caller's.
    pub fn inline(input: impl Read + Send + 'static, name: impl Into<String>) -> Result<Reader, FileError> {
        let file = name.into();
        let reader = section_reader(Box::new(input), file.clone(), true)?;
        Ok(Reader { file, stats: reader.stats(), work: Work::Inline(Box::new(reader)), progress: None })
    }

    /// Bytes of the file that were read so far, and the file's size; `None` for pipes. What was
    /// handed over lags behind by a few batches.
    pub fn progress(&self) -> Option<(u64, u64)> {
        let (read, size) = self.progress.as_ref()?;
        Some((read.load(Ordering::Relaxed), *size))
    }

    /// Counts up to what was handed over last.
    pub fn stats(&self) -> ReadStats {
        self.stats
    }

    fn start(reader: SectionReader, file: String) -> Result<Reader, FileError> {
        let (to_consumer, results) = sync_channel(BATCHES_AHEAD);
        let (spares, from_consumer) = sync_channel(BATCHES_AHEAD + 2);
        let stats = reader.stats();
        // Not joined: it may wait for a pipe. It ends with its file, or when nobody listens.
        std::thread::Builder::new()
            .name("capture-read".into())
            .spawn(move || read_ahead(reader, &to_consumer, &from_consumer))
            .map_err(|source| FileError::Thread { file: file.clone(), what: "reading", source })?;
        Ok(Reader { file, work: Work::Thread { results, spares }, stats, progress: None })
    }

    /// As [`EventSource::next`], with the error's own type.
    pub fn next_piece(&mut self, batch: &mut Batch) -> Result<Next, FileError> {
        self.wait(batch, None)
    }

    /// As [`Reader::next_piece`], but answers [`Next::Idle`] where nothing came in that time, so
    /// that a caller who waits for a pipe can look at other things. Readers without a thread wait.
    pub fn next_within(&mut self, batch: &mut Batch, time: Duration) -> Result<Next, FileError> {
        self.wait(batch, Some(time))
    }

    fn wait(&mut self, batch: &mut Batch, time: Option<Duration>) -> Result<Next, FileError> {
        let what = match &mut self.work {
            Work::Done => return Ok(Next::End),
            Work::Inline(reader) => {
                let what = reader.next(batch);
                self.stats = reader.stats();
                what
            }
            Work::Thread { results, spares } => match receive(results, time) {
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Idle),
                Ok(piece) => {
                    self.stats = piece.stats;
                    let spare = std::mem::replace(batch, piece.batch);
                    // Closed after the last piece: then the memory is simply freed. Never full: no more
                    // batches are away than it holds.
                    let _ = spares.try_send(spare);
                    piece.what
                }
                Err(RecvTimeoutError::Disconnected) => Err(FileError::Thread {
                    file: self.file.clone(),
                    what: "reading",
                    source: io::Error::other("it ended without an answer"),
                }),
            },
        };
        if matches!(what, Ok(Next::End) | Err(_)) {
            self.work = Work::Done;
        }
        what
    }
}

impl EventSource for Reader {
    fn next(&mut self, batch: &mut Batch) -> Result<Next, StreamError> {
        Ok(self.next_piece(batch)?)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("file", &self.file).field("stats", &self.stats).finish_non_exhaustive()
    }
}

fn receive(results: &Receiver<Piece>, time: Option<Duration>) -> Result<Piece, RecvTimeoutError> {
    match time {
        Some(time) => results.recv_timeout(time),
        None => results.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn section_reader(
    raw: Box<dyn Read + Send>,
    file: String,
    patient: bool,
) -> Result<SectionReader, FileError> {
    let input =
        container::open(raw, patient).map_err(|source| FileError::Open { file: file.clone(), source })?;
    Ok(SectionReader::new(BlockStream::new(file, input), patient))
}

/// The reading thread.
fn read_ahead(mut reader: SectionReader, to_consumer: &SyncSender<Piece>, from_consumer: &Receiver<Batch>) {
    let mut spares = Vec::new();
    let mut away = 0;
    loop {
        while let Ok(spare) = from_consumer.try_recv() {
            away -= 1;
            spares.push(spare);
        }
        let mut batch = spares.pop().unwrap_or_default();
        let what = reader.next(&mut batch);
        let last = matches!(what, Ok(Next::End) | Err(_));
        let is_huge = batch.bytes().len() > KEPT_BYTES;
        let piece = Piece { what, batch, stats: reader.stats() };
        if to_consumer.send(piece).is_err() || last {
            return;
        }
        // For each piece that the consumer takes it gives one batch back.
        away += 1;
        while is_huge && away > 0 {
            // Huge batches do not pile up: the next piece is read when this one is taken.
            match from_consumer.recv() {
                Ok(spare) => spares.push(spare),
                Err(_) => return,
            }
            away -= 1;
        }
        spares.truncate(1);
    }
}
