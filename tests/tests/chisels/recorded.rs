//! Chisels over the real captures print what a sysdig of 2024 (libs 0.15.1) printed, which recorded
//! the captures. Its Lua files are those of 0.29.3 but for the tracers', so Debian's are run.

use crate::cases::FOLDER;
use crate::support::{Compare, capture, difference, run, same};
use capture_tests::{data_dir, skip};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Chisels with an argument, which the record's name has behind theirs.
const WITH_ARGUMENT: &[&str] = &["fdbytes_by", "fdtime_by", "spy_ip", "spy_port"];
/// How many records there are.
const RECORDS: usize = 132;

const RESTARTS: &str = "calls that the kernel restarts do not count as failed, as in 0.29.3; the newer version \
                        counts them";
const FUTEX_FLAGS: &str = "flags of futex operations have names, as in 0.29.3; the newer version knows fewer";
const STALE_TUPLES: &str = "the newer version reads stale bytes where a datagram came without an address";
const LOGINS: &str = "the newer version leaves out a shell that it saw twice";
const ROUNDING: &str = "the LuaJIT of the record rounds half up in %.2f, today's as C does";
const FAILED_OPENS: &str = "a failed open names the path it wanted; the newer version counts some by the path of \
                            the directory it was relative to, with two slashes";
const PROCINFO: &str = "the newer version knows no latency of procinfo events, and the chisel takes ours, which is 0, \
                        for an enter";
const TRACERS: &str = "the newer version's file prints only that it is deprecated; that of 0.29.3 runs";

/// What differs, and why: capture (all if empty), record, reason.
type Exception = (&'static str, &'static str, &'static str);

const EXCEPTIONS: &[Exception] = &[
    ("", "flame", TRACERS),
    ("build", "bottlenecks", FUTEX_FLAGS),
    ("kitchen", "bottlenecks", FUTEX_FLAGS),
    ("shell", "bottlenecks", PROCINFO),
    ("shell", "fdbytes_by_fd.directory", ROUNDING),
    ("kitchen", "list_login_shells", LOGINS),
    ("shell", "list_login_shells", LOGINS),
    ("kitchen", "topconns", STALE_TUPLES),
    ("kitchen", "topports_server", STALE_TUPLES),
    ("postgres", "topfiles_errors", FAILED_OPENS),
    ("shell", "topfiles_errors", FAILED_OPENS),
    ("build", "topprocs_errors", RESTARTS),
    ("dns", "topprocs_errors", RESTARTS),
    ("tools", "topprocs_errors", RESTARTS),
];

/// What differs besides for the built-in chisels.
const BUILT_IN: &[Exception] =
    &[("", "list_login_shells", "each shell is listed once; the file prints the last one three times")];

#[test]
fn chisels_print_what_a_newer_sysdig_printed() {
    compare("chisels_print_what_a_newer_sysdig_printed", &["--chisel-dir", FOLDER], &[EXCEPTIONS]);
}

#[test]
fn built_in_chisels_print_what_a_newer_sysdig_printed() {
    compare("built_in_chisels_print_what_a_newer_sysdig_printed", &[], &[EXCEPTIONS, BUILT_IN]);
}

fn compare(test: &str, options: &[&str], tables: &[&[Exception]]) {
    if !Path::new(FOLDER).join("common.lua").is_file() {
        skip(test, "sysdig's chisels are not installed");
        return;
    }
    let records = records();
    assert_eq!(records.len(), RECORDS);
    let exceptions: Vec<&Exception> = tables.iter().copied().flatten().collect();
    let (mut equal, mut used, mut unexplained) = (0, BTreeSet::new(), 0);
    for (capture, name, path) in &records {
        let (ours, stocks) = (ours(capture, name, options), stocks(path));
        let ways = [Compare::Exact, Compare::Lines, Compare::Top];
        if ways.into_iter().any(|how| same(how, &ours, &stocks)) {
            equal += 1;
            continue;
        }
        let row = exceptions.iter().position(|(c, n, _)| (c.is_empty() || c == capture) && n == name);
        match row {
            Some(row) => _ = used.insert(row),
            None => {
                unexplained += 1;
                println!("{capture} {name}:\n{}", difference(&ours, &stocks));
            }
        }
    }
    println!("{equal} of {RECORDS} equal, the others as the tables say");
    // The built-in chisels may be nearer to the record than the files are.
    let unused: Vec<_> = (0..exceptions.len()).filter(|row| !used.contains(row)).collect();
    assert!(tables.len() > 1 || unused.is_empty(), "rows that nothing differs by any more: {unused:?}");
    assert_eq!(unexplained, 0, "records that differ without a reason");
}

/// Capture, chisel with its argument, and file of each record.
fn records() -> Vec<(String, String, PathBuf)> {
    let folder = data_dir().join("golden-036/chisels");
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("the records");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("reads").path()).collect();
        paths.sort();
        paths
    };
    let text = |path: &Path| path.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
    let mut records = Vec::new();
    for capture in list(&folder) {
        for path in list(&capture) {
            let name = text(&path);
            let name =
                name.strip_prefix("chisel_").and_then(|n| n.strip_suffix(".txt.gz")).expect("a record");
            records.push((text(&capture), name.to_owned(), path.clone()));
        }
    }
    records
}

fn ours(file: &str, name: &str, options: &[&str]) -> Vec<u8> {
    let split = WITH_ARGUMENT.iter().find_map(|chisel| {
        let argument = name.strip_prefix(chisel)?.strip_prefix('_')?;
        Some((*chisel, vec![argument]))
    });
    let (chisel, arguments) = split.unwrap_or((name, vec![]));
    let path = data_dir().join(format!("captures/{file}.scap.gz"));
    let folder = tempfile::tempdir().expect("a folder");
    let words = [options, &["-r", path.to_str().expect("is text"), "-c", chisel], &arguments].concat();
    run(capture(), folder.path(), &words).stdout
}

fn stocks(path: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(path).output().expect("gzip runs");
    assert!(output.status.success(), "{}", path.display());
    output.stdout
}
