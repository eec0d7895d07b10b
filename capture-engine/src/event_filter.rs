//! [`EventFilter`]: a filter over events, with the memory that it works in.
//!
//! Most filters ask for a process by its name. Where every event that can match must have one of a
//! few names, that is tested before anything else, without the evaluator; so is whether the call failed,
//! and the number of the fd.

use crate::catalogue::{FieldCatalogue, field};
use crate::fields;
use crate::view::EventView;
use filter_lang::{Constant, Filter, FilterError, Library, Op, Options, Parts, Requirement, Scratch};

/// A compiled filter over the fields of events.
#[derive(Debug)]
pub struct EventFilter {
    filter: Filter,
    scratch: Scratch,
    names: Option<NameTest>,
    /// Numbers of fds of which each matching event has one.
    fds: Option<Box<[i64]>>,
    /// Whether only failed calls match.
    failed_only: bool,
}

impl EventFilter {
    /// Compiles a filter's text, which may name the macros and lists of a library.
    ///
    /// # Errors
    /// When it is no filter over our fields; the error shows where and why.
    pub fn compile(text: &str, library: &Library) -> Result<EventFilter, Box<FilterError>> {
        let options = Options { library: library.clone() };
        let filter = Filter::compile(text, &FieldCatalogue, &options)?;
        let names = filter.requirements().iter().find_map(NameTest::of);
        let fds = filter.requirements().iter().find_map(fds_asked_for);
        let failed_only = filter.requirements().iter().any(asks_for_failures);
        Ok(EventFilter { filter, scratch: Scratch::default(), names, fds, failed_only })
    }

    /// Does the event satisfy it?
    #[inline]
    pub fn matches(&mut self, event: &EventView<'_>) -> bool {
        if self.names.as_ref().is_some_and(|names| !names.passes(event)) {
            return false;
        }
        if self.fds.as_ref().is_some_and(|fds| !fds.contains(&event.applied.fd_num)) {
            return false;
        }
        if self.failed_only && !fields::has_failed(event) {
            return false;
        }
        self.filter.matches(event, &mut self.scratch)
    }

    /// Which parts of the filter are true on an event, bit by bit.
    pub(crate) fn results(&mut self, parts: &Parts, event: &EventView<'_>) -> u64 {
        self.filter.results(parts, event, &mut self.scratch)
    }

    /// The filter itself.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

/// Names of processes of which each matching event has one.
#[derive(Debug)]
struct NameTest {
    names: Box<[Box<[u8]>]>,
}

impl NameTest {
    /// With more names the evaluator's hashing is faster.
    const MAX_NAMES: usize = 4;

    fn of(requirement: &Requirement) -> Option<NameTest> {
        let names = constants_of(requirement, "proc.name", Self::MAX_NAMES, |constant| match constant {
            Constant::Text(text) => Some(text[..].into()),
            _ => None,
        });
        Some(NameTest { names: names? })
    }

    #[inline]
    fn passes(&self, event: &EventView<'_>) -> bool {
        event.thread().is_some_and(|thread| self.names.iter().any(|name| **name == *thread.comm))
    }
}

/// With more numbers of fds the evaluator's look-up is faster.
const MAX_FDS: usize = 8;

fn fds_asked_for(requirement: &Requirement) -> Option<Box<[i64]>> {
    constants_of(requirement, "fd.num", MAX_FDS, |constant| match constant {
        Constant::Num(number) => i64::try_from(*number).ok(),
        _ => None,
    })
}

fn asks_for_failures(requirement: &Requirement) -> bool {
    let wanted = constants_of(requirement, "evt.failed", 1, |constant| match constant {
        Constant::Bool(failed) => Some(*failed),
        _ => None,
    });
    wanted.is_some_and(|wanted| *wanted == [true])
}

/// The constants of a requirement that the field of this name has one of them; `None` where it asks for
/// something else, or for more than `max`.
fn constants_of<T>(
    requirement: &Requirement,
    name: &str,
    max: usize,
    value: impl Fn(&Constant) -> Option<T>,
) -> Option<Box<[T]>> {
    let is_field = field(requirement.field.id).is_some_and(|field| field.name == name);
    let is_list = requirement.op == Op::In && !requirement.negated && requirement.constants.len() <= max;
    if !is_field || !is_list {
        return None;
    }
    requirement.constants.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[&str]>) {
        let filter = EventFilter::compile(text, &Library::new()).unwrap();
        let names = filter.names.map(|test| {
            test.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
        });
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names, expected, "{text}");
    }

    #[test]
    fn names_are_tested_first_where_every_match_has_one() {
        check("proc.name=curl", Some(&["curl"]));
        check("evt.type=open and proc.name in (a, b) and fd.num=3", Some(&["a", "b"]));
        check("proc.name!=curl", None);
        check("not proc.name=curl", None);
        check("proc.name=curl or fd.num=3", None);
        check("proc.name in (a, b, c, d, e)", None);
        check("proc.name contains curl", None);
        check("toupper(proc.name)=CURL", None);
        check("proc.pname=curl", None);
    }

    #[test]
    fn fds_are_tested_first_where_every_match_has_one() {
        let fds = |text: &str| EventFilter::compile(text, &Library::new()).unwrap().fds.map(Vec::from);
        assert_eq!(fds("fd.num=1 and evt.is_io=true"), Some(vec![1]));
        assert_eq!(fds("fd.num in (0, 2)"), Some(vec![0, 2]));
        for text in
            ["fd.num!=1", "fd.num>1", "not fd.num=1", "fd.num=1 or evt.type=read", "proc.fdopencount=1"]
        {
            assert_eq!(fds(text), None, "{text}");
        }
    }

    #[test]
    fn failures_are_tested_first_where_nothing_else_matches() {
        let failed_only = |text: &str| EventFilter::compile(text, &Library::new()).unwrap().failed_only;
        assert!(failed_only("evt.failed=true"));
        assert!(failed_only("fd.type=file and evt.failed = true"));
        for text in ["evt.failed=false", "not evt.failed=true", "evt.failed=true or fd.num=3"] {
            assert!(!failed_only(text), "{text}");
        }
    }
}
