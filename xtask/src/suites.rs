//! `cargo xtask test`: all suites, and at the end what a reader looks for: totals, skips, and failures with
//! what they printed.
//!
//! Suites about the live machine (`live_*`, `*_live`, the module `live` of `chisels`) share it with whatever
//! else runs. One of their tests that fails is run once more by itself; if it passes then, the run goes on,
//! and the test is listed as unstable.

use crate::shell::cargo;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;

/// How much of a failed test's output the summary repeats, from its end.
const OUTPUT_LINES: usize = 60;

/// A program of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Program {
    name: String,
    /// Of its executable, from the repository's root on; empty for doc-tests.
    path: String,
}

/// A test that failed, of which program, with what it printed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Failure {
    program: Program,
    test: String,
    output: Vec<String>,
}

impl Failure {
    /// Whether it may be the fault of what else the machine did.
    fn is_live(&self) -> bool {
        let program = &self.program.name[..];
        program.starts_with("live_")
            || program.ends_with("_live")
            || program == "chisels" && self.test.starts_with("live::")
    }
}

/// What the lines of a run of `cargo test` say.
#[derive(Debug, Default)]
struct Totals {
    started: u64,
    /// Those that came to their end.
    programs: u64,
    passed: u64,
    ignored: u64,
    failures: Vec<Failure>,
    /// The program whose lines come now.
    program: Program,
    /// Whether lines belong to the output of the newest failure.
    in_output: bool,
}

impl Totals {
    /// Takes the next line.
    fn line(&mut self, line: &str) {
        if let Some(program) = started_program(line) {
            self.program = program;
            self.started += 1;
            self.in_output = false;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.programs += 1;
            self.passed += count(counts, " passed");
            self.ignored += count(counts, " ignored");
            self.in_output = false;
        } else if let Some(test) = failed_output(line) {
            self.failures.push(Failure {
                program: self.program.clone(),
                test: test.to_string(),
                ..Failure::default()
            });
            self.in_output = true;
        } else if line == "failures:" {
            self.in_output = false;
        } else if self.in_output
            && let Some(failure) = self.failures.last_mut()
        {
            failure.output.push(line.to_string());
        }
    }

    /// The failures last: whoever looks at the end of a log finds them.
    fn print(&self, unstable: &[Failure], skipped: &str) {
        eprintln!(
            "\ntests: {} programs, {} passed, {} failed, {} ignored",
            self.programs,
            self.passed,
            self.failures.len(),
            self.ignored
        );
        for failure in unstable {
            eprintln!(
                "unstable: {} {}: failed, and passed when run once more",
                failure.program.name, failure.test
            );
        }
        eprintln!("\nskipped tests: {}", skipped.lines().count());
        for line in skipped.lines() {
            eprintln!("  {line}");
        }
        for failure in &self.failures {
            eprintln!("\nFAILED: {} {}", failure.program.name, failure.test);
            let skipped = failure.output.len().saturating_sub(OUTPUT_LINES);
            for line in failure.output.iter().skip(skipped) {
                eprintln!("  | {line}");
            }
        }
    }
}

/// The program in a line such as `Running tests/fields/main.rs (target/…/fields-0123)`.
fn started_program(line: &str) -> Option<Program> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(Program { name: format!("doc-tests of {name}"), path: String::new() });
    }
    let path = line.strip_prefix("Running ")?.rsplit_once('(')?.1.strip_suffix(')')?;
    let file = path.rsplit('/').next()?;
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    Some(Program { name: name.to_string(), path: path.to_string() })
}

/// The test whose output follows a line such as `---- a::b stdout ----`.
fn failed_output(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// The number before `what` in `ok. 3 passed; 0 failed; …`.
fn count(text: &str, what: &str) -> u64 {
    let digits = text.split(what).next().and_then(|before| before.split_whitespace().last());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Runs a command, shows its output as it comes, and reads the totals from it.
fn watched(command: &mut Command) -> Result<(bool, Totals)> {
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    // The command holds ends of the pipe that it would be written by: without this it never ends.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut totals = Totals::default();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader);
    let mut out = std::io::stderr().lock();
    while reader.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        totals.line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok((child.wait()?.success(), totals))
}

/// Runs one test by itself, in the program that cargo built (it would build others for one program alone),
/// as cargo runs it.
fn passes_alone(failure: &Failure) -> Result<bool> {
    let folder = crate::repo_root().join("tests");
    let mut command = Command::new(crate::repo_root().join(&failure.program.path));
    command.args(["--exact", &failure.test]).current_dir(&folder);
    command.env("CARGO_MANIFEST_DIR", &folder).env("RUST_BACKTRACE", "0");
    eprintln!("\nonce more: {} {}", failure.program.name, failure.test);
    Ok(watched(&mut command)?.0)
}

/// Entry point of `test`: all suites, then the totals, the skips and the failures.
pub(crate) fn test(args: &[String]) -> Result<()> {
    let folder = crate::repo_root().join("target");
    let log = folder.join("skipped.txt");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(&log, "")?;
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast", "--profile", "checked"]);
    let (mut success, mut totals) =
        watched(command.args(args).env("CAPTURE_SKIP_LOG", &log).env("RUST_BACKTRACE", "0"))?;
    let skipped = std::fs::read_to_string(&log)?;
    let found = !totals.failures.is_empty();
    let mut unstable = Vec::new();
    let mut lasting = Vec::new();
    for failure in std::mem::take(&mut totals.failures) {
        if failure.is_live() && passes_alone(&failure)? {
            unstable.push(failure)
        } else {
            lasting.push(failure)
        }
    }
    totals.passed += unstable.len() as u64;
    totals.failures = lasting;
    // Only if nothing but those failures made cargo fail: every program was built, and came to its end.
    if found && totals.failures.is_empty() && totals.started == totals.programs {
        success = true;
    }
    totals.print(&unstable, &skipped);
    if !success {
        let ended = format!("{} of {} programs came to their end", totals.programs, totals.started);
        bail!("{} tests failed; {ended}", totals.failures.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_and_failures_are_read_from_the_lines_of_cargo() {
        let mut totals = Totals::default();
        let text = "     Running unittests src/lib.rs (target/checked/deps/filter_lang-0123abc)\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            \x20    Running tests/live_calls/main.rs (target/checked/deps/live_calls-77)\n\
            failures:\n\
            \n\
            ---- files::open stdout ----\n\
            left: 1\n\
            right: 2\n\
            ---- net::accept stdout ----\n\
            late\n\
            \n\
            failures:\n\
            \x20   files::open\n\
            \x20   net::accept\n\
            test result: FAILED. 35 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n\
            \x20  Doc-tests filter_lang\n\
            test result: ok. 2 passed; 0 failed; 0 ignored";
        for line in text.lines() {
            totals.line(line);
        }
        assert_eq!((totals.started, totals.programs, totals.passed, totals.ignored), (3, 3, 40, 1));
        let failure = |test: &str, output: &[&str]| Failure {
            program: Program {
                name: "live_calls".to_string(),
                path: "target/checked/deps/live_calls-77".to_string(),
            },
            test: test.to_string(),
            output: output.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            totals.failures,
            [failure("files::open", &["left: 1", "right: 2"]), failure("net::accept", &["late", ""])]
        );
        assert_eq!(totals.program.name, "doc-tests of filter_lang");
        let is_live = |program: &str, test: &str| {
            let program = Program { name: program.to_string(), ..Program::default() };
            Failure { program, test: test.to_string(), ..Failure::default() }.is_live()
        };
        assert!(is_live("live_calls", "a") && is_live("interop_live", "a") && is_live("chisels", "live::a"));
        assert!(!is_live("capture_user", "live::opening::a") && !is_live("chisels", "native::a"));
    }
}
