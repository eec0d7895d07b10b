//! Users, groups and capabilities of threads, and the user database.

use super::{Ctx, Row};
use capture_common::event_table::code;
use capture_common::snapshot::{Group, User};

/// Argument that leaves an id as it is.
const UNCHANGED: u32 = u32::MAX;
/// All capabilities of Linux 6.x; what a new user namespace grants.
const ALL_CAPS: u64 = (1 << 41) - 1;
/// Stored bit of CLONE_NEWUSER.
const CLONE_NEWUSER: u64 = 1 << 20;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_SETUID_E, |c| keep_id(c, 0)),
    (code::SYSCALL_SETRESUID_E, |c| keep_id(c, 1)),
    (code::SYSCALL_SETGID_E, |c| keep_id(c, 0)),
    (code::SYSCALL_SETRESGID_E, |c| keep_id(c, 1)),
    (code::SYSCALL_SETUID_X, |c| set_id(c, 1, IdKind::User)),
    (code::SYSCALL_SETRESUID_X, |c| set_id(c, 2, IdKind::User)),
    (code::SYSCALL_SETREUID_X, |c| set_id(c, 2, IdKind::User)),
    (code::SYSCALL_SETGID_X, |c| set_id(c, 1, IdKind::Group)),
    (code::SYSCALL_SETRESGID_X, |c| set_id(c, 2, IdKind::Group)),
    (code::SYSCALL_SETREGID_X, |c| set_id(c, 2, IdKind::Group)),
    (code::SYSCALL_CAPSET_X, capset),
    (code::SYSCALL_UNSHARE_E, |c| keep_flags(c, 0)),
    (code::SYSCALL_SETNS_E, |c| keep_flags(c, 1)),
    (code::SYSCALL_UNSHARE_X, |c| new_namespace(c, 1)),
    (code::SYSCALL_SETNS_X, |c| new_namespace(c, 2)),
    (code::USER_ADDED_E, user_added),
    (code::USER_DELETED_E, user_deleted),
    (code::GROUP_ADDED_E, group_added),
    (code::GROUP_DELETED_E, group_deleted),
];

enum IdKind {
    User,
    Group,
}

/// Keeps the effective id of an enter.
fn keep_id(ctx: &mut Ctx<'_>, param: usize) {
    let id = ctx.raw.uint(param).unwrap_or(u64::from(UNCHANGED)) as i64;
    ctx.keep([id, 0, 0, 0], b"");
}

fn set_id(ctx: &mut Ctx<'_>, param: usize, kind: IdKind) {
    if ctx.failed() {
        return;
    }
    let Some(id) = ctx.raw.uint(param).or_else(|| Some(ctx.entered()?.nums[0] as u64)) else { return };
    let id = id as u32;
    if id == UNCHANGED {
        return;
    }
    let Some(thread) = ctx.thread_mut() else { return };
    match kind {
        IdKind::User => thread.uid = id,
        IdKind::Group => thread.gid = id,
    }
}

/// res, inheritable, permitted, effective.
fn capset(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let words = [ctx.raw.uint(1), ctx.raw.uint(2), ctx.raw.uint(3)];
    let Some(thread) = ctx.thread_mut() else { return };
    for (kept, word) in thread.caps.iter_mut().zip(words) {
        *kept = word.unwrap_or(*kept);
    }
}

fn keep_flags(ctx: &mut Ctx<'_>, param: usize) {
    let flags = ctx.raw.uint(param).unwrap_or(0) as i64;
    ctx.keep([flags, 0, 0, 0], b"");
}

/// A thread that enters a user namespace has all capabilities in it.
fn new_namespace(ctx: &mut Ctx<'_>, flags_param: usize) {
    if ctx.failed() {
        return;
    }
    let flags = ctx.raw.uint(flags_param).or_else(|| Some(ctx.entered()?.nums[0] as u64));
    if flags.unwrap_or(0) & CLONE_NEWUSER != 0
        && let Some(thread) = ctx.thread_mut()
    {
        thread.caps = [thread.caps[0], ALL_CAPS, ALL_CAPS];
    }
}

/// uid, gid, name, home, shell, container_id. Users of containers are not the host's.
fn user_added(ctx: &mut Ctx<'_>) {
    let text = |at| ctx.raw.text(at).unwrap_or(b"").to_vec();
    if !text(5).is_empty() {
        return;
    }
    let (Some(uid), Some(gid)) = (ctx.raw.uint(0), ctx.raw.uint(1)) else { return };
    let user = User { uid: uid as u32, gid: gid as u32, name: text(2), home: text(3), shell: text(4) };
    if ctx.machine.users.add_user(user).is_err() {
        ctx.machine.counters.names_refused += 1;
    }
}

fn user_deleted(ctx: &mut Ctx<'_>) {
    if ctx.raw.text(5).is_none_or(<[u8]>::is_empty)
        && let Some(uid) = ctx.raw.uint(0)
    {
        ctx.machine.users.remove_user(uid as u32);
    }
}

/// gid, name, container_id.
fn group_added(ctx: &mut Ctx<'_>) {
    let text = |at| ctx.raw.text(at).unwrap_or(b"").to_vec();
    if !text(2).is_empty() {
        return;
    }
    let Some(gid) = ctx.raw.uint(0) else { return };
    let group = Group { gid: gid as u32, name: text(1) };
    if ctx.machine.users.add_group(group).is_err() {
        ctx.machine.counters.names_refused += 1;
    }
}

fn group_deleted(ctx: &mut Ctx<'_>) {
    if ctx.raw.text(2).is_none_or(<[u8]>::is_empty)
        && let Some(gid) = ctx.raw.uint(0)
    {
        ctx.machine.users.remove_group(gid as u32);
    }
}
