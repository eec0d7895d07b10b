//! The language as plainly as it can be said: evaluates the syntax tree directly, one rule after the
//! other, with no compilation, no merging and no analysis. What the compiled filter must agree with.

use crate::support::{Event, FIELDS, Owned};
use filter_lang::{Arg, Arity, Check, Expr, FieldType, Item, Modifier, Op, Operand, Rhs};
use std::net::IpAddr;

/// Does the event satisfy the expression?
pub(crate) fn holds(expr: &Expr, event: &Event) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| holds(part, event)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, event)),
        Expr::Not(inner) => !holds(inner, event),
        Expr::Check(check) => check_holds(check, event),
        Expr::Macro { name, .. } => panic!("no macros here: {name}"),
    }
}

fn check_holds(check: &Check, event: &Event) -> bool {
    let (ty, arity) = type_of(&check.lhs);
    let Some(left) = value_of(&check.lhs, event) else { return false };
    let lefts = if let Owned::List(many) = left { many } else { vec![left] };
    if lefts.is_empty() {
        return false;
    }
    match &check.rhs {
        Rhs::None => true,
        Rhs::Item(item) => one(&lefts, ty, check.op, item, event),
        Rhs::List(None, items, _) => {
            let hit = |left: &Owned| {
                let op = if check.op == Op::PMatch { Op::PMatch } else { Op::Eq };
                items.iter().any(|item| one(std::slice::from_ref(left), ty, op, item, event))
            };
            if check.op == Op::In && arity == Arity::List {
                lefts.iter().all(hit)
            } else {
                lefts.iter().any(hit)
            }
        }
        Rhs::List(Some(modifier), items, _) => {
            let hits = items.iter().filter(|item| one(&lefts, ty, check.op, item, event)).count();
            !items.is_empty()
                && match modifier {
                    Modifier::OneOf => hits == 1,
                    Modifier::AnyOf => hits > 0,
                    Modifier::AllOf => hits == items.len(),
                }
        }
    }
}

fn one(lefts: &[Owned], ty: FieldType, op: Op, item: &Item, event: &Event) -> bool {
    let rights = match item {
        Item::Text(text) => vec![constant(&text.bytes, ty, op)],
        Item::Operand(Operand::Call { name, args, .. }) if name == "val" => {
            let Arg::Operand(field) = &args[0] else { panic!("val of a field") };
            match value_of(field, event) {
                Some(value) => vec![value],
                None => return false,
            }
        }
        Item::Operand(call) => match value_of(call, event) {
            Some(value) => vec![value],
            None => return false,
        },
    };
    if op == Op::Ne {
        return !lefts.iter().any(|left| rights.iter().any(|right| compare(left, right, ty, Op::Eq)));
    }
    lefts.iter().any(|left| rights.iter().any(|right| compare(left, right, ty, op)))
}

fn constant(bytes: &[u8], ty: FieldType, op: Op) -> Owned {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    match ty {
        FieldType::Bool => Owned::Bool(text == "true"),
        FieldType::Int | FieldType::Uint | FieldType::Port | FieldType::RelTime => {
            Owned::Int(text.parse().unwrap())
        }
        FieldType::Double => Owned::Double(text.parse().unwrap()),
        FieldType::Ip => Owned::Ip(text.parse().unwrap()),
        FieldType::Bytes if matches!(op, Op::BContains | Op::BStartsWith) => Owned::Bytes(
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect(),
        ),
        _ => Owned::Text(bytes.to_vec()),
    }
}

fn compare(left: &Owned, right: &Owned, ty: FieldType, op: Op) -> bool {
    match (left, right) {
        (Owned::Text(l) | Owned::Bytes(l), Owned::Text(r) | Owned::Bytes(r)) => text(l, r, op),
        (Owned::Ip(l), Owned::Text(r)) if ty == FieldType::Net => {
            in_network(*l, std::str::from_utf8(r).unwrap())
        }
        (Owned::Ip(l), Owned::Ip(r)) => l == r,
        (Owned::Bool(l), Owned::Bool(r)) => l == r,
        (Owned::Double(l), Owned::Double(r)) => order(l.partial_cmp(r).unwrap(), op),
        (l, r) => order(number(l).cmp(&number(r)), op),
    }
}

fn number(value: &Owned) -> i128 {
    match value {
        Owned::Int(number) => i128::from(*number),
        Owned::Uint(number) => i128::from(*number),
        other => panic!("not a number: {other:?}"),
    }
}

fn order(order: std::cmp::Ordering, op: Op) -> bool {
    match op {
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        _ => order.is_eq(),
    }
}

fn text(left: &[u8], right: &[u8], op: Op) -> bool {
    let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
    let has = |l: &[u8], r: &[u8]| r.is_empty() || l.windows(r.len()).any(|window| window == r);
    match op {
        Op::Contains | Op::BContains => has(left, right),
        Op::IContains => has(&lower(left), &lower(right)),
        Op::StartsWith | Op::BStartsWith => left.len() >= right.len() && &left[..right.len()] == right,
        Op::EndsWith => left.len() >= right.len() && &left[left.len() - right.len()..] == right,
        Op::Glob => glob(right, left),
        Op::IGlob => glob(&lower(right), &lower(left)),
        Op::Regex => regex::bytes::Regex::new(&format!("^(?:{})$", std::str::from_utf8(right).unwrap()))
            .unwrap()
            .is_match(left),
        Op::PMatch => {
            let parts = |path: &[u8]| -> Vec<Vec<u8>> {
                let rooted = path.first() == Some(&b'/');
                let names = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
                rooted.then_some(&b"/"[..]).into_iter().chain(names).map(<[u8]>::to_vec).collect()
            };
            let (pattern, path) = (parts(right), parts(left));
            !pattern.is_empty()
                && pattern.len() <= path.len()
                && pattern.iter().zip(&path).all(|(pattern, part)| glob(pattern, part))
        }
        op => order(left.cmp(right), op),
    }
}

/// Stars and question marks only: the generators make no brackets.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => glob(rest, text) || !text.is_empty() && glob(pattern, &text[1..]),
        (Some((b'?', rest)), Some((_, tail))) => glob(rest, tail),
        (Some((p, rest)), Some((t, tail))) => p == t && glob(rest, tail),
        _ => false,
    }
}

fn in_network(addr: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap();
    let bits: usize = bits.parse().unwrap();
    let base: IpAddr = base.parse().unwrap();
    let binary = |addr: IpAddr| -> String {
        match addr {
            IpAddr::V4(addr) => addr.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
            IpAddr::V6(addr) => addr.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
        }
    };
    addr.is_ipv4() == base.is_ipv4() && binary(addr)[..bits] == binary(base)[..bits]
}

fn type_of(operand: &Operand) -> (FieldType, Arity) {
    match operand {
        Operand::Field { name, index, .. } => {
            let row = FIELDS.iter().find(|row| row.0 == name).expect("a known field");
            (row.1, if index.is_some() { Arity::One } else { row.2 })
        }
        Operand::Call { name, .. } if name == "len" => (FieldType::Uint, Arity::One),
        Operand::Call { .. } => (FieldType::Str, Arity::One),
    }
}

fn value_of(operand: &Operand, event: &Event) -> Option<Owned> {
    match operand {
        Operand::Field { name, index: None, .. } => event.values.get(name).cloned(),
        Operand::Field { name, index: Some(arg), .. } => event.values.get(&format!("{name}[{arg}]")).cloned(),
        Operand::Call { name, args, .. } => {
            let mut texts = Vec::new();
            for arg in args {
                match arg {
                    Arg::Text(text) => texts.push(text.bytes.clone()),
                    Arg::Operand(operand) => match value_of(operand, event)? {
                        Owned::Text(bytes) => texts.push(bytes),
                        other => panic!("not text: {other:?}"),
                    },
                    Arg::List(..) => panic!("the generators make no lists"),
                }
            }
            Some(match name.as_str() {
                "tolower" => Owned::Text(texts[0].to_ascii_lowercase()),
                "toupper" => Owned::Text(texts[0].to_ascii_uppercase()),
                "basename" => Owned::Text(texts[0].rsplit(|&byte| byte == b'/').next().unwrap().to_vec()),
                "len" => Owned::Uint(texts[0].len() as u64),
                "concat" => Owned::Text(texts.concat()),
                other => panic!("no {other} here"),
            })
        }
    }
}
