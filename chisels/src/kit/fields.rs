//! [`Fields`]: the fields that a chisel asks for by name, and their values on an event.
//!
//! Text is what a chisel in Lua gets from `evt.field()`, so that both kinds print the same.

use super::memo::{Depends, Memo};
use crate::api::Settings;
use crate::text::write_number;
use capture_engine::EventView;
use capture_engine::fields::Getter;
use capture_engine::format::{FormatError, ResolvedField, resolve_field};
use capture_engine::render::TextOptions;
use capture_engine::render::address::push_ip;
use capture_engine::render::buffer::push_buffer;
use capture_engine::render::number::{dec_i64, dec_u64};
use capture_engine::render::text::{dot_controls, push_visible};
use filter_lang::{Arena, Value};

/// Fields by position.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: Vec<ResolvedField>,
    numbers: Vec<Number>,
    options: TextOptions,
    arena: Arena,
}

impl Fields {
    /// Looks the names up. Buffers are shown as the user asked, and never cut.
    pub(crate) fn new<N: AsRef<str>>(names: &[N], settings: &Settings) -> Result<Fields, Box<FormatError>> {
        let fields: Result<Vec<_>, _> = names.iter().map(|name| resolve_field(name.as_ref())).collect();
        let fields = fields.map_err(Box::new)?;
        let numbers = fields.iter().map(|field| Number::named(field.field.name)).collect();
        Ok(Fields { fields, numbers, options: text_options(settings), arena: Arena::new() })
    }

    /// Something to keep what is made of the first fields in.
    pub(crate) fn memo<T: Clone>(&self, count: usize) -> Memo<T> {
        Memo::new(Depends::of(self.fields.iter().take(count)))
    }

    /// Appends a field's value as text. Answers false, with nothing appended, where there is none.
    #[inline]
    pub(crate) fn push(&mut self, at: usize, event: &EventView<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.arena.reset();
        let field = &self.fields[at];
        let ctx = field.ctx(event, &self.options, &self.arena);
        match field.field.getter {
            Getter::Value(get) => {
                let name = field.field.name;
                get(&ctx).is_some_and(|value| push_value(out, value, name, &self.options))
            }
            Getter::Text(write) if write(&ctx, out) => {
                if !field.field.rendered {
                    dot_controls(out, start);
                }
                true
            }
            Getter::Text(_) => {
                out.truncate(start);
                false
            }
        }
    }

    /// A field's value as text of its own.
    pub(crate) fn text(&mut self, at: usize, event: &EventView<'_>) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        self.push(at, event, &mut text).then_some(text)
    }

    /// A field's value as text of its own, `<NA>` where there is none.
    pub(crate) fn text_or_na(&mut self, at: usize, event: &EventView<'_>) -> Vec<u8> {
        self.text(at, event).unwrap_or_else(|| b"<NA>".to_vec())
    }

    /// A field's value as a number.
    #[inline]
    pub(crate) fn number(&mut self, at: usize, event: &EventView<'_>) -> Option<f64> {
        match self.numbers[at] {
            Number::One => return Some(1.0),
            Number::Latency => return Some(event.applied.latency_ns as f64),
            Number::OfField => {}
        }
        self.arena.reset();
        let field = &self.fields[at];
        let value = field.field.value(&field.ctx(event, &self.options, &self.arena))?;
        match value {
            Value::Int(number) => Some(number as f64),
            Value::Uint(number) => Some(number as f64),
            Value::Double(number) => Some(number),
            _ => None,
        }
    }

    /// Whether a field has values that are no numbers.
    pub(crate) fn is_text(&self, at: usize) -> bool {
        use filter_lang::FieldType as T;
        let field = self.fields[at].field;
        // The type of a parameter is known with the event.
        field.name != "evt.rawarg" && matches!(field.ty, T::Str | T::Keyword | T::Bytes | T::Bool)
    }
}

/// Numbers that are summed up most, which are known without a detour over their fields' rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    One,
    Latency,
    OfField,
}

impl Number {
    fn named(name: &str) -> Number {
        match name {
            "evt.count" => Number::One,
            "evt.latency" => Number::Latency,
            _ => Number::OfField,
        }
    }
}

/// How text is shown to a chisel: buffers as the user asked, and never cut.
pub(crate) fn text_options(settings: &Settings) -> TextOptions {
    TextOptions {
        buffer: settings.buffers.unwrap_or_default(),
        cut_buffers: false,
        zone: settings.zone.clone(),
        columns: settings.terminal.map_or(0, |(columns, _)| columns),
    }
}

fn push_value(out: &mut Vec<u8>, value: Value<'_>, name: &str, options: &TextOptions) -> bool {
    match value {
        Value::None | Value::List([]) => return false,
        Value::Bool(is) => out.extend_from_slice(if is { b"true" } else { b"false" }),
        Value::Int(number) => dec_i64(out, number),
        Value::Uint(number) => dec_u64(out, number),
        Value::Double(number) => write_number(out, number),
        // What was recorded, byte by byte.
        Value::Str(bytes) if name == "evt.rawarg" => out.extend_from_slice(bytes),
        Value::Str(bytes) => push_visible(out, bytes),
        Value::Bytes(bytes) if name == "evt.buffer" => {
            push_buffer(out, bytes, options.buffer, options.cut_buffers);
        }
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::Ip(ip) => push_ip(out, ip),
        Value::List(values) => {
            for (i, &value) in values.iter().enumerate() {
                if i != 0 {
                    out.push(b',');
                }
                push_value(out, value, name, options);
            }
        }
    }
    true
}
