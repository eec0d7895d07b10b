//! Watching one process tree instead of the machine: that of a command which is run for it, or of
//! a process that runs already.
//!
//! ```text
//! attach (tree empty) -> root into the tree -> snapshot, reduced to the tree -> command begins
//! ```
//!
//! Invariant: the capture ends with the root, or with the whole tree where that is asked for; what
//! the stream needs of other processes (names of parents) is in the snapshot.

#![allow(unsafe_code, reason = "live/: pidfd_open and poll")]

use super::command::{CommandEnd, CommandLine, Held, Running};
use super::error::LiveError;
use super::iterators::Iterators;
use super::load::Probe;
use super::tasks::Tasks;
use super::tree::Tree;
use super::whoami::has_host_pids;
use capture_common::Snapshot;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// What a capture is limited to.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The root of the tree.
    pub root: Root,
    /// End with the last process of the tree, and not with its root.
    pub whole_tree: bool,
}

/// The root of a watched tree.
#[derive(Clone, Debug)]
pub enum Root {
    /// A command that is run.
    Command(CommandLine),
    /// A process that runs.
    Process(u32),
}

/// A watched tree.
#[derive(Debug)]
pub(crate) struct Watching {
    tree: Arc<Tree>,
    held: Option<Held>,
    running: Option<Running>,
}

impl Watching {
    /// Puts the root into the tree of the attached probe. `stop` ends the capture.
    pub(crate) fn prepare(
        options: &WatchOptions,
        probe: &mut Probe,
        iterators: Result<&Iterators, &String>,
        stop: impl Fn() + Send + 'static,
        stopped: impl Fn() -> bool + Send + 'static,
    ) -> Result<Watching, LiveError> {
        let mut tree = probe.take_tree()?;
        let wait_for_tree = |tree: Arc<Tree>, whole: bool| {
            move || {
                while whole && tree.is_alive() && !stopped() {
                    std::thread::sleep(LOOK);
                }
                stop();
            }
        };
        match &options.root {
            Root::Command(line) => {
                tree.arm()?;
                let tree = Arc::new(tree);
                let held = Held::spawn(line, wait_for_tree(tree.clone(), options.whole_tree))?;
                Ok(Watching { tree, held: Some(held), running: None })
            }
            Root::Process(pid) => {
                let process = open_process(*pid)?;
                let tasks = tasks(iterators)?;
                let root = tasks.kernel_pid(*pid, &process)?;
                // While it is there, nobody else has its number.
                if has_ended(&process) {
                    return Err(LiveError::NoProcess { pid: *pid, hint: ": it has ended" });
                }
                tree.adopt(root, &tasks)?;
                let tree = Arc::new(tree);
                let ended = wait_for_tree(tree.clone(), options.whole_tree);
                let wait = move || {
                    wait_for_end(&process);
                    ended();
                };
                std::thread::Builder::new()
                    .name("capture-wait".into())
                    .spawn(wait)
                    .map_err(|source| LiveError::Os { what: "starting the thread that waits", source })?;
                Ok(Watching { tree, held: None, running: None })
            }
        }
    }

    /// Cuts a snapshot of the machine to what concerns the tree: its processes and their ancestors
    /// whole; of the others their names, which events tell by number, and nothing private.
    pub(crate) fn cut(&self, snapshot: &mut Snapshot) {
        let mut members: HashSet<i64> = self.tree.pids().map(i64::from).collect();
        snapshot.fds.retain(|(pid, _)| members.contains(pid));
        let parents: HashMap<i64, i64> = snapshot.threads.iter().map(|t| (t.pid, t.ptid)).collect();
        for pid in members.clone() {
            let mut above = pid;
            while let Some(parent) = parents.get(&above).filter(|parent| members.insert(**parent)) {
                above = *parent;
            }
        }
        snapshot.threads.retain(|thread| members.contains(&thread.pid) || thread.tid == thread.pid);
        for other in snapshot.threads.iter_mut().filter(|thread| !members.contains(&thread.pid)) {
            for text in [&mut other.args, &mut other.env, &mut other.cgroups] {
                *text = Vec::new();
            }
        }
    }

    /// Lets the command begin, if there is one; whether there is.
    pub(crate) fn begin(&mut self, stop: Arc<AtomicBool>) -> Result<bool, LiveError> {
        if let Some(held) = self.held.take() {
            self.running = Some(held.release(stop)?);
        }
        Ok(self.running.is_some())
    }

    /// Processes that were too many to be followed.
    pub(crate) fn lost(&self) -> u64 {
        self.tree.lost()
    }

    /// The command, if one runs or ran.
    pub(crate) fn into_command(self) -> Option<Running> {
        self.running
    }
}

impl CommandEnd {
    /// The exit code that a shell gives: 128 and more for signals, 126 for what cannot be executed.
    pub fn shell_code(&self) -> Option<u8> {
        use std::os::unix::process::ExitStatusExt;
        match self {
            Self::Ended(status) => {
                let by_signal = status.signal().map(|signal| 128 + signal);
                status.code().or(by_signal).map(|code| code as u8)
            }
            Self::NotStarted(_) => Some(126),
            Self::Runs => None,
        }
    }
}

/// Where the processes come from: inside a pid namespace /proc has other ids than the kernel.
fn tasks<'a>(iterators: Result<&'a Iterators, &String>) -> Result<Tasks<'a>, LiveError> {
    if has_host_pids() {
        return Ok(Tasks::Proc);
    }
    let iterators = iterators.map_err(|reason| LiveError::NotHostPids { reason: reason.clone() })?;
    Ok(Tasks::Iterators(iterators))
}

/// A handle of a process that stays its own whoever gets the id later.
pub(super) fn open_process(pid: u32) -> Result<OwnedFd, LiveError> {
    // SAFETY: takes numbers; the result is a new fd or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        let hint = match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EINVAL | libc::ENOENT) if pid > 0 => ": it is a thread, and --pid takes a process",
            _ => "",
        };
        return Err(LiveError::NoProcess { pid, hint });
    }
    // SAFETY: a new fd that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Waits for the end of all threads of the process.
fn wait_for_end(process: &OwnedFd) {
    while !ends_within(process, -1) {}
}

fn has_ended(process: &OwnedFd) -> bool {
    ends_within(process, 0)
}

/// Whether the last thread of the process ends before the time is over; -1: no limit.
fn ends_within(process: &OwnedFd, time_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut poll, 1, time_ms) > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_exist_is_refused() {
        assert!(matches!(open_process(0), Err(LiveError::NoProcess { hint: "", .. })));
        assert!(matches!(open_process(0x3fff_ffff), Err(LiveError::NoProcess { .. })));
    }

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = open_process(child.id()).unwrap();
        wait_for_end(&process);
        assert!(has_ended(&process));
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        use std::os::unix::process::ExitStatusExt;
        let code = |raw| CommandEnd::Ended(std::process::ExitStatus::from_raw(raw)).shell_code();
        assert_eq!(code(7 << 8), Some(7));
        assert_eq!(code(9), Some(137));
        assert_eq!(code(11 | 0x80), Some(139));
        assert_eq!(CommandEnd::Runs.shell_code(), None);
    }
}
