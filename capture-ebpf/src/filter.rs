//! What the filter lets the probe leave out: records of calls that cannot match, by the plan's rows,
//! for each class of threads; and the classes of threads, kept up at birth, exec, change of user, end
//! and move to another cgroup (`capture_common::abi::ThreadSlot`).
//!
//! Invariant: a class is used only while nothing has changed the thread since it was found. What may
//! change it is marked before the record that tells is begun, so that a record of another thread is
//! either judged by the old state and older, or passes.
//!
//! Nothing of this is left in a program whose setting FILTER is 0.

use crate::{
    config::ro,
    maps::{FILTER_WORDS, KEYS, Key, MOVERS, THREADS},
    read::{Ctx, arg, current, ld4, ld8, now_ns, plain, st8, untrusted},
};
use capture_common::abi::{CHANGING, CLASS_MASK, CLASS_UNKNOWN, ThreadSlot, filter_word};
use core::mem::offset_of;

const OWNER: usize = offset_of!(ThreadSlot, owner);
const CHANGED: usize = offset_of!(ThreadSlot, changed);
const VERDICT: usize = offset_of!(ThreadSlot, verdict);
const PENDING: usize = offset_of!(ThreadSlot, pending);

/// What an exit changes, to be marked around its record.
pub(crate) struct Change {
    /// The calling thread's place; null: it has none, or is not changed.
    own: *mut u8,
    /// Not 0: threads that no record names are changed.
    others: bool,
}

impl Change {
    pub(crate) const NONE: Change = Change { own: core::ptr::null_mut(), others: false };

    /// When the record is begun, or lost, at `ts_ns`. `describes` says that the record tells the name and
    /// the user of `task`.
    #[inline(always)]
    pub(crate) fn mark(self, task: u64, ts_ns: u64, describes: bool) {
        let changed = ts_ns & !CLASS_MASK;
        if self.others {
            set_word(filter_word::CHANGED, changed);
        }
        if !self.own.is_null() {
            let verdict = if describes { verdict_by_key(task, changed) } else { 0 };
            st8(self.own, VERDICT, verdict);
            st8(self.own, CHANGED, changed);
        }
    }
}

#[inline(always)]
fn word(at: u32) -> *mut u8 {
    match FILTER_WORDS.get_ptr_mut(at) {
        Some(word) => word.cast(),
        None => core::ptr::null_mut(),
    }
}

#[inline(always)]
fn set_word(at: u32, value: u64) {
    let word = word(at);
    if !word.is_null() {
        st8(word, 0, value);
    }
}

#[inline(always)]
fn get_word(at: u32) -> u64 {
    let word = word(at);
    if word.is_null() { 0 } else { ld8(word as u64, 0) }
}

#[inline(always)]
fn add_moves(count: i64) {
    if let Some(word) = FILTER_WORDS.get_ptr_mut(filter_word::MOVES) {
        // SAFETY: an aligned word in a map value.
        unsafe {
            core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::SeqCst }>(
                word,
                count as u64,
            )
        };
    }
}

/// The place of thread `tid`, if that has it.
#[inline(always)]
fn place(tid: u32) -> *mut u8 {
    match THREADS.get_ptr_mut(tid & ro!(THREADS_MASK) as u32) {
        Some(slot) if ld8(slot as u64, OWNER as u64) == tid as u64 => slot.cast(),
        _ => core::ptr::null_mut(),
    }
}

#[inline(always)]
fn class(tid: u32) -> u64 {
    if ro!(FILTER_THREADS) == 0 {
        return CLASS_UNKNOWN;
    }
    if (ro!(FILTER_ANCESTORS) != 0 || ro!(FILTER_CGROUPS) != 0)
        && get_word(filter_word::CHANGED) != get_word(filter_word::SETTLED)
    {
        return CLASS_UNKNOWN;
    }
    let place = place(tid);
    if place.is_null() {
        // It was there before the probe: what it changed until now is in records until now.
        settle_down(tid, now_ns() & !CLASS_MASK);
        return CLASS_UNKNOWN;
    }
    let verdict = ld8(place as u64, VERDICT as u64);
    if verdict & !CLASS_MASK == ld8(place as u64, CHANGED as u64) {
        verdict & CLASS_MASK
    } else {
        CLASS_UNKNOWN
    }
}

/// Gives thread `tid` its place, changed at `changed`; null where another thread has it. Nobody but the
/// thread itself, or its maker before it runs, asks for its class meanwhile.
#[inline(always)]
fn settle_down(tid: u32, changed: u64) -> *mut u8 {
    let Some(slot) = THREADS.get_ptr_mut(tid & ro!(THREADS_MASK) as u32) else {
        return core::ptr::null_mut();
    };
    let slot: *mut u8 = slot.cast();
    let owner = ld8(slot as u64, OWNER as u64);
    if owner != tid as u64 && (owner != 0 || !take_place(slot, tid)) {
        return core::ptr::null_mut();
    }
    st8(slot, CHANGED, changed);
    st8(slot, VERDICT, 0);
    st8(slot, PENDING, 0);
    slot
}

#[inline(always)]
fn take_place(slot: *mut u8, tid: u32) -> bool {
    use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg};
    // SAFETY: an aligned word in a map value.
    unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(slot.add(OWNER).cast(), 0, tid as u64).1 }
}

/// Whether records of thread `tid` pass; `passes` has a bit for each class.
#[inline(always)]
pub(crate) fn passes(tid: u32, passes: u64) -> bool {
    // Most calls are decided without a look at the thread.
    passes == 0xff || (passes != 0 && passes >> class(tid) & 1 != 0)
}

/// The class that a thread's key has, as a verdict for `changed`; 0 where that is not known.
#[inline(always)]
fn verdict_by_key(task: u64, changed: u64) -> u64 {
    if ro!(FILTER_KEYS) == 0 {
        return 0;
    }
    let key = Key {
        name: [ld8(task, ro!(T_COMM)), ld8(task, ro!(T_COMM) + 8)],
        uid: ld4(ld8(task, ro!(T_CRED)), ro!(C_EUID)) as u64,
    };
    match KEYS.get_ptr(&key) {
        Some(class) => changed | (ld8(class as u64, 0) & CLASS_MASK),
        None => 0,
    }
}

/// Whether the call of an exit moved a process to another cgroup; said once.
#[inline(always)]
fn moved(tid: u32) -> bool {
    if get_word(filter_word::MOVES) == 0 || MOVERS.remove(tid).is_err() {
        return false;
    }
    add_moves(-1);
    true
}

/// Before the exit record of a call: whether it must be made whatever the plan says, and what it
/// changes, which is marked from here on. `changes` is the row's flag CHANGES_THREAD, `ret` its result.
#[inline(always)]
pub(crate) fn before_exit(tid: u32, changes: bool, ret: u64) -> (bool, Change) {
    let moved = moved(tid);
    let mut change = Change { others: moved && ro!(FILTER_CGROUPS) != 0, ..Change::NONE };
    if ro!(FILTER_THREADS) != 0 && changes && ret == 0 {
        change.own = place(tid);
        if !change.own.is_null() {
            st8(change.own, CHANGED, CHANGING);
            if ro!(FILTER_ANCESTORS) != 0 && ld8(change.own as u64, PENDING as u64) != 0 {
                st8(change.own, PENDING, 0);
                change.others = true;
            }
        } else if ro!(FILTER_ANCESTORS) != 0 {
            change.others = true;
        }
    }
    if change.others {
        set_word(filter_word::CHANGED, CHANGING);
    }
    (moved, change)
}

/// A thread was made: it gets its place, if that is free.
#[inline(always)]
pub(crate) fn born(task: u64) {
    let changed = now_ns() & !CLASS_MASK;
    let place = settle_down(ld4(task, ro!(T_PID)), changed);
    if !place.is_null() {
        st8(place, VERDICT, verdict_by_key(task, changed));
    }
}

/// A program replaces another one: with it changes what the thread's children have above them.
#[inline(always)]
pub(crate) fn executes(task: u64, scratch: *mut u64) {
    if has_children(task, scratch) {
        let place = place(ld4(task, ro!(T_PID)));
        if !place.is_null() {
            st8(place, PENDING, 1);
        }
    }
}

/// Before the record of a thread's end: whether that leaves orphans, which is marked from here on.
#[inline(always)]
pub(crate) fn before_end(task: u64, scratch: *mut u64) -> Change {
    let others = has_children(task, scratch);
    if others {
        set_word(filter_word::CHANGED, CHANGING);
    }
    Change { others, ..Change::NONE }
}

#[inline(always)]
fn has_children(task: u64, scratch: *mut u64) -> bool {
    let list = plain(scratch, task) + ro!(T_CHILDREN);
    plain(scratch, ld8(task, ro!(T_CHILDREN_NEXT))) != list
}

/// A thread is gone for good, and its id free for another one.
#[inline(always)]
pub(crate) fn gone(tid: u32) {
    let place = place(tid);
    if !place.is_null() {
        st8(place, VERDICT, 0);
        st8(place, CHANGED, CHANGING);
        st8(place, OWNER, 0);
    }
}

/// tp_btf cgroup_attach_task(dst_cgrp, path, task, threadgroup), in the thread that moves a process to
/// another cgroup: the exit of its call (the write to `cgroup.procs`) tells who and where.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/cgroup_attach_task")]
pub fn capture_attach(ctx: Ctx) -> i32 {
    let _ = arg(ctx, 0);
    if ro!(FILTER_CGROUPS) != 0 {
        set_word(filter_word::CHANGED, CHANGING);
    }
    let tid = ld4(untrusted(current()), ro!(T_PID));
    if MOVERS.get_ptr(tid).is_none() && MOVERS.insert(tid, 1, 0).is_ok() {
        add_moves(1);
    }
    0
}
