//! [`Batch`]: event blocks back to back, with an index of where each event stands.
//!
//! Sources fill batches (a frame's or a drain's worth of events) and consumers loop inside, so
//! nothing is paid per event but the loop. The bytes are whole blocks of the file format, in the
//! version in which they were read or made: a writer can copy them untouched.

use crate::raw_event::{HEADER_LEN, OLD_HEADER_LEN, RawEvent};

/// Type of an event block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockKind {
    /// 0x204: no parameter count.
    Event,
    /// 0x208: flags, no parameter count.
    EventFlags,
    /// 0x216.
    EventV2,
    /// 0x217: flags.
    EventFlagsV2,
    /// 0x221: any size.
    EventV2Large,
    /// 0x222: flags, any size.
    EventFlagsV2Large,
}

impl BlockKind {
    /// Code in the block header.
    #[inline]
    pub const fn code(self) -> u32 {
        match self {
            BlockKind::Event => 0x204,
            BlockKind::EventFlags => 0x208,
            BlockKind::EventV2 => 0x216,
            BlockKind::EventFlagsV2 => 0x217,
            BlockKind::EventV2Large => 0x221,
            BlockKind::EventFlagsV2Large => 0x222,
        }
    }

    /// The event block type with this code, the old unofficial one (0x8010ABCD) included.
    #[inline]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0x216 => BlockKind::EventV2,
            0x217 => BlockKind::EventFlagsV2,
            0x221 => BlockKind::EventV2Large,
            0x222 => BlockKind::EventFlagsV2Large,
            0x204 | 0x8010_ABCD => BlockKind::Event,
            0x208 => BlockKind::EventFlags,
            _ => return None,
        })
    }

    /// Whether the body carries a flags word between the CPU and the event.
    #[inline]
    pub const fn has_flags(self) -> bool {
        matches!(self, BlockKind::EventFlags | BlockKind::EventFlagsV2 | BlockKind::EventFlagsV2Large)
    }

    /// Whether the event header lacks the parameter count.
    #[inline]
    pub const fn is_old(self) -> bool {
        matches!(self, BlockKind::Event | BlockKind::EventFlags)
    }

    /// Bytes from the start of the block to the event header.
    #[inline]
    pub const fn event_offset(self) -> usize {
        if self.has_flags() { 8 + 2 + 4 } else { 8 + 2 }
    }
}

/// Where one event stands in its batch.
#[derive(Clone, Copy, Debug)]
pub struct EventRef {
    /// Offset of the block's first byte in the batch.
    pub block_at: u32,
    /// Length of the whole block.
    pub block_len: u32,
    /// Block flags; 0 for blocks without.
    pub flags: u32,
    /// CPU that recorded the event.
    pub cpu: u16,
    /// Number of parameters.
    pub nparams: u16,
    /// Type of the block.
    pub kind: BlockKind,
}

/// Event blocks back to back, and their index.
#[derive(Default, Debug, Clone)]
pub struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) index: Vec<EventRef>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all events, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
    }

    /// Number of events.
    #[inline]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds no event.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// All bytes: whole blocks, back to back.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The index.
    #[inline]
    pub fn refs(&self) -> &[EventRef] {
        &self.index
    }

    /// Bytes of the block of event `at`.
    #[inline]
    pub fn block(&self, at: usize) -> Option<&[u8]> {
        let r = self.index.get(at)?;
        self.bytes.get(r.block_at as usize..r.block_at as usize + r.block_len as usize)
    }

    /// Event `at`; `None` past the end, or where an entry added by [`Batch::push_block`] did not
    /// describe a whole event.
    #[inline]
    pub fn get(&self, at: usize) -> Option<RawEvent<'_>> {
        self.view(self.index.get(at)?)
    }

    /// All events in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = RawEvent<'_>> {
        self.index.iter().filter_map(|r| self.view(r))
    }

    /// Replaces the content by `bytes` (whole blocks) and an empty index; returns the old bytes'
    /// memory for reuse. The index is filled by [`Batch::push_ref`].
    pub fn replace_bytes(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.index.clear();
        std::mem::replace(&mut self.bytes, bytes)
    }

    /// Replaces the bytes and keeps the index; for sources that index blocks while the bytes are
    /// still arriving. Returns the old bytes' memory for reuse.
    pub fn attach_bytes(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.bytes, bytes)
    }

    /// Adds an index entry for a block that is already among the bytes.
    #[inline]
    pub fn push_ref(&mut self, entry: EventRef) {
        self.index.push(entry);
    }

    /// Appends a whole block. `entry.block_at` and `block_len` are set here.
    pub fn push_block(&mut self, block: &[u8], mut entry: EventRef) {
        entry.block_at = self.bytes.len() as u32;
        entry.block_len = block.len() as u32;
        self.bytes.extend_from_slice(block);
        self.index.push(entry);
    }

    /// Appends event `at` of another batch with these block flags: untouched where it has them
    /// already, else as a block of the current version with a flags word. An entry that is no
    /// whole event is left out.
    pub fn push_copy(&mut self, from: &Batch, at: usize, flags: u32) {
        let (Some(entry), Some(block)) = (from.index.get(at), from.block(at)) else { return };
        if entry.flags == flags {
            return self.push_block(block, *entry);
        }
        let Some(raw) = from.get(at) else { return };
        let head =
            crate::encode::EventHead { ts_ns: raw.ts_ns, tid: raw.tid, cpu: raw.cpu, code: raw.code, flags };
        let mut event = self.encode(head, raw.nparams());
        for param in raw.params() {
            event.bytes(param);
        }
        event.finish();
    }

    #[inline]
    fn view(&self, r: &EventRef) -> Option<RawEvent<'_>> {
        let start = r.block_at as usize + r.kind.event_offset();
        let end = (r.block_at as usize).checked_add(r.block_len as usize)?.checked_sub(4)?;
        let header = if r.kind.is_old() { OLD_HEADER_LEN } else { HEADER_LEN };
        RawEvent::parse(self.bytes.get(start..end)?, header, usize::from(r.nparams), r.cpu, r.flags)
    }
}
