//! The stock tools read what we write: sysdig 0.29.3 prints the same text as for the original,
//! tshark counts the same event blocks. Skipped, and said so, where a tool is not installed.

use capture_common::{Batch, Next};
use capture_file::{Compression, Reader, Writer, WriterOptions};
use capture_tests::{data_dir, installed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Captures and whether sysdig 0.29.3 can read the original: it refuses section headers with
/// options, and dies of a generic event whose call it does not know.
const CAPTURES: &[(&str, bool)] = &[
    ("curl_google.scap", true),
    ("curl_google_comments.scap", false),
    ("single_ipv6_conn.scap", true),
    ("test_ipv6_client.scap", true),
    ("k8s_dns.scap", true),
    ("interop-superset.scap", true),
    ("interop-container.scap", true),
    ("interop-full.scap", true),
    ("kitchen.scap.gz", false),
];

/// Fields that together show every value of the start snapshot that 0.29.3 keeps.
const FIELDS: &str = "*%evt.num %evt.time %proc.name %proc.pid %proc.ppid %proc.exe %proc.exepath \
    %proc.args %proc.env %proc.cwd %proc.sid %proc.vpid %thread.vtid %thread.cgroups %proc.fdlimit \
    %proc.vmsize %thread.pfmajor %user.name %user.homedir %user.loginuid %proc.is_exe_writable \
    %group.name %fd.name %fd.type %fd.l4proto %fd.lip %evt.args";

/// Output lines of a tool, at UTC.
fn lines(tool: &str, args: &[&str], file: &Path) -> Vec<String> {
    let mut command = Command::new(tool);
    command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").arg("-r").arg(file).args(args);
    String::from_utf8_lossy(&command.output().unwrap().stdout).lines().map(str::to_owned).collect()
}

/// A recorded capture.
fn capture(name: &str) -> PathBuf {
    data_dir().join("captures").join(name)
}

/// The capture, read and written again.
fn written(name: &str, compression: Compression, folder: &Path) -> PathBuf {
    let path = folder.join(name);
    let options = WriterOptions { compression, ..WriterOptions::default() };
    let mut reader = Reader::open(capture(name)).unwrap();
    let mut writer = Writer::create(&path, options).unwrap();
    let mut batch = Batch::new();
    loop {
        match reader.next_piece(&mut batch).unwrap() {
            Next::Section(snapshot) => writer.write_section(&snapshot).unwrap(),
            Next::Events => writer.write_events(&batch).unwrap(),
            Next::Idle => {}
            Next::End => break,
        }
    }
    assert_eq!(writer.close().unwrap().skipped_events, 0);
    path
}

#[test]
fn sysdig_prints_the_same() {
    if installed("sysdig", "sysdig_prints_the_same").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for &(name, readable) in CAPTURES {
        for compression in [Compression::None, Compression::GZIP] {
            let ours = written(name, compression, folder.path());
            if readable {
                for args in [&[][..], &["-p", FIELDS], &["-c", "ps"], &["-c", "lsof"], &["-c", "netstat"]] {
                    let sorted = |file: &Path| {
                        let mut lines = lines("sysdig", args, file);
                        // Chisels print tables in the order of a hash table.
                        lines.sort();
                        lines
                    };
                    let (original, ours) = (sorted(&capture(name)), sorted(&ours));
                    assert!(!original.is_empty(), "{name} {args:?}");
                    assert!(original == ours, "{name} {compression:?} {args:?}");
                }
            } else {
                assert!(!lines("sysdig", &[], &ours).is_empty(), "{name} {compression:?}");
            }
        }
    }
}

#[test]
fn tshark_counts_the_same() {
    if installed("tshark", "tshark_counts_the_same").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // tshark takes seconds to start, so not all of them.
    for name in ["curl_google.scap", "interop-full.scap", "kitchen.scap.gz"] {
        let count = |file: &Path| lines("tshark", &["-T", "fields", "-e", "frame.number"], file).len();
        let original = count(&capture(name));
        assert!(original > 0);
        for compression in [Compression::None, Compression::GZIP] {
            assert_eq!(count(&written(name, compression, folder.path())), original, "{name} {compression:?}");
        }
        // Wireshark stops after the first zstd frame, so zstd does the unpacking.
        let ours = written(name, Compression::ZSTD, folder.path());
        let plain = zstd::decode_all(std::fs::File::open(&ours).unwrap()).unwrap();
        std::fs::write(&ours, plain).unwrap();
        assert_eq!(count(&ours), original, "{name} zstd");
    }
}
