//! Data buffers in the formats that the command line offers.
//!
//! Forms as printed by sysdig 0.29.3, checked against its output byte by byte.

use super::text::is_printable;

/// How data buffers are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BufferFormat {
    /// A dot for every unprintable byte.
    #[default]
    Dotted,
    /// `-A`: printable bytes and line ends only, on a line of its own.
    Ascii,
    /// `-x`: rows of hexadecimal pairs.
    Hex,
    /// `-X`: the same with the dotted text beside it.
    HexAscii,
    /// `-b`: base64 in one piece.
    Base64,
}

/// Longest text of a dotted buffer where it is cut, in bytes.
pub const DOTTED_MAX_LEN: usize = 80;

/// Appends `data` in `format`; nothing for an empty buffer, as sysdig 0.29.3 (later versions
/// print `NULL`). With `cut`, dotted text longer than [`DOTTED_MAX_LEN`] ends in
/// three dots.
pub fn push_buffer(out: &mut Vec<u8>, data: &[u8], format: BufferFormat, cut: bool) {
    if data.is_empty() {
        return;
    }
    match format {
        BufferFormat::Dotted => dotted(out, data, cut),
        BufferFormat::Ascii => ascii(out, data),
        BufferFormat::Hex => hex(out, data, false),
        BufferFormat::HexAscii => hex(out, data, true),
        BufferFormat::Base64 => base64(out, data),
    }
}

#[inline]
fn dotted(out: &mut Vec<u8>, data: &[u8], cut: bool) {
    const ELLIPSIS: &[u8] = b"...";
    if cut && data.len() > DOTTED_MAX_LEN {
        super::text::push_dotted(out, &data[..DOTTED_MAX_LEN - ELLIPSIS.len()]);
        out.extend_from_slice(ELLIPSIS);
    } else {
        super::text::push_dotted(out, data);
    }
}

fn ascii(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'\n');
    // A line feed at the start adds none: the line has just begun.
    let mut previous = b'\r';
    for &byte in data {
        match byte {
            b'\r' => out.push(b'\n'),
            b'\n' if previous != b'\r' => out.push(b'\n'),
            _ if is_printable(byte) => out.push(byte),
            _ => {}
        }
        previous = byte;
    }
}

fn hex(out: &mut Vec<u8>, data: &[u8], with_text: bool) {
    const ROW_BYTES: usize = 16;
    const PAIRS_PER_ROW: usize = ROW_BYTES / 2;
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (row, bytes) in data.chunks(ROW_BYTES).enumerate() {
        out.extend_from_slice(b"\n\t0x");
        let offset = row * ROW_BYTES;
        for shift in [12, 8, 4, 0] {
            out.push(DIGITS[offset >> shift & 15]);
        }
        out.push(b':');
        for pair in bytes.chunks(2) {
            out.push(b' ');
            for &byte in pair {
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
        if with_text {
            // A pair is five columns wide even where its second byte is missing.
            let missing = PAIRS_PER_ROW - bytes.len().div_ceil(2);
            out.extend(std::iter::repeat_n(b' ', missing * 5 + 2));
            super::text::push_dotted(out, bytes);
        }
    }
    out.push(b'\n');
}

fn base64(out: &mut Vec<u8>, data: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in data.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (i, &b)| bits | u32::from(b) << (16 - 8 * i));
        for i in 0..4 {
            out.push(if i <= group.len() { ALPHABET[(bits >> (18 - 6 * i) & 63) as usize] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: BufferFormat, data: &[u8], expected: &str) {
        let mut out = Vec::new();
        push_buffer(&mut out, data, format, true);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\n\n\r\r\n\x00\x01\xff\"\\\t tail";

    #[test]
    fn dotted_is_cut_to_80() {
        check(BufferFormat::Dotted, REQUEST, "GET / HTTP/1.1..Host: x........\"\\. tail");
        check(BufferFormat::Dotted, &[b'x'; 80], &"x".repeat(80));
        check(BufferFormat::Dotted, &[b'x'; 81], &("x".repeat(77) + "..."));
        check(BufferFormat::Dotted, b"", "");
        let mut out = Vec::new();
        push_buffer(&mut out, &[b'x'; 81], BufferFormat::Dotted, false);
        assert_eq!(out.len(), 81);
    }

    #[test]
    fn other_formats_as_sysdig_prints_them() {
        check(BufferFormat::Ascii, REQUEST, "\nGET / HTTP/1.1\nHost: x\n\n\n\n\"\\ tail");
        check(BufferFormat::Ascii, b"\nline\r\nend\n", "\nline\nend\n");
        check(
            BufferFormat::Hex,
            REQUEST,
            "\n\t0x0000: 4745 5420 2f20 4854 5450 2f31 2e31 0d0a\
             \n\t0x0010: 486f 7374 3a20 780a 0a0d 0d0a 0001 ff22\
             \n\t0x0020: 5c09 2074 6169 6c\n",
        );
        check(
            BufferFormat::HexAscii,
            REQUEST,
            "\n\t0x0000: 4745 5420 2f20 4854 5450 2f31 2e31 0d0a  GET / HTTP/1.1..\
             \n\t0x0010: 486f 7374 3a20 780a 0a0d 0d0a 0001 ff22  Host: x........\"\
             \n\t0x0020: 5c09 2074 6169 6c                      \\. tail\n",
        );
        check(BufferFormat::Base64, REQUEST, "R0VUIC8gSFRUUC8xLjENCkhvc3Q6IHgKCg0NCgAB/yJcCSB0YWls");
        check(BufferFormat::Base64, b"a", "YQ==");
        check(BufferFormat::Base64, b"\n", "Cg==");
        check(BufferFormat::Base64, &[b'x'; 17], "eHh4eHh4eHh4eHh4eHh4eHg=");
    }
}
