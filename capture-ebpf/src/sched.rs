//! Programs on the tracepoints of the scheduler and of signals: exec, fork, exit, delivered signals
//! and (when attached) context switches.

use crate::{
    config::ro,
    filter::{self, Change},
    read::{Ctx, arg, cast, current, k4, ld4, ld8, now_ns, plain, probe4, probe8, st4, st8, untrusted},
    ring::{self, Class, Record, body, head, lanes},
    task, tree,
};
use aya_ebpf::helpers::generated as helper;
use capture_common::abi::{
    ExecFixed, ForkFixed, LaneHead, ProcExitFixed, RecordHeader, STR_MAX, SignalFixed, SwitchFixed, kind,
    section_flag, tag,
};
use core::mem::offset_of;

const FIXED: usize = RecordHeader::LEN_BYTES;
/// `task_struct.flags`: the thread is on its way out.
const PF_EXITING: u32 = 4;
/// Threads or ancestors looked at for one that inherits children.
const REAPER_STEPS: usize = 16;

/// Begins a record about `task`, unless that belongs to capture itself or to no process of the
/// watched tree; `other` is a second process that makes it one of the tree's.
#[inline(always)]
pub(crate) fn begin(kind: u8, task: u64, stateful: bool, other: Option<u32>) -> Option<Record> {
    let ids = (ld4(task, ro!(T_TGID)) as u64) << 32 | ld4(task, ro!(T_PID)) as u64;
    begin_as(ids, ring::what(kind, 0, 0), stateful, other)
}

/// The same by ids (`pid << 32 | tid`), for records of any kind.
#[inline(always)]
pub(crate) fn begin_as(ids: u64, what: u64, stateful: bool, other: Option<u32>) -> Option<Record> {
    let lanes = lanes()?;
    let pid = (ids >> 32) as u32;
    if pid as u64 == ro!(SELF_TGID) && ro!(SELF_TGID) != 0 {
        head!(lanes.level0, self_excluded += 1);
        return None;
    }
    if ro!(ONLY_TREE) != 0 && !other.is_some_and(tree::has) {
        let member = tree::member(lanes.level0, pid)?;
        if !tree::is_recorded(member, what as u8 == kind::EXEC) {
            return None;
        }
    }
    if ro!(FILTER) != 0 {
        let passes = match what as u8 {
            kind::SIGNAL => ro!(PASS_SIGNAL),
            kind::SWITCH => ro!(PASS_SWITCH),
            _ => 0xff,
        };
        if !filter::passes(ids as u32, passes) {
            head!(lanes.level0, left_out += 1);
            return None;
        }
    }
    ring::begin(lanes, if stateful { Class::State } else { Class::Plain }, what, ids)
}

/// A word of the lane head for `plain`.
#[inline(always)]
fn slot(record: Record) -> *mut u64 {
    // SAFETY: a word of the lane head.
    unsafe { record.lane.add(offset_of!(LaneHead, scratch)) }.cast()
}

/// tp_btf sched_process_exec(p, old_pid, bprm).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_exec")]
pub fn capture_exec(ctx: Ctx) -> i32 {
    let task = untrusted(arg(ctx, 0));
    if ro!(FILTER_ANCESTORS) != 0
        && let Some(scratch) = ring::scratch()
    {
        filter::executes(task, scratch);
    }
    let Some(record) = begin(kind::EXEC, task, true, None) else { return 0 };
    st4(record.start, FIXED + offset_of!(ExecFixed, old_tid), arg(ctx, 1) as u32);
    st4(record.start, FIXED + offset_of!(ExecFixed, reserved), 0);
    record.start_sections(FIXED + ExecFixed::LEN_BYTES);
    let name = ld8(arg(ctx, 2), ro!(BPRM_FILENAME));
    if let Some(at) = record.section() {
        // SAFETY: the verifier proves that the bytes fit.
        let n =
            unsafe { helper::bpf_probe_read_kernel_str(body(at).cast(), STR_MAX as u32, name as *const _) };
        if n > 0 {
            record.end_section(at, tag::FILENAME, 0, 0, (n as u64 - 1) & 0x1fff);
        } else {
            record.end_section(at, tag::FILENAME, 0, section_flag::FAULT, 0);
        }
    }
    record.publish_sections();
    0
}

/// tp_btf sched_process_fork(parent, child).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_fork")]
pub fn capture_fork(ctx: Ctx) -> i32 {
    let (parent, child) = (untrusted(arg(ctx, 0)), untrusted(arg(ctx, 1)));
    if ro!(ONLY_TREE) != 0 {
        tree::forked(ld4(parent, ro!(T_TGID)), ld4(child, ro!(T_TGID)));
    }
    if ro!(FILTER_THREADS) != 0 {
        filter::born(child);
    }
    let Some(record) = begin(kind::FORK, parent, true, None) else { return 0 };
    let (vtid, vpid) = task::own_ids(child, slot(record));
    st4(record.start, FIXED + offset_of!(ForkFixed, child_tid), ld4(child, ro!(T_PID)));
    st4(record.start, FIXED + offset_of!(ForkFixed, child_pid), ld4(child, ro!(T_TGID)));
    st4(record.start, FIXED + offset_of!(ForkFixed, child_vtid), vtid);
    st4(record.start, FIXED + offset_of!(ForkFixed, child_vpid), vpid);
    st8(record.start, FIXED + offset_of!(ForkFixed, child_start_boot_ns), ld8(child, ro!(T_START)));
    record.publish((FIXED + ForkFixed::LEN_BYTES) as u64);
    0
}

/// tp_btf sched_process_exit(p).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_exit")]
pub fn capture_proc_exit(ctx: Ctx) -> i32 {
    let task = untrusted(arg(ctx, 0));
    let mut change = Change::NONE;
    if ro!(FILTER_ANCESTORS) != 0
        && let Some(scratch) = ring::scratch()
    {
        change = filter::before_end(task, scratch);
    }
    let record = begin(kind::PROC_EXIT, task, true, None);
    let live = ld4(ld8(task, ro!(T_SIGNAL)), ro!(S_LIVE));
    if ro!(ONLY_TREE) != 0 && live == 0 {
        tree::ended(ld4(task, ro!(T_TGID)));
    }
    let Some(record) = record else {
        if ro!(FILTER_ANCESTORS) != 0 {
            change.mark(task, now_ns(), false);
        }
        return 0;
    };
    if ro!(FILTER_ANCESTORS) != 0 {
        change.mark(task, record.ts_ns(), false);
    }
    let reaper = reaper_of(task, live, slot(record));
    st4(record.start, FIXED + offset_of!(ProcExitFixed, exit_code), ld4(task, ro!(T_EXIT_CODE)));
    st4(record.start, FIXED + offset_of!(ProcExitFixed, reaper_tid), reaper);
    st4(record.start, FIXED + offset_of!(ProcExitFixed, live_threads), live);
    st4(record.start, FIXED + offset_of!(ProcExitFixed, reserved), 0);
    st8(record.start, FIXED + offset_of!(ProcExitFixed, start_boot_ns), ld8(task, ro!(T_START)));
    record.publish((FIXED + ProcExitFixed::LEN_BYTES) as u64);
    0
}

/// Who inherits the children of `task`, in the order of the kernel's `find_new_reaper`: a living
/// thread of the process, the nearest child subreaper, the init of the namespace.
#[inline(always)]
fn reaper_of(task: u64, live: u32, slot: *mut u64) -> u32 {
    let list = plain(slot, task) + ro!(T_CHILDREN);
    if plain(slot, ld8(task, ro!(T_CHILDREN_NEXT))) == list {
        return 0;
    }
    if live != 0 {
        let signal = plain(slot, ld8(task, ro!(T_SIGNAL)));
        let list = signal + ro!(S_THREAD_HEAD);
        let mut node = probe8(list);
        for _ in 0..REAPER_STEPS {
            if node == list || node == 0 {
                break;
            }
            let thread = node - ro!(T_THREAD_NODE);
            if probe4(thread + ro!(T_FLAGS)) & PF_EXITING == 0 {
                return probe4(thread + ro!(T_PID));
            }
            node = probe8(node);
        }
    }
    let mut above = plain(slot, ld8(task, ro!(T_REAL_PARENT)));
    for _ in 0..REAPER_STEPS {
        let pid = probe4(above + ro!(T_PID));
        if above == 0 || pid == 0 {
            break;
        }
        let bits = probe4(probe8(above + ro!(T_SIGNAL)) + ro!(S_SUBREAPER));
        if bits >> ro!(S_SUBREAPER_BIT) & 1 != 0 {
            return pid;
        }
        above = probe8(above + ro!(T_REAL_PARENT));
    }
    let pid = plain(slot, ld8(task, ro!(T_THREAD_PID)));
    let level = probe4(pid + ro!(PID_LEVEL)) as u64 & 31;
    let namespace = probe8(pid + ro!(PID_NUMBERS) + level * 16 + ro!(UPID_NS));
    probe4(probe8(namespace + ro!(NS_REAPER)) + ro!(T_PID))
}

/// tp_btf sched_switch(preempt, prev, next).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_switch")]
pub fn capture_switch(ctx: Ctx) -> i32 {
    let (prev, next) = (untrusted(arg(ctx, 1)), untrusted(arg(ctx, 2)));
    let Some(record) = begin(kind::SWITCH, prev, false, Some(ld4(next, ro!(T_TGID)))) else { return 0 };
    st4(record.start, FIXED + offset_of!(SwitchFixed, next_tid), ld4(next, ro!(T_PID)));
    st4(record.start, FIXED + offset_of!(SwitchFixed, next_pid), ld4(next, ro!(T_TGID)));
    st8(record.start, FIXED + offset_of!(SwitchFixed, maj_flt), ld8(prev, ro!(T_MAJ_FLT)));
    st8(record.start, FIXED + offset_of!(SwitchFixed, min_flt), ld8(prev, ro!(T_MIN_FLT)));
    task::fill_mm(record.start, FIXED + offset_of!(SwitchFixed, mm), prev);
    record.publish((FIXED + SwitchFixed::LEN_BYTES) as u64);
    0
}

/// tp_btf signal_deliver(sig, info, ka), in the thread that gets the signal.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/signal_deliver")]
pub fn capture_signal(ctx: Ctx) -> i32 {
    let Some(record) = begin(kind::SIGNAL, untrusted(current()), false, None) else { return 0 };
    // Null for signals without one (include/linux/sched/signal.h, SEND_SIG_NOINFO): reads as 0.
    let info = cast(arg(ctx, 1), ro!(ID_SIGINFO));
    st4(record.start, FIXED + offset_of!(SignalFixed, signal), arg(ctx, 0) as u32);
    st4(record.start, FIXED + offset_of!(SignalFixed, code), k4(info, ro!(SI_CODE)));
    st4(record.start, FIXED + offset_of!(SignalFixed, sender), k4(info, ro!(SI_PID)));
    st4(record.start, FIXED + offset_of!(SignalFixed, reserved), 0);
    record.publish((FIXED + SignalFixed::LEN_BYTES) as u64);
    0
}
