//! Flags of clone3 calls under way. They stand in a struct in the caller's memory, which is often
//! gone by the time the new thread's first event is recorded: the caller goes on and uses its stack.
//! What stood there at the enter is remembered until both sides have returned.
//!
//! Bounded as [`super::exec::Pending`] is: if records of ends were lost, the tables are emptied
//! rather than grown.

use std::collections::HashMap;

/// Most calls under way at once; beyond that ends were lost.
const PENDING_MAX: usize = 4096;

/// Calls under way.
#[derive(Default)]
pub(super) struct Births {
    /// Flags of the call that a thread is in.
    entered: HashMap<u32, u64>,
    /// Flags by which a thread was made that has not shown itself yet.
    born: HashMap<u32, u64>,
}

impl Births {
    /// A thread enters clone3 with these flags.
    pub(super) fn entered(&mut self, tid: u32, flags: u64) {
        insert(&mut self.entered, tid, flags);
    }

    /// A thread makes another one, by clone3 or otherwise.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        if let Some(flags) = self.entered.get(&parent) {
            insert(&mut self.born, child, *flags);
        }
    }

    /// The flags of the call that `tid` returns from: as its maker, or as what was made.
    pub(super) fn returned(&mut self, tid: u32) -> Option<u64> {
        self.born.remove(&tid).or_else(|| self.entered.remove(&tid))
    }
}

fn insert(map: &mut HashMap<u32, u64>, tid: u32, flags: u64) {
    if map.len() >= PENDING_MAX {
        map.clear();
    }
    map.insert(tid, flags);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_flags_of_the_enter() {
        let mut births = Births::default();
        births.entered(10, 0x100);
        births.forked(10, 11);
        births.forked(12, 13);
        assert_eq!(births.returned(11), Some(0x100));
        assert_eq!(births.returned(10), Some(0x100));
        assert_eq!((births.returned(10), births.returned(13)), (None, None));
    }

    #[test]
    fn lost_ends_do_not_let_it_grow() {
        let mut births = Births::default();
        (0..3 * PENDING_MAX as u32).for_each(|tid| births.entered(tid, 1));
        assert!(births.entered.len() <= PENDING_MAX);
    }
}
