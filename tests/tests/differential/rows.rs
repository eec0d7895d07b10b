//! The rows of the suite `fields` (a field, a capture, an event, the value there), held against what stock
//! prints there.

use crate::{Found, run};
use capture_tests::data_dir;
use capture_tests::interop::{LAST_STOCK_CODE, event_blocks, numbered_events};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

const FIELD_END: char = '\u{1f}';
const RECORD_END: char = '\u{1e}';

/// Fields of one command.
const PER_COMMAND: usize = 12;

/// A field with its argument, a capture, the number of an event, and the value there.
type Row = (String, String, u64, String);

/// Captures that 0.29.3 does not read to their end: it dies of calls younger than its table.
const UNREADABLE: &[&str] = &["kitchen.scap.gz", "tools.scap.gz", "dns.scap.gz"];

/// Rows whose value is another one in 0.29.3: the field, the capture or nothing for all, stock's value,
/// and why.
#[rustfmt::skip]
const EXCEPTIONS: &[(&str, &str, &str, &str)] = &[
    ("evt.type.is.open", "", "<NA>evt.type.is.open", "0.29.3 takes numbers of types there only"),
    ("evt.latency.human", "curl_google.scap", "<NA>", "an event without an enter has the latency 0 in every unit"),
    ("proc.exepath", "k8s_dns.scap", "", "where neither the exec nor its enter tells the path, an absolute argv[0] does; 0.29.3 has none"),
];

/// Compares all rows of fields that 0.29.3 has; also the number of rows that it cannot have.
pub(crate) fn compare() -> (Found, usize) {
    let text = std::fs::read_to_string(data_dir().join("fields/values.json")).expect("reads");
    let rows: Vec<Row> = serde_json::from_str(&text).expect("is JSON");
    let (known, all) = (fields_of("sysdig 0.29.3"), fields_of("libs 48dfd53c"));
    let (mut found, mut without) = (Found::default(), 0);
    let mut by_capture: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        if UNREADABLE.contains(&&*row.1) || !is_known(&row.0, &known, &all) {
            without += 1;
        } else {
            by_capture.entry(&row.1).or_default().push(row);
        }
    }
    for (capture, rows) in by_capture {
        let path = data_dir().join("captures").join(capture);
        for rows in rows.chunks(PER_COMMAND) {
            compare_some(&path, rows, &mut found);
        }
    }
    (found, without)
}

fn compare_some(path: &Path, rows: &[&Row], found: &mut Found) {
    let fields: String = rows.iter().map(|row| format!("{FIELD_END}%{} ", row.0)).collect();
    let format = format!("*%evt.num{fields}{RECORD_END}");
    // -D: rows stand at internal events, too.
    let printed = run::stock(&["-D", "-p", &format], path).stdout;
    let mut by_number = BTreeMap::new();
    for record in printed.split(RECORD_END) {
        let mut values = record.trim_start_matches('\n').split(FIELD_END);
        if let Some(number) = values.next().and_then(|number| number.parse::<u64>().ok()) {
            let strip = |value: &str| value.strip_suffix(' ').unwrap_or(value).to_owned();
            by_number.insert(number, values.map(strip).collect::<Vec<_>>());
        }
    }
    for (at, (field, capture, event, ours)) in rows.iter().enumerate() {
        let place = format!("{field} of event {event} of {capture}");
        let Some(values) = by_number.get(&stock_number(path, *event)) else {
            *found.excepted.entry("0.29.3 does not print the event").or_default() += 1;
            continue;
        };
        let stock = values.get(at).map_or("", String::as_str);
        let excuse = EXCEPTIONS
            .iter()
            .find(|(f, c, s, _)| f == field && (c.is_empty() || c == capture) && *s == stock);
        // What stock does not take for an argument it prints as text.
        let argument = field.find('[').map(|at| &field[at..]);
        match excuse {
            _ if stock == ours => found.equal += 1,
            _ if argument.is_some_and(|argument| stock.ends_with(argument)) => {
                *found.excepted.entry("0.29.3 does not know the argument").or_default() += 1;
            }
            Some((.., reason)) => *found.excepted.entry(reason).or_default() += 1,
            None => found.unexplained.push(format!("{place}: {ours:?}, stock {stock:?}")),
        }
    }
}

/// The number that 0.29.3 gives an event: it passes over those younger than its table.
fn stock_number(path: &Path, event: u64) -> u64 {
    let bytes = std::fs::read(path).expect("reads");
    if bytes.starts_with(&[0x1F, 0x8B]) {
        // Recorded by sysdig of its time, which made no younger ones.
        return event;
    }
    let kinds = numbered_events(&event_blocks(&bytes));
    let before = kinds.iter().take(event as usize);
    before.filter(|kind| kind.code <= LAST_STOCK_CODE).count() as u64
}

/// Names of the fields of a published list that can be printed.
fn fields_of(list: &str) -> HashSet<String> {
    let text = std::fs::read_to_string(data_dir().join("fields/names.json")).expect("reads");
    let lists: BTreeMap<String, Vec<(String, String, Vec<String>)>> =
        serde_json::from_str(&text).expect("is JSON");
    let printable = |flags: &[String]| !flags.iter().any(|flag| flag == "FILTER_ONLY");
    lists[list].iter().filter(|(.., flags)| printable(flags)).map(|(name, ..)| name.clone()).collect()
}

/// Whether 0.29.3 knows the field of a text such as `evt.arg.name` or `proc.aname[2]`.
fn is_known(text: &str, known: &HashSet<String>, all: &HashSet<String>) -> bool {
    let name = text.split('[').next().unwrap_or(text);
    let with_arg = || name.rsplit_once('.').is_some_and(|(field, _)| known.contains(field));
    known.contains(name) || (!all.contains(name) && with_arg())
}
