//! Filters on the command line: rule files, warnings, explanations, and what a bad filter is told.

use capture_tests::data_dir;
use std::io::Write;
use std::process::Command;

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `capture -r curl_google.scap` with these arguments.
fn capture(args: &[&str]) -> Outcome {
    let out = Command::new(env!("CARGO_BIN_EXE_capture-test"))
        .arg("-r")
        .arg(data_dir().join("captures/curl_google.scap"))
        .args(args)
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8")])
        .output()
        .expect("starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: out.status.code(), stdout: text(&out.stdout), stderr: text(&out.stderr) }
}

/// A file with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("writes");
    file
}

const RULES: &str = "
- list: shells
  items: [bash, sh]
- macro: reads_etc
  condition: (evt.type in (read, open) and fd.name startswith /etc)
- rule: Read below etc
  condition: reads_etc and not proc.name in (shells)
";

#[test]
fn macros_and_lists_of_rule_files_are_known_in_the_filter() {
    let rules = file(RULES);
    let path = rules.path().to_str().expect("UTF-8");
    let filter = "reads_etc and not proc.name in (shells) and evt.dir=<";
    let by_macro = capture(&["--macros", path, filter]);
    let written_out = capture(&[
        "evt.type in (read, open) and fd.name startswith /etc and not proc.name in (bash, sh) and evt.dir=<",
    ]);
    assert_eq!((by_macro.code, by_macro.stderr.as_str()), (Some(0), ""));
    assert!(by_macro.stdout.lines().count() > 5);
    assert_eq!(by_macro.stdout, written_out.stdout);

    // A later file wins.
    let narrower = file("- macro: reads_etc\n  condition: fd.name=/etc/passwd\n");
    let both = capture(&["--macros", path, "--macros", narrower.path().to_str().expect("UTF-8"), filter]);
    assert_eq!(
        (both.code, both.stdout.lines().count()),
        (Some(0), capture(&["fd.name=/etc/passwd and evt.dir=<"]).stdout.lines().count())
    );
}

#[test]
fn a_bad_rule_file_is_named_with_the_place() {
    let bad = file("- macro: [\n");
    let path = bad.path().to_str().expect("UTF-8");
    let outcome = capture(&["--macros", path, "proc.name=a"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(
        outcome.stderr.starts_with(&format!("capture: --macros {path}: line 2, column 1: ")),
        "{}",
        outcome.stderr
    );

    let outcome = capture(&["--macros", "/no/such/file.yaml", "proc.name=a"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.starts_with("capture: --macros /no/such/file.yaml: No such file"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn lint_warns_on_stderr_and_the_filter_runs() {
    let outcome = capture(&["--lint", "proc.name=c*l or proc.name=curl"]);
    assert_eq!(
        outcome.stderr,
        "warning at column 1:\n  proc.name=c*l or proc.name=curl\n  ^^^^^^^^^^^^^\n\
         `proc.name`: the * in `c*l` stands for itself; `glob` matches patterns\n"
    );
    assert_eq!((outcome.code, outcome.stdout), (Some(0), capture(&["proc.name=curl"]).stdout));

    let outcome = capture(&["--lint", "evt.type=open and evt.type=close"]);
    assert!(outcome.stderr.contains("never true"), "{}", outcome.stderr);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));

    assert_eq!(capture(&["--lint", "evt.num=300"]).stderr, "filter: no warnings\n");
}

/// Without a file to read no live capture begins.
#[test]
fn lint_alone_only_lints() {
    for (filter, code, said) in [
        ("evt.type=open", 0, "filter: no warnings\n"),
        ("evt.type=open and evt.type=close", 0, "never true"),
        ("evt.type=opne", 1, "did you mean"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_capture-test"));
        let output = command.args(["--lint", filter]).output().expect("starts");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(code), &b""[..]), "{filter}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{filter}: {text}");
    }
}

#[test]
fn explanations_name_each_event_type_once_and_nothing_runs() {
    let outcome = capture(&["--explain-filter", "evt.type=openat and evt.dir=< and fd.name startswith /etc"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[..8],
        [
            "read as:     evt.type = openat and evt.dir = < and fd.name startswith /etc",
            "event types: < openat",
            "field:       evt.type (one of a fixed set of names)",
            "field:       evt.dir (one of a fixed set of names)",
            "field:       fd.name (text)",
            "evaluated:",
            "  and  [cost 11]",
            "    evt.type = 'openat', by the event's type but for > generic call, < generic call  [cost 1]",
        ]
    );
    assert_eq!(
        lines[8..11],
        [
            "    evt.dir = '<', by the event's type but for younger types  [cost 1]",
            "    once per state of the fd  [cost 8]",
            "      fd.name startswith '/etc'  [cost 42]",
        ]
    );
    assert_eq!(lines.len(), 12, "{lines:#?}");
    assert!(lines[11].starts_with("in the kernel (live): of "), "{lines:#?}");
}

#[test]
fn bad_filters_end_with_1_the_reason_and_the_place() {
    for (filter, message) in [
        (
            "proc.nme=curl",
            "1:\n  proc.nme=curl\n  ^^^^^^^^\nthere is no field `proc.nme`; did you mean `proc.name`?",
        ),
        ("proc.name=", "11:\n  proc.name=\n            ^\nexpected a value; the empty text is written ''"),
        ("proc.name='a", "11:\n  proc.name='a\n            ^\nthis quote is never closed"),
        (
            "proc.name=a and",
            "13:\n  proc.name=a and\n              ^^^\nexpected `and`, `or` or the end of the filter",
        ),
        (
            "(proc.name=a",
            "13:\n  (proc.name=a\n              ^\nexpected `and` or `or`; a parenthesis is still open",
        ),
        ("nosuch", "1:\n  nosuch\n  ^^^^^^\n`nosuch` is neither a check nor a known macro"),
        (
            "fd.ip=1.2.3",
            "7:\n  fd.ip=1.2.3\n        ^^^^^\n`1.2.3` does not fit `fd.ip`, which takes an IPv4 address",
        ),
        ("evt.type=opne", "10:\n  evt.type=opne\n           ^^^^\n"),
        (
            "evt.num contains 3",
            "9:\n  evt.num contains 3\n          ^^^^^^^^\n\
             `contains` does not work on `evt.num`, which is a number; it takes = != < <= > >= in intersects exists",
        ),
    ] {
        for mode in [&[filter][..], &["--lint", filter], &["--explain-filter", filter]] {
            let outcome = capture(mode);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{filter}");
            let wanted = format!("capture: filter error at column {message}");
            assert!(outcome.stderr.starts_with(&wanted), "{filter}:\n{}not\n{wanted}", outcome.stderr);
        }
    }
    for option in ["--lint", "--explain-filter"] {
        let outcome = capture(&[option]);
        let wanted = format!("capture: {option} needs a filter\nTry `capture --help`.\n");
        assert_eq!((outcome.code, outcome.stderr), (Some(1), wanted));
    }
}
