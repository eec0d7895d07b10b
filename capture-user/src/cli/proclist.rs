//! `--filter-proclist`: cuts the start snapshot to the threads that a filter keeps.

use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::{Batch, Snapshot};
use capture_engine::{Engine, EventFilter, Options};
use std::collections::HashSet;

/// Removes threads that do not match, and their fds. Each thread is asked through an event of
/// its own without arguments; fields of events and fds have no value there.
pub(crate) fn keep_matching(snapshot: &mut Snapshot, filter: &mut EventFilter) {
    let mut engine = Engine::new(Options::default());
    engine.begin_section(snapshot);
    let mut batch = Batch::new();
    for thread in &snapshot.threads {
        let head = EventHead { ts_ns: 0, tid: thread.tid, cpu: 0, code: code::GENERIC_E, flags: 0 };
        let mut event = batch.encode(head, 2);
        event.u16(0).u16(0);
        event.finish();
    }
    let mut keep = HashSet::new();
    for raw in batch.iter() {
        let applied = engine.apply(&raw);
        if filter.matches(&engine.view(raw, &applied)) {
            keep.insert(raw.tid);
        }
    }
    snapshot.threads.retain(|t| keep.contains(&t.tid));
    snapshot.fds.retain(|(tid, _)| keep.contains(tid));
}
