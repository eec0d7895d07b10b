//! Constants: from a filter's text to typed values, per field type, with what was wanted if it fails.

use crate::catalogue::{Catalogue, Constant, FieldRef, FieldType, Network};
use crate::services;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Parses a constant for a field type. `field` gives access to the catalogue's named constants; it is
/// absent for transformers. The error says what would be right: "a valid number".
pub(crate) fn parse_constant(
    bytes: &[u8],
    ty: FieldType,
    field: Option<&FieldRef>,
    catalogue: &dyn Catalogue,
) -> Result<Constant, String> {
    if matches!(ty, FieldType::Str | FieldType::Bytes) {
        return Ok(Constant::Text(bytes.into()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{} (it is not even text)", ty.noun()))?;
    match ty {
        FieldType::Str | FieldType::Bytes => Ok(Constant::Text(bytes.into())),
        FieldType::Keyword => match field {
            Some(field) if !catalogue.is_keyword(field, text) => Err("a known name".to_owned()),
            _ => Ok(Constant::Text(bytes.into())),
        },
        FieldType::Bool => match text {
            "true" => Ok(Constant::Bool(true)),
            "false" => Ok(Constant::Bool(false)),
            _ => Err("a boolean; write true or false".to_owned()),
        },
        FieldType::Double => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Constant::Double(number)),
            _ => Err("a valid number".to_owned()),
        },
        FieldType::Ip => address(text).map(Constant::Ip),
        FieldType::Net => network(text).map(Constant::Net),
        FieldType::RelTime => integer(text)
            .or_else(|| duration_ns(text))
            .map(Constant::Num)
            .ok_or_else(|| "a duration; write nanoseconds or a unit, as in 10ms or 1m30s".to_owned()),
        FieldType::AbsTime => integer(text)
            .or_else(|| date_ns(text))
            .map(Constant::Num)
            .ok_or_else(|| "a time; write nanoseconds since 1970 or 2024-03-01T12:00:00.5Z".to_owned()),
        FieldType::WithinMs => integer(text)
            .and_then(|ms| ms.checked_mul(1_000_000))
            .or_else(|| duration_ns(text))
            .map(Constant::Num)
            .ok_or_else(|| "a number of milliseconds".to_owned()),
        FieldType::Int | FieldType::Uint | FieldType::Port | FieldType::Flags => {
            named_number(text, ty, field, catalogue).map(Constant::Num)
        }
    }
}

fn named_number(
    text: &str,
    ty: FieldType,
    field: Option<&FieldRef>,
    catalogue: &dyn Catalogue,
) -> Result<i128, String> {
    if let Some(number) = integer(text).or_else(|| size_bytes(text)) {
        return Ok(number);
    }
    let by_name = |name: &str| {
        let known = field.and_then(|field| catalogue.constant(field, name));
        match ty {
            FieldType::Port => known.or_else(|| services::port_of(name).map(i64::from)),
            _ => known,
        }
    };
    let joined: Option<i64> =
        text.split('|').map(by_name).try_fold(0, |bits, part| part.map(|part| bits | part));
    joined.map(i128::from).ok_or_else(|| {
        match ty {
            FieldType::Port => "a port number or a known service",
            FieldType::Flags => "a number or a known flag",
            _ => "a valid number",
        }
        .to_owned()
    })
}

/// A whole number: decimal, `0x` hexadecimal or `0o` octal, within the range of 64-bit numbers.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0o" | "0O") => (&digits[2..], 8),
        _ => (digits, 10),
    };
    // from_str_radix takes a sign of its own, which would let `--5` and `0x-5` through.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
}

const SIZE_UNITS: [(&str, i128); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A number with a unit of size: `64KiB`.
fn size_bytes(text: &str) -> Option<i128> {
    let (digits, factor) =
        SIZE_UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    integer(digits)?.checked_mul(factor).filter(|&size| size <= i128::from(u64::MAX))
}

/// Longer units first where one is the end of another.
const TIME_UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// A duration as numbers with units: `10ms`, `1.5s`, `1m30s`.
fn duration_ns(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut total_ns = 0_i128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let (_, unit_ns) = TIME_UNITS.iter().find(|row| row.0 == unit)?;
        total_ns = total_ns.checked_add(scaled(number, *unit_ns)?)?;
        rest = tail;
    }
    (total_ns <= i128::from(u64::MAX)).then_some(total_ns)
}

/// A decimal number times a unit, exactly.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 20 || fraction.len() > 12 {
        return None;
    }
    let mut value = whole.parse::<i128>().ok()?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        value += fraction.parse::<i128>().ok()?.checked_mul(unit)? / scale;
    }
    Some(value)
}

/// A date and time, UTC unless it has an offset: `2024-03-01`, `2024-03-01T12:00:00.5Z`, `...+02:00`.
fn date_ns(text: &str) -> Option<i128> {
    let (date, rest) = match text.find(['T', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, "00:00:00"),
    };
    let mut parts = date.splitn(3, '-');
    let year: i64 = digits(parts.next()?, 4)?;
    let month: i64 = digits(parts.next()?, 2)?;
    let day: i64 = digits(parts.next()?, 2)?;
    let offset_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at(offset_at);
    let mut parts = clock.splitn(3, ':');
    let hour: i64 = digits(parts.next()?, 2)?;
    let minute: i64 = digits(parts.next()?, 2)?;
    let seconds = parts.next().unwrap_or("0");
    let second_ns = scaled(seconds, 1_000_000_000)?;
    let offset_s = match offset {
        "" | "Z" => 0,
        _ => {
            let (h, m) = offset[1..].split_once(':').unwrap_or((&offset[1..], "00"));
            let offset_s = digits(h, 2)? * 3600 + digits(m, 2)? * 60;
            if offset.starts_with('-') { -offset_s } else { offset_s }
        }
    };
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    if !in_range || second_ns >= 61_000_000_000 {
        return None;
    }
    let clock_s = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 - offset_s;
    Some(i128::from(clock_s) * 1_000_000_000 + second_ns)
}

fn digits(text: &str, len: usize) -> Option<i64> {
    (text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March so that the
/// leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// A dot means IPv4, anything else is IPv6, as stock decides; IPv6 text may end in dotted form.
fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('.') && !text.contains(':') {
        text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| "an IPv4 address".to_owned())
    } else {
        let wanted = if text.contains('/') {
            "an IP address; networks go with the .net fields"
        } else {
            "an IP address"
        };
        text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| wanted.to_owned())
    }
}

/// `address/bits`. A bare IPv6 address means its /64, as in sysdig 0.29.3; a bare IPv4 address is an
/// error there and here.
fn network(text: &str) -> Result<Network, String> {
    let (addr, bits) = match text.split_once('/') {
        Some((addr, bits)) => (addr, Some(bits)),
        None => (text, None),
    };
    let addr = address(addr).map_err(|_| "an IP network".to_owned())?;
    let (max, default) = if addr.is_ipv4() { (32, None) } else { (128, Some(64)) };
    let prefix_bits = match bits {
        Some(bits) => bits.parse::<u8>().ok().filter(|&bits| bits <= max && !text.contains("/+")),
        None => default,
    };
    match prefix_bits {
        Some(prefix_bits) => Ok(Network { addr, prefix_bits }),
        None if bits.is_none() => Err("an IP network; write address/bits".to_owned()),
        None => Err(format!("an IP network; the prefix has at most {max} bits")),
    }
}

/// Bytes from hexadecimal digits, for `bcontains` and `bstartswith`.
pub(crate) fn hex_bytes(text: &[u8]) -> Option<Box<[u8]>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    // Two hexadecimal digits always fit a byte.
    text.chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, want) in [
            ("5", Some(5)),
            ("-1", Some(-1)),
            ("+7", Some(7)),
            ("010", Some(10)),
            ("0x12c", Some(300)),
            ("0o17", Some(15)),
            ("18446744073709551615", Some(i128::from(u64::MAX))),
            ("18446744073709551616", None),
            ("17497abc", None),
            ("1.5", None),
            ("5;", None),
            ("", None),
            ("-", None),
            ("--5", None),
            ("0x-5", None),
        ] {
            assert_eq!(integer(text), want, "{text}");
        }
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration_ns("10ms"), Some(10_000_000));
        assert_eq!(duration_ns("1m30s"), Some(90_000_000_000));
        assert_eq!(duration_ns("1.5s"), Some(1_500_000_000));
        assert_eq!(duration_ns("1.5"), None);
        assert_eq!(duration_ns("5x"), None);
        assert_eq!(date_ns("1970-01-01"), Some(0));
        assert_eq!(date_ns("2024-02-29T12:00:00Z"), Some(1_709_208_000_000_000_000));
        assert_eq!(date_ns("2024-02-29T14:00:00.25+02:00"), Some(1_709_208_000_250_000_000));
        assert_eq!(date_ns("2024-13-01"), None);
        assert_eq!(size_bytes("64KiB"), Some(65536));
    }

    #[test]
    fn networks() {
        let bits = |text: &str| network(text).map(|net| net.prefix_bits);
        assert_eq!(bits("10.0.0.0/8"), Ok(8));
        assert_eq!(bits("2001:db8::"), Ok(64));
        assert_eq!(bits("2001:db8::/32"), Ok(32));
        for bad in ["10.0.0.0", "10.0.0.0/33", "::1/129", "10.0.0.0/+8", "x/8", "10.0.0.0/"] {
            assert!(bits(bad).is_err(), "{bad}");
        }
    }
}
