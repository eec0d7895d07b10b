//! [`Tree`]: the processes that a capture is limited to, as the probe's map has them, and the
//! search for those that descend from a running process.
//!
//! The probe keeps the map up by itself from the moment it is attached: children are added at their
//! fork, before their first event. What ran before is added from here.

use super::error::LiveError;
use super::load::{map_error, missing};
use super::tasks::{Process, Tasks};
use aya::maps::{Array, HashMap, Map, MapData};
use capture_common::abi::{tree_state, tree_word};
use std::collections::HashSet;

const MAP: &str = "TREE";
const WORDS: &str = "TREE_WORDS";

/// The map.
pub(crate) struct Tree {
    members: HashMap<MapData, u32, u32>,
    words: Array<MapData, u64>,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

impl Tree {
    pub(super) fn new(members: Map, words: Map) -> Result<Self, LiveError> {
        Ok(Self {
            members: HashMap::try_from(members).map_err(|_| missing("hash map TREE"))?,
            words: Array::try_from(words).map_err(|_| missing("array TREE_WORDS"))?,
        })
    }

    /// Makes the next process that this one makes the root, held until its exec.
    pub(crate) fn arm(&mut self) -> Result<(), LiveError> {
        self.words.set(tree_word::ARMED, 1, 0).map_err(|e| map_error(WORDS, e))
    }

    /// Processes that did not fit.
    pub(crate) fn lost(&self) -> u64 {
        self.words.get(&tree_word::LOST, 0).unwrap_or(0)
    }

    /// Ids of all members.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.members.keys().filter_map(Result::ok)
    }

    /// Whether a member still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.members.iter().filter_map(Result::ok).any(|(_, state)| state != tree_state::DEAD)
    }

    /// Adds a process and all that descend from it. The probe sees to children made meanwhile, if
    /// their parent is a member by then; so the search goes on until it finds nobody new.
    pub(super) fn adopt(&mut self, root: u32, tasks: &Tasks<'_>) -> Result<(), LiveError> {
        self.add(root)?;
        let mut known = HashSet::from([root]);
        loop {
            let listed = tasks.list()?;
            let before = known.len();
            // A child can be listed before its parent: until a pass adds none.
            loop {
                let is_new = |p: &&Process| known.contains(&p.parent) && !known.contains(&p.pid);
                let found: Vec<u32> = listed.iter().filter(is_new).map(|process| process.pid).collect();
                if found.is_empty() {
                    break;
                }
                for pid in found {
                    self.add(pid)?;
                    known.insert(pid);
                }
            }
            if known.len() == before {
                self.drop_ended(&known, &listed);
                return Ok(());
            }
        }
    }

    fn add(&mut self, pid: u32) -> Result<(), LiveError> {
        const BPF_NOEXIST: u64 = 1;
        match self.members.insert(pid, tree_state::ALIVE, BPF_NOEXIST) {
            Err(e) if self.members.get(&pid, 0).is_err() => Err(map_error(MAP, e)),
            // The probe was faster.
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// A process that ended before it was added stays in the map until its parent waits for it, or for
    /// ever if that has happened. The list is younger than the last addition.
    fn drop_ended(&mut self, added: &HashSet<u32>, listed: &[Process]) {
        let alive: HashSet<u32> = listed.iter().filter(|p| !p.is_over).map(|p| p.pid).collect();
        for pid in added.difference(&alive) {
            // It may be gone from the map already.
            let _ = self.members.remove(pid);
        }
    }
}
