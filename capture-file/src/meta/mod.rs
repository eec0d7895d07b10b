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

/// Adds the content of one metadata block to `snapshot`. Unknown blocks add nothing.
pub(crate) fn decode(content: Content, body: &[u8], snapshot: &mut Snapshot) -> Result<(), Short> {
    let mut cursor = Cursor::new(body);
    match content {
        Content::MachineInfo => machine::decode(&mut cursor, snapshot),
        Content::ProcessList(version) => threads::decode(&mut cursor, version, snapshot),
        Content::FdList(sized) => fds::decode(&mut cursor, sized, snapshot),
        Content::InterfaceList(sized) => interfaces::decode(&mut cursor, sized, snapshot),
        Content::UserList(sized) => users::decode(&mut cursor, sized, snapshot),
        Content::SectionHeader | Content::Event | Content::Unknown => Ok(()),
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
