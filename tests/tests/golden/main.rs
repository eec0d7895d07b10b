//! Recorded runs of stock sysdig: capture prints, writes and refuses the same.

mod exceptions;
mod record;
mod run;

use record::{Record, differences};
use std::collections::BTreeMap;

/// What is done with the records of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Every record passes.
    Passes,
    /// Every record passes where sysdig's own chisels are installed, which they run.
    Chisels,
    /// Run, and the state is printed: what they need is being built.
    Pending,
    /// Read only: their program does not exist yet.
    Read,
}

#[rustfmt::skip]
const GROUPS: &[(&str, Duty)] = &[
    ("line", Duty::Passes),
    ("time", Duty::Passes),
    ("format", Duty::Passes),
    ("buffer", Duty::Passes),
    ("json", Duty::Passes),
    ("filter", Duty::Passes),
    ("option", Duty::Passes),
    ("write", Duty::Passes),
    ("error", Duty::Passes),
    ("list", Duty::Pending),
    ("chisel", Duty::Chisels),
    ("story", Duty::Pending),
    ("view", Duty::Read),
    ("tui", Duty::Read),
];

/// Records in all.
const RECORDS: usize = 93;

#[test]
fn recorded_runs() {
    let stage = run::Stage::new().expect("folders");
    let records = record::all().expect("records");
    assert_eq!(records.len(), RECORDS);
    let has_chisels = std::path::Path::new("/usr/share/sysdig/chisels/common.lua").is_file();
    if !has_chisels {
        capture_tests::skip("recorded_runs, group chisel", "sysdig's chisels are not installed");
    }
    let mut totals: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut failures, mut excepted) = (Vec::new(), Vec::new());
    for mut record in records {
        let duty = GROUPS.iter().find(|(group, _)| *group == record.group);
        let &(group, duty) = duty.unwrap_or_else(|| panic!("{}: group {}", record.id, record.group));
        let total = totals.entry(group).or_default();
        total.1 += 1;
        let duty = match duty {
            Duty::Read => continue,
            Duty::Chisels if has_chisels => Duty::Passes,
            Duty::Chisels => Duty::Pending,
            duty => duty,
        };
        if let Some(reason) = exceptions::apply(&mut record) {
            excepted.push(format!("  {} {}: {reason}", record.id, record.title));
        }
        let found = check(&stage, &record);
        total.0 += usize::from(found.is_empty());
        if duty == Duty::Passes && !found.is_empty() {
            failures.push(format!(
                "{} {}\n  {}\n  {}",
                record.id,
                record.title,
                record.shell,
                found.join("\n  ")
            ));
        }
    }
    let (mut passed, mut due) = (0, 0);
    for (group, duty) in GROUPS {
        let duty = if *duty == Duty::Chisels && has_chisels { &Duty::Passes } else { duty };
        let (good, all) = totals.get(group).copied().unwrap_or_default();
        match duty {
            Duty::Passes => {
                (passed, due) = (passed + good, due + all);
                println!("{group:<8} {good} of {all}");
            }
            Duty::Pending | Duty::Chisels => println!("{group:<8} {good} of {all}, pending"),
            Duty::Read => println!("{group:<8} {all} read, pending"),
        }
    }
    println!("{passed} of {due} pass, {} of {RECORDS} records pending", RECORDS - due);
    println!("exceptions:\n{}", excepted.join("\n"));
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn check(stage: &run::Stage, record: &Record) -> Vec<String> {
    match stage.run(record) {
        Ok(outcome) => differences(record, &outcome),
        Err(error) => vec![format!("{error:#}")],
    }
}
