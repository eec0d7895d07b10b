//! The syntax tree of a filter, as written: names are not resolved, constants are not typed.
//!
//! `Display` prints a tree so that parsing the print gives the same tree (a property test holds it to that).

use std::fmt;

/// A place in the text, in bytes. All spans compare equal, so that trees compare by meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

impl Eq for Span {}

/// A filter or a part of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// All are true; at least two.
    And(Vec<Expr>),
    /// One is true; at least two.
    Or(Vec<Expr>),
    /// It is false.
    Not(Box<Expr>),
    /// A comparison.
    Check(Check),
    /// A macro's name.
    Macro {
        /// The name.
        name: String,
        /// Its place.
        span: Span,
    },
}

/// One comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// Left side.
    pub lhs: Operand,
    /// Operator.
    pub op: Op,
    /// Place of the operator.
    pub op_span: Span,
    /// Right side.
    pub rhs: Rhs,
}

/// A value that is computed from the event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A field.
    Field {
        /// As written, without a bracketed argument: `evt.arg.fd`, `proc.aname`.
        name: String,
        /// The argument in brackets.
        index: Option<String>,
        /// Its place.
        span: Span,
    },
    /// A transformer, or `val(...)`.
    Call {
        /// `tolower`, `concat`, `val`...
        name: String,
        /// What is in the parentheses.
        args: Vec<Arg>,
        /// The argument in brackets after it (`getopt`).
        index: Option<String>,
        /// Its place.
        span: Span,
    },
}

/// An argument of a transformer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arg {
    /// A field or another transformer.
    Operand(Operand),
    /// A constant.
    Text(Text),
    /// A list.
    List(Vec<Arg>, Span),
}

/// A constant as written, its escapes decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Was it in quotes? Only an unquoted word can name a list.
    pub quoted: bool,
    /// Its place.
    pub span: Span,
}

/// The right side of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rhs {
    /// `exists` has none.
    None,
    /// One value.
    Item(Item),
    /// A list, with the modifier in front of it if the operator is not a list operator.
    List(Option<Modifier>, Vec<Item>, Span),
}

/// One value on the right side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A constant.
    Text(Text),
    /// `val(field)` or a transformer.
    Operand(Operand),
}

/// How many elements of a list must satisfy the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modifier {
    /// Exactly one.
    OneOf,
    /// At least one.
    AnyOf,
    /// Every one.
    AllOf,
}

impl Modifier {
    /// As written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Modifier::OneOf => "oneof",
            Modifier::AnyOf => "anyof",
            Modifier::AllOf => "allof",
        }
    }
}

/// A comparison operator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is named after its spelling, see OPERATORS")]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Exists,
    Contains,
    IContains,
    BContains,
    StartsWith,
    BStartsWith,
    EndsWith,
    Glob,
    IGlob,
    Regex,
    In,
    Intersects,
    PMatch,
}

/// Every operator with its spelling.
pub const OPERATORS: [(&str, Op); 19] = [
    ("=", Op::Eq),
    ("!=", Op::Ne),
    ("<", Op::Lt),
    ("<=", Op::Le),
    (">", Op::Gt),
    (">=", Op::Ge),
    ("exists", Op::Exists),
    ("contains", Op::Contains),
    ("icontains", Op::IContains),
    ("bcontains", Op::BContains),
    ("startswith", Op::StartsWith),
    ("bstartswith", Op::BStartsWith),
    ("endswith", Op::EndsWith),
    ("glob", Op::Glob),
    ("iglob", Op::IGlob),
    ("regex", Op::Regex),
    ("in", Op::In),
    ("intersects", Op::Intersects),
    ("pmatch", Op::PMatch),
];

impl Op {
    /// As written; `==` is read as `=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        OPERATORS.iter().find(|row| row.1 == self).map_or("?", |row| row.0)
    }

    /// Is the right side a pattern, in which the backslash is the pattern's own?
    pub(crate) fn takes_pattern(self) -> bool {
        matches!(self, Op::Regex | Op::Glob | Op::IGlob)
    }

    pub(crate) fn from_name(name: &str) -> Option<Op> {
        let name = if name == "==" { "=" } else { name };
        OPERATORS.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

impl Operand {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Operand::Field { span, .. } | Operand::Call { span, .. } => *span,
        }
    }
}

impl Item {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Item::Text(text) => text.span,
            Item::Operand(operand) => operand.span(),
        }
    }
}

/// What a part stands in, which decides whether it needs parentheses.
#[derive(Clone, Copy, PartialEq)]
enum Outer {
    Top,
    Or,
    And,
    Not,
}

impl Expr {
    fn print(&self, f: &mut fmt::Formatter<'_>, outer: Outer) -> fmt::Result {
        let (own, parts, word) = match self {
            Expr::Or(parts) => (Outer::Or, parts, " or "),
            Expr::And(parts) => (Outer::And, parts, " and "),
            Expr::Not(inner) => {
                f.write_str("not ")?;
                return inner.print(f, Outer::Not);
            }
            Expr::Check(check) => return write!(f, "{check}"),
            Expr::Macro { name, .. } => return f.write_str(name),
        };
        // `and` in `and` keeps its parentheses: the tree has it as one part.
        let bracket = match own {
            Outer::Or => outer != Outer::Top,
            _ => matches!(outer, Outer::And | Outer::Not),
        };
        if bracket {
            f.write_str("(")?;
        }
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                f.write_str(word)?;
            }
            part.print(f, own)?;
        }
        if bracket {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, Outer::Top)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.lhs, self.op.name())?;
        match &self.rhs {
            Rhs::None => Ok(()),
            Rhs::Item(item) => {
                f.write_str(" ")?;
                item.print(f, self.op)
            }
            Rhs::List(modifier, items, _) => {
                if let Some(modifier) = modifier {
                    write!(f, " {}", modifier.name())?;
                }
                f.write_str(" (")?;
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    item.print(f, self.op)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = match self {
            Operand::Field { name, index, .. } => {
                f.write_str(name)?;
                index
            }
            Operand::Call { name, args, index, .. } => {
                f.write_str(name)?;
                print_list(f, args)?;
                index
            }
        };
        match index {
            None => Ok(()),
            Some(arg) if is_bare_index(arg) => write!(f, "[{arg}]"),
            Some(arg) => {
                f.write_str("[")?;
                print_quoted(f, arg.as_bytes())?;
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arg::Operand(operand) => write!(f, "{operand}"),
            Arg::Text(text) => write!(f, "{text}"),
            Arg::List(args, _) => print_list(f, args),
        }
    }
}

impl Item {
    /// A bare pattern is taken as it stands, without escapes.
    fn print(&self, f: &mut fmt::Formatter<'_>, op: Op) -> fmt::Result {
        match self {
            Item::Text(text) if !text.quoted && op.takes_pattern() => {
                f.write_str(&String::from_utf8_lossy(&text.bytes))
            }
            Item::Text(text) => write!(f, "{text}"),
            Item::Operand(operand) => write!(f, "{operand}"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quoted {
            return print_quoted(f, &self.bytes);
        }
        for &byte in &self.bytes {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                0x21..=0x7e if !matches!(byte, b'(' | b')' | b'\'' | b'"' | b',' | b'=') => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

fn print_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str("(")?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    f.write_str(")")
}

fn is_bare_index(arg: &str) -> bool {
    !arg.is_empty() && !arg.contains(['[', ']', '\'', '"', ' ', '\t', '\u{8}', '\r', '\n'])
}

/// Text in single quotes, so that parsing it gives the same bytes. Valid UTF-8 stays readable.
fn print_quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("'")?;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' => f.write_str("\\'")?,
                '\\' => f.write_str("\\\\")?,
                c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_str("'")
}
