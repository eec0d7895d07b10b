//! `user.*` and `group.*` fields, by the user and group lists of the capture.

use super::proc::{bytes, int, uint};
use super::{Ctx, Field, value};
use capture_common::snapshot::User;
use filter_lang::FieldType::{Int, Str, Uint};

#[rustfmt::skip]
pub(super) static USER_FIELDS: &[Field] = &[
    value("user.uid", Uint, "id of the user", "user.uid=0", |c| uint(u64::from(c.view.thread()?.uid))),
    value("user.name", Str, "name of the user", "user.name=root", |c| bytes(&user(c)?.name)),
    value("user.homedir", Str, "home directory of the user", "user.homedir startswith /home", |c| bytes(&user(c)?.home)),
    value("user.shell", Str, "login shell of the user", "user.shell=/bin/bash", |c| bytes(&user(c)?.shell)),
    value("user.loginuid", Int, "id of the user who logged in, -1 for none", "user.loginuid=1000", |c| int(i64::from(c.view.thread()?.loginuid as i32))),
    value("user.loginname", Str, "name of the user who logged in", "user.loginname=alice",
        |c| bytes(&c.view.machine.users.user(c.view.thread()?.loginuid)?.name)),
];

#[rustfmt::skip]
pub(super) static GROUP_FIELDS: &[Field] = &[
    value("group.gid", Uint, "id of the group", "group.gid=0", |c| uint(u64::from(c.view.thread()?.gid))),
    value("group.name", Str, "name of the group", "group.name=www-data",
        |c| bytes(&c.view.machine.users.group(c.view.thread()?.gid)?.name)),
];

fn user<'a>(c: &Ctx<'a>) -> Option<&'a User> {
    c.view.machine.users.user(c.view.thread()?.uid)
}
