//! Reading JSON straight into small records: what is of another type than wanted is as if it were
//! not there, and what is not wanted is passed over without being kept.
//!
//! Invariant: what is kept has a bound that does not depend on the answer.

use serde_core::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Something that is read from one JSON value.
pub(super) trait Read: Sized + Default {
    /// From a text.
    fn text(_: &str) -> Self {
        Self::default()
    }

    /// From true or false.
    fn flag(_: bool) -> Self {
        Self::default()
    }

    /// From a number.
    fn number(_: u64) -> Self {
        Self::default()
    }

    /// From an object.
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    /// From a list.
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// The value of a member or an element of a list.
pub(super) struct Of<T>(pub(super) T);

impl<'de, T: Read> Deserialize<'de> for Of<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData)).map(Of)
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Read> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<T, E> {
        Ok(T::flag(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }
}

/// A text of at most so many bytes; a longer one is cut.
#[derive(Debug, Default)]
pub(super) struct Text<const MAX: usize>(pub(super) Box<str>);

impl<const MAX: usize> Read for Text<MAX> {
    fn text(text: &str) -> Self {
        let end = (0..=MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        Text(text[..end].into())
    }
}

impl Read for u64 {
    fn number(number: u64) -> Self {
        number
    }
}

impl Read for bool {
    fn flag(flag: bool) -> Self {
        flag
    }
}
