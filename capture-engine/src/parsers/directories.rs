//! Working and root directories.

use super::{Ctx, Row};
use crate::state::cgroups::container_id;
use crate::state::{NOT_KNOWN, Text, paths};
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_CHDIR_X, |c| change_to_param(c)),
    (code::SYSCALL_GETCWD_X, |c| change_to_param(c)),
    (code::SYSCALL_FCHDIR_X, fchdir),
    (code::SYSCALL_CHROOT_X, chroot),
];

fn change_to_param(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let raw = *ctx.raw;
    if let Some(path) = raw.text(1).filter(|p| !p.is_empty() && *p != NOT_KNOWN) {
        change_to(ctx, path);
    }
}

fn change_to(ctx: &mut Ctx<'_>, path: &[u8]) {
    let mut out = std::mem::take(ctx.scratch);
    ctx.machine.threads.charge(paths::LIMIT);
    if let Some(main) = ctx.main_mut() {
        paths::join_directory(&main.cwd, path, &mut out);
        if *main.cwd != *out {
            main.cwd = Text::from(&out[..]);
        }
    }
    *ctx.scratch = out;
}

fn fchdir(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let name = ctx.fd().filter(|fd| fd.is_file()).map(|fd| fd.name.clone());
    if let Some(name) = name {
        change_to(ctx, &name);
    }
}

/// Runtimes change root on their way into a container, after its cgroups are set.
fn chroot(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let raw = *ctx.raw;
    let Some(path) = raw.text(1).filter(|p| !p.is_empty()) else { return };
    let root = super::files::resolve(ctx, super::files::AT_FDCWD, path);
    ctx.machine.threads.charge(root.len());
    if let Some(thread) = ctx.thread_mut() {
        thread.root = root;
        thread.container_id = container_id(&thread.cgroups_raw);
    }
}
