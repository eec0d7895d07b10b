//! Built-in chisels print what sysdig's Lua files of the same names print in our host, which in turn is
//! what stock sysdig prints (`matrix`).
//!
//! Each built-in chisel that has a Lua file runs over the captures that sysdig reads, over [`REAL`] ones and
//! over the beginning of [`LARGE`] ones, without arguments and as the rows of `cases` say. What differs
//! stands in [`EXCEPTIONS`] with its reason; a row that no longer differs fails the test.

use crate::cases::{CASES, FOLDER, LIBRARY, READ_BY_STOCK, SERVICES, unordered};
use crate::support::{Compare, capture, difference, extracted, in_parallel, run, same};
use capture_tests::{data_dir, skip};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

/// Further captures in tests/data/captures.
const REAL: &[&str] = &[
    "kitchen.scap.gz",
    "tools.scap.gz",
    "dns.scap.gz",
    "shell.scap.gz",
    "build.scap.gz",
    "postgres.scap.gz",
    SERVICES,
];
/// Captures of servers under load, and how many of their events are read.
const LARGE: &[(&str, &str)] = &[("http.scap.gz", "60000"), ("redis.scap.gz", "60000")];
/// Captures that have containers with names, for runs with container data.
const WITH_CONTAINERS: &[&str] = &["k8s_dns.scap", "interop-full.scap", "interop-container.scap"];
/// How many built-in chisels have a Lua file.
const TWINS: usize = 50;

/// What differs, and why: chisel, argument that is part of the run (any if empty), capture (any if
/// empty), reason.
const EXCEPTIONS: &[(&str, &str, &str, &str)] = &[
    ("fileslower", "x", "", NO_NUMBER),
    ("flame", "", "", FOLDED),
    ("httplog", "", "k8s_dns.scap", LAST_HEADER),
    ("httplog", "", "kitchen.scap.gz", LAST_HEADER),
    ("httplog", "", "http.scap.gz", LAST_HEADER),
    ("httptop", "", "k8s_dns.scap", LAST_HEADER),
    ("httptop", "", "kitchen.scap.gz", LAST_HEADER),
    ("httptop", "", "http.scap.gz", LAST_HEADER),
    ("httptop", "time", "dns.scap.gz", TIMES),
    ("list_login_shells", "", "", ONE_SHELL),
    ("memcachelog", "", "services.scap.gz", LINE_END),
    ("shellshock_detect", "", "services.scap.gz", YOUNG_EXEC),
    ("spy_file", "", "shell.scap.gz", NIL),
    ("spy_users", "", "shell.scap.gz", LOST_SHELLS),
    ("spy_users", "", "build.scap.gz", LOST_SHELLS),
];

const NO_NUMBER: &str = "a threshold that is no number is an error; the file says so and ends with code 0";
const FOLDED: &str = "folded stacks of calls; the file draws tracers, which nothing records any more";
const LINE_END: &str =
    "the file takes the end of the line for a part of the key, or of the size, which then is 0";
const YOUNG_EXEC: &str = "the file asks for a parameter that execve no longer has";
const LAST_HEADER: &str = "where Host is the last header the file takes dots for a part of it";
const TIMES: &str = "times are exact; those of Lua are rounded to 256 ns";
const ONE_SHELL: &str = "all shells, each once; the file prints the last one three times";
const LOST_SHELLS: &str = "the file loses the ancestors at each change of folder and misses what follows";
const NIL: &str = "data that a call did not have are <NA>, in the file nil";

/// One run of both kinds.
struct Run {
    chisel: String,
    args: Vec<&'static str>,
    options: Vec<&'static str>,
    how: Compare,
    capture: &'static str,
}

/// What came of it.
enum Outcome {
    Equal,
    AsSets,
    Differs(String),
}

#[test]
fn built_in_chisels_print_what_the_lua_files_print() {
    if !Path::new(FOLDER).join("common.lua").is_file() {
        skip("built_in_chisels_print_what_the_lua_files_print", "sysdig's chisels are not installed");
        return;
    }
    let is_twin = |name: &String| name != LIBRARY && Path::new(FOLDER).join(format!("{name}.lua")).is_file();
    let twins: Vec<String> = built_in().into_iter().filter(is_twin).collect();
    assert_eq!(twins.len(), TWINS, "{twins:?}");
    let runs = plan(&twins);
    let outcomes = in_parallel(&runs, both);
    print(&runs, &outcomes);
    check(&runs, &outcomes);
}

/// Names of the built-in chisels, as `-cl` lists them where there are no Lua files.
fn built_in() -> Vec<String> {
    let registry = chisels::Registry::default();
    registry.list().into_iter().map(|meta| meta.name.to_string()).collect()
}

fn plan(twins: &[String]) -> Vec<Run> {
    let mut runs = Vec::new();
    for chisel in twins {
        let meta = chisels::Registry::default().describe(chisel).expect("it is built in");
        let needs_arguments = meta.args.iter().any(|arg| !arg.optional);
        let plain = (!needs_arguments).then(|| (vec![], unordered(chisel)));
        let cases = CASES.iter().filter(|case| case.chisel == chisel && !case.args.is_empty());
        let cases = cases.map(|case| (case.args.to_vec(), case.how));
        for (args, how) in plain.into_iter().chain(cases) {
            let mut add = |options: &[&'static str], capture| {
                let (chisel, args, options) = (chisel.clone(), args.clone(), options.to_vec());
                runs.push(Run { chisel, args, options, how, capture });
            };
            READ_BY_STOCK.iter().chain(REAL).for_each(|capture| add(&[], capture));
            LARGE.iter().for_each(|(capture, events)| add(&["-n", events], capture));
            WITH_CONTAINERS.iter().for_each(|capture| add(&["-pc"], capture));
        }
    }
    runs
}

/// Runs both kinds and compares.
fn both(wanted: &Run) -> Outcome {
    let path = data_dir().join("captures").join(wanted.capture);
    let go = |own: &[&str]| -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path.to_str().expect("is text");
        let head = [own, &wanted.options, &["-r", path, "-c", &wanted.chisel]].concat();
        let mut output = run(capture(), folder.path(), &[&head[..], &wanted.args].concat());
        output.stdout.extend(extracted(folder.path()));
        output
    };
    let native = go(&[]);
    let lua = go(&["--chisel-dir", FOLDER, "--lua-unsafe"]);
    if native.status.code() == lua.status.code() {
        if native.stdout == lua.stdout {
            return Outcome::Equal;
        }
        if same(wanted.how, &native.stdout, &lua.stdout) {
            return Outcome::AsSets;
        }
    }
    Outcome::Differs(format!(
        "exit codes {:?} and {:?}\n{}\n  stderr: {:?} and {:?}",
        native.status.code(),
        lua.status.code(),
        difference(&native.stdout, &lua.stdout),
        String::from_utf8_lossy(&native.stderr),
        String::from_utf8_lossy(&lua.stderr),
    ))
}

/// For each chisel the captures over which all its runs are equal.
fn print(runs: &[Run], outcomes: &[Outcome]) {
    let mut rows: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for (run, outcome) in runs.iter().zip(outcomes) {
        let row = rows.entry(&run.chisel).or_default();
        row.0.insert(run.capture);
        if matches!(outcome, Outcome::Differs(_)) {
            row.1.insert(run.capture);
        }
    }
    for (chisel, (captures, different)) in &rows {
        println!("{chisel:<20} {} of {} captures equal", captures.len() - different.len(), captures.len());
    }
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|o| is(o)).count();
    println!(
        "{} runs: {} equal, {} equal as sets, {} different",
        runs.len(),
        count(|o| matches!(o, Outcome::Equal)),
        count(|o| matches!(o, Outcome::AsSets)),
        count(|o| matches!(o, Outcome::Differs(_)))
    );
}

/// Every difference has a row, every row a difference.
fn check(runs: &[Run], outcomes: &[Outcome]) {
    let (mut used, mut unexplained) = (BTreeSet::new(), 0);
    for (run, outcome) in runs.iter().zip(outcomes) {
        let Outcome::Differs(text) = outcome else { continue };
        let row = EXCEPTIONS.iter().position(|(chisel, arg, capture, _)| {
            *chisel == run.chisel
                && (arg.is_empty() || run.args.contains(arg))
                && (capture.is_empty() || *capture == run.capture)
        });
        match row {
            Some(row) => _ = used.insert(row),
            None => {
                unexplained += 1;
                println!("\n{} {:?} {:?} on {}: {text}", run.chisel, run.args, run.options, run.capture);
            }
        }
    }
    let unused: Vec<_> = (0..EXCEPTIONS.len()).filter(|row| !used.contains(row)).collect();
    assert!(unused.is_empty(), "rows that nothing differs by any more: {unused:?}");
    assert_eq!(unexplained, 0, "runs that differ without a reason");
}

/// With `-j` every line is an object.
#[test]
fn built_in_chisels_print_lines_of_json() {
    let mut lines = 0;
    for chisel in built_in() {
        let meta = chisels::Registry::default().describe(&chisel).expect("it is built in");
        let needs_arguments = meta.args.iter().any(|arg| !arg.optional);
        let case = CASES.iter().find(|case| case.chisel == chisel && !case.args.is_empty());
        let args = match case {
            Some(case) if needs_arguments => case.args,
            None if needs_arguments => continue,
            _ => &[],
        };
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["k8s_dns.scap", "kitchen.scap.gz", "tools.scap.gz"] {
            let path = data_dir().join("captures").join(name);
            let head = ["-j", "-r", path.to_str().expect("is text"), "-c", &chisel];
            let output = run(capture(), folder.path(), &[&head[..], args].concat());
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("terminal") || text.contains("no filter"), "{chisel}: {text}");
                continue;
            }
            for line in output.stdout.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                let value: Result<serde_json::Value, _> = serde_json::from_slice(line);
                let text = String::from_utf8_lossy(line);
                assert!(value.is_ok_and(|value| value.is_object()), "{chisel} on {name}: {text}");
                lines += 1;
            }
        }
    }
    assert!(lines > 1000, "{lines} lines");
}
