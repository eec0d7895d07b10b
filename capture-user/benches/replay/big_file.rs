//! `cargo xtask bench-file`: one capture of millions of events out of small real ones.
//!
//! The captures follow each other, each as a section with its own opening state, round after round
//! until there are enough events; times go on from section to section. Written twice: plain, which
//! sysdig 0.29.3 reads, and as our own zstd frames.

use crate::rewrite;
use anyhow::{Context, Result, bail};
use capture_common::snapshot::Dialect;
use capture_common::{Batch, Next, Snapshot};
use capture_file::{Compression, Reader, Writer, WriterOptions};
use std::path::{Path, PathBuf};

/// Captures that the file is made from, in this order: servers under load, a build, a shell.
const CAPTURES: [&str; 5] = ["http", "redis", "build", "shell", "postgres"];

/// Pause between two sections, ns.
const GAP_NS: u64 = 1_000_000;

/// Where the two files are.
#[derive(Clone, Debug)]
pub(crate) struct BigFile {
    pub(crate) plain: PathBuf,
    pub(crate) zstd: PathBuf,
}

impl BigFile {
    pub(crate) fn in_folder(folder: &Path) -> BigFile {
        BigFile { plain: folder.join("replay.scap"), zstd: folder.join("replay.zstd.scap") }
    }

    pub(crate) fn exists(&self) -> bool {
        self.plain.is_file() && self.zstd.is_file()
    }
}

/// Makes both files from the captures in a folder, with at least so many events.
pub(crate) fn make(captures: &Path, wanted: u64, to: &BigFile) -> Result<()> {
    let sources: Vec<PathBuf> =
        CAPTURES.iter().map(|name| find_capture(captures, name)).collect::<Result<_>>()?;
    let writer = |path: &Path, compression| {
        Writer::create(path, WriterOptions { compression, ..WriterOptions::default() })
    };
    // Half a file must not be taken for a whole one by a later run.
    let unfinished =
        BigFile { plain: to.plain.with_extension("scap.tmp"), zstd: to.zstd.with_extension("scap.tmp") };
    let mut maker = Maker {
        writers: [
            writer(&unfinished.plain, Compression::None)?,
            writer(&unfinished.zstd, Compression::ZSTD)?,
        ],
        made: Batch::new(),
        clock: Clock::default(),
        events: 0,
        left_out: 0,
    };
    while maker.events < wanted {
        let before = maker.events;
        for source in &sources {
            maker.append(source).with_context(|| format!("reading {}", source.display()))?;
        }
        if maker.events == before {
            bail!("the captures in {} hold no events", captures.display());
        }
    }
    let mut sizes = [0; 2];
    for (writer, size) in maker.writers.iter_mut().zip(&mut sizes) {
        *size = writer.close()?.file_bytes;
    }
    std::fs::rename(&unfinished.plain, &to.plain)?;
    std::fs::rename(&unfinished.zstd, &to.zstd)?;
    println!("{}: {} events, {} bytes", to.plain.display(), maker.events, sizes[0]);
    println!("{}: the same, {} bytes", to.zstd.display(), sizes[1]);
    if maker.left_out > 0 {
        println!("left out: {} records that sysdig 0.29.3 does not know", maker.left_out);
    }
    Ok(())
}

fn find_capture(folder: &Path, name: &str) -> Result<PathBuf> {
    let names = [format!("{name}.scap.gz"), format!("{name}.scap")];
    match names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "{} holds neither {} nor {}: give the folder of the captures with --captures",
            folder.display(),
            names[0],
            names[1]
        ),
    }
}

struct Maker {
    writers: [Writer; 2],
    made: Batch,
    clock: Clock,
    events: u64,
    left_out: u64,
}

impl Maker {
    fn append(&mut self, source: &Path) -> Result<()> {
        let mut reader = Reader::open(source)?;
        let mut batch = Batch::new();
        loop {
            match reader.next_piece(&mut batch)? {
                Next::Section(snapshot) => self.section(*snapshot)?,
                Next::Events => self.events(&batch)?,
                Next::Idle => {}
                Next::End => return Ok(()),
            }
        }
    }

    fn section(&mut self, snapshot: Snapshot) -> Result<()> {
        self.clock.restart();
        let snapshot = Snapshot { dialect: Dialect::Superset, ..snapshot };
        for writer in &mut self.writers {
            writer.write_section(&snapshot)?;
        }
        Ok(())
    }

    fn events(&mut self, batch: &Batch) -> Result<()> {
        self.made.clear();
        for raw in batch.iter() {
            if rewrite::push(&raw, self.clock.time_of(raw.ts_ns), &mut self.made) {
                self.events += 1;
            } else {
                self.left_out += 1;
            }
        }
        for writer in &mut self.writers {
            writer.write_events(&self.made)?;
        }
        Ok(())
    }
}

/// Times that never go back, whatever the sections say.
#[derive(Default)]
struct Clock {
    /// What the time of the section's first event becomes, and that time.
    start: Option<(u64, u64)>,
    last_ns: u64,
}

impl Clock {
    fn restart(&mut self) {
        self.start = None;
    }

    fn time_of(&mut self, ts_ns: u64) -> u64 {
        let (begins_ns, first_ns) = *self.start.get_or_insert_with(|| {
            let begins_ns = if self.last_ns == 0 { ts_ns } else { self.last_ns + GAP_NS };
            (begins_ns, ts_ns)
        });
        self.last_ns = self.last_ns.max(begins_ns + ts_ns.saturating_sub(first_ns));
        self.last_ns
    }
}
