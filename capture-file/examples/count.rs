//! Counts what a capture file holds: `count FILE...`.

use capture_common::{Batch, EventSource, Next};
use capture_file::Reader;

fn main() {
    for path in std::env::args_os().skip(1) {
        let start = std::time::Instant::now();
        match count(&path) {
            Ok(line) => println!("{}: {line} in {:?}", path.display(), start.elapsed()),
            Err(error) => println!("{}: {error}", path.display()),
        }
    }
}

fn count(path: &std::ffi::OsStr) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut reader = Reader::open(path)?;
    let mut batch = Batch::new();
    let (mut threads, mut fds, mut events, mut batches) = (0, 0, 0, 0);
    loop {
        match reader.next(&mut batch)? {
            Next::Section(snapshot) => {
                threads += snapshot.threads.len();
                fds += snapshot.fds.iter().map(|(_, table)| table.len()).sum::<usize>();
            }
            Next::Events => {
                events += batch.iter().count();
                batches += 1;
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    Ok(format!("{threads} threads, {fds} fds, {events} events in {batches} batches, {:?}", reader.stats()))
}
