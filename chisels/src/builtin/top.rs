//! Tables of the greatest sums: `topprocs_*`, `topfiles_*`, `topconns`, `fd*_by` and their like.
//!
//! All are rows of [`ROWS`]: by what to group, what to sum up, which events count. A file gives one
//! table at its end, a live capture one per second.

use super::top_rows::{HIDDEN, ROWS};
use crate::api::{Chisel, End, Handover, Input, Meta, Settings, Tick};
use crate::control::{Control, Interval};
use crate::error::ChiselError;
use crate::kit::{Column, Fields, Memo, Screen, TopTable, Totals, Units, bad_arg, count_arg};
use capture_engine::EventView;
use std::borrow::Cow;

/// How often a live capture's table is renewed.
const LIVE_INTERVAL_NS: u64 = 1_000_000_000;
/// Hundredths of a second, which CPU times are, in ns.
const NS_PER_HUNDREDTH: f64 = 10_000_000.0;

/// A field and its column's heading.
pub(super) type Name = (&'static str, &'static str);
/// Columns by which a chisel groups.
pub(super) type Keys = &'static [Name];

/// What an event adds to its key's sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// The value, where it is positive.
    Value,
    /// The CPU time of the thread since its event before, zero included.
    CpuTime,
}

/// One chisel.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) meta: Meta,
    pub(super) keys: Keys,
    /// Those with container data; empty where they are the same.
    pub(super) container_keys: Keys,
    pub(super) value: Name,
    pub(super) filter: &'static str,
    pub(super) limit: usize,
    pub(super) units: Units,
    pub(super) weight: Weight,
}

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).filter(|meta| meta.name != HIDDEN).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    Some(Box::new(Top::new(row)))
}

/// The chisel.
#[derive(Debug)]
struct Top {
    row: &'static Row,
    table: TopTable,
    filter: Cow<'static, str>,
    fields: Fields,
    totals: Totals,
    /// Of keys; `None` where one has no value.
    places: Memo<Option<u32>>,
    screen: Screen,
}

impl Top {
    fn new(row: &'static Row) -> Top {
        let table = TopTable {
            keys: named(row.keys),
            value: Column::new(row.value.0, row.value.1),
            units: row.units,
            limit: row.limit,
        };
        Top {
            row,
            table,
            filter: Cow::Borrowed(row.filter),
            fields: Fields::default(),
            totals: Totals::default(),
            places: Memo::default(),
            screen: Screen::default(),
        }
    }

    fn name(&self) -> &str {
        &self.row.meta.name
    }

    /// The fields of the keys, and behind them that of the value.
    fn look_fields_up(&mut self, settings: &Settings) -> Result<(), ChiselError> {
        let value = match self.row.weight {
            Weight::Value => self.table.value.field.clone(),
            Weight::CpuTime => Cow::Borrowed("thread.cpu"),
        };
        let names: Vec<&str> = self.table.keys.iter().map(|key| &*key.field).chain([&*value]).collect();
        let fields = Fields::new(&names, settings);
        self.fields =
            fields.map_err(|error| ChiselError::Format { name: self.name().into(), error: *error })?;
        let at = self.table.keys.len();
        self.places = self.fields.memo(at);
        if self.fields.is_text(at) {
            return Err(bad_arg(
                self.name(),
                "value",
                format!("{value} is no number, so there are no sums of it"),
            ));
        }
        Ok(())
    }

    /// Begins anew.
    fn clear(&mut self) {
        self.totals.clear();
        self.places.clear();
    }

    fn write(&mut self, ts_ns: u64, passed_ns: u64, out: &mut Vec<u8>) {
        self.table.write(&self.totals, ts_ns, passed_ns, self.screen, out);
    }
}

fn named(keys: Keys) -> Vec<Column> {
    keys.iter().map(|(field, heading)| Column::new(field, heading)).collect()
}

/// Columns from the text of an argument.
fn columns(fields: &str) -> Vec<Column> {
    let column = |name: &str| Column { field: name.to_owned().into(), heading: name.to_owned().into() };
    fields.split(',').map(column).collect()
}

impl Chisel for Top {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match name {
            "key" | "keys" => self.table.keys = columns(value),
            "keydescs" => {
                let headings = columns(value);
                if headings.len() != self.table.keys.len() {
                    let reason = format!("{} headings for {} keys", headings.len(), self.table.keys.len());
                    return Err(bad_arg(self.name(), name, reason));
                }
                for (key, heading) in self.table.keys.iter_mut().zip(headings) {
                    key.heading = heading.heading;
                }
            }
            "value" => self.table.value.field = value.to_owned().into(),
            "valuedesc" => self.table.value.heading = value.to_owned().into(),
            "filter" => self.filter = value.to_owned().into(),
            "top_number" => self.table.limit = count_arg(self.name(), name, value)?,
            _ => {
                let units = Units::named(value);
                let wrong =
                    || bad_arg(self.name(), name, format!("{value:?} is none of none, bytes, time, timepct"));
                self.table.units = units.ok_or_else(wrong)?;
            }
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        if settings.container_data && !self.row.container_keys.is_empty() {
            self.table.keys = named(self.row.container_keys);
        }
        self.look_fields_up(settings)?;
        self.screen = Screen::new(settings);
        control.set_filter(self.name(), &self.filter)?;
        Ok(None)
    }

    fn start(&mut self, input: &Input<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if input.live {
            control.set_interval(Interval::Sample(LIVE_INTERVAL_NS));
        }
        self.screen.start(input.live, &mut control.out);
        Ok(())
    }

    #[inline]
    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let keys = self.table.keys.len();
        let Some(value) = self.fields.number(keys, event) else { return Ok(()) };
        let value = match self.row.weight {
            Weight::Value if value > 0.0 => value,
            Weight::Value => return Ok(()),
            Weight::CpuTime => value * NS_PER_HUNDREDTH,
        };
        let Top { fields, totals, places, .. } = self;
        let place = places.get_or(event, || {
            let is_whole = (0..keys).all(|at| fields.push(at, event, totals.part(at)));
            is_whole.then(|| totals.place())
        });
        if let Some(place) = place {
            totals.add_at(place, value);
        }
        Ok(())
    }

    fn on_interval(
        &mut self,
        tick: Tick,
        _: &EventView<'_>,
        control: &mut Control,
    ) -> Result<(), ChiselError> {
        let screen = self.screen;
        screen.renew(&mut control.out, |out| self.write(tick.ts_ns, tick.delta_ns, out));
        self.clear();
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.screen.end(&mut control.out) {
            self.write(end.ts_ns(), end.delta_ns, &mut control.out);
        }
        self.clear();
        Ok(())
    }
}
