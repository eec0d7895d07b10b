//! A filter, from text to answers: the crate's front door.

use crate::ast::Expr;
use crate::catalogue::{Catalogue, FieldRef};
use crate::check;
use crate::compile::{self, Program};
use crate::error::{FilterError, Warning};
use crate::eval;
use crate::explain;
use crate::library::Library;
use crate::lint;
use crate::outline::{self, Outline, Parts};
use crate::parse;
use crate::requirements::{self, Requirement};
use crate::simplify::simplify;
use crate::type_set::{TypeBounds, TypeSet};
use crate::typed::OperandKind;
use crate::value::{Record, Scratch};
use std::fmt;

/// What else a filter may use.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Macros and lists.
    pub library: Library,
}

/// A compiled filter. It can be shared by threads; each brings its own [`Scratch`].
pub struct Filter {
    expr: Expr,
    text: String,
    program: Program,
    fields: Vec<FieldRef>,
    requirements: Vec<Requirement>,
    is_conjunction: bool,
    warnings: Vec<Warning>,
    explanation: String,
}

impl Filter {
    /// Compiles a filter's text.
    ///
    /// # Errors
    /// When the text is no filter, or one that does not fit the catalogue; the error's `Display` shows
    /// the place with a caret, the reason, and near names.
    pub fn compile(
        text: &str,
        catalogue: &dyn Catalogue,
        options: &Options,
    ) -> Result<Filter, Box<FilterError>> {
        let attach = |error: Box<FilterError>| error.in_text(text, None);
        let expr = parse::parse_text(text).map_err(attach)?;
        let typed = check::check(text, &expr, catalogue, &options.library).map_err(attach)?;
        let warnings = lint::lint(&typed, catalogue);
        let root = simplify(typed.root, &typed.operands);
        let program = compile::compile(&root, &typed.operands, catalogue).map_err(attach)?;
        let (requirements, is_conjunction) = requirements::requirements(&root, &typed.operands, catalogue);
        let fields: Vec<FieldRef> = typed
            .operands
            .iter()
            .filter_map(|node| match &node.kind {
                OperandKind::Field(field) => Some(field.clone()),
                OperandKind::Call { .. } => None,
            })
            .collect();
        let explanation = explain::explain(&expr, &program, &typed.operands, catalogue);
        Ok(Filter {
            expr,
            text: text.to_owned(),
            program,
            fields,
            requirements,
            is_conjunction,
            warnings,
            explanation,
        })
    }

    /// Does the record satisfy the filter?
    #[inline]
    pub fn matches<R: Record + ?Sized>(&self, record: &R, scratch: &mut Scratch) -> bool {
        eval::matches(&self.program, record, scratch)
    }

    /// The parts of the filter that fields of a kind decide alone: as large as possible, at most
    /// [`Parts::MAX`] of them.
    #[must_use]
    pub fn parts(&self, of_kind: &dyn Fn(&FieldRef) -> bool) -> Parts {
        outline::parts(&self.program, of_kind)
    }

    /// Which of the parts are true on a record, bit by bit. Only fields of their kind are read.
    pub fn results<R: Record + ?Sized>(&self, parts: &Parts, record: &R, scratch: &mut Scratch) -> u64 {
        outline::results(&self.program, parts, record, scratch)
    }

    /// Can a record match of which only an outline is known, and, where they are given, the results of
    /// the parts? `false` is certain, `true` is not.
    pub fn may_match<R: Outline + ?Sized>(
        &self,
        outline: &R,
        parts: &Parts,
        results: Option<u64>,
        scratch: &mut Scratch,
    ) -> bool {
        outline::may_match(&self.program, outline, parts, results, scratch)
    }

    /// Number of distinct conditions, a measure of what asking the filter costs.
    #[must_use]
    pub fn size(&self) -> usize {
        self.program.instrs.len()
    }

    /// Event types that can match; events of other types need not be read.
    #[must_use]
    pub fn event_types(&self) -> &TypeSet {
        &self.program.bounds.may
    }

    /// Event types that can match, and those that always do.
    #[must_use]
    pub fn type_bounds(&self) -> &TypeBounds {
        &self.program.bounds
    }

    /// Fields that the filter names, each once.
    #[must_use]
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// Conditions on single fields that every matching event satisfies: what may be tested elsewhere
    /// first, such as in the kernel.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Do [`Filter::requirements`] and [`Filter::event_types`] together say all that the filter says?
    #[must_use]
    pub fn is_conjunction(&self) -> bool {
        self.is_conjunction
    }

    /// What is legal but probably not meant.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The tree, the order of evaluation and what the analysis knows, for people.
    #[must_use]
    pub fn explain(&self) -> &str {
        &self.explanation
    }

    /// The syntax tree as written, macros not expanded.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// The text that was compiled.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("text", &self.text).finish_non_exhaustive()
    }
}
