//! Block types and the frame that every block has: type, length, body, padding, length again.
//!
//! One row per block type, with the unofficial code of files from before format 1.2.

use capture_common::BlockKind;
use std::fmt;

/// Section header block.
pub const SECTION_HEADER: u32 = 0x0A0D_0D0A;
/// Magic number of a section header.
pub const SECTION_MAGIC: u32 = 0x1A2B_3C4D;
/// Highest (and written) major version of the format.
pub const VERSION_MAJOR: u16 = 1;
/// Written minor version.
pub const VERSION_MINOR: u16 = 2;
/// Machine info.
pub const MACHINE_INFO: u32 = 0x201;
/// Process list, version 9.
pub const PROCESS_LIST_V9: u32 = 0x215;
/// Fd list, version 2.
pub const FD_LIST_V2: u32 = 0x218;
/// Interface list, version 2.
pub const INTERFACE_LIST_V2: u32 = 0x219;
/// User list, version 2.
pub const USER_LIST_V2: u32 = 0x220;

/// Bytes of a block's header (type and length).
pub const HEADER_LEN: usize = 8;
/// Bytes of a block's header and trailer.
pub const OVERHEAD_LEN: usize = 12;

/// What a block holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Content {
    SectionHeader,
    MachineInfo,
    /// Process list of version 1 to 9.
    ProcessList(u8),
    /// List whose entries carry their length (`true`) or not.
    FdList(bool),
    /// See `FdList`.
    InterfaceList(bool),
    /// See `FdList`.
    UserList(bool),
    Event,
    /// A type that this crate does not know.
    Unknown,
}

struct Row {
    code: u32,
    old_code: u32,
    content: Content,
    name: &'static str,
}

const fn row(code: u32, old_code: u32, content: Content, name: &'static str) -> Row {
    Row { code, old_code, content, name }
}

/// Code, unofficial code of old files (0: none), content, name.
const ROWS: &[Row] = &[
    row(SECTION_HEADER, 0, Content::SectionHeader, "section header"),
    row(0x201, 0x8002_ABCD, Content::MachineInfo, "machine info"),
    row(0x202, 0x8000_ABCD, Content::ProcessList(1), "process list V1"),
    row(0x207, 0x8013_ABCD, Content::ProcessList(2), "process list V2"),
    row(0x209, 0x8014_ABCD, Content::ProcessList(3), "process list V3"),
    row(0x210, 0, Content::ProcessList(4), "process list V4"),
    row(0x211, 0, Content::ProcessList(5), "process list V5"),
    row(0x212, 0, Content::ProcessList(6), "process list V6"),
    row(0x213, 0, Content::ProcessList(7), "process list V7"),
    row(0x214, 0, Content::ProcessList(8), "process list V8"),
    row(0x215, 0, Content::ProcessList(9), "process list V9"),
    row(0x203, 0x8001_ABCD, Content::FdList(false), "fd list"),
    row(0x218, 0, Content::FdList(true), "fd list V2"),
    row(0x205, 0x8011_ABCD, Content::InterfaceList(false), "interface list"),
    row(0x219, 0, Content::InterfaceList(true), "interface list V2"),
    row(0x206, 0x8012_ABCD, Content::UserList(false), "user list"),
    row(0x220, 0, Content::UserList(true), "user list V2"),
    row(0x204, 0x8010_ABCD, Content::Event, "event"),
    row(0x208, 0, Content::Event, "event with flags"),
    row(0x216, 0, Content::Event, "event V2"),
    row(0x217, 0, Content::Event, "event V2 with flags"),
    row(0x221, 0, Content::Event, "large event V2"),
    row(0x222, 0, Content::Event, "large event V2 with flags"),
];

/// Type code of a block as it stands in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockType(pub u32);

impl BlockType {
    /// What blocks of this type hold.
    pub fn content(self) -> Content {
        self.row().map_or(Content::Unknown, |r| r.content)
    }

    /// Whether it is an event block of the types for large events.
    pub(crate) fn is_large_event(self) -> bool {
        matches!(BlockKind::from_code(self.0), Some(BlockKind::EventV2Large | BlockKind::EventFlagsV2Large))
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|r| r.code == self.0 || (r.old_code != 0 && r.old_code == self.0))
    }
}

impl fmt::Display for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.row().map_or("unknown type", |r| r.name);
        write!(f, "{name}, {:#x}", self.0)
    }
}

/// Opens a block at the end of `out`; [`end_block`] completes it.
pub(crate) fn begin_block(out: &mut Vec<u8>, code: u32) -> usize {
    let at = out.len();
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    at
}

/// Completes the block that was opened at `at`: padding, both lengths.
pub(crate) fn end_block(out: &mut Vec<u8>, at: usize) {
    let padded = (out.len() - at).next_multiple_of(4);
    out.resize(at + padded, 0);
    let len = (padded + 4) as u32;
    out.extend_from_slice(&len.to_le_bytes());
    out[at + 4..at + 8].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_agree_with_the_event_block_kinds() {
        for r in ROWS {
            let is_event = r.content == Content::Event;
            assert_eq!(BlockKind::from_code(r.code).is_some(), is_event, "{}", r.name);
            if r.old_code != 0 {
                assert_eq!(BlockKind::from_code(r.old_code).is_some(), is_event, "{}", r.name);
            }
            assert_eq!(ROWS.iter().filter(|o| o.code == r.code).count(), 1, "{}", r.name);
        }
    }

    #[test]
    fn names() {
        assert_eq!(BlockType(0x8013_ABCD).to_string(), "process list V2, 0x8013abcd");
        assert_eq!(BlockType(0x1).to_string(), "unknown type, 0x1");
    }

    #[test]
    fn blocks_are_padded() {
        let mut out = Vec::new();
        let at = begin_block(&mut out, 0x201);
        out.push(7);
        end_block(&mut out, at);
        assert_eq!(out, [1, 2, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 16, 0, 0, 0]);
    }
}
