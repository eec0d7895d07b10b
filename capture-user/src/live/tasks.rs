//! The processes that run, by the ids that the kernel and the events have: from /proc where it has
//! those, or else, inside a pid namespace, from the probe's iterator over threads.
//!
//! Invariant: a process is found by its number in the namespace of this one, as kill(2) would find it,
//! or not at all.

use super::error::LiveError;
use super::features::kernel_release;
use super::iterators::Iterators;
use super::snapshot::{self, parse_stat};
use capture_common::abi::{IterTaskFixed, RecordView, TaskInfo, kind, tag};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Both EXIT_DEAD and EXIT_ZOMBIE.
const EXITED: u32 = 0x30;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// None of its threads runs any more.
    pub(super) is_over: bool,
}

/// Where they come from.
pub(super) enum Tasks<'a> {
    Proc,
    Iterators(&'a Iterators),
}

impl Tasks<'_> {
    /// All of them; inside a namespace, those of it.
    pub(super) fn list(&self) -> Result<Vec<Process>, LiveError> {
        match self {
            Self::Proc => Ok(processes_in_proc()),
            Self::Iterators(iterators) => {
                iterators.threads_now().map(|found| processes(&found)).map_err(unread)
            }
        }
    }

    /// The id that the kernel counts a process by, of which this is the handle and the number.
    pub(super) fn kernel_pid(&self, number: u32, process: &OwnedFd) -> Result<u32, LiveError> {
        let Self::Iterators(iterators) = self else { return Ok(number) };
        let threads = iterators.threads_now().map_err(unread)?;
        if let Some(pid) = by_number(&threads, iterators.own_pid(), number) {
            return Ok(pid);
        }
        let nested = |reason| LiveError::NestedPid { pid: number, release: kernel_release(), reason };
        kernel_pid_of(iterators, process).map_err(|e| nested(e.to_string()))
    }
}

/// The kernel's id of the process that this is the handle of; an error before Linux 6.1.
pub(super) fn kernel_pid_of(iterators: &Iterators, process: &OwnedFd) -> io::Result<u32> {
    match &processes(&iterators.threads_of(process.as_fd())?)[..] {
        [process] => Ok(process.pid),
        none_or_many => {
            Err(io::Error::other(format!("the iterator tells of {} processes", none_or_many.len())))
        }
    }
}

fn unread(source: io::Error) -> LiveError {
    LiveError::Os { what: "reading the probe's iterator over threads", source }
}

/// A thread as the iterator gave it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Thread {
    pid: u32,
    parent: u32,
    is_over: bool,
    /// Level of its pid namespace, and the number of its process there.
    level: u32,
    number: u32,
}

impl Thread {
    /// What a record says; `None` if it is none of a thread.
    pub(super) fn of(record: &RecordView<'_>) -> Option<Thread> {
        if record.header.kind != kind::ITER_TASK {
            return None;
        }
        let (fixed, sections) = record.split::<IterTaskFixed>()?;
        let info = TaskInfo::read(sections.find_tag(tag::TASK)?.data)?;
        Some(Thread {
            pid: info.pid,
            parent: info.ppid,
            is_over: fixed.exit_state & EXITED != 0,
            level: info.pidns_level,
            number: info.vpid,
        })
    }
}

fn processes(threads: &[Thread]) -> Vec<Process> {
    let mut found: HashMap<u32, Process> = HashMap::new();
    for &Thread { pid, parent, is_over, .. } in threads {
        let process = found.entry(pid).or_insert(Process { pid, parent, is_over: true });
        process.is_over &= is_over;
    }
    found.into_values().collect()
}

/// The process that has this number in the namespace of process `own_pid`. Those of a namespace further
/// in have a number there, too, which their records do not tell.
fn by_number(threads: &[Thread], own_pid: u32, number: u32) -> Option<u32> {
    let level = threads.iter().find(|thread| thread.pid == own_pid)?.level;
    let is_it = |thread: &&Thread| (thread.level, thread.number) == (level, number);
    threads.iter().find(is_it).map(|thread| thread.pid)
}

/// What /proc/PID/stat says of a process.
fn process_in_proc(pid: u32) -> Option<Process> {
    let stat = parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)?;
    // The first thread can end before the others.
    let is_over = matches!(stat.state, b'Z' | b'X') && stat.num_threads <= 1;
    Some(Process { pid, parent: u32::try_from(stat.ppid).ok()?, is_over })
}

fn processes_in_proc() -> Vec<Process> {
    snapshot::pids().into_iter().filter_map(process_in_proc).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_its_parent() {
        let (pid, parent) = (std::process::id(), std::os::unix::process::parent_id());
        let own = Process { pid, parent, is_over: false };
        assert!(processes_in_proc().contains(&own));
        assert_eq!(process_in_proc(u32::MAX), None);
    }

    fn thread(pid: u32, level: u32, number: u32) -> Thread {
        Thread { pid, level, number, ..Thread::default() }
    }

    #[test]
    fn numbers_are_those_of_the_own_namespace() {
        // Two namespaces further in count from 1, too, and 7 is an id of the kernel besides.
        let threads =
            [thread(7, 1, 1), thread(50, 1, 7), thread(60, 2, 1), thread(61, 2, 8), thread(70, 3, 2)];
        let find = |number| by_number(&threads, 50, number);
        assert_eq!([1, 7, 8, 2, 50].map(find), [Some(7), Some(50), None, None, None]);
        assert_eq!(by_number(&threads, 99, 1), None, "whose level is not known");
    }

    #[test]
    fn a_process_is_over_with_its_last_thread() {
        let dead = Thread { pid: 9, parent: 4, is_over: true, ..Thread::default() };
        assert_eq!(processes(&[dead, dead]), [Process { pid: 9, parent: 4, is_over: true }]);
        let one_lives = [dead, Thread { is_over: false, ..dead }];
        assert_eq!(processes(&one_lives), [Process { pid: 9, parent: 4, is_over: false }]);
    }
}
