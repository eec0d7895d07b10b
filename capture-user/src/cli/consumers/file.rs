//! Writes a capture file: whole batches untouched, or the events that passed a filter.
//!
//! With a filter, events that change state but did not pass are kept and marked state-only, so
//! that a replay of the file knows every name the filtered events need. With
//! `--filter-proclist` they are not: the file then holds nothing but what passed.

use super::{Consumer, Event};
use crate::cli::error::CliError;
use crate::cli::plan::WritePlan;
use capture_common::raw_event::FLAG_STATE_ONLY;
use capture_common::{Batch, EventFlags, Snapshot};
use capture_file::{FileError, WriteStats, Writer, WriterOptions};

/// Writes events to a file.
pub struct FileConsumer {
    writer: Writer,
    /// Selected events that wait.
    selected: Batch,
    users: bool,
    keep_state: bool,
}

impl FileConsumer {
    /// Creates the file; `-` is standard output.
    pub fn create(plan: &WritePlan) -> Result<Self, CliError> {
        let options = WriterOptions { compression: plan.compression, ..WriterOptions::default() };
        let writer = if plan.path == "-" {
            Writer::from_writer(std::io::stdout(), "standard output", options)
        } else {
            Writer::create(&plan.path, options)
        };
        Ok(FileConsumer {
            writer: writer.map_err(boxed)?,
            selected: Batch::new(),
            users: plan.users,
            keep_state: plan.keep_state,
        })
    }
}

fn boxed(error: FileError) -> CliError {
    CliError::Stream(Box::new(error))
}

impl Consumer for FileConsumer {
    fn section(&mut self, snapshot: &Snapshot) -> Result<(), CliError> {
        if self.users {
            return self.writer.write_section(snapshot).map_err(boxed);
        }
        let without = Snapshot { users: Vec::new(), groups: Vec::new(), ..snapshot.clone() };
        self.writer.write_section(&without).map_err(boxed)
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        let raw = &event.view.raw;
        if event.matched {
            self.selected.push_copy(event.batch, event.at, raw.flags);
        } else if self.keep_state && (raw.is_state_only() || changes_state(event)) {
            self.selected.push_copy(event.batch, event.at, raw.flags | FLAG_STATE_ONLY);
        }
        Ok(())
    }

    fn whole_batch(&mut self, batch: &Batch) -> Result<(), CliError> {
        self.writer.write_events(batch).map_err(boxed)
    }

    fn pause(&mut self) -> Result<(), CliError> {
        if !self.selected.is_empty() {
            self.writer.write_events(&self.selected).map_err(boxed)?;
            self.selected.clear();
        }
        self.writer.flush_if_due().map_err(boxed)
    }

    fn end(&mut self) -> Result<Option<WriteStats>, CliError> {
        self.pause()?;
        self.writer.close().map(Some).map_err(boxed)
    }
}

/// Whether a replay needs the event for its state: it says so itself, or it is the enter or the
/// exit of a call of which one side does.
fn changes_state(event: &Event<'_>) -> bool {
    let modifies = |info: &capture_common::EventInfo| {
        info.flags.contains(EventFlags::MODIFIES_STATE)
            || info.flags_2022.contains(EventFlags::MODIFIES_STATE)
    };
    let Some(info) = event.view.info else { return false };
    let other = capture_common::EventCode(info.code.0 ^ 1).info();
    modifies(info) || other.is_some_and(|o| o.name == info.name && modifies(o))
}
