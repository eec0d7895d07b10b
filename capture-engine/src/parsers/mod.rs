//! Parsers: what each event does to the state, by family.
//!
//! A parser is a function over [`Ctx`]. The family files list their rows in `ROWS`, one per event
//! type that changes state; [`parser_of`] finds the row by the event's code. Parameters are
//! addressed by index: the 2022 ones are a prefix of the current ones for every code, and
//! parsers take whatever is there.

pub(crate) mod process;

use crate::engine::{Applied, Deferred};
use crate::state::machine::Machine;
use crate::state::thread::Thread;
use capture_common::event_table::EVENTS;
use capture_common::{EventCode, RawEvent};

/// What a parser works on.
pub(crate) struct Ctx<'c> {
    pub(crate) machine: &'c mut Machine,
    pub(crate) raw: &'c RawEvent<'c>,
    pub(crate) applied: &'c mut Applied,
    pub(crate) deferred: &'c mut Deferred,
    pub(crate) max_fds: usize,
}

/// A parser.
pub(crate) type Parser = fn(&mut Ctx<'_>);

/// A row of a family's table.
pub(crate) type Row = (EventCode, Parser);

/// The parser of an event type; `None` for those that change no state.
#[inline]
pub(crate) fn parser_of(code: EventCode) -> Option<Parser> {
    *PARSERS.get(usize::from(code.0))?
}

static PARSERS: [Option<Parser>; EVENTS.len()] = table(&[process::ROWS]);

const fn table(families: &[&[Row]]) -> [Option<Parser>; EVENTS.len()] {
    let mut all: [Option<Parser>; EVENTS.len()] = [None; EVENTS.len()];
    let mut f = 0;
    while f < families.len() {
        let mut r = 0;
        while r < families[f].len() {
            let (code, parser) = families[f][r];
            assert!(all[code.0 as usize].is_none(), "two parsers for one event type");
            all[code.0 as usize] = Some(parser);
            r += 1;
        }
        f += 1;
    }
    all
}

impl Ctx<'_> {
    pub(crate) fn thread_mut(&mut self) -> Option<&mut Thread> {
        self.machine.threads.at_mut(self.applied.thread?)
    }
}
