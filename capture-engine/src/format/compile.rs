//! Format strings, compiled.
//!
//! `%field` inserts a field; the longest name that the text continues with wins. `%12field` makes
//! it exactly 12 characters wide. `%%` is a percent sign, a leading `*` prints lines though
//! fields have no value, and `\n`, `\t`, `\e`, `\\` are what they are in C.

use super::{FieldPiece, Hot, Piece};
use crate::catalogue::{FieldCatalogue, ParamPlaces, param_places};
use crate::fields::subject::subject_of;
use crate::fields::{Ctx, Field, Use, all};
use crate::render::TextOptions;
use crate::view::EventView;
use filter_lang::{Arena, ArgRule, Catalogue, FieldId, LookupError, Subject};

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A percent sign that no field's name follows.
    #[error("no field is called {name:?}{}{}", place_text(*.at), near_text(.near))]
    UnknownField {
        /// What follows the percent sign.
        name: String,
        /// Where the percent sign stands, counted from 1; 0 where the name came alone.
        at: usize,
        /// Names that look like it.
        near: Vec<&'static str>,
    },
    /// The field needs an argument.
    #[error("field {name} needs an argument, as in {example}")]
    ArgRequired {
        /// The field.
        name: &'static str,
        /// An example of its use.
        example: &'static str,
    },
    /// The argument does not fit the field.
    #[error("field {name} cannot take the argument {arg:?}: {reason}")]
    BadArg {
        /// The field.
        name: &'static str,
        /// The argument.
        arg: String,
        /// Why.
        reason: String,
    },
    /// The field is for filters only.
    #[error("{name} is filter only and cannot be used as a display field")]
    FilterOnly {
        /// The field.
        name: &'static str,
    },
    /// A bracket without its partner.
    #[error("the bracket after {name} is not closed")]
    OpenBracket {
        /// The field.
        name: &'static str,
    },
}

fn place_text(at: usize) -> String {
    if at == 0 { String::new() } else { format!(" (at character {at} of the format)") }
}

fn near_text(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!("; near: {}", near.join(", ")) }
}

/// A format's pieces.
pub(super) struct Compiled {
    pub(super) pieces: Vec<Piece>,
    pub(super) tolerant: bool,
    pub(super) has_colours: bool,
}

/// Compiles a format.
pub(super) fn compile(format: &str) -> Result<Compiled, FormatError> {
    let text = unescape(format);
    let has_colours = text.contains('\u{1b}');
    let (tolerant, body) = match text.strip_prefix('*') {
        Some(body) => (true, body),
        None => (false, &text[..]),
    };
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = body;
    while let Some(at) = rest.find('%') {
        literal.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('%') {
            literal.push('%');
            rest = after;
            continue;
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into_bytes().into()));
        }
        let position = text.len() - rest.len() + at + 1;
        let (piece, len) = field_piece(after, position)?;
        pieces.push(Piece::Field(piece));
        rest = &after[len..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into_bytes().into()));
    }
    Ok(Compiled { pieces, tolerant, has_colours })
}

/// A field by name, with its argument resolved.
#[derive(Clone, Debug)]
pub struct ResolvedField {
    /// The field.
    pub field: &'static Field,
    arg: Option<Box<str>>,
    places: Option<&'static ParamPlaces>,
}

impl ResolvedField {
    /// The subject that decides its value alone, so that the value need not be read again while
    /// [`filter_lang::Record::version`] of the subject stays; `None` where there is none.
    pub fn subject(&self) -> Option<Subject> {
        subject_of(self.field.name)
    }

    /// What its getter is given.
    #[inline]
    pub fn ctx<'a>(&'a self, view: &'a EventView<'a>, options: &'a TextOptions, arena: &'a Arena) -> Ctx<'a> {
        Ctx { view, options, arg: self.arg.as_deref(), places: self.places, arena }
    }
}

/// The field that a text names, argument included: `proc.aname[3]`, `evt.arg.path`. An argument of
/// events may have a name that no event knows (any more): it never has a value then.
///
/// # Errors
/// When it names none, or is more than that.
pub fn resolve_field(text: &str) -> Result<ResolvedField, FormatError> {
    match field_piece(text, 0) {
        Ok((piece, len)) if len == text.len() && piece.width.is_none() => Ok(piece.resolved),
        Ok(_) => Err(unknown(text, 0)),
        Err(FormatError::BadArg { name: "evt.arg" | "evt.rawarg", arg, .. }) => {
            let field = longest_field(text).ok_or_else(|| unknown(text, 0))?;
            Ok(ResolvedField { field, arg: Some(arg.into()), places: None })
        }
        Err(error) => Err(error),
    }
}

fn unescape(format: &str) -> String {
    let mut text = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.clone().next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('e') => text.push('\u{1b}'),
            Some('\\') => text.push('\\'),
            _ => {
                text.push('\\');
                continue;
            }
        }
        chars.next();
    }
    text
}

/// The field at the start of `text`, and how many bytes of it belong to it.
fn field_piece(text: &str, position: usize) -> Result<(FieldPiece, usize), FormatError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let width = text[..digits].parse::<usize>().ok().map(|w| w.min(MAX_WIDTH));
    let name_text = &text[digits..];
    let field = longest_field(name_text).ok_or_else(|| unknown(name_text, position))?;
    if field.usage == Use::Filter {
        return Err(FormatError::FilterOnly { name: field.name });
    }
    let (arg, arg_len) = argument(field, &name_text[field.name.len()..])?;
    let places = match arg {
        Some(arg) => param_places(check_argument(field, arg)?),
        None if field.arg == ArgRule::Required => {
            return Err(FormatError::ArgRequired { name: field.name, example: field.example });
        }
        None => None,
    };
    let len = field.name.len() + arg_len;
    let piece = FieldPiece {
        resolved: ResolvedField { field, arg: arg.map(Into::into), places },
        label: name_text[..len].into(),
        key: super::json::key(&name_text[..len]),
        width,
        hot: Hot::named(field.name),
    };
    Ok((piece, digits + len))
}

/// Wider columns are a slip of the finger.
const MAX_WIDTH: usize = 4096;

fn longest_field(text: &str) -> Option<&'static Field> {
    all().filter(|f| text.starts_with(f.name)).max_by_key(|f| f.name.len())
}

/// The argument after a field's name: `.name` or `[text]`.
fn argument<'t>(field: &Field, text: &'t str) -> Result<(Option<&'t str>, usize), FormatError> {
    if field.arg == ArgRule::None {
        return Ok((None, 0));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let Some(end) = inner.find(']') else { return Err(FormatError::OpenBracket { name: field.name }) };
        return Ok((Some(&inner[..end]), end + 2));
    }
    let Some(inner) = text.strip_prefix('.') else { return Ok((None, 0)) };
    // Label names have dots and slashes of their own; names of arguments do not.
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = inner.find(|c| !in_name(c)).unwrap_or(inner.len());
    if end == 0 { Ok((None, 0)) } else { Ok((Some(&inner[..end]), end + 1)) }
}

fn check_argument(field: &'static Field, arg: &str) -> Result<FieldId, FormatError> {
    match FieldCatalogue.lookup(field.name, Some(arg)) {
        Ok(id) => Ok(id),
        Err(LookupError::BadArg { reason, .. }) => {
            Err(FormatError::BadArg { name: field.name, arg: arg.to_owned(), reason })
        }
        Err(_) => Err(FormatError::BadArg {
            name: field.name,
            arg: arg.to_owned(),
            reason: "it takes none".to_owned(),
        }),
    }
}

fn unknown(text: &str, at: usize) -> FormatError {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let name = &text[..text.find(|c| !in_name(c)).unwrap_or(text.len())];
    // Cutting components off until something is known shows the class that was meant.
    let class = name.split('.').next().unwrap_or(name);
    let mut near: Vec<_> = all()
        .map(|f| f.name)
        .filter(|known| known.split('.').next() == Some(class) && shares(known, name))
        .collect();
    near.truncate(5);
    FormatError::UnknownField { name: name.to_owned(), at, near }
}

/// Whether two names begin alike: at least the class and two characters more.
fn shares(known: &str, name: &str) -> bool {
    let common = known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    common >= name.find('.').map_or(0, |dot| dot + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, expected: &[&str]) {
        let compiled = compile(format).unwrap_or_else(|e| panic!("{format}: {e}"));
        let show = |piece: &Piece| match piece {
            Piece::Literal(text) => format!("{:?}", String::from_utf8_lossy(text)),
            Piece::Field(f) => match (&f.resolved.arg, f.width) {
                (Some(arg), None) => format!("{}({arg})", f.resolved.field.name),
                (None, Some(width)) => format!("{}:{width}", f.resolved.field.name),
                _ => f.resolved.field.name.to_owned(),
            },
        };
        assert_eq!(compiled.pieces.iter().map(show).collect::<Vec<_>>(), expected, "{format}");
    }

    #[test]
    fn names_widths_and_arguments() {
        check("%evt.numx", &["evt.num", "\"x\""]);
        check("%12evt.type|%evt.type.is.open", &["evt.type:12", "\"|\"", "evt.type.is(open)"]);
        check("%evt.arg.fd %evt.arg[0]", &["evt.arg(fd)", "\" \"", "evt.arg(0)"]);
        check("%proc.env[HOME]%proc.aname[2]", &["proc.env(HOME)", "proc.aname(2)"]);
        check("%evt.time.", &["evt.time", "\".\""]);
        check("100%% %evt.cpu", &["\"100% \"", "evt.cpu"]);
    }

    #[test]
    fn fields_alone() {
        let found = resolve_field("proc.aname[3]").unwrap();
        assert_eq!((found.field.name, found.arg.as_deref()), ("proc.aname", Some("3")));
        assert_eq!(resolve_field("evt.arg.environment").unwrap().arg.as_deref(), Some("environment"));
        for text in ["", "12evt.num", "evt.num ", "proc.nam", "fd.ip", "evt.arg"] {
            assert!(resolve_field(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes() {
        check(r"a\nb\tc\e[01;31m\\d \q", &["\"a\\nb\\tc\\u{1b}[01;31m\\\\d \\\\q\""]);
        assert!(compile(r"\e[0m").unwrap().has_colours);
        assert!(compile("*x").unwrap().tolerant);
    }

    #[test]
    fn errors_name_the_place_and_the_field() {
        let error = |format: &str| compile(format).err().unwrap().to_string();
        assert!(error("x %proc.nam").contains("\"proc.nam\" (at character 3"));
        assert!(error("x %proc.nam").contains("proc.name"));
        assert!(error("%fd.ip").contains("filter only"));
        assert!(error("%evt.arg x").contains("evt.arg.res"));
        assert!(error("%proc.aname[x]").contains("ancestor"));
        assert!(error("%evt.arg[0").contains("not closed"));
    }
}
