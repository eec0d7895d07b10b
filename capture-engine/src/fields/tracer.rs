//! `span.*` and `evtin.*` fields: spans of sysdig's tracers.
//!
//! Tracers were marks that programs wrote to /dev/null for sysdig to find. Nothing records them
//! any more: the fields are known so that old filters and formats still parse, and have no value.

use super::{Field, gone};
use filter_lang::ArgRule;
use filter_lang::FieldType::{Int, RelTime, Str, Uint};

#[rustfmt::skip]
pub(super) static SPAN_FIELDS: &[Field] = &[
    gone("span.id", Int, "id of the span", "span.id=1"),
    gone("span.time", Str, "time of the span", "span.time=x"),
    gone("span.ntags", Uint, "number of tags of the span", "span.ntags=1"),
    gone("span.nargs", Uint, "number of arguments of the span", "span.nargs=1"),
    gone("span.tags", Str, "tags of the span, joined by dots", "span.tags=x"),
    gone("span.tag", Str, "one tag of the span, by position", "span.tag.x=x").arg(ArgRule::Required),
    gone("span.args", Str, "arguments of the span as name=value", "span.args=x"),
    gone("span.arg", Str, "one argument of the span, by name or position", "span.arg.x=x").arg(ArgRule::Required),
    gone("span.enterargs", Str, "arguments of the span's beginning, on its end", "span.enterargs=x"),
    gone("span.enterarg", Str, "one argument of the span's beginning, on its end", "span.enterarg.x=x").arg(ArgRule::Required),
    gone("span.duration", RelTime, "time between the beginning and the end of the span", "span.duration<1s"),
    gone("span.duration.quantized", Uint, "logarithm of that time as a column of a screen", "-p '%span.duration.quantized'").hidden(),
    gone("span.duration.human", Str, "that time for people", "span.duration.human=x"),
    gone("span.duration.fortag", RelTime, "duration of the span if it has this number of tags", "-p '%span.duration.fortag.x'").arg(ArgRule::Required).hidden(),
    gone("span.count", Uint, "1 on the end of a span", "-p '%span.count'").hidden(),
    gone("span.count.fortag", Uint, "1 on the end of a span with this number of tags", "-p '%span.count.fortag.x'").arg(ArgRule::Required).hidden(),
    gone("span.childcount.fortag", Uint, "1 on the end of a span with more tags than this", "-p '%span.childcount.fortag.x'").arg(ArgRule::Required).hidden(),
    gone("span.idtag", Str, "id and one tag in one", "-p '%span.idtag.x'").arg(ArgRule::Required).hidden(),
    gone("span.rawtime", Str, "time of the span in ns", "-p '%span.rawtime'").hidden(),
    gone("span.rawparenttime", Str, "time of the span around it in ns", "-p '%span.rawparenttime'").hidden(),
];

#[rustfmt::skip]
pub(super) static EVTIN_FIELDS: &[Field] = &[
    gone("evtin.span.id", Int, "id of a span of the same thread around the event", "evtin.span.id=1"),
    gone("evtin.span.ntags", Uint, "number of tags of a span of the same thread around the event", "evtin.span.ntags=1"),
    gone("evtin.span.nargs", Uint, "number of arguments of a span of the same thread around the event", "evtin.span.nargs=1"),
    gone("evtin.span.tags", Str, "tags of a span of the same thread around the event, joined by dots", "evtin.span.tags=x"),
    gone("evtin.span.tag", Str, "one tag of a span of the same thread around the event, by position", "evtin.span.tag.x=x").arg(ArgRule::Required),
    gone("evtin.span.args", Str, "arguments of a span of the same thread around the event as name=value", "evtin.span.args=x"),
    gone("evtin.span.arg", Str, "one argument of a span of the same thread around the event, by name or position", "evtin.span.arg.x=x").arg(ArgRule::Required),
    gone("evtin.span.p.id", Int, "id of a span of the same process around the event", "evtin.span.p.id=1"),
    gone("evtin.span.p.ntags", Uint, "number of tags of a span of the same process around the event", "evtin.span.p.ntags=1"),
    gone("evtin.span.p.nargs", Uint, "number of arguments of a span of the same process around the event", "evtin.span.p.nargs=1"),
    gone("evtin.span.p.tags", Str, "tags of a span of the same process around the event, joined by dots", "evtin.span.p.tags=x"),
    gone("evtin.span.p.tag", Str, "one tag of a span of the same process around the event, by position", "evtin.span.p.tag.x=x").arg(ArgRule::Required),
    gone("evtin.span.p.args", Str, "arguments of a span of the same process around the event as name=value", "evtin.span.p.args=x"),
    gone("evtin.span.p.arg", Str, "one argument of a span of the same process around the event, by name or position", "evtin.span.p.arg.x=x").arg(ArgRule::Required),
    gone("evtin.span.s.id", Int, "id of a span of the same script around the event", "evtin.span.s.id=1"),
    gone("evtin.span.s.ntags", Uint, "number of tags of a span of the same script around the event", "evtin.span.s.ntags=1"),
    gone("evtin.span.s.nargs", Uint, "number of arguments of a span of the same script around the event", "evtin.span.s.nargs=1"),
    gone("evtin.span.s.tags", Str, "tags of a span of the same script around the event, joined by dots", "evtin.span.s.tags=x"),
    gone("evtin.span.s.tag", Str, "one tag of a span of the same script around the event, by position", "evtin.span.s.tag.x=x").arg(ArgRule::Required),
    gone("evtin.span.s.args", Str, "arguments of a span of the same script around the event as name=value", "evtin.span.s.args=x"),
    gone("evtin.span.s.arg", Str, "one argument of a span of the same script around the event, by name or position", "evtin.span.s.arg.x=x").arg(ArgRule::Required),
    gone("evtin.span.m.id", Int, "id of a span of the same machine around the event", "evtin.span.m.id=1"),
    gone("evtin.span.m.ntags", Uint, "number of tags of a span of the same machine around the event", "evtin.span.m.ntags=1"),
    gone("evtin.span.m.nargs", Uint, "number of arguments of a span of the same machine around the event", "evtin.span.m.nargs=1"),
    gone("evtin.span.m.tags", Str, "tags of a span of the same machine around the event, joined by dots", "evtin.span.m.tags=x"),
    gone("evtin.span.m.tag", Str, "one tag of a span of the same machine around the event, by position", "evtin.span.m.tag.x=x").arg(ArgRule::Required),
    gone("evtin.span.m.args", Str, "arguments of a span of the same machine around the event as name=value", "evtin.span.m.args=x"),
    gone("evtin.span.m.arg", Str, "one argument of a span of the same machine around the event, by name or position", "evtin.span.m.arg.x=x").arg(ArgRule::Required),
];
