//! Writing an event as a JSON object (`-j`): members sorted by name, no blanks.
//!
//! Numbers and booleans are JSON's own, everything else is text. `evt.outputtime` is the time in
//! nanoseconds since the epoch, whatever `-t` says.

use super::line::push_value;
use super::{FieldPiece, Formatter, Piece};
use crate::render::TextOptions;
use crate::render::number::{dec_i64, dec_u64};
use crate::view::EventView;
use filter_lang::Value;

/// Appends the object. Answers false where a field has no value and that is not allowed.
pub(super) fn write(formatter: &Formatter, view: &EventView<'_>, out: &mut Vec<u8>) -> bool {
    out.push(b'{');
    let options = &formatter.options.text;
    for (i, &at) in formatter.sorted.iter().enumerate() {
        let Piece::Field(piece) = &formatter.pieces[at] else { continue };
        if i != 0 {
            out.push(b',');
        }
        push_string(out, piece.label.as_bytes());
        out.push(b':');
        if piece.is_output_time {
            dec_u64(out, view.raw.ts_ns);
            continue;
        }
        let ctx = piece.resolved.ctx(view, options, &formatter.arena);
        match piece.resolved.field.value(&ctx) {
            Some(value) if value.exists() => push_json(out, value, piece, options),
            _ if formatter.tolerant => out.extend_from_slice(b"null"),
            _ => return false,
        }
    }
    out.push(b'}');
    true
}

fn push_json(out: &mut Vec<u8>, value: Value<'_>, piece: &FieldPiece, options: &TextOptions) {
    match value {
        Value::Bool(is) => out.extend_from_slice(if is { b"true" } else { b"false" }),
        Value::Int(number) => dec_i64(out, number),
        Value::Uint(number) => dec_u64(out, number),
        Value::Double(number) if number.is_finite() => {
            push_value(out, Value::Double(number), piece.resolved.field.print, options);
        }
        Value::Str(text) => push_string(out, text),
        other => {
            let mut text = Vec::new();
            push_value(&mut text, other, piece.resolved.field.print, options);
            push_string(out, &text);
        }
    }
}

/// Appends a JSON string. Bytes that are no UTF-8 become U+FFFD, and nothing in it is obeyed by a
/// terminal.
pub fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        push_escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// Appends text that is UTF-8, with what JSON and terminals take for control characters escaped.
fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut previous = 0;
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 | 0x7f => push_unit(out, byte),
            // U+0080 to U+009F: terminals obey them as they do ESC sequences.
            0x80..0xa0 if previous == 0xc2 => {
                out.pop();
                push_unit(out, byte);
            }
            _ => out.push(byte),
        }
        previous = byte;
    }
}

fn push_unit(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_valid_json_whatever_the_bytes() {
        let mut out = Vec::new();
        push_string(&mut out, b"a\"\\\n\t\x01\xff\xc3\xa9\xc2\x9b");
        let text = std::str::from_utf8(&out).unwrap();
        assert_eq!(text, "\"a\\\"\\\\\\n\\t\\u0001\u{fffd}é\\u009b\"");
        assert_eq!(serde_json::from_str::<String>(text).unwrap(), "a\"\\\n\t\u{1}\u{fffd}é\u{9b}");
    }
}
