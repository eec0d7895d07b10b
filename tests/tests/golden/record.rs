//! One recorded run: its JSON file, its command carried out by capture, and the comparison.

use anyhow::{Context, Result, bail};
use capture_tests::data_dir;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How two texts compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Exact,
    SortedLines,
    Json,
    Superset,
    Shape,
    KnownDefect,
    Ignore,
}

impl Compare {
    fn from_text(text: &str) -> Result<Compare> {
        Ok(match text {
            "exact" => Compare::Exact,
            "sorted-lines" => Compare::SortedLines,
            "json" => Compare::Json,
            "superset" => Compare::Superset,
            "shape" => Compare::Shape,
            "known-defect" => Compare::KnownDefect,
            "ignore" => Compare::Ignore,
            other => bail!("unknown way to compare: {other}"),
        })
    }
}

/// What a run printed, and how it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) exit_code: i64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) title: String,
    pub(crate) shell: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) on_terminal: bool,
    pub(crate) outcome: Outcome,
    pub(crate) compare: Compare,
    pub(crate) compare_stderr: Compare,
}

/// All records, in order of their files' names.
pub(crate) fn all() -> Result<Vec<Record>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data_dir().join("golden"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    paths.sort();
    paths.iter().map(|path| read(path).with_context(|| path.display().to_string())).collect()
}

fn read(path: &Path) -> Result<Record> {
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let text = |name: &str| json[name].as_str().map(str::to_owned).with_context(|| name.to_owned());
    // Screens of csysdig have an argv and screens instead of a command and its output.
    let is_screen = json["kind"] == "screen";
    let compare = |name: &str| match json[name].as_str() {
        Some(mode) => Compare::from_text(mode),
        None if is_screen => Ok(Compare::Ignore),
        None => bail!("no {name}"),
    };
    let output = |name: &str| match json[name]["text"].as_str() {
        Some(text) => Ok(text.to_owned()),
        None if is_screen => Ok(String::new()),
        None => bail!("{name} is no text"),
    };
    let env = json["env"].as_object().into_iter().flatten();
    Ok(Record {
        id: text("id")?,
        group: text("group")?,
        title: text("title")?,
        shell: text(if is_screen { "argv" } else { "shell" })?,
        env: env.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        on_terminal: json["tty"].is_object(),
        outcome: Outcome {
            exit_code: json["exit_code"].as_i64().unwrap_or(0),
            stdout: output("stdout")?,
            stderr: output("stderr")?,
        },
        compare: compare("compare")?,
        compare_stderr: compare("compare_stderr")?,
    })
}

/// Holds what capture did against what is wanted; the differences.
pub(crate) fn differences(record: &Record, ours: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    let wanted = &record.outcome;
    if ours.exit_code != wanted.exit_code {
        found.push(format!("exit code {}, not {}", ours.exit_code, wanted.exit_code));
    }
    let texts = [
        ("stdout", record.compare, &ours.stdout, &wanted.stdout),
        ("stderr", record.compare_stderr, &ours.stderr, &wanted.stderr),
    ];
    for (what, mode, ours, wanted) in texts {
        if !is_equal(mode, ours, wanted) {
            found.push(format!("{what}: {}", first_difference(ours, wanted)));
        }
    }
    found
}

fn is_equal(mode: Compare, ours: &str, wanted: &str) -> bool {
    match mode {
        Compare::Exact => ours == wanted,
        Compare::SortedLines => sorted(ours) == sorted(wanted),
        Compare::Json => parsed(ours).is_some_and(|ours| Some(ours) == parsed(wanted)),
        Compare::Superset => {
            let ours: BTreeSet<&str> = ours.lines().collect();
            wanted.lines().all(|line| ours.contains(line))
        }
        Compare::Shape => has_shape(ours, wanted),
        // The table of exceptions replaces such a record's expectation and its mode.
        Compare::KnownDefect => false,
        Compare::Ignore => true,
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn parsed(text: &str) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()
}

/// The same lines but for figures, followed perhaps by more; or, for errors, as many reports as
/// stock made: the wording is ours.
fn has_shape(ours: &str, wanted: &str) -> bool {
    let masked = |text: &str| -> Vec<String> {
        text.lines().map(|l| l.replace(|c: char| c.is_ascii_digit(), "")).collect()
    };
    let is_report = |line: &&str| line.starts_with("capture: ") || line.starts_with("error: ");
    masked(ours).starts_with(&masked(wanted))
        || ours.lines().filter(is_report).count() == wanted.lines().count()
}

fn first_difference(ours: &str, wanted: &str) -> String {
    let (mut ours_lines, mut wanted_lines) = (ours.lines(), wanted.lines());
    for number in 1.. {
        match (ours_lines.next(), wanted_lines.next()) {
            (None, None) => break,
            (ours, wanted) if ours != wanted => {
                let show = |line: Option<&str>| line.map_or("(nothing)".to_owned(), |l| format!("{l:?}"));
                return format!("line {number}\n    ours  {}\n    stock {}", show(ours), show(wanted));
            }
            _ => {}
        }
    }
    "line ends differ".to_owned()
}
