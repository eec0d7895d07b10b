//! Seeds: a target that is started with `CAPTURE_FUZZ_SEEDS` writes its first inputs into that folder,
//! made from the captures of the test suites, and ends.

use crate::script;
use capture_common::{Batch, Next};
use capture_file::{Compression, Container, FileError, Reader, Writer, WriterOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the variable.
const VARIABLE: &str = "CAPTURE_FUZZ_SEEDS";

/// Captures that are seeds as they are: small, of all eras of the format.
const SMALL: &[&str] = &[
    "captures/curl_google_comments.scap",
    "captures/interop-container.scap",
    "captures/interop-full.scap",
    "captures/interop-superset.scap",
    "captures/test_ipv6_client.scap",
    "stock-029/categories.scap",
    "stock-029/values1.scap",
    "stock-029/values7.scap",
];

/// Captures whose events become scripts, and how many.
const LIVELY: &[(&str, usize)] = &[
    ("captures/curl_google.scap", 1_300),
    ("captures/interop-container.scap", 100),
    ("captures/interop-full.scap", 100),
    ("captures/interop-superset.scap", 100),
    ("captures/k8s_dns.scap", 1_300),
    ("captures/kitchen.scap.gz", 4_000),
    ("captures/dns.scap.gz", 4_000),
    ("captures/postgres.scap.gz", 4_000),
    ("captures/shell.scap.gz", 8_000),
    ("stock-029/categories.scap", 2_000),
    ("stock-029/latencies.scap", 500),
    ("stock-029/values1.scap", 500),
    ("stock-029/values2.scap", 500),
    ("stock-029/values3.scap", 500),
    ("stock-029/values4.scap", 500),
    ("stock-029/values7.scap", 500),
];

/// Events of a script.
const PER_SCRIPT: usize = 24;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data")
}

/// Writes seeds and ends the program, if it is asked for them.
pub fn write_if_asked(write: fn(&Path) -> io::Result<usize>) {
    let Some(folder) = std::env::var_os(VARIABLE) else { return };
    let folder = PathBuf::from(folder);
    match std::fs::create_dir_all(&folder).and_then(|()| write(&folder)) {
        Ok(count) => {
            eprintln!("{count} seeds in {}", folder.display());
            std::process::exit(0);
        }
        Err(error) => {
            eprintln!("writing seeds to {}: {error}", folder.display());
            std::process::exit(1);
        }
    }
}

/// Whole captures, plain ones in each container besides.
pub fn captures(folder: &Path) -> io::Result<usize> {
    let mut written = 0;
    for name in SMALL {
        let to = folder.join(name.replace('/', "-"));
        std::fs::copy(data().join(name), &to)?;
        written += 1;
        for (end, compression) in [("gz", Compression::GZIP), ("zst", Compression::ZSTD)] {
            let mut reader = Reader::open(&to).map_err(io::Error::other)?;
            if reader.stats().container == Container::Plain {
                let options = WriterOptions { compression, frame_bytes: 1_000, ..WriterOptions::default() };
                let to = to.with_extension(end);
                let mut writer = Writer::create(&to, options).map_err(io::Error::other)?;
                rewrite(&mut reader, &mut writer).map_err(io::Error::other)?;
                writer.close().map_err(io::Error::other)?;
                written += 1;
            }
        }
    }
    Ok(written)
}

fn rewrite(reader: &mut Reader, writer: &mut Writer) -> Result<(), FileError> {
    let mut batch = Batch::new();
    loop {
        match reader.next_piece(&mut batch)? {
            Next::Section(snapshot) => writer.write_section(&snapshot)?,
            Next::Events => writer.write_events(&batch)?,
            Next::Idle => {}
            Next::End => return Ok(()),
        }
    }
}

/// Pieces of captures as scripts, each behind a byte that chooses how it is looked at.
pub fn scripts(folder: &Path) -> io::Result<usize> {
    let mut written = 0;
    let mut write = |script: &[u8]| {
        let seed = [&[written as u8][..], script].concat();
        let done = std::fs::write(folder.join(format!("script-{written}")), seed);
        written += 1;
        done
    };
    for (name, most) in LIVELY {
        let mut reader = Reader::open(data().join(name)).map_err(io::Error::other)?;
        let (mut batch, mut script) = (Batch::new(), Vec::new());
        let (mut seen, mut last_ns) = (0, 0);
        while let Next::Section(_) | Next::Events | Next::Idle =
            reader.next_piece(&mut batch).map_err(io::Error::other)?
        {
            for event in batch.iter() {
                if seen == *most {
                    break;
                }
                script::push(&mut script, &event, event.ts_ns.saturating_sub(last_ns));
                last_ns = event.ts_ns;
                seen += 1;
                if seen % PER_SCRIPT == 0 {
                    write(&script)?;
                    script.clear();
                }
            }
            batch.clear();
        }
        if !script.is_empty() {
            write(&script)?;
        }
    }
    Ok(written)
}

/// Answers of engines, each behind a byte that says what they are.
pub fn engines(folder: &Path) -> io::Result<usize> {
    let answers = data().join("../../capture-user/src/enrich/testdata");
    let mut written = 0;
    for entry in std::fs::read_dir(answers)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") {
            let seed = [&[0][..], &std::fs::read(&path)?].concat();
            std::fs::write(folder.join(path.file_name().unwrap_or_default()), seed)?;
            written += 1;
        }
    }
    std::fs::write(folder.join("pods"), [&[1][..], PODS.as_bytes()].concat())?;
    Ok(written + 1)
}

/// A pod as `kubectl` prints it, less what is not read.
const PODS: &str = r#"{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"web-0","namespace":"shop",
"uid":"5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17","labels":{"app":"web"}},"status":{"podIP":"10.244.0.2",
"containerStatuses":[{"name":"web","image":"nginx:1","imageID":"nginx@sha256:ab","containerID":
"containerd://3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e",
"state":{"running":{"startedAt":"2026-11-21T05:52:26Z"}}}]}}]}"#;
