//! YAML as the value that the same JSON would be, for kubeconfig files. Read event by event, so that
//! aliases (which can multiply without bound) are refused before they are expanded.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// Deepest nesting; kubeconfig files need five.
const DEPTH_MAX: usize = 24;

/// Why a text was not read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct NotYaml {
    line: usize,
    reason: String,
}

/// Reads the first document of a text.
pub(super) fn parse(text: &str) -> Result<Value, NotYaml> {
    let mut reader = Reader { events: Parser::new_from_str(text), line: 1 };
    while let Some(event) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::DocumentEnd | Event::StreamEnd => break,
            event => return reader.value(event, 0),
        }
    }
    Ok(Value::Null)
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    line: usize,
}

impl<'t> Reader<'t> {
    fn error(&self, reason: impl Into<String>) -> NotYaml {
        NotYaml { line: self.line, reason: reason.into() }
    }

    fn next(&mut self) -> Result<Option<Event<'t>>, NotYaml> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(Some(event))
            }
            Some(Err(error)) => Err(NotYaml { line: error.marker().line(), reason: error.info().to_owned() }),
        }
    }

    fn value(&mut self, event: Event<'t>, depth: usize) -> Result<Value, NotYaml> {
        if depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(scalar(&text, style)),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                while let Some(item) = self.child(depth)? {
                    items.push(item);
                }
                Ok(items.into())
            }
            Event::MappingStart(..) => {
                let mut members = Map::new();
                while let Some(key) = self.child(depth)? {
                    let Value::String(key) = key else { return Err(self.error("a key that is no text")) };
                    let value = self.child(depth)?;
                    members.insert(key, value.ok_or_else(|| self.error("a key without a value"))?);
                }
                Ok(members.into())
            }
            Event::Alias(_) => Err(self.error("aliases are not supported")),
            other => Err(self.error(format!("unexpected {other:?}"))),
        }
    }

    /// The next node inside a collection, or nothing at its end.
    fn child(&mut self, depth: usize) -> Result<Option<Value>, NotYaml> {
        match self.next()? {
            None => Err(self.error("this is never finished")),
            Some(Event::SequenceEnd | Event::MappingEnd) => Ok(None),
            Some(event) => self.value(event, depth + 1).map(Some),
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "true") => true.into(),
        (ScalarStyle::Plain, "false") => false.into(),
        (ScalarStyle::Plain, "" | "~" | "null") => Value::Null,
        (_, text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_are_read_alike() {
        let check = |text: &str, value: Value| assert_eq!(parse(text).unwrap(), value, "{text}");
        check(
            "a: b\nc: [d, {e: true}]\nf: 'true'\ng:\n",
            json!({"a": "b", "c": ["d", {"e": true}], "f": "true", "g": null}),
        );
        check("{\"a\": [\"b\"]}", json!({"a": ["b"]}));
        check("", Value::Null);
        for (text, reason) in [
            ("a: &x [1]\nb: *x", "aliases"),
            ("[1]: b", "no text"),
            ("a: 'b", "line"),
            (&format!("{}x", "- ".repeat(100)), "nested"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
