//! The names that were asked for: by whom, how many queries they cost, and how it ended.

use super::dns_exchange::{Exchange, Outcome};
use crate::kit::JsonLine;
use crate::kit::place::HOST;
use crate::text::{write_duration, write_row};
use std::collections::HashMap;

/// Of the columns of a name.
const WIDTHS: [usize; 8] = [38, 22, 7, 8, 9, 7, 7, 0];
const NXDOMAIN: u8 = 3;
/// Names that are remembered.
const NAMES_MAX: usize = 65_536;

/// A name, as one kind of process in one place asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    comm: Vec<u8>,
    place: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// When it was first asked for, ns: the order of the rows.
    first_ts_ns: u64,
    queries: u64,
    nxdomain: u64,
    /// Search domains that were tried in vain.
    in_vain: u64,
    unanswered: u64,
    /// Sum and number of known latencies.
    took_ns: u64,
    timed: u64,
    slowest_ns: u64,
    /// The last answer with addresses, else the last of any kind.
    answer: String,
    has_address: bool,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Summary {
    rows: HashMap<Key, Row>,
}

impl Summary {
    /// Counts a query.
    pub(super) fn add(&mut self, exchange: &Exchange) {
        let key = Key {
            name: exchange.asked.name.clone(),
            comm: exchange.asker.comm.clone(),
            place: exchange.asker.place.clone(),
        };
        if self.rows.len() >= NAMES_MAX && !self.rows.contains_key(&key) {
            return;
        }
        let row = self.rows.entry(key).or_default();
        if row.queries == 0 {
            row.first_ts_ns = exchange.asked_ts_ns;
        }
        row.queries += 1;
        match &exchange.outcome {
            Outcome::Answered(message) => {
                let is_nxdomain = message.rcode == NXDOMAIN;
                row.nxdomain += u64::from(is_nxdomain);
                row.in_vain += u64::from(is_nxdomain && exchange.asked.appended.is_some());
                if !message.answers.is_empty() || !row.has_address {
                    row.has_address |= !message.answers.is_empty();
                    row.answer = match &message.answers[..] {
                        [] => exchange.result(),
                        answers => answers.join(", "),
                    };
                }
            }
            _ => {
                row.unanswered += 1;
                if !row.has_address {
                    row.answer = exchange.result();
                }
            }
        }
        if let Some(ns) = exchange.took_ns {
            row.took_ns += ns;
            row.timed += 1;
            row.slowest_ns = row.slowest_ns.max(ns);
        }
    }

    fn sorted(&self) -> Vec<(&Key, &Row)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|(key, row), (other_key, other)| {
            (row.first_ts_ns, &key.name, &key.comm).cmp(&(
                other.first_ts_ns,
                &other_key.name,
                &other_key.comm,
            ))
        });
        rows
    }

    /// Appends the table of the names.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.rows.is_empty() {
            out.extend_from_slice(b"no DNS messages\n");
            return;
        }
        out.push(b'\n');
        write_row(
            out,
            WIDTHS,
            ["NAME", "BY", "QUERIES", "NXDOMAIN", "NO ANSWER", "AVERAGE", "SLOWEST", "ANSWER"]
                .map(str::as_bytes),
        );
        for (key, row) in self.sorted() {
            let mut by = key.comm.clone();
            if !key.place.is_empty() && key.place != HOST {
                by.push(b' ');
                by.extend_from_slice(&key.place);
            }
            let duration = |ns: Option<u64>| {
                let mut text = Vec::new();
                if let Some(ns) = ns {
                    write_duration(&mut text, ns);
                }
                text
            };
            let [queries, nxdomain, unanswered] =
                [row.queries, row.nxdomain, row.unanswered].map(|n| n.to_string());
            write_row(
                out,
                WIDTHS,
                [
                    key.name.as_bytes(),
                    &by,
                    queries.as_bytes(),
                    nxdomain.as_bytes(),
                    unanswered.as_bytes(),
                    &duration(row.took_ns.checked_div(row.timed)),
                    &duration((row.timed > 0).then_some(row.slowest_ns)),
                    row.answer.as_bytes(),
                ],
            );
        }
        let in_vain: u64 = self.rows.values().map(|row| row.in_vain).sum();
        if in_vain > 0 {
            let queries: u64 = self.rows.values().map(|row| row.queries).sum();
            let text = format!("\n{in_vain} of {queries} queries tried a search domain in vain.\n");
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Appends a line for each name.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        for (key, row) in self.sorted() {
            let mut json = JsonLine::begin(out);
            json.text("kind", b"name").text("name", key.name.as_bytes()).text("proc.name", &key.comm);
            json.text("container", &key.place).uint("queries", row.queries).uint("nxdomain", row.nxdomain);
            json.uint("search_domains_in_vain", row.in_vain).uint("unanswered", row.unanswered);
            json.uint("latency_sum_ns", row.took_ns).uint("latency_max_ns", row.slowest_ns);
            json.text("answer", row.answer.as_bytes());
            json.end();
        }
    }
}
