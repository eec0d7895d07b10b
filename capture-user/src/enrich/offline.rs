//! [`Enricher`]: places what dumps know of containers into a stream that was recorded without it, or
//! completes the records that it has.
//!
//! Invariant: events keep their order, times and numbers: a record that is added is marked as hidden and
//! uncounted, and stands before the first event of its container.

use super::dump::Dump;
use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::raw_event::{FLAG_STATE_ONLY, FLAG_UNCOUNTED};
use capture_common::{Batch, EventCode, RawEvent, Snapshot};
use capture_engine::state::cgroups::locate;
use capture_engine::{Engine, Options};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Containers remembered as placed; beyond that all are forgotten and placed anew.
const PLACED_MAX: usize = 65_536;
/// Names of unknown containers that are kept for the report.
const UNKNOWN_MAX: usize = 16;

/// Adds records to one stream.
#[derive(Debug)]
pub struct Enricher {
    dump: Arc<Dump>,
    /// Tells which thread is in which container.
    engine: Engine,
    /// Containers whose record is in the stream, or that nobody knows.
    done: HashSet<Box<[u8]>>,
    /// Those of the snapshot, until the first event.
    opening: Vec<Box<[u8]>>,
    out: Batch,
    stats: EnrichStats,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnrichStats {
    /// Containers of the stream that got a record.
    pub added: u64,
    /// Records of the stream to which something was added.
    pub completed: u64,
    /// Containers of the stream that have no record and that no dump knows.
    pub unknown: u64,
    /// Ids of some of those.
    pub unknown_ids: Vec<String>,
}

impl Enricher {
    /// For a stream from its beginning on.
    pub fn new(dump: Arc<Dump>) -> Enricher {
        Enricher {
            dump,
            engine: Engine::new(Options::default()),
            done: HashSet::new(),
            opening: Vec::new(),
            out: Batch::new(),
            stats: EnrichStats::default(),
        }
    }

    /// What was done so far.
    pub fn stats(&self) -> &EnrichStats {
        &self.stats
    }

    /// A section begins: another machine, or the same one anew.
    pub fn section(&mut self, snapshot: &Snapshot) {
        self.engine.begin_section(snapshot);
        self.done.clear();
        let mut seen = HashSet::new();
        let ids = snapshot.threads.iter().filter_map(|thread| Some(locate(&thread.cgroups)?.id));
        self.opening = ids.filter(|id| seen.insert(*id)).map(Box::from).collect();
    }

    /// Adds records to a batch.
    pub fn batch(&mut self, batch: &mut Batch) {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        for (at, entry) in batch.refs().iter().enumerate() {
            let Some(raw) = batch.get(at) else { continue };
            self.engine.follow(&raw);
            if is_record(raw.code)
                && let Some(json) = self.completed(raw.text(0).unwrap_or(b""))
            {
                let RawEvent { ts_ns, tid, cpu, code, flags, .. } = raw;
                let mut event = out.encode(EventHead { ts_ns, tid, cpu, code, flags }, 1);
                event.pieces(&[&json, b"\0"]);
                event.finish();
                continue;
            }
            if !is_record(raw.code) {
                // Records that the stream has for the containers of the snapshot come first.
                for id in std::mem::take(&mut self.opening) {
                    self.place(&id, raw.ts_ns, &mut out);
                }
                let thread = self.engine.machine().threads.get(raw.tid);
                let id = thread.map(|thread| thread.container_id.clone());
                if let Some(id) = id.filter(|id| !id.is_empty() && !self.done.contains(&**id)) {
                    self.place(&id, raw.ts_ns, &mut out);
                }
            }
            if let Some(block) = batch.block(at) {
                out.push_block(block, *entry);
            }
        }
        self.out = std::mem::replace(batch, out);
    }

    /// Places the record of a container that has none.
    fn place(&mut self, id: &[u8], ts_ns: u64, out: &mut Batch) {
        if self.done.len() >= PLACED_MAX {
            self.done.clear();
        }
        if !self.done.insert(id.into()) || self.engine.machine().containers.get(id).is_some() {
            return;
        }
        let Some(record) = self.record(id) else {
            self.stats.unknown += 1;
            if self.stats.unknown_ids.len() < UNKNOWN_MAX {
                self.stats.unknown_ids.push(String::from_utf8_lossy(id).into_owned());
            }
            return;
        };
        self.stats.added += 1;
        out.push_container_record(record.to_string().as_bytes(), ts_ns, FLAG_STATE_ONLY | FLAG_UNCOUNTED);
    }

    fn record(&self, id: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(id).ok()?;
        let threads = &self.engine.machine().threads;
        let inside = threads.iter().find(|thread| *thread.container_id == *id);
        let cgroups = inside.map_or(&b""[..], |thread| &thread.cgroups_raw);
        let located = locate(cgroups).filter(|found| found.id == id);
        let full_id = located.and_then(|found| std::str::from_utf8(found.full_id).ok()).unwrap_or(text);
        self.dump.record(text, full_id, cgroups)
    }

    /// The record of the stream with what dumps know beyond it; `None` where that is nothing.
    fn completed(&mut self, json: &[u8]) -> Option<Vec<u8>> {
        let mut record: Value = serde_json::from_slice(json).ok()?;
        let id = record.get("container")?.get("id")?.as_str()?.to_owned();
        let is_first = self.done.insert(id.as_bytes().into());
        let before = record.clone();
        if let Some(known) = self.dump.record(&id, &id, b"") {
            complete(&mut record, &known);
        }
        let around = self.dump.around(&record);
        complete(&mut record, &around);
        if record == before {
            return None;
        }
        self.stats.completed += u64::from(is_first);
        Some(record.to_string().into_bytes())
    }
}

fn is_record(code: EventCode) -> bool {
    [code::CONTAINER_JSON_E, code::CONTAINER_JSON_2_E].contains(&code)
}

/// Adds to a record what another one knows and it does not: what was recorded counts more.
fn complete(record: &mut Value, known: &Value) {
    match (record, known) {
        (Value::Object(record), Value::Object(known)) => {
            // The engine is told by a number of which 0 is one.
            for (name, value) in known.iter().filter(|(name, _)| *name != "type") {
                match record.get_mut(name) {
                    Some(old) if is_empty(old) => *old = value.clone(),
                    Some(old) => complete(old, value),
                    None => drop(record.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(record), Value::Array(known)) if record.is_empty() => record.clone_from(known),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "0.0.0.0",
        Value::Array(list) => list.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        _ => false,
    }
}
