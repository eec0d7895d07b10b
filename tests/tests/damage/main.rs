//! Damaged and hostile captures: never a panic, never more than 256 MiB, everything before the damage is
//! delivered, and the error names file, offset and block.
//!
//! Each event goes the whole way, through reader, state and line.

mod cuts;
mod flips;
mod hostile;
mod support;
