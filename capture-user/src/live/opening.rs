//! What changed between the attachment of the probe and the start snapshot.
//!
//! The snapshot is taken while events are recorded already, and stands before all of them. What it says
//! of an fd that was opened or closed before it was read is the future of the first events: such an fd is
//! taken out, since the stream itself tells of it; so is a working directory. Where anything may have
//! changed, the process is unknown at the start. What the stream does not tell in full is read again.

use super::changes::{Changes, Times, Watched};
use super::snapshot::{Snapped, is_socket};
use capture_common::abi::RecordView;
use capture_common::snapshot::ThreadRecord;
use std::collections::HashMap;

/// Processes that are watched; beyond that nothing of the snapshot would be known.
const PROCESSES_MAX: usize = 1 << 17;

/// The changes of each process while the snapshot is taken.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    changes: Changes,
    processes: HashMap<u32, Watched>,
}

impl Opening {
    /// Looks at a record.
    pub(crate) fn observe(&mut self, record: &RecordView<'_>, ts_ns: u64) {
        let Some(effect) = self.changes.of(record) else { return };
        let pid = record.header.pid;
        if self.processes.len() < PROCESSES_MAX || self.processes.contains_key(&pid) {
            self.processes.entry(pid).or_default().change(&effect, ts_ns);
        }
    }

    /// Notes that records about a process are missing.
    pub(crate) fn spoil(&mut self, pid: u32, ts_ns: u64) {
        self.processes.entry(pid).or_default().spoil(ts_ns);
    }

    /// The processes of which the stream does not tell all that the snapshot leaves open.
    pub(crate) fn spoilt(&self) -> impl Iterator<Item = u32> {
        let is_open = |watched: &Watched| {
            watched.is_untold || [watched.all, watched.fds, watched.cwd].iter().any(Times::is_any)
        };
        self.processes.iter().filter(move |(_, watched)| is_open(watched)).map(|(pid, _)| *pid)
    }

    /// Takes out of the snapshot what is younger than the first events.
    ///
    /// A thread that changed its name or user meanwhile keeps those of the reading, which are those of the
    /// moments to come: having none would be worse, and the change itself is in the stream.
    pub(crate) fn cut(&self, snapped: &mut Snapped) {
        let watched = |snapped: &Snapped, pid: i64| {
            let watched = u32::try_from(pid).ok().and_then(|pid| self.processes.get(&pid))?;
            Some((watched, snapped.read_at(pid)))
        };
        let mut tables = std::mem::take(&mut snapped.snapshot.fds);
        for (pid, fds) in &mut tables {
            let Some((watched, read)) = watched(snapped, *pid) else { continue };
            fds.retain(|fd| {
                let read_ns = if is_socket(&fd.kind) { read.sockets_ns } else { read.fds_ns };
                let touched = watched.touched.iter().filter(|(n, _)| *n == fd.fd).map(|(_, times)| times);
                !watched.all.by(read.process_ns)
                    && ![&watched.fds].into_iter().chain(touched).any(|times| times.by(read_ns))
            });
        }
        snapped.snapshot.fds = tables;
        let mut threads = std::mem::take(&mut snapped.snapshot.threads);
        for thread in &mut threads {
            let Some((watched, read)) = watched(snapped, thread.pid) else { continue };
            if watched.all.by(read.process_ns) {
                forget(thread);
            } else if watched.cwd.by(read.process_ns) {
                thread.cwd.clear();
            }
        }
        snapped.snapshot.threads = threads;
    }
}

/// Leaves of a thread only whose it is.
fn forget(thread: &mut ThreadRecord) {
    let &mut ThreadRecord { tid, pid, ptid, vtid, vpid, flags, .. } = thread;
    let unknown = b"<NA>".to_vec();
    let names = ThreadRecord { comm: unknown.clone(), exe: unknown, ..ThreadRecord::default() };
    *thread = ThreadRecord { tid, pid, ptid, vtid, vpid, flags, uid: u32::MAX, gid: u32::MAX, ..names };
}

#[cfg(test)]
mod tests {
    use super::super::changes::Effect;
    use super::super::snapshot::ReadAt;
    use super::*;
    use capture_common::snapshot::{FdKind, FdRecord, FdType};

    #[test]
    fn what_is_younger_than_the_events_is_taken_out() {
        let fd = |fd| FdRecord { fd, ino: 0, kind: FdKind::Other { ty: FdType::Pipe, name: b"p".to_vec() } };
        let thread = |pid| ThreadRecord {
            tid: pid,
            pid,
            comm: b"a".to_vec(),
            cwd: b"/".to_vec(),
            ..ThreadRecord::default()
        };
        let mut snapped = Snapped { ended_ns: 900, ..Snapped::default() };
        snapped.snapshot.threads = (1..=4).map(thread).collect();
        snapped.snapshot.fds =
            vec![(1, vec![fd(3), fd(4), fd(5)]), (2, vec![fd(3)]), (3, vec![fd(3)]), (4, vec![fd(3)])];
        let read = ReadAt { process_ns: 500, fds_ns: 500, sockets_ns: 500 };
        snapped.read = (1..=4).map(|pid| (pid, read)).collect();
        let mut opening = Opening::default();
        let mut touching = Watched::default();
        for (fd, ts_ns) in [(3, 400), (3, 600), (4, 501)] {
            touching.change(&Effect::Touched { fds: [Some(fd), None], is_told: true }, ts_ns);
        }
        opening.processes.insert(1, touching);
        opening.spoil(2, 499);
        opening.spoil(3, 501);
        let mut moving = Watched::default();
        [Effect::Cwd, Effect::Task, Effect::Fds].iter().for_each(|effect| moving.change(effect, 400));
        opening.processes.insert(4, moving);
        let mut connecting = Watched::default();
        connecting.change(&Effect::Touched { fds: [Some(3), None], is_told: false }, 400);
        opening.processes.insert(5, connecting);
        let mut moving = Watched::default();
        moving.change(&Effect::Cwd, 400);
        opening.processes.insert(6, moving);
        let mut renaming = Watched::default();
        renaming.change(&Effect::Task, 400);
        opening.processes.insert(7, renaming);
        opening.cut(&mut snapped);
        let left: Vec<Vec<i64>> =
            snapped.snapshot.fds.iter().map(|(_, fds)| fds.iter().map(|fd| fd.fd).collect()).collect();
        assert_eq!(left, [vec![4, 5], vec![], vec![3], vec![]]);
        let names: Vec<(&[u8], &[u8])> =
            snapped.snapshot.threads.iter().map(|t| (&t.comm[..], &t.cwd[..])).collect();
        assert_eq!(names, [(&b"a"[..], &b"/"[..]), (b"<NA>", b""), (b"a", b"/"), (b"a", b"")]);
        let mut spoilt: Vec<u32> = opening.spoilt().collect();
        spoilt.sort_unstable();
        assert_eq!(spoilt, [2, 3, 4, 5, 6]);
    }
}
