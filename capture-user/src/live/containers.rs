//! New containers in the stream: noticed on the drain thread, recorded by the consumer's.
//!
//! A runtime makes a container's cgroup (mkdir) before it puts a thread into it; at the latest the
//! exit of a clone or exec shows a thread's cgroups. The drain thread notes the place (`Watch`)
//! and tells the `Directory`, which looks the container up on threads of its own. The consumer
//! (`Placer`) holds the stream at that place until the record is there or the time is over, and
//! puts it before that event. What comes later goes into the stream later.
//!
//! Invariant: nothing on the drain thread waits; the stream is held by the consumer alone, for at
//! most the given time per container, and what it has placed never goes back in time.

use capture_common::event_table::code;
use capture_common::{Batch, RawEvent, Snapshot};
use capture_engine::state::cgroups::{ContainerKind, Located, container_in_folder, locate};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Containers remembered as seen; beyond that all are forgotten and noticed anew.
const SEEN_MAX: usize = 65_536;
/// Parameters of clone and exec exits, the same in all forms that the decoder makes.
const PARAM_ARGS: usize = 2;
const PARAM_CGROUPS: usize = 14;
const PARAM_MKDIR_PATH: usize = 1;
const PARAM_MKDIRAT_PATH: usize = 2;
/// Where cgroup file systems are mounted.
const CGROUP_MOUNT: &[u8] = b"/sys/fs/cgroup/";
/// Options of container runtimes and their monitors whose value is the bundle's folder.
const BUNDLE_OPTIONS: [&[u8]; 2] = [b"--bundle", b"-b"];

/// A container that was not seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The id that fields report.
    pub id: Box<str>,
    /// The whole id, or the name of a container without one.
    pub full_id: Box<str>,
    /// The engine, guessed by the cgroup.
    pub kind: ContainerKind,
    /// When it was seen.
    pub at: Instant,
}

/// Where records of containers come from.
pub trait Directory: Send + Sync + std::fmt::Debug {
    /// A new container. Called on the drain thread: returns at once.
    fn seen(&self, sighting: &Sighting);

    /// A runtime of containers works on the bundle in this folder. Called on the drain thread.
    fn bundle(&self, folder: &str);

    /// The record of a container in JSON, waited for until `until`.
    fn record(&self, id: &str, until: Instant) -> Option<Vec<u8>>;

    /// Records that were completed or changed after [`Directory::record`] was asked for them,
    /// and those that came too late for it.
    fn updates(&self) -> Vec<Vec<u8>>;
}

/// How containers of a live capture are recorded.
#[derive(Clone, Debug)]
pub struct ContainerOptions {
    /// Where records come from.
    pub directory: Arc<dyn Directory>,
    /// How long the stream may be held for a record.
    pub wait: Duration,
}

/// Containers of a capture, by when their record came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerStats {
    /// Before the first event.
    pub in_time: u64,
    /// Not in time. The record may have come later.
    pub late: u64,
    /// Records written again because they were completed or changed, and late ones.
    pub updates: u64,
}

/// The drain thread's part.
#[derive(Debug)]
pub(super) struct Watch {
    directory: Arc<dyn Directory>,
    seen: HashSet<Box<str>>,
    /// New containers of the batch that is being filled, by the index of their first event.
    new: Vec<(usize, Sighting)>,
}

impl Watch {
    pub(super) fn new(directory: Arc<dyn Directory>) -> Self {
        Watch { directory, seen: HashSet::new(), new: Vec::new() }
    }

    /// Looks at an event that can show a new container.
    pub(super) fn look(&mut self, event: &RawEvent<'_>, at: usize) {
        let found = match event.code {
            code::SYSCALL_MKDIR_2_X => folder_made(event, PARAM_MKDIR_PATH),
            code::SYSCALL_MKDIRAT_X => folder_made(event, PARAM_MKDIRAT_PATH),
            _ => locate(event.param(PARAM_CGROUPS).unwrap_or(&[])),
        };
        let Some(found) = found else {
            // A bundle is believed of processes outside of containers only: what runs inside
            // could name any folder.
            if event.code == code::SYSCALL_EXECVE_19_X
                && let Some(folder) = event.param(PARAM_ARGS).and_then(bundle_of)
            {
                self.directory.bundle(folder);
            }
            return;
        };
        let Some(sighting) = sighting(&found).filter(|s| !self.seen.contains(&s.id)) else { return };
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(sighting.id.clone());
        self.directory.seen(&sighting);
        self.new.push((at, sighting));
    }

    /// The new containers of a batch that is handed over, in order.
    pub(super) fn take(&mut self) -> Vec<(usize, Sighting)> {
        std::mem::take(&mut self.new)
    }

    /// The batch was dropped; its containers belong to the next one.
    pub(super) fn carry(&mut self) {
        self.new.iter_mut().for_each(|(at, _)| *at = 0);
    }
}

fn sighting(found: &Located<'_>) -> Option<Sighting> {
    let (id, full_id) = (std::str::from_utf8(found.id).ok()?, std::str::from_utf8(found.full_id).ok()?);
    Some(Sighting { id: id.into(), full_id: full_id.into(), kind: found.kind, at: Instant::now() })
}

/// The container whose cgroup a mkdir made. A runtime makes it before anything runs inside.
fn folder_made<'a>(event: &RawEvent<'a>, path: usize) -> Option<Located<'a>> {
    let path = event.text(path)?;
    if event.int(0)? != 0 || !path.starts_with(CGROUP_MOUNT) {
        return None;
    }
    container_in_folder(path)
}

/// The bundle's folder in the arguments of a runtime.
fn bundle_of(args: &[u8]) -> Option<&str> {
    let mut words = args.split(|&b| b == 0);
    let folder = loop {
        let word = words.next()?;
        if BUNDLE_OPTIONS.contains(&word) {
            break words.next()?;
        }
        if let Some(folder) = word.strip_prefix(b"--bundle=") {
            break folder;
        }
    };
    std::str::from_utf8(folder).ok().filter(|f| f.starts_with('/'))
}

/// Tells `directory` of the containers that run already, and of the bundles that their monitors
/// name; the containers, each once.
pub(super) fn in_snapshot(snapshot: &Snapshot, directory: &dyn Directory) -> Vec<Sighting> {
    for thread in snapshot.threads.iter().filter(|t| t.tid == t.pid && locate(&t.cgroups).is_none()) {
        if let Some(folder) = bundle_of(&thread.args) {
            directory.bundle(folder);
        }
        // A shim of containerd works in the bundle of the container that it was started for.
        if thread.comm.starts_with(b"containerd-shim")
            && let Ok(folder) = std::str::from_utf8(&thread.cwd)
        {
            directory.bundle(folder);
        }
    }
    let mut seen = HashSet::new();
    let mut sightings = Vec::new();
    for thread in &snapshot.threads {
        let Some(sighting) = locate(&thread.cgroups).and_then(|found| sighting(&found)) else { continue };
        if seen.insert(sighting.id.clone()) {
            directory.seen(&sighting);
            sightings.push(sighting);
        }
    }
    sightings
}

/// The consumer's part.
#[derive(Debug)]
pub(super) struct Placer {
    options: ContainerOptions,
    placed: HashSet<Box<str>>,
    /// Containers of the snapshot, until the first batch.
    opening: Vec<Sighting>,
    /// Time of the capture's start, ns since 1970, and of the last event passed on.
    last_ts_ns: u64,
    pub(super) stats: ContainerStats,
}

impl Placer {
    pub(super) fn new(options: ContainerOptions, start_ts_ns: u64) -> Self {
        Placer {
            options,
            placed: HashSet::new(),
            opening: Vec::new(),
            last_ts_ns: start_ts_ns,
            stats: ContainerStats::default(),
        }
    }

    pub(super) fn open(&mut self, sightings: Vec<Sighting>) {
        self.opening = sightings;
    }

    /// The batch with its records in place. `new` is in the order of the batch.
    pub(super) fn place(&mut self, batch: Batch, mut new: Vec<(usize, Sighting)>) -> Batch {
        let updates = self.options.directory.updates();
        let first = std::mem::take(&mut self.opening);
        new.splice(0..0, first.into_iter().map(|s| (0, s)));
        new.retain(|(_, sighting)| !self.placed.contains(&sighting.id));
        let last = batch.len().checked_sub(1).and_then(|at| batch.get(at));
        let last_ts_ns = last.map_or(self.last_ts_ns, |e| e.ts_ns);
        if new.is_empty() && updates.is_empty() {
            self.last_ts_ns = last_ts_ns;
            return batch;
        }
        let mut out = Batch::new();
        for record in &updates {
            self.stats.updates += 1;
            out.push_container_record(record, self.last_ts_ns, 0);
        }
        let mut copied = 0;
        for (at, sighting) in new {
            for index in copied..at.min(batch.len()) {
                copy(&batch, index, &mut out);
            }
            copied = copied.max(at.min(batch.len()));
            // Before the first batch nothing was delivered: its records are of the start.
            let ts_ns = if at == 0 { self.last_ts_ns } else { batch.get(at).map_or(last_ts_ns, |e| e.ts_ns) };
            self.place_one(&sighting, ts_ns, &mut out);
        }
        for index in copied..batch.len() {
            copy(&batch, index, &mut out);
        }
        self.last_ts_ns = last_ts_ns;
        out
    }

    fn place_one(&mut self, sighting: &Sighting, ts_ns: u64, out: &mut Batch) {
        if self.placed.len() >= SEEN_MAX {
            self.placed.clear();
        }
        if !self.placed.insert(sighting.id.clone()) {
            return;
        }
        match self.options.directory.record(&sighting.id, sighting.at + self.options.wait) {
            Some(record) => {
                self.stats.in_time += 1;
                out.push_container_record(&record, ts_ns, 0);
            }
            None => self.stats.late += 1,
        }
    }
}

fn copy(from: &Batch, at: usize, out: &mut Batch) {
    if let (Some(block), Some(entry)) = (from.block(at), from.refs().get(at)) {
        out.push_block(block, *entry);
    }
}
