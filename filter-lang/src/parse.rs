//! From pest's pairs to the syntax tree, decoding quotes and escapes on the way.

use crate::ast::{Arg, Check, Expr, Item, Modifier, Op, Operand, Rhs, Span, Text};
use crate::error::{ErrorKind, FilterError};
use crate::grammar::{self, Rule};
use pest::iterators::Pair;

/// Parses a filter into its syntax tree, without asking what its fields are.
///
/// # Errors
/// When the text is not a filter; the error shows the place.
pub fn parse(text: &str) -> Result<Expr, Box<FilterError>> {
    parse_text(text).map_err(|error| error.in_text(text, None))
}

pub(crate) fn parse_text(text: &str) -> Result<Expr, Box<FilterError>> {
    let top = grammar::pairs(text)?;
    match top.into_inner().find(|pair| pair.as_rule() == Rule::or_expr) {
        Some(pair) => expr(pair),
        None => Err(FilterError::new(ErrorKind::Empty, Span::default())),
    }
}

/// Recursion follows the nesting of parentheses, which the grammar's guard has bounded.
fn expr(pair: Pair<'_, Rule>) -> Result<Expr, Box<FilterError>> {
    match pair.as_rule() {
        Rule::or_expr => joined(pair, Rule::and_expr, Expr::Or),
        Rule::and_expr => joined(pair, Rule::unary, Expr::And),
        Rule::unary => {
            let mut negated = false;
            let mut inner = None;
            for part in pair.into_inner() {
                match part.as_rule() {
                    // An even number of `not` cancels out; keeping them would nest the tree.
                    Rule::kw_not => negated = !negated,
                    _ => inner = Some(expr(part)?),
                }
            }
            let inner = inner.ok_or_else(|| FilterError::new(ErrorKind::Empty, Span::default()))?;
            Ok(match inner {
                Expr::Not(inner) if negated => *inner,
                inner if negated => Expr::Not(Box::new(inner)),
                inner => inner,
            })
        }
        Rule::macro_ref => Ok(Expr::Macro { name: pair.as_str().to_owned(), span: span(&pair) }),
        Rule::check => Ok(Expr::Check(check(pair)?)),
        _ => expr(only(pair)?),
    }
}

fn joined(pair: Pair<'_, Rule>, part: Rule, join: fn(Vec<Expr>) -> Expr) -> Result<Expr, Box<FilterError>> {
    let mut parts: Vec<Expr> =
        pair.into_inner().filter(|inner| inner.as_rule() == part).map(expr).collect::<Result<_, _>>()?;
    if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(join(parts)) }
}

fn check(pair: Pair<'_, Rule>) -> Result<Check, Box<FilterError>> {
    let mut inner = pair.into_inner();
    let (Some(lhs), Some(test)) = (inner.next(), inner.next()) else {
        return Err(FilterError::new(ErrorKind::Empty, Span::default()));
    };
    let lhs = operand(only(lhs)?)?;
    let op_span = span(&test);
    if test.as_rule() == Rule::exists {
        return Ok(Check { lhs, op: Op::Exists, op_span, rhs: Rhs::None });
    }
    let mut op = Op::Eq;
    let mut op_span = op_span;
    let mut modifier = None;
    let mut rhs = Rhs::None;
    for part in test.into_inner() {
        match part.as_rule() {
            Rule::list_op | Rule::value_op => {
                op_span = span(&part);
                op = Op::from_name(part.as_str()).unwrap_or(Op::Eq);
            }
            Rule::modifier => {
                modifier = Some(match part.as_str() {
                    "oneof" => Modifier::OneOf,
                    "allof" => Modifier::AllOf,
                    _ => Modifier::AnyOf,
                });
            }
            Rule::list => {
                let list_span = span(&part);
                rhs = Rhs::List(modifier, list(part, op)?, list_span);
            }
            _ => rhs = Rhs::Item(item(only(part)?, op)?),
        }
    }
    Ok(Check { lhs, op, op_span, rhs })
}

fn list(pair: Pair<'_, Rule>, op: Op) -> Result<Vec<Item>, Box<FilterError>> {
    let content = only(pair)?;
    match content.as_rule() {
        Rule::items => content.into_inner().map(|inner| item(only(inner)?, op)).collect(),
        _ => Ok(vec![item(only(content)?, op)?]),
    }
}

fn item(pair: Pair<'_, Rule>, op: Op) -> Result<Item, Box<FilterError>> {
    match pair.as_rule() {
        Rule::call => operand(pair).map(Item::Operand),
        Rule::quoted => quoted(pair).map(Item::Text),
        // A bare pattern has its own use for the backslash.
        _ if op.takes_pattern() => Ok(Item::Text(Text {
            bytes: pair.as_str().as_bytes().to_vec(),
            quoted: false,
            span: span(&pair),
        })),
        _ => {
            let bytes = unescape(pair.as_str(), span(&pair).start, Escapes::Bare)?;
            Ok(Item::Text(Text { bytes, quoted: false, span: span(&pair) }))
        }
    }
}

fn operand(pair: Pair<'_, Rule>) -> Result<Operand, Box<FilterError>> {
    let place = span(&pair);
    let is_call = pair.as_rule() == Rule::call;
    let mut name = String::new();
    let mut args = Vec::new();
    let mut index = None;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::field_name | Rule::call_name => part.as_str().clone_into(&mut name),
            Rule::index => index = Some(index_text(only(part)?)?),
            _ => args.push(call_arg(part)?),
        }
    }
    let name = name.to_owned();
    Ok(if is_call {
        Operand::Call { name, args, index, span: place }
    } else {
        Operand::Field { name, index, span: place }
    })
}

fn index_text(pair: Pair<'_, Rule>) -> Result<String, Box<FilterError>> {
    if pair.as_rule() != Rule::quoted {
        return Ok(pair.as_str().to_owned());
    }
    let text = quoted(pair)?;
    String::from_utf8(text.bytes).map_err(|_| {
        FilterError::new(ErrorKind::BadEscape { reason: "a field argument must be UTF-8" }, text.span)
    })
}

fn call_arg(pair: Pair<'_, Rule>) -> Result<Arg, Box<FilterError>> {
    let place = span(&pair);
    let inner = only(pair)?;
    Ok(match inner.as_rule() {
        Rule::call | Rule::field => Arg::Operand(operand(inner)?),
        Rule::quoted => Arg::Text(quoted(inner)?),
        Rule::call_list => Arg::List(inner.into_inner().map(call_arg).collect::<Result<_, _>>()?, place),
        _ => Arg::Text(Text { bytes: inner.as_str().as_bytes().to_vec(), quoted: false, span: place }),
    })
}

fn quoted(pair: Pair<'_, Rule>) -> Result<Text, Box<FilterError>> {
    let place = span(&pair);
    let content = only(pair)?;
    let bytes = unescape(content.as_str(), span(&content).start, Escapes::Quoted)?;
    Ok(Text { bytes, quoted: true, span: place })
}

/// Which escapes count: bare words keep every backslash that is not `\\` or `\xHH`.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    Bare,
    Quoted,
}

fn unescape(text: &str, at: usize, escapes: Escapes) -> Result<Vec<u8>, Box<FilterError>> {
    if !text.contains('\\') {
        return Ok(text.as_bytes().to_vec());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    let error = |i: usize, len: usize, reason| {
        FilterError::new(ErrorKind::BadEscape { reason }, Span { start: at + i, end: at + i + len })
    };
    while let Some(&byte) = bytes.get(i) {
        if byte != b'\\' {
            out.push(byte);
            i += 1;
            continue;
        }
        let Some(&next) = bytes.get(i + 1) else {
            return Err(error(i, 1, "a backslash at the end; write \\\\"));
        };
        let simple = match next {
            b'\\' => Some(b'\\'),
            b'x' => {
                let digits =
                    text.get(i + 2..i + 4).filter(|pair| pair.bytes().all(|d| d.is_ascii_hexdigit()));
                match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
                    Some(0) => return Err(error(i, 4, "a NUL byte cannot match anything")),
                    Some(byte) => out.push(byte),
                    None => return Err(error(i, 2, "\\x wants two hexadecimal digits")),
                }
                i += 4;
                continue;
            }
            _ if escapes == Escapes::Bare => None,
            b'b' => Some(8),
            b'f' => Some(12),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'/' | b'"' | b'\'' => Some(next),
            // Stock swallows a blank after a backslash.
            b' ' => Some(b'\\'),
            // Patterns are full of \. and \d: an unknown escape keeps its backslash.
            _ => None,
        };
        match simple {
            Some(byte) => out.push(byte),
            None => out.extend([b'\\', next]),
        }
        i += 2;
    }
    Ok(out)
}

fn span(pair: &Pair<'_, Rule>) -> Span {
    let place = pair.as_span();
    Span { start: place.start(), end: place.end() }
}

/// The one pair inside a wrapping rule.
fn only(pair: Pair<'_, Rule>) -> Result<Pair<'_, Rule>, Box<FilterError>> {
    let place = span(&pair);
    let expected = || ErrorKind::Syntax { expected: "something here".to_owned() };
    pair.into_inner().next().ok_or_else(|| FilterError::new(expected(), place))
}
