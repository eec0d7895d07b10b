//! Matchers: one value against one operator's constants, in the form that is fastest to ask.

use crate::ast::Op;
use crate::catalogue::{Constant, FieldType, Network};
use crate::glob::glob_matches;
use crate::path_set::PathSet;
use crate::text_set::TextSet;
use crate::value::Value;
use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};
use memchr::memmem::Finder;
use std::collections::HashSet;
use std::net::IpAddr;

/// Most memory that one compiled regular expression may take.
const REGEX_MAX_BYTES: usize = 4 << 20;

/// A test of one value.
#[derive(Debug)]
pub(crate) enum Matcher {
    /// The value is there; nothing else is asked.
    Exists,
    Bool(bool),
    NumEq(i128),
    /// Ascending.
    NumIn(Box<[i128]>),
    /// Lowest and highest number that match.
    NumRange(i128, i128),
    Double(Op, f64),
    DoubleIn(Box<[f64]>),
    TextEq(Box<[u8]>),
    TextIn(TextSet),
    TextOrder(Op, Box<[u8]>),
    Contains(Box<Finder<'static>>),
    ContainsAny(AhoCorasick),
    StartsWith(Box<[u8]>),
    StartsWithAny(AhoCorasick),
    EndsWith(Box<[Box<[u8]>]>),
    Glob {
        patterns: Box<[Box<[u8]>]>,
        fold_case: bool,
    },
    Regex(Box<[regex::bytes::Regex]>),
    Paths(PathSet),
    IpIn(HashSet<IpAddr>),
    NetIn(Box<[Network]>),
}

impl Matcher {
    /// Does the value match? Values of another kind than the constants never do.
    #[inline]
    pub(crate) fn matches(&self, value: &Value<'_>) -> bool {
        match self {
            Matcher::Exists => value.exists(),
            Matcher::Bool(wanted) => match *value {
                Value::Bool(flag) => flag == *wanted,
                _ => false,
            },
            Matcher::NumEq(number) => value.as_integer() == Some(*number),
            Matcher::NumIn(numbers) => value.as_integer().is_some_and(|n| numbers.binary_search(&n).is_ok()),
            Matcher::NumRange(low, high) => value.as_integer().is_some_and(|n| *low <= n && n <= *high),
            Matcher::Double(op, wanted) => {
                value.as_double().is_some_and(|n| ordered(*op, n.partial_cmp(wanted)))
            }
            Matcher::DoubleIn(numbers) => value.as_double().is_some_and(|n| numbers.contains(&n)),
            Matcher::IpIn(addrs) => match value {
                Value::Ip(addr) => addrs.contains(addr),
                _ => false,
            },
            Matcher::NetIn(networks) => match *value {
                Value::Ip(addr) => networks.iter().any(|network| network.contains(addr)),
                _ => false,
            },
            _ => value.as_bytes().is_some_and(|bytes| self.matches_text(bytes)),
        }
    }

    fn matches_text(&self, text: &[u8]) -> bool {
        match self {
            Matcher::TextEq(wanted) => text == &**wanted,
            Matcher::TextIn(set) => set.contains(text),
            Matcher::TextOrder(op, wanted) => ordered(*op, Some(text.cmp(wanted))),
            Matcher::Contains(finder) => finder.find(text).is_some(),
            Matcher::ContainsAny(automaton) => automaton.is_match(text),
            Matcher::StartsWith(prefix) => text.starts_with(prefix),
            Matcher::StartsWithAny(automaton) => automaton.is_match(Input::new(text).anchored(Anchored::Yes)),
            Matcher::EndsWith(suffixes) => suffixes.iter().any(|suffix| text.ends_with(suffix)),
            Matcher::Glob { patterns, fold_case } => {
                patterns.iter().any(|pattern| glob_matches(pattern, text, *fold_case))
            }
            Matcher::Regex(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
            Matcher::Paths(paths) => paths.covers(text),
            _ => false,
        }
    }

    /// Builds the matcher for an operator and its constants, any of which may match. `Ne` is built as
    /// `Eq`: the evaluator negates it.
    pub(crate) fn build(op: Op, ty: FieldType, constants: &[Constant]) -> Result<Matcher, String> {
        if op == Op::Exists {
            return Ok(Matcher::Exists);
        }
        let matcher = match ty {
            FieldType::Bool => match constants {
                [Constant::Bool(flag)] => Matcher::Bool(*flag),
                // Both values in the list: any boolean will do.
                [] => Matcher::NumIn([].into()),
                many if many.iter().all(|one| *one == many[0]) => {
                    Matcher::Bool(many[0] == Constant::Bool(true))
                }
                _ => Matcher::Exists,
            },
            FieldType::Double => double(op, constants),
            FieldType::Ip => Matcher::IpIn(constants.iter().filter_map(as_ip).collect()),
            FieldType::Net => Matcher::NetIn(constants.iter().filter_map(as_net).collect()),
            FieldType::Str | FieldType::Keyword | FieldType::Bytes => return text(op, constants),
            ty => number(op, ty, constants),
        };
        Ok(matcher)
    }

    /// What one test costs, in arbitrary units, for putting cheap tests first.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Matcher::Exists
            | Matcher::Bool(_)
            | Matcher::NumEq(_)
            | Matcher::NumRange(..)
            | Matcher::Double(..) => 1,
            Matcher::TextEq(_) | Matcher::TextOrder(..) | Matcher::StartsWith(_) => 2,
            Matcher::NumIn(_) | Matcher::DoubleIn(_) | Matcher::TextIn(_) | Matcher::IpIn(_) => 4,
            Matcher::EndsWith(many) => 2 + many.len() as u32,
            Matcher::NetIn(many) => 2 + many.len() as u32,
            Matcher::Contains(_) | Matcher::StartsWithAny(_) => 10,
            Matcher::Paths(_) => 20,
            Matcher::ContainsAny(_) => 30,
            Matcher::Glob { patterns, .. } => 20 * patterns.len() as u32,
            Matcher::Regex(patterns) => 60 * patterns.len() as u32,
        }
    }
}

/// Does an order satisfy the operator?
pub(crate) fn ordered(op: Op, order: Option<std::cmp::Ordering>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (op, order) {
        (_, None) => false,
        (Op::Lt, Some(order)) => order == Less,
        (Op::Le, Some(order)) => order != Greater,
        (Op::Gt, Some(order)) => order == Greater,
        (Op::Ge, Some(order)) => order != Less,
        (_, Some(order)) => order == Equal,
    }
}

/// Compiles a pattern that must match the whole text. The pattern is compiled alone first, because
/// `a)(b` would become legal inside the anchoring group.
pub(crate) fn regex(pattern: &[u8]) -> Result<regex::bytes::Regex, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8".to_owned())?;
    let build = |pattern: &str| {
        let mut builder = regex::bytes::RegexBuilder::new(pattern);
        builder.size_limit(REGEX_MAX_BYTES).dfa_size_limit(REGEX_MAX_BYTES).build()
    };
    let reason = |error: regex::Error| match error {
        regex::Error::Syntax(text) => text.lines().last().unwrap_or_default().replace("error: ", ""),
        other => other.to_string(),
    };
    build(pattern).map_err(reason)?;
    build(&format!("\\A(?:{pattern})\\z")).map_err(reason)
}

fn as_ip(constant: &Constant) -> Option<IpAddr> {
    if let Constant::Ip(addr) = constant { Some(*addr) } else { None }
}

fn as_net(constant: &Constant) -> Option<Network> {
    if let Constant::Net(network) = constant { Some(*network) } else { None }
}

fn number(op: Op, ty: FieldType, constants: &[Constant]) -> Matcher {
    let mut numbers: Vec<i128> =
        constants.iter().filter_map(|c| if let Constant::Num(n) = c { Some(*n) } else { None }).collect();
    numbers.sort_unstable();
    numbers.dedup();
    match (op, numbers.as_slice()) {
        (_, [n]) if ty == FieldType::WithinMs => Matcher::NumRange(i128::MIN, *n),
        (Op::Lt, [n]) => Matcher::NumRange(i128::MIN, n - 1),
        (Op::Le, [n]) => Matcher::NumRange(i128::MIN, *n),
        (Op::Gt, [n]) => Matcher::NumRange(n + 1, i128::MAX),
        (Op::Ge, [n]) => Matcher::NumRange(*n, i128::MAX),
        (_, [n]) => Matcher::NumEq(*n),
        _ => Matcher::NumIn(numbers.into()),
    }
}

fn double(op: Op, constants: &[Constant]) -> Matcher {
    let numbers: Vec<f64> =
        constants.iter().filter_map(|c| if let Constant::Double(n) = c { Some(*n) } else { None }).collect();
    match numbers.as_slice() {
        [n] => Matcher::Double(op, *n),
        _ => Matcher::DoubleIn(numbers.into()),
    }
}

fn text(op: Op, constants: &[Constant]) -> Result<Matcher, String> {
    let mut texts: Vec<Box<[u8]>> = constants
        .iter()
        .filter_map(|c| if let Constant::Text(t) = c { Some(t.clone()) } else { None })
        .collect();
    texts.sort_unstable();
    texts.dedup();
    if texts.is_empty() {
        return Ok(Matcher::TextIn(TextSet::new(texts)));
    }
    let one = (texts.len() == 1).then(|| texts[0].clone());
    if let (Op::Glob, Some(pattern)) = (op, &one)
        && let Some((op, literal)) = plain_glob(pattern)
    {
        return text(op, &[Constant::Text(literal.into())]);
    }
    Ok(match (op, one) {
        (Op::Lt | Op::Le | Op::Gt | Op::Ge, Some(text)) => Matcher::TextOrder(op, text),
        (Op::Contains | Op::BContains, Some(text)) => {
            Matcher::Contains(Box::new(Finder::new(&text).into_owned()))
        }
        (Op::StartsWith | Op::BStartsWith, Some(text)) => Matcher::StartsWith(text),
        (Op::Contains | Op::BContains, None) => {
            Matcher::ContainsAny(automaton(&texts, false, StartKind::Unanchored)?)
        }
        (Op::IContains, _) => Matcher::ContainsAny(automaton(&texts, true, StartKind::Unanchored)?),
        (Op::StartsWith | Op::BStartsWith, None) => {
            Matcher::StartsWithAny(automaton(&texts, false, StartKind::Anchored)?)
        }
        (Op::EndsWith, _) => Matcher::EndsWith(texts.into()),
        (Op::Glob | Op::IGlob, _) => Matcher::Glob { patterns: texts.into(), fold_case: op == Op::IGlob },
        (Op::Regex, _) => Matcher::Regex(texts.iter().map(|text| regex(text)).collect::<Result<_, _>>()?),
        (Op::PMatch, _) => Matcher::Paths(PathSet::new(&texts)),
        (_, Some(text)) => Matcher::TextEq(text),
        (_, None) => Matcher::TextIn(TextSet::new(texts)),
    })
}

/// A pattern that only has stars at its ends says what a plain operator says, which is faster.
fn plain_glob(pattern: &[u8]) -> Option<(Op, &[u8])> {
    let (start, inner) = match pattern {
        [b'*', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (end, literal) = match inner {
        [rest @ .., b'*'] => (true, rest),
        rest => (false, rest),
    };
    if literal.is_empty() || literal.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
        return None;
    }
    let op = match (start, end) {
        (true, true) => Op::Contains,
        (true, false) => Op::EndsWith,
        (false, true) => Op::StartsWith,
        (false, false) => Op::Eq,
    };
    Some((op, literal))
}

fn automaton(texts: &[Box<[u8]>], fold_case: bool, start: StartKind) -> Result<AhoCorasick, String> {
    AhoCorasick::builder()
        .ascii_case_insensitive(fold_case)
        .match_kind(MatchKind::LeftmostFirst)
        .start_kind(start)
        .build(texts)
        .map_err(|error| error.to_string())
}
