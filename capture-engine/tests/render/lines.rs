//! Default lines of whole captures.

use crate::exceptions::{EXCEPTIONS, Pair, level_names};
use crate::{print, unpacked};
use capture_engine::format::{DEFAULT, FormatOptions};
use std::collections::{BTreeMap, HashSet};

/// How the lines of one capture compare.
struct Case {
    capture: &'static str,
    stock: &'static str,
    /// Whether event numbers are compared too.
    numbers: bool,
    /// Whether stock knows the parameters of 2022 only, and leaves out younger events.
    only_2022: bool,
    /// Most lines in which only the name of an fd or process may differ.
    names_max: usize,
    /// Most lines that may differ in any other way.
    rest_max: usize,
}

const fn old(capture: &'static str, stock: &'static str, names_max: usize, rest_max: usize) -> Case {
    Case { capture, stock, numbers: true, only_2022: true, names_max, rest_max }
}

const fn newer(capture: &'static str, stock: &'static str, names_max: usize, rest_max: usize) -> Case {
    Case { capture, stock, numbers: false, only_2022: false, names_max, rest_max }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    old("curl_google.scap", "stock-029/curl_google.txt.gz", 0, 0),
    old("single_ipv6_conn.scap", "stock-029/single_ipv6_conn.txt.gz", 0, 0),
    old("test_ipv6_client.scap", "stock-029/test_ipv6_client.txt.gz", 0, 0),
    old("k8s_dns.scap", "stock-029/k8s_dns.txt.gz", 0, 0),
    old("interop-superset.scap", "stock-029/interop-superset.txt.gz", 0, 0),
    old("interop-container.scap", "stock-029/interop-container.txt.gz", 0, 0),
    old("interop-full.scap", "stock-029/interop-full.txt.gz", 0, 0),
    old("../stock-029/values1.scap", "stock-029/values1.txt.gz", 0, 0),
    old("../stock-029/values2.scap", "stock-029/values2.txt.gz", 0, 0),
    old("../stock-029/values3.scap", "stock-029/values3.txt.gz", 0, 0),
    old("../stock-029/values4.scap", "stock-029/values4.txt.gz", 0, 0),
    old("../stock-029/values7.scap", "stock-029/values7.txt.gz", 0, 0),
    Case { numbers: false, ..old("kitchen.scap.gz", "stock-029/kitchen.txt.gz", 45, 4) },
    newer("kitchen.scap.gz", "golden-036/kitchen.txt.gz", 0, 0),
    newer("tools.scap.gz", "golden-036/tools.txt.gz", 0, 0),
    newer("dns.scap.gz", "golden-036/dns.txt.gz", 0, 0),
    newer("shell.scap.gz", "golden-036/shell.txt.gz", 0, 0),
    newer("postgres.scap.gz", "golden-036/postgres.txt.gz", 0, 0),
    newer("build.scap.gz", "golden-036/build.txt.gz", 0, 0),
];

#[test]
fn default_lines_are_those_of_stock() {
    let mut failures = Vec::new();
    for case in CASES {
        let ours = print(case.capture, "", DEFAULT, FormatOptions::default(), case.only_2022);
        let theirs = unpacked(case.stock);
        if let Err(report) = compare(case, &ours, &theirs) {
            failures.push(report);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn compare(case: &Case, ours: &str, theirs: &str) -> Result<(), String> {
    let cut = |line: &str| match line.split_once(' ') {
        Some((_, rest)) if !case.numbers => rest.to_owned(),
        _ => line.to_owned(),
    };
    let theirs: Vec<String> = theirs.lines().map(cut).collect();
    let known: HashSet<_> = theirs.iter().map(|l| moment(l, case.numbers)).collect();
    let ours: Vec<String> =
        ours.lines().map(cut).filter(|l| known.contains(&moment(l, case.numbers))).collect();
    if ours.len() != theirs.len() {
        return Err(format!("{}: {} lines, stock has {}", case.stock, ours.len(), theirs.len()));
    }
    let mut excepted: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut equal, mut names, mut rest) = (0, 0, Vec::new());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        let mut pair = Pair { ours, theirs };
        if pair.ours == pair.theirs {
            equal += 1;
            continue;
        }
        let shown = format!("  ours  {}\n  stock {}", pair.ours, pair.theirs);
        for exception in EXCEPTIONS {
            let before = (pair.ours.clone(), pair.theirs.clone());
            (exception.level)(&mut pair);
            if before != (pair.ours.clone(), pair.theirs.clone()) {
                *excepted.entry(exception.reason).or_default() += 1;
            }
        }
        if pair.ours != pair.theirs {
            level_names(&mut pair);
            if pair.ours == pair.theirs {
                names += 1;
            } else {
                rest.push(shown);
            }
        }
    }
    println!("{}: {equal} equal, {names} with other names, {} others", case.stock, rest.len());
    for (reason, count) in excepted {
        println!("  {count:6} {reason}");
    }
    if names > case.names_max || rest.len() > case.rest_max {
        rest.truncate(10);
        return Err(format!("{}: {names} with other names, others:\n{}", case.stock, rest.join("\n")));
    }
    Ok(())
}

/// Time, CPU and direction of a line: what tells events apart in both listings.
fn moment(line: &str, numbers: bool) -> (String, bool) {
    let mut words = line.split(' ').skip(usize::from(numbers));
    let moment = format!("{} {}", words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (enter, exit) = (line.find(") > "), line.find(") < "));
    (moment, enter.unwrap_or(usize::MAX) < exit.unwrap_or(usize::MAX))
}
