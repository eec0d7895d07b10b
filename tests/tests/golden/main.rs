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
    ("list", Duty::Passes),
    ("chisel", Duty::Chisels),
    ("story", Duty::Passes),
    ("view", Duty::Read),
    ("tui", Duty::Read),
];

/// Records of which something else is due than of the others in their group.
#[rustfmt::skip]
const SINGLE: &[(&str, Duty)] = &[
    ("82", Duty::Chisels), // lists the chisels
    ("76", Duty::Read), // csysdig
];

/// Records of a group by what is done with them, and how many pass.
#[derive(Clone, Copy, Default)]
struct Total {
    passed: usize,
    due: usize,
    pending: usize,
    read: usize,
}

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
    let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
    let (mut failures, mut excepted) = (Vec::new(), Vec::new());
    for mut record in records {
        let duty = GROUPS.iter().find(|(group, _)| *group == record.group);
        let &(group, duty) = duty.unwrap_or_else(|| panic!("{}: group {}", record.id, record.group));
        let duty = SINGLE.iter().find(|(id, _)| *id == record.id).map_or(duty, |(_, duty)| *duty);
        let total = totals.entry(group).or_default();
        let duty = match duty {
            Duty::Chisels if has_chisels => Duty::Passes,
            duty => duty,
        };
        match duty {
            Duty::Passes => total.due += 1,
            Duty::Read => {
                total.read += 1;
                continue;
            }
            Duty::Chisels => total.pending += 1,
        }
        if let Some(reason) = exceptions::apply(&mut record) {
            excepted.push(format!("  {} {}: {reason}", record.id, record.title));
        }
        let found = check(&stage, &record);
        total.passed += usize::from(found.is_empty() && duty == Duty::Passes);
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
    for (group, _) in GROUPS {
        let total = totals.get(group).copied().unwrap_or_default();
        (passed, due) = (passed + total.passed, due + total.due);
        let mut state = format!("{} of {}", total.passed, total.due);
        for (count, what) in [(total.pending, "pending"), (total.read, "read, pending")] {
            if count > 0 {
                state.push_str(&format!(", {count} {what}"));
            }
        }
        println!("{group:<8} {state}");
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
