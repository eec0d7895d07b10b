//! Values and records: what a filter reads while it runs.
//!
//! Reading is borrowing. A record hands out slices of itself, or renders into the [`Arena`] that the
//! evaluator empties before each event; after a short warm-up neither allocates.

use crate::catalogue::{FieldRef, Subject};
use crate::recall::Recall;
use bumpalo::Bump;
use std::fmt;
use std::net::IpAddr;

/// A field's value on one event.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Value<'a> {
    /// The event has no such field. Every comparison with it is false.
    #[default]
    None,
    /// A boolean.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number: also ports, flags, durations and times in nanoseconds.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// Text; need not be UTF-8.
    Str(&'a [u8]),
    /// A buffer.
    Bytes(&'a [u8]),
    /// An address.
    Ip(IpAddr),
    /// Several values, see [`crate::Arity`].
    List(&'a [Value<'a>]),
}

impl<'a> Value<'a> {
    /// Text from a `str`.
    #[must_use]
    pub fn text(text: &'a str) -> Value<'a> {
        Value::Str(text.as_bytes())
    }

    /// The value as an integer.
    #[inline]
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Value::Int(number) => Some(i128::from(number)),
            Value::Uint(number) => Some(i128::from(number)),
            Value::Bool(flag) => Some(i128::from(flag)),
            _ => None,
        }
    }

    /// The value as a floating point number.
    #[must_use]
    pub fn as_double(&self) -> Option<f64> {
        match *self {
            Value::Double(number) => Some(number),
            // Past 2^53 the nearest double is as good as this comparison gets.
            Value::Int(number) => Some(number as f64),
            Value::Uint(number) => Some(number as f64),
            _ => None,
        }
    }

    /// The bytes of text or of a buffer.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Value::Str(bytes) | Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Is there a value? An empty list is none.
    #[inline]
    #[must_use]
    pub fn exists(&self) -> bool {
        !matches!(self, Value::None | Value::List([]))
    }
}

/// The state of a subject: which one it is, how often it has changed, and what else of a record its
/// fields look at (its type, say); in any encoding that never comes again with another meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version(pub u64, pub u64);

/// Something a filter is evaluated on.
pub trait Record {
    /// The field's value, borrowed from the record or rendered into the arena.
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a>;

    /// The event's type code, as in the catalogue's [`crate::TypeBounds`].
    fn event_type(&self) -> u16;

    /// The version of the subject that this record is about: on records with equal versions every field
    /// of the subject has the same value. `None` where that cannot be said; its
    /// fields are then read from the record.
    fn version(&self, subject: Subject) -> Option<Version> {
        let _ = subject;
        None
    }
}

/// Memory for values that exist nowhere and must be rendered; emptied before each event.
#[derive(Default)]
pub struct Arena(Bump);

impl Arena {
    /// An empty arena, which owns no memory yet.
    #[must_use]
    pub fn new() -> Arena {
        Arena::default()
    }

    /// Copies bytes in.
    pub fn copy<'a>(&'a self, bytes: &[u8]) -> &'a [u8] {
        self.0.alloc_slice_copy(bytes)
    }

    /// Formats text in: `arena.format(format_args!("{ip}:{port}"))`.
    pub fn format<'a>(&'a self, text: fmt::Arguments<'_>) -> &'a [u8] {
        use fmt::Write;
        let mut out = bumpalo::collections::String::new_in(&self.0);
        // Only a failing Display impl can make this fail; its text up to there is kept.
        let _ = out.write_fmt(text);
        out.into_bump_str().as_bytes()
    }

    /// Collects bytes piece by piece.
    pub fn build<'a>(&'a self, fill: impl FnOnce(&mut ArenaBytes<'a>)) -> &'a [u8] {
        let mut bytes = ArenaBytes(bumpalo::collections::Vec::new_in(&self.0));
        fill(&mut bytes);
        bytes.0.into_bump_slice()
    }

    /// Collects a list of values.
    pub fn list<'a>(&'a self, values: impl IntoIterator<Item = Value<'a>>) -> &'a [Value<'a>] {
        let mut list = bumpalo::collections::Vec::new_in(&self.0);
        list.extend(values);
        list.into_bump_slice()
    }

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.0.allocated_bytes()
    }

    pub(crate) fn bump(&self) -> &Bump {
        &self.0
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("held_bytes", &self.held_bytes()).finish()
    }
}

/// A growing piece of text in an [`Arena`].
pub struct ArenaBytes<'a>(bumpalo::collections::Vec<'a, u8>);

impl ArenaBytes<'_> {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Number of bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing pushed yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cuts back to this length.
    pub fn truncate(&mut self, len_bytes: usize) {
        self.0.truncate(len_bytes);
    }
}

impl fmt::Write for ArenaBytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// Working memory of an evaluation; make one per thread and filter, and keep it.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) arena: Arena,
    pub(crate) recall: Recall,
}

impl Scratch {
    /// Empty working memory.
    #[must_use]
    pub fn new() -> Scratch {
        Scratch::default()
    }
}
