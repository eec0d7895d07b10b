//! Built-in chisels give the same results live and offline: one run records a workload and shows what
//! chisels find in it, a second one reads the recording.

use crate::support::capture;
use capture_tests::live;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Those that tell what happens when it happens, or all of it at the end.
const TELLERS: &[&[&str]] = &[
    &["echo_fds", "disable_color"],
    &["dns"],
    &["http"],
    &["httplog"],
    &["files", "0"],
    &["errors", "0"],
    &["slow", "0"],
    &["tree"],
    &["flame"],
    &["bottlenecks"],
    &["spy_file", "RW"],
    &["scallslower", "1 disable_color"],
    &["fileslower", "0 disable_color"],
    &["netlower", "0 disable_color"],
    &["proc_exec_time", "disable_color"],
    &["fdcount_by", "fd.type"],
];

/// Those that show a table every second live, and one of everything offline.
const TABLES: &[&[&str]] = &[
    &["topprocs_file"],
    &["topprocs_net"],
    &["topconns"],
    &["topports_server"],
    &["fdbytes_by", "proc.name"],
    &["fdtime_by", "proc.name"],
    &["topprocs_errors"],
];

/// Runs `capture` with these chisels.
fn run(options: &[&str], chisels: &[&[&str]], command: &[&str]) -> Output {
    let mut words: Vec<&str> = options.to_vec();
    for chisel in chisels {
        words.push("-c");
        words.extend(*chisel);
    }
    let output = Command::new(capture())
        .args(words)
        .args(command)
        .env_remove("SYSDIG_CHISEL_DIR")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .expect("capture runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What the chisels print of the workload live, and of its recording.
fn both(
    name: &str,
    options: &[&str],
    chisels: &[&[&str]],
    what_is_said: impl Fn(&str, bool) -> Vec<String>,
) -> Option<(Vec<String>, Vec<String>)> {
    if !live::can_record(name) || !live::has_host_ids(name) {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let load = live::compile("chisel_load", folder.path(), name)?;
    let _turn = live::turn();
    let text = |path: &Path| path.to_str().expect("is text").to_owned();
    let file = text(&folder.path().join("load.scap"));
    // What the workload itself prints does not belong to the chisels.
    let script = format!("exec {} {} >/dev/null", text(&load), text(folder.path()));
    let live = run(&[options, &["-w", &file]].concat(), chisels, &["--", "sh", "-c", &script]);
    let summary = live::Summary::parse(&String::from_utf8_lossy(&live.stderr));
    assert_eq!(summary.lost, 0, "{}", String::from_utf8_lossy(&live.stderr));
    let offline = run(&[options, &["-r", &file]].concat(), chisels, &[]);
    let said = |output: &Output, is_live| what_is_said(&String::from_utf8_lossy(&output.stdout), is_live);
    let both = (said(&live, true), said(&offline, false));
    // The recording is worth a look where they differ.
    if both.0 != both.1 && File::open(&file).is_ok() {
        println!("{} is kept", folder.keep().display());
    }
    Some(both)
}

#[test]
fn what_chisels_tell_live_is_what_they_tell_of_the_recording() {
    let name = "what_chisels_tell_live_is_what_they_tell_of_the_recording";
    let lines = |text: &str, _| text.lines().map(str::to_owned).collect();
    let Some((live, offline)) = both(name, &[], TELLERS, lines) else { return };
    assert_same(&live, &offline);
    let says = |part: &str| live.iter().any(|line| line.contains(part));
    for part in [
        "store.shop.svc.cluster.local                 127.0.0.77",
        "NXDOMAIN",
        "GET store.example/found",
        "404",
        "made/new",
        "ENOENT",
        "chisel_load",
        "HTTP/1.1 200 OK",
        "method=GET url=store.example/lost",
    ] {
        assert!(says(part), "nothing says {part:?}:\n{}", live.join("\n"));
    }
}

#[test]
fn tables_of_each_second_add_up_to_the_table_of_the_recording() {
    let name = "tables_of_each_second_add_up_to_the_table_of_the_recording";
    let Some((live, offline)) = both(name, &["-j"], TABLES, sums) else { return };
    assert_same(&live, &offline);
    for part in ["[\"chisel_load\"", "18080", "127.0.0.77"] {
        assert!(live.iter().any(|line| line.contains(part)), "no {part:?}:\n{}", live.join("\n"));
    }
}

#[test]
fn a_process_with_long_arguments_is_told_the_same() {
    let name = "a_process_with_long_arguments_is_told_the_same";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let _turn = live::turn();
    let file = folder.path().join("long.scap");
    // The shell is only in the start state, with arguments and an environment that no file holds whole.
    let long = |of: &str| of.repeat(50_000);
    let live = Command::new("sh")
        .args(["-c", &format!("\"$0\" -w \"$1\" -c tree -- true; : {}", long("x"))])
        .args([Path::new(capture()), &file])
        .env("LONG", long("y"))
        .output()
        .expect("a shell starts");
    let stderr = String::from_utf8_lossy(&live.stderr);
    assert!(live.status.success() && stderr.contains("\ncut: "), "{stderr}");
    let offline = run(&["-r", file.to_str().expect("is text")], &[&["tree"]], &[]);
    let lines = |out: &[u8]| String::from_utf8_lossy(out).lines().map(str::to_owned).collect::<Vec<String>>();
    let (live, offline) = (lines(&live.stdout), lines(&offline.stdout));
    assert!(live.iter().any(|line| line.contains(&"x".repeat(1000))), "{live:#?}");
    assert_same(&live, &offline);
}

/// Fails with the lines that only one of them has, or with the first in another place.
fn assert_same(live: &[String], offline: &[String]) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).take(20).cloned().collect()
    };
    let first = live.iter().zip(offline).position(|(a, b)| a != b);
    assert!(
        live == offline,
        "{} lines live, {} offline; the first that differs: {first:?}\nlive only: {:#?}\noffline only: {:#?}",
        live.len(),
        offline.len(),
        only(live, offline),
        only(offline, live)
    );
}

/// The sums by columns and key of all tables in lines of JSON.
fn sums(text: &str, is_live: bool) -> Vec<String> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut tables = 0;
    for line in text.lines() {
        let table: Value = serde_json::from_str(line).expect("is JSON");
        tables += 1;
        for row in table["data"].as_array().expect("has rows") {
            let (value, key) = row.as_array().and_then(|row| row.split_last()).expect("has columns");
            let key = format!("{} {}", table["info"], Value::from(key.to_vec()));
            *sums.entry(key).or_default() += value.as_f64().expect("is a number");
        }
    }
    assert!(tables == TABLES.len() || (is_live && tables > TABLES.len()), "{tables} tables");
    sums.into_iter().map(|(key, sum)| format!("{key} {sum}")).collect()
}
