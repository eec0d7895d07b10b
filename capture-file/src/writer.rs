//! [`Writer`]: an [`EventSink`] that makes capture files.
//!
//! Blocks are gathered into frames of about 1 MiB or 1 s, cut at block boundaries, and every
//! frame is flushed whole: after a kill the file holds everything older than that. Event blocks
//! of version 2 are copied as they are; old ones are rewritten. The blocks are those that stock
//! readers know (section header without options, machine info, interfaces, users, processes,
//! fds); after the first event of a section nothing but events follows. Parameters of our own
//! ([`OWN_PARAMS`]) stay in the zstd container: current libs refuse a plain or gzip file with them.

use crate::FileError;
use crate::encoder::FrameEncoder;
use crate::meta;
use crate::output::{Output, Target};
use capture_common::encode::EventHead;
use capture_common::event_table::OWN_PARAMS;
use capture_common::stream::StreamError;
use capture_common::{Batch, EventSink, Snapshot};
use std::fs::File;
use std::io::{self, Write};
use std::ops::{AddAssign, Range};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How the block stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Independent zstd frames. Stock sysdig cannot read them.
    Zstd {
        /// 1 (fast) to 22; negative ones are faster still.
        level: i32,
    },
    /// One gzip stream, as stock sysdig writes with `-z`.
    Gzip {
        /// 0 (stored) to 9.
        level: u32,
    },
    /// Blocks as they are.
    None,
}

impl Compression {
    /// The default: frames of zstd, level 3.
    pub const ZSTD: Compression = Compression::Zstd { level: 3 };
    /// gzip at zlib's default level, as stock writers do.
    pub const GZIP: Compression = Compression::Gzip { level: 6 };
}

/// Layout of the last fields of a process list entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessTail {
    /// Everything, in the layout of current libs. The pidns start time's low 40 bits are chosen so
    /// that sysdig 0.29.3, which expects login uid and exe writable in their place, finds those;
    /// the time is off by at most 18.3 minutes.
    Dual,
    /// Login uid, exe writable and capabilities only, which every reader takes alike.
    Safe,
}

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Compression of the block stream.
    pub compression: Compression,
    /// Layout of the process list.
    pub tail: ProcessTail,
    /// Bytes of blocks after which a frame is cut.
    pub frame_bytes: usize,
    /// Age of a frame's first event after which it is cut.
    pub frame_age: Duration,
    /// Frames that may wait for the encoder before events do.
    pub queue_frames: usize,
    /// User and group that a file is given to when [`Writer::create`] makes it.
    pub owner: Option<(u32, u32)>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions {
            compression: Compression::ZSTD,
            tail: ProcessTail::Dual,
            frame_bytes: 1 << 20,
            frame_age: Duration::from_secs(1),
            queue_frames: 16,
            owner: None,
        }
    }
}

/// What a [`Writer`] did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Events taken.
    pub events: u64,
    /// Event blocks that were no whole block of their batch, left out.
    pub skipped_events: u64,
    /// Blocks of all types.
    pub blocks: u64,
    /// Sections.
    pub sections: u64,
    /// Frames handed to the encoder.
    pub frames: u64,
    /// Bytes of blocks, before compression.
    pub raw_bytes: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Strings of snapshots cut to the length that stock readers accept.
    pub cut_strings: u64,
}

impl AddAssign for WriteStats {
    /// Adds up what several writers did.
    fn add_assign(&mut self, other: WriteStats) {
        let WriteStats {
            events,
            skipped_events,
            blocks,
            sections,
            frames,
            raw_bytes,
            file_bytes,
            cut_strings,
        } = other;
        self.events += events;
        self.skipped_events += skipped_events;
        self.blocks += blocks;
        self.sections += sections;
        self.frames += frames;
        self.raw_bytes += raw_bytes;
        self.file_bytes += file_bytes;
        self.cut_strings += cut_strings;
    }
}

/// Writes a capture file. Encoding and writing run on a thread of their own.
///
/// Rotation will stand between this and `Output`: a new output per file, each opened by the
/// section's start blocks.
pub struct Writer {
    options: WriterOptions,
    output: Output,
    /// The frame under way.
    frame: Vec<u8>,
    /// When its first block came.
    frame_began: Instant,
    /// Whether parameters of our own may stand in the file.
    takes_own_params: bool,
    /// Old events in their new form, before they are copied.
    rewritten: Batch,
    stats: WriteStats,
    finished: bool,
}

impl Writer {
    /// Creates a file that nobody but its owner may read, since it holds what programs read and
    /// wrote; or truncates one that is there, whose owner and mode stay.
    pub fn create(path: impl AsRef<Path>, options: WriterOptions) -> Result<Writer, FileError> {
        let file = path.as_ref().display().to_string();
        let encoder = encoder(&file, options)?;
        let created = create(path.as_ref(), options.owner).and_then(|f| Ok((f.metadata()?.is_file(), f)));
        let (is_regular, handle) =
            created.map_err(|source| FileError::Create { file: file.clone(), source })?;
        let target = if is_regular { Target::File(handle) } else { Target::Stream(Box::new(handle)) };
        Self::start(file, target, encoder, options)
    }

    /// Writes to `output`; `name` stands for it in errors.
    pub fn from_writer(
        output: impl Write + Send + 'static,
        name: impl Into<String>,
        options: WriterOptions,
    ) -> Result<Writer, FileError> {
        let file = name.into();
        let encoder = encoder(&file, options)?;
        Self::start(file, Target::Stream(Box::new(output)), encoder, options)
    }

    fn start(
        file: String,
        target: Target,
        encoder: FrameEncoder,
        options: WriterOptions,
    ) -> Result<Writer, FileError> {
        Ok(Writer {
            options,
            output: Output::start(file, target, encoder, options.queue_frames.max(1))?,
            frame: Vec::new(),
            frame_began: Instant::now(),
            takes_own_params: matches!(options.compression, Compression::Zstd { .. }),
            rewritten: Batch::new(),
            stats: WriteStats::default(),
            finished: false,
        })
    }

    /// Begins a section: header and snapshot, flushed at once as a frame of their own.
    pub fn write_section(&mut self, snapshot: &Snapshot) -> Result<(), FileError> {
        self.flush_frame()?;
        let made = meta::encode(snapshot, self.options.tail, &mut self.frame);
        self.stats.sections += 1;
        self.stats.blocks += made.blocks;
        self.stats.raw_bytes += made.bytes;
        self.stats.cut_strings += made.cut_strings;
        self.flush_frame()
    }

    /// Appends the events of a batch.
    pub fn write_events(&mut self, batch: &Batch) -> Result<(), FileError> {
        self.output.check()?;
        // Neighbouring blocks are copied in one go.
        let mut run = 0..0;
        for (at, entry) in batch.refs().iter().enumerate() {
            let start = entry.block_at as usize;
            let end = start + entry.block_len as usize;
            if end > batch.bytes().len() {
                self.stats.skipped_events += 1;
                continue;
            }
            if entry.kind.is_old() || self.has_own_params(batch, at, entry.nparams) {
                self.copy(batch, &mut run)?;
                self.rewrite(batch, at)?;
                continue;
            }
            if start != run.end || self.frame.len() + run.len() >= self.options.frame_bytes {
                self.copy(batch, &mut run)?;
                run = start..start;
            }
            run.end = end;
            self.stats.events += 1;
            self.stats.blocks += 1;
        }
        self.copy(batch, &mut run)?;
        self.flush_if_due()
    }

    /// Flushes the frame under way if it is old enough. To be called when no events come.
    pub fn flush_if_due(&mut self) -> Result<(), FileError> {
        if !self.frame.is_empty() && self.frame_began.elapsed() >= self.options.frame_age {
            return self.flush_frame();
        }
        Ok(())
    }

    /// Hands the frame under way to the encoder, however small.
    pub fn flush_frame(&mut self) -> Result<(), FileError> {
        if self.frame.is_empty() {
            return self.output.check();
        }
        self.stats.frames += 1;
        self.frame = self.output.send(std::mem::take(&mut self.frame))?;
        Ok(())
    }

    /// Whether a frame can be handed over without waiting for the encoder or the disk. A live
    /// source asks before it brings events, and counts what it leaves out.
    pub fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// Counts so far; `file_bytes` lags behind by what the encoder has not written yet.
    pub fn stats(&self) -> WriteStats {
        WriteStats { file_bytes: self.output.file_bytes(), ..self.stats }
    }

    /// Writes everything and closes the file.
    pub fn close(&mut self) -> Result<WriteStats, FileError> {
        self.finished = true;
        let flushed = self.flush_frame();
        let closed = self.output.finish();
        flushed.and(closed)?;
        Ok(self.stats())
    }

    fn copy(&mut self, batch: &Batch, run: &mut Range<usize>) -> Result<(), FileError> {
        if let Some(blocks) = batch.bytes().get(run.clone()) {
            self.append(blocks)?;
        }
        *run = 0..0;
        Ok(())
    }

    fn append(&mut self, blocks: &[u8]) -> Result<(), FileError> {
        if blocks.is_empty() {
            return Ok(());
        }
        if self.frame.is_empty() {
            self.frame_began = Instant::now();
        }
        self.frame.extend_from_slice(blocks);
        self.stats.raw_bytes += blocks.len() as u64;
        if self.frame.len() >= self.options.frame_bytes {
            self.flush_frame()?;
        }
        Ok(())
    }

    /// Whether the event has parameters that this container is not to hold.
    #[inline]
    fn has_own_params(&self, batch: &Batch, at: usize, nparams: u16) -> bool {
        !self.takes_own_params
            && OWN_PARAMS.iter().any(|&(code, others)| {
                usize::from(nparams) > others && batch.get(at).is_some_and(|event| event.code == code)
            })
    }

    /// Appends an event of an old block, or with parameters of our own, as a block of version 2
    /// that every reader takes.
    fn rewrite(&mut self, batch: &Batch, at: usize) -> Result<(), FileError> {
        let Some(event) = batch.get(at) else {
            self.stats.skipped_events += 1;
            return Ok(());
        };
        let mut rewritten = std::mem::take(&mut self.rewritten);
        rewritten.clear();
        let head = EventHead {
            ts_ns: event.ts_ns,
            tid: event.tid,
            cpu: event.cpu,
            code: event.code,
            flags: event.flags,
        };
        let own = OWN_PARAMS.iter().find(|(code, _)| *code == event.code && !self.takes_own_params);
        let nparams = own.map_or(event.nparams(), |&(_, others)| event.nparams().min(others));
        let mut encoder = rewritten.encode(head, nparams);
        for param in event.params().take(nparams) {
            encoder.bytes(param);
        }
        encoder.finish();
        self.stats.events += 1;
        self.stats.blocks += 1;
        let appended = self.append(rewritten.bytes());
        self.rewritten = rewritten;
        appended
    }
}

/// Opens for writing. A name that leads to something already (a file, a pipe, a device) is opened
/// as it is.
fn create(path: &Path, owner: Option<(u32, u32)>) -> io::Result<File> {
    let mut new = File::options();
    match new.write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            if let Some((user, group)) = owner {
                std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::create(path),
        Err(error) => Err(error),
    }
}

fn encoder(file: &str, options: WriterOptions) -> Result<FrameEncoder, FileError> {
    let compression = options.compression;
    FrameEncoder::new(compression).map_err(|source| FileError::Compress {
        file: file.to_owned(),
        container: compression.container(),
        level: compression.level(),
        source,
    })
}

impl EventSink for Writer {
    fn section(&mut self, snapshot: &Snapshot) -> Result<(), StreamError> {
        Ok(self.write_section(snapshot)?)
    }

    fn events(&mut self, batch: &Batch) -> Result<(), StreamError> {
        Ok(self.write_events(batch)?)
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        self.close()?;
        Ok(())
    }
}

impl Drop for Writer {
    /// What was taken is written even if nobody came to [`Writer::close`] it; errors are lost.
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.close();
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("options", &self.options)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
