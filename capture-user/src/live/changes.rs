//! Which records change what is known of a process: shared by those who read /proc while the stream
//! goes on, and have to know what of it is older or younger than the stream.

use capture_common::abi::{ExitFixed, NR_NONE, RecordView, flag, kind, tag};
use capture_common::{plan, syscall_table};

/// Touched fds of a process that are told apart; beyond that all count as touched.
const TOUCHED_MAX: usize = 64;
/// Numbers of calls that the table holds.
const CALLS: usize = 512;

/// What the success of a call may change in the state of the caller's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// What is known of its threads, other than by their working directory.
    Task,
    /// Its working directory.
    Cwd,
    /// The fd that it returns, of which the exit tells all.
    Ret,
    /// The fd in the first argument, which is closed.
    Closed,
    /// The fd in the first argument, of which only something is told.
    Arg,
    /// The fd that it returns, which is what another one is.
    Copy,
    /// The same, if the second argument says so.
    Fcntl,
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
    ("prctl", Change::Nothing),
    ("rename", Change::Nothing),
    ("renameat", Change::Nothing),
    ("renameat2", Change::Nothing),
    ("close", Change::Closed),
    ("connect", Change::Arg),
    ("bind", Change::Arg),
    ("listen", Change::Arg),
    ("shutdown", Change::Arg),
    ("dup", Change::Copy),
    ("dup2", Change::Copy),
    ("dup3", Change::Copy),
    ("fcntl", Change::Fcntl),
    ("pipe", Change::Pair0),
    ("pipe2", Change::Pair0),
    ("socketpair", Change::Pair3),
    ("close_range", Change::Fds),
    ("chdir", Change::Cwd),
    ("fchdir", Change::Cwd),
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
    /// Up to two fds; whether the stream tells all of them.
    Touched {
        fds: [Option<i64>; 2],
        is_told: bool,
    },
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
        let is_native = record.header.flags & !flag::TRUNCATED == 0;
        let change = match self.0.get(usize::from(record.header.nr)) {
            Some(change) if is_native => *change,
            // The return of a signal's handler: result and arguments are those of a call with its own exit.
            None if record.header.nr == NR_NONE => Change::Nothing,
            // Not told apart.
            _ => Change::All,
        };
        if change == Change::Nothing {
            return None;
        }
        let (exit, sections) = record.split::<ExitFixed>()?;
        // A close that fails may have closed all the same.
        if (-4095..0).contains(&exit.ret) && !matches!(change, Change::Arg | Change::Closed) {
            return None;
        }
        let one = |fd, is_told| Some(Effect::Touched { fds: [Some(fd), None], is_told });
        let arg = i64::from(exit.args[0] as i32);
        let pair = |at| {
            let fds = sections.find(tag::RAW, at).and_then(|section| section.data.first_chunk::<8>());
            fds.map_or(Effect::Fds, |fds| {
                let [a, b] = [[fds[0], fds[1], fds[2], fds[3]], [fds[4], fds[5], fds[6], fds[7]]];
                let fds = [a, b].map(|fd| Some(i64::from(i32::from_ne_bytes(fd))));
                Effect::Touched { fds, is_told: true }
            })
        };
        match change {
            Change::Nothing => None,
            Change::Ret => one(exit.ret, true),
            Change::Closed => one(arg, true),
            Change::Arg => one(arg, false),
            Change::Copy => one(exit.ret, false),
            Change::Fcntl => match exit.args[1] as i32 {
                libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => one(exit.ret, false),
                _ => None,
            },
            Change::Pair0 => Some(pair(0)),
            Change::Pair3 => Some(pair(3)),
            Change::Fds => Some(Effect::Fds),
            Change::Cwd => Some(Effect::Cwd),
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
        self.0 = Some((first_ns.min(ts_ns), last_ns.max(ts_ns)));
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
    /// The stream does not tell all of one of those.
    pub(crate) is_untold: bool,
    /// Threads that ended.
    pub(crate) ended: Vec<i64>,
}

impl Watched {
    /// Notes a change.
    pub(crate) fn change(&mut self, effect: &Effect, ts_ns: u64) {
        match effect {
            Effect::Touched { fds, is_told } => {
                self.is_untold |= !is_told;
                fds.iter().flatten().for_each(|&fd| self.touch(fd, ts_ns));
            }
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
    use capture_common::abi::{RecordHeader, SectionHeader};
    use std::mem::offset_of;

    #[test]
    fn every_call_that_changes_state_says_what_it_changes() {
        for (call, change) in CHANGES {
            assert!(plan::row(call).stateful(), "{call} changes no state by the plan");
            assert_eq!(change_of(call), *change);
        }
        let some = ["openat", "accept4", "read"].map(change_of);
        assert_eq!(some, [Change::Ret, Change::Ret, Change::Nothing]);
    }

    /// An exit record of a call, with two words at an argument where it has some.
    fn exit(nr: u16, ret: i64, args: [u64; 2], words: Option<(u8, [i32; 2])>) -> Vec<u8> {
        let mut bytes = vec![0; RecordHeader::LEN_BYTES];
        bytes[offset_of!(RecordHeader, kind)] = kind::EXIT;
        bytes[offset_of!(RecordHeader, nr)..][..2].copy_from_slice(&nr.to_ne_bytes());
        bytes.extend(ret.to_ne_bytes());
        [args[0], args[1], 0, 0, 0, 0].iter().for_each(|arg| bytes.extend(arg.to_ne_bytes()));
        if let Some((arg, words)) = words {
            let at = bytes.len();
            bytes.resize(at + SectionHeader::LEN_BYTES, 0);
            bytes[at + offset_of!(SectionHeader, len)] = 8;
            bytes[at + offset_of!(SectionHeader, tag)] = tag::RAW;
            bytes[at + offset_of!(SectionHeader, arg)] = arg;
            words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        }
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes
    }

    #[test]
    fn exits_say_what_they_changed() {
        let changes = Changes::default();
        let of = |name: &str, ret, args, words| {
            let call = syscall_table::X86_64.iter().find(|call| call.name == name);
            let bytes = exit(call.map_or(NR_NONE, |call| call.nr), ret, args, words);
            changes.of(&RecordView::parse(&bytes).expect("a record"))
        };
        let touched = |fds, is_told| Some(Effect::Touched { fds, is_told });
        // The return of a signal's handler, with what wait4 returned.
        assert_eq!(of("(none)", 4711, [u64::MAX, 0], None), None);
        assert_eq!(of("pipe2", 0, [0, 0], Some((0, [3, 4]))), touched([Some(3), Some(4)], true));
        assert_eq!(of("socketpair", 0, [1, 1], Some((3, [5, 6]))), touched([Some(5), Some(6)], true));
        assert_eq!(of("pipe2", 0, [0, 0], None), Some(Effect::Fds));
        assert_eq!(of("openat", 7, [0, 0], None), touched([Some(7), None], true));
        assert_eq!(of("openat", -2, [0, 0], None), None);
        assert_eq!(of("close", -4, [7, 0], None), touched([Some(7), None], true));
        assert_eq!(of("connect", -115, [7, 0], None), touched([Some(7), None], false));
        assert_eq!(of("dup2", 1, [10, 1], None), touched([Some(1), None], false));
        let fcntl = |command: i32, ret| of("fcntl", ret, [7, command as u64], None);
        assert_eq!(fcntl(libc::F_DUPFD, 10), touched([Some(10), None], false));
        assert_eq!([fcntl(libc::F_SETLK, 0), fcntl(libc::F_GETFL, 2)], [None, None]);
        assert_eq!(of("chdir", 0, [0, 0], None), Some(Effect::Cwd));
        assert_eq!(of("prctl", 0, [15, 0], None), None);
    }

    #[test]
    fn touched_fds_are_few_or_all() {
        let mut watched = Watched::default();
        let touched = |fds| Effect::Touched { fds, is_told: true };
        watched.change(&touched([Some(3), Some(7)]), 10);
        watched.change(&touched([Some(3), None]), 15);
        let times = |first, last| Times(Some((first, last)));
        assert_eq!(watched.touched, [(3, times(10, 15)), (7, times(10, 10))]);
        assert!(!watched.fds.is_any());
        for fd in 0..TOUCHED_MAX as i64 + 10 {
            watched.change(&touched([None, Some(fd)]), 20);
        }
        assert_eq!((watched.touched.len(), watched.fds), (TOUCHED_MAX, times(20, 20)));
        watched.change(&Effect::Task, 30);
        // What is noticed later may be older.
        watched.change(&Effect::All, 50);
        watched.change(&Effect::All, 40);
        assert_eq!((watched.task, watched.all, watched.cwd), (times(30, 30), times(40, 50), Times(None)));
        assert!(watched.all.by(40) && !watched.all.by(39) && watched.all.since(50) && !watched.all.since(51));
    }
}
