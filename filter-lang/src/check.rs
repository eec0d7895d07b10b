//! The type check: from the syntax tree to the typed tree, expanding macros and lists on the way.

use crate::ast::{self, Expr, Item, Modifier, Op, Operand, Rhs, Span, Text};
use crate::catalogue::{Arity, Catalogue, Constant, FieldType};
use crate::constant;
use crate::error::{ErrorKind, FilterError};
use crate::library::Library;
use crate::near::near_names;
use crate::operators;
use crate::parse::parse_text;
use crate::resolve::Operands;
use crate::typed::{Node, OperandId, OperandKind, Place, SourceText, Test, TestRhs, Typed};
use std::collections::HashMap;
use std::rc::Rc;

/// Deepest tree, macros expanded; the text's own limit bounds one macro only.
const TREE_DEPTH_MAX: usize = 300;
/// Most checks and list items after expansion: macros can multiply.
const EXPANSION_MAX: usize = 200_000;

/// Checks a syntax tree against a catalogue.
pub(crate) fn check(
    text: &str,
    expr: &Expr,
    catalogue: &dyn Catalogue,
    library: &Library,
) -> Result<Typed, Box<FilterError>> {
    let mut checker = Checker {
        catalogue,
        library,
        operands: Operands::new(catalogue),
        open: Vec::new(),
        expanded: 0,
        texts: vec![SourceText { origin: None, text: text.to_owned() }],
        text: 0,
        macros: HashMap::new(),
    };
    let root = checker.expr(expr, 0)?;
    Ok(Typed { texts: checker.texts, operands: checker.operands.into_nodes(), root })
}

struct Checker<'c> {
    catalogue: &'c dyn Catalogue,
    library: &'c Library,
    operands: Operands<'c>,
    /// Macros and lists being expanded, to see a cycle.
    open: Vec<String>,
    expanded: usize,
    /// The filter's text and those of the macros expanded so far; `text` is the one being checked.
    texts: Vec<SourceText>,
    text: usize,
    /// Macros parsed so far, with their place in `texts`.
    macros: HashMap<String, (usize, Rc<Expr>)>,
}

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr, depth: usize) -> Result<Node, Box<FilterError>> {
        if depth > TREE_DEPTH_MAX {
            return Err(FilterError::new(ErrorKind::TooDeep { limit: TREE_DEPTH_MAX }, Span::default()));
        }
        match expr {
            Expr::And(parts) => Ok(Node::And(self.exprs(parts, depth)?)),
            Expr::Or(parts) => Ok(Node::Or(self.exprs(parts, depth)?)),
            Expr::Not(inner) => Ok(Node::Not(Box::new(self.expr(inner, depth + 1)?))),
            Expr::Check(check) => self.check(check),
            Expr::Macro { name, span } => self.expand_macro(name, *span, depth),
        }
    }

    fn exprs(&mut self, parts: &[Expr], depth: usize) -> Result<Vec<Node>, Box<FilterError>> {
        parts.iter().map(|part| self.expr(part, depth + 1)).collect()
    }

    fn expand_macro(&mut self, name: &str, span: Span, depth: usize) -> Result<Node, Box<FilterError>> {
        let Some(condition) = self.library.macro_condition(name) else {
            let near = near_names(name, self.library.macros().map(|(name, _)| name));
            let error = FilterError::new(ErrorKind::UnknownMacro { name: name.to_owned() }, span).near(near);
            return Err(match self.operands.field_like(name) {
                Some(full) => error.help(format!("a check looks like `{full} = value` or `{full} exists`")),
                None => error,
            });
        };
        self.enter(name, span)?;
        let (at, condition) = match self.macros.get(name) {
            Some((at, condition)) => (*at, Rc::clone(condition)),
            None => {
                let origin = self.library.origin_of_macro(name);
                let parsed =
                    parse_text(condition).map_err(|error| error.in_text(condition, Some(&origin)))?;
                let at = self.texts.len();
                self.texts.push(SourceText { origin: Some(origin), text: condition.to_owned() });
                let parsed = Rc::new(parsed);
                self.macros.insert(name.to_owned(), (at, Rc::clone(&parsed)));
                (at, parsed)
            }
        };
        let outer = std::mem::replace(&mut self.text, at);
        let node = self
            .expr(&condition, depth + 1)
            .map_err(|error| error.in_text(&self.texts[at].text, self.texts[at].origin.as_ref()))?;
        self.text = outer;
        self.open.pop();
        Ok(node)
    }

    fn enter(&mut self, name: &str, span: Span) -> Result<(), Box<FilterError>> {
        if self.open.iter().any(|open| open == name) {
            return Err(FilterError::new(ErrorKind::Recursive { name: name.to_owned() }, span));
        }
        self.open.push(name.to_owned());
        Ok(())
    }

    fn count(&mut self, span: Span) -> Result<(), Box<FilterError>> {
        self.expanded += 1;
        if self.expanded > EXPANSION_MAX {
            return Err(FilterError::new(ErrorKind::TooLarge { limit: EXPANSION_MAX }, span));
        }
        Ok(())
    }

    fn check(&mut self, check: &ast::Check) -> Result<Node, Box<FilterError>> {
        self.count(check.op_span)?;
        let left = self.operands.resolve(&check.lhs)?;
        let node = self.operands.node(left);
        let allowed = operators::allowed(node.ty, node.arity);
        if !allowed.contains(&check.op) {
            let names: Vec<&str> = allowed.iter().map(|op| op.name()).collect();
            let kind = ErrorKind::OperatorType {
                op: check.op.name(),
                what: format!("`{}`", node.text),
                noun: if node.arity == Arity::List { "a list" } else { node.ty.noun() },
                allowed: names.join(" "),
            };
            return Err(FilterError::new(kind, check.op_span));
        }
        let end = match &check.rhs {
            Rhs::None => check.op_span.end,
            Rhs::Item(item) => item.span().end,
            Rhs::List(_, _, span) => span.end,
        };
        let span = Span { start: check.lhs.span().start, end };
        let site = Site { left, op: check.op, span, text: self.text };
        match &check.rhs {
            Rhs::None => Ok(site.test(TestRhs::None)),
            Rhs::Item(item) => self.single(site, item),
            Rhs::List(modifier, items, _) => {
                let items = self.expand_items(items)?;
                match modifier {
                    None => self.in_list(site, &items),
                    Some(modifier) => self.judged(site, *modifier, &items),
                }
            }
        }
    }

    fn single(&mut self, site: Site, item: &Item) -> Result<Node, Box<FilterError>> {
        match item {
            Item::Text(text) => Ok(site.test(TestRhs::One(self.constant(site, text)?))),
            Item::Operand(operand) => Ok(site.test(TestRhs::Operand(self.right_side(site, operand)?))),
        }
    }

    /// `in`, `intersects`, `pmatch`: constants in one test, `val()` elements in one test each.
    fn in_list(&mut self, site: Site, items: &[Item]) -> Result<Node, Box<FilterError>> {
        let mut constants = Vec::new();
        let mut nodes = Vec::new();
        for item in items {
            match item {
                Item::Text(text) => constants.push(self.constant(site, text)?),
                Item::Operand(operand) => {
                    nodes.push(site.test(TestRhs::Operand(self.right_side(site, operand)?)))
                }
            }
        }
        if !nodes.is_empty() && self.operands.node(site.left).arity == Arity::List && items.len() > 1 {
            let reason = "cannot be compared with constants and val() in one list".to_owned();
            let name = self.operands.node(site.left).text.clone();
            return Err(FilterError::new(ErrorKind::BadCall { name, reason }, site.span));
        }
        if !constants.is_empty() || nodes.is_empty() {
            nodes.insert(0, site.test(TestRhs::Many(constants)));
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) })
    }

    /// `op anyof|oneof|allof (...)`: the operator is applied to each element and the hits are judged.
    /// An empty list matches nothing, whatever the modifier.
    fn judged(&mut self, site: Site, modifier: Modifier, items: &[Item]) -> Result<Node, Box<FilterError>> {
        let mut nodes: Vec<Node> =
            items.iter().map(|item| self.single(site, item)).collect::<Result<_, _>>()?;
        Ok(match (nodes.len(), modifier) {
            (0, _) => Node::Const(false),
            (1, _) => nodes.remove(0),
            (_, Modifier::AnyOf) => Node::Or(nodes),
            (_, Modifier::AllOf) => Node::And(nodes),
            (_, Modifier::OneOf) => Node::ExactlyOne(nodes),
        })
    }

    /// Replaces names of lists by their items.
    fn expand_items(&mut self, items: &[Item]) -> Result<Vec<Item>, Box<FilterError>> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            self.count(item.span())?;
            match item {
                Item::Text(text) if !text.quoted => self.expand_item(text, &mut out)?,
                item => out.push(item.clone()),
            }
        }
        Ok(out)
    }

    fn expand_item(&mut self, text: &Text, out: &mut Vec<Item>) -> Result<(), Box<FilterError>> {
        let library = self.library;
        let name = std::str::from_utf8(&text.bytes).ok();
        let Some((name, items)) = name.and_then(|name| Some((name, library.list_items(name)?))) else {
            out.push(Item::Text(text.clone()));
            return Ok(());
        };
        self.enter(name, text.span)?;
        for item in items {
            self.count(text.span)?;
            // Errors in an item point to the list's name: the item is not in the filter's text.
            let item = Text { bytes: item.clone().into_bytes(), quoted: false, span: text.span };
            self.expand_item(&item, out)?;
        }
        self.open.pop();
        Ok(())
    }

    fn constant(&self, site: Site, text: &Text) -> Result<Constant, Box<FilterError>> {
        let node = self.operands.node(site.left);
        let shown = || String::from_utf8_lossy(&text.bytes).chars().take(80).collect::<String>();
        let bad = |wanted: String| {
            FilterError::new(
                ErrorKind::BadConstant { text: shown(), what: node.text.clone(), wanted },
                text.span,
            )
        };
        if matches!(site.op, Op::BContains | Op::BStartsWith) {
            let hex = constant::hex_bytes(&text.bytes)
                .ok_or_else(|| bad("an even number of hexadecimal digits".into()))?;
            return Ok(Constant::Text(hex));
        }
        let field = match &node.kind {
            OperandKind::Field(field) => Some(field),
            OperandKind::Call { .. } => None,
        };
        let parsed =
            constant::parse_constant(&text.bytes, node.ty, field, self.catalogue).map_err(|wanted| {
                let near = match field {
                    Some(field) if matches!(node.ty, FieldType::Keyword | FieldType::Flags) => {
                        near_names(&shown(), self.catalogue.constant_names(field))
                    }
                    _ => Vec::new(),
                };
                bad(wanted).near(near)
            })?;
        if let (Op::Regex, Constant::Text(pattern)) = (site.op, &parsed) {
            crate::matcher::regex(pattern)
                .map_err(|reason| FilterError::new(ErrorKind::BadPattern { reason }, text.span))?;
        }
        Ok(parsed)
    }

    /// `val(field)` or a transformer on the right.
    fn right_side(&mut self, site: Site, operand: &Operand) -> Result<OperandId, Box<FilterError>> {
        let span = operand.span();
        let right = self.operands.resolve_right(operand)?;
        let (left, node) = (self.operands.node(site.left), self.operands.node(right));
        let list_op = matches!(site.op, Op::In | Op::Intersects);
        let comparable = same_kind(left.ty, node.ty)
            && (left.arity == Arity::List) <= list_op
            && (node.arity == Arity::List) <= list_op;
        if !comparable {
            let kind = ErrorKind::SidesDiffer {
                left: format!("`{}`", left.text),
                left_noun: if left.arity == Arity::List { "a list" } else { left.ty.noun() },
                right: format!("`{}`", node.text),
                right_noun: if node.arity == Arity::List { "a list" } else { node.ty.noun() },
            };
            return Err(FilterError::new(kind, span));
        }
        if matches!(site.op, Op::Regex | Op::BContains | Op::BStartsWith) {
            let reason =
                format!("cannot be the right side of `{}`: its pattern is compiled once", site.op.name());
            return Err(FilterError::new(ErrorKind::BadCall { name: node.text.clone(), reason }, span));
        }
        for (side, place) in [(left, site.span), (node, span)] {
            if !side.comparable {
                let reason = "cannot be compared with another field".to_owned();
                return Err(FilterError::new(ErrorKind::BadCall { name: side.text.clone(), reason }, place));
            }
        }
        Ok(right)
    }
}

/// What a check's elements have in common.
#[derive(Clone, Copy)]
struct Site {
    left: OperandId,
    op: Op,
    span: Span,
    text: usize,
}

impl Site {
    fn test(self, rhs: TestRhs) -> Node {
        let place = Place { span: self.span, text: self.text };
        Node::Test(Test { operand: self.left, op: self.op, rhs, place })
    }
}

/// Can values of these types be compared with each other?
fn same_kind(left: FieldType, right: FieldType) -> bool {
    left == right
        || left.is_integer() && right.is_integer()
        || left.is_text() && right.is_text()
        || matches!((left, right), (FieldType::Str, FieldType::Bytes) | (FieldType::Bytes, FieldType::Str))
}
