//! The captures of the suite, in the form in which 0.29.3 reads them to their end.

use anyhow::{Context, Result};
use capture_common::event_table::code;
use capture_common::snapshot::Dialect;
use capture_common::{Batch, Next};
use capture_file::{Compression, Reader, Writer, WriterOptions};
use capture_tests::data_dir;
use capture_tests::interop::LAST_STOCK_CODE;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Captures made by stock sysdig: both programs read the same file.
const STOCK: &[&str] =
    &["curl_google.scap", "single_ipv6_conn.scap", "test_ipv6_client.scap", "k8s_dns.scap"];

/// Captures in the superset form, hand-made ones and one recorded by capture. They are written
/// again with our mark, by which capture shows the parameters of 2022 that stock shows, and without
/// events that are younger than 0.29.3: it skips them, or does not know their names, and counts
/// others in their place.
const SUPERSET: &[(&str, &str)] = &[
    ("interop-superset.scap", "captures/interop-superset.scap"),
    ("interop-container.scap", "captures/interop-container.scap"),
    ("interop-full.scap", "captures/interop-full.scap"),
    ("recorded.scap", "../../samples/curl.scap"),
];

/// A capture.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// All of them, as long as this lives.
pub(crate) struct Inputs {
    pub(crate) files: Vec<Input>,
    _folder: TempDir,
}

impl Inputs {
    pub(crate) fn prepare() -> Result<Inputs> {
        let folder = tempfile::tempdir()?;
        let mut files = Vec::new();
        for name in STOCK {
            files.push(Input { name: (*name).into(), path: data_dir().join("captures").join(name) });
        }
        for (name, from) in SUPERSET {
            let path = folder.path().join(name);
            write_again(&data_dir().join(from), &path).with_context(|| from.to_string())?;
            files.push(Input { name: (*name).into(), path });
        }
        Ok(Inputs { files, _folder: folder })
    }
}

fn write_again(from: &Path, to: &Path) -> Result<()> {
    let options = WriterOptions { compression: Compression::GZIP, ..WriterOptions::default() };
    let (mut reader, mut writer) = (Reader::open(from)?, Writer::create(to, options)?);
    let (mut batch, mut kept) = (Batch::new(), Batch::new());
    loop {
        match reader.next_piece(&mut batch)? {
            Next::End => break,
            Next::Idle => {}
            Next::Section(mut snapshot) => {
                snapshot.dialect = Dialect::Superset;
                writer.write_section(&snapshot)?;
            }
            Next::Events => {
                kept.clear();
                for (at, event) in batch.iter().enumerate() {
                    let is_generic = event.code == code::GENERIC_E || event.code == code::GENERIC_X;
                    let is_young = event.code.0 > LAST_STOCK_CODE || (is_generic && event.uint(0) == Some(0));
                    if !is_young {
                        kept.push_copy(&batch, at, event.flags);
                    }
                }
                writer.write_events(&kept)?;
            }
        }
    }
    writer.close()?;
    Ok(())
}
