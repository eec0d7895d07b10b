//! Text of names and paths: what happens to bytes that a terminal should not see.
//!
//! Two habits of stock sysdig, kept so that listings compare line by line: text of a parameter
//! loses its unprintable bytes, and paths that were joined to a directory show them as dots.

/// Whether a byte is shown as it is: printable ASCII.
#[inline]
pub fn is_printable(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

/// Appends `bytes` without the unprintable ones.
#[inline]
pub fn push_printable(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().all(|&b| is_printable(b)) {
        out.extend_from_slice(bytes);
    } else {
        out.extend(bytes.iter().copied().filter(|&b| is_printable(b)));
    }
}

/// Appends `bytes` with a dot for each unprintable one.
#[inline]
pub fn push_dotted(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.extend_from_slice(bytes);
    for byte in &mut out[start..] {
        if !is_printable(*byte) {
            *byte = b'.';
        }
    }
}

/// The bytes before the first NUL.
#[inline]
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    // Nearly all stored text ends in exactly one NUL.
    match bytes.split_last() {
        Some((0, head)) if !head.contains(&0) => head,
        _ => bytes.iter().position(|&b| b == 0).map_or(bytes, |end| &bytes[..end]),
    }
}

/// Appends a NUL-separated list with `separator` between the elements.
pub fn push_joined(out: &mut Vec<u8>, list: &[u8], separator: u8) {
    let list = list.strip_suffix(&[0]).unwrap_or(list);
    let start = out.len();
    out.extend_from_slice(list);
    for byte in &mut out[start..] {
        if *byte == 0 {
            *byte = separator;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_bytes() {
        let mut out = Vec::new();
        push_printable(&mut out, b"a\tb\xc3\xa9\x7f");
        push_dotted(&mut out, b"|a\tb\xc3\xa9");
        assert_eq!(out, b"ab|a.b..");
    }

    #[test]
    fn ends_and_lists() {
        assert_eq!(until_nul(b"ab\0"), b"ab");
        assert_eq!(until_nul(b"a\0b\0"), b"a");
        assert_eq!(until_nul(b"ab"), b"ab");
        assert_eq!(until_nul(b""), b"");
        let mut out = Vec::new();
        push_joined(&mut out, b"-a\0b\0", b' ');
        assert_eq!(out, b"-a b");
    }
}
