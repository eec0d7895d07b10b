//! How the writer behaves while it writes: frames, flushing by time, faults.

mod common;

use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::{Batch, Snapshot};
use capture_file::{Compression, FileError, Reader, Writer, WriterOptions};
use common::{SharedBytes, read_all, read_bytes};
use std::io::{self, Write};
use std::time::{Duration, Instant};

fn batch(first: u64, count: u64) -> Batch {
    let mut batch = Batch::new();
    for n in first..first + count {
        let head = EventHead { ts_ns: n, tid: 1, cpu: 0, code: code::SYSCALL_CLOSE_X, flags: 0 };
        let mut e = batch.encode(head, 2);
        e.i64(0).u64(n);
        e.finish();
    }
    batch
}

/// Waits until the encoder has written what it got.
fn settle(bytes: &SharedBytes, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let now = bytes.take();
        if wanted(&now) || Instant::now() > end {
            return now;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_flushed_is_readable_while_the_writer_lives() {
    for compression in [Compression::ZSTD, Compression::GZIP, Compression::None] {
        let bytes = SharedBytes::default();
        let frame_age = Duration::from_millis(20);
        let options = WriterOptions { compression, frame_age, ..WriterOptions::default() };
        let mut writer = Writer::from_writer(bytes.clone(), "memory", options).unwrap();
        writer.write_section(&Snapshot::default()).unwrap();
        // The snapshot is there before any event.
        settle(&bytes, |b| read_bytes(b).sections.len() == 1);
        writer.write_events(&batch(0, 1000)).unwrap();
        std::thread::sleep(frame_age);
        writer.flush_if_due().unwrap();
        let copy = settle(&bytes, |b| read_bytes(b).events.len() == 1000);
        // As after a kill: gzip lacks its trailer, the others end cleanly.
        let all = read_bytes(&copy);
        assert_eq!(all.events.len(), 1000, "{compression:?}");
        let cut = matches!(all.error, Some(FileError::Unfinished { .. }));
        assert_eq!(cut, compression == Compression::GZIP, "{:?}", all.error);
        // A writer that nobody closes writes what it has.
        writer.write_events(&batch(1000, 5)).unwrap();
        drop(writer);
        let all = read_bytes(&bytes.take());
        assert!(all.error.is_none());
        assert_eq!(all.events.last().unwrap().0, 1004);
    }
}

#[test]
fn frames_are_cut_at_blocks_near_the_wanted_size() {
    let bytes = SharedBytes::default();
    let mut writer = Writer::from_writer(bytes.clone(), "memory", WriterOptions::default()).unwrap();
    writer.write_section(&Snapshot::default()).unwrap();
    for n in 0..40 {
        writer.write_events(&batch(n * 2500, 2500)).unwrap();
    }
    let stats = writer.close().unwrap();
    assert_eq!((stats.events, stats.blocks, stats.sections), (100_000, 100_005, 1));
    assert_eq!(stats.frames, 1 + (100_000 * 56_u64).div_ceil(1 << 20));
    let file = bytes.take();
    let mut at = 0;
    while at < file.len() {
        let frame = &file[at..];
        let len = zstd::zstd_safe::find_frame_compressed_size(frame).unwrap();
        let blocks = zstd::decode_all(&frame[..len]).unwrap();
        // Whole blocks only: walking their lengths ends at the frame's end.
        let mut block = 0;
        while block < blocks.len() {
            block += u32::from_le_bytes(blocks[block + 4..block + 8].try_into().unwrap()) as usize;
        }
        assert_eq!(block, blocks.len());
        assert!(blocks.len() < (1 << 20) + 100);
        at += len;
    }
    assert!(matches!(
        writer.write_events(&batch(0, 1)).and_then(|()| writer.flush_frame()),
        Err(FileError::Closed { .. })
    ));
}

#[test]
fn a_full_disk_is_told_once_and_keeps_what_is_whole() {
    /// Takes `room` bytes.
    struct Small {
        bytes: SharedBytes,
        room: usize,
    }
    impl Write for Small {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let take = data.len().min(self.room);
            if take == 0 && !data.is_empty() {
                return Err(io::Error::from_raw_os_error(28));
            }
            self.room -= take;
            self.bytes.write(&data[..take])
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bytes = SharedBytes::default();
    let small = Small { bytes: bytes.clone(), room: 200_000 };
    let options =
        WriterOptions { compression: Compression::None, frame_bytes: 50_000, ..WriterOptions::default() };
    let mut writer = Writer::from_writer(small, "disk", options).unwrap();
    writer.write_section(&Snapshot::default()).unwrap();
    let mut fault = None;
    for n in 0..100 {
        if let Err(error) = writer.write_events(&batch(n * 1000, 1000)) {
            fault = Some(error);
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let Some(FileError::Write { file, written_bytes, source }) = fault else { panic!("{fault:?}") };
    assert_eq!((&file[..], source.raw_os_error()), ("disk", Some(28)));
    assert!(matches!(writer.close(), Err(FileError::Closed { .. })));
    let all = read_bytes(&bytes.take());
    assert!(all.events.len() as u64 * 56 > written_bytes - 1000);
}

#[test]
fn a_file_on_a_real_full_device() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let mut writer = Writer::create("/dev/full", WriterOptions::default()).unwrap();
    let written = writer.write_section(&Snapshot::default());
    let error = written.and_then(|()| writer.close().map(drop)).unwrap_err();
    assert!(error.to_string().starts_with("writing /dev/full failed after 0 bytes"), "{error}");
}

#[test]
fn files_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.scap");
    let mut writer = Writer::create(&path, WriterOptions::default()).unwrap();
    writer.write_section(&Snapshot::default()).unwrap();
    writer.write_events(&batch(0, 10)).unwrap();
    let stats = writer.close().unwrap();
    assert_eq!(stats.file_bytes, std::fs::metadata(&path).unwrap().len());
    assert_eq!(read_all(Reader::open(&path).unwrap()).events.len(), 10);
    let missing = folder.path().join("no/such/folder.scap");
    assert!(matches!(Writer::create(&missing, WriterOptions::default()), Err(FileError::Create { .. })));
    assert!(matches!(Reader::open(&missing), Err(FileError::Open { .. })));
    let level = WriterOptions { compression: Compression::Zstd { level: 99 }, ..WriterOptions::default() };
    assert!(matches!(Writer::create(folder.path().join("l"), level), Err(FileError::Compress { .. })));
    assert!(!folder.path().join("l").exists());
}
