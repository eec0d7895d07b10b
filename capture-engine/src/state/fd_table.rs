//! [`FdTable`]: the open files of a process.
//!
//! Low numbers stand in an array, others in a hash map. Entries are shared between the copies
//! that fork makes and are copied when one side changes them.

use super::fd::FdInfo;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Numbers below this stand in the array. A process has its array only as long as its highest
/// low number needs.
const DENSE: usize = 256;

/// Key of the side slot: where an entry waits whose close is under way while its number was
/// already given out again.
pub const CANCELLED_KEY: i64 = i64::MAX;

/// Open files by number.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    dense: Vec<Option<Arc<FdInfo>>>,
    sparse: FxHashMap<i64, Arc<FdInfo>>,
    len: usize,
}

impl FdTable {
    /// Number of entries, the side slot not counted.
    pub fn len(&self) -> usize {
        self.len - usize::from(self.sparse.contains_key(&CANCELLED_KEY))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with this number.
    #[inline]
    pub fn get(&self, fd: i64) -> Option<&FdInfo> {
        match dense_index(fd) {
            Some(at) => self.dense.get(at)?.as_deref(),
            None => self.sparse.get(&fd).map(|e| &**e),
        }
    }

    /// The entry with this number, to share.
    pub(crate) fn get_shared(&self, fd: i64) -> Option<Arc<FdInfo>> {
        match dense_index(fd) {
            Some(at) => self.dense.get(at)?.clone(),
            None => self.sparse.get(&fd).cloned(),
        }
    }

    /// The entry with this number, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, fd: i64) -> Option<&mut FdInfo> {
        let entry = match dense_index(fd) {
            Some(at) => self.dense.get_mut(at)?.as_mut(),
            None => self.sparse.get_mut(&fd),
        };
        entry.map(Arc::make_mut)
    }

    /// Sets an entry, returning the one it replaced.
    pub(crate) fn insert(&mut self, fd: i64, info: Arc<FdInfo>) -> Option<Arc<FdInfo>> {
        let old = match dense_index(fd) {
            Some(at) => {
                if self.dense.len() <= at {
                    self.dense.resize(at + 1, None);
                }
                self.dense[at].replace(info)
            }
            None => self.sparse.insert(fd, info),
        };
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, fd: i64) -> Option<Arc<FdInfo>> {
        let old = match dense_index(fd) {
            Some(at) => self.dense.get_mut(at)?.take(),
            None => self.sparse.remove(&fd),
        };
        self.len -= usize::from(old.is_some());
        old
    }

    /// Keeps the entries for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(i64, &FdInfo) -> bool) {
        for (at, entry) in self.dense.iter_mut().enumerate() {
            if entry.as_ref().is_some_and(|e| !keep(at as i64, e)) {
                *entry = None;
                self.len -= 1;
            }
        }
        let before = self.sparse.len();
        self.sparse.retain(|&fd, e| keep(fd, e));
        self.len -= before - self.sparse.len();
    }

    /// The table of a child process: the same entries, without the side slot.
    pub(crate) fn clone_for_fork(&self) -> FdTable {
        let mut copy = self.clone();
        copy.remove(CANCELLED_KEY);
        copy
    }

    /// All entries; low numbers first and in order, the side slot left out.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &FdInfo)> {
        let dense = self.dense.iter().enumerate().filter_map(|(at, e)| Some((at as i64, &**e.as_ref()?)));
        let sparse = self.sparse.iter().filter(|(fd, _)| **fd != CANCELLED_KEY).map(|(&fd, e)| (fd, &**e));
        dense.chain(sparse)
    }
}

#[inline]
fn dense_index(fd: i64) -> Option<usize> {
    if (0..DENSE as i64).contains(&fd) { Some(fd as usize) } else { None }
}
