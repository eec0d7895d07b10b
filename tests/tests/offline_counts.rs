//! Every recorded capture reads to its end, with the number of events that the tool which
//! recorded it prints, and where stock sysdig can read the file its first and last lines are ours.

use capture_tests::{data_dir, stock_sysdig};
use std::path::Path;
use std::process::Command;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// File, events printed, and whether sysdig 0.29.3 reads it to its end.
const CAPTURES: &[(&str, usize, bool)] = &[
    ("curl_google.scap", 1221, true),
    // 0.29.3 refuses section headers with options; the events are those of curl_google.
    ("curl_google_comments.scap", 1221, false),
    ("single_ipv6_conn.scap", 28, true),
    ("test_ipv6_client.scap", 68, true),
    ("build.scap.gz", 106_314, false),
    ("dns.scap.gz", 19_929, false),
    ("http.scap.gz", 784_227, false),
    ("kitchen.scap.gz", 2_058, false),
    ("postgres.scap.gz", 45_198, false),
    ("redis.scap.gz", 344_343, false),
    ("shell.scap.gz", 45_514, false),
    ("tools.scap.gz", 27_597, false),
];

fn lines(command: &mut Command) -> Vec<String> {
    let out = command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").output().expect("starts");
    assert!(out.status.success(), "{command:?}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

fn ours(file: &Path) -> Vec<String> {
    lines(Command::new(CAPTURE).arg("-r").arg(file))
}

#[test]
fn every_capture_reads_to_its_end() {
    for (name, events, _) in CAPTURES {
        assert_eq!(ours(&data_dir().join("captures").join(name)).len(), *events, "{name}");
    }
}

#[test]
fn first_and_last_lines_are_those_of_stock() {
    let Some(sysdig) = stock_sysdig("first_and_last_lines_are_those_of_stock") else { return };
    for (name, _, _) in CAPTURES.iter().filter(|(_, _, stock)| *stock) {
        let file = data_dir().join("captures").join(name);
        let (ours, stock) = (ours(&file), lines(Command::new(&sysdig).arg("-r").arg(&file)));
        assert_eq!(ours.first(), stock.first(), "{name}");
        assert_eq!(ours.last(), stock.last(), "{name}");
    }
}
