//! The block reader: whatever the bytes, snapshots and events come out, then an end or one error. What
//! was read can be written, and is then read without a fault.

#![no_main]

use capture_common::{Batch, Next, Snapshot};
use capture_file::{Compression, FileError, Reader, Writer, WriterOptions};
use capture_fuzz::seeds;
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

/// A file in memory that outlives its writer.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no other thread fails").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fuzz_target!(init: seeds::write_if_asked(seeds::captures), |data: &[u8]| {
    let file = Shared::default();
    let options = WriterOptions { compression: Compression::None, ..WriterOptions::default() };
    let mut writer = Writer::from_writer(file.clone(), "memory", options).expect("memory takes it");
    let mut sections = 0;
    let (events, error) = read(data, |section, batch| {
        match section {
            Some(section) => writer.write_section(section).expect("memory takes it"),
            None => writer.write_events(batch).expect("memory takes it"),
        }
        sections += usize::from(section.is_some());
    });
    if let Some(error) = error {
        assert!(error.to_string().len() < 1_000);
    }
    let stats = writer.close().expect("memory takes it");
    if sections == 0 {
        return;
    }
    let written = std::mem::take(&mut *file.0.lock().expect("no other thread fails"));
    let (again, error) = read(&written, |_, _| {});
    assert!(error.is_none(), "{error:?}");
    assert_eq!(again + stats.skipped_events, events);
});

/// Reads to the end or to the first fault; counts events and looks at all of their parameters.
fn read(data: &[u8], mut see: impl FnMut(Option<&Snapshot>, &Batch)) -> (u64, Option<FileError>) {
    let mut reader = match Reader::inline(Cursor::new(data.to_vec()), "memory") {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut batch = Batch::new();
    let mut events = 0;
    loop {
        match reader.next_piece(&mut batch) {
            Ok(Next::Section(snapshot)) => see(Some(&snapshot), &batch),
            Ok(Next::Events) => {
                for event in batch.iter() {
                    events += 1;
                    let params = event.params().count();
                    assert!(params <= event.nparams());
                    assert_eq!(event.params().nth(0), event.param(0));
                    assert_eq!(event.param(event.nparams()), None);
                }
                see(None, &batch);
            }
            Ok(Next::Idle) => {}
            Ok(Next::End) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}
