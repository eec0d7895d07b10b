//! Writing an event as a line of text.

use super::output_time::OutputTime;
use super::{FieldPiece, FormatOptions, Hot, Piece, ResolvedField};
use crate::fields::{Getter, Print};
use crate::render::TextOptions;
use crate::render::address::push_ip;
use crate::render::buffer::push_buffer;
use crate::render::number::{dec_i64, dec_u64, general, hex_upper, padded_u64};
use crate::render::text::{dot_controls, push_visible};
use crate::render::{event_name, push_args};
use crate::view::EventView;
use filter_lang::{Arena, Value};

/// What stands for a field without a value.
const ABSENT: &[u8] = b"<NA>";

/// Appends the line. Answers false where a field has no value and that is not allowed.
pub(super) fn write(
    pieces: &[Piece],
    tolerant: bool,
    options: &FormatOptions,
    time: &OutputTime,
    arena: &Arena,
    view: &EventView<'_>,
    out: &mut Vec<u8>,
) -> bool {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => match **text {
                [byte] => out.push(byte),
                _ => out.extend_from_slice(text),
            },
            Piece::Field(piece) => {
                let start = out.len();
                if !push_field(piece, &options.text, time, arena, view, out) {
                    if !tolerant {
                        return false;
                    }
                    out.truncate(start);
                    out.extend_from_slice(ABSENT);
                }
                if let Some(width) = piece.width {
                    fit(out, start, width);
                }
            }
        }
    }
    true
}

#[inline]
fn push_field(
    piece: &FieldPiece,
    options: &TextOptions,
    time: &OutputTime,
    arena: &Arena,
    view: &EventView<'_>,
    out: &mut Vec<u8>,
) -> bool {
    if let Some(hot) = piece.hot {
        return push_hot(hot, options, time, view, out);
    }
    let ResolvedField { field, .. } = &piece.resolved;
    let ctx = piece.resolved.ctx(view, options, arena);
    match field.getter {
        Getter::Text(write) => {
            let start = out.len();
            let exists = write(&ctx, out);
            if exists && !field.rendered {
                dot_controls(out, start);
            }
            exists
        }
        Getter::Value(get) => match get(&ctx) {
            Some(value) => push_value(out, value, field.print, options),
            None => false,
        },
    }
}

#[inline]
fn push_hot(
    hot: Hot,
    options: &TextOptions,
    time: &OutputTime,
    view: &EventView<'_>,
    out: &mut Vec<u8>,
) -> bool {
    match hot {
        Hot::Num => dec_u64(out, view.applied.num),
        Hot::Time => time.push(out, view, options),
        Hot::Cpu => dec_u64(out, u64::from(view.raw.cpu)),
        Hot::Comm => match view.thread() {
            Some(thread) => push_visible(out, &thread.comm),
            None => return false,
        },
        Hot::Tid if view.raw.tid == -1 => return false,
        Hot::Tid => dec_i64(out, view.raw.tid),
        Hot::Dir => out.push(if view.raw.code.is_enter() { b'>' } else { b'<' }),
        Hot::Type => out.extend_from_slice(event_name(view).as_bytes()),
        Hot::Args => push_args(out, view, options),
    }
    true
}

/// Appends a value as text. Answers false for none and for an empty list.
pub(super) fn push_value(out: &mut Vec<u8>, value: Value<'_>, print: Print, options: &TextOptions) -> bool {
    match value {
        Value::None | Value::List([]) => return false,
        Value::Bool(is) => out.extend_from_slice(if is { b"true" } else { b"false" }),
        Value::Int(number) => dec_i64(out, number),
        Value::Uint(number) => match print {
            Print::Nine => padded_u64(out, number, 9),
            Print::Hex => hex_upper(out, number),
            Print::Plain | Print::OneDecimal => dec_u64(out, number),
        },
        Value::Double(number) if print == Print::OneDecimal => push_one_decimal(out, number),
        Value::Double(number) => general(out, number),
        // Names come from the recorded machine: control characters must not reach a terminal.
        Value::Str(text) => push_visible(out, text),
        Value::Bytes(data) => push_buffer(out, data, options.buffer, options.cut_buffers),
        Value::Ip(ip) => push_ip(out, ip),
        Value::List(values) => {
            for (i, &value) in values.iter().enumerate() {
                if i != 0 {
                    out.push(b',');
                }
                push_value(out, value, print, options);
            }
        }
    }
    true
}

fn push_one_decimal(out: &mut Vec<u8>, number: f64) {
    let tenths = (number * 10.0).round();
    if tenths < 0.0 {
        out.push(b'-');
    }
    let tenths = tenths.abs() as u64;
    dec_u64(out, tenths / 10);
    out.push(b'.');
    dec_u64(out, tenths % 10);
}

/// Makes what stands behind `start` exactly `width` characters wide: cut, or filled with blanks.
fn fit(out: &mut Vec<u8>, start: usize, width: usize) {
    // A character is a byte that does not continue an earlier one; broken UTF-8 counts bytes.
    let starts = out[start..].iter().enumerate().filter(|&(_, &b)| b & 0xc0 != 0x80);
    match starts.clone().nth(width) {
        Some((at, _)) => out.truncate(start + at),
        None => {
            let have = starts.count();
            out.extend(std::iter::repeat_n(b' ', width - have));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_cut_and_fill() {
        for (text, width, expected) in
            [("execve", 8, "execve  "), ("execve", 3, "exe"), ("é", 2, "é "), ("", 1, " ")]
        {
            let mut out = format!("|{text}").into_bytes();
            fit(&mut out, 1, width);
            assert_eq!(std::str::from_utf8(&out[1..]).unwrap(), expected);
        }
    }

    #[test]
    fn percentages_have_one_decimal() {
        for (number, expected) in [(0.0, "0.0"), (0.097, "0.1"), (99.96, "100.0"), (-1.25, "-1.3")] {
            let mut out = Vec::new();
            push_one_decimal(&mut out, number);
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
        }
    }
}
