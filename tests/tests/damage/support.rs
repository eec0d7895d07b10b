//! What the tests share: captures in memory in all containers, what an undamaged run prints, and the
//! same of damaged bytes.

use capture_common::{Batch, BlockKind, Next};
use capture_engine::format::{DEFAULT, FormatOptions, Formatter};
use capture_engine::{Engine, Options};
use capture_file::{Compression, Reader, Writer, WriterOptions};
use capture_tests::data_dir;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex};

/// Most memory that a process may ever have had, in KiB.
pub(crate) const MEMORY_MAX_KIB: u64 = 256 << 10;

/// The name under which bytes in memory are read.
pub(crate) const NAME: &str = "damaged.scap";

/// A capture, and what it prints.
pub(crate) struct Capture {
    /// Its block stream.
    pub(crate) plain: Vec<u8>,
    /// Hashes of its lines, one an event.
    pub(crate) lines: Vec<u64>,
    /// Where in the block stream the block of each event ends.
    ends: Vec<usize>,
}

impl Capture {
    /// Reads a capture of the suites.
    pub(crate) fn load(name: &str) -> Capture {
        let plain = rewritten(name, Compression::None, 1 << 20);
        let run = replay(&plain);
        assert_eq!(run.error, None);
        let ends = ends_of_events(&plain);
        assert_eq!(run.lines.len(), ends.len(), "an event for each block");
        Capture { plain, lines: run.lines, ends }
    }

    /// Number of events whose blocks are whole in the first `len` bytes of the block stream.
    pub(crate) fn whole_events(&self, len: usize) -> usize {
        self.ends.partition_point(|&end| end <= len)
    }
}

/// A capture of the suites, written anew.
pub(crate) fn rewritten(name: &str, compression: Compression, frame_bytes: usize) -> Vec<u8> {
    let file = Memory::default();
    let options = WriterOptions { compression, frame_bytes, ..WriterOptions::default() };
    let mut writer = Writer::from_writer(file.clone(), "memory", options).expect("writes to memory");
    let mut reader = Reader::open(data_dir().join("captures").join(name)).expect("opens");
    let mut batch = Batch::new();
    loop {
        match reader.next_piece(&mut batch).expect("reads") {
            Next::Section(snapshot) => writer.write_section(&snapshot).expect("writes"),
            Next::Events => writer.write_events(&batch).expect("writes"),
            Next::Idle => {}
            Next::End => break,
        }
    }
    writer.close().expect("writes");
    std::mem::take(&mut *file.0.lock().expect("no thread failed"))
}

/// Walks over the blocks, as the format's description has them.
fn ends_of_events(plain: &[u8]) -> Vec<usize> {
    let word = |at: usize| u32::from_le_bytes(plain[at..at + 4].try_into().expect("four bytes"));
    let (mut at, mut ends) = (0, Vec::new());
    while at < plain.len() {
        let is_event = BlockKind::from_code(word(at)).is_some();
        at += word(at + 4) as usize;
        ends.extend(is_event.then_some(at));
    }
    ends
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) lines: Vec<u64>,
    pub(crate) error: Option<String>,
}

/// Reads bytes to their end or to a fault; each event becomes a line.
pub(crate) fn replay(bytes: &[u8]) -> Run {
    let mut run = Run { lines: Vec::new(), error: None };
    let mut reader = match Reader::inline(Cursor::new(bytes.to_vec()), NAME) {
        Ok(reader) => reader,
        Err(error) => return Run { error: Some(error.to_string()), ..run },
    };
    let mut formatter = Formatter::new(DEFAULT, FormatOptions::default()).expect("a format");
    let mut engine = Engine::new(Options::default());
    let (mut batch, mut line) = (Batch::new(), Vec::new());
    loop {
        match reader.next_piece(&mut batch) {
            Ok(Next::Section(snapshot)) => engine.begin_section(&snapshot),
            Ok(Next::Events) => {
                for raw in batch.iter() {
                    let applied = engine.apply(&raw);
                    line.clear();
                    formatter.write(&engine.view(raw, &applied), &mut line);
                    run.lines.push(hash(&line));
                }
            }
            Ok(Next::Idle) => {}
            Ok(Next::End) => return run,
            Err(error) => return Run { error: Some(error.to_string()), ..run },
        }
    }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(line);
    hasher.finish()
}

/// As much as can be had of compressed bytes, by the decompressors alone.
pub(crate) fn decompressed(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    // What comes before a fault is kept.
    let _ = match compression {
        Compression::None => Cursor::new(bytes).read_to_end(&mut out),
        Compression::Gzip { .. } => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out),
        Compression::Zstd { .. } => match zstd::stream::read::Decoder::new(bytes) {
            Ok(mut decoder) => decoder.read_to_end(&mut out),
            Err(error) => Err(error),
        },
    };
    out
}

/// The file, its offset and the block have to be in an error's text.
pub(crate) fn check_message(text: &str, name: &str) {
    let says = |what: &str| text.contains(what);
    let has_place = says("block") && text.chars().any(|c| c.is_ascii_digit());
    // Of an empty file and of one that is no capture there is nothing more to say.
    let has_no_place = says("is empty: wanted a capture file") || says("is not a capture file: wanted");
    assert!(says(name) && (has_place || has_no_place), "{text}");
}

/// The most memory that this process ever had, in KiB.
pub(crate) fn check_memory() {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok()).expect("a peak");
    println!("peak memory: {} MiB", kib >> 10);
    assert!(kib <= MEMORY_MAX_KIB, "{kib} KiB");
}

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no thread failed").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
