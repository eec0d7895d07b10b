//! [`JsonLine`]: one object per line, written member by member.

use crate::text::write_number;
use capture_engine::format::push_json_string;
use capture_engine::render::number::{dec_i64, dec_u64};

/// An object, or a list, under construction at the end of a buffer.
#[derive(Debug)]
pub(crate) struct JsonLine<'o> {
    out: &'o mut Vec<u8>,
    /// Whether a comma comes before what is next.
    follows: bool,
}

impl<'o> JsonLine<'o> {
    /// Begins an object.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        JsonLine { out, follows: false }
    }

    /// Ends the object and its line.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn comma(&mut self) {
        if std::mem::replace(&mut self.follows, true) {
            self.out.push(b',');
        }
    }

    fn name(&mut self, name: &str) {
        self.comma();
        push_json_string(self.out, name.as_bytes());
        self.out.push(b':');
    }

    /// A member that is text.
    pub(crate) fn text(&mut self, name: &str, text: &[u8]) -> &mut Self {
        self.name(name);
        push_json_string(self.out, text);
        self
    }

    /// A member that is text, or null.
    pub(crate) fn maybe(&mut self, name: &str, text: Option<&[u8]>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => {
                self.name(name);
                self.out.extend_from_slice(b"null");
                self
            }
        }
    }

    /// A member that is a whole number.
    pub(crate) fn uint(&mut self, name: &str, number: u64) -> &mut Self {
        self.name(name);
        dec_u64(self.out, number);
        self
    }

    /// A member that is a whole number, maybe negative.
    pub(crate) fn int(&mut self, name: &str, number: i64) -> &mut Self {
        self.name(name);
        dec_i64(self.out, number);
        self
    }

    /// A member that is a number.
    pub(crate) fn number(&mut self, name: &str, number: f64) -> &mut Self {
        self.name(name);
        self.push_number(number);
        self
    }

    /// A member that is true or false.
    pub(crate) fn is(&mut self, name: &str, is: bool) -> &mut Self {
        self.name(name);
        self.out.extend_from_slice(if is { b"true" } else { b"false" });
        self
    }

    /// A member that is a list; `fill` adds its elements.
    pub(crate) fn list(&mut self, name: &str, fill: impl FnOnce(&mut JsonLine<'_>)) -> &mut Self {
        self.name(name);
        self.nested(b"[]", fill);
        self
    }

    /// An element of a list that is an object.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut JsonLine<'_>)) -> &mut Self {
        self.comma();
        self.nested(b"{}", fill);
        self
    }

    /// An element of a list that is a list.
    pub(crate) fn row(&mut self, fill: impl FnOnce(&mut JsonLine<'_>)) -> &mut Self {
        self.comma();
        self.nested(b"[]", fill);
        self
    }

    /// An element of a list that is text.
    pub(crate) fn item(&mut self, text: &[u8]) -> &mut Self {
        self.comma();
        push_json_string(self.out, text);
        self
    }

    /// An element of a list that is a number.
    pub(crate) fn item_number(&mut self, number: f64) -> &mut Self {
        self.comma();
        self.push_number(number);
        self
    }

    fn push_number(&mut self, number: f64) {
        if number.is_finite() {
            write_number(self.out, number);
        } else {
            self.out.extend_from_slice(b"null");
        }
    }

    fn nested(&mut self, brackets: &[u8; 2], fill: impl FnOnce(&mut JsonLine<'_>)) {
        self.out.push(brackets[0]);
        fill(&mut JsonLine { out: self.out, follows: false });
        self.out.push(brackets[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between() {
        let mut out = Vec::new();
        let mut json = JsonLine::begin(&mut out);
        json.text("a", b"x\"\n").uint("b", 7).maybe("c", None).is("d", true).number("e", 0.5);
        json.list("f", |list| {
            list.item(b"y").item_number(1.0).row(|row| _ = row.item(b"z")).object(|o| _ = o.int("g", -1));
        });
        json.end();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"a\":\"x\\\"\\n\",\"b\":7,\"c\":null,\"d\":true,\"e\":0.5,\"f\":[\"y\",1,[\"z\"],{\"g\":-1}]}\n"
        );
    }
}
