//! `evt.*` fields that every event has: its number, its time, where it came from.

use super::{Field, Print, gone, text, value};
use crate::render::clock::{Fraction, push_datetime, push_iso8601, push_time_of_day};
use crate::view::EventView;
use capture_common::event_table::code;
use filter_lang::FieldType::{AbsTime, Bool, RelTime, Str, Uint};
use filter_lang::Value;

pub(super) const NS_PER_S: u64 = 1_000_000_000;

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
    value("evt.source", Str, "where the event came from: syscall", "evt.source=syscall",
        |_| Some(Value::text("syscall"))),
    value("evt.is_async", Bool, "whether the event was put into the stream by the recorder itself", "evt.is_async=true",
        |c| Some(Value::Bool(is_async(c.view)))),
    value("evt.asynctype", Str, "kind of an event that the recorder put into the stream", "evt.asynctype=capture.loss",
        |c| if is_async(c.view) { Some(Value::Str(c.view.raw.text(1)?)) } else { None }),
    value("evt.is_io_uring", Bool, "whether the event is of an io_uring operation: a note of it, or the call that does the same", "evt.is_io_uring=true and evt.type=openat",
        |c| Some(Value::Bool(c.view.applied.is_io_uring))),
    value("evt.hostname", Str, "name of the recorded machine", "evt.hostname=web-1",
        |c| Some(Value::Str(&c.view.machine.info.hostname))),
    gone("evt.pluginname", Str, "name of the plugin that made the event; without plugins there is no value", "-p '%evt.pluginname'"),
    gone("evt.plugininfo", Str, "the plugin's summary of its event; without plugins there is no value", "-p '%evt.plugininfo'"),
];

fn since_first(view: &EventView<'_>) -> u64 {
    view.raw.ts_ns.saturating_sub(view.applied.first_ts_ns)
}

fn is_async(view: &EventView<'_>) -> bool {
    view.raw.code == code::ASYNCEVENT_E
}
