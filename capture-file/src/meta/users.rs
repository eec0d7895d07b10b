//! User list blocks (0x206, 0x220): users and groups.

use super::Opening;
use crate::block::{USER_LIST_V2, begin_block, end_block};
use crate::cursor::{Cursor, Short, close_entry, put_string};
use capture_common::Snapshot;
use capture_common::snapshot::{Group, User};

const USER: u8 = 0;
const GROUP: u8 = 1;

/// Longest string that stock readers accept, in bytes.
const STRING_MAX: usize = 255;

/// Decodes one entry.
pub(super) fn decode(cursor: &mut Cursor<'_>, sized: bool, to: &mut Opening) -> Result<(), Short> {
    if sized { decode_entry(&mut cursor.entry("user entry")?, to) } else { decode_entry(cursor, to) }
}

fn decode_entry(entry: &mut Cursor<'_>, to: &mut Opening) -> Result<(), Short> {
    if entry.u8("user type")? == USER {
        let user = User {
            uid: entry.u32("uid")?,
            gid: entry.u32("gid")?,
            name: entry.string("user name")?,
            home: entry.string("home directory")?,
            shell: entry.string("shell")?,
        };
        if to.has_room::<User>(&[&user.name, &user.home, &user.shell]) {
            to.snapshot.users.push(user);
        }
    } else {
        let group = Group { gid: entry.u32("gid")?, name: entry.string("group name")? };
        if to.has_room::<Group>(&[&group.name]) {
            to.snapshot.groups.push(group);
        }
    }
    Ok(())
}

pub(super) fn encode(snapshot: &Snapshot, out: &mut Vec<u8>) -> u64 {
    let mut cut_strings = 0;
    let block_at = begin_block(out, USER_LIST_V2);
    for user in &snapshot.users {
        let at = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, USER]);
        out.extend_from_slice(&user.uid.to_le_bytes());
        out.extend_from_slice(&user.gid.to_le_bytes());
        for text in [&user.name, &user.home, &user.shell] {
            cut_strings += u64::from(put_string(out, text, STRING_MAX));
        }
        close_entry(out, at);
    }
    for group in &snapshot.groups {
        let at = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, GROUP]);
        out.extend_from_slice(&group.gid.to_le_bytes());
        cut_strings += u64::from(put_string(out, &group.name, STRING_MAX));
        close_entry(out, at);
    }
    end_block(out, block_at);
    cut_strings
}
