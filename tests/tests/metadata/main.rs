//! What `capture` adds to files and what it keeps out of them: metadata of containers from dumps
//! (`enrich`), and secrets (`--redact`). Stock sysdig, where it is installed, reads the results.

mod enrich;
mod redact;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test.
const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// A capture of the suites.
fn recorded(name: &str) -> PathBuf {
    capture_tests::data_dir().join("captures").join(name)
}

/// Runs capture; it must end well.
fn capture<A: AsRef<OsStr>>(words: &[A]) -> Output {
    let out = Command::new(CAPTURE).args(words).env("TZ", "UTC").output().expect("capture starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out
}

/// The lines of `PROGRAM -r file -p format filter`.
fn lines(program: &Path, file: &Path, format: &str, filter: &str) -> Vec<String> {
    let out = Command::new(program)
        .args(["-r".as_ref(), file.as_os_str(), "-p".as_ref(), format.as_ref(), filter.as_ref()])
        .env("TZ", "UTC")
        .output()
        .expect("the program starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

/// The programs that must agree: capture, and stock sysdig where it is.
fn readers(test: &str) -> Vec<PathBuf> {
    std::iter::once(PathBuf::from(CAPTURE)).chain(capture_tests::stock_sysdig(test)).collect()
}
