//! Looking at event blocks: where the event stands, how many parameters it has, and whether its
//! lengths agree with each other.

use crate::compat::{guess_nparams, lengths_sum};
use capture_common::EventCode;
use capture_common::batch::{BlockKind, EventRef};
use capture_common::raw_event::{HEADER_LEN, OLD_HEADER_LEN, has_wide_lengths};

/// What [`event_block`] found.
#[derive(Debug)]
pub(crate) enum Event {
    /// All lengths agree.
    Whole(EventRef),
    /// The header can be read; some parameters are missing or the event passes its block's end.
    Damaged(EventRef),
    /// Not even header and length array fit.
    Unreadable,
}

/// Checks a whole event block. `block_at` of the answer is left 0.
#[inline]
pub(crate) fn event_block(kind: BlockKind, block: &[u8]) -> Event {
    look(kind, block).unwrap_or(Event::Unreadable)
}

#[inline]
fn look(kind: BlockKind, block: &[u8]) -> Option<Event> {
    let event_at = kind.event_offset();
    let fixed = block.get(..event_at + OLD_HEADER_LEN)?;
    let room = block.get(event_at..block.len().checked_sub(4)?)?;
    let mut entry = EventRef {
        block_at: 0,
        block_len: block.len() as u32,
        flags: if kind.has_flags() { u32_at(fixed, 10) } else { 0 },
        cpu: u16_at(fixed, 8),
        nparams: 0,
        kind,
    };
    let len = u32_at(fixed, event_at + 16) as usize;
    let code = EventCode(u16_at(fixed, event_at + 20));
    let event = &room[..len.min(room.len())];
    if kind.is_old() {
        let guess = guess_nparams(event, code, len)?;
        entry.nparams = guess.nparams as u16;
        let whole = guess.exact && len <= room.len();
        return Some(if whole { Event::Whole(entry) } else { Event::Damaged(entry) });
    }
    let nparams = u32::from_le_bytes(event.get(OLD_HEADER_LEN..HEADER_LEN)?.try_into().ok()?);
    entry.nparams = u16::try_from(nparams).ok()?;
    let wide = has_wide_lengths(code);
    let data_at = HEADER_LEN + nparams as usize * if wide { 4 } else { 2 };
    let lengths = event.get(HEADER_LEN..data_at)?;
    let whole = len <= room.len() && lengths_sum(lengths, wide) <= (len - data_at) as u64;
    Some(if whole { Event::Whole(entry) } else { Event::Damaged(entry) })
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::Batch;
    use capture_common::encode::EventHead;
    use capture_common::event_table::code;

    fn block() -> Vec<u8> {
        let mut batch = Batch::new();
        let head = EventHead { ts_ns: 1, tid: 2, cpu: 3, code: code::SYSCALL_CLOSE_X, flags: 0 };
        let mut e = batch.encode(head, 2);
        e.i64(0).i64(3);
        e.finish();
        batch.bytes().to_vec()
    }

    /// Breaks one u32 of a good block.
    fn check(at: usize, value: u32, expected: &str) {
        let mut b = block();
        b[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let found = format!("{:?}", event_block(BlockKind::EventV2, &b));
        assert!(found.starts_with(expected), "{at} {value}: {found}");
    }

    #[test]
    fn lengths_are_checked() {
        check(10 + 16, 46, "Whole");
        check(10 + 16, 45, "Damaged"); // a parameter passes the event's end
        check(10 + 16, 5000, "Damaged"); // the event passes the block's end
        check(10 + 16, 27, "Unreadable"); // no room for the length array
        check(10 + 22, 0, "Whole");
        check(10 + 22, 30_000, "Unreadable");
        check(10 + 26, 9 << 16 | 8, "Damaged");
        assert!(matches!(event_block(BlockKind::EventV2, &block()[..12]), Event::Unreadable));
    }
}
