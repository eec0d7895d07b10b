//! Files: the open forms.

use super::{Ctx, Row, cgroup_moves};
use crate::state::fd::{FdInfo, O_DIRECTORY};
use crate::state::paths;
use crate::state::thread::Entered;
use crate::state::{NOT_KNOWN, Text};
use capture_common::event_table::code;
use capture_common::snapshot::FdType;

/// Stored number of AT_FDCWD.
pub(super) const AT_FDCWD: i64 = -100;

/// Stored open flags that creat stands for: O_CREAT, O_WRONLY, O_TRUNC.
const CREAT_FLAGS: i64 = 1 << 2 | 2 | 1 << 8;

pub(super) const ROWS: &[Row] = &[
    (code::SYSCALL_OPEN_E, |c| enter(c, 0, Some(1), None)),
    (code::SYSCALL_CREAT_E, |c| enter(c, 0, None, None)),
    (code::SYSCALL_OPENAT_E, |c| enter(c, 1, Some(2), Some(0))),
    (code::SYSCALL_OPENAT_2_E, |c| enter(c, 1, Some(2), Some(0))),
    (code::SYSCALL_OPENAT2_E, |c| enter(c, 1, Some(2), Some(0))),
    (code::SYSCALL_OPEN_X, |c| exit(c, &OPEN)),
    (code::SYSCALL_CREAT_X, |c| exit(c, &CREAT)),
    (code::SYSCALL_OPENAT_X, |c| exit(c, &OPENAT)),
    (code::SYSCALL_OPENAT_2_X, |c| exit(c, &OPENAT_2)),
    (code::SYSCALL_OPENAT2_X, |c| exit(c, &OPENAT2)),
    (code::SYSCALL_OPEN_BY_HANDLE_AT_X, |c| exit(c, &BY_HANDLE)),
];

/// Where the parameters of an exit stand; an index that no event reaches for absent ones.
struct Layout {
    name: usize,
    flags: usize,
    dirfd: Option<usize>,
    dev: usize,
    ino: usize,
}

const ABSENT: usize = usize::MAX;
const OPEN: Layout = Layout { name: 1, flags: 2, dirfd: None, dev: 4, ino: 5 };
const CREAT: Layout = Layout { name: 1, flags: ABSENT, dirfd: None, dev: 3, ino: 4 };
const OPENAT: Layout = Layout { name: ABSENT, flags: ABSENT, dirfd: Some(ABSENT), dev: ABSENT, ino: ABSENT };
const OPENAT_2: Layout = Layout { name: 2, flags: 3, dirfd: Some(1), dev: 5, ino: 6 };
const OPENAT2: Layout = Layout { name: 2, flags: 3, dirfd: Some(1), dev: 6, ino: 7 };
const BY_HANDLE: Layout = Layout { name: 3, flags: 2, dirfd: None, dev: 4, ino: 5 };

fn enter(ctx: &mut Ctx<'_>, name: usize, flags: Option<usize>, dirfd: Option<usize>) {
    let flags = match flags {
        Some(at) => ctx.raw.uint(at).unwrap_or(0) as i64,
        None => CREAT_FLAGS,
    };
    let dirfd = dirfd.map_or(AT_FDCWD, |at| ctx.raw.int(at).unwrap_or(AT_FDCWD));
    let name = ctx.raw.text(name).unwrap_or(b"");
    ctx.keep([flags, dirfd, 0, 0], name);
}

fn exit(ctx: &mut Ctx<'_>, layout: &Layout) {
    let Some(fd) = ctx.success(0) else { return };
    let entered = ctx.take_entered();
    opened(ctx, layout, fd, entered.as_deref());
    ctx.give_back(entered);
}

fn opened(ctx: &mut Ctx<'_>, layout: &Layout, fd: i64, entered: Option<&Entered>) {
    let raw = *ctx.raw;
    let mut name = raw.text(layout.name).unwrap_or(b"");
    let mut flags =
        raw.uint(layout.flags).map_or(if layout.flags == ABSENT { CREAT_FLAGS } else { 0 }, |f| f as i64);
    let mut dirfd = layout.dirfd.and_then(|at| raw.int(at)).unwrap_or(AT_FDCWD);
    // The enter's view is the caller's own, which is what filters ask for (`/etc/resolv.conf`, wherever
    // that leads); the exit's is the file's or may be read after another thread has changed the memory.
    if let Some(kept) = entered.filter(|e| is_path(&e.bytes)) {
        name = &kept.bytes;
        flags = kept.nums[0];
        dirfd = kept.nums[1];
    } else if name.is_empty() && layout.name == ABSENT {
        return; // the old openat without its enter: nothing is known but the number
    }
    let ty = if flags as u32 & O_DIRECTORY != 0 { FdType::Directory } else { FdType::File };
    let full = resolve(ctx, dirfd, name);
    cgroup_moves::opened(ctx, fd, &full);
    let raw_name = if *full == *name { full.clone() } else { Text::from(name) };
    let info = FdInfo {
        name: full,
        raw_name,
        open_flags: flags as u32,
        dev: raw.uint(layout.dev).unwrap_or(0) as u32,
        ino: raw.uint(layout.ino).unwrap_or(0),
        ..FdInfo::new(ty)
    };
    ctx.add_fd(fd, info);
}

fn is_path(name: &[u8]) -> bool {
    !name.is_empty() && name != b"(NULL)" && name != NOT_KNOWN
}

/// A path as the thread sees it: joined to its cwd, or to the name of `dirfd`.
pub(super) fn resolve(ctx: &mut Ctx<'_>, dirfd: i64, path: &[u8]) -> Text {
    let mut out = std::mem::take(ctx.scratch);
    let main = ctx.main_slot().and_then(|s| ctx.machine.threads.at(s));
    let base: &[u8] = match main {
        None => b"",
        Some(main) if dirfd == AT_FDCWD => &main.cwd,
        Some(main) => main.fds.get(dirfd).map_or(b"<UNKNOWN>", |d| &d.name),
    };
    paths::join(base, path, &mut out);
    let text = Text::from(&out[..]);
    *ctx.scratch = out;
    text
}
