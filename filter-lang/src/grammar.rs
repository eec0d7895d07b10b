//! The pest parser and the guard in front of it.
//!
//! pest recurses once per level of nesting, so the depth of parentheses is bounded here, before it
//! sees the text. The guard skips quoted text exactly as the grammar does; where the two could differ
//! (a quote in a place where the grammar has none) the grammar stops with an error at that quote.

use crate::ast::Span;
use crate::error::{ErrorKind, FilterError};
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

#[derive(pest_derive::Parser)]
#[grammar = "filter.pest"]
struct FilterParser;

/// Deepest nesting of parentheses, the same as stock's.
pub const DEPTH_MAX: usize = 100;
/// Longest text: far above any real filter, low enough that parsing takes bounded memory.
pub const TEXT_MAX_BYTES: usize = 8 << 20;

/// Parses text into pest's pairs.
pub(crate) fn pairs(text: &str) -> Result<Pair<'_, Rule>, Box<FilterError>> {
    guard(text)?;
    let parsed = FilterParser::parse(Rule::text, text).map_err(|error| syntax_error(text, &error))?;
    parsed.into_iter().next().ok_or_else(|| FilterError::new(ErrorKind::Empty, Span::default()))
}

/// Refuses what pest must not see: empty text, too much text, deep nesting, an open quote, a NUL.
fn guard(text: &str) -> Result<(), Box<FilterError>> {
    if text.len() > TEXT_MAX_BYTES {
        let kind = ErrorKind::TooLong { len_bytes: text.len(), limit_bytes: TEXT_MAX_BYTES };
        return Err(FilterError::new(kind, Span::default()));
    }
    if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | 8 | b'\r' | b'\n')) {
        return Err(FilterError::new(ErrorKind::Empty, Span::default()));
    }
    if let Some(at) = text.find('\0') {
        let kind = ErrorKind::BadEscape { reason: "a NUL byte cannot match anything" };
        return Err(FilterError::new(kind, Span { start: at, end: at + 1 }));
    }
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'(' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let span = Span { start: at, end: at + 1 };
                    return Err(FilterError::new(ErrorKind::TooDeep { limit: DEPTH_MAX }, span));
                }
            }
            b')' => depth = depth.saturating_sub(1),
            b'\'' | b'"' => match closing_quote(bytes, at) {
                Some(close) => at = close,
                None => {
                    return Err(FilterError::new(ErrorKind::UnclosedQuote, Span { start: at, end: at + 1 }));
                }
            },
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Index of the quote that closes the one at `open`.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == bytes[open] => return Some(at),
            _ => at += 1,
        }
    }
}

/// Turns pest's error into ours: what would have fitted, and a hint for the common slips.
fn syntax_error(text: &str, error: &pest::error::Error<Rule>) -> Box<FilterError> {
    let start = match error.location {
        InputLocation::Pos(at) => at,
        InputLocation::Span((start, _)) => start,
    };
    let rest = &text[start..];
    let word_len = rest.find([' ', '\t', '\r', '\n', '(', ')']).unwrap_or(rest.len());
    let end = start + word_len.max(rest.chars().next().map_or(0, char::len_utf8));
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => expectation(positives),
        ErrorVariant::CustomError { message } => message.clone(),
    };
    let error = FilterError::new(ErrorKind::Syntax { expected }, Span { start, end });
    match slip(text, start) {
        Some(help) => error.help(help),
        None => error,
    }
}

/// What the grammar's rules are called in messages, in the order in which they are listed there.
const RULE_NAMES: &[(&[Rule], &str)] = &[
    (
        &[
            Rule::kw_not,
            Rule::primary,
            Rule::group,
            Rule::check,
            Rule::unary,
            Rule::and_expr,
            Rule::or_expr,
            Rule::lhs,
        ],
        "a check",
    ),
    (&[Rule::call_arg, Rule::field, Rule::field_name], "a field"),
    (
        &[Rule::kw_exists, Rule::exists, Rule::list_op, Rule::value_op, Rule::list_test, Rule::value_test],
        "an operator",
    ),
    (&[Rule::value, Rule::bare, Rule::quoted, Rule::number], "a value"),
    (&[Rule::list, Rule::items, Rule::list_ref], "a list in parentheses"),
    (&[Rule::item, Rule::item_bare], "a list element"),
    (&[Rule::index_bare], "an argument in the brackets"),
    (&[Rule::kw_and], "`and`"),
    (&[Rule::kw_or], "`or`"),
    (&[Rule::EOI], "the end of the filter"),
];

fn expectation(positives: &[Rule]) -> String {
    let names: Vec<&str> = RULE_NAMES
        .iter()
        .filter(|row| row.0.iter().any(|rule| positives.contains(rule)))
        .map(|row| row.1)
        .collect();
    match names.as_slice() {
        [] => "`,` or a closing parenthesis or bracket".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Known slips by what stands at the place of the error.
fn slip(text: &str, start: usize) -> Option<&'static str> {
    let rest = text[start..].trim_start();
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).take(16).collect();
    let before = text[..start].trim_end();
    if rest.starts_with("&&") {
        return Some("write `and`");
    }
    if rest.starts_with("||") {
        return Some("write `or`");
    }
    if rest.starts_with('!') {
        return Some("write `not`");
    }
    if rest.starts_with(')') && !before.ends_with("and") && !before.ends_with("or") {
        return Some("this parenthesis was never opened, or its content is not complete");
    }
    if ["AND", "OR", "NOT"].contains(&word.as_str()) {
        return Some("`and`, `or` and `not` are lower case");
    }
    if rest.is_empty() && before.ends_with(['=', '<', '>']) {
        return Some("the empty text is written ''");
    }
    if rest.is_empty() && text.matches('(').count() > text.matches(')').count() {
        return Some("a parenthesis is still open");
    }
    None
}
