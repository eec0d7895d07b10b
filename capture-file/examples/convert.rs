//! Rewrites a capture file: `convert none|gzip|zstd[:LEVEL] FROM TO`.

use capture_common::{Batch, EventSink, EventSource, Next};
use capture_file::{Compression, Reader, Writer, WriterOptions};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [how, from, to] = &args[..] else {
        return Err("usage: convert none|gzip|zstd[:LEVEL] FROM TO".into());
    };
    let compression = match how.split_once(':').unwrap_or((how, "")) {
        ("none", _) => Compression::None,
        ("gzip", "") => Compression::GZIP,
        ("gzip", level) => Compression::Gzip { level: level.parse()? },
        ("zstd", "") => Compression::ZSTD,
        ("zstd", level) => Compression::Zstd { level: level.parse()? },
        (other, _) => return Err(format!("unknown compression {other}").into()),
    };
    let mut reader = Reader::open(from)?;
    let mut writer = Writer::create(to, WriterOptions { compression, ..WriterOptions::default() })?;
    let mut batch = Batch::new();
    loop {
        match reader.next(&mut batch)? {
            Next::Section(snapshot) => writer.section(&snapshot)?,
            Next::Events => writer.events(&batch)?,
            Next::Idle => {}
            Next::End => break,
        }
    }
    println!("{:?}", writer.close()?);
    Ok(())
}
