//! `evt.*` fields that tell when: the event's time, and how long its call took.

use super::{Field, Print, Use, text, value};
use crate::render::clock::{Fraction, push_datetime, push_human_duration, push_iso8601, push_time_of_day};
use capture_common::EventFlags;
use filter_lang::FieldType::{AbsTime, RelTime, Uint, WithinMs};
use filter_lang::{ArgRule, Value};

const NS_PER_S: u64 = 1_000_000_000;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("evt.num", Uint, "running number of the event, counted from 1 over the whole stream", "evt.num=100",
        |c| Some(Value::Uint(c.view.applied.num))),
    text("evt.time", "time of day with nanoseconds", "-p '%evt.time'",
        |c, out| { push_time_of_day(out, &c.options.zone, c.view.raw.ts_ns, Fraction::Ns); true }),
    text("evt.time.s", "time of day in whole seconds", "-p '%evt.time.s'",
        |c, out| { push_time_of_day(out, &c.options.zone, c.view.raw.ts_ns, Fraction::None); true }),
    text("evt.time.iso8601", "date and time in ISO 8601 with nanoseconds and the zone's offset", "-p '%evt.time.iso8601'",
        |c, out| { push_iso8601(out, &c.options.zone, c.view.raw.ts_ns); true }),
    text("evt.datetime", "date and time with nanoseconds", "-p '%evt.datetime'",
        |c, out| { push_datetime(out, &c.options.zone, c.view.raw.ts_ns, Fraction::Ns); true }),
    text("evt.datetime.s", "date and time in whole seconds", "-p '%evt.datetime.s'",
        |c, out| { push_datetime(out, &c.options.zone, c.view.raw.ts_ns, Fraction::None); true }),
    value("evt.rawtime", AbsTime, "nanoseconds since the epoch", "evt.rawtime>1534527348000000000",
        |c| Some(Value::Uint(c.view.raw.ts_ns))),
    value("evt.rawtime.s", AbsTime, "whole seconds since the epoch", "-p '%evt.rawtime.s'",
        |c| Some(Value::Uint(c.view.raw.ts_ns / NS_PER_S))),
    value("evt.rawtime.ns", AbsTime, "nanoseconds within the second", "-p '%evt.rawtime.ns'",
        |c| Some(Value::Uint(c.view.raw.ts_ns % NS_PER_S))).print(Print::Nine),
    value("evt.reltime", RelTime, "nanoseconds since the first event of the stream", "evt.reltime<5s",
        |c| Some(Value::Uint(since_first(c.view)))).print(Print::Nine),
    value("evt.reltime.s", RelTime, "whole seconds since the first event of the stream", "-p '%evt.reltime.s'",
        |c| Some(Value::Uint(since_first(c.view) / NS_PER_S))),
    value("evt.reltime.ns", RelTime, "nanosecond part of the time since the first event of the stream", "-p '%evt.reltime.ns'",
        |c| Some(Value::Uint(since_first(c.view) % NS_PER_S))).print(Print::Nine),
    value("evt.latency", RelTime, "nanoseconds between the enter of the call and its exit; 0 on enters", "evt.latency>10ms",
        |c| Some(Value::Uint(c.view.applied.latency_ns))),
    value("evt.latency.s", RelTime, "whole seconds between enter and exit", "evt.latency.s>0",
        |c| Some(Value::Uint(c.view.applied.latency_ns / NS_PER_S))),
    value("evt.latency.ns", RelTime, "nanosecond part of the time between enter and exit", "-p '%evt.latency.ns'",
        |c| Some(Value::Uint(c.view.applied.latency_ns % NS_PER_S))).print(Print::Nine),
    text("evt.latency.human", "time between enter and exit for people: 504ns, 3.17us, 1.04s", "-p '%evt.latency.human'",
        |c, out| { push_human_duration(out, c.view.applied.latency_ns); true }),
    value("evt.deltatime", RelTime, "nanoseconds since the event listed before", "evt.deltatime>1s",
        |c| Some(Value::Uint(since_previous(c.view)))),
    value("evt.deltatime.s", RelTime, "whole seconds since the event listed before", "-p '%evt.deltatime.s'",
        |c| Some(Value::Uint(since_previous(c.view) / NS_PER_S))),
    value("evt.deltatime.ns", RelTime, "nanosecond part of the time since the event listed before", "-p '%evt.deltatime.ns'",
        |c| Some(Value::Uint(since_previous(c.view) % NS_PER_S))).print(Print::Nine),
    text("evt.outputtime", "the time column of the default output; option -t chooses its form", "-p '%evt.outputtime'",
        |c, out| { push_time_of_day(out, &c.options.zone, c.view.raw.ts_ns, Fraction::Ns); true }).only(Use::Format),
    value("evt.wait_latency", RelTime, "for exits of calls that wait (poll, select, sleep): how long they took", "evt.wait_latency>1s",
        |c| {
            let info = c.view.info?;
            let flags = if info.params_2022.is_some() { info.flags_2022 } else { info.flags };
            (c.view.raw.code.is_exit() && flags.contains(EventFlags::WAITS)).then_some(Value::Uint(c.view.applied.latency_ns))
        }),
    value("evt.around", WithinMs, "matches events at most so many milliseconds before or after a time in ns since the epoch", "evt.around[1404996934793590564]=1000",
        |c| Some(Value::Uint(c.view.raw.ts_ns.abs_diff(c.arg?.parse().ok()?)))).arg(ArgRule::Required).only(Use::Filter),
];

fn since_first(view: &crate::view::EventView<'_>) -> u64 {
    view.raw.ts_ns.saturating_sub(view.applied.first_ts_ns)
}

fn since_previous(view: &crate::view::EventView<'_>) -> u64 {
    match view.applied.prev_shown_ts_ns {
        0 => 0,
        previous => view.raw.ts_ns.saturating_sub(previous),
    }
}
