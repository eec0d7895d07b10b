//! The typed tree: names resolved, constants parsed, modifiers spelled out. What the check yields and
//! what analysis, lint, explanation and compilation read.

use crate::ast::{Op, Span};
use crate::catalogue::{Arity, Constant, Cost, FieldRef, FieldType};
use crate::error::Origin;
use crate::recall::Depends;
use crate::transform::Transform;

/// Index of an operand in [`Typed::operands`].
pub(crate) type OperandId = usize;

/// A place in the filter or in one of the macros that it uses. All places compare equal, so that tests
/// compare by meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) span: Span,
    /// Index in [`Typed::texts`].
    pub(crate) text: usize,
}

impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

/// A text that checks were written in.
#[derive(Debug)]
pub(crate) struct SourceText {
    /// The macro; none for the filter itself.
    pub(crate) origin: Option<Origin>,
    pub(crate) text: String,
}

/// A checked filter.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) texts: Vec<SourceText>,
    pub(crate) operands: Vec<OperandNode>,
    pub(crate) root: Node,
}

/// A field or a call, once per filter however often it is written.
#[derive(Debug)]
pub(crate) struct OperandNode {
    pub(crate) kind: OperandKind,
    pub(crate) ty: FieldType,
    pub(crate) arity: Arity,
    pub(crate) cost: Cost,
    pub(crate) depends: Depends,
    /// As printed; two operands with the same text are the same operand.
    pub(crate) text: String,
    pub(crate) comparable: bool,
    pub(crate) transformable: bool,
}

#[derive(Debug)]
pub(crate) enum OperandKind {
    Field(FieldRef),
    Call { transform: &'static Transform, args: Vec<CallArg>, index: Option<Box<str>> },
}

#[derive(Debug, Clone)]
pub(crate) enum CallArg {
    Operand(OperandId),
    Text(Box<[u8]>),
    List(Vec<CallArg>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Const(bool),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Exactly one is true (`oneof`).
    ExactlyOne(Vec<Node>),
    Test(Test),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    pub(crate) operand: OperandId,
    pub(crate) op: Op,
    pub(crate) rhs: TestRhs,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TestRhs {
    None,
    One(Constant),
    /// For the list operators.
    Many(Vec<Constant>),
    Operand(OperandId),
}
