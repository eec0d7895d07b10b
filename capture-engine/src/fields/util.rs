//! `util.*` fields.

use super::{Field, value};
use filter_lang::FieldType::Uint;
use filter_lang::Value;
use std::cell::Cell;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("util.cnt", Uint, "a counter: how often the field has been asked for so far", "-p '%util.cnt'",
        |_| Some(Value::Uint(next()))).hidden(),
];

thread_local! {
    /// Events are formatted on one thread, in order.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn next() -> u64 {
    ASKED.with(|asked| {
        asked.set(asked.get() + 1);
        asked.get()
    })
}
