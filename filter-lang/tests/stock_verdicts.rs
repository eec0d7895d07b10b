//! Every filter that was tried on stock sysdig: we accept what either version accepts, apart from the
//! deviations listed here, each with its reason.

mod support;

use filter_lang::{Filter, Options};
use support::Fields;

const ROWS: &str = include_str!("data/stock_filters.tsv");
const SYSDIG_036: &str = include_str!("data/sysdig_036_filters.txt");

/// Filters on which we decide otherwise than "accepted by one of the two".
const DEVIATIONS: &[(&str, bool, &str)] = &[
    (
        "nosuch.field=1",
        false,
        "HEAD's example program accepts unknown fields; a misspelt field must not match everything",
    ),
    (
        "proc.name=",
        false,
        "0.29.3 compares with the empty text; more likely the value is missing, and '' can be written",
    ),
    ("proc.name=cat'", false, "0.29.3 takes the quote as part of the word; more likely one is missing"),
    ("evt.num=0x12c", true, "hexadecimal is in HEAD's grammar and refused by its number parser"),
];

fn accepted(filter: &str) -> Result<(), String> {
    match Filter::compile(filter, &Fields, &Options::default()) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_stock_verdict() {
    let mut wrong = Vec::new();
    let mut deviations = Vec::new();
    let mut count = 0;
    for row in ROWS.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [filter, old, head] = columns[..] else { panic!("bad row {row}") };
        let filter = filter.replace("\\n", "\n");
        let stock = old != "reject" || head != "reject";
        let wanted = match DEVIATIONS.iter().find(|deviation| deviation.0 == filter) {
            Some(deviation) => {
                deviations.push(deviation.0);
                deviation.1
            }
            None => stock,
        };
        let verdict = accepted(&filter);
        if verdict.is_ok() != wanted {
            wrong.push(format!("{filter}: stock {old}/{head}, ours {verdict:?}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 330, "the table is read to its end");
    for deviation in DEVIATIONS {
        assert!(deviations.contains(&deviation.0), "no row needs the deviation {}", deviation.0);
    }
}

#[test]
fn everything_that_sysdig_036_accepted() {
    for filter in SYSDIG_036.lines() {
        if let Err(error) = accepted(filter) {
            panic!("{error}");
        }
    }
}
