//! Metadata blocks of a section's start: one file per block, each with its decoder and encoder.
//!
//! Decoders add to a [`Snapshot`] and answer with the field that did not fit; encoders append
//! whole blocks in the current versions.

mod fds;
mod interfaces;
mod machine;
mod threads;
mod users;

use crate::block::{self, Content, begin_block, end_block};
use crate::cursor::{Cursor, Short};
use crate::writer::ProcessTail;
use capture_common::Snapshot;

/// Bytes of a block's body that are decoded at a time.
pub(crate) const WINDOW_BYTES: usize = 2 << 20;

/// More than the longest entry of a list has: its strings have lengths of 16 bits.
const ENTRY_MAX: usize = 1 << 20;

/// Decodes the body of one metadata block, given in pieces.
#[derive(Debug)]
pub(crate) struct Decoder {
    content: Content,
    /// Whether the list's own fields, which stand before its entries, are decoded.
    is_open: bool,
}

impl Decoder {
    pub(crate) fn new(content: Content) -> Decoder {
        Decoder { content, is_open: false }
    }

    /// Adds the entries at the beginning of `body`, as many as are whole there; of the body's last piece
    /// all. The answer is how many bytes that took.
    pub(crate) fn decode(&mut self, body: &[u8], is_last: bool, to: &mut Opening) -> Result<usize, Short> {
        let mut cursor = Cursor::new(body);
        if !self.is_open {
            match self.content {
                Content::FdList(_) => fds::open(&mut cursor, to)?,
                // A later list replaces an earlier one.
                Content::InterfaceList(_) => to.snapshot.interfaces.clear(),
                Content::MachineInfo => {
                    machine::decode(&mut cursor, &mut to.snapshot)?;
                    return Ok(body.len());
                }
                _ => {}
            }
            self.is_open = true;
        }
        let least = if is_last { 4 } else { ENTRY_MAX };
        while cursor.left() >= least {
            match self.content {
                Content::ProcessList(version) => threads::decode(&mut cursor, version, to)?,
                Content::FdList(sized) => fds::decode(&mut cursor, sized, to)?,
                Content::InterfaceList(sized) => interfaces::decode(&mut cursor, sized, to)?,
                Content::UserList(sized) => users::decode(&mut cursor, sized, to)?,
                _ => break,
            }
        }
        Ok(if is_last { body.len() } else { body.len() - cursor.left() })
    }
}

/// Most bytes that the opening tables take in memory: some 20,000 threads with all their text, or
/// 150,000 that have little.
const OPENING_MAX_BYTES: usize = 80 << 20;

/// The opening tables of a section while they are read.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) snapshot: Snapshot,
    /// Entries that found no room, with those of the sections before.
    pub(crate) refused: u64,
    left_bytes: usize,
}

impl Opening {
    /// Empty tables; `refused` is the count so far.
    pub(crate) fn new(refused: u64) -> Opening {
        Opening { snapshot: Snapshot::default(), refused, left_bytes: OPENING_MAX_BYTES }
    }

    /// Whether there is room for an entry with so much text, which is then taken.
    fn has_room<T>(&mut self, text: &[&[u8]]) -> bool {
        /// What an allocation costs beside its bytes.
        const ALLOCATION: usize = 16;
        let texts = text.iter().filter(|t| !t.is_empty()).map(|t| t.len() + ALLOCATION);
        let bytes = size_of::<T>() + texts.sum::<usize>();
        let room = self.left_bytes.checked_sub(bytes);
        match room {
            Some(left) => self.left_bytes = left,
            None => self.refused += 1,
        }
        room.is_some()
    }
}

/// Appends a section header and the blocks of `snapshot`, in the order in which stock writers
/// put them. Returns how many strings had to be cut to what stock readers accept.
pub(crate) fn encode(snapshot: &Snapshot, tail: ProcessTail, out: &mut Vec<u8>) -> EncodedMeta {
    let start = out.len();
    let mut made = EncodedMeta::default();
    let at = begin_block(out, block::SECTION_HEADER);
    out.extend_from_slice(&block::SECTION_MAGIC.to_le_bytes());
    out.extend_from_slice(&block::VERSION_MAJOR.to_le_bytes());
    out.extend_from_slice(&block::VERSION_MINOR.to_le_bytes());
    out.extend_from_slice(&u64::MAX.to_le_bytes());
    end_block(out, at);
    machine::encode(snapshot, out);
    made.cut_strings += interfaces::encode(&snapshot.interfaces, out);
    made.cut_strings += users::encode(snapshot, out);
    let threads = threads::encode(&snapshot.threads, tail, out);
    made.cut_strings += threads.cut_strings;
    made.blocks = 4 + threads.blocks + snapshot.fds.len() as u64;
    for (tid, records) in &snapshot.fds {
        made.cut_strings += fds::encode(*tid, records, out);
    }
    made.bytes = (out.len() - start) as u64;
    made
}

/// What [`encode`] made.
#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct EncodedMeta {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) cut_strings: u64,
}
