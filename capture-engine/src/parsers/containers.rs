//! Container metadata in the stream.

use super::{Ctx, Row};
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[
    (code::CONTAINER_E, plain),
    (code::CONTAINER_JSON_E, json),
    (code::CONTAINER_JSON_2_E, json),
];

/// id, type, name, image.
fn plain(ctx: &mut Ctx<'_>) {
    let text = |at| ctx.raw.text(at).unwrap_or(b"");
    let kind = ctx.raw.uint(1).unwrap_or(u64::MAX);
    ctx.machine.containers.add_plain(text(0), kind, text(2), text(3));
}

fn json(ctx: &mut Ctx<'_>) {
    let json = ctx.raw.text(0).unwrap_or(b"");
    ctx.machine.containers.add_json(json);
}
