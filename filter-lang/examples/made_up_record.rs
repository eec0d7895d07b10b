//! Filters over a record type of one's own: requests of a web server.
//!
//! `cargo run -p filter-lang --example made_up_record -- 'req.status >= 500 or req.took > 1s'`

use filter_lang::{
    Arena, ArgRule, Catalogue, FieldDef, FieldId, FieldRef, FieldType, Filter, LookupError, Options, Record,
    Scratch, Value,
};
use std::borrow::Cow;
use std::net::IpAddr;

struct Request {
    path: &'static str,
    status: u64,
    client: IpAddr,
    took_ns: u64,
    headers: &'static [(&'static str, &'static str)],
}

/// Path, status, client, nanoseconds, headers.
type RequestRow = (&'static str, u64, &'static str, u64, &'static [(&'static str, &'static str)]);
const REQUESTS: &[RequestRow] = &[
    ("/", 200, "10.0.0.1", 2_000_000_000, &[("Host", "shop")]),
    ("/buy", 502, "10.0.0.2", 30_000_000, &[("Host", "shop")]),
    ("/buy", 502, "10.0.0.3", 30_000_000, &[("Host", "test")]),
    ("/buy", 502, "192.0.2.1", 30_000_000, &[("Host", "shop")]),
];

/// One row per field: name, type, argument, getter.
type Getter = for<'a> fn(&'a Request, &'a FieldRef, &'a Arena) -> Value<'a>;
const FIELDS: &[(&str, FieldType, ArgRule, Getter)] = &[
    ("req.path", FieldType::Str, ArgRule::None, |request, _, _| Value::text(request.path)),
    ("req.status", FieldType::Uint, ArgRule::None, |request, _, _| Value::Uint(request.status)),
    ("req.client", FieldType::Net, ArgRule::None, |request, _, _| Value::Ip(request.client)),
    ("req.took", FieldType::RelTime, ArgRule::None, |request, _, _| Value::Uint(request.took_ns)),
    // Rendered on demand into the arena.
    ("req.line", FieldType::Str, ArgRule::None, |request, _, arena| {
        Value::Str(arena.format(format_args!("{} {} {}", request.client, request.path, request.status)))
    }),
    ("req.header", FieldType::Str, ArgRule::Required, |request, field, _| {
        let wanted = field.arg.as_deref().unwrap_or_default();
        let header = request.headers.iter().find(|header| header.0.eq_ignore_ascii_case(wanted));
        header.map_or(Value::None, |header| Value::text(header.1))
    }),
];

struct Requests;

impl Catalogue for Requests {
    fn lookup(&self, name: &str, arg: Option<&str>) -> Result<FieldId, LookupError> {
        let at = FIELDS.iter().position(|row| row.0 == name).ok_or(LookupError::Unknown)?;
        match (FIELDS[at].2, arg) {
            (ArgRule::None, Some(_)) => Err(LookupError::ArgNotAllowed),
            (ArgRule::Required, None) => Err(LookupError::ArgRequired),
            _ => Ok(FieldId(at as u32)),
        }
    }

    fn def(&self, field: &FieldRef) -> FieldDef<'_> {
        let row = &FIELDS[field.id.0 as usize];
        FieldDef::new(row.0, row.1).arg(row.2)
    }

    fn names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(FIELDS.iter().map(|row| Cow::Borrowed(row.0)))
    }
}

impl Record for Request {
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        (FIELDS[field.id.0 as usize].3)(self, field, arena)
    }

    // There is one kind of record only.
    fn event_type(&self) -> u16 {
        0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let default =
        "(req.status >= 500 or req.took > 1s) and req.client in (10.0.0.0/8) and not req.header.host = test";
    let text = std::env::args().nth(1).unwrap_or_else(|| default.to_owned());
    let filter = Filter::compile(&text, &Requests, &Options::default())?;
    print!("{}", filter.explain());

    let mut scratch = Scratch::new();
    for (path, status, client, took_ns, headers) in REQUESTS {
        let request = Request { path, status: *status, client: client.parse()?, took_ns: *took_ns, headers };
        if filter.matches(&request, &mut scratch) {
            println!("{client} {path} {status}");
        }
    }
    Ok(())
}
