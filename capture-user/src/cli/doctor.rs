//! `capture doctor`: whether this machine can record, and what it lacks.

use super::Outcome;
use super::error::CliError;
use crate::enrich;
use crate::enrich::kubernetes::{Kubernetes, KubernetesOptions};
use crate::live::doctor::{self, Finding, State};
use std::fmt::Write as _;
use std::io::Write as _;

/// Exit code where live capture does not work.
const CANNOT_RECORD: u8 = 1;

/// Examines, prints a table (or JSON lines), and says by the exit code whether capture can record.
pub(crate) fn run(json: bool) -> Result<Outcome, CliError> {
    let mut findings = doctor::examine();
    findings.push(engines());
    findings.push(kubernetes());
    let works = findings.iter().all(|finding| finding.state != State::Missing);
    let text = if json { lines(&findings) } else { table(&findings, works) };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Stdout)?;
    Ok(Outcome::Ended(if works { 0 } else { CANNOT_RECORD }))
}

/// The sockets of container engines.
fn engines() -> Finding {
    const WHAT: &str = "container engines";
    let (open, closed) = enrich::sockets_here();
    let list = |sockets: &[String]| sockets.join(", ");
    match (open.is_empty(), closed.is_empty()) {
        (true, true) => Finding::ok(WHAT, "no socket (containers are named from the disk alone)"),
        (_, true) => Finding::ok(WHAT, list(&open)),
        (_, false) => Finding::limited(
            WHAT,
            format!("{} cannot be opened", list(&closed)),
            "Run capture as root or as a member of the socket's group, for complete metadata of containers.",
        ),
    }
}

/// The API server that would be asked without an option.
fn kubernetes() -> Finding {
    const WHAT: &str = "Kubernetes";
    const ADVICE: &str = "Give the API server by -k URL and the credentials by -K.";
    match Kubernetes::find(&KubernetesOptions::default(), |_| {}) {
        Ok(None) => {
            Finding::ok(WHAT, "no API server (pods have the names that their containers tell; -k asks one)")
        }
        Ok(Some(found)) => match found.describe() {
            Ok(server) => Finding::ok(WHAT, server),
            Err(reason) => Finding::limited(WHAT, reason.to_owned(), ADVICE),
        },
        Err(error) => Finding::limited(WHAT, error.to_string(), ADVICE),
    }
}

fn table(findings: &[Finding], works: bool) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let _ = writeln!(out, "{:<width$}  {:<7}  {}", finding.what, finding.state.word(), finding.found);
    }
    let advised: Vec<_> = findings.iter().filter_map(|f| Some((f.what, f.advice.as_ref()?))).collect();
    if !advised.is_empty() {
        out.push('\n');
    }
    for (what, advice) in advised {
        let _ = writeln!(out, "{what}: {advice}");
    }
    let verdict = if works {
        "Live capture works here."
    } else {
        "Live capture does not work here; files are read all the same (-r)."
    };
    let _ = writeln!(out, "\n{verdict}");
    out
}

fn lines(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let line = serde_json::json!({
            "what": finding.what,
            "state": finding.state.word(),
            "found": finding.found,
            "advice": finding.advice,
        });
        let _ = writeln!(out, "{line}");
    }
    out
}
