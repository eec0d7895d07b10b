//! Explanation of a compiled filter: how it was read, on which event types, in what order.

use crate::analyse::constants;
use crate::ast::{Expr, Op};
use crate::catalogue::{Arity, Catalogue, Constant};
use crate::compile::{InstrId, InstrKind, Program};
use crate::type_set::TypeSet;
use crate::typed::{OperandKind, OperandNode, Test, TestRhs};
use std::borrow::Cow;
use std::fmt::Write;

/// Most constants and type names that are spelled out.
const SHOWN_MAX: usize = 8;
/// Most lines of the tree: a graph with shared parts can print as a much larger tree.
const LINES_MAX: usize = 2_000;

/// Explains a filter in lines of text.
pub(crate) fn explain(
    expr: &Expr,
    program: &Program,
    operands: &[OperandNode],
    catalogue: &dyn Catalogue,
) -> String {
    let mut out = format!("read as:     {expr}\n");
    let bounds = &program.bounds;
    let decided = if bounds.is_exact() { ", which decide it" } else { "" };
    out.push_str(&format!("event types: {}{decided}\n", type_list(&bounds.may, catalogue)));
    for node in operands {
        if let OperandKind::Field(_) = node.kind {
            let many = if node.arity == Arity::One { "" } else { ", several values" };
            out.push_str(&format!("field:       {} ({}{many})\n", node.text, node.ty.noun()));
        }
    }
    out.push_str("evaluated:\n");
    let mut printer = Printer { program, catalogue, out, lines: 0 };
    printer.instr(program.root, 1);
    printer.out
}

struct Printer<'p> {
    program: &'p Program,
    catalogue: &'p dyn Catalogue,
    out: String,
    lines: usize,
}

impl Printer<'_> {
    fn instr(&mut self, id: InstrId, depth: usize) {
        self.lines += 1;
        if self.lines > LINES_MAX {
            if self.lines == LINES_MAX + 1 {
                self.out.push_str("  ...\n");
            }
            return;
        }
        let program = self.program;
        let instr = &program.instrs[id];
        let (text, parts): (String, &[InstrId]) = match &instr.kind {
            InstrKind::Const(value) => (value.to_string(), &[]),
            InstrKind::Types(set) => (format!("event type is {}", type_list(set, self.catalogue)), &[]),
            InstrKind::Guarded { bounds, test } if bounds.must.is_empty() => {
                (format!("on {} only", type_list(&bounds.may, self.catalogue)), std::slice::from_ref(test))
            }
            InstrKind::Guarded { bounds, test } => {
                let unsure = bounds.may.and(&bounds.must.complement());
                let unsure = type_list(&unsure, self.catalogue);
                (format!("{}, by the event's type but for {unsure}", program.instrs[*test].label), &[])
            }
            InstrKind::And(parts) => ("and".to_owned(), parts),
            InstrKind::Or(parts) => ("or".to_owned(), parts),
            InstrKind::Not(inner) => ("not".to_owned(), std::slice::from_ref(inner)),
            InstrKind::ExactlyOne(parts) => ("exactly one of".to_owned(), parts),
            InstrKind::Recall { subject, inner, .. } => {
                let subject = self.catalogue.subject_name(*subject).unwrap_or(Cow::Borrowed("subject"));
                (format!("once per state of the {subject}"), std::slice::from_ref(inner))
            }
            InstrKind::Match { .. } | InstrKind::Compare { .. } => (instr.label.clone(), &[]),
        };
        let shared = if instr.memo_slot.is_some() { ", evaluated once" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{:indent$}{text}  [cost {}{shared}]", "", instr.cost, indent = depth * 2);
        for &part in parts {
            self.instr(part, depth + 1);
        }
    }
}

fn type_list(set: &TypeSet, catalogue: &dyn Catalogue) -> String {
    if set.is_all() {
        return "all".to_owned();
    }
    if set.is_empty() {
        return "none".to_owned();
    }
    // Several codes can have one name: versions of an event.
    let mut names: Vec<String> = Vec::new();
    for name in set.iter().filter_map(|code| catalogue.type_name(code)) {
        if !names.iter().any(|known| *known == *name) {
            names.push(name.into_owned());
        }
    }
    if set.contains(TypeSet::CAPACITY) {
        names.push("younger types".to_owned());
    }
    match names.len() {
        0 => format!("{} codes", set.len()),
        count if count > SHOWN_MAX => {
            format!("{}, and {} more", names[..SHOWN_MAX].join(", "), count - SHOWN_MAX)
        }
        _ => names.join(", "),
    }
}

/// A test in the words of the language, long lists cut short.
pub(crate) fn test_label(test: &Test, operands: &[OperandNode]) -> String {
    let node = &operands[test.operand];
    let name = &node.text;
    let values = constants(&test.rhs);
    match &test.rhs {
        TestRhs::None => format!("{name} {}", test.op.name()),
        TestRhs::Operand(right) => format!("{name} {} val({})", test.op.name(), operands[*right].text),
        TestRhs::One(value) => format!("{name} {} {}", test.op.name(), show(value)),
        TestRhs::Many(_) => {
            let shown: Vec<String> = values.iter().take(SHOWN_MAX).map(show).collect();
            let more = if values.len() > SHOWN_MAX {
                format!(", {} more", values.len() - SHOWN_MAX)
            } else {
                String::new()
            };
            let op = match test.op {
                Op::Intersects if node.arity != Arity::List => "in",
                Op::In | Op::Intersects | Op::PMatch => test.op.name(),
                op => return format!("{name} {} anyof ({}{more})", op.name(), shown.join(", ")),
            };
            format!("{name} {op} ({}{more})", shown.join(", "))
        }
    }
}

fn show(value: &Constant) -> String {
    match value {
        Constant::Bool(flag) => flag.to_string(),
        Constant::Num(number) => number.to_string(),
        Constant::Double(number) => number.to_string(),
        Constant::Text(bytes) => {
            let cut = &bytes[..bytes.len().min(60)];
            format!("'{}'", String::from_utf8_lossy(cut).escape_debug())
        }
        Constant::Ip(addr) => addr.to_string(),
        Constant::Net(network) => network.to_string(),
    }
}
