//! Processes: clone, fork, vfork, clone3 and process exit.

use super::Row;
use crate::state::machine::Machine;
use capture_common::EventCode;
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[];

/// Whether an event is the exit of a call that makes a thread.
pub(crate) fn is_clone_exit(event: EventCode) -> bool {
    matches!(
        event,
        code::SYSCALL_CLONE_11_X
            | code::SYSCALL_CLONE_16_X
            | code::SYSCALL_CLONE_17_X
            | code::SYSCALL_CLONE_20_X
            | code::SYSCALL_CLONE3_X
            | code::SYSCALL_FORK_X
            | code::SYSCALL_FORK_17_X
            | code::SYSCALL_FORK_20_X
            | code::SYSCALL_VFORK_X
            | code::SYSCALL_VFORK_17_X
            | code::SYSCALL_VFORK_20_X
    )
}

/// Removes a thread that has ended.
pub(crate) fn remove_thread(machine: &mut Machine, tid: i64) {
    machine.threads.remove(tid);
}
