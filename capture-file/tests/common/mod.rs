//! What the suites of this crate share: where the recorded captures are, reading a whole stream
//! into plain values, and writing one into memory.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "a module of test programs; each uses its part")]

use capture_common::{Batch, Next, Snapshot};
use capture_file::{FileError, ReadStats, Reader, Writer, WriterOptions};
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A recorded capture.
pub fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures").join(name)
}

/// An event as plain values: time, tid, cpu, code, flags, parameters.
pub type PlainEvent = (u64, i64, u16, u16, u32, Vec<Vec<u8>>);

/// Everything that a reader delivered.
#[derive(Debug, Default)]
pub struct Everything {
    pub sections: Vec<Snapshot>,
    pub events: Vec<PlainEvent>,
    pub error: Option<FileError>,
    pub stats: ReadStats,
    pub batches: usize,
}

impl Everything {
    /// The snapshots as comparable text.
    pub fn snapshots(&self) -> Vec<String> {
        self.sections.iter().map(|s| format!("{s:?}")).collect()
    }
}

/// Reads to the end or to the first error.
pub fn read_all(mut reader: Reader) -> Everything {
    let mut all = Everything::default();
    let mut batch = Batch::new();
    loop {
        match reader.next_piece(&mut batch) {
            Ok(Next::Section(snapshot)) => all.sections.push(*snapshot),
            Ok(Next::Events) => {
                assert!(!batch.is_empty());
                all.batches += 1;
                all.events.extend(batch.iter().map(|e| {
                    (e.ts_ns, e.tid, e.cpu, e.code.0, e.flags, e.params().map(<[u8]>::to_vec).collect())
                }));
            }
            Ok(Next::Idle) => {}
            Ok(Next::End) => break,
            Err(error) => {
                all.error = Some(error);
                break;
            }
        }
    }
    all.stats = reader.stats();
    assert!(matches!(reader.next_piece(&mut batch), Ok(Next::End)), "nothing may follow the end");
    all
}

/// Reads bytes on this thread.
pub fn read_bytes(bytes: &[u8]) -> Everything {
    match Reader::inline(Cursor::new(bytes.to_vec()), "memory") {
        Ok(reader) => read_all(reader),
        Err(error) => Everything { error: Some(error), ..Everything::default() },
    }
}

/// Bytes that can be looked at while a writer still has them.
#[derive(Clone, Default)]
pub struct SharedBytes(pub Arc<Mutex<Vec<u8>>>);

impl SharedBytes {
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for SharedBytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Copies a reader into a file in memory.
pub fn rewrite(mut reader: Reader, options: WriterOptions) -> Vec<u8> {
    let bytes = SharedBytes::default();
    let mut writer = Writer::from_writer(bytes.clone(), "memory", options).unwrap();
    let mut batch = Batch::new();
    loop {
        match reader.next_piece(&mut batch).unwrap() {
            Next::Section(snapshot) => writer.write_section(&snapshot).unwrap(),
            Next::Events => writer.write_events(&batch).unwrap(),
            Next::Idle => {}
            Next::End => break,
        }
    }
    let stats = writer.close().unwrap();
    assert_eq!((stats.skipped_events, stats.file_bytes), (0, bytes.take().len() as u64));
    bytes.take()
}

/// One block around a body.
pub fn block(code: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = (padded as u32 + 12).to_le_bytes();
    let mut out = [&code.to_le_bytes()[..], &len, body].concat();
    out.resize(8 + padded, 0);
    out.extend_from_slice(&len);
    out
}

/// A section header.
pub fn section_header() -> Vec<u8> {
    let magic = 0x1A2B_3C4D_u32.to_le_bytes();
    block(0x0A0D_0D0A, &[&magic[..], &[1, 0, 2, 0], &[0xFF; 8]].concat())
}
