//! The state of the running machine at the start of a capture, read from /proc, /sys and /etc.
//!
//! ```text
//! machine, interfaces, users
//! processes (proc_text) -> threads, fds -> sockets: one look-up table per network namespace
//! ```
//!
//! Invariant: an entry that cannot be read costs that entry (a process that ended meanwhile, an
//! fd that was closed) and is counted in [`Gaps`]; it never costs the table. Only a /proc that
//! cannot be listed at all is an error. Nothing is written, no namespace is entered.

#![allow(unsafe_code, reason = "live/: interface addresses and socket names come from libc")]

mod fds;
mod interfaces;
mod machine;
mod proc_text;
mod processes;
mod sockets;
mod users;

use capture_common::Snapshot;
use capture_common::snapshot::{Dialect, FdKind, FdRecord, ThreadRecord};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// /proc is not mounted, or hidden.
    #[error("cannot list the processes in {}: {source}", proc.display())]
    Proc {
        /// The folder.
        proc: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Where the machine shows itself; tests give folders of their own.
#[derive(Clone, Debug)]
pub struct Roots {
    /// procfs, usually `/proc`.
    pub proc: PathBuf,
    /// sysfs, usually `/sys`.
    pub sys: PathBuf,
    /// Folder with `passwd` and `group`, usually `/etc`.
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots { proc: "/proc".into(), sys: "/sys".into(), etc: "/etc".into() }
    }
}

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Processes and threads that ended while they were read.
    pub vanished_threads: u32,
    /// Processes whose fd table could not be listed.
    pub fd_tables: u32,
    /// Fds that were closed while they were read, or that may not be looked at (a sandboxed init,
    /// even for root); the latter are in the table as unsupported ones.
    pub unreadable_fds: u32,
    /// Sockets that no table of any network namespace has (unbound ones, mostly).
    pub unlisted_sockets: u32,
    /// Whole files or lists that could not be read (users, groups, interfaces, socket tables).
    pub lists: u32,
}

/// A snapshot and what is missing in it.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What is missing.
    pub gaps: Gaps,
}

/// The state of this machine, where the probe already records: threads that begin while it is
/// taken are left to the stream.
///
/// # Errors
/// Only if /proc cannot be listed.
pub(super) fn take() -> Result<Snapped, SnapshotError> {
    let mut read_ns = HashMap::new();
    let snapshot = take_since(&Roots::default(), processes::Begin::now(), &mut read_ns)?.snapshot;
    Ok(Snapped { snapshot, read_ns, ended_ns: now_ns() })
}

/// CLOCK_MONOTONIC, ns; late where there is none, so that nothing counts as read before.
fn now_ns() -> u64 {
    super::clock::monotonic_ns().unwrap_or(u64::MAX)
}

/// A snapshot that was taken while the stream went on.
#[derive(Debug, Default)]
pub(super) struct Snapped {
    pub(super) snapshot: Snapshot,
    /// When the reading of each process had ended, CLOCK_MONOTONIC ns.
    pub(super) read_ns: HashMap<i64, u64>,
    /// When all was read, the tables of sockets last.
    pub(super) ended_ns: u64,
}

/// Whether an fd's name comes from the tables of sockets.
pub(super) fn is_socket(kind: &FdKind) -> bool {
    !matches!(kind, FdKind::File { .. } | FdKind::Other { .. })
}

/// The state of the machine that `roots` show. Interface addresses alone always come from the
/// running system, since no file lists them with their masks.
///
/// # Errors
/// Only if [`Roots::proc`] cannot be listed.
pub fn take_from(roots: &Roots) -> Result<Taken, SnapshotError> {
    take_since(roots, processes::Begin::LATE, &mut HashMap::new())
}

fn take_since(
    roots: &Roots,
    begin: processes::Begin,
    read_ns: &mut HashMap<i64, u64>,
) -> Result<Taken, SnapshotError> {
    let mut gaps = Gaps::default();
    let machine = machine::read(roots);
    let mut snapshot = Snapshot {
        dialect: Dialect::Superset,
        interfaces: interfaces::read(roots, &mut gaps),
        users: users::read_users(&roots.etc, &mut gaps),
        groups: users::read_groups(&roots.etc, &mut gaps),
        ..Snapshot::default()
    };
    let mut pending = sockets::Pending::default();
    let mut namespaces = processes::PidNamespaces::default();
    for pid in processes::list(&roots.proc)? {
        let Some(process) = processes::read(roots, pid, machine.boot_ts_ns, begin, &mut gaps) else {
            continue;
        };
        namespaces.note(&process, snapshot.threads.len());
        if !process.is_kernel_thread
            && let Some(table) = fds::read(&process.folder, snapshot.fds.len(), &mut pending, &mut gaps)
        {
            snapshot.fds.push((pid, table));
        }
        snapshot.threads.extend(process.threads);
        read_ns.insert(pid, now_ns());
    }
    namespaces.fill_in(&mut snapshot.threads);
    pending.resolve(&mut snapshot.fds, &mut gaps);
    snapshot.machine = machine;
    Ok(Taken { snapshot, gaps })
}

/// A process that was read again while the capture runs.
#[derive(Clone, Debug, Default)]
pub struct Reread {
    /// Its id.
    pub pid: i64,
    /// When it began, ns since the epoch.
    pub start_ts_ns: u64,
    /// Its threads, the main one first.
    pub threads: Vec<ThreadRecord>,
    /// Its fds, listening sockets first: they tell whose side a connection's end is.
    pub fds: Vec<FdRecord>,
}

/// Ids of all processes; none where /proc cannot be listed.
pub(super) fn pids() -> Vec<u32> {
    let listed = processes::list(&Roots::default().proc).unwrap_or_default();
    listed.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// Reads processes again. Those that are gone are not in the answer.
pub(super) fn read_again(pids: &[u32]) -> Vec<Reread> {
    let roots = Roots::default();
    let mut gaps = Gaps::default();
    let boot_ts_ns = machine::read(&roots).boot_ts_ns;
    let mut pending = sockets::Pending::default();
    let (mut found, mut tables) = (Vec::new(), Vec::new());
    for pid in pids.iter().map(|&pid| i64::from(pid)) {
        let late = processes::Begin::LATE;
        let Some(process) = processes::read(&roots, pid, boot_ts_ns, late, &mut gaps) else { continue };
        let fds = if process.is_kernel_thread {
            None
        } else {
            fds::read(&process.folder, tables.len(), &mut pending, &mut gaps)
        };
        tables.push((pid, fds.unwrap_or_default()));
        let start_ts_ns = process.start_ts_ns;
        found.push(Reread { pid, start_ts_ns, threads: process.threads, fds: Vec::new() });
    }
    pending.resolve(&mut tables, &mut gaps);
    for (process, (_, mut fds)) in found.iter_mut().zip(tables) {
        let is_server =
            |fd: &FdRecord| matches!(fd.kind, FdKind::Ipv4Server { .. } | FdKind::Ipv6Server { .. });
        fds.sort_by_key(|fd| !is_server(fd));
        process.fds = fds;
    }
    found
}

#[cfg(test)]
mod tests;
