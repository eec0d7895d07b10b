//! Reading the JSON of engines: members of the wrong type are members that are not there, and
//! bytes that are no UTF-8 are replaced.

use serde_json::Value;
use std::collections::BTreeMap;

/// Parses; `None` where it is no JSON.
pub(super) fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().or_else(|| serde_json::from_str(&String::from_utf8_lossy(bytes)).ok())
}

/// The text at a path of members; empty where there is none.
pub(super) fn text(value: &Value, path: &[&str]) -> String {
    at(value, path).and_then(Value::as_str).unwrap_or("").to_owned()
}

/// The number at a path of members; 0 where there is none.
pub(super) fn number(value: &Value, path: &[&str]) -> i64 {
    at(value, path).and_then(Value::as_i64).unwrap_or(0)
}

/// The texts of the list at a path of members.
pub(super) fn texts(value: &Value, path: &[&str]) -> Vec<String> {
    items(value, path).iter().filter_map(|v| Some(v.as_str()?.to_owned())).collect()
}

/// The list at a path of members.
pub(super) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], |list| list)
}

/// The texts of the object at a path of members, by name.
pub(super) fn map(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let object = at(value, path).and_then(Value::as_object);
    let entries = object.into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// The value at a path of members.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// Seconds since 1970 of a time as engines write it (RFC 3339); 0 where it is none, or the zero
/// time of Go.
pub(super) fn seconds(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().map_or(0, |t| t.as_second().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_types_are_absent_members() {
        let value = parse(b"{\"a\":{\"b\":\"x\",\"n\":5,\"l\":[\"p\",7,\"q\"]},\"bad\":\"\xff\"}").unwrap();
        assert_eq!(text(&value, &["a", "b"]), "x");
        assert_eq!(text(&value, &["a", "n"]), "");
        assert_eq!(number(&value, &["a", "b"]), 0);
        assert_eq!(texts(&value, &["a", "l"]), ["p", "q"]);
        assert_eq!(map(&value, &["a"]).len(), 1);
        assert_eq!(text(&value, &["bad"]), "\u{fffd}");
        assert_eq!(parse(b"{"), None);
    }

    #[test]
    fn times() {
        assert_eq!(seconds("2026-11-21T05:31:14.004161581Z"), 1_795_239_074);
        assert_eq!(seconds("2026-11-21T06:31:14+01:00"), 1_795_239_074);
        assert_eq!(seconds("0001-01-01T00:00:00Z"), 0);
        assert_eq!(seconds("yesterday"), 0);
    }
}
