//! The language as plainly as it can be said, over real events: reads every field anew, compares
//! it with every constant one after the other, and knows no event types. What the compiled filters
//! must agree with on all captures.

use crate::support::{compile, each_event, varied_filters};
use capture_engine::EventView;
use capture_engine::catalogue::FieldCatalogue;
use filter_lang::{
    Arena, Arity, Catalogue, Check, Expr, FieldRef, FieldType, Item, Op, Operand, Record, Rhs, Value,
};
use std::net::IpAddr;

/// Captures, and of how many events one is looked at: the large ones repeat themselves.
const CAPTURES: &[(&str, u64)] = &[
    ("build.scap.gz", 13),
    ("curl_google.scap", 1),
    ("curl_google_comments.scap", 1),
    ("dns.scap.gz", 5),
    ("http.scap.gz", 101),
    ("interop-container.scap", 1),
    ("interop-full.scap", 1),
    ("interop-superset.scap", 1),
    ("k8s_dns.scap", 1),
    ("kitchen.scap.gz", 1),
    ("postgres.scap.gz", 7),
    ("redis.scap.gz", 53),
    ("shell.scap.gz", 7),
    ("single_ipv6_conn.scap", 1),
    ("test_ipv6_client.scap", 1),
    ("tools.scap.gz", 5),
    ("../stock-029/categories.scap", 1),
    ("../stock-029/values1.scap", 1),
    ("../stock-029/values2.scap", 1),
    ("../stock-029/values3.scap", 1),
];

#[test]
fn compiled_filters_agree_with_the_plain_reading_on_all_captures() {
    let filters = varied_filters();
    let (mut answers, mut wrong) = (0_u64, Vec::new());
    for (capture, stride) in CAPTURES {
        let mut compiled: Vec<_> = filters.iter().map(|text| (text, compile(text))).collect();
        let mut at = 0_u64;
        each_event(capture, |event| {
            at += 1;
            if !at.is_multiple_of(*stride) {
                return;
            }
            for (text, filter) in &mut compiled {
                let fast = filter.matches(event);
                let plain = holds(filter.filter().expr(), event);
                answers += 1;
                if fast != plain {
                    wrong.push(format!("{capture}, event {}: {text}: {fast}", at));
                }
            }
        });
    }
    assert!(
        wrong.is_empty(),
        "{} of {answers} differ, the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(answers > 2_000_000, "{answers} answers only");
}

/// Does the event satisfy the expression?
fn holds(expr: &Expr, event: &EventView<'_>) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| holds(part, event)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, event)),
        Expr::Not(inner) => !holds(inner, event),
        Expr::Check(check) => check_holds(check, event),
        Expr::Macro { name, .. } => panic!("no macros here: {name}"),
    }
}

fn check_holds(check: &Check, event: &EventView<'_>) -> bool {
    let Operand::Field { name, index, .. } = &check.lhs else { panic!("no calls here") };
    let catalogue = FieldCatalogue;
    let (name, arg) = split_argument(name, index.as_deref());
    let id = catalogue.lookup(name, arg).expect("a field");
    let field = FieldRef { id, arg: arg.map(Into::into) };
    let (ty, arity) = (catalogue.def(&field).ty, catalogue.def(&field).arity);
    assert_ne!(arity, Arity::List, "no list fields here");
    let arena = Arena::default();
    let value = event.field(&field, &arena);
    let one = [value];
    let lefts = match value {
        Value::None => return false,
        Value::List(many) => many,
        _ => &one,
    };
    let any = |op: Op, text: &[u8]| lefts.iter().any(|left| compare(left, text, ty, op));
    match (&check.rhs, check.op) {
        _ if lefts.is_empty() => false,
        (Rhs::None, _) => true,
        (Rhs::Item(Item::Text(text)), Op::Ne) => !any(Op::Eq, &text.bytes),
        (Rhs::Item(Item::Text(text)), op) => any(op, &text.bytes),
        (Rhs::List(None, items, _), op) => items.iter().any(|item| {
            let Item::Text(text) = item else { panic!("texts only") };
            any(if op == Op::PMatch { op } else { Op::Eq }, &text.bytes)
        }),
        other => panic!("not in the list of filters: {other:?}"),
    }
}

/// Of `evt.arg.NAME` and its like, the last part is the argument.
fn split_argument<'t>(name: &'t str, index: Option<&'t str>) -> (&'t str, Option<&'t str>) {
    if index.is_some() || FieldCatalogue.lookup(name, None).is_ok() {
        return (name, index);
    }
    let (field, arg) = name.rsplit_once('.').expect("a field with an argument");
    (field, Some(arg))
}

fn compare(left: &Value<'_>, right: &[u8], ty: FieldType, op: Op) -> bool {
    let text = std::str::from_utf8(right).expect("UTF-8");
    match left {
        Value::Bool(is) => *is == (text == "true"),
        Value::Str(bytes) | Value::Bytes(bytes) => compare_text(bytes, right, op),
        Value::Ip(ip) if ty == FieldType::Net => in_network(*ip, text),
        Value::Ip(ip) => *ip == text.parse::<IpAddr>().expect("an address"),
        Value::Int(number) => order(i128::from(*number).cmp(&text.parse().expect("a number")), op),
        Value::Uint(number) => order(i128::from(*number).cmp(&text.parse().expect("a number")), op),
        other => panic!("not in the list of filters: {other:?}"),
    }
}

fn order(order: std::cmp::Ordering, op: Op) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        other => panic!("{other:?} of numbers"),
    }
}

fn compare_text(left: &[u8], right: &[u8], op: Op) -> bool {
    let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
    let has = |l: &[u8], r: &[u8]| r.is_empty() || l.windows(r.len()).any(|window| window == r);
    match op {
        Op::Contains => has(left, right),
        Op::IContains => has(&lower(left), &lower(right)),
        Op::StartsWith => left.starts_with(right),
        Op::EndsWith => left.ends_with(right),
        Op::Glob => glob(right, left),
        Op::PMatch => {
            let right = right.strip_suffix(b"/").unwrap_or(right);
            left == right || left.strip_prefix(right).is_some_and(|rest| rest.first() == Some(&b'/'))
        }
        op => order(left.cmp(right), op),
    }
}

/// `*`, `?` and sets of characters or ranges.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => glob(rest, text) || !text.is_empty() && glob(pattern, &text[1..]),
        (Some((b'?', rest)), Some((_, tail))) => glob(rest, tail),
        (Some((b'[', rest)), Some((one, tail))) => {
            let end = rest.iter().position(|&b| b == b']').expect("a closed set");
            let hit = match &rest[..end] {
                [low, b'-', high] => (low..=high).contains(&one),
                set => set.contains(one),
            };
            hit && glob(&rest[end + 1..], tail)
        }
        (Some((p, rest)), Some((t, tail))) => p == t && glob(rest, tail),
        _ => false,
    }
}

fn in_network(ip: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').expect("a length");
    let (IpAddr::V4(ip), IpAddr::V4(base)) = (ip, base.parse().expect("an address")) else { return false };
    let bits: u32 = bits.parse().expect("a length");
    let cut = |ip: std::net::Ipv4Addr| u64::from(ip.to_bits()) >> (32 - bits);
    cut(ip) == cut(base)
}
