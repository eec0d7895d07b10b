//! Users and groups by number, from the capture's own lists.

use capture_common::snapshot::{Group, User};
use rustc_hash::FxHashMap;

/// Most users, and most groups, that are kept.
const LIMIT: usize = 1 << 20;

/// The user and group databases of the recorded machine.
#[derive(Debug, Default)]
pub struct Users {
    users: FxHashMap<u32, User>,
    groups: FxHashMap<u32, Group>,
}

impl Users {
    /// The user with this number.
    #[inline]
    pub fn user(&self, uid: u32) -> Option<&User> {
        self.users.get(&uid)
    }

    /// The group with this number.
    #[inline]
    pub fn group(&self, gid: u32) -> Option<&Group> {
        self.groups.get(&gid)
    }

    /// All users, in no particular order.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// All groups, in no particular order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub(crate) fn add_user(&mut self, user: User) {
        if self.users.len() < LIMIT {
            self.users.insert(user.uid, user);
        }
    }

    pub(crate) fn add_group(&mut self, group: Group) {
        if self.groups.len() < LIMIT {
            self.groups.insert(group.gid, group);
        }
    }

    pub(crate) fn remove_user(&mut self, uid: u32) {
        self.users.remove(&uid);
    }

    pub(crate) fn remove_group(&mut self, gid: u32) {
        self.groups.remove(&gid);
    }
}
