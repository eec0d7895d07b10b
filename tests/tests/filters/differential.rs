//! As many events match as in sysdig 0.29.3, for two hundred filters over every capture that it
//! can read. Its counts are recorded; where it is installed, a part of them is counted anew.
//!
//! `CAPTURE_RECORD=1 cargo test -p capture-tests --test filters recorded` counts all and writes
//! the record. Stock is given the filter as a display filter (`-d`): the plain one throws events
//! away before they have changed the state, so that the exit of a read whose enter did not match
//! is of an unknown fd.

use crate::differences::{DIFFERENCES, Difference};
use crate::support::{compile, each_event, varied_filters};
use capture_tests::{data_dir, stock_sysdig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Captures that 0.29.3 reads to the end. The last one we wrote ourselves; of that one, events of
/// types that it does not know are left out.
pub(crate) const CAPTURES: &[&str] = &[
    "curl_google.scap",
    "single_ipv6_conn.scap",
    "test_ipv6_client.scap",
    "k8s_dns.scap",
    "interop-superset.scap",
    "interop-container.scap",
    "interop-full.scap",
    "../stock-029/categories.scap",
    "../stock-029/latencies.scap",
    "../stock-029/values1.scap",
    "../stock-029/values2.scap",
    "../stock-029/values3.scap",
    "../stock-029/values4.scap",
    "../stock-029/values7.scap",
    SAMPLE,
];

const SAMPLE: &str = "../../../samples/curl.scap";

/// Last event type that 0.29.3 knows; it skips younger ones.
const LAST_2022_CODE: u16 = 335;

/// One pair of so many is counted anew by each run.
const STRIDE: usize = 23;

#[test]
fn filters_match_as_many_events_as_in_sysdig_of_2022() {
    let record = read_record();
    let filters = varied_filters();
    assert_eq!(record.keys().collect::<Vec<_>>(), sorted(&filters), "record and list of filters differ");
    let mut used = vec![0; DIFFERENCES.len()];
    let (mut equal, mut excused, mut wrong) = (0, 0, Vec::new());
    for (column, capture) in CAPTURES.iter().enumerate() {
        for (filter, ours) in filters.iter().zip(our_counts(capture, &filters)) {
            let theirs = record[filter][column];
            let difference = DIFFERENCES.iter().position(|d| applies(d, filter, capture));
            match (ours == theirs, difference) {
                (true, _) => equal += 1,
                (false, Some(at)) => {
                    used[at] += 1;
                    excused += 1;
                }
                (false, None) => wrong.push(format!("{capture}\t{filter}\tours {ours}, stock {theirs}")),
            }
        }
    }
    println!("{equal} counts equal, {excused} differ for a known reason");
    let idle = DIFFERENCES.iter().zip(used).filter(|(_, used)| *used == 0);
    wrong.extend(idle.map(|(d, _)| format!("no count needs the reason: {}", d.reason)));
    assert!(wrong.is_empty(), "{equal} equal, {excused} known; not these:\n{}", wrong.join("\n"));
    assert!(excused * 14 < equal, "{excused} of {equal} differ");
}

fn applies(difference: &Difference, filter: &str, capture: &str) -> bool {
    difference.words.iter().any(|word| filter.contains(word))
        && (difference.captures.is_empty() || difference.captures.iter().any(|c| capture.contains(c)))
}

#[test]
fn recorded_counts_are_those_of_stock() {
    let Some(sysdig) = stock_sysdig("recorded_counts_are_those_of_stock") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let sample = write_sample(folder.path());
    let path = |capture: &str| match capture {
        SAMPLE => sample.clone(),
        other => data_dir().join("captures").join(other),
    };
    let filters = varied_filters();
    let record_all = std::env::var_os("CAPTURE_RECORD").is_some();
    let pairs: Vec<(&String, usize)> =
        filters.iter().flat_map(|filter| (0..CAPTURES.len()).map(move |column| (filter, column))).collect();
    let mut counts: BTreeMap<String, Vec<u64>> = if record_all { BTreeMap::new() } else { read_record() };
    let mut wrong = Vec::new();
    for (at, (filter, column)) in pairs.into_iter().enumerate() {
        if !record_all && !at.is_multiple_of(STRIDE) {
            continue;
        }
        let theirs = stock_count(&sysdig, &path(CAPTURES[column]), filter);
        if record_all {
            counts.entry(filter.clone()).or_default().push(theirs);
        } else if counts[filter][column] != theirs {
            wrong.push(format!(
                "{}\t{filter}\tstock {theirs}, not {}",
                CAPTURES[column], counts[filter][column]
            ));
        }
    }
    if record_all {
        write_record(&counts);
    }
    assert!(wrong.is_empty(), "the record is of another version:\n{}", wrong.join("\n"));
}

fn stock_count(sysdig: &Path, capture: &Path, filter: &str) -> u64 {
    let out = Command::new(sysdig)
        .args(["-d", "-p", "%evt.num", "-r"])
        .arg(capture)
        .arg(filter)
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8")])
        .output()
        .expect("starts");
    assert!(out.status.success(), "{filter}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Our own sample in the form that other tools read.
fn write_sample(folder: &Path) -> PathBuf {
    let plain = folder.join("curl.scap");
    let status = Command::new(env!("CARGO_BIN_EXE_capture-test"))
        .arg("-r")
        .arg(data_dir().join("captures").join(SAMPLE))
        .arg("-w")
        .arg(&plain)
        .args(["--compress", "none"])
        .status()
        .expect("starts");
    assert!(status.success());
    plain
}

fn our_counts(capture: &str, filters: &[String]) -> Vec<u64> {
    let mut filters: Vec<_> = filters.iter().map(|text| (compile(text), 0)).collect();
    each_event(capture, |event| {
        if event.raw.code.0 <= LAST_2022_CODE {
            for (filter, count) in &mut filters {
                *count += u64::from(filter.matches(event));
            }
        }
    });
    filters.into_iter().map(|(_, count)| count).collect()
}

fn sorted(filters: &[String]) -> Vec<&String> {
    let mut sorted: Vec<_> = filters.iter().collect();
    sorted.sort();
    sorted
}

fn record_path() -> PathBuf {
    data_dir().join("filters/stock-029.tsv")
}

fn read_record() -> BTreeMap<String, Vec<u64>> {
    let text = std::fs::read_to_string(record_path()).expect("reads");
    let rows = text.lines().map(|line| {
        let (filter, counts) = line.split_once('\t').expect("a filter and counts");
        (filter.to_owned(), counts.split(' ').map(|count| count.parse().expect("a count")).collect())
    });
    rows.collect()
}

fn write_record(counts: &BTreeMap<String, Vec<u64>>) {
    let line = |(filter, counts): (&String, &Vec<u64>)| {
        let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
        format!("{filter}\t{}\n", counts.join(" "))
    };
    std::fs::write(record_path(), counts.iter().map(line).collect::<String>()).expect("writes");
}
