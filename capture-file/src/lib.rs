//! Reads and writes `.scap` capture files.
//!
//! Owns the file format: containers (plain, gzip, zstd), blocks, the metadata blocks of a
//! section's start, and the rows that keep old files readable. A [`Reader`] turns a file or a
//! pipe into snapshots and batches of events, a [`Writer`] does the reverse; between them stands
//! nothing but the vocabulary of `capture-common`.
//!
//! **Invariant:** no byte that comes from outside can cause a panic or an allocation larger than
//! a small multiple of the bytes that really arrived. What was readable before a fault is handed
//! over before the fault is reported.

#![forbid(unsafe_code)]

pub mod block;
mod compat;
mod container;
mod cursor;
mod encoder;
mod error;
mod meta;
mod output;
mod reader;
mod scan;
mod writer;

pub use container::Container;
pub use error::FileError;
pub use reader::{ReadStats, Reader};
pub use writer::{Compression, ProcessTail, WriteStats, Writer, WriterOptions};
