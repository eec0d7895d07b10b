//! Simplification of the typed tree: flattening, constant folding, and merging of tests on the same
//! operand into one (`a = 1 or a = 2` is `a in (1, 2)`; many `contains` are one automaton).
//!
//! Invariant: the meaning stays, including "no value makes a test false": only tests under one `or`
//! are merged, and under one `and` those that are negated, by De Morgan, and `!=`.

use crate::analyse::constants;
use crate::ast::Op;
use crate::catalogue::Arity;
use crate::typed::{Node, OperandNode, Test, TestRhs};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Simplifies a tree.
pub(crate) fn simplify(node: Node, operands: &[OperandNode]) -> Node {
    match node {
        Node::And(parts) => and(flatten(parts, operands, true), operands),
        Node::Or(parts) => or(flatten(parts, operands, false), operands),
        Node::Not(inner) => negate(simplify(*inner, operands)),
        Node::ExactlyOne(parts) => {
            Node::ExactlyOne(parts.into_iter().map(|part| simplify(part, operands)).collect())
        }
        Node::Test(test) => match test.rhs {
            TestRhs::Many(ref many) if many.is_empty() => Node::Const(false),
            _ => Node::Test(test),
        },
        Node::Const(_) => node,
    }
}

fn negate(node: Node) -> Node {
    match node {
        Node::Const(value) => Node::Const(!value),
        Node::Not(inner) => *inner,
        node => Node::Not(Box::new(node)),
    }
}

/// Simplifies the parts and lifts parts of the same kind into this level.
fn flatten(parts: Vec<Node>, operands: &[OperandNode], is_and: bool) -> Vec<Node> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        match simplify(part, operands) {
            Node::And(inner) if is_and => out.extend(inner),
            Node::Or(inner) if !is_and => out.extend(inner),
            part => out.push(part),
        }
    }
    out
}

fn or(parts: Vec<Node>, operands: &[OperandNode]) -> Node {
    if parts.contains(&Node::Const(true)) {
        return Node::Const(true);
    }
    let mut out: Vec<Node> = Vec::with_capacity(parts.len());
    // Position in `out` of the test that collects a group of mergeable ones.
    let mut groups: HashMap<(usize, Op), usize> = HashMap::new();
    for part in parts {
        match part {
            Node::Const(false) => {}
            Node::Test(test) => match family(&test, operands) {
                Some(op) => match groups.entry((test.operand, op)) {
                    Entry::Occupied(at) => absorb(&mut out[*at.get()], op, test),
                    Entry::Vacant(free) => {
                        free.insert(out.len());
                        out.push(Node::Test(test));
                    }
                },
                None => out.push(Node::Test(test)),
            },
            part => out.push(part),
        }
    }
    match out.len() {
        0 => Node::Const(false),
        1 => out.remove(0),
        _ => Node::Or(out),
    }
}

/// The negated parts are merged as the parts of one `or`; the result is negated again, part by part,
/// so that each can take its place in the order of costs.
fn and(parts: Vec<Node>, operands: &[OperandNode]) -> Node {
    if parts.contains(&Node::Const(false)) {
        return Node::Const(false);
    }
    let mut out = Vec::with_capacity(parts.len());
    let mut negated = Vec::new();
    // `a != 1 and a != 2`: there is a value, and it is in neither.
    let mut unequal: HashMap<usize, usize> = HashMap::new();
    for part in parts {
        match part {
            Node::Const(true) => {}
            Node::Test(test) if test.op == Op::Ne && !matches!(test.rhs, TestRhs::Operand(_)) => {
                match unequal.entry(test.operand) {
                    Entry::Occupied(at) => absorb(&mut out[*at.get()], Op::Ne, test),
                    Entry::Vacant(free) => {
                        free.insert(out.len());
                        out.push(Node::Test(test));
                    }
                }
            }
            Node::Not(inner) => negated.push(*inner),
            part => out.push(part),
        }
    }
    match or(flatten(negated, operands, false), operands) {
        Node::Const(false) => {}
        Node::Const(true) => return Node::Const(false),
        Node::Or(merged) => out.extend(merged.into_iter().map(negate)),
        one => out.push(negate(one)),
    }
    match out.len() {
        0 => Node::Const(true),
        1 => out.remove(0),
        _ => Node::And(out),
    }
}

/// The operator under which a test can be merged with others of its operand.
fn family(test: &Test, operands: &[OperandNode]) -> Option<Op> {
    if matches!(test.rhs, TestRhs::None | TestRhs::Operand(_)) {
        return None;
    }
    let is_list = operands[test.operand].arity == Arity::List;
    match test.op {
        Op::In if is_list => None,
        Op::Eq | Op::In | Op::Intersects => Some(Op::Intersects),
        Op::Contains
        | Op::IContains
        | Op::BContains
        | Op::StartsWith
        | Op::BStartsWith
        | Op::EndsWith
        | Op::Glob
        | Op::IGlob
        | Op::Regex
        | Op::PMatch => Some(test.op),
        _ => None,
    }
}

/// Adds a test's constants to the test that collects its group.
fn absorb(into: &mut Node, op: Op, test: Test) {
    if let Node::Test(collector) = into {
        let mut all = match std::mem::replace(&mut collector.rhs, TestRhs::None) {
            TestRhs::Many(many) => many,
            rhs => constants(&rhs).to_vec(),
        };
        all.extend_from_slice(constants(&test.rhs));
        collector.rhs = TestRhs::Many(all);
        collector.op = op;
    }
}
