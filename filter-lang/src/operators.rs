//! Which operators fit which type: the table that the type check reads.

use crate::ast::Op;
use crate::catalogue::{Arity, FieldType};

const EQUALITY: &[Op] = &[Op::Eq, Op::Ne, Op::In, Op::Intersects, Op::Exists];
const ORDER: &[Op] = &[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In, Op::Intersects, Op::Exists];
const TEXT: &[Op] = &[
    Op::Eq,
    Op::Ne,
    Op::Lt,
    Op::Le,
    Op::Gt,
    Op::Ge,
    Op::In,
    Op::Intersects,
    Op::Exists,
    Op::Contains,
    Op::IContains,
    Op::StartsWith,
    Op::EndsWith,
    Op::Glob,
    Op::IGlob,
    Op::Regex,
    Op::PMatch,
];
const BUFFER: &[Op] = &[
    Op::Eq,
    Op::Ne,
    Op::In,
    Op::Intersects,
    Op::Exists,
    Op::Contains,
    Op::StartsWith,
    Op::EndsWith,
    Op::BContains,
    Op::BStartsWith,
];
const LIST: &[Op] = &[Op::In, Op::Intersects, Op::Exists];
const WITHIN: &[Op] = &[Op::Eq];

/// The operators that a left side of this type takes.
pub(crate) fn allowed(ty: FieldType, arity: Arity) -> &'static [Op] {
    if arity == Arity::List {
        return LIST;
    }
    match ty {
        FieldType::Bool | FieldType::Keyword | FieldType::Ip | FieldType::Net => EQUALITY,
        FieldType::Int
        | FieldType::Uint
        | FieldType::Double
        | FieldType::Port
        | FieldType::RelTime
        | FieldType::AbsTime
        | FieldType::Flags => ORDER,
        FieldType::Str => TEXT,
        FieldType::Bytes => BUFFER,
        FieldType::WithinMs => WITHIN,
    }
}
