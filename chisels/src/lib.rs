//! Chisels: small analysis programs over the stream of events.
//!
//! Owns the trait [`Chisel`], the rules by which a command line hands arguments to one
//! ([`args`]), the [`Runner`] that drives it, and the built-in chisels, which have sysdig's
//! names, arguments and output.
//!
//! **Invariant:** a chisel reads events and state and never changes them, so that several can
//! run side by side, live and offline, with the same results.
#![forbid(unsafe_code)]

pub mod api;
pub mod args;
pub mod builtin;
pub mod error;
pub mod runner;
pub mod text;

pub use api::{ArgSpec, Chisel, Meta, Settings};
pub use args::{ArgValues, takes_word};
pub use builtin::{create, list};
pub use error::ChiselError;
pub use runner::Runner;
