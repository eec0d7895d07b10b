//! Static analysis: on which event types a condition can be true, and on which it must be.

use crate::ast::Op;
use crate::catalogue::{Arity, Catalogue, Constant, FieldRef};
use crate::type_set::TypeBounds;
use crate::typed::{CallArg, OperandId, OperandKind, OperandNode, Test, TestRhs};

/// Bounds of one test.
pub(crate) fn test_bounds(test: &Test, operands: &[OperandNode], catalogue: &dyn Catalogue) -> TypeBounds {
    let presence = presence(test.operand, operands, catalogue);
    let node = &operands[test.operand];
    let (constants, OperandKind::Field(field)) = (constants(&test.rhs), &node.kind) else {
        return match (&test.rhs, test.op) {
            (_, Op::Exists) => presence,
            (TestRhs::Operand(right), _) => {
                TypeBounds::at_most(presence.may.and(&self::presence(*right, operands, catalogue).may))
            }
            _ => TypeBounds::at_most(presence.may),
        };
    };
    match test.op {
        Op::Exists => presence,
        _ if node.arity == Arity::List => TypeBounds::at_most(presence.may),
        Op::Eq | Op::In | Op::Intersects if matches!(test.rhs, TestRhs::One(_) | TestRhs::Many(_)) => {
            equality(field, constants, catalogue, &presence)
        }
        Op::Ne if matches!(test.rhs, TestRhs::One(_) | TestRhs::Many(_)) => {
            presence.and(&equality(field, constants, catalogue, &presence).negate())
        }
        _ => match test.rhs {
            TestRhs::Operand(right) => {
                TypeBounds::at_most(presence.may.and(&self::presence(right, operands, catalogue).may))
            }
            _ => TypeBounds::at_most(presence.may),
        },
    }
}

/// Bounds of "equal to one of these".
fn equality(
    field: &FieldRef,
    constants: &[Constant],
    catalogue: &dyn Catalogue,
    presence: &TypeBounds,
) -> TypeBounds {
    let mut any = TypeBounds::NEVER;
    for constant in constants {
        let one = catalogue.equality(field, constant).unwrap_or(TypeBounds::at_most(presence.may));
        any = any.or(&one);
        if any.may == presence.may && any.must.is_empty() {
            break;
        }
    }
    any
}

pub(crate) fn constants(rhs: &TestRhs) -> &[Constant] {
    match rhs {
        TestRhs::One(constant) => std::slice::from_ref(constant),
        TestRhs::Many(constants) => constants,
        TestRhs::None | TestRhs::Operand(_) => &[],
    }
}

/// Where an operand can have a value. A call has none where one of its fields has none.
fn presence(id: OperandId, operands: &[OperandNode], catalogue: &dyn Catalogue) -> TypeBounds {
    match &operands[id].kind {
        OperandKind::Field(field) => catalogue.presence(field),
        OperandKind::Call { args, .. } => TypeBounds::at_most(args_presence(args, operands, catalogue).may),
    }
}

fn args_presence(args: &[CallArg], operands: &[OperandNode], catalogue: &dyn Catalogue) -> TypeBounds {
    args.iter().fold(TypeBounds::ALWAYS, |all, arg| {
        all.and(&match arg {
            CallArg::Operand(id) => presence(*id, operands, catalogue),
            CallArg::Text(_) => TypeBounds::ALWAYS,
            CallArg::List(items) => args_presence(items, operands, catalogue),
        })
    })
}
