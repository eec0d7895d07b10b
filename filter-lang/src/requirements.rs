//! Conditions that every matching record satisfies: the part of a filter that somebody else can test
//! first, with less at hand (the kernel's tables, a file's index).

use crate::analyse::{constants, test_bounds};
use crate::ast::Op;
use crate::catalogue::{Arity, Catalogue, Constant, FieldRef};
use crate::typed::{Node, OperandKind, OperandNode, Test, TestRhs};

/// One condition on one field.
#[derive(Clone, PartialEq, Debug)]
pub struct Requirement {
    /// The field.
    pub field: FieldRef,
    /// The operator; [`Op::In`] stands for "equal to one of the constants".
    pub op: Op,
    /// The constants; with several, one of them has to fit the operator.
    pub constants: Vec<Constant>,
    /// The condition must *not* hold. A record without the field satisfies that.
    pub negated: bool,
}

/// The requirements of a simplified tree, and whether they and the event types say all of it.
pub(crate) fn requirements(
    root: &Node,
    operands: &[OperandNode],
    catalogue: &dyn Catalogue,
) -> (Vec<Requirement>, bool) {
    let parts = match root {
        Node::And(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut found = Vec::new();
    let mut complete = true;
    for part in parts {
        let (test, negated) = match part {
            Node::Test(test) => (Some(test), false),
            Node::Not(inner) => match &**inner {
                Node::Test(test) => (Some(test), true),
                _ => (None, true),
            },
            _ => (None, false),
        };
        match test {
            Some(test) if test_bounds(test, operands, catalogue).is_exact() => {}
            Some(test) => match requirement(test, negated, operands) {
                Some(one) => found.push(one),
                None => complete = false,
            },
            None => complete = false,
        }
    }
    (found, complete)
}

fn requirement(test: &Test, negated: bool, operands: &[OperandNode]) -> Option<Requirement> {
    let node = &operands[test.operand];
    let OperandKind::Field(field) = &node.kind else { return None };
    if matches!(test.rhs, TestRhs::Operand(_)) || node.arity == Arity::List {
        return None;
    }
    let op = match test.op {
        Op::Eq | Op::Intersects => Op::In,
        op => op,
    };
    Some(Requirement { field: field.clone(), op, constants: constants(&test.rhs).to_vec(), negated })
}
