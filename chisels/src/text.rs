//! Sizes, durations, numbers and columns for people, as sysdig's chisels print them.
//!
//! Widths count characters, so that columns stand below each other in any language; for ASCII that is
//! what sysdig does.

use capture_engine::render::number::dec_u64;
use std::io::Write;

const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// Appends a size: `832B`, `5.90KB`, `1.05M`, `2.00G`, …
pub fn write_bytes(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [(&str, u32); 5] = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("KB", 10)];
    let Some((unit, shift)) = UNITS.iter().find(|(_, shift)| bytes > 1 << shift) else {
        dec_u64(out, bytes);
        out.push(b'B');
        return;
    };
    let hundredths = rounded(u128::from(bytes) * 100, *shift);
    dec_u64(out, hundredths / 100);
    out.push(b'.');
    out.push(b'0' + (hundredths / 10 % 10) as u8);
    out.push(b'0' + (hundredths % 10) as u8);
    out.extend_from_slice(unit.as_bytes());
}

/// A number divided by 2 to the power of `shift`, which is at least 1; halves go to the even neighbour,
/// as C rounds.
fn rounded(number: u128, shift: u32) -> u64 {
    let (whole, rest, half) = (number >> shift, number & ((1 << shift) - 1), 1 << (shift - 1));
    let up = rest > half || (rest == half && whole & 1 == 1);
    (whole + u128::from(up)) as u64
}

/// Appends a duration: `504ns`, `1.05us`, `37us`, `1.20ms`, `45ms`, `12.03s`. Nothing is rounded up.
pub fn write_duration(out: &mut Vec<u8>, ns: u64) {
    // Up to ten of a unit get two decimals, seconds always do.
    let decimals = |unit: u64| (ns / unit, ns % unit / (unit / 100));
    let _ = match ns {
        NS_PER_S.. => {
            let (whole, part) = decimals(NS_PER_S);
            write!(out, "{whole}.{part:02}s")
        }
        10_000_000.. => write!(out, "{}ms", ns / NS_PER_MS),
        NS_PER_MS.. => {
            let (whole, part) = decimals(NS_PER_MS);
            write!(out, "{whole}.{part:02}ms")
        }
        10_000.. => write!(out, "{}us", ns / NS_PER_US),
        NS_PER_US.. => {
            let (whole, part) = decimals(NS_PER_US);
            write!(out, "{whole}.{part:02}us")
        }
        _ => write!(out, "{ns}ns"),
    };
}

/// Appends a number as Lua shows it: whole ones without a fraction, others with up to 14 digits.
pub fn write_number(out: &mut Vec<u8>, number: f64) {
    const EXACT: f64 = 9e15;
    let _ = if number.fract() == 0.0 && number.abs() < EXACT {
        write!(out, "{}", number as i64)
    } else {
        let rounded: f64 = format!("{number:.13e}").parse().unwrap_or(number);
        write!(out, "{rounded}")
    };
}

/// Appends text as a column: filled with blanks, or cut so that a blank follows.
pub fn write_column(out: &mut Vec<u8>, text: &[u8], width: usize) {
    let Some(cut) = width.checked_sub(1) else { return };
    write_at_least(out, head(text, cut), width);
}

/// Appends text in exactly so many characters, like C's `%-W.Ws`.
pub fn write_exactly(out: &mut Vec<u8>, text: &[u8], width: usize) {
    write_at_least(out, head(text, width), width);
}

/// Appends text and blanks up to a width, like C's `%-Ws`.
pub fn write_at_least(out: &mut Vec<u8>, text: &[u8], width: usize) {
    out.extend_from_slice(text);
    let missing = width.saturating_sub(text.iter().filter(|b| begins_character(**b)).count());
    out.resize(out.len() + missing, b' ');
}

/// Appends a line of columns, each as wide as said at least and followed by a blank, the last one as it
/// is.
pub fn write_row<const N: usize>(out: &mut Vec<u8>, widths: [usize; N], columns: [&[u8]; N]) {
    for (text, width) in columns.iter().zip(widths) {
        write_at_least(out, text, width);
        out.push(b' ');
    }
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
}

/// The first characters of a text.
pub fn head(text: &[u8], characters: usize) -> &[u8] {
    let mut begins = text.iter().enumerate().filter(|(_, b)| begins_character(**b));
    match begins.nth(characters) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn begins_character(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sizes() {
        let check = |n, expected| assert_eq!(text(|out| write_bytes(out, n)), expected);
        check(832, "832B");
        check(1024, "1024B");
        check(6042, "5.90KB");
        check(3 << 20, "3.00M");
        check(5 << 30, "5.00G");
        // Halves of a hundredth: 8.125 and 8.375.
        check(8320, "8.12KB");
        check(8576, "8.38KB");
        check(2_097_151, "2.00M");
        check(u64::MAX, "16384.00P");
    }

    #[test]
    fn durations() {
        let check = |ns, expected| assert_eq!(text(|out| write_duration(out, ns)), expected);
        check(0, "0ns");
        check(999, "999ns");
        check(1_059, "1.05us");
        check(37_999, "37us");
        check(1_209_999, "1.20ms");
        check(45_999_999, "45ms");
        check(12_039_999_999, "12.03s");
        check(3_600_000_000_000, "3600.00s");
    }

    #[test]
    fn numbers() {
        let check = |n, expected| assert_eq!(text(|out| write_number(out, n)), expected);
        check(0.0, "0");
        check(17.0, "17");
        check(0.1 + 0.2, "0.3");
        check(12.345678, "12.345678");
        check(-3.0, "-3");
    }

    #[test]
    fn columns() {
        assert_eq!(text(|out| write_column(out, b"ab", 4)), "ab  ");
        assert_eq!(text(|out| write_column(out, b"abcd", 4)), "abc ");
        assert_eq!(text(|out| write_column(out, "äbcd".as_bytes(), 4)), "äbc ");
        assert_eq!(text(|out| write_column(out, b"ab", 0)), "");
        assert_eq!(text(|out| write_exactly(out, b"abcd", 3)), "abc");
        assert_eq!(text(|out| write_at_least(out, b"abcd", 3)), "abcd");
        assert_eq!(text(|out| write_row(out, [2, 3, 0], [b"a", b"bcde", b"f"])), "a  bcde f\n");
        assert_eq!(text(|out| write_row(out, [2, 3], [b"a", b""])), "a\n");
    }
}
