//! Debian's sysdig 0.29.3 and capture side by side: the same commands over the same captures print
//! the same text. What differs stands in one table with its reason.

mod commands;
mod exceptions;
mod fields;
mod inputs;
mod rows;
mod run;

use inputs::Inputs;

/// Differences that are shown.
const SHOWN: usize = 40;

#[test]
fn options_and_filters() {
    if capture_tests::stock_sysdig("options_and_filters").is_none() {
        return;
    }
    let inputs = Inputs::prepare().expect("captures");
    let commands = commands::all();
    let mut tally = Tally::default();
    for input in &inputs.files {
        for command in &commands {
            let (stock, ours) = (run::stock(command, &input.path), run::ours(command, &input.path));
            let found = exceptions::compare(&input.name, command, &stock, &ours);
            tally.add(&format!("{} {}", input.name, command.join(" ")), found);
        }
    }
    tally.end(&format!("{} commands on {} captures", commands.len(), inputs.files.len()));
}

#[test]
fn fields_by_class() {
    if capture_tests::stock_sysdig("fields_by_class").is_none() {
        return;
    }
    let inputs = Inputs::prepare().expect("captures");
    let groups = fields::groups();
    let mut tally = Tally::default();
    for input in &inputs.files {
        for group in &groups {
            tally.add(&input.name, fields::compare(input, group));
        }
    }
    fields::check_excused(&tally.sum.excused);
    tally.end(&format!("{} groups of fields on {} captures", groups.len(), inputs.files.len()));
}

/// What the suite `fields` says of every field is what stock prints there.
#[test]
fn rows_of_the_suite_fields() {
    if capture_tests::stock_sysdig("rows_of_the_suite_fields").is_none() {
        return;
    }
    let (found, without) = rows::compare();
    println!("{without} rows are of fields that 0.29.3 does not have, or of captures that it cannot read");
    let mut tally = Tally::default();
    tally.add("values.json", found);
    tally.end("rows");
}

/// What the comparison of two outputs found.
#[derive(Default)]
pub(crate) struct Found {
    /// Pieces (lines, or values of fields) that are equal.
    pub(crate) equal: usize,
    /// Pieces that differ as a row of the table says, by reason.
    pub(crate) excepted: std::collections::BTreeMap<&'static str, usize>,
    /// Our values among the latter, where the reason does not tell which they have to be: the line of
    /// the table that each belongs to, and how often it occurs.
    pub(crate) excused: std::collections::BTreeMap<String, usize>,
    /// Pieces that differ without a reason.
    pub(crate) unexplained: Vec<String>,
}

/// Sums over all commands.
#[derive(Default)]
struct Tally {
    runs: usize,
    equal_runs: usize,
    sum: Found,
}

impl Tally {
    fn add(&mut self, what: &str, found: Found) {
        self.runs += 1;
        self.equal_runs += usize::from(found.unexplained.is_empty());
        self.sum.equal += found.equal;
        for (reason, count) in found.excepted {
            *self.sum.excepted.entry(reason).or_default() += count;
        }
        for (row, count) in found.excused {
            *self.sum.excused.entry(row).or_default() += count;
        }
        self.sum.unexplained.extend(found.unexplained.into_iter().map(|text| format!("{what}: {text}")));
    }

    fn end(self, what: &str) {
        println!("{what}: {} of {} runs explained", self.equal_runs, self.runs);
        println!("{} equal; as the table says:", self.sum.equal);
        for (reason, count) in &self.sum.excepted {
            println!("{count:8} {reason}");
        }
        let all = &self.sum.unexplained;
        // A few of everywhere: one cause often makes many differences.
        let shown = all.iter().step_by(all.len() / SHOWN + 1).cloned().collect::<Vec<_>>().join("\n");
        assert!(all.is_empty(), "{} unexplained differences:\n{shown}", all.len());
    }
}
