//! Users and groups by number, from the capture's own lists.

use capture_common::snapshot::{Group, User};
use rustc_hash::FxHashMap;

/// Most bytes that users and groups take: some 50,000 of them.
const LIMIT_BYTES: usize = 8 << 20;

/// What an entry costs beside its text: its place in a map with room to grow, and the allocations.
const ENTRY_BYTES: usize = 2 * size_of::<User>() + 3 * 16;

/// The user and group databases of the recorded machine.
#[derive(Debug, Default)]
pub struct Users {
    users: FxHashMap<u32, User>,
    groups: FxHashMap<u32, Group>,
    used_bytes: usize,
}

/// There are too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

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

    pub(crate) fn add_user(&mut self, user: User) -> Result<(), TooMany> {
        self.remove_user(user.uid);
        self.take(user_bytes(&user))?;
        self.users.insert(user.uid, user);
        Ok(())
    }

    pub(crate) fn add_group(&mut self, group: Group) -> Result<(), TooMany> {
        self.remove_group(group.gid);
        self.take(group_bytes(&group))?;
        self.groups.insert(group.gid, group);
        Ok(())
    }

    pub(crate) fn remove_user(&mut self, uid: u32) {
        self.used_bytes -= self.users.remove(&uid).map_or(0, |user| user_bytes(&user));
    }

    pub(crate) fn remove_group(&mut self, gid: u32) {
        self.used_bytes -= self.groups.remove(&gid).map_or(0, |group| group_bytes(&group));
    }

    fn take(&mut self, bytes: usize) -> Result<(), TooMany> {
        if self.used_bytes + bytes > LIMIT_BYTES {
            return Err(TooMany);
        }
        self.used_bytes += bytes;
        Ok(())
    }
}

fn user_bytes(user: &User) -> usize {
    ENTRY_BYTES + user.name.len() + user.home.len() + user.shell.len()
}

fn group_bytes(group: &Group) -> usize {
    ENTRY_BYTES + group.name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_machine_has_are_refused() {
        let mut users = Users::default();
        let user = |uid| User { uid, name: vec![b'x'; 60_000], ..User::default() };
        let added = (0..1_000).take_while(|&uid| users.add_user(user(uid)).is_ok()).count();
        assert!((100..140).contains(&added), "{added}");
        assert_eq!(users.add_user(user(0)), Ok(()), "a new entry of a known number takes the old one's room");
        users.remove_user(5);
        assert_eq!(users.add_group(Group { gid: 1, name: b"staff".to_vec() }), Ok(()));
        assert_eq!(users.users().count(), added - 1);
    }
}
