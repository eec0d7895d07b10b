//! Containers around the block stream: plain, gzip, zstd; known by their first bytes, never by
//! the file's name.
//!
//! [`open`] yields the decompressed bytes. Several gzip members or zstd frames back to back are
//! one stream, skippable zstd frames are skipped. Nothing here seeks.

use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::io::{self, BufReader, Read};
use zstd::stream::read::Decoder as ZstdDecoder;

/// Bytes taken from the file in one read.
const INPUT_BYTES: usize = 256 << 10;

/// How the block stream is wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// Blocks as they are.
    Plain,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Container::Plain => "plain",
            Container::Gzip => "gzip",
            Container::Zstd => "zstd",
        })
    }
}

/// The container that begins with these bytes.
fn detect(start: &[u8]) -> Container {
    match start {
        [0x1F, 0x8B, ..] => Container::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Container::Zstd,
        // A skippable frame in front.
        [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Container::Zstd,
        _ => Container::Plain,
    }
}

/// A block stream without its container.
pub(crate) struct Input {
    pub(crate) container: Container,
    pub(crate) bytes: Box<dyn Read + Send>,
}

/// Looks at the first bytes and puts the right decompressor in front.
pub(crate) fn open(mut raw: Box<dyn Read + Send>) -> io::Result<Input> {
    // A pipe may bring the first four bytes one by one.
    let mut start = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut start)?;
    let container = detect(&start);
    let whole = io::Cursor::new(start).chain(raw);
    let bytes: Box<dyn Read + Send> = match container {
        Container::Plain => Box::new(whole),
        Container::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(INPUT_BYTES, whole))),
        Container::Zstd => {
            let input = BufReader::with_capacity(INPUT_BYTES, whole);
            Box::new(ZstdDecoder::with_buffer(input)?)
        }
    };
    Ok(Input { container, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(stored: Vec<u8>, container: Container, expected: &[u8]) {
        let mut input = open(Box::new(io::Cursor::new(stored))).unwrap();
        assert_eq!(input.container, container);
        let mut got = Vec::new();
        input.bytes.read_to_end(&mut got).unwrap();
        assert_eq!(got, expected);
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    #[test]
    fn containers_are_known_by_content_and_concatenate() {
        check(b"abcd1234".to_vec(), Container::Plain, b"abcd1234");
        check(b"ab".to_vec(), Container::Plain, b"ab");
        check([gzip(b"one "), gzip(b"two")].concat(), Container::Gzip, b"one two");
        let frame = |d: &[u8]| zstd::encode_all(d, 1).unwrap();
        let skippable = [&0x184D_2A5Eu32.to_le_bytes()[..], &5u32.to_le_bytes(), b"index"].concat();
        check([frame(b"one "), frame(b"two")].concat(), Container::Zstd, b"one two");
        check([skippable.clone(), frame(b"a"), skippable, frame(b"b")].concat(), Container::Zstd, b"ab");
    }
}
