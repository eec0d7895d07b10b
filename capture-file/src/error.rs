//! [`FileError`]: everything that can be wrong with a capture file.
//!
//! Each variant says where (file, offset, block) and what was wanted and found. Offsets count
//! bytes of the block stream, that is, after decompression.

use crate::block::BlockType;
use crate::container::Container;
use std::io;

/// An error of reading or writing a capture file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be opened.
    #[error("cannot open {file}: {source}")]
    Open {
        /// Name of the file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Not a single byte.
    #[error("{file} is empty: wanted a capture file, found 0 bytes")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// The first block is no section header.
    #[error(
        "{file} is not a capture file: wanted a section header (0x0a0d0d0a) at offset 0, found {found:#010x}"
    )]
    NotACapture {
        /// Name of the file.
        file: String,
        /// What stands in place of the block type.
        found: u32,
    },
    /// A section header without the magic number.
    #[error(
        "{file}, offset {offset}: block {number} (section header) has the wrong magic, wanted 0x1a2b3c4d, found {found:#010x}"
    )]
    BadMagic {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Number of the block in the file, from 0.
        number: u64,
        /// What stands in place of the magic.
        found: u32,
    },
    /// Written by a machine of the other byte order.
    #[error(
        "{file}, offset {offset}: block {number} (section header) was written on a big-endian machine; only little-endian captures can be read"
    )]
    OtherByteOrder {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Number of the block in the file, from 0.
        number: u64,
    },
    /// A format version from the future.
    #[error(
        "{file}, offset {offset}: block {number} (section header) has format version {major}.{minor}, newer than 1.x, which this program reads"
    )]
    Version {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Number of the block in the file, from 0.
        number: u64,
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
    },
    /// The system could not read.
    #[error("{file}: reading failed after {offset} bytes of blocks and {blocks} whole blocks: {source}")]
    Read {
        /// Name of the file.
        file: String,
        /// Bytes of blocks read before.
        offset: u64,
        /// Whole blocks read before.
        blocks: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The decompressor refused the data.
    #[error(
        "{file}: {container} data is damaged after {offset} bytes of blocks and {blocks} whole blocks: {source}"
    )]
    Corrupt {
        /// Name of the file.
        file: String,
        /// Which compression.
        container: Container,
        /// Bytes of blocks read before.
        offset: u64,
        /// Whole blocks read before.
        blocks: u64,
        /// The decompressor's reason.
        source: io::Error,
    },
    /// Compressed data that stop before their end, with no block torn.
    #[error(
        "{file}: the {container} stream ends without its trailer after {offset} bytes of blocks and {blocks} whole blocks; was the recording cut off?"
    )]
    Unfinished {
        /// Name of the file.
        file: String,
        /// Which compression.
        container: Container,
        /// Bytes of blocks read.
        offset: u64,
        /// Whole blocks read.
        blocks: u64,
    },
    /// The data end inside a block.
    #[error(
        "{file}, offset {offset}: block {number} ({block}) is cut off, wanted {wanted_bytes} bytes, found {found_bytes}; is the file truncated?"
    )]
    Truncated {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Type of the block, where that much is there.
        block: BlockType,
        /// Number of the block in the file, from 0.
        number: u64,
        /// Length of the block, or of its header.
        wanted_bytes: u64,
        /// Bytes that are there.
        found_bytes: u64,
    },
    /// A block length outside what its type allows.
    #[error(
        "{file}, offset {offset}: block {number} ({block}) has an impossible length, wanted {min_bytes} to {max_bytes} bytes, found {found_bytes}"
    )]
    BlockLength {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Type of the block.
        block: BlockType,
        /// Number of the block in the file, from 0.
        number: u64,
        /// Smallest possible length.
        min_bytes: u64,
        /// Largest length accepted.
        max_bytes: u64,
        /// The length found.
        found_bytes: u64,
    },
    /// The length at a block's end differs from that at its start.
    #[error(
        "{file}, offset {offset}: block {number} ({block}) ends with another length, wanted {wanted}, found {found}"
    )]
    Trailer {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Type of the block.
        block: BlockType,
        /// Number of the block in the file, from 0.
        number: u64,
        /// Length at the start.
        wanted: u32,
        /// Length at the end.
        found: u32,
    },
    /// The content of a metadata block does not fit.
    #[error(
        "{file}, offset {offset}: block {number} ({block}): {what} needs {wanted_bytes} bytes, found {found_bytes}"
    )]
    Metadata {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Type of the block.
        block: BlockType,
        /// Number of the block in the file, from 0.
        number: u64,
        /// The field that does not fit.
        what: &'static str,
        /// Bytes that it needs.
        wanted_bytes: u64,
        /// Bytes left.
        found_bytes: u64,
    },
    /// After events only another event or a section header may stand.
    #[error(
        "{file}, offset {offset}: block {number} after the last event: wanted an event or a section header, found {block}"
    )]
    JunkAfterEvents {
        /// Name of the file.
        file: String,
        /// Offset of the block.
        offset: u64,
        /// Type of the block.
        block: BlockType,
        /// Number of the block in the file, from 0.
        number: u64,
    },
    /// The reading or encoding thread could not be started, or died.
    #[error("{file}: the {what} thread stopped: {source}")]
    Thread {
        /// Name of the file.
        file: String,
        /// What the thread did.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file could not be created.
    #[error("cannot create {file}: {source}")]
    Create {
        /// Name of the file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The compressor refused its parameters.
    #[error("{file}: cannot compress with {container} at level {level}: {source}")]
    Compress {
        /// Name of the file.
        file: String,
        /// Which compression.
        container: Container,
        /// The level asked for.
        level: i32,
        /// The compressor's reason.
        source: io::Error,
    },
    /// The system could not write; what was written before stays readable.
    #[error("writing {file} failed after {written_bytes} bytes, which stay readable: {source}")]
    Write {
        /// Name of the file.
        file: String,
        /// Bytes of whole frames in the file.
        written_bytes: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// Events were given to a writer that had failed or was finished.
    #[error("{file} takes no more events: it was finished, or writing it failed before")]
    Closed {
        /// Name of the file.
        file: String,
    },
}
