//! Chisels: small analysis programs over the stream of events.
//!
//! Owns the trait [`Chisel`], the rules by which a command line hands arguments to one
//! ([`args`]), the [`Runner`] that drives it, the [`Registry`] of all chisels: the built-in ones,
//! which have sysdig's names, arguments and output, and those in [`lua`], which run unmodified.
//!
//! **Invariant:** a chisel reads events and state and never changes them, so that several can
//! run side by side, live and offline, with the same results.
#![forbid(unsafe_code)]

pub mod api;
pub mod args;
mod builtin;
pub mod control;
pub mod error;
mod kit;
pub mod lua;
pub mod registry;
pub mod runner;
mod state;
pub mod text;

pub use api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings, Tick};
pub use args::{ArgValues, takes_word};
pub use control::{Control, Interval, Sink};
pub use error::ChiselError;
pub use registry::Registry;
pub use runner::Runner;
