//! Writes capture files: whole batches untouched, or the events that passed a filter; one file, or
//! one after another (`-C`, `-G`, `-e`).
//!
//! With a filter, events that change state but did not pass are kept and marked state-only, so
//! that a replay of the file knows every name the filtered events need; event numbers pass over
//! them unless `-F` says otherwise. With `--filter-proclist` they are not kept: the file then
//! holds nothing but what passed. Every file of a rotation begins with the state at that moment
//! and can be read alone.

use super::{Consumer, Event};
use crate::cli::error::CliError;
use crate::cli::plan::WritePlan;
use crate::cli::rotation::Turn;
use crate::cli::same_file;
use capture_common::event_table::code;
use capture_common::raw_event::{FLAG_STATE_ONLY, FLAG_UNCOUNTED};
use capture_common::{Batch, EventCode, EventFlags, EventInfo, Snapshot};
use capture_engine::Machine;
use capture_file::{FileError, WriteStats, Writer, WriterOptions};

/// Blocks per frame of files whose size is limited: the size is known by frames.
const SMALL_FRAME_BYTES: usize = 256 << 10;

/// Writes events to files.
pub struct FileConsumer {
    plan: WritePlan,
    /// `None` before the first file of a rotation, whose name can depend on the first event.
    writer: Option<Writer>,
    turn: Option<Turn>,
    /// The state before the first event of a rotation.
    opening: Option<Snapshot>,
    /// Selected events that wait.
    selected: Batch,
    /// Counts of the files before the present one.
    closed: WriteStats,
}

impl FileConsumer {
    /// Creates the file; `-` is standard output. The first file of a rotation comes later.
    pub fn create(mut plan: WritePlan) -> Result<Self, CliError> {
        let turn = plan.rotation.take().map(Turn::new);
        let mut consumer = FileConsumer {
            plan,
            writer: None,
            turn,
            opening: None,
            selected: Batch::new(),
            closed: WriteStats::default(),
        };
        if consumer.turn.is_none() {
            let path = consumer.plan.path.clone();
            consumer.open(&path)?;
        }
        Ok(consumer)
    }

    fn open(&mut self, path: &str) -> Result<(), CliError> {
        let mut options = WriterOptions {
            compression: self.plan.compression,
            owner: self.plan.owner,
            ..WriterOptions::default()
        };
        if self.turn.as_ref().is_some_and(Turn::by_size) {
            (options.frame_bytes, options.queue_frames) = (SMALL_FRAME_BYTES, 1);
        }
        let writer = if path == "-" {
            Writer::from_writer(std::io::stdout(), "standard output", options)
        } else {
            same_file::refuse(&self.plan.inputs, path)?;
            Writer::create(path, options)
        };
        self.writer = Some(writer.map_err(boxed)?);
        Ok(())
    }

    /// The writer, and before it the first file of a rotation.
    fn writer(&mut self, ts_ns: u64) -> Result<&mut Writer, CliError> {
        if self.writer.is_none()
            && let Some(turn) = &mut self.turn
        {
            let path = turn.first(ts_ns)?;
            self.open(&path)?;
            if let Some(snapshot) = self.opening.take() {
                self.write_section(&snapshot)?;
            }
        }
        self.writer.as_mut().ok_or_else(|| boxed(FileError::Closed { file: self.plan.path.clone() }))
    }

    fn write_section(&mut self, snapshot: &Snapshot) -> Result<(), CliError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.plan.users {
            return writer.write_section(snapshot).map_err(boxed);
        }
        let without = Snapshot { users: Vec::new(), groups: Vec::new(), ..snapshot.clone() };
        writer.write_section(&without).map_err(boxed)
    }

    fn select(&mut self, event: &Event<'_>, flags: u32) -> Result<(), CliError> {
        if self.turn.is_some() {
            self.rotate_if_due(event)?;
        }
        self.selected.push_copy(event.batch, event.at, flags);
        Ok(())
    }

    fn rotate_if_due(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        let ts_ns = event.view.raw.ts_ns;
        let waiting = self.selected.bytes().len() as u64;
        let plain = self.plan.compression == capture_file::Compression::None;
        let stats = self.writer(ts_ns)?.stats();
        let file_bytes = if plain { stats.raw_bytes + waiting } else { stats.file_bytes };
        let Some(turn) = &mut self.turn else { return Ok(()) };
        if !turn.is_due(ts_ns, file_bytes) {
            return Ok(());
        }
        let (path, oldest) = turn.next(ts_ns)?;
        self.close()?;
        self.open(&path)?;
        self.write_section(&event.view.machine.save())?;
        container_records(event.view.machine, ts_ns, &mut self.selected);
        if let Some(oldest) = oldest {
            std::fs::remove_file(&oldest)
                .map_err(|error| CliError::Io { what: format!("deleting {oldest}"), error })?;
        }
        Ok(())
    }

    fn write_selected(&mut self) -> Result<(), CliError> {
        if self.selected.is_empty() {
            return Ok(());
        }
        let ts_ns = self.selected.get(0).map_or(0, |event| event.ts_ns);
        let selected = std::mem::take(&mut self.selected);
        self.writer(ts_ns)?.write_events(&selected).map_err(boxed)?;
        self.selected = selected;
        self.selected.clear();
        Ok(())
    }

    /// Closes the present file and adds up what was written.
    fn close(&mut self) -> Result<(), CliError> {
        self.write_selected()?;
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        self.closed += writer.close().map_err(boxed)?;
        Ok(())
    }
}

fn boxed(error: FileError) -> CliError {
    CliError::Stream(Box::new(error))
}

impl Consumer for FileConsumer {
    fn section(&mut self, snapshot: &Snapshot) -> Result<(), CliError> {
        if self.writer.is_none() {
            self.opening = Some(snapshot.clone());
            return Ok(());
        }
        self.write_selected()?;
        self.write_section(snapshot)
    }

    fn takes_matched_only(&self) -> bool {
        !self.plan.keep_state
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        let raw = &event.view.raw;
        if event.matched {
            return self.select(event, raw.flags);
        }
        if !self.plan.keep_state {
            return Ok(());
        }
        if raw.is_state_only() {
            return self.select(event, raw.flags);
        }
        // The internal events that stock writes count CPU time per process; no filter is about them.
        if raw.code == code::PROCINFO_E && !event.suppressed {
            return self.select(event, raw.flags);
        }
        if !changes_state(event) {
            return Ok(());
        }
        let numbered = self.plan.fat && event.view.info.is_some_and(stock_keeps);
        let uncounted = if numbered { 0 } else { FLAG_UNCOUNTED };
        self.select(event, raw.flags | FLAG_STATE_ONLY | uncounted)
    }

    fn whole_batch(&mut self, batch: &Batch) -> Result<(), CliError> {
        self.writer(0)?.write_events(batch).map_err(boxed)
    }

    fn pause(&mut self) -> Result<(), CliError> {
        self.write_selected()?;
        match &mut self.writer {
            Some(writer) => writer.flush_if_due().map_err(boxed),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<Option<WriteStats>, CliError> {
        // A rotation without any event still leaves its first file.
        if self.opening.is_some() {
            self.writer(0)?;
        }
        self.close()?;
        Ok(Some(self.closed))
    }
}

/// What is known of containers is in the stream, not in a snapshot: a new file repeats it.
fn container_records(machine: &Machine, ts_ns: u64, out: &mut Batch) {
    for container in machine.containers.iter().filter(|c| !c.json.is_empty()) {
        out.push_container_record(&container.json, ts_ns, FLAG_STATE_ONLY | FLAG_UNCOUNTED);
    }
}

/// Whether a fat file of stock sysdig keeps the event.
fn stock_keeps(info: &EventInfo) -> bool {
    info.flags_2022.contains(EventFlags::MODIFIES_STATE)
}

/// Whether a replay needs the event for its state: it says so itself, or it is the enter or the
/// exit of a call of which one side does.
fn changes_state(event: &Event<'_>) -> bool {
    let modifies = |info: &EventInfo| {
        info.flags.contains(EventFlags::MODIFIES_STATE)
            || info.flags_2022.contains(EventFlags::MODIFIES_STATE)
    };
    let Some(info) = event.view.info else { return false };
    // The capture's own notes: of losses, and of what is not known any more.
    if info.code == code::ASYNCEVENT_E {
        return true;
    }
    let other = EventCode(info.code.0 ^ 1).info();
    modifies(info) || other.is_some_and(|o| o.name == info.name && modifies(o))
}
