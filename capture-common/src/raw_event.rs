//! [`RawEvent`]: one event as it stands in a capture file, borrowed from its block.
//!
//! Live events are encoded into the same form before anything looks at them, so nothing after
//! this point can tell a file from the running kernel. Parameters are found on demand; nothing
//! is decoded that nobody asks for, and nothing here can panic on strange lengths.

use crate::event_table::{EventCode, EventFlags, EventInfo};

/// Bit of the block flags: update state with this event, but do not show it.
pub const FLAG_STATE_ONLY: u32 = 1;

/// Bit of the block flags, beside [`FLAG_STATE_ONLY`]: event numbers pass over it. Events have it
/// that a filtered file keeps for their state alone; other readers ignore the bit.
pub const FLAG_UNCOUNTED: u32 = 1 << 8;

/// Size in bytes of the event header with a parameter count (blocks of version 2).
pub const HEADER_LEN: usize = 26;

/// Size in bytes of the event header of old blocks, which lacks the parameter count.
pub const OLD_HEADER_LEN: usize = 22;

/// One event: a view of the bytes of an event block.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Time in ns since the epoch.
    pub ts_ns: u64,
    /// Thread (kernel tid as the host sees it); -1 for events of no thread.
    pub tid: i64,
    /// Number of the CPU that recorded it.
    pub cpu: u16,
    /// Event type.
    pub code: EventCode,
    /// Block flags ([`FLAG_STATE_ONLY`]).
    pub flags: u32,
    wide_lengths: bool,
    lengths: &'a [u8],
    data: &'a [u8],
}

impl<'a> RawEvent<'a> {
    /// A view of `event`, the bytes from the event header on, whose header has `header_len`
    /// bytes and which has `nparams` parameters.
    ///
    /// `None` where the bytes are too short for the header or for the length array. Bytes after
    /// the event (padding, the block's trailer) may follow.
    #[inline]
    pub fn parse(event: &'a [u8], header_len: usize, nparams: usize, cpu: u16, flags: u32) -> Option<Self> {
        let head: &[u8; OLD_HEADER_LEN] = event.first_chunk()?;
        let ts_ns = u64::from_le_bytes(head[0..8].try_into().ok()?);
        let tid = i64::from_le_bytes(head[8..16].try_into().ok()?);
        let len = u32::from_le_bytes(head[16..20].try_into().ok()?) as usize;
        let code = EventCode(u16::from_le_bytes(head[20..22].try_into().ok()?));
        let wide_lengths = has_wide_lengths(code);
        let lengths_len = nparams * if wide_lengths { 4 } else { 2 };
        let event = event.get(..len).unwrap_or(event);
        let (lengths, data) = event.get(header_len..)?.split_at_checked(lengths_len)?;
        Some(RawEvent { ts_ns, tid, cpu, code, flags, wide_lengths, lengths, data })
    }

    /// The row of the event table; `None` for codes younger than the table.
    #[inline]
    pub fn info(&self) -> Option<&'static EventInfo> {
        self.code.info()
    }

    /// Whether readers update state from it without showing it.
    #[inline]
    pub fn is_state_only(&self) -> bool {
        self.flags & FLAG_STATE_ONLY != 0
    }

    /// Whether event numbers pass over it.
    #[inline]
    pub fn is_uncounted(&self) -> bool {
        self.flags & FLAG_UNCOUNTED != 0
    }

    /// Number of stored parameters, which may be fewer or more than the table's.
    #[inline]
    pub fn nparams(&self) -> usize {
        self.lengths.len() / self.length_size()
    }

    /// Stored bytes of parameter `index`; `None` where the event has no such parameter or its
    /// lengths run past its end.
    #[inline]
    pub fn param(&self, index: usize) -> Option<&'a [u8]> {
        if index >= self.nparams() {
            return None;
        }
        let mut at = 0usize;
        for i in 0..index {
            at += self.length(i);
        }
        self.data.get(at..at.checked_add(self.length(index))?)
    }

    /// All parameters in order; stops early where the lengths run past the event's end.
    #[inline]
    pub fn params(&self) -> Params<'a> {
        Params { event: *self, next: 0, at: 0 }
    }

    /// Parameter `index` as an unsigned number of 1, 2, 4 or 8 bytes.
    #[inline]
    pub fn uint(&self, index: usize) -> Option<u64> {
        read_uint(self.param(index)?)
    }

    /// Parameter `index` as a signed number of 1, 2, 4 or 8 bytes.
    #[inline]
    pub fn int(&self, index: usize) -> Option<i64> {
        read_int(self.param(index)?)
    }

    /// Parameter `index` as text: the bytes before the first NUL.
    #[inline]
    pub fn text(&self, index: usize) -> Option<&'a [u8]> {
        let bytes = self.param(index)?;
        Some(bytes.iter().position(|&b| b == 0).map_or(bytes, |end| &bytes[..end]))
    }

    #[inline]
    fn length_size(&self) -> usize {
        if self.wide_lengths { 4 } else { 2 }
    }

    #[inline]
    fn length(&self, index: usize) -> usize {
        if self.wide_lengths {
            let b = &self.lengths[index * 4..index * 4 + 4];
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize
        } else {
            let b = &self.lengths[index * 2..index * 2 + 2];
            usize::from(u16::from_le_bytes([b[0], b[1]]))
        }
    }
}

/// Iterator over the parameters of an event; see [`RawEvent::params`].
#[derive(Clone, Debug)]
pub struct Params<'a> {
    event: RawEvent<'a>,
    next: usize,
    at: usize,
}

impl<'a> Iterator for Params<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.next >= self.event.nparams() {
            return None;
        }
        let end = self.at.checked_add(self.event.length(self.next))?;
        let bytes = self.event.data.get(self.at..end)?;
        self.at = end;
        self.next += 1;
        Some(bytes)
    }
}

/// Whether events of this code store their parameter lengths in 32 bits.
#[inline]
pub fn has_wide_lengths(code: EventCode) -> bool {
    // Three codes only; the table is consulted for those above the range of hot ones.
    code.0 >= 322 && code.info().is_some_and(|i| i.flags.contains(EventFlags::LARGE_PAYLOAD))
}

/// An unsigned little-endian number of 1, 2, 4 or 8 bytes.
#[inline]
pub fn read_uint(bytes: &[u8]) -> Option<u64> {
    Some(match bytes.len() {
        8 => u64::from_le_bytes(bytes.try_into().ok()?),
        4 => u64::from(u32::from_le_bytes(bytes.try_into().ok()?)),
        2 => u64::from(u16::from_le_bytes(bytes.try_into().ok()?)),
        1 => u64::from(bytes[0]),
        _ => return None,
    })
}

/// A signed little-endian number of 1, 2, 4 or 8 bytes.
#[inline]
pub fn read_int(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        8 => i64::from_le_bytes(bytes.try_into().ok()?),
        4 => i64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        2 => i64::from(i16::from_le_bytes(bytes.try_into().ok()?)),
        1 => i64::from(bytes[0] as i8),
        _ => return None,
    })
}
