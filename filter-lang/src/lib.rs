//! The front page: what the crate offers, as its README tells it, and nothing private.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod analyse;
mod ast;
mod catalogue;
mod check;
mod compile;
mod constant;
mod error;
mod eval;
mod explain;
mod filter;
mod glob;
mod grammar;
mod library;
mod lint;
mod matcher;
mod near;
mod operators;
mod outline;
mod parse;
mod path_set;
mod recall;
mod requirements;
mod resolve;
mod rules_file;
mod services;
mod simplify;
mod text_set;
mod transform;
mod type_set;
mod typed;
mod value;

pub use ast::{Arg, Check, Expr, Item, Modifier, OPERATORS, Op, Operand, Rhs, Span, Text};
pub use catalogue::{
    ArgRule, Arity, Catalogue, Constant, Cost, FieldDef, FieldId, FieldRef, FieldType, LookupError, Network,
    Subject,
};
pub use error::{ErrorKind, FilterError, Origin, Warning};
pub use filter::{Filter, Options};
pub use grammar::{DEPTH_MAX, TEXT_MAX_BYTES};
pub use library::Library;
pub use near::near_names;
pub use outline::{Known, Outline, Parts};
pub use parse::parse;
pub use requirements::Requirement;
pub use rules_file::LibraryError;
pub use services::{SERVICES, port_of};
pub use type_set::{TypeBounds, TypeSet};
pub use value::{Arena, ArenaBytes, Record, Scratch, Value, Version};
