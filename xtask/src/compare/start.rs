//! `cargo xtask bench live --start`: where the time between the start of capture and its first event goes,
//! as `capture -v` tells it.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// What one start told: each step, in ms, the first event last.
type Told = Vec<(String, f64)>;

/// Starts capture some times; the table of the medians.
pub(super) fn run(capture: &Path, rounds: usize, dir: &Path) -> Result<String> {
    let file = dir.join("start.scap");
    let mut all = Vec::new();
    let mut state = String::new();
    for _ in 0..rounds {
        let out = Command::new(capture)
            .args(["-v", "-n", "1", "-w"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", capture.display()))?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let told = parse(&said).with_context(|| format!("{} tells nothing: {said}", capture.display()))?;
        all.push(told);
        state = said.lines().find(|line| line.starts_with("start state:")).unwrap_or_default().to_owned();
    }
    table(&all, &state)
}

/// The lines about the start in what `capture -v` says at its end.
fn parse(said: &str) -> Option<Told> {
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let step = |text: &str| {
        let (name, ms) = text.trim().strip_suffix(" ms")?.rsplit_once(' ')?;
        Some((name.to_owned(), ms.parse().ok()?))
    };
    let mut told: Told = line("start: ")?.split(", ").map(step).collect::<Option<_>>()?;
    let first = line("first event: ")?.split(' ').next()?.parse().ok()?;
    told.push(("first event after".to_owned(), first));
    Some(told)
}

/// The median of each step over all starts.
fn table(all: &[Told], state: &str) -> Result<String> {
    let Some(first) = all.first() else { bail!("no rounds, no table") };
    let mut out = format!("{state}\n| step | ms, median of {} |\n|---|---|\n", all.len());
    for (name, _) in first {
        let of = |told: &Told| told.iter().find(|(n, _)| n == name).map(|(_, ms)| *ms);
        let mut times: Vec<f64> = all.iter().filter_map(of).collect();
        times.sort_by(f64::total_cmp);
        out.push_str(&format!("| {name} | {:.1} |\n", times[times.len() / 2]));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_gives_a_table() {
        let said = |ms: &str| {
            format!(
                "start state: 2 threads, 3 fds by BPF iterators\nstart: object and maps 10.0 ms, verifier {ms} ms\n\
                 first event: 99.5 ms after the start\n1 events in 0.2 s\n"
            )
        };
        let all: Vec<Told> = ["7.0", "1.5", "3.0"].iter().map(|ms| parse(&said(ms)).unwrap()).collect();
        assert_eq!(
            table(&all, "x").unwrap(),
            "x\n| step | ms, median of 3 |\n|---|---|\n| object and maps | 10.0 |\n| verifier | 3.0 |\n\
             | first event after | 99.5 |\n"
        );
        assert_eq!(parse("nothing of it"), None);
    }
}
