//! Evaluation of a compiled filter on one record: short circuit, lazy reads, shared results once.

use crate::ast::Op;
use crate::compile::{InstrId, InstrKind, Program, Quantifier, SourceArg, SourceKind};
use crate::glob::glob_matches;
use crate::matcher::{Matcher, ordered};
use crate::path_set::path_covers;
use crate::recall::Recall;
use crate::transform::Call;
use crate::typed::OperandId;
use crate::value::{Arena, Record, Scratch, Value};
use std::cell::Cell;

/// Does the record satisfy the program?
#[inline]
pub(crate) fn matches<R: Record + ?Sized>(program: &Program, record: &R, scratch: &mut Scratch) -> bool {
    let event_type = record.event_type();
    if !program.bounds.may.contains(event_type) {
        return false;
    }
    if program.bounds.must.contains(event_type) {
        return true;
    }
    run(program, record, event_type, scratch)
}

#[inline]
fn run<R: Record + ?Sized>(program: &Program, record: &R, event_type: u16, scratch: &mut Scratch) -> bool {
    Evaluation::new(program, record, event_type, scratch).instr(program.root)
}

/// Slots for this event. A filter without shared parts touches no memory for them.
fn empty_slots<T: Copy>(arena: &Arena, count: usize) -> &[Cell<Option<T>>] {
    if count == 0 { &[] } else { arena.bump().alloc_slice_fill_with(count, |_| Cell::new(None)) }
}

pub(crate) struct Evaluation<'a, R: Record + ?Sized> {
    program: &'a Program,
    record: &'a R,
    event_type: u16,
    arena: &'a Arena,
    recall: &'a Recall,
    values: &'a [Cell<Option<Value<'a>>>],
    memos: &'a [Cell<Option<bool>>],
}

impl<'a, R: Record + ?Sized> Evaluation<'a, R> {
    /// Begins with one record, of which nothing is read yet.
    #[inline]
    pub(crate) fn new(
        program: &'a Program,
        record: &'a R,
        event_type: u16,
        scratch: &'a mut Scratch,
    ) -> Evaluation<'a, R> {
        scratch.arena.reset();
        scratch.recall.begin(program.id, &program.subjects);
        let Scratch { arena, recall } = &*scratch;
        let values = empty_slots(arena, program.value_slots);
        let memos = empty_slots(arena, program.memo_slots);
        Evaluation { program, record, event_type, arena, recall, values, memos }
    }

    /// Whether a condition is true. Recursion follows the tree, whose depth the check has bounded.
    pub(crate) fn instr(&self, id: InstrId) -> bool {
        let instr = &self.program.instrs[id];
        let Some(slot) = instr.memo_slot else {
            return self.kind(&instr.kind);
        };
        if let Some(known) = self.memos[slot].get() {
            return known;
        }
        let result = self.kind(&instr.kind);
        self.memos[slot].set(Some(result));
        result
    }

    fn kind(&self, kind: &'a InstrKind) -> bool {
        match kind {
            InstrKind::Const(value) => *value,
            InstrKind::Types(set) => set.contains(self.event_type),
            InstrKind::Guarded { bounds, test } => {
                bounds.must.contains(self.event_type)
                    || bounds.may.contains(self.event_type) && self.instr(*test)
            }
            InstrKind::And(parts) => parts.iter().all(|&part| self.instr(part)),
            InstrKind::Or(parts) => parts.iter().any(|&part| self.instr(part)),
            InstrKind::Not(inner) => !self.instr(*inner),
            InstrKind::ExactlyOne(parts) => {
                parts.iter().filter(|&&part| self.instr(part)).take(2).count() == 1
            }
            InstrKind::Recall { subject, bit, inner } => match self.record.version(*subject) {
                Some(version) => self.recall.get_or(*subject, version, *bit, || self.instr(*inner)),
                None => self.instr(*inner),
            },
            InstrKind::Match { operand, quantifier, matcher } => {
                judge(self.value(*operand), *quantifier, matcher)
            }
            InstrKind::Compare { left, right, op } => compare(self.value(*left), self.value(*right), *op),
        }
    }

    fn value(&self, id: OperandId) -> Value<'a> {
        let source = &self.program.operands[id];
        let Some(slot) = source.value_slot else {
            return self.read(&source.kind);
        };
        if let Some(known) = self.values[slot].get() {
            return known;
        }
        let value = self.read(&source.kind);
        self.values[slot].set(Some(value));
        value
    }

    fn read(&self, source: &'a SourceKind) -> Value<'a> {
        match source {
            SourceKind::Field(field) => self.record.field(field, self.arena),
            SourceKind::Call { transform, args, index } => {
                let args = self.args(args);
                (transform.apply)(&Call { args, index: index.as_deref(), arena: self.arena })
            }
        }
    }

    fn args(&self, args: &'a [SourceArg]) -> &'a [Value<'a>] {
        self.arena.list(args.iter().map(|arg| match arg {
            SourceArg::Operand(id) => self.value(*id),
            SourceArg::Text(text) => Value::Str(text),
            SourceArg::List(items) => Value::List(self.args(items)),
        }))
    }
}

fn judge(value: Value<'_>, quantifier: Quantifier, matcher: &Matcher) -> bool {
    match (value, quantifier) {
        (Value::None | Value::List([]), _) => false,
        (Value::List(many), Quantifier::Any) => many.iter().any(|one| matcher.matches(one)),
        (Value::List(many), Quantifier::NoneOf) => !many.iter().any(|one| matcher.matches(one)),
        (Value::List(many), Quantifier::All) => many.iter().all(|one| matcher.matches(one)),
        (one, Quantifier::NoneOf) => !matcher.matches(&one),
        (one, Quantifier::Any | Quantifier::All) => matcher.matches(&one),
    }
}

/// Compares two values of the event. Lists appear under `in` (every left element is among the right
/// ones) and `intersects` (one is); elsewhere one pair that satisfies the operator is enough.
fn compare(left: Value<'_>, right: Value<'_>, op: Op) -> bool {
    if !left.exists() || !right.exists() {
        return false;
    }
    let left_storage = [left];
    let right_storage = [right];
    let lefts = if let Value::List(many) = left { many } else { &left_storage };
    let rights = if let Value::List(many) = right { many } else { &right_storage };
    match op {
        Op::In => lefts.iter().all(|l| rights.iter().any(|r| pair(l, r, Op::Eq))),
        Op::Ne => !lefts.iter().any(|l| rights.iter().any(|r| pair(l, r, Op::Eq))),
        op => lefts.iter().any(|l| rights.iter().any(|r| pair(l, r, op))),
    }
}

fn pair(left: &Value<'_>, right: &Value<'_>, op: Op) -> bool {
    if let (Some(left), Some(right)) = (left.as_bytes(), right.as_bytes()) {
        return match op {
            Op::Contains => memchr::memmem::find(left, right).is_some(),
            Op::IContains => {
                memchr::memmem::find(&left.to_ascii_lowercase(), &right.to_ascii_lowercase()).is_some()
            }
            Op::StartsWith => left.starts_with(right),
            Op::EndsWith => left.ends_with(right),
            Op::Glob => glob_matches(right, left, false),
            Op::IGlob => glob_matches(right, left, true),
            Op::PMatch => path_covers(right, left),
            op => ordered(op, Some(left.cmp(right))),
        };
    }
    if let (Some(left), Some(right)) = (left.as_integer(), right.as_integer()) {
        return ordered(op, Some(left.cmp(&right)));
    }
    if let (Value::Ip(left), Value::Ip(right)) = (left, right) {
        return left == right;
    }
    match (left.as_double(), right.as_double()) {
        (Some(left), Some(right)) => ordered(op, left.partial_cmp(&right)),
        _ => false,
    }
}
