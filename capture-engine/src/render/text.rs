//! Text of names and paths: what happens to bytes that a terminal should not see.
//!
//! Two habits of stock sysdig, kept so that listings compare line by line: text of a parameter
//! loses its unprintable bytes, and paths that were joined to a directory show them as dots.

/// Whether a byte is shown as it is: printable ASCII.
#[inline]
pub fn is_printable(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

/// Whether all of a text is shown as it is.
#[inline]
pub fn is_all_printable(text: &[u8]) -> bool {
    leading(text, is_printable) == text.len()
}

/// How many bytes at the start are of a kind.
#[inline]
pub(crate) fn leading(text: &[u8], is_of_kind: impl Fn(u8) -> bool + Copy) -> usize {
    const STEP: usize = 16;
    // Whole steps without a branch inside, which the compiler does with vectors.
    let all_are = |step: &&[u8]| step.iter().fold(true, |all, &byte| all & is_of_kind(byte));
    let at = text.chunks_exact(STEP).take_while(all_are).count() * STEP;
    at + text[at..].iter().position(|&byte| !is_of_kind(byte)).unwrap_or(text.len() - at)
}

/// Appends `bytes` without the unprintable ones.
#[inline]
pub fn push_printable(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_all_printable(bytes) {
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
        // Stored in any case, so that the compiler needs no branch.
        *byte = if is_printable(*byte) { *byte } else { b'.' };
    }
}

/// Appends text of any language without its control characters: those below the blank, DEL, and
/// the second set (U+0080 to U+009F), which terminals obey too, in UTF-8 or as single bytes.
#[inline]
pub fn push_visible(out: &mut Vec<u8>, text: &[u8]) {
    if is_all_printable(text) {
        out.extend_from_slice(text);
    } else {
        push_cleaned(out, text, &[]);
    }
}

/// Makes a dot of every control character behind `start`.
#[inline]
pub fn dot_controls(out: &mut Vec<u8>, start: usize) {
    if !is_all_printable(&out[start..]) {
        let text = out.split_off(start);
        push_cleaned(out, &text, b".");
    }
}

#[cold]
fn push_cleaned(out: &mut Vec<u8>, text: &[u8], instead: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if c.is_control() => out.extend_from_slice(instead),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &byte in chunk.invalid() {
            match byte {
                0x80..0xa0 => out.extend_from_slice(instead),
                byte => out.push(byte),
            }
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
    fn leading_bytes_are_counted_at_any_length() {
        for len in 0..70 {
            for bad in 0..=len {
                let mut text = vec![b'a'; len];
                text.iter_mut().skip(bad).take(1).for_each(|byte| *byte = 7);
                assert_eq!(leading(&text, is_printable), bad, "{len}");
            }
        }
    }

    #[test]
    fn terminals_get_nothing_to_obey() {
        let check = |text: &[u8], visible: &[u8], dotted: &[u8]| {
            let mut out = b"\x1b".to_vec();
            push_visible(&mut out, text);
            assert_eq!(out[1..], *visible);
            out.truncate(1);
            out.extend_from_slice(text);
            dot_controls(&mut out, 1);
            assert_eq!(out, [b"\x1b", dotted].concat());
        };
        check(b"a\x1b[2Jb\xc3\xa9\n", b"a[2Jb\xc3\xa9", b"a.[2Jb\xc3\xa9.");
        // U+009B is CSI: in UTF-8, as a single byte, and not to be put together from halves.
        check(b"\xc2\x9b2J \x9b \xc2\x01\x9b", b"2J  \xc2", b".2J . \xc2..");
        check(b"\xff\xa9\x7f", b"\xff\xa9", b"\xff\xa9.");
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
