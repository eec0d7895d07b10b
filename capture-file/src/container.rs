//! Containers around the block stream: plain, gzip, zstd; known by their first bytes, never by
//! the file's name.
//!
//! [`open`] yields the decompressed bytes. Several gzip members or zstd frames back to back are
//! one stream, skippable zstd frames are skipped. Nothing here seeks.

use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

/// Bytes of a compressed file that are read in one go: some of our frames.
const INPUT_BYTES: usize = 512 << 10;

/// Bytes that one read of a pipe may bring.
const PIECE_BYTES: usize = 64 << 10;

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
    bytes: Bytes,
    /// Whether reading never waits long, so that pieces may be filled up.
    patient: bool,
    /// Where a piece of an impatient source arrives.
    piece: Vec<u8>,
    /// Bytes of the file that were read so far.
    read: Arc<AtomicU64>,
}

enum Bytes {
    Read(Box<dyn Read + Send>),
    Zstd(Box<ZstdFrames>),
}

impl Input {
    /// Blocks without a container, for tests.
    #[cfg(test)]
    pub(crate) fn plain(bytes: Box<dyn Read + Send>, patient: bool) -> Input {
        let (container, bytes) = (Container::Plain, Bytes::Read(bytes));
        Input { container, bytes, patient, piece: Vec::new(), read: Arc::default() }
    }

    /// Bytes of the file that were read so far; goes on counting.
    pub(crate) fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// Appends at most `max` bytes, or what zstd has in one go; 0 at the end. Of a patient source as
    /// many as there are, else what the next read brings. What came before an error is appended.
    pub(crate) fn append(&mut self, to: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let before = to.len();
        let result = self.append_uncounted(to, max);
        if self.container == Container::Plain {
            self.read.fetch_add((to.len() - before) as u64, Ordering::Relaxed);
        }
        result
    }

    fn append_uncounted(&mut self, to: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        match &mut self.bytes {
            // The memory behind `to` need not be cleared for this.
            Bytes::Read(bytes) if self.patient => bytes.take(max as u64).read_to_end(to),
            Bytes::Read(bytes) => {
                self.piece.resize(PIECE_BYTES, 0);
                let len = loop {
                    match bytes.read(&mut self.piece) {
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        result => break result?,
                    }
                };
                to.extend_from_slice(&self.piece[..len]);
                Ok(len)
            }
            Bytes::Zstd(frames) => frames.append(to, max),
        }
    }
}

/// Decompresses frame after frame straight into the reader's buffer: a frame that is there as a
/// whole is not copied once more.
struct ZstdFrames {
    input: BufReader<Box<dyn Read + Send>>,
    decoder: zstd::stream::raw::Decoder<'static>,
    within_frame: bool,
}

impl ZstdFrames {
    fn append(&mut self, to: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let start = to.len();
        to.reserve(max);
        loop {
            let stored = match self.input.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                stored => stored?,
            };
            let is_over = stored.is_empty();
            if is_over && !self.within_frame {
                return Ok(0);
            }
            let mut source = InBuffer::around(stored);
            let mut target = OutBuffer::around_pos(to, start);
            let result = self.decoder.run(&mut source, &mut target);
            let used = source.pos();
            self.input.consume(used);
            self.within_frame = result? != 0;
            match to.len() - start {
                0 if is_over => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => {}
                len => return Ok(len),
            }
        }
    }
}

/// Looks at the first bytes and puts the right decompressor in front.
pub(crate) fn open(mut raw: Box<dyn Read + Send>, patient: bool) -> io::Result<Input> {
    // A pipe may bring the first four bytes one by one.
    let mut start = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut start)?;
    let container = detect(&start);
    let whole = io::Cursor::new(start).chain(raw);
    let read = Arc::default();
    let counted = |whole| {
        let counted = Counted { input: whole, read: Arc::clone(&read) };
        BufReader::with_capacity(INPUT_BYTES, Box::new(counted) as Box<dyn Read + Send>)
    };
    let bytes = match container {
        // Counted as it is appended: a wrapper would have its memory cleared for every read.
        Container::Plain => Bytes::Read(Box::new(whole)),
        Container::Gzip => Bytes::Read(Box::new(MultiGzDecoder::new(counted(whole)))),
        Container::Zstd => Bytes::Zstd(Box::new(ZstdFrames {
            input: counted(whole),
            decoder: zstd::stream::raw::Decoder::new()?,
            within_frame: false,
        })),
    };
    Ok(Input { container, bytes, patient, piece: Vec::new(), read })
}

/// Counts what is read.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(buffer)?;
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(stored: Vec<u8>, container: Container, expected: &[u8]) {
        for patient in [true, false] {
            for max in [1, 3, 1 << 20] {
                let mut input = open(Box::new(io::Cursor::new(stored.clone())), patient).unwrap();
                assert_eq!(input.container, container);
                let mut got = Vec::new();
                while input.append(&mut got, max).unwrap() > 0 {}
                assert_eq!(got, expected);
            }
        }
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

    #[test]
    fn a_torn_zstd_frame_is_an_early_end() {
        let noise: Vec<u8> =
            (0u32..100_000).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect();
        let whole = zstd::encode_all(&noise[..], 1).unwrap();
        for cut in [5, 100, whole.len() - 1] {
            let mut input = open(Box::new(io::Cursor::new(whole[..cut].to_vec())), true).unwrap();
            let mut got = Vec::new();
            let end = loop {
                match input.append(&mut got, 1000) {
                    Ok(0) => panic!("a clean end after {cut} bytes"),
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
            assert!(noise.starts_with(&got));
        }
    }
}
