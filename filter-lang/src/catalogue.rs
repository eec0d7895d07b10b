//! What the language knows about fields: the catalogue that a user of this library brings along.
//!
//! The library knows no events. It asks the catalogue for names, types, argument rules and named
//! constants while a filter is checked, never while it runs. [`crate::Record`] is the run-time half.

use crate::type_set::TypeBounds;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// A catalogue's own number for a field. Opaque here; a catalogue may put an index and an encoded
/// argument into it, so that no text is looked at while events are evaluated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldId(pub u32);

/// A field as it stands in a filter: its id and the argument that it was written with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FieldRef {
    /// What [`Catalogue::lookup`] answered.
    pub id: FieldId,
    /// The argument: `fd` of `evt.arg.fd`, `2` of `proc.aname[2]`.
    pub arg: Option<Box<str>>,
}

impl FieldRef {
    /// A field without an argument.
    #[must_use]
    pub fn plain(id: FieldId) -> FieldRef {
        FieldRef { id, arg: None }
    }

    /// The argument as an index, if it is one.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        self.arg.as_deref().and_then(|arg| arg.parse().ok())
    }
}

/// The type of a field's values; decides which operators and constants fit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldType {
    /// `true` or `false`.
    Bool,
    /// Signed 64-bit number.
    Int,
    /// Unsigned 64-bit number.
    Uint,
    /// Floating point number.
    Double,
    /// Text as bytes; need not be UTF-8.
    Str,
    /// Text out of a closed set of names, such as an event's type: every constant is checked by
    /// [`Catalogue::is_keyword`], and only equality makes sense.
    Keyword,
    /// A buffer.
    Bytes,
    /// IPv4 or IPv6 address.
    Ip,
    /// An address that is tested for membership in a network; values are [`crate::Value::Ip`].
    Net,
    /// A port number; constants may be service names.
    Port,
    /// A duration in nanoseconds; constants may carry a unit (`10ms`).
    RelTime,
    /// Nanoseconds since the epoch; constants may be dates.
    AbsTime,
    /// A number whose bits or values have names, see [`Catalogue::constant`].
    Flags,
    /// A distance in nanoseconds; only `field = N`, which means "at most N milliseconds"
    /// (`evt.around[TS]=MS`).
    WithinMs,
}

impl FieldType {
    /// Is the type one of the integer-valued ones?
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            FieldType::Int
                | FieldType::Uint
                | FieldType::Port
                | FieldType::RelTime
                | FieldType::AbsTime
                | FieldType::Flags
                | FieldType::WithinMs
        )
    }

    /// Is the type text?
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, FieldType::Str | FieldType::Keyword)
    }

    /// The type in words, for messages: "a number".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            FieldType::Bool => "a boolean",
            FieldType::Int | FieldType::Uint => "a number",
            FieldType::Double => "a decimal number",
            FieldType::Str => "text",
            FieldType::Keyword => "one of a fixed set of names",
            FieldType::Bytes => "a buffer",
            FieldType::Ip => "an IP address",
            FieldType::Net => "an IP network",
            FieldType::Port => "a port",
            FieldType::RelTime => "a duration",
            FieldType::AbsTime => "a time",
            FieldType::Flags => "a set of flags",
            FieldType::WithinMs => "a distance in milliseconds",
        }
    }
}

/// How many values a field has on one event, and what a comparison with several of them means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Arity {
    /// At most one value.
    #[default]
    One,
    /// Several candidates (`fd.ip`: both ends; `proc.aname`: all ancestors). A comparison is true if
    /// it is true for any of them; `!=` is true if there are some and none of them is equal.
    Any,
    /// A list in itself: `in` asks whether all elements are in the list, `intersects` whether one is.
    List,
}

/// Whether a field takes an argument.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ArgRule {
    /// Never.
    #[default]
    None,
    /// May, need not.
    Optional,
    /// Must.
    Required,
}

/// What reading a field costs; the evaluator tries cheap checks first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Cost {
    /// At hand in the record.
    Header,
    /// Stored; found by a look-up.
    #[default]
    Stored,
    /// Rendered into the arena or found by a walk.
    Rendered,
}

/// A thing that many records are about, such as a process: number 0 to [`Subject::COUNT`] - 1, of the
/// catalogue's choice.
///
/// Conditions on fields of one subject are evaluated once for each version of it that
/// [`crate::Record::version`] tells, not once for each record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Subject(pub u8);

impl Subject {
    /// How many subjects a catalogue may have.
    pub const COUNT: usize = 4;

    pub(crate) fn index(self) -> usize {
        usize::from(self.0) % Subject::COUNT
    }
}

/// A field's description.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FieldDef<'c> {
    /// Name without argument.
    pub name: Cow<'c, str>,
    /// Type of one value.
    pub ty: FieldType,
    /// How many values.
    pub arity: Arity,
    /// Argument rule, for messages; [`Catalogue::lookup`] enforces it.
    pub arg: ArgRule,
    /// False for fields that can only be printed.
    pub filterable: bool,
    /// May a transformer wrap it?
    pub transformable: bool,
    /// May it stand in `val()`, or opposite to one?
    pub comparable: bool,
    /// What reading it costs.
    pub cost: Cost,
    /// The subject that the value comes from, if nothing else decides it.
    pub subject: Option<Subject>,
}

impl<'c> FieldDef<'c> {
    /// A plain field: one value, no argument, no restriction.
    #[must_use]
    pub const fn new(name: &'c str, ty: FieldType) -> FieldDef<'c> {
        FieldDef {
            name: Cow::Borrowed(name),
            ty,
            arity: Arity::One,
            arg: ArgRule::None,
            filterable: true,
            transformable: true,
            comparable: true,
            cost: Cost::Stored,
            subject: None,
        }
    }

    /// With this arity. Multi-valued candidates refuse transformers and `val()`.
    #[must_use]
    pub const fn arity(mut self, arity: Arity) -> FieldDef<'c> {
        if matches!(arity, Arity::Any) {
            self.transformable = false;
            self.comparable = false;
        }
        self.arity = arity;
        self
    }

    /// With this argument rule.
    #[must_use]
    pub const fn arg(mut self, arg: ArgRule) -> FieldDef<'c> {
        self.arg = arg;
        self
    }

    /// Only for printing.
    #[must_use]
    pub const fn print_only(mut self) -> FieldDef<'c> {
        self.filterable = false;
        self
    }

    /// No transformer may wrap it.
    #[must_use]
    pub const fn no_transformer(mut self) -> FieldDef<'c> {
        self.transformable = false;
        self
    }

    /// Not with `val()`.
    #[must_use]
    pub const fn no_val(mut self) -> FieldDef<'c> {
        self.comparable = false;
        self
    }

    /// Decided by this subject alone.
    #[must_use]
    pub const fn subject(mut self, subject: Subject) -> FieldDef<'c> {
        self.subject = Some(subject);
        self
    }

    /// With this cost.
    #[must_use]
    pub const fn cost(mut self, cost: Cost) -> FieldDef<'c> {
        self.cost = cost;
        self
    }
}

/// Why a field was not found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookupError {
    /// There is no field of this name.
    Unknown,
    /// The field needs an argument and has none.
    ArgRequired,
    /// The field takes no argument.
    ArgNotAllowed,
    /// The argument is not one that this field takes.
    BadArg {
        /// Why, as the end of a sentence: "no event has an argument of this name".
        reason: String,
        /// Arguments that would do, for the suggestion.
        known: Vec<String>,
    },
}

/// A constant of a filter, parsed according to its field's type.
#[derive(Clone, PartialEq, Debug)]
pub enum Constant {
    /// For [`FieldType::Bool`].
    Bool(bool),
    /// For the integer types.
    Num(i128),
    /// For [`FieldType::Double`].
    Double(f64),
    /// For text and buffers.
    Text(Box<[u8]>),
    /// For [`FieldType::Ip`].
    Ip(IpAddr),
    /// For [`FieldType::Net`].
    Net(Network),
}

/// An IP network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    /// An address in it.
    pub addr: IpAddr,
    /// Number of leading bits that count.
    pub prefix_bits: u8,
}

impl Network {
    /// Is the address in the network? Never across families.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(net), IpAddr::V4(addr)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits.min(32))).unwrap_or(0);
                (net.to_bits() ^ addr.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(addr)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits.min(128))).unwrap_or(0);
                (net.to_bits() ^ addr.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_bits)
    }
}

/// The fields that filters may name.
pub trait Catalogue {
    /// Finds a field. A name such as `evt.arg.fd` is first asked for as a whole, then with its last
    /// component as the argument (`evt.arg`, `fd`), and so on: the longest known name wins.
    ///
    /// # Errors
    /// Says whether the name or the argument is at fault.
    fn lookup(&self, name: &str, arg: Option<&str>) -> Result<FieldId, LookupError>;

    /// Describes a field that [`Catalogue::lookup`] found.
    fn def(&self, field: &FieldRef) -> FieldDef<'_>;

    /// All names, for "did you mean".
    fn names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_>;

    /// The number behind a name (a flag, an enumerator), for integer fields. Several flags may be
    /// joined by `|` in the filter; each is asked for alone.
    fn constant(&self, field: &FieldRef, name: &str) -> Option<i64> {
        let _ = (field, name);
        None
    }

    /// Can this [`FieldType::Keyword`] field ever hold this name?
    fn is_keyword(&self, field: &FieldRef, name: &str) -> bool {
        let _ = (field, name);
        true
    }

    /// Names that [`Catalogue::constant`] or [`Catalogue::is_keyword`] accepts, for "did you mean".
    fn constant_names(&self, field: &FieldRef) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        let _ = field;
        Box::new(std::iter::empty())
    }

    /// On which event types the field can have a value (`may`), and on which it always has one (`must`).
    fn presence(&self, field: &FieldRef) -> TypeBounds {
        let _ = field;
        TypeBounds::UNKNOWN
    }

    /// On which event types `field = value` can be true and on which it always is; `None` if the
    /// type says nothing about it.
    fn equality(&self, field: &FieldRef, value: &Constant) -> Option<TypeBounds> {
        let _ = (field, value);
        None
    }

    /// A name for a subject, for explanations.
    fn subject_name(&self, subject: Subject) -> Option<Cow<'_, str>> {
        let _ = subject;
        None
    }

    /// A name for an event type, for explanations.
    fn type_name(&self, code: u16) -> Option<Cow<'_, str>> {
        let _ = code;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_compare_families_first() {
        let net = |text: &str, prefix_bits| Network { addr: text.parse().unwrap(), prefix_bits };
        assert!(net("10.0.0.0", 8).contains("10.1.2.3".parse().unwrap()));
        assert!(!net("10.0.0.0", 8).contains("11.1.2.3".parse().unwrap()));
        assert!(net("0.0.0.0", 0).contains("11.1.2.3".parse().unwrap()));
        assert!(!net("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(net("2001:db8::", 32).contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!net("2001:db8::", 128).contains("2001:db8::1".parse().unwrap()));
    }
}
