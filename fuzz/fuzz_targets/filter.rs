//! Filter text: whatever the bytes, a verdict. What parses survives printing; what compiles runs.

#![no_main]

use filter_lang::{
    Arena, Arity, Catalogue, FieldDef, FieldId, FieldRef, FieldType, Filter, LookupError, Options, Record,
    Scratch, Value, parse,
};
use libfuzzer_sys::fuzz_target;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

/// One field of each type; short names, so that mutation finds them.
const FIELDS: &[(&str, FieldType, Arity)] = &[
    ("a.b", FieldType::Bool, Arity::One),
    ("a.i", FieldType::Int, Arity::One),
    ("a.u", FieldType::Uint, Arity::One),
    ("a.d", FieldType::Double, Arity::One),
    ("a.s", FieldType::Str, Arity::One),
    ("a.k", FieldType::Keyword, Arity::One),
    ("a.y", FieldType::Bytes, Arity::One),
    ("a.a", FieldType::Ip, Arity::Any),
    ("a.n", FieldType::Net, Arity::Any),
    ("a.p", FieldType::Port, Arity::One),
    ("a.r", FieldType::RelTime, Arity::One),
    ("a.t", FieldType::AbsTime, Arity::One),
    ("a.f", FieldType::Flags, Arity::One),
    ("a.w", FieldType::WithinMs, Arity::One),
    ("a.l", FieldType::Str, Arity::List),
];

struct Fields;

impl Catalogue for Fields {
    fn lookup(&self, name: &str, _: Option<&str>) -> Result<FieldId, LookupError> {
        let at = FIELDS.iter().position(|row| row.0 == name).ok_or(LookupError::Unknown)?;
        Ok(FieldId(at as u32))
    }

    fn def(&self, field: &FieldRef) -> FieldDef<'_> {
        let row = FIELDS[field.id.0 as usize];
        FieldDef::new(row.0, row.1).arity(row.2)
    }

    fn names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(FIELDS.iter().map(|row| Cow::Borrowed(row.0)))
    }
}

struct Event;

impl Record for Event {
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        match FIELDS[field.id.0 as usize].1 {
            _ if field.arg.is_some() => Value::None,
            FieldType::Bool => Value::Bool(true),
            FieldType::Int => Value::Int(-1),
            FieldType::Double => Value::Double(0.5),
            FieldType::Str if field.id.0 == 14 => {
                Value::List(arena.list([Value::text("-a"), Value::text("b")]))
            }
            FieldType::Str | FieldType::Keyword => Value::text("/etc/x"),
            FieldType::Bytes => Value::Bytes(b"\xff\x00"),
            FieldType::Ip | FieldType::Net => {
                Value::List(arena.list([Value::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))]))
            }
            _ => Value::Uint(u64::MAX),
        }
    }

    fn event_type(&self) -> u16 {
        3
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(tree) => {
            let printed = tree.to_string();
            assert_eq!(parse(&printed).as_ref(), Ok(&tree), "{printed}");
        }
        Err(error) => assert!(error.to_string().len() < 8192),
    }
    if let Ok(filter) = Filter::compile(text, &Fields, &Options::default()) {
        filter.matches(&Event, &mut Scratch::new());
    }
});
