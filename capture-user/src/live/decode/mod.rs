//! From the probe's records to the events of capture files.
//!
//! [`Decoder`] takes the merged records one by one, in order, and appends to a [`Batch`]: an
//! enter event for each ENTER record, an exit event for each EXIT record, and the events of
//! process ends, context switches and losses. Events have the superset form: enters with the
//! parameters of the 2022 schema, exits with those of the current one, every number at full size.
//! What each call's parameters are is said by tables (`rows`); what text and numbers the
//! kernel's constants become, by the maps of `capture_common::native`.
//!
//! **Invariant:** no record is turned into nothing without being counted or being one that stock
//! tools leave out too (the exit of rt_sigreturn, the FORK record). State per thread is kept only
//! for execs and clone3 calls under way and is bounded.

mod births;
mod call;
mod cgroup;
mod exec;
pub mod ia32;
mod iterated;
mod marks;
mod message;
mod opened;
mod poll;
mod rows;
mod sockaddr;
mod sockopt;
mod source;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod twice;
mod uring;

pub use cgroup::{CgroupPaths, NoCgroups, SysfsCgroups};

use super::samples::CpuTime;
use super::snapshot::Reread;
use super::{Loss, Stale};
use call::Call;
use capture_common::abi::{
    EnterFixed, ExecFixed, ExitFixed, ForkFixed, LossFixed, NR_NONE, PageFaultFixed, ProcExitFixed,
    RecordHeader, RecordView, Sections, SignalFixed, SwitchFixed, UringFixed, Wire, kind, tag,
};
use capture_common::batch::Batch;
use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::raw_event::FLAG_STATE_ONLY;
use capture_engine::kernel_filter::CallEvents;
use marks::LossMark;
use source::Src;
use std::collections::HashSet;
use table::{Entry, Side, Table};

/// Most threads inside a call without a number at once; beyond that exits were lost.
const UNNUMBERED_MAX: usize = 4096;

/// What a [`Decoder`] needs to know.
#[derive(Debug, Clone, Copy)]
pub struct DecodeOptions {
    /// Wall-clock time minus CLOCK_MONOTONIC, ns.
    pub wall_offset_ns: i64,
    /// Most bytes of payload to store in an event.
    pub snaplen: u32,
}

/// What was decoded, and what could not be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Records taken.
    pub records: u64,
    /// Events made of them.
    pub events: u64,
    /// Records of an unknown kind or shorter than their kind.
    pub malformed: u64,
    /// Exit records of rt_sigreturn and of calls that a tracer skipped: they have no number, and
    /// no event, as in stock tools.
    pub unnumbered_exits: u64,
    /// Records lost by the probe, as declared by its LOSS records.
    pub lost: u64,
}

/// Turns records into events; see the module's text.
pub struct Decoder {
    table: Table,
    options: DecodeOptions,
    cgroups: Box<dyn CgroupPaths>,
    cgroup_text: Vec<u8>,
    note_text: Vec<u8>,
    execs: exec::Pending,
    births: births::Births,
    rings: uring::Rings,
    /// Where strings are read at enter and exit.
    twice: Option<twice::Twice>,
    /// Threads inside a call whose number does not fit a record.
    unnumbered: HashSet<u32>,
    /// Index in its batch of the last event that can show a new container, until it is asked for.
    described: Option<usize>,
    /// Up to this time calls may be missing between an enter and the next exit, CLOCK_MONOTONIC ns.
    pairs_until_ns: u64,
    counts: DecodeCounts,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Decoder");
        out.field("options", &self.options).field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder for this machine's records that finds cgroup names under `/sys/fs/cgroup`.
    pub fn new(options: DecodeOptions) -> Self {
        Self::with_cgroups(options, Box::new(SysfsCgroups::new()))
    }

    /// A decoder that asks `cgroups` for the names of control groups.
    pub fn with_cgroups(options: DecodeOptions, cgroups: Box<dyn CgroupPaths>) -> Self {
        Self {
            table: Table::new(),
            options,
            cgroups,
            cgroup_text: Vec::new(),
            note_text: Vec::new(),
            execs: exec::Pending::default(),
            births: births::Births::default(),
            rings: uring::Rings::default(),
            twice: None,
            unnumbered: HashSet::new(),
            described: None,
            pairs_until_ns: 0,
            counts: DecodeCounts::default(),
        }
    }

    /// Compares strings that are read both at a call's enter and at its exit, and notes differences.
    pub fn compare_strings(&mut self) {
        self.twice = Some(twice::Twice::default());
    }

    /// Moves the wall clock, after a step or a suspend.
    pub fn set_wall_offset_ns(&mut self, wall_offset_ns: i64) {
        self.options.wall_offset_ns = wall_offset_ns;
    }

    /// What was decoded so far.
    pub fn counts(&self) -> DecodeCounts {
        self.counts
    }

    /// Whether the record just decoded made an event that can show a new container: the exit of a
    /// clone or exec, which tells the thread's cgroups, or of a mkdir, which can make one. Its index
    /// in the batch; said once.
    pub fn take_described(&mut self) -> Option<usize> {
        self.described.take()
    }

    /// Decodes one record of the ring of `cpu` and appends its events to `batch`.
    pub fn decode(&mut self, record: &RecordView<'_>, cpu: u16, batch: &mut Batch) {
        let before = batch.len();
        self.counts.records += 1;
        if self.dispatch(record, cpu, batch).is_none() {
            self.counts.malformed += 1;
        }
        self.counts.events += (batch.len() - before) as u64;
    }

    /// Appends the events that declare a loss found by the collector.
    pub fn loss(&mut self, loss: &Loss, batch: &mut Batch) {
        self.counts.lost += loss.count;
        self.loss_again(loss, batch);
    }

    /// Appends them again, where those that were appended first are dropped.
    pub(crate) fn loss_again(&mut self, loss: &Loss, batch: &mut Batch) {
        let before = batch.len();
        marks::push_loss(&LossMark::of_probe(loss, self.options.wall_offset_ns), batch);
        self.counts.events += (batch.len() - before) as u64;
    }

    /// Appends the note that nothing known of some processes holds any more.
    pub fn stale(&mut self, stale: &Stale<'_>, batch: &mut Batch) {
        if stale.parts_pairs() {
            self.pairs_until_ns = self.pairs_until_ns.max(stale.until_ns);
        }
        marks::push_stale(stale, self.options.wall_offset_ns, batch);
    }

    /// Appends the note that nothing holds any more that was known before events which a slow consumer
    /// did not take. Times are ns since 1970.
    pub(crate) fn stale_after_sink(&mut self, from_ts_ns: u64, until_ts_ns: u64, batch: &mut Batch) {
        let stale = Stale { pids: None, from_ns: from_ts_ns, until_ns: until_ts_ns, ts_ns: until_ts_ns };
        marks::push_stale(&stale, 0, batch);
    }

    /// Appends what a process is, read again from the machine, as of `place_ns` (CLOCK_MONOTONIC).
    pub(crate) fn reread(&mut self, process: &Reread, place_ns: u64, batch: &mut Batch) {
        let before = batch.len();
        let ts_ns = place_ns.wrapping_add_signed(self.options.wall_offset_ns);
        for thread in &process.threads {
            iterated::push_task(thread, process.start_ts_ns, ts_ns, batch);
        }
        for fd in &process.fds {
            iterated::push_fd(process.pid, fd, ts_ns, batch);
        }
        self.counts.events += (batch.len() - before) as u64;
    }

    /// Appends the CPU time of threads as `procinfo` events, at `place_ns` (CLOCK_MONOTONIC).
    pub(crate) fn cpu_times(&mut self, times: &[CpuTime], place_ns: u64, batch: &mut Batch) {
        let ts_ns = place_ns.wrapping_add_signed(self.options.wall_offset_ns);
        for time in times {
            let tid = i64::from(time.tid);
            let mut e = batch.encode(EventHead { ts_ns, tid, cpu: 0, code: code::PROCINFO_E, flags: 0 }, 2);
            e.u64(time.user).u64(time.system);
            e.finish();
        }
        self.counts.events += times.len() as u64;
    }

    /// Appends the events that declare events which a slow consumer did not take. Times are ns
    /// since 1970.
    pub fn sink_loss(&mut self, count: u64, first_ts_ns: u64, last_ts_ns: u64, batch: &mut Batch) {
        let mark = LossMark { cause: "sink", count, first_ts_ns, last_ts_ns, ..LossMark::default() };
        marks::push_loss(&mark, batch);
    }

    /// Appends a note about the capture itself, `data` being JSON, at `ts_ns` (ns since 1970).
    pub fn note(&mut self, name: &[u8], data: &[u8], ts_ns: u64, batch: &mut Batch) {
        marks::push_note(name, data, ts_ns, batch);
    }

    /// `None` when the record is not what its kind says.
    fn dispatch(&mut self, record: &RecordView<'_>, cpu: u16, batch: &mut Batch) -> Option<()> {
        let header = &record.header;
        let head = self.head(header, cpu);
        match header.kind {
            kind::ENTER => {
                let (fixed, sections) = record.split::<EnterFixed>()?;
                self.enter(record, fixed, sections, head, batch);
            }
            kind::EXIT => {
                let (fixed, sections) = record.split::<ExitFixed>()?;
                self.exit(header, fixed, sections, head, batch);
            }
            kind::EXEC => {
                let (fixed, sections) = record.split::<ExecFixed>()?;
                self.exec(header, fixed, sections, head, batch);
            }
            kind::FORK => {
                // Both sides of the fork have their own exit records; nothing else is stored.
                let (fixed, _) = record.split::<ForkFixed>()?;
                self.births.forked(header.tid, fixed.child_tid);
            }
            kind::PROC_EXIT => {
                let (fixed, _) = record.split::<ProcExitFixed>()?;
                self.execs.exited(header.tid);
                self.births.returned(header.tid);
                self.unnumbered.remove(&header.tid);
                marks::push_proc_exit(&fixed, head, batch);
            }
            kind::SWITCH => {
                let (fixed, _) = record.split::<SwitchFixed>()?;
                marks::push_switch(&fixed, head, batch);
            }
            kind::SIGNAL => {
                let (fixed, _) = record.split::<SignalFixed>()?;
                marks::push_signal(&fixed, header, head, batch);
            }
            kind::PAGE_FAULT => {
                let (fixed, _) = record.split::<PageFaultFixed>()?;
                marks::push_page_fault(&fixed, head, batch);
            }
            kind::URING_SUBMIT => {
                let (fixed, _) = record.split::<EnterFixed>()?;
                let (uring, sections) = behind::<EnterFixed, UringFixed>(record)?;
                self.uring_submitted(header, fixed, uring, sections, head, batch);
            }
            kind::URING_COMPLETE => {
                let (fixed, _) = record.split::<ExitFixed>()?;
                let (uring, sections) = behind::<ExitFixed, UringFixed>(record)?;
                self.uring_completed(header, &fixed, &uring, sections, head, batch);
            }
            kind::LOSS => {
                let (fixed, _) = record.split::<LossFixed>()?;
                self.counts.lost += fixed.count;
                let mark = LossMark::of_record(&fixed, header, cpu, self.options.wall_offset_ns);
                marks::push_loss(&mark, batch);
            }
            _ => return None,
        }
        Some(())
    }

    fn head(&self, header: &RecordHeader, cpu: u16) -> EventHead {
        EventHead {
            ts_ns: header.ts_ns.wrapping_add_signed(self.options.wall_offset_ns),
            tid: i64::from(header.tid),
            cpu,
            code: code::GENERIC_E,
            flags: 0,
        }
    }

    fn enter(
        &mut self,
        record: &RecordView<'_>,
        fixed: EnterFixed,
        sections: Sections<'_>,
        head: EventHead,
        batch: &mut Batch,
    ) {
        let header = record.header;
        if header.nr == NR_NONE {
            if self.unnumbered.len() >= UNNUMBERED_MAX {
                self.unnumbered.clear();
            }
            self.unnumbered.insert(header.tid);
        }
        let call = self.call(header, fixed.args, 0, sections);
        let entry = self.table.find(&call);
        if entry.is_exec {
            self.execs.entered(record);
        }
        if let Some(twice) = &mut self.twice {
            twice.entered(&call);
        }
        if entry.is_clone3
            && let Some(flags) = call.raw_u64(0, 0)
        {
            self.births.entered(header.tid, flags);
        }
        push_side(&call, &entry, &entry.enter, head, batch);
    }

    fn exit(
        &mut self,
        header: &RecordHeader,
        fixed: ExitFixed,
        sections: Sections<'_>,
        head: EventHead,
        batch: &mut Batch,
    ) {
        if header.nr == NR_NONE && !self.unnumbered.remove(&header.tid) {
            self.counts.unnumbered_exits += 1;
            return;
        }
        let mut call = self.call(*header, fixed.args, fixed.ret, sections);
        if uring::changes_tables(&call) {
            self.rings.tables_changed(header.pid);
        }
        let entry = self.table.find(&call);
        if !entry.has_task {
            if entry.makes_folder {
                self.described = Some(batch.len());
            }
            push_side(&call, &entry, &entry.exit, head, batch);
            if let Some(twice) = &mut self.twice {
                let (mut notes, info) = (Vec::new(), entry.exit.code.info());
                let name = info.map_or("", |info| info.name);
                twice.returned(&call, name, self.pairs_until_ns, &mut notes);
                for note in notes {
                    marks::push_thread_note(twice::CHANGED, head, batch, |out| out.extend_from_slice(&note));
                }
            }
            return;
        }
        let mut cgroups = std::mem::take(&mut self.cgroup_text);
        cgroups.clear();
        if let Some(task) = call.task() {
            cgroup::push_cgroups(&task, self.cgroups.as_mut(), &mut cgroups);
        }
        let exec = if entry.is_exec { self.execs.exited(header.tid) } else { None };
        call.cgroups = &cgroups;
        // Of any call that makes threads: the exit of a clone3 before may be missing.
        let flags = if entry.is_exec { None } else { self.births.returned(header.tid) };
        call.clone3_flags = flags.filter(|_| entry.is_clone3);
        call.exec_filename = exec.as_ref().map_or(&[], exec::Exec::path);
        // x86 kernels let every successful exec end as execve; where one does not, files still
        // have it so, because readers of 2022 die of the other form.
        let side = if entry.is_exec && call.is_ok() { self.table.execve_exit() } else { entry.exit };
        self.described = Some(batch.len());
        push_side(&call, &entry, &side, head, batch);
        self.cgroup_text = cgroups;
    }

    fn uring_submitted(
        &mut self,
        header: &RecordHeader,
        fixed: EnterFixed,
        uring: UringFixed,
        sections: Sections<'_>,
        head: EventHead,
        batch: &mut Batch,
    ) {
        let rings = &mut self.rings;
        marks::push_thread_note(uring::SUBMIT, head, batch, |out| {
            rings.submitted(*header, fixed.args, uring, sections, out);
        });
    }

    /// A result: its note, and the call that does the same.
    fn uring_completed(
        &mut self,
        header: &RecordHeader,
        fixed: &ExitFixed,
        uring: &UringFixed,
        sections: Sections<'_>,
        head: EventHead,
        batch: &mut Batch,
    ) {
        let wall_offset_ns = self.options.wall_offset_ns;
        let mut text = std::mem::take(&mut self.note_text);
        text.clear();
        let wall_ns = |ts_ns: u64| ts_ns.wrapping_add_signed(wall_offset_ns);
        let done = self.rings.completed(*header, fixed, uring, sections, wall_ns, &mut text);
        let head = EventHead { tid: i64::from(done.header.tid), ..head };
        marks::push_thread_note(uring::COMPLETE, head, batch, |out| out.extend_from_slice(&text));
        self.note_text = text;
        if !done.is_call {
            return;
        }
        let call = self.call(done.header, done.args, done.ret, self.rings.sections());
        let entry = self.table.find(&call);
        if entry.makes_folder {
            self.described = Some(batch.len() + 1);
        }
        push_side(&call, &entry, &entry.enter, head, batch);
        push_side(&call, &entry, &entry.exit, head, batch);
    }

    fn exec(
        &mut self,
        header: &RecordHeader,
        fixed: ExecFixed,
        sections: Sections<'_>,
        head: EventHead,
        batch: &mut Batch,
    ) {
        let filename = sections.find_tag(tag::FILENAME).map_or(&[][..], |s| s.data);
        let filename = filename.split(|&b| b == 0).next().unwrap_or(&[]);
        let Some(enter) = self.execs.executed(fixed.old_tid, header.tid, filename) else { return };
        // The thread goes on under the leader's id: tell the enter once more there, for state
        // only, so that the exit that follows is paired with it.
        let Some(record) = RecordView::parse(&enter) else { return };
        if record.header.ts_ns <= self.pairs_until_ns {
            return;
        }
        let Some((enter, sections)) = record.split::<EnterFixed>() else { return };
        let call = self.call(record.header, enter.args, 0, sections);
        let entry = self.table.find(&call);
        let head = EventHead { flags: FLAG_STATE_ONLY, ..head };
        push_side(&call, &entry, &entry.enter, head, batch);
    }

    fn call<'a>(&self, header: RecordHeader, args: [u64; 6], ret: i64, sections: Sections<'a>) -> Call<'a> {
        let snaplen = self.options.snaplen as usize;
        Call { header, args, ret, sections, snaplen, cgroups: &[], exec_filename: &[], clone3_flags: None }
    }
}

/// The second fixed part of a record and the sections behind it.
fn behind<'a, First: Wire, Second: Wire>(record: &RecordView<'a>) -> Option<(Second, Sections<'a>)> {
    let (_, rest) = record.split::<First>()?;
    let mut rest = rest.bytes();
    let second = Second::take(&mut rest)?;
    Some((second, Sections::new(rest)))
}

/// The events that records become, by row of the plan: `rows` native ones, then those of ia32. Rows are
/// missing where the number alone does not tell.
pub fn calls(rows: usize) -> Vec<(usize, CallEvents)> {
    Table::new().calls(rows)
}

/// Appends one side of a call.
fn push_side(call: &Call<'_>, entry: &Entry, side: &Side, head: EventHead, batch: &mut Batch) {
    let mut event = batch.encode(EventHead { code: side.code, ..head }, side.params.len());
    if entry.is_generic {
        event.u16(entry.generic_id).u16(entry.native_nr);
        if !side.code.is_enter() {
            event.i64(call.ret);
        }
    } else {
        for (source, param) in side.sources.iter().zip(side.params) {
            Src::write(*source, call, param, &mut event);
        }
    }
    event.finish();
}
