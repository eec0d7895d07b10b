//! Every field of sysdig 0.29.3 and of current libs has a row here, with arguments and uses as there.

use capture_engine::fields::{self, Field, Use};
use capture_tests::data_dir;
use filter_lang::{ArgRule, FieldType};
use std::collections::HashMap;

/// Fields whose argument may be left out here, though the list says that it must not.
const ARGUMENT_MAY_LACK: &[&str] = &["evt.abspath"];

/// (list, name, type, flags) of the fields of the published lists.
fn published() -> Vec<(String, String, String, Vec<String>)> {
    let text = std::fs::read_to_string(data_dir().join("fields/names.json")).expect("reads");
    let lists: HashMap<String, Vec<(String, String, Vec<String>)>> =
        serde_json::from_str(&text).expect("is JSON");
    let rows = lists.into_iter();
    rows.flat_map(|(list, rows)| rows.into_iter().map(move |(n, t, f)| (list.clone(), n, t, f))).collect()
}

fn rows() -> HashMap<&'static str, &'static Field> {
    fields::all().map(|field| (field.name, field)).collect()
}

#[test]
fn none_is_missing() {
    let rows = rows();
    let published = published();
    let count = |list: &str| published.iter().filter(|row| row.0 == list).count();
    assert_eq!((count("sysdig 0.29.3"), count("libs 48dfd53c")), (285, 233));
    let missing: Vec<_> = published.iter().filter(|row| !rows.contains_key(&*row.1)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn arguments_and_uses_are_those_of_the_lists() {
    let rows = rows();
    for (list, name, _, flags) in published() {
        let field = rows[&*name];
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        let place = format!("{name} of {list}");
        if has("ARG_REQUIRED") && !ARGUMENT_MAY_LACK.contains(&&*name) {
            assert_eq!(field.arg, ArgRule::Required, "{place}");
        }
        if has("ARG_ALLOWED") {
            assert_eq!(field.arg, ArgRule::Optional, "{place}");
        }
        assert!(!has("FILTER_ONLY") || field.usage == Use::Filter, "{place}");
        assert!(!has("PRINT_ONLY") || field.usage == Use::Format, "{place}");
        assert!(!has("TABLE_ONLY") || field.hidden, "{place}");
    }
}

#[test]
fn kinds_of_values_are_those_of_the_lists() {
    let rows = rows();
    for (list, name, ty, _) in published() {
        let kind = |ty: FieldType| match ty {
            FieldType::Str | FieldType::Keyword => "text",
            FieldType::Bytes => "buffer",
            FieldType::Bool => "bool",
            FieldType::Ip => "address",
            FieldType::Net => "network",
            _ => "number",
        };
        let wanted = match &*ty {
            "CHARBUF" => "text",
            "BYTEBUF" => "buffer",
            "BOOL" => "bool",
            "IPADDR" => "address",
            "IPNET" => "network",
            "DYN" => continue,
            _ => "number",
        };
        // Ports compare with numbers and with names of services.
        let is_service = name.ends_with("proto") && rows[&*name].ty == FieldType::Port;
        assert!(is_service || kind(rows[&*name].ty) == wanted, "{name} of {list}: {ty}");
    }
}
