//! What is not known any more: after a loss the recorder tells of which processes records about their
//! state are missing, and that puts an end to what was known of them. Their threads and fds are as
//! unknown as those of which nothing was ever told, until events tell of them again; names are then
//! missing, but never wrong. Nor is it known which enter an exit belongs to.

use super::{Ctx, Row, reparent};
use crate::state::fd_table::FdTable;
use crate::state::machine::Machine;
use crate::state::thread::{Thread, thread_flags as flag};
use crate::state::{NOT_KNOWN, Text, empty_text};
use capture_common::event_table::code;

pub(super) const ROWS: &[Row] = &[(code::ASYNCEVENT_E, note)];

/// Name of the note, whose data are JSON: `from_ts_ns`, `until_ts_ns`, and `pids`, a list or null for
/// all processes. An empty list says nothing of processes: from when until when anything was lost.
const NAME: &[u8] = b"capture.stale";
/// Longest note that is read.
const NOTE_MAX: usize = 1 << 16;
/// Most processes that are distrusted for a while at once; for more it is everything.
const WATCHED_MAX: usize = 256;

/// Of which processes records are still missing, up to when.
#[derive(Debug, Default)]
pub(crate) struct Distrust {
    /// Process, `None` for all, and time in ns.
    until: Vec<(Option<i64>, u64)>,
    /// Up to this time exits, or enters, may be missing between those that were recorded; 0: never.
    pairs_until_ns: u64,
}

impl Distrust {
    /// Whether what an event of this time has told of a process may already be wrong again.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        !self.until.is_empty()
    }

    /// As [`Distrust::is_active`], of one process; forgets what is over.
    #[cold]
    pub(crate) fn concerns(&mut self, pid: i64, ts_ns: u64) -> bool {
        self.until.retain(|(_, until_ns)| *until_ns >= ts_ns);
        self.until.iter().any(|(whose, _)| whose.is_none_or(|whose| whose == pid))
    }

    /// Whether the next exit of a thread, by its type, ends the call that it entered at this time, and no
    /// later one whose enter is missing.
    #[inline]
    pub(crate) fn trusts_enter(&self, enter_ts_ns: u64) -> bool {
        self.pairs_until_ns == 0 || enter_ts_ns > self.pairs_until_ns
    }

    fn part_until(&mut self, until_ns: u64) {
        self.pairs_until_ns = self.pairs_until_ns.max(until_ns);
    }

    fn add(&mut self, pid: Option<i64>, until_ns: u64) {
        if let Some((_, until)) = self.until.iter_mut().find(|(whose, _)| *whose == pid) {
            *until = until_ns.max(*until);
        } else if self.until.len() < WATCHED_MAX {
            self.until.push((pid, until_ns));
        } else {
            let last = self.until.iter().map(|(_, until)| *until).fold(until_ns, u64::max);
            self.until = vec![(None, last)];
        }
    }
}

fn note(ctx: &mut Ctx<'_>) {
    if ctx.raw.text(1) != Some(NAME) {
        return;
    }
    let note = ctx.raw.text(2).filter(|data| data.len() <= NOTE_MAX);
    let note = note.and_then(|data| serde_json::from_slice::<serde_json::Value>(data).ok());
    let Some((note, pids)) = note.as_ref().and_then(|note| Some((note, note.get("pids")?))) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    let until_ns = note["until_ts_ns"].as_u64().unwrap_or(0);
    match pids.as_array() {
        Some(pids) if pids.is_empty() => ctx.machine.distrust.part_until(until_ns),
        Some(pids) => {
            let pids: Vec<i64> = pids.iter().filter_map(serde_json::Value::as_i64).collect();
            pids.iter().for_each(|&pid| ctx.machine.distrust.add(Some(pid), until_ns));
            forget(ctx.machine, Some(&pids));
        }
        None if !pids.is_null() => ctx.machine.counters.bad_params += 1,
        None => {
            ctx.machine.distrust.add(None, until_ns);
            ctx.machine.distrust.part_until(until_ns);
            forget(ctx.machine, None);
        }
    }
}

/// Forgets what is known of processes, all with `None`, but who belongs to which.
pub(crate) fn forget(machine: &mut Machine, pids: Option<&[i64]>) {
    let is_meant = |thread: &Thread| pids.is_none_or(|pids| pids.contains(&thread.pid));
    // Without other threads the process is found without a search.
    let is_single = |pid: &i64| machine.thread(*pid).is_some_and(|t| t.is_main() && t.nchilds == 0);
    let tids: Vec<i64> = match pids {
        Some(pids) if pids.iter().all(is_single) => pids.to_vec(),
        _ => machine.threads.iter().filter(|t| is_meant(t)).map(|t| t.tid).collect(),
    };
    let na = Text::from(NOT_KNOWN);
    for tid in tids {
        // Whose child it is may have changed, too.
        reparent::set_parent(machine, tid, -1);
        if let Some(thread) = machine.threads.get_mut(tid) {
            forget_thread(thread, &na);
        }
    }
    machine.threads.touch();
}

fn forget_thread(thread: &mut Thread, na: &Text) {
    let none = empty_text();
    (thread.comm, thread.exe) = (na.clone(), na.clone());
    for text in [
        &mut thread.exepath,
        &mut thread.args_raw,
        &mut thread.env_raw,
        &mut thread.cwd,
        &mut thread.root,
        &mut thread.cgroups_raw,
        &mut thread.container_id,
    ] {
        *text = none.clone();
    }
    let blank = Thread::new(thread.tid);
    (thread.sid, thread.pgid, thread.vpgid) = (blank.sid, blank.pgid, blank.vpgid);
    (thread.uid, thread.gid, thread.loginuid) = (blank.uid, blank.gid, blank.loginuid);
    (thread.caps, thread.exe_file, thread.fdlimit) = (blank.caps, blank.exe_file, blank.fdlimit);
    thread.fds = FdTable::default();
    thread.is_fake = true;
    thread.flags &= !flag::CLONE_INVERTED;
    thread.call.forget_enter();
}
