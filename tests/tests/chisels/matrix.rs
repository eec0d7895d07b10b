//! Every Lua file of Debian's sysdig package runs in our host as it runs in stock sysdig: the same
//! text, the same exit code, over captures that both read.
//!
//! A file that `cases` does not name runs without arguments. What differs stands in [`EXCEPTIONS`]
//! with its reason; a row that no longer differs fails the test.

use crate::cases::{CASES, FOLDER, LIBRARY, ON_SERVICES, READ_BY_STOCK, SERVICES, unordered};
use crate::support::{Compare, capture, difference, extracted, in_parallel, run, same};
use capture_tests::{data_dir, stock_sysdig};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

/// How many files sysdig 0.29.3 has there.
const FILES: usize = 102;

const TUPLE: &str = "sysdig 0.29.3 reads the IPv4 tuple of datagrams shifted and prints addresses that are none \
                     (53.0.3.0); ours are those of the file";
const ROUNDING: &str = "the LuaJIT that Debian links rounds 8.125 up in %.2f, today's as C does";
const RENAMED: &str = "a UDP socket that connects to another peer has that peer in its name, as the call's tuple \
                       says; sysdig 0.29.3 keeps the first one";
const YOUNG_PARAMS: &str = "parameters younger than sysdig 0.29.3 (pidns_init_start_ts and on)";

/// What differs, and why: chisel, capture (all if empty), reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "shellshock_detect",
        "",
        "its filter mixes `or` and `and` without brackets: sysdig 0.29.3 refuses it, we read it as older \
         versions did",
    ),
    (
        "bottlenecks",
        "single_ipv6_conn.scap",
        "sysdig 0.29.3 knows no latency of procinfo events of threads that were not in the process table; \
         ours is 0, so that the chisel takes the event for an enter",
    ),
    ("bottlenecks", "test_ipv6_client.scap", RENAMED),
    ("fdcount_by", "test_ipv6_client.scap", RENAMED),
    ("netlower", "test_ipv6_client.scap", RENAMED),
    ("bottlenecks", "interop-superset.scap", YOUNG_PARAMS),
    ("bottlenecks", "interop-full.scap", YOUNG_PARAMS),
    ("bottlenecks", "interop-container.scap", YOUNG_PARAMS),
    ("echo_fds", "k8s_dns.scap", TUPLE),
    ("fdcount_by", "k8s_dns.scap", TUPLE),
    ("netlower", "k8s_dns.scap", TUPLE),
    ("topconns", "k8s_dns.scap", TUPLE),
    ("wsysdig_summary", "k8s_dns.scap", TUPLE),
    ("echo_fds", "services.scap.gz", TUPLE),
    ("spy_ip", "services.scap.gz", TUPLE),
    ("udp_extract", "services.scap.gz", TUPLE),
    ("udp_extract", "k8s_dns.scap", TUPLE),
    ("fdbytes_by", "curl_google.scap", ROUNDING),
    ("fdbytes_by", "k8s_dns.scap", ROUNDING),
    ("ps", "curl_google.scap", ROUNDING),
    ("ps", "k8s_dns.scap", ROUNDING),
];

/// One run on both sides.
struct Run<'a> {
    chisel: &'a str,
    args: &'a [&'a str],
    how: Compare,
    ours: &'a [&'a str],
    capture: &'a str,
}

/// What came of it.
struct Outcome {
    mark: char,
    /// Where they differ, how.
    difference: Option<String>,
}

#[test]
fn every_chisel_of_the_package_runs_as_in_stock() {
    let name = "every_chisel_of_the_package_runs_as_in_stock";
    let Some(stock) = stock_sysdig(name) else { return };
    let files = lua_files();
    assert_eq!(files.len(), FILES, "{FOLDER} is not that of sysdig 0.29.3");
    let runs = plan(&files);
    let outcomes = in_parallel(&runs, |run| both(run, &stock));
    print_matrix(&runs, &outcomes);
    check(&runs, &outcomes);
}

fn lua_files() -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).expect("the package's folder");
    let names = entries.map(|entry| entry.expect("reads").file_name().into_string().expect("is text"));
    let mut names: Vec<String> = names.filter_map(|n| n.strip_suffix(".lua").map(str::to_owned)).collect();
    names.sort();
    names
}

fn plan(files: &[String]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for file in files {
        let is_chisel = std::fs::read_to_string(format!("{FOLDER}/{file}.lua")).is_ok_and(|text| {
            text.lines().any(|line| line.trim_end().starts_with("args") && line.contains('='))
        });
        // Libraries and views are refused before the capture is opened.
        let captures = if is_chisel { READ_BY_STOCK } else { &READ_BY_STOCK[..1] };
        let how = unordered(file);
        let more = ON_SERVICES.contains(&&file[..]).then_some(SERVICES);
        for capture in captures.iter().copied().chain(more) {
            runs.push(Run { chisel: file, args: &[], how, ours: &[], capture });
            for case in CASES.iter().filter(|case| case.chisel == file) {
                runs.push(Run { chisel: file, args: case.args, how: case.how, ours: case.ours, capture });
            }
        }
        // A case without arguments is there for its options: no plain run beside it.
        if CASES.iter().any(|case| case.chisel == file && case.args.is_empty()) {
            runs.retain(|run| run.chisel != file || !run.ours.is_empty());
        }
    }
    runs
}

/// Runs both and compares.
fn both(wanted: &Run<'_>, stock: &Path) -> Outcome {
    let path = data_dir().join("captures").join(wanted.capture);
    let words = |folder: &Path, own: &[&str], chisel: &str| -> Vec<String> {
        // A copy, since some chisels write beside their capture.
        let copy: PathBuf = folder.join(wanted.capture);
        std::fs::copy(&path, &copy).expect("copies");
        let head =
            ["-r".to_owned(), copy.to_str().expect("is text").to_owned(), "-c".to_owned(), chisel.to_owned()];
        own.iter()
            .map(|w| (*w).to_owned())
            .chain(head)
            .chain(wanted.args.iter().map(|w| (*w).to_owned()))
            .collect()
    };
    let go = |program: &Path, own: &[&str], chisel: &str| -> (Output, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let words = words(folder.path(), own, chisel);
        let output = run(program, folder.path(), &words.iter().map(String::as_str).collect::<Vec<_>>());
        let mut text = without(&output.stdout, folder.path().to_str().expect("is text"));
        text.extend(extracted(folder.path()));
        (output, text)
    };
    // Files in folders that are asked for come before built-in chisels of the same names.
    let own = [&["--chisel-dir", FOLDER], wanted.ours].concat();
    // The library's own name means the built-in chisel.
    let file = format!("{}.lua", wanted.chisel);
    let ours = if wanted.chisel == LIBRARY { &file } else { wanted.chisel };
    let (ours, our_text) = go(capture(), &own, ours);
    let (stocks, stock_text) = go(stock, &[], wanted.chisel);
    let same_code = ours.status.code() == stocks.status.code();
    if same_code && our_text == stock_text {
        return Outcome { mark: if ours.status.success() { '=' } else { 'e' }, difference: None };
    }
    if same_code && same(wanted.how, &our_text, &stock_text) {
        return Outcome { mark: 's', difference: None };
    }
    let text = format!(
        "exit codes {:?} and {:?}\n{}\n  stderr: {:?} and {:?}",
        ours.status.code(),
        stocks.status.code(),
        difference(&our_text, &stock_text),
        String::from_utf8_lossy(&ours.stderr),
        String::from_utf8_lossy(&stocks.stderr),
    );
    Outcome { mark: 'x', difference: Some(text) }
}

/// Text without what differs from run to run: the name of the folder, and how far a file was read at
/// some moment.
fn without(text: &[u8], folder: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
    let text = text.replace(folder, "FOLDER");
    let is_progress = |line: &str| line.starts_with("{\"progress\": ") && line.ends_with(" },");
    text.split('\n').filter(|line| !is_progress(line)).collect::<Vec<_>>().join("\n").into_bytes()
}

fn print_matrix(runs: &[Run<'_>], outcomes: &[Outcome]) {
    println!("= equal   s equal as sets   e both refuse alike   x differs");
    for (at, name) in READ_BY_STOCK.iter().chain([&SERVICES]).enumerate() {
        println!("{:>2}: {name}", at + 1);
    }
    let mut rows: Vec<(String, String)> = Vec::new();
    for (run, outcome) in runs.iter().zip(outcomes) {
        let label = format!("{} {}", run.chisel, run.args.join(" "));
        match rows.iter_mut().find(|(known, _)| *known == label) {
            Some((_, marks)) => marks.push(outcome.mark),
            None => rows.push((label, outcome.mark.to_string())),
        }
    }
    for (label, marks) in rows {
        println!("{marks:<8} {label:.70}");
    }
    let count = |mark| outcomes.iter().filter(|o| o.mark == mark).count();
    println!(
        "{} runs: {} =, {} s, {} e, {} x",
        outcomes.len(),
        count('='),
        count('s'),
        count('e'),
        count('x')
    );
}

/// Every difference has a row, every row a difference.
fn check(runs: &[Run<'_>], outcomes: &[Outcome]) {
    let mut used = BTreeSet::new();
    let mut unexplained = 0;
    for (run, outcome) in runs.iter().zip(outcomes) {
        let Some(text) = &outcome.difference else { continue };
        let row = EXCEPTIONS.iter().position(|(chisel, capture, _)| {
            *chisel == run.chisel && (capture.is_empty() || *capture == run.capture)
        });
        match row {
            Some(row) => {
                used.insert(row);
            }
            None => {
                unexplained += 1;
                println!("\n{} {:?} on {}: {text}", run.chisel, run.args, run.capture);
            }
        }
    }
    let unused: Vec<_> = (0..EXCEPTIONS.len()).filter(|row| !used.contains(row)).collect();
    assert!(unused.is_empty(), "rows that nothing differs by any more: {unused:?}");
    assert_eq!(unexplained, 0, "runs that differ without a reason");
}
