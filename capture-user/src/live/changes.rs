//! Which records change what is known of a process: shared by those who read /proc while the stream
//! goes on, and have to know what of it is older or younger than the stream.

use capture_common::abi::{ExitFixed, RecordView, kind};
use capture_common::{plan, syscall_table};

/// Touched fds of a process that are told apart; beyond that all count as touched.
const TOUCHED_MAX: usize = 64;
/// Numbers of calls that the table holds.
const CALLS: usize = 512;

/// What the success of a call may change in the state of the caller's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// What is known of its threads.
    Task,
    /// The fd that it returns.
    Ret,
    /// The fd in the first argument.
    Arg,
    /// Either.
    ArgAndRet,
    /// Any fd.
    Fds,
    /// Anything.
    All,
}

/// Calls that change state, other than those that return an fd.
const CHANGES: &[(&str, Change)] = &[
    ("clone", Change::Nothing),
    ("clone3", Change::Nothing),
    ("fork", Change::Nothing),
    ("vfork", Change::Nothing),
    ("exit", Change::Nothing),
    ("exit_group", Change::Nothing),
    ("rename", Change::Nothing),
    ("renameat", Change::Nothing),
    ("renameat2", Change::Nothing),
    ("close", Change::Arg),
    ("connect", Change::Arg),
    ("bind", Change::Arg),
    ("listen", Change::Arg),
    ("shutdown", Change::Arg),
    ("fcntl", Change::ArgAndRet),
    ("pipe", Change::Fds),
    ("pipe2", Change::Fds),
    ("socketpair", Change::Fds),
    ("close_range", Change::Fds),
    ("chdir", Change::Task),
    ("fchdir", Change::Task),
    ("chroot", Change::Task),
    ("setuid", Change::Task),
    ("setgid", Change::Task),
    ("setreuid", Change::Task),
    ("setregid", Change::Task),
    ("setresuid", Change::Task),
    ("setresgid", Change::Task),
    ("setsid", Change::Task),
    ("setpgid", Change::Task),
    ("capset", Change::Task),
    ("prctl", Change::Task),
    ("setns", Change::Task),
    ("unshare", Change::All),
    ("execve", Change::All),
    ("execveat", Change::All),
];

/// What a native call changes.
fn change_of(name: &str) -> Change {
    if !plan::row(name).stateful() {
        return Change::Nothing;
    }
    CHANGES.iter().find(|(call, _)| *call == name).map_or(Change::Ret, |(_, change)| *change)
}

/// What each call changes.
#[derive(Debug)]
pub(crate) struct Changes(Vec<Change>);

impl Default for Changes {
    fn default() -> Self {
        let mut changes = vec![Change::Nothing; CALLS];
        for call in syscall_table::X86_64 {
            if let Some(change) = changes.get_mut(usize::from(call.nr)) {
                *change = change_of(call.name);
            }
        }
        Self(changes)
    }
}

/// What a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    change: Change,
    arg: i32,
    ret: i64,
}

impl Changes {
    /// What a record changed of its process; `None`: nothing.
    pub(crate) fn of(&self, record: &RecordView<'_>) -> Option<Effect> {
        match record.header.kind {
            kind::EXEC => return Some(Effect { change: Change::All, arg: 0, ret: 0 }),
            kind::EXIT => {}
            _ => return None,
        }
        let is_native = record.header.flags == 0;
        let change = match self.0.get(usize::from(record.header.nr)) {
            Some(change) if is_native => *change,
            // Not told apart.
            _ => Change::All,
        };
        if change == Change::Nothing {
            return None;
        }
        let (exit, _) = record.split::<ExitFixed>()?;
        // A close that fails may have closed all the same.
        let failed = (-4095..0).contains(&exit.ret) && change != Change::Arg;
        (!failed).then_some(Effect { change, arg: exit.args[0] as i32, ret: exit.ret })
    }
}

/// What happened to a process.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Last change that is not of single fds, CLOCK_MONOTONIC ns; 0 none.
    pub(crate) spoilt_ns: u64,
    /// The first one; 0 none.
    pub(crate) first_spoilt_ns: u64,
    /// Single fds that changed: first and last time.
    pub(crate) touched: Vec<(i64, u64, u64)>,
    /// Threads that ended.
    pub(crate) ended: Vec<i64>,
}

impl Watched {
    /// Notes a change.
    pub(crate) fn change(&mut self, effect: &Effect, ts_ns: u64) {
        match effect.change {
            Change::Nothing => {}
            Change::Ret => self.touch(effect.ret, ts_ns),
            Change::Arg => self.touch(i64::from(effect.arg), ts_ns),
            Change::ArgAndRet => {
                self.touch(i64::from(effect.arg), ts_ns);
                self.touch(effect.ret, ts_ns);
            }
            Change::Task | Change::Fds | Change::All => self.spoil(ts_ns),
        }
    }

    /// Anything may have changed.
    pub(crate) fn spoil(&mut self, ts_ns: u64) {
        self.spoilt_ns = self.spoilt_ns.max(ts_ns);
        if self.first_spoilt_ns == 0 {
            self.first_spoilt_ns = ts_ns;
        }
    }

    fn touch(&mut self, fd: i64, ts_ns: u64) {
        if let Some((_, _, last_ns)) = self.touched.iter_mut().find(|(n, ..)| *n == fd) {
            *last_ns = ts_ns;
        } else if self.touched.len() < TOUCHED_MAX {
            self.touched.push((fd, ts_ns, ts_ns));
        } else {
            self.spoil(ts_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_changes_state_says_what_it_changes() {
        for (call, change) in CHANGES {
            assert!(plan::row(call).stateful(), "{call} changes no state by the plan");
            assert_eq!(change_of(call), *change);
        }
        let some = ["openat", "dup3", "read"].map(change_of);
        assert_eq!(some, [Change::Ret, Change::Ret, Change::Nothing]);
    }

    #[test]
    fn touched_fds_are_few_or_everything() {
        let mut watched = Watched::default();
        let effect = |change, arg, ret| Effect { change, arg, ret };
        watched.change(&effect(Change::ArgAndRet, 3, 7), 10);
        watched.change(&effect(Change::Arg, 3, 0), 15);
        assert_eq!((&watched.touched[..], watched.spoilt_ns), (&[(3, 10, 15), (7, 10, 10)][..], 0));
        for fd in 0..TOUCHED_MAX as i64 + 10 {
            watched.change(&effect(Change::Ret, 0, fd), 20);
        }
        assert_eq!((watched.touched.len(), watched.spoilt_ns), (TOUCHED_MAX, 20));
        watched.change(&effect(Change::Task, 0, 0), 30);
        assert_eq!((watched.spoilt_ns, watched.first_spoilt_ns), (30, 20));
    }
}
