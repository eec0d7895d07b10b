//! Keyed sums and the table of the greatest of them.
//!
//! A key is made of the texts of several columns. Equal sums are ordered by key, so that the same
//! input always prints the same table.

use super::json::JsonLine;
use super::screen::Screen;
use crate::text::{head, write_bytes, write_column, write_duration, write_number};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;

/// Width of all columns but the last.
const WIDTH: usize = 20;
/// Between the parts of a key. Nothing that is shown to people has it.
const SEPARATOR: u8 = 1;

/// How sums are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Units {
    /// As numbers.
    #[default]
    None,
    /// As sizes.
    Bytes,
    /// As durations.
    Time,
    /// As percentage of the time that passed.
    TimePercent,
}

impl Units {
    /// The units of this name.
    pub(crate) fn named(name: &str) -> Option<Units> {
        const NAMES: [(&str, Units); 4] = [
            ("none", Units::None),
            ("bytes", Units::Bytes),
            ("time", Units::Time),
            ("timepct", Units::TimePercent),
        ];
        NAMES.iter().find(|(known, _)| *known == name).map(|row| row.1)
    }

    fn write(self, out: &mut Vec<u8>, value: f64, passed_ns: u64) {
        match self {
            Units::None => write_number(out, value),
            Units::Bytes => write_bytes(out, value as u64),
            Units::Time => write_duration(out, value as u64),
            Units::TimePercent => {
                let percent = if passed_ns > 0 { value / passed_ns as f64 * 100.0 } else { 0.0 };
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{percent:.2}%");
            }
        }
    }
}

/// A column: the name of its field, for JSON, and its heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) field: Cow<'static, str>,
    pub(crate) heading: Cow<'static, str>,
}

impl Column {
    /// A column of a chisel in Rust.
    pub(crate) const fn new(field: &'static str, heading: &'static str) -> Column {
        Column { field: Cow::Borrowed(field), heading: Cow::Borrowed(heading) }
    }
}

/// Sums by key.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Keys and their sums, in the order in which they came.
    sums: Vec<(Rc<[u8]>, f64)>,
    places: HashMap<Rc<[u8]>, u32>,
    /// Places of keys that came before, by [`slot`]: most events have one of a few keys, and a look here
    /// costs less than one into the map, which has to withstand keys that were made to collide.
    recent: Box<[u32; SLOTS]>,
    key: Vec<u8>,
}

const SLOTS: usize = 256;

impl Default for Totals {
    fn default() -> Self {
        let recent = Box::new([u32::MAX; SLOTS]);
        Totals { sums: Vec::new(), places: HashMap::new(), recent, key: Vec::new() }
    }
}

/// Where a key is looked for first.
#[inline]
fn slot(key: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, rest) = key.as_chunks::<8>();
    let mut hash = key.len() as u64;
    for chunk in chunks {
        hash = (hash ^ u64::from_le_bytes(*chunk)).wrapping_mul(MIX);
    }
    let tail = rest.iter().fold(0, |tail, &b| tail << 8 | u64::from(b));
    ((hash ^ tail).wrapping_mul(MIX) >> 56) as usize
}

impl Totals {
    /// Begins a part of a key, the first of which has the number 0; its text is to be appended.
    #[inline]
    pub(crate) fn part(&mut self, number: usize) -> &mut Vec<u8> {
        match number {
            0 => self.key.clear(),
            _ => self.key.push(SEPARATOR),
        }
        &mut self.key
    }

    /// The place of the key that was made, for [`Totals::add_at`]; it stands until all is forgotten.
    #[inline]
    pub(crate) fn place(&mut self) -> u32 {
        let slot = slot(&self.key);
        let at = self.recent[slot];
        match self.sums.get(at as usize) {
            Some((key, _)) if key[..] == self.key[..] => at,
            _ => {
                let at = self.any_place();
                self.recent[slot] = at;
                at
            }
        }
    }

    fn any_place(&mut self) -> u32 {
        if let Some(&at) = self.places.get(&self.key[..]) {
            return at;
        }
        let (key, at) = (Rc::from(&self.key[..]), self.sums.len() as u32);
        self.sums.push((Rc::clone(&key), 0.0));
        self.places.insert(key, at);
        at
    }

    /// Adds to the sum at a place.
    #[inline]
    pub(crate) fn add_at(&mut self, place: u32, value: f64) {
        if let Some((_, sum)) = self.sums.get_mut(place as usize) {
            *sum += value;
        }
    }

    /// Adds to the sum of a key of these parts.
    pub(crate) fn add_to(&mut self, parts: &[&[u8]], value: f64) {
        for (number, part) in parts.iter().enumerate() {
            self.part(number).extend_from_slice(part);
        }
        let place = self.place();
        self.add_at(place, value);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.sums.clear();
        self.places.clear();
        self.recent.fill(u32::MAX);
    }

    /// The keys with the greatest sums, all for a limit of 0.
    pub(crate) fn top(&self, limit: usize) -> Vec<(&[u8], f64)> {
        let mut rows: Vec<(&[u8], f64)> = self.sums.iter().map(|(key, sum)| (&key[..], *sum)).collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        if limit != 0 {
            rows.truncate(limit);
        }
        rows
    }
}

/// How sums are shown as a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopTable {
    pub(crate) keys: Vec<Column>,
    pub(crate) value: Column,
    pub(crate) units: Units,
    /// Rows that are shown; 0 for all.
    pub(crate) limit: usize,
}

impl TopTable {
    /// Appends the table of the sums at a time, of what happened in the time before it.
    pub(crate) fn write(
        &self,
        totals: &Totals,
        ts_ns: u64,
        passed_ns: u64,
        screen: Screen,
        out: &mut Vec<u8>,
    ) {
        let rows = totals.top(self.limit);
        if screen.is_json() {
            self.write_json(&rows, ts_ns, out);
        } else {
            self.write_text(&rows, passed_ns, out);
        }
    }

    fn write_text(&self, rows: &[(&[u8], f64)], passed_ns: u64, out: &mut Vec<u8>) {
        write_column(out, self.value.heading.as_bytes(), WIDTH);
        for key in &self.keys {
            write_column(out, key.heading.as_bytes(), WIDTH);
        }
        out.push(b'\n');
        out.resize(out.len() + 80, b'-');
        out.push(b'\n');
        let mut value = Vec::new();
        for (key, sum) in rows {
            value.clear();
            self.units.write(&mut value, *sum, passed_ns);
            write_column(out, &value, WIDTH);
            let mut parts = key.split(|&b| b == SEPARATOR).peekable();
            while let Some(part) = parts.next() {
                match parts.peek() {
                    Some(_) => write_column(out, head(part, WIDTH), WIDTH),
                    None => out.extend_from_slice(part),
                }
            }
            out.push(b'\n');
        }
    }

    /// One line, with the members of sysdig's chisels.
    fn write_json(&self, rows: &[(&[u8], f64)], ts_ns: u64, out: &mut Vec<u8>) {
        let ts = (ts_ns / 1_000_000_000 * 1_000_000_000).to_string();
        let mut json = JsonLine::begin(out);
        json.text("ts", ts.as_bytes());
        json.list("data", |list| {
            for (key, sum) in rows {
                list.row(|row| {
                    key.split(|&b| b == SEPARATOR).for_each(|part| _ = row.item(part));
                    row.item_number(*sum);
                });
            }
        });
        json.list("info", |list| {
            let keys = self.keys.iter().map(|column| (column, true));
            for (column, is_key) in keys.chain([(&self.value, false)]) {
                list.object(|info| {
                    info.text("name", column.field.as_bytes());
                    info.text("desc", column.heading.as_bytes()).is("is_key", is_key);
                });
            }
        });
        json.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(units: Units) -> (TopTable, Totals) {
        let mut totals = Totals::default();
        for (parts, value) in
            [([&b"cat"[..], b"7"], 10.0), ([b"a name that is longer than a column", b"8"], 3000.0)]
        {
            totals.add_to(&parts, value);
            totals.add_to(&parts, value);
        }
        let keys = vec![Column::new("proc.name", "Process"), Column::new("proc.pid", "PID")];
        (TopTable { keys, value: Column::new("evt.count", "Sum"), units, limit: 2 }, totals)
    }

    #[test]
    fn the_greatest_come_first() {
        let (table, totals) = table(Units::Bytes);
        let mut out = Vec::new();
        table.write(&totals, 1, 1, Screen::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let expected = format!(
            "{:<20}{:<20}{:<20}\n{}\n{:<20}{:<20}8\n{:<20}{:<20}7\n",
            "Sum",
            "Process",
            "PID",
            "-".repeat(80),
            "5.86KB",
            "a name that is long",
            "20B",
            "cat"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn json_names_columns() {
        let (table, totals) = table(Units::None);
        let mut out = Vec::new();
        let settings = crate::api::Settings { json: true, ..Default::default() };
        table.write(&totals, 5_999_999_999, 1, Screen::new(&settings), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"ts\":\"5000000000\",\"data\":[[\"a name that is longer than a column\",\"8\",6000],\
             [\"cat\",\"7\",20]],\"info\":[{\"name\":\"proc.name\",\"desc\":\"Process\",\"is_key\":true},\
             {\"name\":\"proc.pid\",\"desc\":\"PID\",\"is_key\":true},\
             {\"name\":\"evt.count\",\"desc\":\"Sum\",\"is_key\":false}]}\n"
        );
    }

    #[test]
    fn percentages_are_of_the_time_that_passed() {
        let mut out = Vec::new();
        Units::TimePercent.write(&mut out, 250.0, 1000);
        Units::TimePercent.write(&mut out, 250.0, 0);
        assert_eq!(out, b"25.00%0.00%");
    }
}
