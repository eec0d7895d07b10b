//! Results that outlive a record: what was found out about a subject is true until the subject changes.
//!
//! Invariant: a line answers only for the program and the version of the subject that it was written
//! for; whatever else falls on its place replaces it.

use crate::catalogue::Subject;
use crate::value::Version;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Results of one program that are kept per subject, at most; one bit each.
pub(crate) const RESULTS_MAX: u32 = u32::BITS;
/// Costs from which keeping a result is cheaper than finding it again.
pub(crate) const WORTH_COST: u32 = 24;
/// What asking for a kept result costs, in the units of the tests.
pub(crate) const ASK_COST: u32 = 8;

/// Binary logarithm of the number of lines per subject. 8 KiB of lines: they stay in the first cache.
const LINES_LOG2: u32 = 8;

/// What a condition depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depends {
    /// Nothing: it is constant.
    Nothing,
    /// A subject alone.
    On(Subject),
    /// The record itself, its type, or several subjects.
    Record,
}

impl Depends {
    pub(crate) fn join(self, other: Depends) -> Depends {
        match (self, other) {
            (Depends::Nothing, one) | (one, Depends::Nothing) => one,
            (one, other) if one == other => one,
            _ => Depends::Record,
        }
    }
}

/// A number that no other program of this process has.
pub(crate) fn program_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

#[derive(Clone, Copy, Debug)]
struct Line {
    version: Version,
    /// Bit by bit: is the result known, and what is it?
    known: u32,
    holds: u32,
}

const EMPTY: Line = Line { version: Version(0, 0), known: 0, holds: 0 };

/// The kept results of one program.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    /// The program that they belong to.
    program: u64,
    subjects: [Box<[Cell<Line>]>; Subject::COUNT],
}

impl Recall {
    /// Makes it the memory of this program, which keeps results of these subjects.
    #[inline]
    pub(crate) fn begin(&mut self, program: u64, subjects: &[Subject]) {
        if self.program != program && !subjects.is_empty() {
            *self = Recall { program, ..Recall::default() };
            for subject in subjects {
                self.subjects[subject.index()] = vec![Cell::new(EMPTY); 1 << LINES_LOG2].into();
            }
        }
    }

    /// The result with this number for a version of a subject: as it is known, or as `find` finds it.
    #[inline]
    pub(crate) fn get_or(
        &self,
        subject: Subject,
        version: Version,
        bit: u32,
        find: impl FnOnce() -> bool,
    ) -> bool {
        let Some(cell) = self.subjects[subject.index()].get(place(version)) else {
            return find();
        };
        let mut line = cell.get();
        if line.version != version {
            line = Line { version, ..EMPTY };
        }
        let mask = 1 << bit;
        if line.known & mask != 0 {
            return line.holds & mask != 0;
        }
        let result = find();
        line.known |= mask;
        line.holds |= u32::from(result) << bit;
        cell.set(line);
        result
    }
}

/// Multiplicative hashing: the upper bits of the product are well mixed.
fn place(version: Version) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (version.0.rotate_left(32) ^ version.1).wrapping_mul(MIX);
    (mixed >> (u64::BITS - LINES_LOG2)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept_for_its_version_and_program() {
        let one = Subject(1);
        let mut recall = Recall::default();
        recall.begin(7, &[one]);
        let ask = |recall: &Recall, version, bit, fresh: Option<bool>| {
            recall.get_or(one, version, bit, || fresh.expect("a known result"))
        };
        let version = Version(3, 4);
        assert!(ask(&recall, version, 0, Some(true)));
        assert!(!ask(&recall, version, 31, Some(false)));
        assert!(ask(&recall, version, 0, None));
        assert!(!ask(&recall, version, 31, None));
        recall.begin(7, &[one]);
        assert!(ask(&recall, version, 0, None), "the same program goes on");
        assert!(!ask(&recall, Version(3, 5), 0, Some(false)), "another version");
        recall.begin(8, &[one]);
        assert!(!ask(&recall, version, 0, Some(false)), "another program");
    }

    #[test]
    fn what_two_subjects_decide_depends_on_the_record() {
        let (a, b) = (Depends::On(Subject(0)), Depends::On(Subject(1)));
        assert_eq!([a.join(a), a.join(b), a.join(Depends::Nothing)], [a, Depends::Record, a]);
        assert_eq!(Depends::Nothing.join(Depends::Nothing), Depends::Nothing);
        assert_eq!(b.join(Depends::Record), Depends::Record);
    }
}
