//! `evt.*` fields that tell how long: a call's duration, the time between events.

use super::event_time::NS_PER_S;
use super::{Field, Print, Use, text, value};
use crate::render::clock::{Fraction, push_human_duration, push_time_of_day};
use crate::view::EventView;
use capture_common::EventFlags;
use filter_lang::FieldType::{RelTime, Uint, WithinMs};
use filter_lang::{ArgRule, Value};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("evt.latency", RelTime, "nanoseconds between the enter of the call and its exit; 0 on enters", "evt.latency>10ms",
        |c| Some(Value::Uint(c.view.applied.latency_ns))),
    value("evt.latency.s", RelTime, "whole seconds between enter and exit", "evt.latency.s>0",
        |c| Some(Value::Uint(c.view.applied.latency_ns / NS_PER_S))),
    value("evt.latency.ns", RelTime, "nanosecond part of the time between enter and exit", "-p '%evt.latency.ns'",
        |c| Some(Value::Uint(c.view.applied.latency_ns % NS_PER_S))).print(Print::Nine),
    value("evt.latency.quantized", Uint, "the logarithm of the call's duration as a column of a screen, 1 for the first; without a screen all is in the first", "-p '%evt.latency.quantized'",
        |c| quantized(c.view.applied.latency_ns, c.options.columns)).hidden(),
    text("evt.latency.human", "time between enter and exit for people: 504ns, 3.17us, 1.04s", "-p '%evt.latency.human'",
        |c, out| { push_human_duration(out, c.view.applied.latency_ns); true }),
    value("evt.deltatime", RelTime, "nanoseconds since the event listed before", "evt.deltatime>1s",
        |c| Some(Value::Uint(since_previous(c.view)))),
    value("evt.deltatime.s", RelTime, "whole seconds since the event listed before", "-p '%evt.deltatime.s'",
        |c| Some(Value::Uint(since_previous(c.view) / NS_PER_S))),
    value("evt.deltatime.ns", RelTime, "nanosecond part of the time since the event listed before", "-p '%evt.deltatime.ns'",
        |c| Some(Value::Uint(since_previous(c.view) % NS_PER_S))).print(Print::Nine),
    text("evt.outputtime", "the time column of the default output; option -t chooses its form", "-p '%evt.outputtime'",
        |c, out| { push_time_of_day(out, &c.options.zone, c.view.raw.ts_ns, Fraction::Ns); true }).only(Use::Format).hidden(),
    value("evt.wait_latency", RelTime, "for exits of calls that wait (poll, select, sleep): how long they took", "evt.wait_latency>1s",
        |c| {
            let info = c.view.info?;
            let flags = if info.params_2022.is_some() { info.flags_2022 } else { info.flags };
            (c.view.raw.code.is_exit() && flags.contains(EventFlags::WAITS)).then_some(Value::Uint(c.view.applied.latency_ns))
        }),
    value("evt.around", WithinMs, "matches events at most so many milliseconds before or after a time in ns since the epoch", "evt.around[1404996934793590564]=1000",
        |c| Some(Value::Uint(c.view.raw.ts_ns.abs_diff(c.arg?.parse().ok()?)))).arg(ArgRule::Required).only(Use::Filter),
];

/// Powers of ten that a screen's width stands for: from 1 ns to 100 s.
const DECADES: f64 = 11.0;

/// A duration as a column, 1 for the first; `None` where there is no duration.
fn quantized<'a>(ns: u64, columns: u16) -> Option<Value<'a>> {
    if ns == 0 {
        return None;
    }
    let decades = (ns as f64).log10().min(DECADES);
    Some(Value::Uint((decades * f64::from(columns) / DECADES) as u64 + 1))
}

fn since_previous(view: &EventView<'_>) -> u64 {
    match view.applied.prev_shown_ts_ns {
        0 => 0,
        previous => view.raw.ts_ns.saturating_sub(previous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_become_columns_by_their_logarithm() {
        let column = |ns, columns| match quantized(ns, columns) {
            Some(Value::Uint(column)) => Some(column),
            _ => None,
        };
        assert_eq!(column(0, 110), None);
        assert_eq!(column(1, 110), Some(1));
        assert_eq!(column(1_000, 110), Some(31));
        assert_eq!(column(u64::MAX, 110), Some(111));
        assert_eq!(column(1_000, 0), Some(1));
    }
}
