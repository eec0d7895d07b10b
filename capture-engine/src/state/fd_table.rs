//! [`FdTable`]: the open files of a process.
//!
//! Low numbers stand in an array, others in a hash map. A fork shares the whole table: it is copied
//! when one side changes it, and an entry when one side changes that. All tables of a machine share an
//! [`FdBudget`], so that no input makes them grow without bound.
//!
//! Invariant: what a table holds is charged to the budget, each array and slot of each copy and each entry
//! once, and given back when it goes. Entries with the same version are the same in all that shows.

use super::fd::FdInfo;
use super::version;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Numbers below this stand in the array. A process has its array only as long as its highest
/// low number needs.
const DENSE: usize = 256;

/// Key of the side slot: where an entry waits whose close is under way while its number was
/// already given out again.
pub const CANCELLED_KEY: i64 = i64::MAX;

/// What an entry's slot costs, roughly, in bytes.
const SLOT_BYTES: usize = 32;

/// What a table costs without any entry, and what each place of its array costs.
const TABLE_BYTES: usize = 160;
const PLACE_BYTES: usize = 8;

/// How much memory the fd tables of a machine may take.
#[derive(Clone, Debug)]
pub struct FdBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    forgotten: AtomicU64,
    /// Number of the last change of an entry.
    version: AtomicU64,
}

impl FdBudget {
    /// A budget of so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        let (used_bytes, forgotten) = (AtomicUsize::new(0), AtomicU64::new(0));
        let version = AtomicU64::new(version::first_of_range());
        FdBudget(Arc::new(Account { limit_bytes, used_bytes, forgotten, version }))
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// How many entries were forgotten because a table could not be copied within the budget.
    pub fn forgotten(&self) -> u64 {
        self.0.forgotten.load(Ordering::Relaxed)
    }

    fn fits(&self, bytes: usize) -> bool {
        self.used_bytes().saturating_add(bytes) <= self.0.limit_bytes
    }

    fn charge(&self, bytes: usize) {
        self.0.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.0.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The version of an entry that changes.
    fn next_version(&self) -> u64 {
        self.0.version.fetch_add(1, Ordering::Relaxed)
    }

    fn forget(&self, entries: usize) {
        self.0.forgotten.fetch_add(entries as u64, Ordering::Relaxed);
    }
}

/// The budget is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// Open files by number. A clone shares everything until one side changes.
#[derive(Clone, Debug, Default)]
pub struct FdTable(Option<Arc<Entries>>);

#[derive(Debug)]
struct Entries {
    dense: Vec<Option<Arc<FdInfo>>>,
    sparse: FxHashMap<i64, Arc<FdInfo>>,
    len: usize,
    budget: FdBudget,
}

impl FdTable {
    /// Number of entries, the side slot not counted.
    pub fn len(&self) -> usize {
        let Some(entries) = &self.0 else { return 0 };
        entries.len - usize::from(entries.sparse.contains_key(&CANCELLED_KEY))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with this number.
    #[inline]
    pub fn get(&self, fd: i64) -> Option<&FdInfo> {
        self.0.as_deref()?.get(fd).map(|entry| &**entry)
    }

    /// The entry with this number, to share.
    pub(crate) fn get_shared(&self, fd: i64) -> Option<Arc<FdInfo>> {
        self.0.as_deref()?.get(fd).cloned()
    }

    /// The entry with this number, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, fd: i64) -> Option<&mut FdInfo> {
        self.get(fd)?;
        let entries = self.own()?;
        let version = entries.budget.next_version();
        let own = entries.own(fd)?;
        own.version = version;
        Some(own)
    }

    /// Notes which thread is closing an entry, -1 for none: nothing that shows.
    #[inline]
    pub(crate) fn mark_closing(&mut self, fd: i64, tid: i64) {
        if self.get(fd).is_some_and(|entry| entry.closing_tid != tid)
            && let Some(entries) = self.own()
            && let Some(entry) = entries.own(fd)
        {
            entry.closing_tid = tid;
        }
    }

    /// Sets an entry, returning the one it replaced.
    pub(crate) fn insert(
        &mut self,
        fd: i64,
        mut info: Arc<FdInfo>,
        budget: &FdBudget,
    ) -> Result<Option<Arc<FdInfo>>, Full> {
        let cost = if Arc::strong_count(&info) == 1 { info.cost_bytes() } else { 0 };
        if !budget.fits(cost + SLOT_BYTES + TABLE_BYTES + array_bytes(fd)) {
            return Err(Full);
        }
        if self.0.is_none() {
            self.0 = Some(Arc::new(Entries::empty(budget.clone())));
        }
        let entries = self.own().ok_or(Full)?;
        if let Some(own) = Arc::get_mut(&mut info) {
            own.charged_bytes = cost as u32;
            own.version = budget.next_version();
            budget.charge(cost);
        }
        Ok(entries.insert(fd, info))
    }

    /// Charges an entry for a name that it was given; where that is too much, it is removed.
    pub(crate) fn recharge(&mut self, fd: i64) -> Result<(), Full> {
        let Some(entry) = self.get_mut(fd) else { return Ok(()) };
        let (charged, cost) = (entry.charged_bytes, entry.cost_bytes());
        let budget = self.0.as_ref().map(|entries| entries.budget.clone());
        let Some(budget) = budget.filter(|_| cost != charged as usize) else { return Ok(()) };
        budget.release(charged as usize);
        let fits = budget.fits(cost);
        budget.charge(cost);
        if let Some(entry) = self.get_mut(fd) {
            entry.charged_bytes = cost as u32;
        }
        if fits {
            return Ok(());
        }
        self.remove(fd);
        Err(Full)
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, fd: i64) -> Option<Arc<FdInfo>> {
        self.get(fd)?;
        self.own()?.remove(fd)
    }

    /// Keeps the entries for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(i64, &FdInfo) -> bool) {
        let Some(shared) = &mut self.0 else { return };
        if shared.all().all(|(fd, entry)| keep(fd, entry)) {
            return;
        }
        match Arc::get_mut(shared) {
            Some(own) => own.retain(keep),
            // Of a shared table only what stays is copied.
            None => {
                let mut copy = Entries::empty(shared.budget.clone());
                for (fd, entry) in shared.all().filter(|(fd, entry)| keep(*fd, entry)) {
                    if !copy.budget.fits(SLOT_BYTES + array_bytes(fd)) {
                        copy.budget.forget(1);
                        continue;
                    }
                    copy.insert(fd, entry.clone());
                }
                *shared = Arc::new(copy);
            }
        }
    }

    /// The table of a child process: the same entries, without the side slot.
    pub(crate) fn clone_for_fork(&self) -> FdTable {
        let mut copy = self.clone();
        copy.remove(CANCELLED_KEY);
        copy
    }

    /// All entries; low numbers first and in order, the side slot left out.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &FdInfo)> {
        let all = self.0.iter().flat_map(|entries| entries.all());
        all.filter(|(fd, _)| *fd != CANCELLED_KEY).map(|(fd, entry)| (fd, &**entry))
    }

    /// The entries for this table alone. A table that is too large to be copied is forgotten.
    #[inline]
    fn own(&mut self) -> Option<&mut Entries> {
        if let Some(shared) = &mut self.0
            && Arc::get_mut(shared).is_none()
        {
            if shared.budget.fits(shared.own_bytes()) {
                let copy = shared.copy();
                *shared = Arc::new(copy);
            } else {
                shared.budget.forget(shared.len);
                self.0 = None;
            }
        }
        Arc::get_mut(self.0.as_mut()?)
    }
}

impl Entries {
    fn empty(budget: FdBudget) -> Entries {
        budget.charge(TABLE_BYTES);
        Entries { dense: Vec::new(), sparse: FxHashMap::default(), len: 0, budget }
    }

    /// What the table takes without its entries.
    fn own_bytes(&self) -> usize {
        TABLE_BYTES + self.dense.len() * PLACE_BYTES + self.len * SLOT_BYTES
    }

    fn copy(&self) -> Entries {
        self.budget.charge(self.own_bytes());
        Entries {
            dense: self.dense.clone(),
            sparse: self.sparse.clone(),
            len: self.len,
            budget: self.budget.clone(),
        }
    }

    #[inline]
    fn get(&self, fd: i64) -> Option<&Arc<FdInfo>> {
        match dense_index(fd) {
            Some(at) => self.dense.get(at)?.as_ref(),
            None => self.sparse.get(&fd),
        }
    }

    /// The entry for this table alone.
    #[inline]
    fn own(&mut self, fd: i64) -> Option<&mut FdInfo> {
        let entry = match dense_index(fd) {
            Some(at) => self.dense.get_mut(at)?.as_mut()?,
            None => self.sparse.get_mut(&fd)?,
        };
        if Arc::get_mut(entry).is_none() {
            let mut copy = FdInfo::clone(entry);
            copy.charged_bytes = copy.cost_bytes() as u32;
            self.budget.charge(copy.charged_bytes as usize);
            *entry = Arc::new(copy);
        }
        Arc::get_mut(entry)
    }

    fn insert(&mut self, fd: i64, info: Arc<FdInfo>) -> Option<Arc<FdInfo>> {
        self.budget.charge(SLOT_BYTES);
        let old = match dense_index(fd) {
            Some(at) => {
                if self.dense.len() <= at {
                    let places = array_places(at);
                    self.budget.charge((places - self.dense.len()) * PLACE_BYTES);
                    self.dense.reserve_exact(places - self.dense.len());
                    self.dense.resize(places, None);
                }
                self.dense[at].replace(info)
            }
            None => self.sparse.insert(fd, info),
        };
        self.len += usize::from(old.is_none());
        old.inspect(|old| self.release(old))
    }

    fn remove(&mut self, fd: i64) -> Option<Arc<FdInfo>> {
        let old = match dense_index(fd) {
            Some(at) => self.dense.get_mut(at)?.take(),
            None => self.sparse.remove(&fd),
        };
        self.len -= usize::from(old.is_some());
        old.inspect(|old| self.release(old))
    }

    fn retain(&mut self, mut keep: impl FnMut(i64, &FdInfo) -> bool) {
        let goes: Vec<i64> = self.all().filter(|(fd, entry)| !keep(*fd, entry)).map(|(fd, _)| fd).collect();
        for fd in goes {
            self.remove(fd);
        }
    }

    /// All entries, the side slot among them.
    fn all(&self) -> impl Iterator<Item = (i64, &Arc<FdInfo>)> {
        let dense = self.dense.iter().enumerate().filter_map(|(at, e)| Some((at as i64, e.as_ref()?)));
        dense.chain(self.sparse.iter().map(|(&fd, entry)| (fd, entry)))
    }

    /// Gives back what a slot cost, and what its entry cost if no other slot holds it.
    fn release(&self, entry: &Arc<FdInfo>) {
        let last = Arc::strong_count(entry) == 1;
        self.budget.release(SLOT_BYTES + if last { entry.charged_bytes as usize } else { 0 });
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        for (_, entry) in self.all() {
            self.release(entry);
        }
        self.budget.release(TABLE_BYTES + self.dense.len() * PLACE_BYTES);
    }
}

/// Places of an array that has one for a low number: it grows by doubling.
fn array_places(at: usize) -> usize {
    (at + 1).next_power_of_two()
}

/// What an array with a place for this number takes.
fn array_bytes(fd: i64) -> usize {
    dense_index(fd).map_or(0, |at| array_places(at) * PLACE_BYTES)
}

#[inline]
fn dense_index(fd: i64) -> Option<usize> {
    if (0..DENSE as i64).contains(&fd) { Some(fd as usize) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::snapshot::FdType;

    fn file() -> Arc<FdInfo> {
        Arc::new(FdInfo::new(FdType::File))
    }

    #[test]
    fn forks_share_until_one_side_changes() {
        let budget = FdBudget::new(1 << 20);
        let mut parent = FdTable::default();
        for fd in [0, 1, 2, 1000] {
            parent.insert(fd, file(), &budget).unwrap();
        }
        let alone = budget.used_bytes();
        let mut children: Vec<_> = (0..100).map(|_| parent.clone_for_fork()).collect();
        assert_eq!(budget.used_bytes(), alone, "a fork costs nothing");
        children[0].remove(1);
        children[1].get_mut(2).unwrap().open_flags = 7;
        assert_eq!((parent.len(), children[0].len(), children[2].len()), (4, 3, 4));
        assert_eq!((parent.get(2).unwrap().open_flags, children[1].get(2).unwrap().open_flags), (0, 7));
        assert!(budget.used_bytes() > alone);
        children.clear();
        assert_eq!(budget.used_bytes(), alone);
        drop(parent);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_or_forgotten() {
        let budget = FdBudget::new(4_000);
        let mut parent = FdTable::default();
        let fitted = (0..1_000).take_while(|&fd| parent.insert(fd, file(), &budget).is_ok()).count();
        assert!((5..1_000).contains(&fitted), "{fitted}");
        assert_eq!(parent.insert(fitted as i64, file(), &budget).unwrap_err(), Full);
        // A copy does not fit, so the child's table is forgotten.
        let mut child = parent.clone_for_fork();
        assert!(child.remove(0).is_none());
        assert_eq!((child.len(), budget.forgotten()), (0, fitted as u64));
        assert_eq!(parent.len(), fitted);
        parent.retain(|fd, _| fd == 1);
        assert_eq!(parent.len(), 1);
        parent.remove(1);
        drop((parent, child));
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_new_name_is_paid_for() {
        let budget = FdBudget::new(10_000);
        let mut table = FdTable::default();
        table.insert(3, file(), &budget).unwrap();
        let unnamed = budget.used_bytes();
        table.get_mut(3).unwrap().name = vec![b'x'; 1_000].into();
        table.recharge(3).unwrap();
        assert!((1_000..1_100).contains(&(budget.used_bytes() - unnamed)));
        table.get_mut(3).unwrap().name = vec![b'x'; 20_000].into();
        assert_eq!(table.recharge(3), Err(Full));
        assert!(table.is_empty() && budget.used_bytes() < unnamed);
        drop(table);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_single_high_number_pays_for_its_array() {
        let budget = FdBudget::new(1 << 20);
        let (mut low, mut high) = (FdTable::default(), FdTable::default());
        low.insert(0, file(), &budget).unwrap();
        let one = budget.used_bytes();
        high.insert(255, file(), &budget).unwrap();
        assert!(budget.used_bytes() - one > 256 * PLACE_BYTES);
    }

    #[test]
    fn an_exec_keeps_what_it_shares() {
        let budget = FdBudget::new(1 << 20);
        let mut parent = FdTable::default();
        for fd in 0..4 {
            parent.insert(fd, file(), &budget).unwrap();
        }
        let mut child = parent.clone_for_fork();
        child.retain(|_, _| true);
        child.retain(|fd, _| fd < 2);
        assert_eq!((parent.len(), child.len()), (4, 2));
        drop((parent, child));
        assert_eq!(budget.used_bytes(), 0);
    }
}
