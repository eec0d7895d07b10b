//! Making events: appends whole event blocks to a [`Batch`].
//!
//! Used by the live decoder, by converters and by tests that feed hand-made events. Writes
//! blocks of version 2 (0x216; with flags 0x217), and the large forms (0x221, 0x222) where a
//! block would pass 65,536 bytes, as facts of the format demand.

use crate::batch::{Batch, BlockKind, EventRef};
use crate::event_table::EventCode;
use crate::event_table::code;
use crate::raw_event::has_wide_lengths;

/// Largest body of a block that is not a large one, in bytes.
const SMALL_BLOCK_MAX: usize = 65_536;

/// What the header of an event says.
#[derive(Clone, Copy, Debug)]
pub struct EventHead {
    /// Time in ns since the epoch.
    pub ts_ns: u64,
    /// Thread, -1 for none.
    pub tid: i64,
    /// CPU that recorded it.
    pub cpu: u16,
    /// Event type.
    pub code: EventCode,
    /// Block flags, usually 0.
    pub flags: u32,
}

impl Batch {
    /// Appends the record of a container, JSON text, as the event that stock tools understand. It
    /// belongs to no thread.
    pub fn push_container_record(&mut self, json: &[u8], ts_ns: u64, flags: u32) {
        let head = EventHead { ts_ns, tid: -1, cpu: 0, code: code::CONTAINER_JSON_2_E, flags };
        let mut event = self.encode(head, 1);
        // Text in events ends with NUL.
        event.pieces(&[json.strip_suffix(b"\0").unwrap_or(json), b"\0"]);
        event.finish();
    }

    /// Starts an event of `nparams` parameters at the end of the batch. The parameters are
    /// appended in order; [`EventEncoder::finish`] completes the block (parameters that were
    /// not given are empty). Dropped without `finish`, the event is not added.
    #[inline]
    pub fn encode(&mut self, head: EventHead, nparams: usize) -> EventEncoder<'_> {
        let block_at = self.bytes.len();
        let wide = has_wide_lengths(head.code);
        let kind = if head.flags != 0 { BlockKind::EventFlagsV2 } else { BlockKind::EventV2 };
        let out = &mut self.bytes;
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&head.cpu.to_le_bytes());
        if head.flags != 0 {
            out.extend_from_slice(&head.flags.to_le_bytes());
        }
        out.extend_from_slice(&head.ts_ns.to_le_bytes());
        out.extend_from_slice(&head.tid.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&head.code.0.to_le_bytes());
        out.extend_from_slice(&(nparams as u32).to_le_bytes());
        let lengths_at = out.len();
        out.resize(lengths_at + nparams * if wide { 4 } else { 2 }, 0);
        EventEncoder { batch: self, head, kind, block_at, lengths_at, nparams, next: 0, wide, done: false }
    }
}

/// An event under construction; see [`Batch::encode`].
#[derive(Debug)]
pub struct EventEncoder<'b> {
    batch: &'b mut Batch,
    head: EventHead,
    kind: BlockKind,
    block_at: usize,
    lengths_at: usize,
    nparams: usize,
    next: usize,
    wide: bool,
    done: bool,
}

impl EventEncoder<'_> {
    /// Appends a parameter of raw bytes. In events with 16-bit lengths at most 65,535 bytes of
    /// it are kept.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let keep = if self.wide { value.len() } else { value.len().min(usize::from(u16::MAX)) };
        self.batch.bytes.extend_from_slice(&value[..keep]);
        self.note_length(keep)
    }

    /// Appends a parameter made of several pieces.
    pub fn pieces(&mut self, pieces: &[&[u8]]) -> &mut Self {
        let start = self.batch.bytes.len();
        for piece in pieces {
            self.batch.bytes.extend_from_slice(piece);
        }
        self.close_param(start)
    }

    /// Appends a parameter that `fill` writes at the end of the buffer it is given.
    pub fn with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.batch.bytes.len();
        fill(&mut self.batch.bytes);
        debug_assert!(self.batch.bytes.len() >= start, "a parameter may only append");
        self.close_param(start)
    }

    /// Appends text and the NUL that files store after it.
    #[inline]
    pub fn text(&mut self, value: &[u8]) -> &mut Self {
        self.pieces(&[&value[..value.len().min(65_534)], b"\0"])
    }

    /// Appends an empty parameter.
    #[inline]
    pub fn empty(&mut self) -> &mut Self {
        self.note_length(0)
    }

    /// Appends an 8-bit number.
    #[inline]
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends a 16-bit number.
    #[inline]
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a 32-bit number.
    #[inline]
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a 64-bit number.
    #[inline]
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a signed 32-bit number.
    #[inline]
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a signed 64-bit number.
    #[inline]
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Completes the block and adds the event to the batch.
    pub fn finish(mut self) {
        self.done = true;
        let event_at = self.block_at + self.kind.event_offset();
        let event_len = self.batch.bytes.len() - event_at;
        let out = &mut self.batch.bytes;
        out[event_at + 16..event_at + 20].copy_from_slice(&(event_len as u32).to_le_bytes());
        let padded = (out.len() - self.block_at).next_multiple_of(4);
        out.resize(self.block_at + padded, 0);
        let block_len = padded + 4;
        let kind = if block_len - 8 <= SMALL_BLOCK_MAX && !self.wide {
            self.kind
        } else if self.kind.has_flags() {
            BlockKind::EventFlagsV2Large
        } else {
            BlockKind::EventV2Large
        };
        out.extend_from_slice(&(block_len as u32).to_le_bytes());
        out[self.block_at..self.block_at + 4].copy_from_slice(&kind.code().to_le_bytes());
        out[self.block_at + 4..self.block_at + 8].copy_from_slice(&(block_len as u32).to_le_bytes());
        self.batch.index.push(EventRef {
            block_at: self.block_at as u32,
            block_len: block_len as u32,
            flags: self.head.flags,
            cpu: self.head.cpu,
            nparams: self.nparams as u16,
            kind,
        });
    }

    fn close_param(&mut self, start: usize) -> &mut Self {
        let mut len = self.batch.bytes.len() - start;
        if !self.wide && len > usize::from(u16::MAX) {
            len = usize::from(u16::MAX);
            self.batch.bytes.truncate(start + len);
        }
        self.note_length(len)
    }

    #[inline]
    fn note_length(&mut self, len: usize) -> &mut Self {
        debug_assert!(self.next < self.nparams, "too many parameters for {:?}", self.head.code);
        if self.wide {
            let at = self.lengths_at + self.next * 4;
            self.batch.bytes[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
        } else {
            let at = self.lengths_at + self.next * 2;
            self.batch.bytes[at..at + 2].copy_from_slice(&(len as u16).to_le_bytes());
        }
        self.next += 1;
        self
    }
}

impl Drop for EventEncoder<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.batch.bytes.truncate(self.block_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_table::code;

    fn head(code: EventCode, flags: u32) -> EventHead {
        EventHead { ts_ns: 1_700_000_000_123_456_789, tid: 42, cpu: 1, code, flags }
    }

    #[test]
    fn an_encoded_event_reads_back() {
        let mut batch = Batch::new();
        let mut e = batch.encode(head(code::SYSCALL_OPEN_X, 0), 6);
        e.i64(3).text(b"/etc/hosts").u32(1).u32(0).u32(0xfd00).u64(77);
        e.finish();
        let e = batch.encode(head(code::SYSCALL_CLOSE_E, 1), 1);
        drop(e); // not finished: leaves nothing
        let mut e = batch.encode(head(code::SYSCALL_CLOSE_E, 1), 1);
        e.i64(3);
        e.finish();

        assert_eq!(batch.len(), 2);
        let open = batch.get(0).unwrap();
        assert_eq!((open.ts_ns, open.tid, open.cpu), (1_700_000_000_123_456_789, 42, 1));
        assert_eq!(open.nparams(), 6);
        assert_eq!(open.int(0), Some(3));
        assert_eq!(open.text(1), Some(&b"/etc/hosts"[..]));
        assert_eq!(open.uint(5), Some(77));
        assert_eq!(open.param(6), None);
        assert_eq!(open.params().count(), 6);
        let close = batch.get(1).unwrap();
        assert!(close.is_state_only());
        assert_eq!(close.int(0), Some(3));
        assert_eq!(batch.bytes().len() % 4, 0);
    }

    #[test]
    fn a_copy_takes_new_flags() {
        let mut from = Batch::new();
        let mut e = from.encode(head(code::SYSCALL_OPEN_X, 0), 6);
        e.i64(3).text(b"/etc/hosts").u32(1).u32(0).u32(0xfd00).u64(77);
        e.finish();
        let mut to = Batch::new();
        to.push_copy(&from, 0, 0);
        to.push_copy(&from, 0, 1);
        to.push_copy(&from, 1, 1); // there is no such event
        assert_eq!(to.len(), 2);
        assert_eq!(to.block(0), from.block(0));
        let marked = to.get(1).unwrap();
        assert!(marked.is_state_only());
        assert!(marked.params().eq(from.get(0).unwrap().params()));
    }

    #[test]
    fn large_events_take_the_large_block() {
        let mut batch = Batch::new();
        let mut e = batch.encode(head(code::SYSCALL_READ_X, 0), 4);
        e.i64(70_000).bytes(&vec![7; 70_000]).i64(3).u32(70_000);
        e.finish();
        assert_eq!(batch.refs()[0].kind, BlockKind::EventV2Large);
        assert_eq!(batch.get(0).unwrap().param(1).unwrap().len(), 65_535);
        let mut e = batch.encode(head(code::CONTAINER_JSON_2_E, 0), 1);
        e.bytes(&vec![b'x'; 100_000]);
        e.finish();
        assert_eq!(batch.get(1).unwrap().param(0).unwrap().len(), 100_000);
    }
}
