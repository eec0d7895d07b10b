//! The table, and its place in docs/benchmarks.md.

use super::loads::NAMES;
use super::tools::Tool;
use anyhow::{Context, Result};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- bench live: begin (written by `cargo xtask bench live --write`) -->";
const END: &str = "<!-- bench live: end -->";

/// One tool's measurements.
pub(super) struct Row {
    pub(super) tool: Tool,
    /// Per load: ratios of the rounds, and seconds of the bare runs.
    ratios: [Vec<f64>; NAMES.len()],
    bare_s: [Vec<f64>; NAMES.len()],
    cpu_s: Vec<f64>,
    lost: Option<u64>,
    reason: Option<String>,
}

impl Row {
    pub(super) fn new(tool: Tool) -> Row {
        let reason = match &tool {
            Tool::Strace if super::tools::find("strace").is_none() => Some("strace is not installed".into()),
            _ => None,
        };
        let lost = None;
        Row { tool, ratios: Default::default(), bare_s: Default::default(), cpu_s: Vec::new(), lost, reason }
    }

    /// Whether there is nothing to measure.
    pub(super) fn is_out(&self) -> bool {
        self.reason.is_some()
    }

    pub(super) fn rule_out(&mut self, reason: String) {
        self.reason = Some(reason);
    }

    pub(super) fn add(
        &mut self,
        bare: &[Option<f64>; NAMES.len()],
        times: &[Option<f64>; NAMES.len()],
        cpu_s: Option<f64>,
        lost: Option<u64>,
    ) {
        for (at, (bare, time)) in bare.iter().zip(times).enumerate() {
            if let (Some(bare), Some(time)) = (bare, time) {
                self.ratios[at].push(time / bare);
                self.bare_s[at].push(*bare);
            }
        }
        self.cpu_s.extend(cpu_s);
        if let Some(lost) = lost {
            *self.lost.get_or_insert(0) += lost;
        }
    }

    fn line(&self) -> String {
        let name = self.tool.name();
        if let Some(reason) = &self.reason {
            return format!("| {name} | not available: {} |{}", reason.replace('|', "/"), " |".repeat(5));
        }
        let mut line = format!("| {name} |");
        for (ratios, bare_s) in self.ratios.iter().zip(&self.bare_s) {
            let cell = match (&self.tool, median(ratios), median(bare_s)) {
                (Tool::Bare, _, Some(seconds)) => format!("{seconds:.2} s"),
                (_, Some(ratio), _) => format!("x{ratio:.2}"),
                _ => "-".to_owned(),
            };
            let _ = write!(line, " {cell} |");
        }
        let cpu = median(&self.cpu_s).map_or_else(|| "-".to_owned(), |s| format!("{s:.2} s"));
        let lost = self.lost.map_or_else(|| "-".to_owned(), |lost| lost.to_string());
        let _ = write!(line, " {cpu} | {lost} |");
        line
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The table in Markdown, with the machine and the rounds.
pub(super) fn table(rows: &[Row]) -> String {
    let rounds = rows.iter().flat_map(|row| row.ratios.iter().map(Vec::len)).max().unwrap_or(0);
    let mut out = format!("{}, {rounds} rounds (strace and perf trace one):\n\n", machine());
    let _ = writeln!(out, "| | {} | CPU of the tool | lost |", NAMES.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(NAMES.len() + 3));
    for row in rows {
        let _ = writeln!(out, "{}", row.line());
    }
    out
}

/// The machine in one line.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|l| Some(l.strip_prefix("model name")?.split_once(':')?.1.trim()));
    let cpus = cpuinfo.lines().filter(|l| l.starts_with("processor")).count();
    let memory_kb = read("/proc/meminfo")
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse::<u64>().ok());
    let is_virtual = cpuinfo.lines().any(|l| l.starts_with("flags") && l.contains(" hypervisor"));
    format!(
        "Linux {} {}, {} x {}{}, {} GB",
        read("/proc/sys/kernel/osrelease").trim(),
        std::env::consts::ARCH,
        cpus,
        model.unwrap_or("CPU of unknown model"),
        if is_virtual { " (virtual)" } else { "" },
        memory_kb.unwrap_or(0) >> 20,
    )
}

/// Puts the table into docs/benchmarks.md, in place of the one before.
pub(super) fn keep(table: &str) -> Result<()> {
    let path = crate::repo_root().join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let (before, rest) =
        text.split_once(BEGIN).with_context(|| format!("{} has no place for it", path.display()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{} has no end mark", path.display()))?;
    let text = format!("{before}{BEGIN}\n{table}{END}{after}");
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
