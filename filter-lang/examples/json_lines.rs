//! Filters over JSON lines: the fields and their types are learnt from the data.
//!
//! `cargo run -p filter-lang --example json_lines -- 'line.level=error and line.tags intersects (db)' FILE`

use filter_lang::{
    Arena, Arity, Catalogue, FieldDef, FieldId, FieldRef, FieldType, Filter, LookupError, Options, Record,
    Scratch, Value,
};
use serde_json::Value as Json;
use std::borrow::Cow;

/// Fields in the order of their first appearance: dotted name, path in the object, type, arity.
#[derive(Default)]
struct Learnt(Vec<(String, Vec<String>, FieldType, Arity)>);

impl Learnt {
    fn learn(&mut self, name: &str, path: &[String], json: &Json) {
        let (ty, arity) = match json {
            Json::Object(members) => {
                for (key, value) in members {
                    let path: Vec<String> = path.iter().cloned().chain([key.clone()]).collect();
                    self.learn(&format!("{name}.{key}"), &path, value);
                }
                return;
            }
            Json::Bool(_) => (FieldType::Bool, Arity::One),
            Json::Number(number) if number.is_i64() || number.is_u64() => (FieldType::Int, Arity::One),
            Json::Number(_) => (FieldType::Double, Arity::One),
            Json::Array(_) => (FieldType::Str, Arity::List),
            Json::String(_) | Json::Null => (FieldType::Str, Arity::One),
        };
        if !self.0.iter().any(|row| row.0 == name) {
            self.0.push((name.to_owned(), path.to_vec(), ty, arity));
        }
    }
}

impl Catalogue for Learnt {
    fn lookup(&self, name: &str, arg: Option<&str>) -> Result<FieldId, LookupError> {
        let at = self.0.iter().position(|row| row.0 == name).ok_or(LookupError::Unknown)?;
        if arg.is_some() { Err(LookupError::ArgNotAllowed) } else { Ok(FieldId(at as u32)) }
    }

    fn def(&self, field: &FieldRef) -> FieldDef<'_> {
        let row = &self.0[field.id.0 as usize];
        FieldDef::new(&row.0, row.2).arity(row.3)
    }

    fn names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(self.0.iter().map(|row| Cow::Borrowed(row.0.as_str())))
    }
}

struct Line<'l> {
    json: Json,
    fields: &'l Learnt,
}

impl Record for Line<'_> {
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        let path = &self.fields.0[field.id.0 as usize].1;
        match path.iter().try_fold(&self.json, |json, key| json.get(key)) {
            Some(json) => value(json, arena),
            None => Value::None,
        }
    }

    fn event_type(&self) -> u16 {
        0
    }
}

fn value<'a>(json: &'a Json, arena: &'a Arena) -> Value<'a> {
    match json {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(decimal)) => Value::Double(decimal),
            (None, None) => Value::None,
        },
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::List(arena.list(items.iter().map(|item| value(item, arena)))),
        Json::Null | Json::Object(_) => Value::None,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let text =
        args.next().unwrap_or_else(|| "line.level=error and line.tags intersects (db, disk)".to_owned());
    let data = match args.next() {
        Some(path) => std::fs::read_to_string(path)?,
        None => include_str!("access.jsonl").to_owned(),
    };
    let lines: Vec<Json> = data.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut fields = Learnt::default();
    for line in &lines {
        fields.learn("line", &[], line);
    }
    let filter = Filter::compile(&text, &fields, &Options::default())?;
    for warning in filter.warnings() {
        eprintln!("{warning}");
    }
    let mut scratch = Scratch::new();
    for json in lines {
        let line = Line { json, fields: &fields };
        if filter.matches(&line, &mut scratch) {
            println!("{}", line.json);
        }
    }
    Ok(())
}
