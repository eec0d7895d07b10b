//! Which records change what is known of a process: shared by those who read /proc while the stream
//! goes on, and have to know what of it is older or younger than the stream.

use capture_common::abi::{ExitFixed, RecordView, kind, tag};
use capture_common::{plan, syscall_table};

/// Touched fds of a process that are told apart; beyond that all count as touched.
const TOUCHED_MAX: usize = 64;
/// Numbers of calls that the table holds.
const CALLS: usize = 512;
/// The number in the exit of rt_sigreturn: it brings back the registers of before the signal, with results
/// and arguments of a call that has its own exit.
const NR_NONE: u16 = u16::MAX;

/// What the success of a call may change in the state of the caller's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// What is known of its threads, other than by their working directory.
    Task,
    /// Its working directory.
    Cwd,
    /// The name of the thread, if the first argument says that.
    Name,
    /// The fd that it returns.
    Ret,
    /// The fd in the first argument.
    Arg,
    /// Either.
    ArgAndRet,
    /// Two fds that the call stores where its first argument points to.
    Pair0,
    /// The same with its fourth argument.
    Pair3,
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
    ("pipe", Change::Pair0),
    ("pipe2", Change::Pair0),
    ("socketpair", Change::Pair3),
    ("close_range", Change::Fds),
    ("chdir", Change::Cwd),
    ("fchdir", Change::Cwd),
    ("chroot", Change::Cwd),
    ("setuid", Change::Task),
    ("setgid", Change::Task),
    ("setreuid", Change::Task),
    ("setregid", Change::Task),
    ("setresuid", Change::Task),
    ("setresgid", Change::Task),
    ("setsid", Change::Task),
    ("setpgid", Change::Task),
    ("capset", Change::Task),
    ("prctl", Change::Name),
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
pub(crate) enum Effect {
    /// Up to two fds.
    Touched([Option<i64>; 2]),
    Fds,
    Cwd,
    Task,
    All,
}

impl Changes {
    /// What a record changed of its process; `None`: nothing.
    pub(crate) fn of(&self, record: &RecordView<'_>) -> Option<Effect> {
        match record.header.kind {
            kind::EXEC => return Some(Effect::All),
            kind::EXIT => {}
            _ => return None,
        }
        let is_native = record.header.flags == 0;
        let change = match self.0.get(usize::from(record.header.nr)) {
            Some(change) if is_native => *change,
            None if record.header.nr == NR_NONE => Change::Nothing,
            // Not told apart.
            _ => Change::All,
        };
        if change == Change::Nothing {
            return None;
        }
        let (exit, sections) = record.split::<ExitFixed>()?;
        // A close that fails may have closed all the same.
        if (-4095..0).contains(&exit.ret) && change != Change::Arg {
            return None;
        }
        let arg = i64::from(exit.args[0] as i32);
        let pair = |at| {
            let fds = sections.find(tag::RAW, at).and_then(|section| section.data.first_chunk::<8>());
            fds.map_or(Effect::Fds, |fds| {
                let [a, b] = [[fds[0], fds[1], fds[2], fds[3]], [fds[4], fds[5], fds[6], fds[7]]];
                Effect::Touched([a, b].map(|fd| Some(i64::from(i32::from_ne_bytes(fd)))))
            })
        };
        match change {
            Change::Nothing => None,
            Change::Ret => Some(Effect::Touched([Some(exit.ret), None])),
            Change::Arg => Some(Effect::Touched([Some(arg), None])),
            Change::ArgAndRet => Some(Effect::Touched([Some(arg), Some(exit.ret)])),
            Change::Pair0 => Some(pair(0)),
            Change::Pair3 => Some(pair(3)),
            Change::Fds => Some(Effect::Fds),
            Change::Cwd => Some(Effect::Cwd),
            Change::Name => (arg == i64::from(libc::PR_SET_NAME)).then_some(Effect::Task),
            Change::Task => Some(Effect::Task),
            Change::All => Some(Effect::All),
        }
    }
}

/// First and last time that something happened, CLOCK_MONOTONIC ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times(Option<(u64, u64)>);

impl Times {
    fn note(&mut self, ts_ns: u64) {
        let (first_ns, last_ns) = self.0.unwrap_or((ts_ns, ts_ns));
        self.0 = Some((first_ns, last_ns.max(ts_ns)));
    }

    /// Whether it happened at all.
    pub(crate) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it had happened by then.
    pub(crate) fn by(&self, ns: u64) -> bool {
        self.0.is_some_and(|(first_ns, _)| first_ns <= ns)
    }

    /// Whether it happened then or later.
    pub(crate) fn since(&self, ns: u64) -> bool {
        self.0.is_some_and(|(_, last_ns)| last_ns >= ns)
    }
}

/// What happened to a process.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Anything may have changed.
    pub(crate) all: Times,
    /// What is known of its threads.
    pub(crate) task: Times,
    /// The working directory.
    pub(crate) cwd: Times,
    /// Any fd.
    pub(crate) fds: Times,
    /// Single fds that changed.
    pub(crate) touched: Vec<(i64, Times)>,
    /// Threads that ended.
    pub(crate) ended: Vec<i64>,
}

impl Watched {
    /// Notes a change.
    pub(crate) fn change(&mut self, effect: &Effect, ts_ns: u64) {
        match effect {
            Effect::Touched(fds) => fds.iter().flatten().for_each(|&fd| self.touch(fd, ts_ns)),
            Effect::Fds => self.fds.note(ts_ns),
            Effect::Cwd => self.cwd.note(ts_ns),
            Effect::Task => self.task.note(ts_ns),
            Effect::All => self.spoil(ts_ns),
        }
    }

    /// Anything may have changed.
    pub(crate) fn spoil(&mut self, ts_ns: u64) {
        self.all.note(ts_ns);
    }

    fn touch(&mut self, fd: i64, ts_ns: u64) {
        if let Some((_, times)) = self.touched.iter_mut().find(|(n, _)| *n == fd) {
            times.note(ts_ns);
        } else if self.touched.len() < TOUCHED_MAX {
            let mut times = Times::default();
            times.note(ts_ns);
            self.touched.push((fd, times));
        } else {
            self.fds.note(ts_ns);
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
    fn touched_fds_are_few_or_all() {
        let mut watched = Watched::default();
        watched.change(&Effect::Touched([Some(3), Some(7)]), 10);
        watched.change(&Effect::Touched([Some(3), None]), 15);
        let times = |first, last| Times(Some((first, last)));
        assert_eq!(watched.touched, [(3, times(10, 15)), (7, times(10, 10))]);
        assert!(!watched.fds.is_any());
        for fd in 0..TOUCHED_MAX as i64 + 10 {
            watched.change(&Effect::Touched([None, Some(fd)]), 20);
        }
        assert_eq!((watched.touched.len(), watched.fds), (TOUCHED_MAX, times(20, 20)));
        watched.change(&Effect::Task, 30);
        watched.change(&Effect::All, 40);
        watched.change(&Effect::All, 50);
        assert_eq!((watched.task, watched.all, watched.cwd), (times(30, 30), times(40, 50), Times(None)));
        assert!(watched.all.by(40) && !watched.all.by(39) && watched.all.since(50) && !watched.all.since(51));
    }
}
