//! [`BlockStream`]: the block stream in one growing buffer, refilled as blocks are asked for.
//!
//! A block's length is never trusted for an allocation: the buffer grows with the bytes that
//! arrive, metadata are read piece by piece, and events have a largest size.

use crate::FileError;
use crate::block::{BlockType, Content, HEADER_LEN, OVERHEAD_LEN};
use crate::container::{Container, Input};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Bytes after which a batch is handed over, and by which the buffer grows. A few of them are under way
/// at a time; larger ones are no faster.
pub(super) const CHUNK_BYTES: usize = 512 << 10;

/// Batches shorter than this are copied out of the buffer, which stays with the stream.
const COPIED_BYTES: usize = CHUNK_BYTES / 8;

/// Memory of a batch above this size is given back instead of reused.
pub(super) const KEPT_BYTES: usize = 4 * CHUNK_BYTES;

/// Largest section header accepted: its options are skipped as one piece.
const SECTION_HEADER_MAX: u32 = 1 << 20;

/// Largest event block of a type that is not a large one: stock readers hold it in a buffer of 64 KiB
/// behind the header, and writers keep to that.
pub(super) const EVENT_MAX: u32 = HEADER_LEN as u32 + (64 << 10);

/// Largest event block of the large types. The format sets no limit; recorders make events of some
/// 100 KiB at most, and an event has to be in memory as a whole.
const LARGE_EVENT_MAX: u32 = 32 << 20;

// Offsets in a batch are 32 bits wide.
const _: () = assert!(CHUNK_BYTES as u64 + (LARGE_EVENT_MAX as u64) < u32::MAX as u64);

/// Type and length of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) ty: BlockType,
    pub(super) len: u32,
}

impl Header {
    /// Largest length that a block of this type may have. Metadata never stand in memory as a whole, so
    /// theirs has no limit of its own.
    fn max_len(self) -> u32 {
        match self.ty.content() {
            Content::SectionHeader => SECTION_HEADER_MAX,
            Content::Event if self.ty.is_large_event() => LARGE_EVENT_MAX,
            Content::Event => EVENT_MAX,
            _ => u32::MAX,
        }
    }
}

/// What one try to get more bytes brought.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Fill {
    More,
    /// The stream is over, cleanly or not; see [`BlockStream::ending`].
    Over,
}

pub(super) struct BlockStream {
    pub(super) file: String,
    input: Input,
    /// `buffer[at..]` is not consumed yet.
    buffer: Vec<u8>,
    at: usize,
    /// Offset in the block stream of `buffer[0]`.
    base: u64,
    /// Number of the next block.
    pub(super) number: u64,
    over: bool,
    fault: Option<io::Error>,
}

impl BlockStream {
    pub(super) fn new(file: String, input: Input) -> Self {
        BlockStream { file, input, buffer: Vec::new(), at: 0, base: 0, number: 0, over: false, fault: None }
    }

    pub(super) fn container(&self) -> Container {
        self.input.container
    }

    /// Bytes of the file that were read so far; goes on counting.
    pub(super) fn bytes_read(&self) -> Arc<AtomicU64> {
        self.input.bytes_read()
    }

    /// Bytes that are there and not consumed.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Offset of the first byte of [`BlockStream::unread`].
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Gets more bytes, waiting for at least one.
    pub(super) fn fill(&mut self) -> Fill {
        if self.over {
            return Fill::Over;
        }
        // What was consumed makes room: at once where it is everything, else when it is half of a
        // full buffer, so that moving the rest stays cheap per byte.
        let is_full = self.buffer.capacity() - self.buffer.len() < CHUNK_BYTES;
        if self.at > 0 && (self.at == self.buffer.len() || (is_full && self.at >= self.buffer.len() / 2)) {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
        }
        self.buffer.reserve(CHUNK_BYTES);
        let before = self.buffer.len();
        if let Err(e) = self.input.append(&mut self.buffer, CHUNK_BYTES) {
            self.fault = Some(e);
            self.over = true;
        }
        if self.buffer.len() > before {
            return Fill::More;
        }
        self.over = true;
        Fill::Over
    }

    /// Takes the first `len` unread bytes as a buffer of their own, using the memory of `spare`.
    /// Few bytes, as a pipe brings them, are copied; of many only those behind `len` are, and
    /// `spare` is for what comes next.
    pub(super) fn split(&mut self, len: usize, mut spare: Vec<u8>) -> Vec<u8> {
        let end = self.at + len;
        if len < COPIED_BYTES {
            spare.clear();
            spare.extend_from_slice(&self.buffer[self.at..end]);
            self.at = end;
            return spare;
        }
        let rest = self.buffer.len() - end;
        if spare.capacity() > KEPT_BYTES {
            spare = Vec::new();
        }
        spare.clear();
        spare.reserve(CHUNK_BYTES + rest);
        spare.extend_from_slice(&self.buffer[end..]);
        let mut taken = std::mem::replace(&mut self.buffer, spare);
        taken.truncate(end);
        if self.at > 0 {
            taken.drain(..self.at);
        }
        self.base += end as u64;
        self.at = 0;
        taken
    }

    /// The header at `at` bytes behind the first unread one; `None` if it is not all there.
    #[inline]
    pub(super) fn header_at(&self, at: usize) -> Option<Header> {
        let bytes: &[u8; HEADER_LEN] = self.unread().get(at..at + HEADER_LEN)?.try_into().ok()?;
        let [a, b, c, d, e, f, g, h] = *bytes;
        Some(Header {
            ty: BlockType(u32::from_le_bytes([a, b, c, d])),
            len: u32::from_le_bytes([e, f, g, h]),
        })
    }

    /// Waits for the header of the next block; `None` at the end of the stream.
    pub(super) fn next_header(&mut self) -> Result<Option<Header>, FileError> {
        loop {
            if let Some(header) = self.header_at(0) {
                return Ok(Some(header));
            }
            if self.fill() == Fill::Over {
                return self.ending().map_or(Ok(None), Err);
            }
        }
    }

    /// Opens a block whose header was seen: its length is checked and its header consumed.
    pub(super) fn open_block(&mut self, header: Header) -> Result<OpenBlock, FileError> {
        self.check_len(header, OVERHEAD_LEN)?;
        let block = OpenBlock {
            header,
            offset: self.offset(),
            number: self.number,
            left: header.len as usize - OVERHEAD_LEN,
        };
        self.at += HEADER_LEN;
        Ok(block)
    }

    /// The next bytes of an open block's body, at most `most` of them; they stay unread until
    /// [`BlockStream::consume`].
    pub(super) fn body(&mut self, block: &OpenBlock, most: usize) -> Result<&[u8], FileError> {
        let len = block.left.min(most);
        self.wait_for(len, block)?;
        Ok(&self.buffer[self.at..self.at + len])
    }

    /// Consumes bytes of an open block's body.
    pub(super) fn consume(&mut self, block: &mut OpenBlock, len: usize) {
        let len = len.min(block.left).min(self.unread().len());
        self.at += len;
        block.left -= len;
    }

    /// Skips what is left of an open block's body and checks the length behind it.
    pub(super) fn close_block(&mut self, mut block: OpenBlock) -> Result<(), FileError> {
        while block.left > 0 {
            let len = self.body(&block, CHUNK_BYTES)?.len();
            self.consume(&mut block, len);
        }
        self.wait_for(4, &block)?;
        let bytes = &self.buffer[self.at..self.at + 4];
        let found = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let OpenBlock { header, offset, number, .. } = block;
        if found != header.len {
            let (file, wanted) = (self.file.clone(), header.len);
            return Err(FileError::Trailer { file, offset, block: header.ty, number, wanted, found });
        }
        self.at += 4;
        self.number += 1;
        Ok(())
    }

    /// Waits for so many unread bytes.
    fn wait_for(&mut self, len: usize, block: &OpenBlock) -> Result<(), FileError> {
        while self.unread().len() < len {
            if self.fill() == Fill::Over {
                return Err(self.cut_off(block.header, block.offset));
            }
        }
        Ok(())
    }

    /// Refuses lengths that no block of the type can have.
    pub(super) fn check_len(&self, header: Header, min_bytes: usize) -> Result<(), FileError> {
        let max_bytes = u64::from(header.max_len());
        if (min_bytes as u64..=max_bytes).contains(&u64::from(header.len)) {
            return Ok(());
        }
        Err(FileError::BlockLength {
            file: self.file.clone(),
            offset: self.offset(),
            block: header.ty,
            number: self.number,
            min_bytes: min_bytes as u64,
            max_bytes,
            found_bytes: u64::from(header.len),
        })
    }

    /// Why the stream is over: `None` at a clean end.
    pub(super) fn ending(&mut self) -> Option<FileError> {
        let (file, container, offset) = (self.file.clone(), self.container(), self.offset());
        let (left, blocks) = (self.unread().len() as u64, self.number);
        match self.fault.take() {
            Some(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                let from_system = source.raw_os_error().is_some() || container == Container::Plain;
                let offset = offset + left;
                return Some(if from_system {
                    FileError::Read { file, offset, blocks, source }
                } else {
                    FileError::Corrupt { file, container, offset, blocks, source }
                });
            }
            Some(_) if left == 0 => {
                return Some(FileError::Unfinished { file, container, offset, blocks });
            }
            _ => {}
        }
        (left > 0).then(|| self.truncated(self.header_at(0), offset))
    }

    /// Why a block that began at `offset`, and of which more is needed, cannot be had.
    pub(super) fn cut_off(&mut self, header: Header, offset: u64) -> FileError {
        let failed = self.fault.as_ref().is_some_and(|fault| fault.kind() != io::ErrorKind::UnexpectedEof);
        let failure = if failed { self.ending() } else { None };
        failure.unwrap_or_else(|| self.truncated(Some(header), offset))
    }

    fn truncated(&self, header: Option<Header>, offset: u64) -> FileError {
        FileError::Truncated {
            file: self.file.clone(),
            offset,
            block: header.map_or(self.torn_type(), |h| h.ty),
            number: self.number,
            wanted_bytes: header.map_or(HEADER_LEN as u64, |h| u64::from(h.len)),
            found_bytes: self.offset() + self.unread().len() as u64 - offset,
        }
    }

    /// The type of a block of which not even the header is whole.
    fn torn_type(&self) -> BlockType {
        let mut bytes = [0; 4];
        let there = &self.unread()[..self.unread().len().min(4)];
        bytes[..there.len()].copy_from_slice(there);
        BlockType(u32::from_le_bytes(bytes))
    }
}

/// A block whose header is consumed and whose end is not.
#[derive(Debug)]
pub(super) struct OpenBlock {
    header: Header,
    /// Where it begins.
    pub(super) offset: u64,
    pub(super) number: u64,
    /// Bytes of its body that are not consumed.
    pub(super) left: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const BLOCK_LEN: usize = 4100;

    /// Endless blocks of a type that nobody knows, `piece` bytes in a read.
    struct Blocks {
        at: usize,
        piece: usize,
    }

    impl Read for Blocks {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let block = [&0x7777u32.to_le_bytes()[..], &(BLOCK_LEN as u32).to_le_bytes()].concat();
            let len = out.len().min(self.piece);
            for byte in &mut out[..len] {
                // The length stands behind the type and at the block's end.
                *byte = match self.at % BLOCK_LEN {
                    at @ 0..8 => block[at],
                    at if at >= BLOCK_LEN - 4 => block[at - (BLOCK_LEN - 8)],
                    at => at as u8,
                };
                self.at += 1;
            }
            Ok(len)
        }
    }

    fn stream(piece: usize) -> BlockStream {
        BlockStream::new("test".into(), Input::plain(Box::new(Blocks { at: 0, piece }), false))
    }

    #[test]
    fn consumed_blocks_leave_the_buffer() {
        for piece in [usize::MAX, 1000] {
            let mut stream = stream(piece);
            for number in 0..3000 {
                let header = stream.next_header().unwrap().unwrap();
                let block = stream.open_block(header).unwrap();
                assert_eq!((block.offset, block.number), (number * BLOCK_LEN as u64, number));
                assert_eq!(stream.body(&block, 6).unwrap()[5], 13);
                stream.close_block(block).unwrap();
            }
            assert!(stream.buffer.len() <= 2 * CHUNK_BYTES, "{}", stream.buffer.len());
        }
    }

    #[test]
    fn short_and_long_pieces_come_out_in_order() {
        let mut stream = stream(100_000);
        let (mut expected, mut spare) = (0u64, Vec::new());
        for blocks in [1, 30, 300, 2, 200, 31, 33, 1000, 1] {
            let len = blocks * BLOCK_LEN;
            while stream.unread().len() < len {
                assert_eq!(stream.fill(), Fill::More);
            }
            assert_eq!(stream.offset(), expected);
            let taken = stream.split(len, spare);
            assert_eq!(taken.len(), len);
            assert!(taken.chunks(BLOCK_LEN).all(|b| b[..2] == [0x77, 0x77] && b[13] == 13), "{blocks}");
            expected += len as u64;
            spare = taken;
        }
        assert_eq!(stream.offset(), expected);
    }
}
