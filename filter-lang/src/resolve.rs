//! Operands: from a name or a call as written to a field of the catalogue or a transformer over such,
//! each kept once.

use crate::ast::{Arg, Operand, Span};
use crate::catalogue::{ArgRule, Arity, Catalogue, Cost, FieldId, FieldRef, FieldType, LookupError};
use crate::error::{ErrorKind, FilterError};
use crate::near::near_names;
use crate::recall::Depends;
use crate::transform::{self, ArgKind, Transform};
use crate::typed::{CallArg, OperandId, OperandKind, OperandNode};
use std::collections::HashMap;

/// The operands of one filter.
pub(crate) struct Operands<'c> {
    catalogue: &'c dyn Catalogue,
    nodes: Vec<OperandNode>,
    by_text: HashMap<String, OperandId>,
}

impl<'c> Operands<'c> {
    pub(crate) fn new(catalogue: &'c dyn Catalogue) -> Operands<'c> {
        Operands { catalogue, nodes: Vec::new(), by_text: HashMap::new() }
    }

    pub(crate) fn into_nodes(self) -> Vec<OperandNode> {
        self.nodes
    }

    pub(crate) fn node(&self, id: OperandId) -> &OperandNode {
        &self.nodes[id]
    }

    /// A known field whose name starts with this word and a dot, for a hint.
    pub(crate) fn field_like(&self, word: &str) -> Option<String> {
        let prefix = format!("{word}.");
        self.catalogue.names().find(|name| name.starts_with(&prefix)).map(|name| name.into_owned())
    }

    /// Resolves a left side or an argument.
    pub(crate) fn resolve(&mut self, operand: &Operand) -> Result<OperandId, Box<FilterError>> {
        match operand {
            Operand::Field { name, index, span } => self.field(name, index.as_deref(), *span),
            Operand::Call { name, span, .. } if name == "val" => {
                let reason = "may stand on the right side only".to_owned();
                Err(FilterError::new(ErrorKind::BadCall { name: name.clone(), reason }, *span))
            }
            Operand::Call { name, args, index, span } => self.call(name, args, index.as_deref(), *span),
        }
    }

    /// Resolves a right side: `val(field)` is the field itself there.
    pub(crate) fn resolve_right(&mut self, operand: &Operand) -> Result<OperandId, Box<FilterError>> {
        match operand {
            Operand::Call { name, args, index, span } if name == "val" => match (args.as_slice(), index) {
                ([Arg::Operand(inner @ Operand::Field { .. })], None) => self.resolve(inner),
                _ => {
                    let reason = "takes one field, as in val(fd.name)".to_owned();
                    Err(FilterError::new(ErrorKind::BadCall { name: name.clone(), reason }, *span))
                }
            },
            other => self.resolve(other),
        }
    }

    fn intern(&mut self, node: OperandNode) -> OperandId {
        if let Some(&id) = self.by_text.get(&node.text) {
            return id;
        }
        let id = self.nodes.len();
        self.by_text.insert(node.text.clone(), id);
        self.nodes.push(node);
        id
    }

    fn field(&mut self, name: &str, index: Option<&str>, span: Span) -> Result<OperandId, Box<FilterError>> {
        let (id, base, arg) = self.find(name, index, span)?;
        let field = FieldRef { id, arg: arg.map(Box::from) };
        let def = self.catalogue.def(&field);
        if !def.filterable {
            return Err(FilterError::new(ErrorKind::NotFilterable { name: name.to_owned() }, span));
        }
        let text = match arg {
            Some(arg) => format!("{base}[{arg}]"),
            None => base.to_owned(),
        };
        let node = OperandNode {
            ty: def.ty,
            arity: def.arity,
            cost: def.cost,
            depends: def.subject.map_or(Depends::Record, Depends::On),
            comparable: def.comparable,
            transformable: def.transformable,
            text,
            kind: OperandKind::Field(field),
        };
        Ok(self.intern(node))
    }

    /// Splits a name into field and argument: as a whole first, then the longest name before a dot.
    fn find<'n>(
        &self,
        name: &'n str,
        index: Option<&'n str>,
        span: Span,
    ) -> Result<(FieldId, &'n str, Option<&'n str>), Box<FilterError>> {
        let whole = match self.catalogue.lookup(name, index) {
            Ok(id) => return Ok((id, name, index)),
            Err(error) => error,
        };
        if whole != LookupError::Unknown {
            return Err(self.lookup_error(name, index, &whole, span));
        }
        if index.is_none() {
            for (at, _) in name.rmatch_indices('.') {
                let (base, arg) = (&name[..at], &name[at + 1..]);
                match self.catalogue.lookup(base, Some(arg)) {
                    Ok(id) => return Ok((id, base, Some(arg))),
                    // `fd.name.x`: there is `fd.name`, but what was written is no field.
                    Err(LookupError::Unknown | LookupError::ArgNotAllowed) => {}
                    Err(error) => return Err(self.lookup_error(base, Some(arg), &error, span)),
                }
            }
        }
        let mut near = near_names(name, self.catalogue.names());
        let mut head = name;
        while near.is_empty()
            && let Some(at) = head.rfind('.')
        {
            head = &head[..at];
            near = near_names(head, self.catalogue.names().filter(|name| name.contains('.')));
        }
        Err(FilterError::new(ErrorKind::UnknownField { name: name.to_owned() }, span).near(near))
    }

    fn lookup_error(
        &self,
        name: &str,
        arg: Option<&str>,
        error: &LookupError,
        span: Span,
    ) -> Box<FilterError> {
        let (reason, near) = match error {
            LookupError::Unknown => {
                return FilterError::new(ErrorKind::UnknownField { name: name.to_owned() }, span)
                    .near(near_names(name, self.catalogue.names()));
            }
            LookupError::ArgRequired => {
                (format!("needs an argument, as in `{name}[0]` or `{name}.name`"), Vec::new())
            }
            LookupError::ArgNotAllowed => ("takes no argument".to_owned(), Vec::new()),
            LookupError::BadArg { reason, known } => {
                let arg = arg.unwrap_or_default();
                (format!("does not take the argument `{arg}`: {reason}"), near_names(arg, known.iter()))
            }
        };
        FilterError::new(ErrorKind::FieldArg { name: name.to_owned(), reason }, span).near(near)
    }

    fn call(
        &mut self,
        name: &str,
        args: &[Arg],
        index: Option<&str>,
        span: Span,
    ) -> Result<OperandId, Box<FilterError>> {
        let Some(row) = transform::find(name) else {
            let near = near_names(name, transform::TRANSFORMS.iter().map(|row| row.name));
            return Err(
                FilterError::new(ErrorKind::UnknownTransformer { name: name.to_owned() }, span).near(near)
            );
        };
        let bad =
            |reason: String| FilterError::new(ErrorKind::BadCall { name: name.to_owned(), reason }, span);
        if args.len() < row.args.len() || args.len() > row.args_max {
            return Err(bad(format!("is used as {}", row.usage)));
        }
        if index.is_some() && !row.takes_index {
            return Err(bad("takes no argument in brackets".to_owned()));
        }
        let mut checked = Vec::with_capacity(args.len());
        for (i, arg) in args.iter().enumerate() {
            checked.push(self.call_arg(row, row.args[i.min(row.args.len() - 1)], arg, span)?);
        }
        let first = match checked.first() {
            Some(CallArg::Operand(id)) => self.nodes[*id].ty,
            _ => FieldType::Str,
        };
        let (ty, arity) = row.result.typed(first, index.is_some());
        let mut text = format!("{name}({})", self.show_args(&checked));
        if let Some(index) = index {
            text.push_str(&format!("[{index}]"));
        }
        let depends = self.depends_on(&checked);
        let kind = OperandKind::Call { transform: row, args: checked, index: index.map(Box::from) };
        let node = OperandNode {
            kind,
            ty,
            arity,
            cost: Cost::Rendered,
            depends,
            text,
            comparable: true,
            transformable: true,
        };
        Ok(self.intern(node))
    }

    /// What a call's result depends on: what its arguments do.
    fn depends_on(&self, args: &[CallArg]) -> Depends {
        args.iter().fold(Depends::Nothing, |all, arg| {
            all.join(match arg {
                CallArg::Operand(id) => self.nodes[*id].depends,
                CallArg::Text(_) => Depends::Nothing,
                CallArg::List(items) => self.depends_on(items),
            })
        })
    }

    fn call_arg(
        &mut self,
        row: &Transform,
        kind: ArgKind,
        arg: &Arg,
        span: Span,
    ) -> Result<CallArg, Box<FilterError>> {
        let bad = |reason: String, span| {
            FilterError::new(ErrorKind::BadCall { name: row.name.to_owned(), reason }, span)
        };
        match (arg, kind) {
            (
                Arg::Text(text),
                ArgKind::Text | ArgKind::TextOrBytes | ArgKind::Measurable | ArgKind::Constant,
            ) => Ok(CallArg::Text(text.bytes.as_slice().into())),
            (Arg::List(items, _), ArgKind::TextList) => {
                let items = items.iter().map(|item| self.call_arg(row, ArgKind::Text, item, span));
                Ok(CallArg::List(items.collect::<Result<_, _>>()?))
            }
            (Arg::Operand(operand), kind) if kind != ArgKind::Constant => {
                let id = self.resolve(operand)?;
                let node = &self.nodes[id];
                if !node.transformable {
                    return Err(bad(format!("cannot be applied to `{}`", node.text), operand.span()));
                }
                let fits = match (kind, node.arity) {
                    (ArgKind::TextList, Arity::List) => node.ty.is_text(),
                    (ArgKind::Measurable, Arity::List) => true,
                    (_, Arity::List) | (ArgKind::TextList, _) => false,
                    (ArgKind::Text, _) => node.ty.is_text(),
                    (_, _) => node.ty.is_text() || node.ty == FieldType::Bytes,
                };
                let noun = if node.arity == Arity::List { "a list" } else { node.ty.noun() };
                if fits {
                    Ok(CallArg::Operand(id))
                } else {
                    Err(bad(format!("is used as {}; `{}` is {noun}", row.usage, node.text), operand.span()))
                }
            }
            _ => Err(bad(format!("is used as {}", row.usage), span)),
        }
    }

    fn show_args(&self, args: &[CallArg]) -> String {
        let shown: Vec<String> = args
            .iter()
            .map(|arg| match arg {
                CallArg::Operand(id) => self.nodes[*id].text.clone(),
                CallArg::Text(bytes) => format!("'{}'", bytes.escape_ascii()),
                CallArg::List(items) => format!("({})", self.show_args(items)),
            })
            .collect();
        shown.join(", ")
    }
}

/// For messages: does a rule allow an argument?
impl ArgRule {
    /// Can the field be written with an argument?
    #[must_use]
    pub fn allows(self) -> bool {
        self != ArgRule::None
    }
}
