//! Processes that are put into a container's cgroup: a runtime writes their id to `cgroup.procs`.
//!
//! Without this a thread would be known to be in its container only at its next clone or exec,
//! and the enter of the first exec inside (of `docker exec`, for one) would count as the host's.
//! Writes are frequent and such files rare: the few that are open are remembered, and a write
//! costs one look at an empty list.

use super::{Ctx, Row};
use crate::state::Text;
use crate::state::cgroups::container_in_folder;
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[(code::SYSCALL_WRITE_X, write_exit)];

/// Files that take ids: of processes, and of processes or threads (v1).
const FILES: [&[u8]; 2] = [b"/cgroup.procs", b"/tasks"];
/// Most files that are remembered; the oldest go first.
const OPEN_MAX: usize = 64;

/// A file of a container's cgroup that is open.
#[derive(Clone, Debug)]
pub(crate) struct CgroupFile {
    /// The process.
    pid: i64,
    fd: i64,
    container_id: Text,
}

/// Takes note of a file that was opened.
#[inline]
pub(super) fn opened(ctx: &mut Ctx<'_>, fd: i64, path: &[u8]) {
    if FILES.iter().any(|file| path.ends_with(file)) {
        remember(ctx, fd, path);
    }
}

#[cold]
fn remember(ctx: &mut Ctx<'_>, fd: i64, path: &[u8]) {
    let Some(pid) = ctx.thread().map(|t| t.pid) else { return };
    let files = &mut ctx.machine.cgroup_files;
    files.retain(|file| (file.pid, file.fd) != (pid, fd));
    let folder = &path[..path.iter().rposition(|&b| b == b'/').unwrap_or(0)];
    if let Some(found) = container_in_folder(folder) {
        if files.len() >= OPEN_MAX {
            files.remove(0);
        }
        files.push(CgroupFile { pid, fd, container_id: Text::from(found.id) });
    }
}

#[inline]
fn write_exit(ctx: &mut Ctx<'_>) {
    if !ctx.machine.cgroup_files.is_empty() {
        moved(ctx);
    }
}

/// res, data.
#[cold]
fn moved(ctx: &mut Ctx<'_>) {
    let Some(thread) = ctx.thread() else { return };
    // Ids are those of the writer's pid namespace, which is the host's for what follows.
    let (pid, is_of_host) = (thread.pid, thread.vpid == thread.pid);
    let fd = ctx.applied.fd_num;
    let file = ctx.machine.cgroup_files.iter().find(|file| (file.pid, file.fd) == (pid, fd));
    let Some(container_id) = file.map(|file| file.container_id.clone()) else { return };
    if !is_of_host || ctx.success(0).is_none() {
        return;
    }
    let Some(target) = ctx.raw.param(1).and_then(number) else { return };
    let target = if target == 0 { pid } else { target };
    ctx.machine.threads.for_each_mut(|thread| {
        if thread.pid == target {
            thread.container_id = container_id.clone();
        }
    });
}

fn number(data: &[u8]) -> Option<i64> {
    std::str::from_utf8(data).ok()?.trim_matches(['\n', '\0', ' ']).parse().ok()
}
