//! The JSON Schema of the lines that `-j` prints, made from the rows of the fields.

use crate::fields::{CLASSES, Field, Use};
use filter_lang::{ArgRule, Arity, FieldType};
use serde_json::{Map, json};

/// The schema (draft 2020-12): which members a line can have and of what type their values are.
/// Which of them a line has is up to the format; with a format that begins with `*` (as the default
/// ones do) any of them can be null.
pub fn json_schema() -> String {
    let (mut named, mut patterns) = (Map::new(), Map::new());
    for field in CLASSES.iter().flat_map(|class| class.fields()).filter(|f| f.usage != Use::Filter) {
        let mut types = match VARIED.iter().find(|(name, _)| *name == field.name) {
            Some((_, types)) => types.to_vec(),
            None => vec![json_type(field)],
        };
        types.push("null");
        let value = json!({ "description": field.help, "type": types });
        if field.arg != ArgRule::None {
            let pattern = format!("^{}(\\.[A-Za-z0-9_]+|\\[[^\\]]*\\])$", field.name.replace('.', "\\."));
            patterns.insert(pattern, value.clone());
        }
        if field.arg != ArgRule::Required {
            named.insert(field.name.to_owned(), value);
        }
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of `capture -j`",
        "description": "An event: the fields of the format by name, with their arguments as the format has them",
        "type": "object",
        "properties": named,
        "patternProperties": patterns,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

/// Fields whose values have the type of what their argument names.
const VARIED: &[(&str, &[&str])] =
    &[("evt.rawarg", &["boolean", "integer", "number", "string"]), ("proc.apid", &["integer", "string"])];

/// Numbers and booleans are JSON's own, everything else is text.
fn json_type(field: &Field) -> &'static str {
    // The time column is a number in JSON, whatever `-t` says.
    if field.name == "evt.outputtime" {
        return "integer";
    }
    // Lists are joined to text.
    if field.arity != Arity::One {
        return "string";
    }
    match field.ty {
        FieldType::Bool => "boolean",
        FieldType::Double => "number",
        FieldType::Int
        | FieldType::Uint
        | FieldType::Port
        | FieldType::RelTime
        | FieldType::AbsTime
        | FieldType::Flags => "integer",
        FieldType::Str
        | FieldType::Keyword
        | FieldType::Bytes
        | FieldType::Ip
        | FieldType::Net
        | FieldType::WithinMs => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_schema_is_json_and_knows_the_default_line() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        for (name, ty) in [("evt.num", "integer"), ("evt.outputtime", "integer"), ("evt.info", "string")] {
            assert_eq!(schema["properties"][name]["type"][0], ty, "{name}");
        }
        assert!(schema["patternProperties"]["^evt\\.arg(\\.[A-Za-z0-9_]+|\\[[^\\]]*\\])$"].is_object());
    }
}
