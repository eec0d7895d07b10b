//! Machine state, fields and formatting for capture; does no I/O.
//!
//! [`Engine`] takes a section's [`Snapshot`](capture_common::Snapshot) and then its events one
//! by one, and keeps [`Machine`] up to date. [`EventView`] puts an event and the state around it
//! together for printers, filters and chisels:
//!
//! ```
//! use capture_common::{Batch, Snapshot};
//! use capture_engine::{Engine, Options};
//!
//! let mut engine = Engine::new(Options::default());
//! engine.begin_section(&Snapshot::default());
//! let batch = Batch::new(); // filled by a source
//! for raw in batch.iter() {
//!     let applied = engine.apply(&raw);
//!     if applied.visible {
//!         let view = engine.view(raw, &applied);
//!         println!("{} {:?}", applied.num, view.thread().map(|t| &t.comm));
//!     }
//! }
//! ```
//!
//! **Invariant:** only the parsers and the opening snapshot write state; nothing here reads the
//! machine it runs on.
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod engine;
pub mod event_filter;
mod event_kinds;
pub mod fields;
pub mod format;
pub mod kernel_filter;
pub mod listing;
mod parsers;
pub mod render;
mod services;
pub mod state;
pub mod view;

pub use engine::{Applied, Engine, Options};
pub use event_filter::EventFilter;
pub use services::{PortNames, PortsOf};
pub use state::Text;
pub use state::containers::Container;
pub use state::fd::{ConnState, Endpoint, FdInfo, Role, SocketInfo};
pub use state::fd_table::FdTable;
pub use state::machine::{Counters, Machine};
pub use state::thread::Thread;
pub use state::thread_table::{ThreadSlot, ThreadTable};
pub use view::EventView;
