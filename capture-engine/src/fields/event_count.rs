//! `evt.count*` and `evt.buflen.*`: fields for summing up, with a value only on the events that
//! they count.

use super::category;
use super::event::{flags_of, has, is_failure, moved_bytes, result};
use super::{Ctx, Field, value};
use crate::view::EventView;
use capture_common::{Category, EventFlags};
use filter_lang::FieldType::Uint;
use filter_lang::Value;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("evt.count", Uint, "1 on every event, for summing", "-p '%evt.count'", |_| Some(Value::Uint(1))),
    value("evt.count.error", Uint, "1 on failed calls", "evt.count.error=1",
        |c| one(failed(c.view))),
    value("evt.count.error.file", Uint, "1 on failed calls on files", "evt.count.error.file=1",
        |c| one(error_area(c.view) == Some(Category::File))),
    value("evt.count.error.net", Uint, "1 on failed calls on sockets", "evt.count.error.net=1",
        |c| one(error_area(c.view) == Some(Category::Net))),
    value("evt.count.error.memory", Uint, "1 on failed calls that manage memory", "evt.count.error.memory=1",
        |c| one(error_area(c.view) == Some(Category::Memory))),
    value("evt.count.error.other", Uint, "1 on failed calls of other kinds", "evt.count.error.other=1",
        |c| one(error_area(c.view) == Some(Category::Other))),
    value("evt.count.exit", Uint, "1 on exit events", "evt.count.exit=1",
        |c| one(c.view.raw.code.is_exit())),
    value("evt.count.procinfo", Uint, "1 on the events that tell the CPU time of a main thread", "-p '%evt.count.procinfo'",
        |c| one(is_procinfo(c.view) && c.view.thread().is_some_and(|t| t.is_main()))).hidden(),
    value("evt.count.threadinfo", Uint, "1 on the events that tell the CPU time of a thread", "-p '%evt.count.threadinfo'",
        |c| one(is_procinfo(c.view))).hidden(),
    value("evt.buflen.in", Uint, "bytes read", "-p '%evt.buflen.in'", |c| moved(c, Some(IN), None)).hidden(),
    value("evt.buflen.out", Uint, "bytes written", "-p '%evt.buflen.out'", |c| moved(c, Some(OUT), None)).hidden(),
    value("evt.buflen.file", Uint, "bytes read from or written to files", "-p '%evt.buflen.file'", |c| moved(c, None, Some(Category::File))).hidden(),
    value("evt.buflen.file.in", Uint, "bytes read from files", "-p '%evt.buflen.file.in'", |c| moved(c, Some(IN), Some(Category::File))).hidden(),
    value("evt.buflen.file.out", Uint, "bytes written to files", "-p '%evt.buflen.file.out'", |c| moved(c, Some(OUT), Some(Category::File))).hidden(),
    value("evt.buflen.net", Uint, "bytes received from or sent to the network", "-p '%evt.buflen.net'", |c| moved(c, None, Some(Category::Net))).hidden(),
    value("evt.buflen.net.in", Uint, "bytes received from the network", "-p '%evt.buflen.net.in'", |c| moved(c, Some(IN), Some(Category::Net))).hidden(),
    value("evt.buflen.net.out", Uint, "bytes sent to the network", "-p '%evt.buflen.net.out'", |c| moved(c, Some(OUT), Some(Category::Net))).hidden(),
];

const IN: EventFlags = EventFlags::READS_FROM_FD;
const OUT: EventFlags = EventFlags::WRITES_TO_FD;

fn one<'a>(counts: bool) -> Option<Value<'a>> {
    counts.then_some(Value::Uint(1))
}

fn is_procinfo(view: &EventView<'_>) -> bool {
    view.raw.code == capture_common::event_table::code::PROCINFO_E
}

fn failed(view: &EventView<'_>) -> bool {
    result(view).is_some_and(is_failure)
}

/// What a failed call was about: its fd if it has one, else what it was to make.
fn error_area(view: &EventView<'_>) -> Option<Category> {
    if !failed(view) {
        return None;
    }
    let info = view.info?;
    if let Some(fd) = view.fd() {
        return Some(match () {
            () if fd.is_file() => Category::File,
            () if fd.is_ip() || fd.is_unix() => Category::Net,
            () => Category::Other,
        });
    }
    let creates = flags_of(info).contains(EventFlags::CREATES_FD);
    Some(match category::of(view)? {
        Category::File if creates => Category::File,
        Category::Net => Category::Net,
        Category::Memory => Category::Memory,
        _ => Category::Other,
    })
}

fn moved<'a>(c: &Ctx<'a>, direction: Option<EventFlags>, area: Option<Category>) -> Option<Value<'a>> {
    let counts = direction.is_none_or(|direction| has(c.view, direction))
        && area.is_none_or(|area| category::of(c.view) == Some(area));
    if counts { Some(Value::Uint(moved_bytes(c.view)?)) } else { None }
}
