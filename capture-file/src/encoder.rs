//! [`FrameEncoder`]: turns a frame of whole blocks into bytes of the file.
//!
//! zstd: each frame is independent, says its size and carries a checksum, and the first thing in
//! the file is such a frame. gzip: one stream with a full flush behind every frame, as stock
//! writers make it, so that what was flushed can be read even if nothing follows.

use crate::container::Container;
use crate::writer::Compression;
use flate2::{Compress, FlushCompress};
use std::io;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

/// gzip member header: deflate, no name, no time, made on Unix.
const GZIP_HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];

pub(crate) enum FrameEncoder {
    Plain,
    Gzip(Box<GzipStream>),
    Zstd(Box<Compressor<'static>>),
}

impl FrameEncoder {
    /// Fails if the compressor does not take the level.
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => FrameEncoder::Plain,
            Compression::Gzip { level } if level > 9 => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "levels are 0 to 9"));
            }
            Compression::Gzip { level } => FrameEncoder::Gzip(Box::new(GzipStream::new(level))),
            Compression::Zstd { level } => {
                if !zstd::compression_level_range().contains(&level) {
                    let range = zstd::compression_level_range();
                    let message = format!("levels are {} to {}", range.start(), range.end());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                }
                let mut compressor = Compressor::new(level)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                FrameEncoder::Zstd(Box::new(compressor))
            }
        })
    }

    /// The file's bytes for one frame; `scratch` is memory to put them in.
    pub(crate) fn frame<'a>(&mut self, raw: &'a [u8], scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        scratch.clear();
        match self {
            FrameEncoder::Plain => return Ok(raw),
            FrameEncoder::Gzip(stream) => stream.frame(raw, scratch)?,
            FrameEncoder::Zstd(compressor) => {
                scratch.reserve(compress_bound(raw.len()));
                compressor.compress_to_buffer(raw, scratch)?;
            }
        }
        Ok(scratch)
    }

    /// The file's last bytes.
    pub(crate) fn end<'a>(&mut self, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        scratch.clear();
        if let FrameEncoder::Gzip(stream) = self {
            stream.end(scratch)?;
        }
        Ok(scratch)
    }
}

/// One gzip member under way.
pub(crate) struct GzipStream {
    deflate: Compress,
    crc: flate2::Crc,
    begun: bool,
}

impl GzipStream {
    fn new(level: u32) -> Self {
        let deflate = Compress::new(flate2::Compression::new(level), false);
        GzipStream { deflate, crc: flate2::Crc::new(), begun: false }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            out.extend_from_slice(&GZIP_HEADER);
            self.begun = true;
        }
    }

    fn frame(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.crc.update(raw);
        self.run(raw, FlushCompress::Full, out)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.run(&[], FlushCompress::Finish, out)?;
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        Ok(())
    }

    /// Compresses until everything is taken and the flush is done, which zlib shows by leaving
    /// room in the output.
    fn run(&mut self, mut raw: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(raw.len() / 4 + 4096);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(raw, out, flush).map_err(io::Error::other)?;
            raw = &raw[(self.deflate.total_in() - before) as usize..];
            let has_room = out.len() < out.capacity();
            let done = match flush {
                FlushCompress::Finish => status == flate2::Status::StreamEnd,
                _ => raw.is_empty() && has_room,
            };
            if done {
                return Ok(());
            }
        }
    }
}

impl Compression {
    /// The container of files with this compression.
    pub fn container(self) -> Container {
        match self {
            Compression::None => Container::Plain,
            Compression::Gzip { .. } => Container::Gzip,
            Compression::Zstd { .. } => Container::Zstd,
        }
    }

    /// The level, 0 where there is none.
    pub fn level(self) -> i32 {
        match self {
            Compression::None => 0,
            Compression::Gzip { level } => level as i32,
            Compression::Zstd { level } => level,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn frames() -> [Vec<u8>; 3] {
        let noise = |n: u32| (0..n).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        [noise(50_000), vec![7; 1_000_000], noise(3)]
    }

    fn file(compression: Compression, ended: bool) -> Vec<u8> {
        let mut encoder = FrameEncoder::new(compression).unwrap();
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        for raw in frames() {
            out.extend_from_slice(encoder.frame(&raw, &mut scratch).unwrap());
        }
        if ended {
            out.extend_from_slice(encoder.end(&mut scratch).unwrap());
        }
        out
    }

    #[test]
    fn gzip_is_one_member_and_readable_after_every_flush() {
        let mut got = Vec::new();
        let whole = file(Compression::Gzip { level: 6 }, true);
        flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut got).unwrap();
        assert_eq!(got, frames().concat());
        got.clear();
        let cut = file(Compression::Gzip { level: 1 }, false);
        let error = flate2::read::GzDecoder::new(&cut[..]).read_to_end(&mut got).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(got, frames().concat());
    }

    #[test]
    fn zstd_frames_are_independent_and_checksummed() {
        let whole = file(Compression::Zstd { level: 3 }, true);
        assert_eq!(zstd::decode_all(&whole[..]).unwrap(), frames().concat());
        let first = zstd::zstd_safe::find_frame_compressed_size(&whole).unwrap();
        assert_eq!(zstd::decode_all(&whole[first..]).unwrap(), frames()[1..].concat());
        // Frame header descriptor: single segment or window, content size, checksum bit.
        assert_eq!(whole[4] & 4, 4);
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&whole).unwrap(), Some(200_000));
    }

    #[test]
    fn strange_levels_are_refused() {
        assert!(FrameEncoder::new(Compression::Gzip { level: 10 }).is_err());
        assert!(FrameEncoder::new(Compression::Zstd { level: 100 }).is_err());
    }
}
