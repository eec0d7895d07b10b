//! Sets of event types: what the static analysis computes and what the evaluator tests first.
//!
//! A type is a small number whose meaning only the catalogue knows. Codes at or above
//! [`TypeSet::CAPACITY`] are younger than this library: a set holds all of them or none.

use std::fmt;

/// A set of event type codes: a bitset of those from 0 to 511, and whether the younger ones are in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeSet {
    words: [u64; 8],
    younger: bool,
}

impl TypeSet {
    /// Number of distinct codes that a set can tell apart.
    pub const CAPACITY: u16 = 512;
    /// No type.
    pub const EMPTY: TypeSet = TypeSet { words: [0; 8], younger: false };
    /// Every type.
    pub const ALL: TypeSet = TypeSet { words: [u64::MAX; 8], younger: true };

    /// The set with one code; codes at or above [`TypeSet::CAPACITY`] are not held.
    #[must_use]
    pub fn of(code: u16) -> TypeSet {
        let mut set = TypeSet::EMPTY;
        set.insert(code);
        set
    }

    /// The set and all codes at or above [`TypeSet::CAPACITY`].
    #[must_use]
    pub fn and_younger(mut self) -> TypeSet {
        self.younger = true;
        self
    }

    /// Adds a code; returns false (and changes nothing) if the code is out of range.
    pub fn insert(&mut self, code: u16) -> bool {
        match self.words.get_mut(usize::from(code >> 6)) {
            Some(word) => {
                *word |= 1 << (code & 63);
                true
            }
            None => false,
        }
    }

    /// Is the code in the set? One out of range is where the set holds the younger ones: in
    /// [`TypeSet::ALL`] and in complements, so that an event type newer than this library is never
    /// skipped by mistake.
    #[inline]
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        match self.words.get(usize::from(code >> 6)) {
            Some(word) => word >> (code & 63) & 1 != 0,
            None => self.younger,
        }
    }

    /// Codes in both sets.
    #[must_use]
    pub fn and(&self, other: &TypeSet) -> TypeSet {
        TypeSet {
            words: std::array::from_fn(|i| self.words[i] & other.words[i]),
            younger: self.younger && other.younger,
        }
    }

    /// Codes in either set.
    #[must_use]
    pub fn or(&self, other: &TypeSet) -> TypeSet {
        TypeSet {
            words: std::array::from_fn(|i| self.words[i] | other.words[i]),
            younger: self.younger || other.younger,
        }
    }

    /// Codes that are not in this set.
    #[must_use]
    pub fn complement(&self) -> TypeSet {
        TypeSet { words: self.words.map(|word| !word), younger: !self.younger }
    }

    /// Is the set empty?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == TypeSet::EMPTY
    }

    /// Does the set hold every code?
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == TypeSet::ALL
    }

    /// Number of codes below [`TypeSet::CAPACITY`] in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The codes below [`TypeSet::CAPACITY`] in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..TypeSet::CAPACITY).filter(|&code| self.contains(code))
    }
}

impl FromIterator<u16> for TypeSet {
    fn from_iter<I: IntoIterator<Item = u16>>(codes: I) -> TypeSet {
        let mut set = TypeSet::EMPTY;
        for code in codes {
            set.insert(code);
        }
        set
    }
}

impl fmt::Debug for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() { f.write_str("ALL") } else { f.debug_set().entries(self.iter()).finish() }
    }
}

/// Where a condition can be true and where it must be: the two sides that static analysis needs,
/// because a negation swaps them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TypeBounds {
    /// Types on which the condition can be true.
    pub may: TypeSet,
    /// Types on which the condition is true whatever the event holds; a subset of `may`.
    pub must: TypeSet,
}

impl TypeBounds {
    /// Nothing is known.
    pub const UNKNOWN: TypeBounds = TypeBounds { may: TypeSet::ALL, must: TypeSet::EMPTY };
    /// True on every type.
    pub const ALWAYS: TypeBounds = TypeBounds { may: TypeSet::ALL, must: TypeSet::ALL };
    /// True on no type.
    pub const NEVER: TypeBounds = TypeBounds { may: TypeSet::EMPTY, must: TypeSet::EMPTY };

    /// True on exactly these types.
    #[must_use]
    pub fn exactly(set: TypeSet) -> TypeBounds {
        TypeBounds { may: set, must: set }
    }

    /// Possible on these types, certain on none.
    #[must_use]
    pub fn at_most(set: TypeSet) -> TypeBounds {
        TypeBounds { may: set, must: TypeSet::EMPTY }
    }

    /// Does the type alone decide the condition?
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.may == self.must
    }

    /// Bounds of the conjunction.
    #[must_use]
    pub fn and(&self, other: &TypeBounds) -> TypeBounds {
        TypeBounds { may: self.may.and(&other.may), must: self.must.and(&other.must) }
    }

    /// Bounds of the disjunction.
    #[must_use]
    pub fn or(&self, other: &TypeBounds) -> TypeBounds {
        TypeBounds { may: self.may.or(&other.may), must: self.must.or(&other.must) }
    }

    /// Bounds of the negation.
    #[must_use]
    pub fn negate(&self) -> TypeBounds {
        TypeBounds { may: self.must.complement(), must: self.may.complement() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negation_swaps_the_bounds() {
        let open = TypeBounds::at_most(TypeSet::of(3));
        let not_open = open.negate();
        assert!(not_open.may.is_all(), "an event of type 3 may still fail the condition");
        assert!(!not_open.must.contains(3) && not_open.must.contains(4));
        assert_eq!(TypeBounds::exactly(TypeSet::of(3)).negate().may, TypeSet::of(3).complement());
    }

    #[test]
    fn younger_codes_are_in_all_and_in_complements() {
        let mut set = TypeSet::of(511);
        assert!(!set.insert(512));
        assert!(set.contains(511) && !set.contains(512) && TypeSet::ALL.contains(900));
        assert_eq!(set.iter().collect::<Vec<_>>(), [511]);
        assert!(set.complement().contains(900) && !set.complement().complement().contains(900));
        assert!(set.or(&set.complement()).is_all() && set.and(&set.complement()).is_empty());
        assert!(TypeBounds::exactly(set).negate().may.contains(900), "not of this type");
        assert!(set.and_younger().contains(900) && !set.contains(900));
    }
}
