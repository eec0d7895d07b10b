//! Execs under way: what must be remembered between the enter of an execve and its exit.
//!
//! exec replaces memory and may change the thread's id (a thread that is no leader becomes the
//! leader), so the exit record alone knows neither the path nor the enter that it ends. Bounded:
//! an entry lives from the enter to the exit or to the thread's end, and there are at most
//! [`PENDING_MAX`] of them; if records of ends were lost, the table is emptied rather than grown.

use capture_common::abi::{EnterFixed, RecordHeader, RecordView, section_flag, tag};
use std::collections::HashMap;

/// Most execs under way at once; beyond that ends were lost.
const PENDING_MAX: usize = 4096;

/// Execs under way, by thread.
#[derive(Default)]
pub(super) struct Pending {
    by_tid: HashMap<u32, Exec>,
}

/// One exec under way.
#[derive(Default)]
pub(super) struct Exec {
    /// The enter record, whole; empty when it was not seen.
    enter: Vec<u8>,
    /// Path as sched_process_exec gave it; empty before that.
    filename: Vec<u8>,
}

impl Pending {
    /// Remembers the enter record of an exec, for its thread.
    pub(super) fn entered(&mut self, record: &RecordView<'_>) {
        let mut enter = Vec::with_capacity(RecordHeader::LEN_BYTES + record.body().len());
        let h = &record.header;
        enter.extend_from_slice(&h.len.to_ne_bytes());
        enter.extend_from_slice(&[h.kind, h.flags]);
        enter.extend_from_slice(&h.nr.to_ne_bytes());
        enter.extend_from_slice(&h.ts_ns.to_ne_bytes());
        enter.extend_from_slice(&h.tid.to_ne_bytes());
        enter.extend_from_slice(&h.pid.to_ne_bytes());
        enter.extend_from_slice(record.body());
        self.insert(h.tid, Exec { enter, filename: Vec::new() });
    }

    /// Takes note of the exec itself: `tid` is the thread's id from now on. Returns the enter
    /// record if the id changed, so that it can be told again under the new one.
    pub(super) fn executed(&mut self, old_tid: u32, tid: u32, filename: &[u8]) -> Option<Vec<u8>> {
        let mut exec = self.by_tid.remove(&old_tid).unwrap_or_default();
        exec.filename = filename.to_vec();
        let told_again = (old_tid != tid && !exec.enter.is_empty()).then(|| exec.enter.clone());
        self.insert(tid, exec);
        told_again
    }

    /// Takes the exec that ends with this exit.
    pub(super) fn exited(&mut self, tid: u32) -> Option<Exec> {
        self.by_tid.remove(&tid)
    }

    fn insert(&mut self, tid: u32, exec: Exec) {
        if self.by_tid.len() >= PENDING_MAX {
            self.by_tid.clear();
        }
        self.by_tid.insert(tid, exec);
    }
}

impl Exec {
    /// The path that was executed: the kernel's, else the enter's; empty when neither is known.
    pub(super) fn path(&self) -> &[u8] {
        if !self.filename.is_empty() {
            return &self.filename;
        }
        let Some(record) = RecordView::parse(&self.enter) else { return &[] };
        let Some((_, sections)) = record.split::<EnterFixed>() else { return &[] };
        match sections.find_tag(tag::STR) {
            Some(s) if s.header.flags & (section_flag::FAULT | section_flag::NULL) == 0 => s.data,
            _ => &[],
        }
    }
}
