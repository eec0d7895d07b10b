//! Writing an event as a JSON object (`-j`): members sorted by name, no blanks.
//!
//! Numbers and booleans are JSON's own, everything else is text. `evt.outputtime` is the time in
//! nanoseconds since the epoch, whatever `-t` says.

use super::line::push_value;
use super::{FieldPiece, Formatter, Hot, Piece};
use crate::fields::Getter;
use crate::render::TextOptions;
use crate::render::number::{dec_i64, dec_u64};
use crate::render::text::{is_printable, leading};
use crate::view::EventView;
use filter_lang::Value;

/// Appends the object. Answers false where a field has no value and that is not allowed.
pub(super) fn write(
    formatter: &Formatter,
    scratch: &mut Vec<u8>,
    view: &EventView<'_>,
    out: &mut Vec<u8>,
) -> bool {
    out.push(b'{');
    let options = &formatter.options.text;
    for (i, &at) in formatter.sorted.iter().enumerate() {
        let Piece::Field(piece) = &formatter.pieces[at] else { continue };
        if i != 0 {
            out.push(b',');
        }
        out.extend_from_slice(&piece.key);
        if piece.hot == Some(Hot::Time) {
            dec_u64(out, view.raw.ts_ns);
            continue;
        }
        let ctx = piece.resolved.ctx(view, options, &formatter.arena);
        let exists = match piece.resolved.field.getter {
            Getter::Text(write) => push_text(out, scratch, |out| write(&ctx, out)),
            Getter::Value(get) => match get(&ctx) {
                Some(value) if value.exists() => {
                    push_json(out, scratch, value, piece, options);
                    true
                }
                _ => false,
            },
        };
        if !exists && formatter.tolerant {
            out.extend_from_slice(b"null");
        } else if !exists {
            return false;
        }
    }
    out.push(b'}');
    true
}

/// A member's name as it stands in the object, with its colon.
pub(super) fn key(label: &str) -> Box<[u8]> {
    let mut key = Vec::new();
    push_string(&mut key, label.as_bytes());
    key.push(b':');
    key.into()
}

fn push_json(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    value: Value<'_>,
    piece: &FieldPiece,
    options: &TextOptions,
) {
    match value {
        Value::Bool(is) => out.extend_from_slice(if is { b"true" } else { b"false" }),
        Value::Int(number) => dec_i64(out, number),
        Value::Uint(number) => dec_u64(out, number),
        Value::Double(number) if number.is_finite() => {
            push_value(out, Value::Double(number), piece.resolved.field.print, options);
        }
        Value::Str(text) => push_string(out, text),
        other => {
            let print = piece.resolved.field.print;
            push_text(out, scratch, |out| push_value(out, other, print, options));
        }
    }
}

/// Appends a JSON string of what `write` appends; nothing where it says that there is no value.
fn push_text(out: &mut Vec<u8>, scratch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let quote = out.len();
    out.push(b'"');
    if !write(out) {
        out.truncate(quote);
        return false;
    }
    let text = &out[quote + 1..];
    let plain = plain_len(text);
    if plain < text.len() {
        // Seldom: what follows is made anew, escaped.
        scratch.clear();
        scratch.extend_from_slice(&text[plain..]);
        out.truncate(quote + 1 + plain);
        push_escaped(out, scratch);
    }
    out.push(b'"');
    true
}

/// Appends a JSON string. Bytes that are no UTF-8 become U+FFFD, and nothing in it is obeyed by a
/// terminal.
pub fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// How many bytes at the start stand in a JSON string as they are: printable ASCII but for the
/// quote and the backslash.
#[inline]
fn plain_len(text: &[u8]) -> usize {
    leading(text, |byte| is_printable(byte) && byte != b'"' && byte != b'\\')
}

/// Appends text with what JSON and terminals take for control characters escaped.
fn push_escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let (plain, rest) = text.split_at(plain_len(text));
        out.extend_from_slice(plain);
        let Some(&byte) = rest.first() else { return };
        text = &rest[1..];
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x80.. => {
                // Characters and broken ones end at the next ASCII byte at the latest.
                let len = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
                push_foreign(out, &rest[..len]);
                text = &rest[len..];
            }
            _ => push_unit(out, byte),
        }
    }
}

/// Appends bytes that are not ASCII: characters as they are, but for those from U+0080 to U+009F,
/// which terminals obey as they do ESC sequences.
fn push_foreign(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\u{80}'..='\u{9f}' => push_unit(out, c as u8),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
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
