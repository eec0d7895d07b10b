//! Errors and warnings: what is wrong, where (a caret under the text), and what was probably meant.
//!
//! Invariant: displaying an error costs a few lines, however long the filter is.

use crate::ast::Span;
use std::fmt;

/// What is wrong with a filter.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing but blanks.
    #[error("the filter is empty")]
    Empty,
    /// Longer than the limit.
    #[error("the filter is {len_bytes} bytes long; the limit is {limit_bytes}")]
    TooLong {
        /// Length of the text.
        len_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// Parentheses nested deeper than the limit.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Macros that expand into too many checks.
    #[error("expands into more than {limit} checks")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A quote that is never closed.
    #[error("this quote is never closed")]
    UnclosedQuote,
    /// An escape that cannot be read.
    #[error("bad escape sequence: {reason}")]
    BadEscape {
        /// Why.
        reason: &'static str,
    },
    /// The grammar wants something else here.
    #[error("expected {expected}")]
    Syntax {
        /// What would fit, in words.
        expected: String,
    },
    /// No such field.
    #[error("there is no field `{name}`")]
    UnknownField {
        /// As written.
        name: String,
    },
    /// A field's argument is missing, unwanted or wrong.
    #[error("field `{name}` {reason}")]
    FieldArg {
        /// The field.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A field that can only be printed.
    #[error("field `{name}` can be printed but not used in a filter")]
    NotFilterable {
        /// The field.
        name: String,
    },
    /// A macro that is not defined.
    #[error("`{name}` is neither a check nor a known macro")]
    UnknownMacro {
        /// As written.
        name: String,
    },
    /// A macro or list that needs itself.
    #[error("`{name}` refers to itself")]
    Recursive {
        /// The macro or list.
        name: String,
    },
    /// The operator does not fit the type.
    #[error("`{op}` does not work on {what}, which is {noun}; it takes {allowed}")]
    OperatorType {
        /// The operator.
        op: &'static str,
        /// The field or call.
        what: String,
        /// Its type.
        noun: &'static str,
        /// The operators that do.
        allowed: String,
    },
    /// A constant that does not fit the type.
    #[error("`{text}` does not fit `{what}`, which takes {wanted}")]
    BadConstant {
        /// As written.
        text: String,
        /// The field or call.
        what: String,
        /// What the field takes: "a valid number".
        wanted: String,
    },
    /// A pattern that does not compile.
    #[error("bad pattern: {reason}")]
    BadPattern {
        /// From the pattern compiler.
        reason: String,
    },
    /// A transformer that does not exist.
    #[error("there is no transformer `{name}`")]
    UnknownTransformer {
        /// As written.
        name: String,
    },
    /// A transformer used wrongly.
    #[error("`{name}` {reason}")]
    BadCall {
        /// The transformer.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Two sides of a comparison that cannot be compared.
    #[error("{left} is {left_noun} and {right} is {right_noun}; they cannot be compared")]
    SidesDiffer {
        /// Left side.
        left: String,
        /// Its type.
        left_noun: &'static str,
        /// Right side.
        right: String,
        /// Its type.
        right_noun: &'static str,
    },
}

/// A macro, as errors and warnings name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// File and line of its entry, if it was read from a file.
    pub place: Option<(String, usize)>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        match &self.place {
            Some((file, line)) => write!(f, " ({file}:{line})"),
            None => Ok(()),
        }
    }
}

/// Why a filter was refused: kind, place, suggestions. Its `Display` shows the text with a caret.
#[derive(Clone, PartialEq, Debug)]
pub struct FilterError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The place, in bytes of [`FilterError::text`].
    pub span: Span,
    /// The text that the place is in: the filter, or a macro's condition.
    pub text: String,
    /// The macro that the text belongs to.
    pub origin: Option<Origin>,
    /// Names that were probably meant.
    pub near: Vec<String>,
    /// A remedy, if one is known.
    pub help: Option<String>,
}

impl std::error::Error for FilterError {}

impl FilterError {
    pub(crate) fn new(kind: ErrorKind, span: Span) -> Box<FilterError> {
        Box::new(FilterError { kind, span, text: String::new(), origin: None, near: Vec::new(), help: None })
    }

    pub(crate) fn near(mut self: Box<Self>, near: Vec<String>) -> Box<FilterError> {
        self.near = near;
        self
    }

    pub(crate) fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<FilterError> {
        self.help = Some(help.into());
        self
    }

    /// Attaches the text unless an inner macro already attached its own.
    pub(crate) fn in_text(mut self: Box<Self>, text: &str, origin: Option<&Origin>) -> Box<FilterError> {
        if self.text.is_empty() {
            text.clone_into(&mut self.text);
            self.origin = origin.cloned();
        }
        self
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_caret(f, "filter error", self.origin.as_ref(), &self.text, self.span)?;
        show_clipped(f, &self.kind)?;
        show_near(f, &self.near)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Something legal that is probably not what was meant.
#[derive(Clone, PartialEq, Debug)]
pub struct Warning {
    /// What and why.
    pub message: String,
    /// The place, in bytes of [`Warning::text`].
    pub span: Span,
    /// The text that the place is in.
    pub text: String,
    /// The macro that the text belongs to.
    pub origin: Option<Origin>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_caret(f, "warning", self.origin.as_ref(), &self.text, self.span)?;
        f.write_str(&self.message)
    }
}

/// Writes what is wrong, without letting an endless name through.
fn show_clipped(f: &mut fmt::Formatter<'_>, kind: &ErrorKind) -> fmt::Result {
    let text = kind.to_string();
    match text.char_indices().nth(REASON_MAX_CHARS) {
        Some((end, _)) => write!(f, "{}...", &text[..end]),
        None => f.write_str(&text),
    }
}

/// Longest reason shown.
const REASON_MAX_CHARS: usize = 400;
/// Most characters of the filter's line that an error shows on either side of its place.
const CONTEXT_CHARS: usize = 60;
/// Most carets under the text.
const CARETS_MAX: usize = 40;

/// Writes a heading, the line that the span is in, and carets under the span.
fn show_caret(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    origin: Option<&Origin>,
    text: &str,
    span: Span,
) -> fmt::Result {
    let start = floor_boundary(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line_number = text[..line_start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count() + 1;
    write!(f, "{what} at ")?;
    if line_number > 1 || text.len() > line_end {
        write!(f, "line {line_number}, ")?;
    }
    write!(f, "column {column}")?;
    if let Some(origin) = origin {
        write!(f, " of {origin}")?;
    }
    let before: Vec<char> = text[line_start..start].chars().collect();
    let skipped = before.len().saturating_sub(CONTEXT_CHARS);
    let mut shown = String::new();
    let mut pad = String::new();
    if skipped > 0 {
        shown.push_str("...");
        pad.push_str("   ");
    }
    for &c in &before[skipped..] {
        shown.push(printable(c));
        pad.push(' ');
    }
    let rest = &text[start..line_end];
    shown.extend(rest.chars().take(CONTEXT_CHARS).map(printable));
    if rest.chars().nth(CONTEXT_CHARS).is_some() {
        shown.push_str("...");
    }
    let end = floor_boundary(text, span.end.min(line_end)).max(start);
    let carets = text[start..end].chars().take(CARETS_MAX).count().max(1);
    write!(f, ":\n  {shown}\n  {pad}{}\n", "^".repeat(carets))
}

/// Control characters would break the alignment of the caret line.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn show_near(f: &mut fmt::Formatter<'_>, near: &[String]) -> fmt::Result {
    match near {
        [] => Ok(()),
        [one] => write!(f, "; did you mean `{one}`?"),
        [first @ .., last] => {
            write!(f, "; did you mean ")?;
            for name in first {
                write!(f, "`{name}`, ")?;
            }
            write!(f, "or `{last}`?")
        }
    }
}
