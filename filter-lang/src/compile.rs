//! Compilation: the simplified tree becomes a graph in which every distinct condition and operand is
//! one node, constants are ready to compare, and cheap parts come first. What one subject decides is
//! put together, to be evaluated once for each state of that subject.

use crate::analyse;
use crate::ast::Op;
use crate::catalogue::{Arity, Catalogue, Constant, Cost, FieldRef, Subject};
use crate::error::{ErrorKind, FilterError};
use crate::explain;
use crate::matcher::Matcher;
use crate::recall::{self, Depends};
use crate::transform::Transform;
use crate::type_set::{TypeBounds, TypeSet};
use crate::typed::{CallArg, Node, OperandId, OperandKind, OperandNode, Test, TestRhs};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Index of an instruction in [`Program::instrs`].
pub(crate) type InstrId = usize;

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its own number, by which kept results are found to be its.
    pub(crate) id: u64,
    /// Subjects of which it keeps results.
    pub(crate) subjects: Vec<Subject>,
    pub(crate) instrs: Vec<Instr>,
    pub(crate) operands: Vec<Source>,
    pub(crate) root: InstrId,
    pub(crate) bounds: TypeBounds,
    /// Number of results and values that are kept during one event.
    pub(crate) memo_slots: usize,
    pub(crate) value_slots: usize,
}

/// One condition.
#[derive(Debug)]
pub(crate) struct Instr {
    pub(crate) kind: InstrKind,
    /// Where its result is kept, if several conditions need it.
    pub(crate) memo_slot: Option<usize>,
    pub(crate) cost: u32,
    /// The test in words, for explanations; empty for what is not a test.
    pub(crate) label: String,
}

#[derive(Debug)]
pub(crate) enum InstrKind {
    Const(bool),
    /// Decided by the event's type.
    Types(TypeSet),
    /// Decided by the event's type on most types, by the test on the others.
    Guarded {
        bounds: Box<TypeBounds>,
        test: InstrId,
    },
    And(Box<[InstrId]>),
    Or(Box<[InstrId]>),
    Not(InstrId),
    ExactlyOne(Box<[InstrId]>),
    /// Decided by the state of a subject: its result of this number is kept.
    Recall {
        subject: Subject,
        bit: u32,
        inner: InstrId,
    },
    Match {
        operand: OperandId,
        quantifier: Quantifier,
        matcher: Matcher,
    },
    Compare {
        left: OperandId,
        right: OperandId,
        op: Op,
    },
}

/// How the values of a multi-valued operand are judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Quantifier {
    /// One must match.
    Any,
    /// There must be some and none may match (`!=`).
    NoneOf,
    /// There must be some and all must match (`in` on a list).
    All,
}

/// Where an operand's value comes from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    /// Where its value is kept, if it is needed more than once.
    pub(crate) value_slot: Option<usize>,
}

#[derive(Debug)]
pub(crate) enum SourceKind {
    Field(FieldRef),
    Call { transform: &'static Transform, args: Box<[SourceArg]>, index: Option<Box<str>> },
}

#[derive(Debug)]
pub(crate) enum SourceArg {
    Operand(OperandId),
    Text(Box<[u8]>),
    List(Box<[SourceArg]>),
}

/// Compiles a simplified tree.
pub(crate) fn compile(
    root: &Node,
    operands: &[OperandNode],
    catalogue: &dyn Catalogue,
) -> Result<Program, Box<FilterError>> {
    let mut compiler = Compiler {
        catalogue,
        operands,
        instrs: Vec::new(),
        depends: Vec::new(),
        uses: Vec::new(),
        kept: [0; Subject::COUNT],
        tests: HashMap::new(),
        groups: HashMap::new(),
    };
    let (root, bounds) = compiler.lower(root)?;
    let root = compiler.recalled(root);
    compiler.uses[root] += 1;
    Ok(compiler.finish(root, bounds))
}

/// A compound condition by kind and parts, to find it again.
#[derive(PartialEq, Eq, Hash)]
enum GroupKey {
    Const(bool),
    Types(TypeSet),
    And(Vec<InstrId>),
    Or(Vec<InstrId>),
    Not(InstrId),
    ExactlyOne(Vec<InstrId>),
    Recall(Subject, InstrId),
    OnTypes(TypeSet, InstrId),
}

struct Compiler<'c> {
    catalogue: &'c dyn Catalogue,
    operands: &'c [OperandNode],
    instrs: Vec<Instr>,
    /// What each instruction depends on.
    depends: Vec<Depends>,
    uses: Vec<u32>,
    /// How many results of each subject are kept.
    kept: [u32; Subject::COUNT],
    /// Tests seen, by fingerprint.
    tests: HashMap<u64, Vec<(Test, InstrId)>>,
    groups: HashMap<GroupKey, InstrId>,
}

impl Compiler<'_> {
    fn lower(&mut self, node: &Node) -> Result<(InstrId, TypeBounds), Box<FilterError>> {
        let (key, bounds) = match node {
            Node::Test(test) => return self.test(test),
            Node::Const(value) => {
                (GroupKey::Const(*value), if *value { TypeBounds::ALWAYS } else { TypeBounds::NEVER })
            }
            Node::Not(inner) => {
                let (inner, bounds) = self.lower(inner)?;
                (GroupKey::Not(inner), bounds.negate())
            }
            Node::And(parts) => {
                let lowered = self.parts(parts)?;
                let bounds = lowered.iter().fold(TypeBounds::ALWAYS, |all, part| all.and(&part.1));
                (GroupKey::And(self.ordered(lowered, GroupKey::And)), bounds)
            }
            Node::Or(parts) => {
                let lowered = self.parts(parts)?;
                let bounds = lowered.iter().fold(TypeBounds::NEVER, |all, part| all.or(&part.1));
                let may: HashMap<InstrId, TypeSet> =
                    lowered.iter().map(|part| (part.0, part.1.may)).collect();
                let ids = self.ordered(lowered, GroupKey::Or);
                (GroupKey::Or(ids.into_iter().map(|id| self.on_types(id, may.get(&id))).collect()), bounds)
            }
            Node::ExactlyOne(parts) => {
                let lowered = self.parts(parts)?;
                let may = lowered.iter().fold(TypeSet::EMPTY, |all, part| all.or(&part.1.may));
                (
                    GroupKey::ExactlyOne(lowered.into_iter().map(|part| part.0).collect()),
                    TypeBounds::at_most(may),
                )
            }
        };
        let key = if bounds.is_exact() { GroupKey::Types(bounds.may) } else { key };
        Ok((self.group(key), bounds))
    }

    /// A part of an `or`, with a look at the event's type first where that can spare it.
    fn on_types(&mut self, id: InstrId, may: Option<&TypeSet>) -> InstrId {
        /// Costs from which the look is worth it.
        const WORTH_COST: u32 = 4;
        match may {
            // What one subject decides has its result kept as a whole, further up.
            Some(may)
                if !may.is_all()
                    && self.depends[id] == Depends::Record
                    && self.instrs[id].cost >= WORTH_COST
                    && !matches!(self.instrs[id].kind, InstrKind::Guarded { .. }) =>
            {
                self.group(GroupKey::OnTypes(*may, id))
            }
            _ => id,
        }
    }

    fn parts(&mut self, parts: &[Node]) -> Result<Vec<(InstrId, TypeBounds)>, Box<FilterError>> {
        parts.iter().map(|part| self.lower(part)).collect()
    }

    /// Cheap parts first; the sort is stable, so equal costs keep the author's order. Where the parts
    /// depend on different things, those of one subject become one part, of the same kind.
    fn ordered(
        &mut self,
        parts: Vec<(InstrId, TypeBounds)>,
        kind: fn(Vec<InstrId>) -> GroupKey,
    ) -> Vec<InstrId> {
        let mut ids: Vec<InstrId> = parts.into_iter().map(|part| part.0).collect();
        self.sort(&mut ids);
        if self.joint(&ids) != Depends::Record {
            return ids;
        }
        for subject in (0..Subject::COUNT as u8).map(Subject) {
            let (own, others): (Vec<_>, Vec<_>) =
                ids.iter().partition(|&&id| self.depends[id] == Depends::On(subject));
            let one = match own.as_slice() {
                [] => continue,
                [one] => *one,
                _ => self.group(kind(own)),
            };
            ids = others;
            ids.push(self.recalled(one));
        }
        self.sort(&mut ids);
        ids
    }

    fn sort(&self, ids: &mut Vec<InstrId>) {
        ids.sort_by_key(|&id| self.instrs[id].cost);
        ids.dedup();
    }

    fn joint(&self, ids: &[InstrId]) -> Depends {
        ids.iter().fold(Depends::Nothing, |all, &id| all.join(self.depends[id]))
    }

    /// A condition that one subject decides, with its result kept; other conditions, cheap ones and
    /// those beyond the number of results that can be kept stay as they are.
    fn recalled(&mut self, id: InstrId) -> InstrId {
        match self.depends[id] {
            Depends::On(subject)
                if self.instrs[id].cost >= recall::WORTH_COST
                    && self.kept[subject.index()] < recall::RESULTS_MAX =>
            {
                self.group(GroupKey::Recall(subject, id))
            }
            _ => id,
        }
    }

    fn group(&mut self, key: GroupKey) -> InstrId {
        if let Some(&id) = self.groups.get(&key) {
            return id;
        }
        let total = |ids: &[InstrId]| ids.iter().map(|&id| self.instrs[id].cost).fold(1, u32::saturating_add);
        let (kind, cost) = match &key {
            GroupKey::Const(value) => (InstrKind::Const(*value), 0),
            GroupKey::Types(set) if set.is_empty() => (InstrKind::Const(false), 0),
            GroupKey::Types(set) if set.is_all() => (InstrKind::Const(true), 0),
            GroupKey::Types(set) => (InstrKind::Types(*set), 1),
            GroupKey::Not(inner) => (InstrKind::Not(*inner), self.instrs[*inner].cost),
            GroupKey::And(ids) => (InstrKind::And(ids.as_slice().into()), total(ids)),
            GroupKey::Or(ids) => (InstrKind::Or(ids.as_slice().into()), total(ids)),
            GroupKey::ExactlyOne(ids) => (InstrKind::ExactlyOne(ids.as_slice().into()), total(ids)),
            GroupKey::OnTypes(may, inner) => {
                let bounds = Box::new(TypeBounds::at_most(*may));
                (InstrKind::Guarded { bounds, test: *inner }, self.instrs[*inner].cost)
            }
            GroupKey::Recall(subject, inner) => {
                let bit = self.kept[subject.index()];
                self.kept[subject.index()] += 1;
                (InstrKind::Recall { subject: *subject, bit, inner: *inner }, recall::ASK_COST)
            }
        };
        let parts: &[InstrId] = match &kind {
            InstrKind::And(ids) | InstrKind::Or(ids) | InstrKind::ExactlyOne(ids) => ids,
            InstrKind::Not(inner)
            | InstrKind::Recall { inner, .. }
            | InstrKind::Guarded { test: inner, .. } => std::slice::from_ref(inner),
            _ => &[],
        };
        for &id in parts {
            self.uses[id] += 1;
        }
        // Above a kept result everything depends on the record.
        let depends = match kind {
            InstrKind::Recall { .. } | InstrKind::Types(_) | InstrKind::Guarded { .. } => Depends::Record,
            _ => self.joint(parts),
        };
        let id = self.push(kind, cost, depends, String::new());
        self.groups.insert(key, id);
        id
    }

    fn push(&mut self, kind: InstrKind, cost: u32, depends: Depends, label: String) -> InstrId {
        self.instrs.push(Instr { kind, memo_slot: None, cost, label });
        self.depends.push(depends);
        self.uses.push(0);
        self.instrs.len() - 1
    }

    fn test(&mut self, test: &Test) -> Result<(InstrId, TypeBounds), Box<FilterError>> {
        let bounds = analyse::test_bounds(test, self.operands, self.catalogue);
        if bounds.is_exact() {
            return Ok((self.group(GroupKey::Types(bounds.may)), bounds));
        }
        let key = fingerprint(test);
        if let Some(same) = self.tests.get(&key)
            && let Some((_, id)) = same.iter().find(|(seen, _)| seen == test)
        {
            return Ok((*id, bounds));
        }
        let node = &self.operands[test.operand];
        let mut depends = node.depends;
        let (kind, cost) = match test.rhs {
            TestRhs::Operand(right) => {
                depends = depends.join(self.operands[right].depends);
                let cost = self.read_cost(test.operand) + self.read_cost(right) + 2;
                (InstrKind::Compare { left: test.operand, right, op: test.op }, cost)
            }
            _ => {
                let op = if test.op == Op::Ne { Op::Eq } else { test.op };
                let matcher = Matcher::build(op, node.ty, analyse::constants(&test.rhs))
                    .map_err(|reason| FilterError::new(ErrorKind::BadPattern { reason }, test.place.span))?;
                let quantifier = match test.op {
                    Op::Ne => Quantifier::NoneOf,
                    Op::In if node.arity == Arity::List => Quantifier::All,
                    _ => Quantifier::Any,
                };
                let cost = self.read_cost(test.operand) + matcher.cost();
                (InstrKind::Match { operand: test.operand, quantifier, matcher }, cost)
            }
        };
        let mut id = self.push(kind, cost, depends, explain::test_label(test, self.operands));
        if !bounds.must.is_empty() {
            self.uses[id] += 1;
            let kind = InstrKind::Guarded { bounds: Box::new(bounds), test: id };
            id = self.push(kind, 1, Depends::Record, String::new());
        }
        self.tests.entry(key).or_default().push((test.clone(), id));
        Ok((id, bounds))
    }

    fn read_cost(&self, operand: OperandId) -> u32 {
        let node = &self.operands[operand];
        let base = match node.cost {
            Cost::Header => 1,
            Cost::Stored => 5,
            Cost::Rendered => 40,
        };
        // Several values are put into a list first.
        const LIST: u32 = 15;
        if node.arity == Arity::One { base } else { base + base.max(LIST) }
    }

    /// Gives slots to what is used more than once.
    fn finish(mut self, root: InstrId, bounds: TypeBounds) -> Program {
        let mut memo_slots = 0;
        for (instr, &uses) in self.instrs.iter_mut().zip(&self.uses) {
            // Looking a result up costs about as much as the cheapest tests.
            if uses > 1 && instr.cost > 8 {
                instr.memo_slot = Some(memo_slots);
                memo_slots += 1;
            }
        }
        let mut reads = vec![0_u32; self.operands.len()];
        for (instr, &uses) in self.instrs.iter().zip(&self.uses) {
            match &instr.kind {
                _ if uses == 0 => {}
                InstrKind::Match { operand, .. } => reads[*operand] += 1,
                InstrKind::Compare { left, right, .. } => {
                    reads[*left] += 1;
                    reads[*right] += 1;
                }
                _ => {}
            }
        }
        // Calls come after their arguments, so that going backwards sees every reader first.
        for id in (0..self.operands.len()).rev() {
            if reads[id] > 0
                && let OperandKind::Call { args, .. } = &self.operands[id].kind
            {
                count_reads(args, &mut reads);
            }
        }
        let mut value_slots = 0;
        let operands = self.operands.iter().zip(&reads).map(|(node, &reads)| {
            let keep = reads > 1 && node.cost != Cost::Header;
            value_slots += usize::from(keep);
            Source { kind: source_kind(&node.kind), value_slot: keep.then(|| value_slots - 1) }
        });
        let operands = operands.collect();
        let subjects = (0..Subject::COUNT as u8).map(Subject);
        let subjects = subjects.filter(|subject| self.kept[subject.index()] > 0).collect();
        let id = recall::program_id();
        Program { id, subjects, instrs: self.instrs, operands, root, bounds, memo_slots, value_slots }
    }
}

/// A hash of what a test means: equal tests have equal fingerprints.
fn fingerprint(test: &Test) -> u64 {
    let mut hasher = DefaultHasher::new();
    (test.operand, test.op).hash(&mut hasher);
    if let TestRhs::Operand(right) = test.rhs {
        right.hash(&mut hasher);
    }
    for constant in analyse::constants(&test.rhs) {
        match constant {
            Constant::Bool(flag) => flag.hash(&mut hasher),
            Constant::Num(number) => number.hash(&mut hasher),
            Constant::Double(number) => number.to_bits().hash(&mut hasher),
            Constant::Text(text) => text.hash(&mut hasher),
            Constant::Ip(addr) => addr.hash(&mut hasher),
            Constant::Net(network) => network.hash(&mut hasher),
        }
    }
    hasher.finish()
}

fn count_reads(args: &[CallArg], reads: &mut [u32]) {
    for arg in args {
        match arg {
            CallArg::Operand(id) => reads[*id] += 1,
            CallArg::Text(_) => {}
            CallArg::List(items) => count_reads(items, reads),
        }
    }
}

fn source_kind(kind: &OperandKind) -> SourceKind {
    match kind {
        OperandKind::Field(field) => SourceKind::Field(field.clone()),
        OperandKind::Call { transform, args, index } => {
            SourceKind::Call { transform, args: source_args(args), index: index.clone() }
        }
    }
}

fn source_args(args: &[CallArg]) -> Box<[SourceArg]> {
    args.iter()
        .map(|arg| match arg {
            CallArg::Operand(id) => SourceArg::Operand(*id),
            CallArg::Text(text) => SourceArg::Text(text.clone()),
            CallArg::List(items) => SourceArg::List(source_args(items)),
        })
        .collect()
}
