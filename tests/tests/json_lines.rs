//! The published schema of `-j` is that of the fields, and lines of recorded captures obey it.

use anyhow::{Context, Result, bail};
use capture_engine::fields::{CLASSES, Use};
use capture_tests::data_dir;
use filter_lang::ArgRule;
use serde_json::{Map, Value};
use std::process::Command;

/// Captures whose lines are checked.
const CAPTURES: &[&str] = &["curl_google.scap", "k8s_dns.scap", "interop-full.scap", "kitchen.scap.gz"];

/// Fields of one format.
const PER_FORMAT: usize = 40;

#[test]
fn the_published_schema_is_that_of_the_fields() {
    let published = data_dir().join("../../docs/json-lines.schema.json");
    let published = std::fs::read_to_string(published).expect("docs/json-lines.schema.json reads");
    assert!(published == capture_engine::format::json_schema(), "run `cargo xtask codegen`");
}

#[test]
fn lines_obey_the_schema() {
    let schema: Value = serde_json::from_str(&capture_engine::format::json_schema()).expect("JSON");
    // Fields without argument in formats of a handful, and those whose arguments people use.
    let plain = CLASSES.iter().flat_map(|class| class.fields());
    let plain = plain.filter(|f| f.usage != Use::Filter && f.arg != ArgRule::Required).map(|f| f.name);
    let names: Vec<&str> =
        plain.chain(["evt.arg.res", "evt.rawarg.res", "evt.arg[0]", "proc.aname[1]"]).collect();
    let mut formats: Vec<String> =
        names.chunks(PER_FORMAT).map(|names| format!("*%{}", names.join("% %").replace("% ", " "))).collect();
    formats.push(String::new());
    let (mut lines, mut values) = (0, 0);
    for capture in CAPTURES {
        for format in &formats {
            for line in printed(capture, format) {
                let members: Map<String, Value> =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{capture}: {error}: {line}"));
                for (name, value) in &members {
                    check(&schema, name, value)
                        .unwrap_or_else(|error| panic!("{capture}: {error:#}: {line}"));
                    values += usize::from(!value.is_null());
                }
                lines += 1;
            }
        }
    }
    println!("{lines} lines, {values} values obey the schema");
    assert!(lines > 10_000 && values > 100_000, "{lines} lines, {values} values");
}

/// Lines of `-j` with a format, or with the default one.
fn printed(capture: &str, format: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capture-test"));
    command.env("TZ", "UTC").arg("-j").arg("-r").arg(data_dir().join("captures").join(capture));
    if !format.is_empty() {
        command.args(["-p", format]);
    }
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("JSON is UTF-8").lines().map(str::to_owned).collect()
}

/// Holds a member against the parts of JSON Schema that ours uses.
fn check(schema: &Value, name: &str, value: &Value) -> Result<()> {
    let row = match schema["properties"].get(name) {
        Some(row) => row,
        None => {
            let field = name.split(['[']).next().unwrap_or(name);
            let patterns = schema["patternProperties"].as_object().context("patterns")?;
            let stem = |field: &str| format!("^{}(", field.replace('.', "\\."));
            let dotted = field.rsplit_once('.').map_or(field, |(front, _)| front);
            let found =
                patterns.iter().find(|(p, _)| p.starts_with(&stem(field)) || p.starts_with(&stem(dotted)));
            found.with_context(|| format!("{name} is not in the schema"))?.1
        }
    };
    let types: Vec<&str> =
        row["type"].as_array().context("types")?.iter().filter_map(Value::as_str).collect();
    let fits = types.iter().any(|ty| match *ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        _ => false,
    });
    if fits { Ok(()) } else { bail!("{name} is {value}, not of the types {types:?}") }
}
