//! `--redact`: from file to file, in lines, and live.

use crate::{CAPTURE, capture, lines, readers, recorded};
use capture_tests::live;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// `capture -r from -w to --redact...`
fn redact(from: &Path, option: &str, folder: &Path) -> PathBuf {
    let to = folder.join("redacted.scap.gz");
    let words = ["-r".as_ref(), from.as_os_str(), "-w".as_ref(), to.as_os_str(), option.as_ref()];
    let said = capture(&words).stderr;
    assert!(String::from_utf8_lossy(&said).contains("secrets redacted in"), "{said:?}");
    to
}

/// Whether a file holds a text anywhere in its blocks.
fn holds(file: &Path, what: &str, folder: &Path) -> bool {
    let plain = folder.join("plain.scap");
    let words = [
        "-r".as_ref(),
        file.as_os_str(),
        "-w".as_ref(),
        plain.as_os_str(),
        "--compress".as_ref(),
        "none".as_ref(),
    ];
    capture::<&OsStr>(&words);
    let bytes = std::fs::read(plain).expect("the file reads");
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

/// A recording whose processes have a variable that a pattern of the user names.
#[test]
fn events_and_processes_of_a_file_lose_what_patterns_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let from = recorded("shell.scap.gz");
    let variable = |line: &String| line.split(' ').find(|w| w.starts_with("HOME=")).map(str::to_owned);
    let envs = lines(CAPTURE.as_ref(), &from, "%proc.env", "evt.type = execve and evt.dir = <");
    let secret = envs.iter().find_map(variable).expect("a HOME in the recording");
    assert!(holds(&from, &secret, dir.path()));
    let to = redact(&from, "--redact=home", dir.path());
    assert!(!holds(&to, &secret, dir.path()), "{secret} is in the file");
    let replaced = lines(CAPTURE.as_ref(), &to, "%proc.env", "evt.type = execve and evt.dir = <");
    let homes = |all: &[String]| all.iter().filter_map(variable).collect::<Vec<_>>();
    assert_eq!(homes(&envs).len(), homes(&replaced).len());
    assert!(homes(&replaced).iter().all(|home| home == "HOME=[redacted]"));
    // All else is as it was. (Stock cannot read this recording; it reads the live one below.)
    let format = "%evt.num %evt.time %proc.pid %proc.name %proc.cwd %evt.dir %evt.type %evt.res %fd.name";
    let all = |file: &Path| lines(CAPTURE.as_ref(), file, format, "");
    assert_eq!(all(&from), all(&to));
}

#[test]
fn lines_show_no_secrets_either() {
    let from = recorded("shell.scap.gz");
    let words = [
        "-r".as_ref(),
        from.as_os_str(),
        "--redact=HOME".as_ref(),
        "-p".as_ref(),
        "%proc.env[HOME]".as_ref(),
        "evt.type = execve and evt.dir = <".as_ref(),
    ];
    let text = String::from_utf8(capture::<&OsStr>(&words).stdout).expect("text");
    assert!(text.contains("[redacted]") && !text.contains('/'), "{text}");
}

#[test]
fn a_live_capture_writes_no_secrets() {
    const TEST: &str = "a_live_capture_writes_no_secrets";
    if !live::can_record(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("live.scap");
    let command = [
        "env",
        "DB_PASSWORD=hunter2",
        "sh",
        "-c",
        "true --token hunter2 http://u:hunter2@h/ & wait",
        "--api-key=hunter2",
    ];
    let words = [
        &["-w".as_ref(), file.as_os_str(), "--redact".as_ref(), "--".as_ref()][..],
        &command.map(OsStr::new),
    ]
    .concat();
    capture::<&OsStr>(&words);
    assert!(!holds(&file, "hunter2", dir.path()));
    for reader in readers(TEST) {
        let converted = dir.path().join("converted.scap.gz");
        capture::<&OsStr>(&["-r".as_ref(), file.as_os_str(), "-w".as_ref(), converted.as_os_str()]);
        let seen = lines(
            &reader,
            &converted,
            "%proc.cmdline",
            "evt.type = execve and evt.dir = < and proc.name = sh",
        );
        assert_eq!(
            seen,
            ["sh -c true --token [redacted] http://u:[redacted]@h/ & wait --api-key=[redacted]"],
            "{}",
            reader.display()
        );
        let env =
            lines(&reader, &converted, "%proc.env", "evt.type = execve and evt.dir = < and proc.name = sh");
        assert!(env[0].contains("DB_PASSWORD=[redacted]"), "{env:?}");
    }
}
