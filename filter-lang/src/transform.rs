//! Transformers: one row per function with its argument rule, result and code.

use crate::catalogue::{Arity, FieldType};
use crate::value::{Arena, Value};

/// A transformer's arguments at run time.
pub(crate) struct Call<'v, 'a> {
    pub(crate) args: &'v [Value<'a>],
    pub(crate) index: Option<&'a str>,
    pub(crate) arena: &'a Arena,
}

/// One row of [`TRANSFORMS`].
#[derive(Debug)]
pub(crate) struct Transform {
    pub(crate) name: &'static str,
    /// What each argument must be; the last one repeats up to `args_max`.
    pub(crate) args: &'static [ArgKind],
    pub(crate) args_max: usize,
    pub(crate) result: ResultKind,
    pub(crate) takes_index: bool,
    pub(crate) apply: for<'v, 'a> fn(&Call<'v, 'a>) -> Value<'a>,
    pub(crate) usage: &'static str,
}

/// What may stand as an argument.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum ArgKind {
    /// A text field, a transformer that yields text, or quoted text.
    Text,
    /// Text or a buffer.
    TextOrBytes,
    /// Text, a buffer or a list field.
    Measurable,
    /// A parenthesised list of texts, or a list field.
    TextList,
    /// Quoted text only.
    Constant,
}

/// What a transformer yields.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum ResultKind {
    Text,
    /// The type of the first argument.
    SameAsFirst,
    Number,
    /// A list of texts; with an index, one text.
    TextsOrIndexed,
}

impl ResultKind {
    pub(crate) fn typed(self, first: FieldType, indexed: bool) -> (FieldType, Arity) {
        match self {
            ResultKind::Text => (FieldType::Str, Arity::One),
            ResultKind::SameAsFirst if first == FieldType::Bytes => (FieldType::Bytes, Arity::One),
            ResultKind::SameAsFirst => (FieldType::Str, Arity::One),
            ResultKind::Number => (FieldType::Uint, Arity::One),
            ResultKind::TextsOrIndexed if indexed => (FieldType::Str, Arity::One),
            ResultKind::TextsOrIndexed => (FieldType::Str, Arity::List),
        }
    }
}

/// Every transformer.
pub(crate) const TRANSFORMS: &[Transform] = &[
    Transform {
        name: "tolower",
        args: &[ArgKind::Text],
        args_max: 1,
        result: ResultKind::Text,
        takes_index: false,
        apply: |call| map_bytes(call, |byte| byte.to_ascii_lowercase()),
        usage: "tolower(field)",
    },
    Transform {
        name: "toupper",
        args: &[ArgKind::Text],
        args_max: 1,
        result: ResultKind::Text,
        takes_index: false,
        apply: |call| map_bytes(call, |byte| byte.to_ascii_uppercase()),
        usage: "toupper(field)",
    },
    Transform {
        name: "basename",
        args: &[ArgKind::Text],
        args_max: 1,
        result: ResultKind::Text,
        takes_index: false,
        apply: basename,
        usage: "basename(field)",
    },
    Transform {
        name: "b64",
        args: &[ArgKind::TextOrBytes],
        args_max: 1,
        result: ResultKind::SameAsFirst,
        takes_index: false,
        apply: decode_base64,
        usage: "b64(field)",
    },
    Transform {
        name: "len",
        args: &[ArgKind::Measurable],
        args_max: 1,
        result: ResultKind::Number,
        takes_index: false,
        apply: len,
        usage: "len(field)",
    },
    Transform {
        name: "join",
        args: &[ArgKind::Constant, ArgKind::TextList],
        args_max: 2,
        result: ResultKind::Text,
        takes_index: false,
        apply: join,
        usage: "join('separator', (field, field, ...))",
    },
    Transform {
        name: "concat",
        args: &[ArgKind::Text, ArgKind::Text],
        args_max: 64,
        result: ResultKind::Text,
        takes_index: false,
        apply: concat,
        usage: "concat(field, 'text', ...)",
    },
    Transform {
        name: "getopt",
        args: &[ArgKind::TextList, ArgKind::Constant],
        args_max: 2,
        result: ResultKind::TextsOrIndexed,
        takes_index: true,
        apply: getopt,
        usage: "getopt(list field, 'ab:c') or getopt(list field, 'ab:c')[b]",
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Transform> {
    TRANSFORMS.iter().find(|row| row.name == name)
}

fn map_bytes<'a>(call: &Call<'_, 'a>, map: fn(&u8) -> u8) -> Value<'a> {
    match call.args[0].as_bytes() {
        Some(bytes) => Value::Str(call.arena.bump().alloc_slice_fill_iter(bytes.iter().map(map))),
        None => Value::None,
    }
}

fn basename<'a>(call: &Call<'_, 'a>) -> Value<'a> {
    match call.args[0].as_bytes() {
        Some(bytes) => Value::Str(&bytes[memchr::memrchr(b'/', bytes).map_or(0, |at| at + 1)..]),
        None => Value::None,
    }
}

fn len<'a>(call: &Call<'_, 'a>) -> Value<'a> {
    match call.args[0] {
        Value::Str(bytes) | Value::Bytes(bytes) => Value::Uint(bytes.len() as u64),
        Value::List(list) => Value::Uint(list.len() as u64),
        _ => Value::None,
    }
}

/// Joins what exists; a list of which nothing exists has no value.
fn join<'a>(call: &Call<'_, 'a>) -> Value<'a> {
    let (Some(separator), Value::List(parts)) = (call.args[0].as_bytes(), call.args[1]) else {
        return Value::None;
    };
    if parts.iter().any(|part| part.as_bytes().is_none()) {
        return Value::None;
    }
    Value::Str(call.arena.build(|out| {
        for (i, part) in parts.iter().filter_map(Value::as_bytes).enumerate() {
            if i > 0 {
                out.push(separator);
            }
            out.push(part);
        }
    }))
}

fn concat<'a>(call: &Call<'_, 'a>) -> Value<'a> {
    if call.args.iter().any(|part| part.as_bytes().is_none()) {
        return Value::None;
    }
    Value::Str(
        call.arena.build(|out| call.args.iter().filter_map(Value::as_bytes).for_each(|part| out.push(part))),
    )
}

/// Decodes base64 (RFC 4648), padding optional; anything else in the text means no value.
fn decode_base64<'a>(call: &Call<'_, 'a>) -> Value<'a> {
    let (bytes, is_text) = match call.args[0] {
        Value::Str(bytes) => (bytes, true),
        Value::Bytes(bytes) => (bytes, false),
        _ => return Value::None,
    };
    let end = bytes.iter().rposition(|&byte| byte != b'=').map_or(0, |at| at + 1);
    if bytes.len() - end > 2 || end % 4 == 1 {
        return Value::None;
    }
    let mut bad = false;
    let decoded = call.arena.build(|out| {
        for group in bytes[..end].chunks(4) {
            let mut bits = 0_u32;
            for &byte in group {
                match base64_digit(byte) {
                    Some(digit) => bits = bits << 6 | digit,
                    None => bad = true,
                }
            }
            bits <<= 6 * (4 - group.len());
            out.push(&bits.to_be_bytes()[1..group.len()]);
        }
    });
    match (bad, is_text) {
        (true, _) => Value::None,
        (false, true) => Value::Str(decoded),
        (false, false) => Value::Bytes(decoded),
    }
}

fn base64_digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}

/// Reads an argument list as getopt(3) does: letters of `spec`, a colon after those that take a value;
/// the first word that is no option, or `--`, ends it. Yields letters and values in order, or, with an
/// index, that option's value (the empty text for an option without one).
fn getopt<'a>(call: &Call<'_, 'a>) -> Value<'a> {
    let (Value::List(words), Some(spec)) = (call.args[0], call.args[1].as_bytes()) else {
        return Value::None;
    };
    let takes_value = |letter: u8| {
        let at = spec.iter().position(|&byte| byte == letter && letter != b':')?;
        Some(spec.get(at + 1) == Some(&b':'))
    };
    let mut found = bumpalo::collections::Vec::new_in(call.arena.bump());
    let mut words = words.iter().filter_map(Value::as_bytes);
    while let Some(word) = words.next() {
        if word.len() < 2 || word[0] != b'-' || word == b"--" {
            break;
        }
        let mut letters = &word[1..];
        while let Some((letter, rest)) = letters.split_first() {
            letters = rest;
            let value: &[u8] = match takes_value(*letter) {
                Some(true) if !rest.is_empty() => std::mem::take(&mut letters),
                Some(true) => words.next().unwrap_or_default(),
                Some(false) => &[],
                None => continue,
            };
            if call.index.is_some_and(|wanted| wanted.as_bytes() == [*letter]) {
                return Value::Str(value);
            }
            found.push(Value::Str(call.arena.copy(&[*letter])));
            if takes_value(*letter) == Some(true) {
                found.push(Value::Str(value));
            }
        }
    }
    if call.index.is_some() { Value::None } else { Value::List(found.into_bump_slice()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, args: &[Value<'_>], index: Option<&str>, want: Value<'_>) {
        let arena = Arena::new();
        let row = find(name).expect("a known transformer");
        assert_eq!((row.apply)(&Call { args, index, arena: &arena }), want, "{name}");
    }

    #[test]
    fn results() {
        check("tolower", &[Value::text("CuRl")], None, Value::text("curl"));
        check("toupper", &[Value::None], None, Value::None);
        check("basename", &[Value::text("/usr/bin/curl")], None, Value::text("curl"));
        check("basename", &[Value::text("curl")], None, Value::text("curl"));
        check("len", &[Value::text("curl")], None, Value::Uint(4));
        check("len", &[Value::List(&[Value::Int(1), Value::Int(2)])], None, Value::Uint(2));
        check("b64", &[Value::text("aGVsbG8=")], None, Value::text("hello"));
        check("b64", &[Value::Bytes(b"aGVsbG8")], None, Value::Bytes(b"hello"));
        check("b64", &[Value::text("a")], None, Value::None);
        check("b64", &[Value::text("a b=")], None, Value::None);
        let parts = [Value::text("curl"), Value::text("open")];
        check("join", &[Value::text("/"), Value::List(&parts)], None, Value::text("curl/open"));
        check("join", &[Value::text("/"), Value::List(&[parts[0], Value::None])], None, Value::None);
        check("concat", &parts, None, Value::text("curlopen"));
        let words = ["-a", "-bX", "-c", "y", "file", "-z"].map(Value::text);
        let args = [Value::List(&words), Value::text("ab:c:")];
        check("getopt", &args, None, Value::List(&["a", "b", "X", "c", "y"].map(Value::text)));
        check("getopt", &args, Some("c"), Value::text("y"));
        check("getopt", &args, Some("z"), Value::None);
    }
}
