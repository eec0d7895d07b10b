//! The programs of the probe: those that are attached by themselves, and the collectors that these hand
//! records on to.

use capture_common::plan;

/// A program of the probe that is attached by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Enter records.
    Enter,
    /// Exit records.
    Exit,
    /// Exec records.
    Exec,
    /// Fork records.
    Fork,
    /// Thread exit records.
    ProcExit,
    /// Records of delivered signals.
    Signal,
    /// Context switch records.
    Switch,
    /// Records of page faults of programs.
    FaultUser,
    /// Records of page faults of the kernel.
    FaultKernel,
    /// Records of io_uring submissions.
    UringSubmit,
    /// Records of io_uring results.
    UringComplete,
    /// Records of io_uring results that found their queue full.
    UringOverflow,
    /// No records: takes ended processes out of the watched tree, and gives the places of threads back.
    Free,
    /// No records: notes moves to other cgroups.
    Attach,
    /// An exit program with nothing in it: the floor of benchmarks.
    Empty,
    /// One that reads the clock, as each record does.
    Clock,
}

impl Part {
    /// What a capture records with, in the order of attaching. Context switches and page faults
    /// come on demand.
    pub const RECORDING: [Part; 9] = [
        Part::Exec,
        Part::Fork,
        Part::ProcExit,
        Part::Signal,
        Part::UringComplete,
        Part::UringOverflow,
        Part::UringSubmit,
        Part::Exit,
        Part::Enter,
    ];

    /// Whether it records io_uring operations, which not every kernel reports.
    pub fn is_uring(self) -> bool {
        matches!(self, Part::UringSubmit | Part::UringComplete | Part::UringOverflow)
    }

    /// Whether it is there for benchmarks only, and makes nothing.
    pub(super) fn is_floor(self) -> bool {
        matches!(self, Part::Empty | Part::Clock)
    }

    /// Name in the object and tracepoint.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Enter => ("capture_enter", "sys_enter"),
            Self::Exit => ("capture_exit", "sys_exit"),
            Self::Exec => ("capture_exec", "sched_process_exec"),
            Self::Fork => ("capture_fork", "sched_process_fork"),
            Self::ProcExit => ("capture_proc_exit", "sched_process_exit"),
            Self::Signal => ("capture_signal", "signal_deliver"),
            Self::Switch => ("capture_switch", "sched_switch"),
            Self::FaultUser => ("capture_fault_user", "page_fault_user"),
            Self::FaultKernel => ("capture_fault_kernel", "page_fault_kernel"),
            Self::UringSubmit => ("capture_uring_submit", "io_uring_submit_req"),
            Self::UringComplete => ("capture_uring_complete", "io_uring_complete"),
            Self::UringOverflow => ("capture_uring_overflow", "io_uring_cqe_overflow"),
            Self::Free => ("capture_free", "sched_process_free"),
            Self::Attach => ("capture_attach", "cgroup_attach_task"),
            Self::Empty => ("capture_empty", "sys_exit"),
            Self::Clock => ("capture_clock", "sys_exit"),
        }
    }
}

/// Special collectors: table, slot, program, tracepoint.
pub(super) const COLLECTORS: &[(&str, u8, &str, &str)] = &[
    ("ENTER_TAILS", plan::special::IOV, "enter_iov", "sys_enter"),
    ("ENTER_TAILS", plan::special::MSG, "enter_msg", "sys_enter"),
    ("EXIT_TAILS", plan::special::IOV, "exit_iov", "sys_exit"),
    ("EXIT_TAILS", plan::special::MSG, "exit_msg", "sys_exit"),
    ("EXIT_TAILS", plan::special::MMSG, "exit_mmsg", "sys_exit"),
    ("EXIT_TAILS", plan::special::TASK, "exit_task", "sys_exit"),
    ("EXIT_TAILS", plan::special::EXEC, "exit_exec", "sys_exit"),
    ("EXIT_TAILS", plan::special::EXECAT, "exit_exec", "sys_exit"),
    ("EXIT_TAILS", plan::special::PIPE, "exit_pipe", "sys_exit"),
    ("EXIT_TAILS", plan::special::SOCKPAIR, "exit_sockpair", "sys_exit"),
    ("EXIT_TAILS", plan::special::FDPATH, "exit_fdpath", "sys_exit"),
    ("ENTER_TAILS", plan::special::SOCKETCALL, "enter_socketcall", "sys_enter"),
    ("ENTER_TAILS", plan::special::OLD_MMAP, "enter_old_mmap", "sys_enter"),
    ("EXIT_TAILS", plan::special::SOCKETCALL, "exit_socketcall", "sys_exit"),
    ("EXIT_TAILS", plan::special::OLD_MMAP, "exit_old_mmap", "sys_exit"),
    ("EXIT_TAILS", plan::TAIL_PATHS, "exit_paths", "sys_exit"),
    ("SUBMIT_TAILS", plan::special::IOV, "submit_iov", "io_uring_submit_req"),
    ("SUBMIT_TAILS", plan::special::MSG, "submit_msg", "io_uring_submit_req"),
    ("DONE_TAILS", plan::special::IOV, "done_iov", "io_uring_complete"),
    ("DONE_TAILS", plan::special::MSG, "done_msg", "io_uring_complete"),
    ("DONE_TAILS", plan::special::PIPE, "done_pipe", "io_uring_complete"),
];
