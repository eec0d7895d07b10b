//! Warnings: filters that are legal and probably not what was meant.

use crate::analyse::{constants, test_bounds};
use crate::ast::Op;
use crate::catalogue::{Arity, Catalogue, Constant, FieldType};
use crate::error::Warning;
use crate::type_set::TypeBounds;
use crate::typed::{Node, OperandId, OperandKind, Place, Test, TestRhs, Typed};

/// Most warnings that are kept: a long list of bad patterns says nothing new after these.
const WARNINGS_MAX: usize = 50;

/// Looks through a checked tree.
pub(crate) fn lint(typed: &Typed, catalogue: &dyn Catalogue) -> Vec<Warning> {
    let mut linter = Linter { typed, catalogue, found: Vec::new() };
    linter.node(&typed.root);
    linter.found
}

struct Linter<'t> {
    typed: &'t Typed,
    catalogue: &'t dyn Catalogue,
    found: Vec<Warning>,
}

impl Linter<'_> {
    fn warn(&mut self, place: Place, message: String) {
        if self.found.len() >= WARNINGS_MAX {
            return;
        }
        let source = &self.typed.texts[place.text];
        let warning =
            Warning { message, span: place.span, text: source.text.clone(), origin: source.origin.clone() };
        if !self.found.contains(&warning) {
            self.found.push(warning);
        }
    }

    /// Goes through the tree and yields each part's event types.
    fn node(&mut self, node: &Node) -> TypeBounds {
        match node {
            Node::Const(true) => TypeBounds::ALWAYS,
            Node::Const(false) => TypeBounds::NEVER,
            Node::Not(inner) => self.node(inner).negate(),
            Node::Or(parts) => parts.iter().fold(TypeBounds::NEVER, |all, part| all.or(&self.node(part))),
            Node::And(parts) => self.and(parts),
            Node::ExactlyOne(parts) => TypeBounds::at_most(
                parts.iter().fold(TypeBounds::NEVER, |all, part| all.or(&self.node(part))).may,
            ),
            Node::Test(test) => {
                self.test(test);
                test_bounds(test, &self.typed.operands, self.catalogue)
            }
        }
    }

    fn and(&mut self, parts: &[Node]) -> TypeBounds {
        let mut all = TypeBounds::ALWAYS;
        let mut fixed: Vec<(OperandId, &Test)> = Vec::new();
        for part in parts {
            let bounds = self.node(part);
            let before = all;
            all = all.and(&bounds);
            let place = match part {
                Node::Test(test) => Some(test.place),
                Node::Not(inner) => {
                    if let Node::Test(test) = &**inner {
                        Some(test.place)
                    } else {
                        None
                    }
                }
                _ => None,
            };
            if all.may.is_empty()
                && !before.may.is_empty()
                && !bounds.may.is_empty()
                && let Some(place) = place
            {
                let message = "this is never true on the event types that the rest of the condition names";
                self.warn(place, message.to_owned());
            }
            if let Node::Test(test) = part {
                self.contradiction(test, &mut fixed);
            }
        }
        all
    }

    /// `a = 1 and a = 2`.
    fn contradiction<'n>(&mut self, test: &'n Test, fixed: &mut Vec<(OperandId, &'n Test)>) {
        let node = &self.typed.operands[test.operand];
        if !matches!(test.op, Op::Eq | Op::In)
            || node.arity != Arity::One
            || matches!(test.rhs, TestRhs::Operand(_))
        {
            return;
        }
        match fixed.iter().find(|(operand, _)| *operand == test.operand) {
            Some((_, earlier)) => {
                let values = constants(&earlier.rhs);
                // Networks overlap without being equal.
                if node.ty != FieldType::Net
                    && !constants(&test.rhs).iter().any(|value| values.contains(value))
                {
                    let message =
                        format!("`{}` was compared with another value; both are never true", node.text);
                    self.warn(test.place, message);
                }
            }
            None => fixed.push((test.operand, test)),
        }
    }

    fn test(&mut self, test: &Test) {
        let node = &self.typed.operands[test.operand];
        for constant in constants(&test.rhs) {
            let message = match (node.ty, constant) {
                (FieldType::Str, Constant::Text(text)) => text_pitfall(test.op, text),
                (FieldType::Uint | FieldType::Port | FieldType::Flags, Constant::Num(number)) => {
                    number_pitfall(node.ty, test.op, *number)
                }
                (FieldType::Net, Constant::Net(network))
                    if network.addr.is_ipv6() && network.prefix_bits == 64 =>
                {
                    let source = &self.typed.texts[test.place.text].text;
                    let written = source.get(test.place.span.start..test.place.span.end).unwrap_or_default();
                    (!written.contains('/'))
                        .then(|| format!("an IPv6 network without a prefix means {network}"))
                }
                _ => None,
            };
            if let Some(message) = message {
                // One element of a list is enough to make the point.
                self.warn(test.place, format!("`{}`: {message}", node.text));
                break;
            }
        }
        if let (TestRhs::Many(many), Op::In | Op::Intersects | Op::PMatch) = (&test.rhs, test.op)
            && many.is_empty()
        {
            self.warn(test.place, "an empty list matches nothing".to_owned());
        }
        if let OperandKind::Field(field) = &node.kind
            && self.catalogue.presence(field).may.is_empty()
        {
            self.warn(test.place, format!("no event has `{}`", node.text));
        }
    }
}

fn text_pitfall(op: Op, text: &[u8]) -> Option<String> {
    let shown = || String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
    let has = |set: &[u8]| text.iter().any(|byte| set.contains(byte));
    match op {
        Op::Eq | Op::Ne | Op::In | Op::Intersects if has(b"*") => {
            Some(format!("the * in `{}` stands for itself; `glob` matches patterns", shown()))
        }
        Op::Contains | Op::StartsWith | Op::EndsWith if text.len() > 1 && has(b"*") => {
            Some(format!("the * in `{}` stands for itself; `glob` matches patterns", shown()))
        }
        Op::Contains | Op::IContains | Op::StartsWith | Op::EndsWith if text.is_empty() => {
            Some("every text has the empty text in it".to_owned())
        }
        Op::Glob | Op::IGlob if !has(b"*?[\\") => {
            Some(format!("`{}` has no * ? or [; `=` says the same", shown()))
        }
        Op::Regex if !has(b".*+?[({|\\") => {
            Some(format!("`{}` must match the whole text; `contains` finds it inside", shown()))
        }
        Op::Lt | Op::Le | Op::Gt | Op::Ge if text.first().is_some_and(u8::is_ascii_digit) => {
            Some("this compares text, in which 9 comes after 10".to_owned())
        }
        Op::PMatch if text.is_empty() => Some("the empty path matches nothing".to_owned()),
        _ => None,
    }
}

fn number_pitfall(ty: FieldType, op: Op, number: i128) -> Option<String> {
    let max = if ty == FieldType::Port { i128::from(u16::MAX) } else { i128::from(u64::MAX) };
    let below = number < 0;
    let above = number > max;
    match op {
        _ if !below && !above => match op {
            Op::Lt if number == 0 => Some("is never below 0".to_owned()),
            Op::Ge if number == 0 => Some("is never below 0, so this only asks whether it exists".to_owned()),
            _ => None,
        },
        Op::Ne => Some(format!("is never {number}, so this only asks whether it exists")),
        Op::Gt | Op::Ge if below => {
            Some(format!("is always above {number}, so this only asks whether it exists"))
        }
        Op::Lt | Op::Le if above => {
            Some(format!("is always below {number}, so this only asks whether it exists"))
        }
        _ => Some(format!("is never {} {number}", op.name())),
    }
}
