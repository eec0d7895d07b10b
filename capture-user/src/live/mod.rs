//! Live capture: from the kernel's tracepoints to one ordered stream of records and, by
//! [`decode`], events. Knows nothing of output.
//!
//! ```text
//! features -> offsets -> load (probe) -> ring -> merge -> collector -> decode
//!              push --^     ^-- classes          loss, clock, sleep
//! ```
//!
//! Invariant: a record is written, or lost and declared, or excluded and counted; and the stream
//! never goes back in time.

mod btf;
mod changes;
pub mod classes;
mod clock;
mod collector;
pub mod command;
pub mod containers;
mod cpus;
pub mod decode;
pub mod doctor;
mod error;
pub mod features;
mod forward;
mod iter_link;
pub mod iterators;
mod load;
mod loss;
mod mapping;
mod merge;
mod object;
mod offsets;
mod opening;
mod parts;
pub mod priority;
mod probe_log;
mod programs;
pub mod pulse;
mod pump;
pub mod push;
mod queue;
mod reread;
pub mod rights;
mod ring;
mod samples;
mod sleep;
pub mod snapshot;
pub mod source;
mod stale;
pub mod steps;
mod tasks;
mod tree;
mod type_information;
mod uring;
pub mod watch;
mod whoami;

pub use clock::{ClockEvent, WallClock};
pub use collector::{CaptureStats, Collector, CpuStats, Item, LiveOptions, RecordRef};
pub use error::LiveError;
pub use load::{Probe, ProbeOptions};
pub use loss::{Loss, LossCause};
pub use parts::Part;
pub use stale::Stale;
