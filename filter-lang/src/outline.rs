//! Questions about a record of which only an outline is known: what somebody asks who has less at
//! hand than a record (a kernel's tables), and must not leave out what would match.
//!
//! Three truth values: a condition that the outline does not decide is neither true nor false.
//! Invariant: the answer "cannot match" is right for every record that fits the outline.

use crate::catalogue::FieldRef;
use crate::compile::{InstrId, InstrKind, Program, Quantifier, SourceArg, SourceKind};
use crate::eval::Evaluation;
use crate::matcher::Matcher;
use crate::typed::OperandId;
use crate::value::{Record, Scratch};

/// What is known of a field's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nothing, not even whether there is one.
    Nothing,
    /// All: [`Record::field`] of the outline answers with it.
    Value,
    /// There is none.
    Absent,
    /// There is a number from the first to the second.
    Between(i128, i128),
    /// There is a text, and it is another one.
    OtherThan(&'static [u8]),
}

/// A record of which not every field is known.
pub trait Outline: Record {
    /// What is known of a field.
    fn known(&self, field: &FieldRef) -> Known;
}

/// Parts of one filter, each decided by fields of one kind; see [`crate::Filter::parts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    ids: Vec<InstrId>,
    fields: Vec<FieldRef>,
}

impl Parts {
    /// Most parts that are told apart: one bit of a number each.
    pub const MAX: usize = u64::BITS as usize;

    /// Number of parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The first so many parts.
    #[must_use]
    pub fn first(mut self, count: usize) -> Parts {
        self.ids.truncate(count);
        self
    }

    /// The fields that the parts name (those of [`Parts::first`], too, and maybe more).
    #[must_use]
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    fn position(&self, id: InstrId) -> Option<usize> {
        self.ids.iter().position(|part| *part == id)
    }
}

/// See [`crate::Filter::parts`].
pub(crate) fn parts(program: &Program, of_kind: &dyn Fn(&FieldRef) -> bool) -> Parts {
    // Instructions stand behind those that they are made of.
    let mut decided = vec![false; program.instrs.len()];
    for (id, instr) in program.instrs.iter().enumerate() {
        decided[id] = match &instr.kind {
            InstrKind::Const(_) => true,
            InstrKind::Types(_) | InstrKind::Guarded { .. } => false,
            InstrKind::And(ids) | InstrKind::Or(ids) | InstrKind::ExactlyOne(ids) => {
                ids.iter().all(|&id| decided[id])
            }
            InstrKind::Not(inner) | InstrKind::Recall { inner, .. } => decided[*inner],
            InstrKind::Match { operand, .. } => all_fields(program, *operand, of_kind),
            InstrKind::Compare { left, right, .. } => {
                all_fields(program, *left, of_kind) && all_fields(program, *right, of_kind)
            }
        };
    }
    let mut found = Parts::default();
    let mut seen = vec![false; program.instrs.len()];
    collect(program, program.root, &decided, &mut seen, &mut found);
    found.ids.truncate(Parts::MAX);
    let mut seen = vec![false; program.instrs.len()];
    for &id in &found.ids {
        note_fields(program, id, &mut seen, &mut found.fields);
    }
    found
}

fn children(kind: &InstrKind) -> &[InstrId] {
    match kind {
        InstrKind::And(ids) | InstrKind::Or(ids) | InstrKind::ExactlyOne(ids) => ids,
        InstrKind::Not(inner) | InstrKind::Recall { inner, .. } | InstrKind::Guarded { test: inner, .. } => {
            std::slice::from_ref(inner)
        }
        InstrKind::Const(_) | InstrKind::Types(_) | InstrKind::Match { .. } | InstrKind::Compare { .. } => {
            &[]
        }
    }
}

fn collect(program: &Program, id: InstrId, decided: &[bool], seen: &mut [bool], found: &mut Parts) {
    if std::mem::replace(&mut seen[id], true) {
        return;
    }
    let kind = &program.instrs[id].kind;
    match kind {
        InstrKind::Const(_) => {}
        _ if decided[id] => found.ids.push(id),
        _ => children(kind).iter().for_each(|&id| collect(program, id, decided, seen, found)),
    }
}

fn note_fields(program: &Program, id: InstrId, seen: &mut [bool], out: &mut Vec<FieldRef>) {
    if std::mem::replace(&mut seen[id], true) {
        return;
    }
    let kind = &program.instrs[id].kind;
    let mut note = |operand| {
        all_fields(program, operand, &mut |field: &FieldRef| {
            if !out.contains(field) {
                out.push(field.clone());
            }
            true
        });
    };
    match kind {
        InstrKind::Match { operand, .. } => note(*operand),
        InstrKind::Compare { left, right, .. } => {
            note(*left);
            note(*right);
        }
        _ => {}
    }
    children(kind).iter().for_each(|&id| note_fields(program, id, seen, out));
}

/// Whether all fields of an operand are accepted.
fn all_fields(program: &Program, id: OperandId, mut accept: impl FnMut(&FieldRef) -> bool) -> bool {
    fn walk(program: &Program, id: OperandId, accept: &mut dyn FnMut(&FieldRef) -> bool) -> bool {
        match &program.operands[id].kind {
            SourceKind::Field(field) => accept(field),
            SourceKind::Call { args, .. } => walk_args(program, args, accept),
        }
    }
    fn walk_args(program: &Program, args: &[SourceArg], accept: &mut dyn FnMut(&FieldRef) -> bool) -> bool {
        args.iter().all(|arg| match arg {
            SourceArg::Operand(id) => walk(program, *id, accept),
            SourceArg::Text(_) => true,
            SourceArg::List(items) => walk_args(program, items, accept),
        })
    }
    walk(program, id, &mut accept)
}

/// See [`crate::Filter::results`].
pub(crate) fn results<R: Record + ?Sized>(
    program: &Program,
    parts: &Parts,
    record: &R,
    scratch: &mut Scratch,
) -> u64 {
    let evaluation = Evaluation::new(program, record, record.event_type(), scratch);
    let bits = parts.ids.iter().enumerate().map(|(at, &id)| u64::from(evaluation.instr(id)) << at);
    bits.fold(0, |all, bit| all | bit)
}

/// See [`crate::Filter::may_match`].
pub(crate) fn may_match<R: Outline + ?Sized>(
    program: &Program,
    outline: &R,
    parts: &Parts,
    results: Option<u64>,
    scratch: &mut Scratch,
) -> bool {
    let event_type = outline.event_type();
    if !program.bounds.may.contains(event_type) {
        return false;
    }
    let evaluation = Evaluation::new(program, outline, event_type, scratch);
    let memo = vec![None; program.instrs.len()];
    let mut judge = Judge { program, outline, event_type, evaluation, parts, results, memo };
    judge.instr(program.root) != Some(false)
}

struct Judge<'a, R: Outline + ?Sized> {
    program: &'a Program,
    outline: &'a R,
    event_type: u16,
    evaluation: Evaluation<'a, R>,
    parts: &'a Parts,
    results: Option<u64>,
    memo: Vec<Option<Option<bool>>>,
}

impl<R: Outline + ?Sized> Judge<'_, R> {
    fn instr(&mut self, id: InstrId) -> Option<bool> {
        if let Some(known) = self.memo[id] {
            return known;
        }
        let result = self.find(id);
        self.memo[id] = Some(result);
        result
    }

    fn find(&mut self, id: InstrId) -> Option<bool> {
        if let (Some(results), Some(at)) = (self.results, self.parts.position(id)) {
            return Some(results >> at & 1 != 0);
        }
        match &self.program.instrs[id].kind {
            InstrKind::Const(value) => Some(*value),
            InstrKind::Types(set) => Some(set.contains(self.event_type)),
            InstrKind::Guarded { bounds, .. } if bounds.must.contains(self.event_type) => Some(true),
            InstrKind::Guarded { bounds, .. } if !bounds.may.contains(self.event_type) => Some(false),
            InstrKind::Guarded { test: inner, .. } | InstrKind::Recall { inner, .. } => self.instr(*inner),
            InstrKind::And(ids) => self.any(ids, false).map(|found| !found),
            InstrKind::Or(ids) => self.any(ids, true),
            InstrKind::Not(inner) => self.instr(*inner).map(|holds| !holds),
            InstrKind::ExactlyOne(ids) => {
                let results: Vec<Option<bool>> = ids.iter().map(|&id| self.instr(id)).collect();
                let count = |wanted| results.iter().filter(|one| **one == wanted).count();
                match (count(Some(true)), count(None)) {
                    (2.., _) => Some(false),
                    (held, 0) => Some(held == 1),
                    _ => None,
                }
            }
            InstrKind::Match { operand, quantifier, matcher } => match self.known(*operand) {
                Known::Value => Some(self.evaluation.instr(id)),
                known => judge(known, *quantifier, matcher),
            },
            InstrKind::Compare { left, right, .. } => match (self.known(*left), self.known(*right)) {
                (Known::Absent, _) | (_, Known::Absent) => Some(false),
                (Known::Value, Known::Value) => Some(self.evaluation.instr(id)),
                _ => None,
            },
        }
    }

    /// Whether one of the conditions is `wanted`.
    fn any(&mut self, ids: &[InstrId], wanted: bool) -> Option<bool> {
        let mut result = Some(false);
        for &id in ids {
            match self.instr(id) {
                Some(value) if value == wanted => return Some(true),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    fn known(&self, id: OperandId) -> Known {
        match &self.program.operands[id].kind {
            SourceKind::Field(field) => self.outline.known(field),
            SourceKind::Call { .. } => {
                let is_value = |field: &FieldRef| self.outline.known(field) == Known::Value;
                if all_fields(self.program, id, is_value) { Known::Value } else { Known::Nothing }
            }
        }
    }
}

/// Judges a value of which something is known.
fn judge(known: Known, quantifier: Quantifier, matcher: &Matcher) -> Option<bool> {
    let hit = match (known, matcher) {
        (Known::Absent, _) => return Some(false),
        (Known::Between(..) | Known::OtherThan(_), Matcher::Exists) => Some(true),
        (Known::Between(low, high), Matcher::NumEq(number)) => within(low, high, *number, *number),
        (Known::Between(low, high), Matcher::NumRange(from, to)) => within(low, high, *from, *to),
        (Known::Between(low, high), Matcher::NumIn(numbers)) => {
            let none = !numbers.iter().any(|number| (low..=high).contains(number));
            none.then_some(false)
        }
        (Known::OtherThan(text), Matcher::TextEq(wanted)) => (**wanted == *text).then_some(false),
        _ => None,
    };
    match quantifier {
        Quantifier::NoneOf => hit.map(|hit| !hit),
        Quantifier::Any | Quantifier::All => hit,
    }
}

/// Whether a number between `low` and `high` is from `from` to `to`.
fn within(low: i128, high: i128, from: i128, to: i128) -> Option<bool> {
    if from <= low && high <= to {
        Some(true)
    } else if to < low || high < from {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_decide_where_they_can() {
        let eq = |number| Matcher::NumEq(number);
        let negative = Known::Between(-9, -1);
        assert_eq!(judge(negative, Quantifier::Any, &Matcher::NumRange(i128::MIN, -1)), Some(true));
        assert_eq!(judge(negative, Quantifier::NoneOf, &Matcher::NumRange(0, 5)), Some(true));
        assert_eq!(judge(negative, Quantifier::Any, &Matcher::NumRange(-3, 5)), None);
        assert_eq!(judge(negative, Quantifier::Any, &eq(0)), Some(false));
        assert_eq!(judge(negative, Quantifier::Any, &eq(-2)), None);
        assert_eq!(judge(negative, Quantifier::Any, &Matcher::NumIn([0, 3].into())), Some(false));
    }

    #[test]
    fn a_text_that_is_another_is_not_the_one() {
        let not_a = Known::OtherThan(b"a");
        let eq = |text: &[u8]| Matcher::TextEq(text.into());
        assert_eq!(judge(not_a, Quantifier::Any, &eq(b"a")), Some(false));
        assert_eq!(judge(not_a, Quantifier::NoneOf, &eq(b"a")), Some(true));
        assert_eq!(judge(not_a, Quantifier::Any, &eq(b"b")), None);
        assert_eq!(judge(Known::Absent, Quantifier::NoneOf, &eq(b"a")), Some(false), "no value, no test");
    }
}
