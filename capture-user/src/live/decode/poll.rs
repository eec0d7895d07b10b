//! fd lists of poll and ppoll: u16 count, then for each entry the fd (s64) and the events (s16)
//! in their stored form.

use super::call::Call;
use super::source::Src;
use capture_common::native::maps;

/// `struct pollfd`: fd (int), events (short), revents (short).
const POLLFD_LEN: usize = 8;
/// What is asked for.
const EVENTS_AT: usize = 4;
/// What happened.
const REVENTS_AT: usize = 6;

/// The list with the events that are waited for.
pub(super) const FDS: Src = Src::Bytes(|c, out| push(c, EVENTS_AT, out));
/// The list with the events that happened.
pub(super) const REVENTS: Src = Src::Bytes(|c, out| push(c, REVENTS_AT, out));

fn push(call: &Call<'_>, events_at: usize, out: &mut Vec<u8>) {
    // A parameter holds at most 65,535 bytes; the record at most 512 entries.
    let entries = call.raw(0).unwrap_or(&[]).chunks_exact(POLLFD_LEN);
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    for entry in entries {
        let fd = i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let events = u16::from_ne_bytes([entry[events_at], entry[events_at + 1]]);
        out.extend_from_slice(&i64::from(fd).to_le_bytes());
        let stored = maps::POLL_EVENTS.stored(u64::from(events)) as u16;
        out.extend_from_slice(&stored.to_le_bytes());
    }
}
