//! The parameter rows: one per system call, by family of calls.
//!
//! Invariant (a test walks it): every call that the native table gives event codes of its own has
//! exactly one row, whose enter has the parameters of the 2022 schema (of the current one for
//! codes younger than that) and whose exit has those of the current schema.

mod descriptors;
mod files;
mod ipc;
mod memory;
mod network;
mod processes;
mod system;

use super::source::Row;

/// All rows, by family.
pub(super) const FAMILIES: &[&[Row]] =
    &[files::ROWS, descriptors::ROWS, network::ROWS, memory::ROWS, ipc::ROWS, processes::ROWS, system::ROWS];

/// The row of the call with this name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    FAMILIES.iter().flat_map(|rows| rows.iter()).find(|row| row.names.contains(&name))
}
