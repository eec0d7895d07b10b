//! [`SectionReader`]: the block stream as sections, snapshots and batches of events.
//!
//! One call, one piece; works on the caller's thread. A fault is kept back until what was
//! readable before it has been handed over.

use super::ReadStats;
use super::stream::{BlockStream, CHUNK_BYTES, EVENT_MAX, Fill, Header};
use crate::FileError;
use crate::block::{Content, OVERHEAD_LEN, SECTION_HEADER, SECTION_MAGIC, VERSION_MAJOR};
use crate::meta::{self, Opening};
use crate::scan::{self, Event};
use capture_common::batch::BlockKind;
use capture_common::{Batch, Next, Snapshot};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Where in the file the reader stands.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum At {
    Section,
    Events,
    End,
}

pub(super) struct SectionReader {
    stream: BlockStream,
    at: At,
    /// Whether reading never waits long, so that a batch may be filled up.
    patient: bool,
    fault: Option<FileError>,
    spare: Vec<u8>,
    stats: ReadStats,
}

/// How the walk over a batch's blocks ended.
enum Stop {
    /// Enough for one batch.
    Full,
    /// The next block is no event, or is not acceptable.
    Other(Header),
    Fault(FileError),
}

impl SectionReader {
    pub(super) fn new(stream: BlockStream, patient: bool) -> Self {
        let stats = ReadStats { container: stream.container(), ..ReadStats::default() };
        SectionReader { stream, at: At::Section, patient, fault: None, spare: Vec::new(), stats }
    }

    /// Bytes of the file that were read so far; goes on counting.
    pub(super) fn bytes_read(&self) -> Arc<AtomicU64> {
        self.stream.bytes_read()
    }

    /// Counts up to what was handed over by the latest [`SectionReader::next`].
    pub(super) fn stats(&self) -> ReadStats {
        ReadStats { raw_bytes: self.stream.offset(), blocks: self.stream.number, ..self.stats }
    }

    pub(super) fn next(&mut self, batch: &mut Batch) -> Result<Next, FileError> {
        loop {
            if let Some(fault) = self.fault.take() {
                self.at = At::End;
                return Err(fault);
            }
            match self.at {
                At::End => return Ok(Next::End),
                At::Section => match self.section() {
                    Ok(Some(snapshot)) => return Ok(Next::Section(Box::new(snapshot))),
                    Ok(None) => self.at = At::End,
                    Err(fault) => self.fault = Some(fault),
                },
                At::Events => {
                    if self.events(batch) {
                        return Ok(Next::Events);
                    }
                }
            }
        }
    }

    /// Reads a section header and the metadata behind it.
    fn section(&mut self) -> Result<Option<Snapshot>, FileError> {
        if !self.section_header()? {
            return Ok(None);
        }
        self.at = At::Events;
        self.stats.sections += 1;
        let mut opening = Opening::new(self.stats.refused_entries);
        loop {
            let header = match self.stream.next_header() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            };
            let content = header.ty.content();
            if matches!(content, Content::Event | Content::SectionHeader) {
                break;
            }
            if let Err(fault) = self.metadata(header, content, &mut opening) {
                self.fault = Some(fault);
                break;
            }
        }
        Ok(Some(opening.snapshot))
    }

    /// Reads a metadata block piece by piece, so that no list is in memory twice.
    fn metadata(&mut self, header: Header, content: Content, to: &mut Opening) -> Result<(), FileError> {
        if content == Content::Unknown {
            self.stats.unknown_blocks += 1;
        }
        let mut block = self.stream.open_block(header)?;
        let mut list = meta::Decoder::new(content);
        while block.left > 0 && content != Content::Unknown {
            let is_last = block.left <= meta::WINDOW_BYTES;
            let body = self.stream.body(&block, meta::WINDOW_BYTES)?;
            let used = list.decode(body, is_last, to);
            self.stats.refused_entries = to.refused;
            let used = used.map_err(|short| FileError::Metadata {
                file: self.stream.file.clone(),
                offset: block.offset,
                block: header.ty,
                number: block.number,
                what: short.what,
                wanted_bytes: short.wanted_bytes,
                found_bytes: short.found_bytes,
            })?;
            self.stream.consume(&mut block, used);
        }
        self.stream.close_block(block)
    }

    /// Reads a section header; `false` at the end of the file.
    fn section_header(&mut self) -> Result<bool, FileError> {
        /// Header, magic and version.
        const NEEDED: usize = 16;
        let file = self.stream.file.clone();
        let Some(header) = self.stream.next_header()? else {
            let first = self.stream.number == 0;
            return if first { Err(FileError::Empty { file }) } else { Ok(false) };
        };
        let offset = self.stream.offset();
        let (ty, number) = (header.ty, self.stream.number);
        if ty.0 != SECTION_HEADER {
            return Err(if offset == 0 {
                FileError::NotACapture { file, found: ty.0 }
            } else {
                FileError::JunkAfterEvents { file, offset, block: ty, number }
            });
        }
        // The magic comes before the length: in a file of the other byte order that is absurd.
        while self.stream.unread().len() < NEEDED {
            if self.stream.fill() == Fill::Over {
                return Err(self.stream.cut_off(header, offset));
            }
        }
        let start = self.stream.unread();
        let magic = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        let major = u16::from_le_bytes([start[12], start[13]]);
        let minor = u16::from_le_bytes([start[14], start[15]]);
        if magic == SECTION_MAGIC.swap_bytes() {
            return Err(FileError::OtherByteOrder { file, offset, number });
        }
        if magic != SECTION_MAGIC {
            return Err(FileError::BadMagic { file, offset, number, found: magic });
        }
        if major > VERSION_MAJOR {
            return Err(FileError::Version { file, offset, number, major, minor });
        }
        // Options behind the fixed fields are skipped with the block.
        self.stream.check_len(header, OVERHEAD_LEN + 16)?;
        let block = self.stream.open_block(header)?;
        self.stream.close_block(block)?;
        Ok(true)
    }

    /// Fills `batch`; `false` if there was no event, then the state has moved on.
    fn events(&mut self, batch: &mut Batch) -> bool {
        batch.clear();
        let mut len = 0;
        let mut blocks = 0;
        let stop = loop {
            if let Some(stop) = self.walk(batch, &mut len, &mut blocks) {
                break Some(stop);
            }
            // The next block is not complete. From a pipe, what is there goes out at once; else when it
            // is much, so that little has to be moved to where the next bytes come.
            if len > 0 && (!self.patient || len >= CHUNK_BYTES / 2) {
                break None;
            }
            if self.stream.fill() == Fill::Over {
                break Some(Stop::Full);
            }
        };
        if len > 0 {
            let spare = std::mem::take(&mut self.spare);
            let bytes = self.stream.split(len, spare);
            self.spare = batch.attach_bytes(bytes);
            self.stream.number += blocks;
        }
        let over = len == 0 && matches!(stop, Some(Stop::Full));
        match stop {
            Some(Stop::Fault(fault)) => self.fault = Some(fault),
            Some(Stop::Other(header)) if header.ty.content() == Content::SectionHeader => {
                self.at = At::Section
            }
            Some(Stop::Other(header)) => {
                self.fault = Some(FileError::JunkAfterEvents {
                    file: self.stream.file.clone(),
                    offset: self.stream.offset(),
                    block: header.ty,
                    number: self.stream.number,
                });
            }
            Some(Stop::Full) if over => match self.stream.ending() {
                Some(fault) => self.fault = Some(fault),
                None => self.at = At::End,
            },
            _ => {}
        }
        !batch.is_empty()
    }

    /// Adds the whole event blocks from `len` on to the index; `None` where more bytes are needed.
    fn walk(&mut self, batch: &mut Batch, len: &mut usize, blocks: &mut u64) -> Option<Stop> {
        loop {
            if *len >= CHUNK_BYTES {
                return Some(Stop::Full);
            }
            let header = self.stream.header_at(*len)?;
            let Some(kind) = BlockKind::from_code(header.ty.0) else {
                return Some(Stop::Other(header));
            };
            let block_len = header.len as usize;
            // Most blocks are of a length that all of them may have.
            if !(OVERHEAD_LEN as u32..=EVENT_MAX).contains(&header.len)
                && let Err(fault) = self.stream.check_len(header, OVERHEAD_LEN)
            {
                return Some(Stop::Fault(place(fault, *len, *blocks)));
            }
            let block = self.stream.unread().get(*len..*len + block_len)?;
            self.stats.count(batch, scan::event_block(kind, block), *len);
            *len += block_len;
            *blocks += 1;
        }
    }
}

impl ReadStats {
    #[inline]
    fn count(&mut self, batch: &mut Batch, event: Event, block_at: usize) {
        let mut entry = match event {
            Event::Whole(entry) => entry,
            Event::Damaged(entry) => {
                self.damaged_events += 1;
                entry
            }
            Event::Unreadable => {
                self.unreadable_events += 1;
                return;
            }
        };
        self.events += 1;
        entry.block_at = block_at as u32;
        batch.push_ref(entry);
    }
}

/// Moves a length fault from the batch's start to the block it is about.
fn place(mut fault: FileError, ahead_bytes: usize, ahead_blocks: u64) -> FileError {
    if let FileError::BlockLength { offset, number, .. } = &mut fault {
        *offset += ahead_bytes as u64;
        *number += ahead_blocks;
    }
    fault
}
