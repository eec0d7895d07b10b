//! [`Memo`]: what was worked out from an event's type, process and fd, kept until one of them changes.
//!
//! Most events are of few types, processes and fds, so that a chisel need not put the same text
//! together for each of them.
//!
//! **Invariant:** a line answers only for the state that it was written for; whatever else falls on its
//! place replaces it.

use capture_engine::EventView;
use capture_engine::format::ResolvedField;
use capture_engine::render::event_name;
use filter_lang::{Record, Subject, Version};
use std::convert::Infallible;

const LINES: usize = 256;

/// What fields are decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depends {
    on_name: bool,
    subjects: [Option<Subject>; 2],
}

impl Depends {
    /// What these fields are decided by; `None` where that is more than can be told apart.
    pub(crate) fn of<'f>(fields: impl IntoIterator<Item = &'f ResolvedField>) -> Option<Depends> {
        let mut depends = Depends::default();
        for field in fields {
            match field.subject() {
                Some(subject) if depends.subjects.contains(&Some(subject)) => {}
                Some(subject) => {
                    *depends.subjects.iter_mut().find(|free| free.is_none())? = Some(subject);
                }
                None if field.field.name == "evt.type" => depends.on_name = true,
                None => return None,
            }
        }
        Some(depends)
    }

    #[inline]
    fn state(self, event: &EventView<'_>) -> Option<State> {
        let mut state = EMPTY;
        if self.on_name {
            let name = event_name(event);
            state.name = (name.as_ptr().addr(), name.len());
        }
        for (version, subject) in state.versions.iter_mut().zip(self.subjects) {
            if let Some(subject) = subject {
                *version = event.version(subject)?;
            }
        }
        Some(state)
    }
}

/// The name of an event, which is one of a table's, and the versions of what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    name: (usize, usize),
    versions: [Version; 2],
}

const EMPTY: State = State { name: (0, 0), versions: [Version(0, 0); 2] };

impl State {
    /// Multiplicative hashing: the upper bits of the product are well mixed.
    #[inline]
    fn place(&self) -> usize {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let [one, other] = self.versions;
        let words = [self.name.0 as u64, one.0, one.1, other.0, other.1];
        let hash =
            words.into_iter().fold(0, |hash: u64, word| (hash.rotate_left(5) ^ word).wrapping_mul(MIX));
        (hash >> 56) as usize % LINES
    }
}

/// Answers by state.
#[derive(Debug)]
pub(crate) struct Memo<T> {
    depends: Option<Depends>,
    lines: Box<[(State, Option<T>)]>,
}

impl<T> Default for Memo<T> {
    /// Keeps nothing.
    fn default() -> Self {
        Memo { depends: None, lines: Box::default() }
    }
}

impl<T: Clone> Memo<T> {
    /// Keeps what is decided by this alone; nothing for `None`.
    pub(crate) fn new(depends: Option<Depends>) -> Memo<T> {
        let lines = if depends.is_some() { vec![(EMPTY, None); LINES].into() } else { Box::default() };
        Memo { depends, lines }
    }

    /// What was found for the event's state, or what `find` finds now.
    #[inline]
    pub(crate) fn get_or(&mut self, event: &EventView<'_>, find: impl FnOnce() -> T) -> T {
        let found: Result<T, Infallible> = self.try_get_or(event, || Ok(find()));
        found.unwrap_or_else(|never| match never {})
    }

    /// The same where `find` may fail, which is not kept.
    #[inline]
    pub(crate) fn try_get_or<E>(
        &mut self,
        event: &EventView<'_>,
        find: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(state) = self.depends.and_then(|depends| depends.state(event)) else { return find() };
        let line = &mut self.lines[state.place()];
        match &line.1 {
            Some(known) if line.0 == state => Ok(known.clone()),
            _ => {
                let found = find()?;
                *line = (state, Some(found.clone()));
                Ok(found)
            }
        }
    }

    /// Keeps an answer for the event's state, and tells the one that was kept for it before.
    #[inline]
    pub(crate) fn replace(&mut self, event: &EventView<'_>, answer: T) -> Option<T> {
        let state = self.depends.and_then(|depends| depends.state(event))?;
        let line = &mut self.lines[state.place()];
        if line.0 == state {
            return line.1.replace(answer);
        }
        *line = (state, Some(answer));
        None
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.lines.fill((EMPTY, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_engine::format::resolve_field;

    #[test]
    fn what_fields_are_decided_by() {
        let depends = |names: &[&str]| {
            let fields: Vec<ResolvedField> = names.iter().map(|name| resolve_field(name).unwrap()).collect();
            Depends::of(&fields)
        };
        let parts = |names: &[&str]| {
            let depends = depends(names).unwrap();
            (depends.on_name, depends.subjects.iter().flatten().count())
        };
        assert_eq!(parts(&["evt.type"]), (true, 0));
        assert_eq!(parts(&["proc.name", "proc.pid", "container.name"]), (false, 1));
        assert_eq!(parts(&["fd.name", "proc.name", "evt.type"]), (true, 2));
        assert_eq!(depends(&["proc.name", "evt.time"]), None);
        assert_eq!(depends(&["fd.num"]), None);
    }
}
