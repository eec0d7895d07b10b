//! What old files need: event blocks of version 1 have no parameter count, and two event types
//! were stored with a wrong length.

use capture_common::EventCode;
use capture_common::event_table::code;
use capture_common::raw_event::{OLD_HEADER_LEN, has_wide_lengths};

/// Events whose stored length in old blocks is too large, and by how many bytes.
const LENGTH_ERRORS: &[(EventCode, usize)] = &[(code::NOTIFICATION_E, 3), (code::INFRASTRUCTURE_EVENT_E, 3)];

/// Number of parameters of an event from an old block, given its bytes from the header on (at
/// most as many as its length says).
///
/// Since its recording the table may have got more parameters for the event: the right number is
/// the largest, from the table's downwards, for which header, lengths and data fill the event
/// exactly. Where none does, the largest that fits is taken; `None` where none even fits, or
/// where the table does not know the event.
pub(crate) fn guess_nparams(event: &[u8], code: EventCode, stored_len: usize) -> Option<Guess> {
    let most = code.info()?.params.len();
    let error = LENGTH_ERRORS.iter().find(|(c, _)| *c == code).map_or(0, |(_, error)| *error);
    let want = stored_len.checked_sub(error)?;
    let needs = |n: usize| needed_len(event, code, n);
    if let Some(n) = (0..=most).rev().find(|&n| needs(n) == Some(want)) {
        return Some(Guess { nparams: n, exact: true });
    }
    let n = (0..=most).rev().find(|&n| needs(n).is_some_and(|len| len <= want))?;
    Some(Guess { nparams: n, exact: false })
}

/// Answer of [`guess_nparams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    pub(crate) nparams: usize,
    /// Whether the event is filled exactly.
    pub(crate) exact: bool,
}

/// Length of the event if it had `nparams` parameters; `None` if the length array does not fit.
fn needed_len(event: &[u8], code: EventCode, nparams: usize) -> Option<usize> {
    let wide = has_wide_lengths(code);
    let data_at = OLD_HEADER_LEN + nparams * if wide { 4 } else { 2 };
    Some(data_at + lengths_sum(event.get(OLD_HEADER_LEN..data_at)?, wide) as usize)
}

/// Sum of the parameter lengths in a length array.
#[inline]
pub(crate) fn lengths_sum(lengths: &[u8], wide: bool) -> u64 {
    if wide {
        lengths.chunks_exact(4).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).sum()
    } else {
        lengths.chunks_exact(2).map(|b| u64::from(u16::from_le_bytes([b[0], b[1]]))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old_event(code: EventCode, params: &[&[u8]], surplus: u32) -> Vec<u8> {
        let mut e = vec![0; 16];
        let len = OLD_HEADER_LEN + params.iter().map(|p| p.len() + 2).sum::<usize>();
        e.extend_from_slice(&(len as u32 + surplus).to_le_bytes());
        e.extend_from_slice(&code.0.to_le_bytes());
        params.iter().for_each(|p| e.extend_from_slice(&(p.len() as u16).to_le_bytes()));
        params.iter().for_each(|p| e.extend_from_slice(p));
        e
    }

    fn check(code: EventCode, params: &[&[u8]], surplus: u32, expected: Option<Guess>) {
        let e = old_event(code, params, surplus);
        assert_eq!(guess_nparams(&e, code, e.len() + surplus as usize), expected);
    }

    #[test]
    fn the_count_that_fills_the_event_is_found() {
        let exact = |nparams| Some(Guess { nparams, exact: true });
        check(code::SYSCALL_CLOSE_X, &[&[0; 8]], 0, exact(1));
        check(code::SYSCALL_CLOSE_X, &[&[0; 8], &[3; 8]], 0, exact(2));
        check(code::SYSCALL_OPEN_X, &[&[1; 8], b"/etc/hosts\0", &[0; 4], &[0; 4]], 0, exact(4));
        check(code::NOTIFICATION_E, &[b"id\0", b"text\0"], 3, exact(2));
        // 200 bytes stand after the event's two parameters.
        check(code::SYSCALL_CLOSE_X, &[&[0; 8], &[3; 8]], 200, Some(Guess { nparams: 2, exact: false }));
        check(EventCode(60_000), &[&[0; 8]], 0, None);
    }
}
