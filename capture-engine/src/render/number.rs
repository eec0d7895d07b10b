//! Numbers as text, appended to a byte buffer without `core::fmt`.
//!
//! Listings spend most of their time here, so every writer works on a small array on the stack
//! and appends it once. Forms are those of stock sysdig: hexadecimal in capitals and without a
//! prefix, octal with one leading zero, floating point as C's `%g`.

/// Appends a signed decimal number.
#[inline]
pub fn dec_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    dec_u64(out, value.unsigned_abs());
}

/// Appends an unsigned decimal number.
#[inline]
pub fn dec_u64(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        return out.push(b'0' + value as u8);
    }
    // An array of known length is appended without a call; what is too much of it goes again.
    let mut text = [0; MAX_DIGITS];
    let len = value.ilog10() as usize + 1;
    fill_digits(&mut text[..len], value);
    let end = out.len() + len;
    out.extend_from_slice(&text);
    out.truncate(end);
}

/// Digits of the largest 64-bit number.
const MAX_DIGITS: usize = 20;

/// All pairs of digits.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
};

/// Fills `text` with the last digits of a number.
#[inline]
fn fill_digits(text: &mut [u8], mut value: u64) {
    let mut pairs = text.rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + (value % 10) as u8;
    }
}

/// Appends a decimal number with at least `width` digits, filled up with zeros.
#[inline]
pub fn padded_u64(out: &mut Vec<u8>, value: u64, width: usize) {
    let digits = value.checked_ilog10().map_or(1, |log| log as usize + 1);
    for _ in digits..width {
        out.push(b'0');
    }
    dec_u64(out, value);
}

/// Appends two digits; `value` is below 100.
#[inline]
pub fn two_digits(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&PAIRS[(value % 100) as usize]);
}

/// Appends the nine digits of a nanosecond part.
#[inline]
pub fn nine_digits(out: &mut Vec<u8>, value: u32) {
    let mut text = [0; 9];
    fill_digits(&mut text, u64::from(value));
    out.extend_from_slice(&text);
}

/// Appends a hexadecimal number in capitals, without a prefix.
#[inline]
pub fn hex_upper(out: &mut Vec<u8>, value: u64) {
    hex(out, value, b"0123456789ABCDEF");
}

/// Appends a hexadecimal number in small letters, without a prefix.
#[inline]
pub fn hex_lower(out: &mut Vec<u8>, value: u64) {
    hex(out, value, b"0123456789abcdef");
}

#[inline]
fn hex(out: &mut Vec<u8>, mut value: u64, digits: &[u8; 16]) {
    let mut text = [0u8; 16];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = digits[(value & 15) as usize];
        value >>= 4;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Appends an octal number: `0`, or the digits after one more zero.
#[inline]
pub fn octal(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [b'0'; 23];
    let mut at = text.len();
    while value != 0 {
        at -= 1;
        text[at] = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    out.extend_from_slice(&text[at - 1..]);
}

/// Appends a floating point number with six significant digits, as C's `%g` does.
pub fn general(out: &mut Vec<u8>, value: f64) {
    const DIGITS: i32 = 6;
    if value == 0.0 || !value.is_finite() {
        let text: &[u8] = match () {
            () if value.is_nan() => b"nan",
            () if value == f64::INFINITY => b"inf",
            () if value == f64::NEG_INFINITY => b"-inf",
            () => b"0",
        };
        out.extend_from_slice(text);
        return;
    }
    // Rounding to six digits decides the exponent (999999.9 becomes 1e+06), so let the
    // standard library round first and cut its text apart.
    let rounded = format!("{value:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let text = if (-4..DIGITS).contains(&exponent) {
        format!("{value:.*}", (DIGITS - 1 - exponent) as usize)
    } else {
        mantissa.to_owned()
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    out.extend_from_slice(text.as_bytes());
    if !(-4..DIGITS).contains(&exponent) {
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        padded_u64(out, u64::from(exponent.unsigned_abs()), 2);
    }
}

/// Appends a number of nanoseconds as seconds in `%g` form: `2`, `0.001`, `1e-06`.
///
/// Whole milliseconds below a thousand seconds, the usual timeouts, take a short way.
pub fn seconds(out: &mut Vec<u8>, ns: u64) {
    const NS_PER_MS: u64 = 1_000_000;
    let ms = ns / NS_PER_MS;
    if !ns.is_multiple_of(NS_PER_MS) || ms >= 1_000_000 {
        return general(out, ns as f64 / 1e9);
    }
    dec_u64(out, ms / 1000);
    let rest = (ms % 1000) as u32;
    // Six significant digits hold three before and three after the point.
    if rest != 0 {
        out.push(b'.');
        let digits = [rest / 100, rest / 10 % 10, rest % 10];
        let used = 3 - digits.iter().rev().take_while(|&&d| d == 0).count();
        out.extend(digits[..used].iter().map(|&d| b'0' + d as u8));
    }
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
    fn integers() {
        assert_eq!(text(|o| dec_i64(o, i64::MIN)), "-9223372036854775808");
        assert_eq!(text(|o| dec_i64(o, -7)), "-7");
        assert_eq!(text(|o| dec_u64(o, u64::MAX)), "18446744073709551615");
        for value in
            (0..20).flat_map(|power| [10u64.pow(power) - 1, 10u64.pow(power), 7 * 10u64.pow(power / 2)])
        {
            assert_eq!(text(|o| dec_u64(o, value)), value.to_string());
        }
        assert_eq!(text(|o| padded_u64(o, 42, 9)), "000000042");
        assert_eq!(text(|o| padded_u64(o, 0, 2)), "00");
        assert_eq!(text(|o| nine_digits(o, 42)), "000000042");
        assert_eq!(text(|o| hex_upper(o, 0)), "0");
        assert_eq!(text(|o| hex_upper(o, 0x55DB_0DE7_3000)), "55DB0DE73000");
        assert_eq!(text(|o| hex_lower(o, u64::MAX)), "ffffffffffffffff");
        assert_eq!(text(|o| octal(o, 0)), "0");
        assert_eq!(text(|o| octal(o, 0o4755)), "04755");
        assert_eq!(text(|o| octal(o, u64::MAX)), "01777777777777777777777");
    }

    #[test]
    fn seconds_as_stock_sysdig_prints_them() {
        // Taken from sysdig 0.29.3 on nanosleep events with these intervals.
        for (ns, expected) in [
            (0, "0"),
            (1, "1e-09"),
            (999, "9.99e-07"),
            (1000, "1e-06"),
            (12_345, "1.2345e-05"),
            (100_000, "0.0001"),
            (1_000_000, "0.001"),
            (120_000_000, "0.12"),
            (123_456_789, "0.123457"),
            (2_000_000_000, "2"),
            (1_500_000_000, "1.5"),
            (1_234_567_890_123, "1234.57"),
            (86_400_000_000_000, "86400"),
            (1 << 63, "9.22337e+09"),
        ] {
            assert_eq!(text(|o| seconds(o, ns)), expected, "{ns}");
        }
        assert_eq!(text(|o| general(o, 999_999.9)), "1e+06");
        assert_eq!(text(|o| general(o, -0.5)), "-0.5");
    }
}
