//! Who is whose child: adding and removing threads with the links between parents and children.
//!
//! Invariant: a process whose parent is in the table stands in that parent's list, and a main
//! thread's `nchilds` is the number of the other threads of its process in the table. When a
//! thread goes, its children pass to the one that the kernel names, else to the one that the
//! kernel's rules would pick as far as it is known.

use crate::state::machine::Machine;
use crate::state::thread::{Thread, thread_flags as flag};
use crate::state::thread_table::ThreadSlot;

/// Adds a thread, replacing one of the same tid. If there are too many an idle one goes, but not that
/// of the event, `current`.
pub(super) fn insert(machine: &mut Machine, mut thread: Thread, current: i64) -> Option<ThreadSlot> {
    let (tid, pid, ptid) = (thread.tid, thread.pid, thread.ptid);
    if machine.thread(tid).is_some() {
        unlink(machine, tid);
    } else {
        let current_pid = machine.thread(current).map_or(current, |t| t.pid);
        make_room(machine, &[pid, ptid, current, current_pid]);
    }
    thread.children.retain(|&child| child != tid);
    let slot = machine.threads.insert(thread)?;
    if tid != pid {
        if let Some(main) = machine.threads.get_mut(pid) {
            main.nchilds += 1;
        }
    } else if let Some(parent) = machine.threads.get_mut(ptid).filter(|_| ptid != tid) {
        parent.children.push(tid);
    }
    Some(slot)
}

/// Drops an idle thread if the table is full, but none of `keep`.
pub(crate) fn make_room(machine: &mut Machine, keep: &[i64]) {
    if machine.threads.is_full()
        && let Some(tid) = machine.threads.idlest(keep)
    {
        remove(machine, tid, 0);
        machine.counters.threads_evicted += 1;
    }
}

/// Drops idle threads where all together take too much memory.
#[cold]
pub(crate) fn make_light(machine: &mut Machine) {
    let mut surplus = machine.threads.weigh();
    while surplus > 0
        && let Some(tid) = machine.threads.idlest(&[])
        && let Some(thread) = machine.thread(tid)
    {
        surplus = surplus.saturating_sub(thread.cost_bytes(true));
        remove(machine, tid, 0);
        machine.counters.threads_evicted += 1;
    }
    if machine.threads.may_be_heavy() {
        machine.threads.weigh();
    }
}

/// Removes a thread; `reaper` adopts its children if it is known.
pub(super) fn remove(machine: &mut Machine, tid: i64, reaper: i64) {
    unlink(machine, tid);
    let Some(mut gone) = machine.threads.remove(tid) else { return };
    let children = std::mem::take(&mut gone.children);
    if children.is_empty() {
        return;
    }
    let Some(heir) = heir_of(machine, &gone, reaper) else { return };
    for child in children {
        let Some(thread) = machine.threads.get_mut(child).filter(|t| t.ptid == tid && child != heir) else {
            continue;
        };
        thread.ptid = heir;
        if let Some(parent) = machine.threads.get_mut(heir) {
            parent.children.push(child);
        }
    }
}

/// Changes the parent of a process.
pub(super) fn set_parent(machine: &mut Machine, tid: i64, ptid: i64) {
    if machine.thread(tid).is_none_or(|t| t.ptid == ptid || ptid == tid) {
        return;
    }
    let is_main = machine.thread(tid).is_some_and(Thread::is_main);
    if is_main {
        unlink(machine, tid);
    }
    if let Some(thread) = machine.threads.get_mut(tid) {
        thread.ptid = ptid;
    }
    if is_main && let Some(parent) = machine.threads.get_mut(ptid) {
        parent.children.push(tid);
    }
}

/// Takes a thread out of its parent's list and its process's count.
fn unlink(machine: &mut Machine, tid: i64) {
    let Some(thread) = machine.thread(tid) else { return };
    let (pid, ptid) = (thread.pid, thread.ptid);
    if tid != pid {
        if let Some(main) = machine.threads.get_mut(pid) {
            main.nchilds = main.nchilds.saturating_sub(1);
        }
    } else if let Some(parent) = machine.threads.get_mut(ptid)
        && let Some(at) = parent.children.iter().position(|&c| c == tid)
    {
        parent.children.swap_remove(at);
    }
}

/// Who adopts the children of a thread that is gone.
fn heir_of(machine: &Machine, gone: &Thread, reaper: i64) -> Option<i64> {
    if reaper > 0 && machine.thread(reaper).is_some() {
        return Some(reaper);
    }
    let lives = |t: &Thread| t.flags & flag::CLOSED == 0 && t.tid != gone.tid;
    // Another thread of the process, the main one first.
    if let Some(main) = machine.thread(gone.pid) {
        if lives(main) {
            return Some(main.tid);
        }
        if main.nchilds > 0
            && let Some(other) = machine.threads.iter().find(|t| t.pid == gone.pid && lives(t))
        {
            return Some(other.tid);
        }
    }
    // The nearest ancestor that adopts: a subreaper, or the init of the pid namespace.
    let same_namespace = |t: &Thread| t.pidns_init_start_ns == gone.pidns_init_start_ns;
    machine
        .ancestors(gone)
        .find(|t| lives(t) && ((t.is_subreaper && same_namespace(t)) || t.vpid == 1))
        .map(|t| t.tid)
}
