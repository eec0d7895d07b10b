//! The process tree that a capture can be limited to: a map of process ids, kept up at fork and
//! exit, so that a child belongs to it before its first event.
//!
//! Nothing of this is left in a program whose setting ONLY_TREE is 0: the verifier drops the branches.

use crate::{
    config::ro,
    filter,
    maps::{TREE, TREE_WORDS},
    read::{Ctx, arg, ld4, ld8, st4, st8, untrusted},
    ring::head,
};
use capture_common::abi::{LaneHead, tree_state, tree_word};
use core::mem::offset_of;

/// The tree's entry of process `pid`; `None` when it is none of the tree's, which is counted.
#[inline(always)]
pub(crate) fn member(lane0: *mut u8, pid: u32) -> Option<*mut u32> {
    let member = TREE.get_ptr_mut(pid);
    if member.is_none() {
        head!(lane0, filtered += 1);
    }
    member
}

/// Whether events of a member are recorded: those of the command only from its exec on, at whose
/// enter (or success, where enters are not recorded) `is_exec` is set.
#[inline(always)]
pub(crate) fn is_recorded(member: *mut u32, is_exec: bool) -> bool {
    if ld4(member as u64, 0) != tree_state::HELD {
        return true;
    }
    if is_exec {
        st4(member.cast(), 0, tree_state::ALIVE);
    }
    is_exec
}

/// Whether a process is in the tree and recorded; counts nothing.
#[inline(always)]
pub(crate) fn has(pid: u32) -> bool {
    match TREE.get_ptr(pid) {
        Some(member) => ld4(member as u64, 0) != tree_state::HELD,
        None => false,
    }
}

/// A process has made another one: the child of a member is one, too, and the child of capture
/// where that said so.
#[inline(always)]
pub(crate) fn forked(parent: u32, child: u32) {
    if parent == child {
        return;
    }
    let state = if has(parent) {
        tree_state::ALIVE
    } else if parent as u64 == ro!(TREE_MAKER) && take_arm() {
        tree_state::HELD
    } else {
        return;
    };
    if TREE.insert(child, state, 0).is_err()
        && let Some(lost) = TREE_WORDS.get_ptr_mut(tree_word::LOST)
    {
        st8(lost.cast(), 0, ld8(lost as u64, 0) + 1);
    }
}

#[inline(always)]
fn take_arm() -> bool {
    let Some(armed) = TREE_WORDS.get_ptr_mut(tree_word::ARMED) else { return false };
    let was_armed = ld8(armed as u64, 0) != 0;
    st8(armed.cast(), 0, 0);
    was_armed
}

/// The last thread of a process ends. The entry stays until `capture_free`: another thread that
/// ends at the same time is still to be recorded.
#[inline(always)]
pub(crate) fn ended(pid: u32) {
    if let Some(member) = TREE.get_ptr_mut(pid) {
        st4(member.cast(), 0, tree_state::DEAD);
    }
}

/// tp_btf sched_process_free(p): the thread is gone for good, and its id free for another one.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_free")]
pub fn capture_free(ctx: Ctx) -> i32 {
    let task = untrusted(arg(ctx, 0));
    let pid = ld4(task, ro!(T_TGID));
    let tid = ld4(task, ro!(T_PID));
    if ro!(FILTER_THREADS) != 0 {
        filter::gone(tid);
    }
    // One task per process has its id: the first thread, or the one that took its place in an exec.
    if ro!(ONLY_TREE) != 0 && tid == pid {
        // An id that is not in the tree is no failure.
        let _ = TREE.remove(pid);
    }
    0
}
