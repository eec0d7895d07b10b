//! The vocabulary that every other crate of `capture` speaks.
//!
//! Owns: the event table (codes 0..453, parameters of both published schemas), flag and
//! enumeration names, syscall tables, the maps from native constants to stored ones, the ABI
//! between probe and collector, and (feature `std`) the event view [`RawEvent`], batches,
//! the records of a start snapshot, and the traits [`EventSource`] and [`EventSink`].
//!
//! **Invariant:** nothing in here knows where an event came from or where it goes. Without
//! feature `std` the crate is `no_std` and has no dependency, because the probe links it.
#![cfg_attr(not(feature = "std"), no_std)]

pub mod abi;
pub mod event_table;
pub mod ia32;
pub mod kernel_offsets;
pub mod native;
pub mod plan;
pub mod syscall_table;
pub mod uring;

#[rustfmt::skip]
#[allow(unreachable_pub, reason = "re-exported by name")]
mod generated;

#[cfg(feature = "std")]
pub mod batch;
#[cfg(feature = "std")]
pub mod encode;
#[cfg(feature = "std")]
pub mod raw_event;
#[cfg(feature = "std")]
pub mod snapshot;
#[cfg(feature = "std")]
pub mod stream;

pub use event_table::{
    Category, EventCode, EventFlags, EventInfo, FlagTable, ParamFormat, ParamInfo, ParamType,
};
#[cfg(feature = "std")]
pub use {
    batch::{Batch, BlockKind},
    raw_event::RawEvent,
    snapshot::Snapshot,
    stream::{EventSink, EventSource, Next},
};
