//! Container metadata in the stream.

use super::{Ctx, Row};
use crate::state::Text;
use crate::state::thread::Thread;
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] =
    &[(code::CONTAINER_E, plain), (code::CONTAINER_JSON_E, json), (code::CONTAINER_JSON_2_E, json)];

/// id, type, name, image.
fn plain(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    let text = |at| raw.text(at).unwrap_or(b"");
    let kind = raw.uint(1).unwrap_or(u64::MAX);
    let machine = &mut *ctx.machine;
    machine.containers.add_plain(text(0), kind, text(2), text(3), &machine.threads, &mut machine.counters);
    speak_for(ctx, text(0));
}

fn json(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    let machine = &mut *ctx.machine;
    let json = raw.text(0).unwrap_or(b"");
    if let Some(id) = machine.containers.add_json(json, &machine.threads, &mut machine.counters) {
        speak_for(ctx, &id);
    }
}

/// The record is the container's own, not that of the thread whose number it bears.
fn speak_for(ctx: &mut Ctx<'_>, id: &[u8]) {
    let mut thread = Thread::new(ctx.raw.tid);
    thread.comm = Text::from([b"container:", id].concat());
    thread.pid = -1;
    thread.vpid = -1;
    thread.ptid = 0;
    thread.container_id = Text::from(id);
    ctx.machine.record_thread = Some(Box::new(thread));
    ctx.applied.thread = None;
    ctx.applied.speaks_for_container = true;
}
