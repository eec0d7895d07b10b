//! Captures that end at every possible byte, plain, gzip and zstd.

use crate::support::{Capture, check_memory, check_message, decompressed, replay, rewritten};
use capture_file::Compression;
use std::process::{Command, Stdio};

const FORMS: [Compression; 3] = [Compression::None, Compression::GZIP, Compression::ZSTD];

/// Small captures: all blocks, and the record of a container.
const SMALL: [&str; 2] = ["interop-full.scap", "interop-container.scap"];

#[test]
fn cut_at_every_byte() {
    let mut cuts = 0;
    for name in SMALL {
        let capture = Capture::load(name);
        for form in FORMS {
            // Small frames, so that cuts fall between and inside several of them.
            let whole = rewritten(name, form, 600);
            for len in 0..whole.len() {
                let there = decompressed(&whole[..len], form);
                let wanted = capture.whole_events(there.len());
                let run = replay(&whole[..len]);
                assert_eq!(run.lines, capture.lines[..wanted], "{name} {form:?} {len}: events");
                // A cut between blocks and between frames cannot be told from an end.
                assert!(run.error.is_some() || !there.is_empty(), "{name} {form:?} {len}: no error");
                assert!(run.error.is_some() || form != Compression::GZIP, "{name} {form:?} {len}: no error");
                if let Some(text) = run.error {
                    check_message(&text, crate::support::NAME);
                }
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
    check_memory();
}

/// The program prints the lines before the cut, names the place, and fails.
#[test]
fn the_program_tells_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = |path: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_capture-test"));
        command.arg("-r").arg(path).env("TZ", "UTC").stdin(Stdio::null()).output().expect("starts")
    };
    for (form, name) in FORMS.into_iter().zip(["cut.scap", "cut.scap.gz", "cut.scap.zst"]) {
        let whole = rewritten("kitchen.scap.gz", form, 8_192);
        let path = folder.path().join(name);
        std::fs::write(&path, &whole).expect("writes");
        let wanted = program(&path);
        assert!(wanted.status.success());
        for tenths in [2, 5, 7, 9] {
            std::fs::write(&path, &whole[..whole.len() * tenths / 10 + 1]).expect("writes");
            let cut = program(&path);
            let text = String::from_utf8_lossy(&cut.stderr).into_owned();
            assert_eq!(cut.status.code(), Some(1), "{text}");
            assert!(wanted.stdout.starts_with(&cut.stdout), "{name} {tenths}: lines");
            assert!(!cut.stdout.is_empty() || tenths < 5, "{name} {tenths}: no lines");
            check_message(&text, name);
        }
    }
}
