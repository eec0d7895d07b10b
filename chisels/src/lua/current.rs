//! The event and the machine that the functions of the API read while a callback runs.
//!
//! They are borrowed for the time of one callback, which functions known to Lua cannot be; so they
//! stand in a thread-local variable that is set for exactly that time.

use capture_engine::{EventView, Machine};
use scoped_tls_hkt::scoped_thread_local;

/// What a callback can look at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current<'a> {
    /// The event; `None` where there was none yet.
    pub(super) view: Option<&'a EventView<'a>>,
    /// The machine; `None` before an input is open.
    pub(super) machine: Option<&'a Machine>,
}

scoped_thread_local!(static CURRENT: for<'a> Current<'a>);

/// Runs a callback with something to look at.
#[inline]
pub(super) fn with<R>(current: Current<'_>, callback: impl FnOnce() -> R) -> R {
    CURRENT.set(current, callback)
}

/// What the callback that runs can look at.
#[inline]
pub(super) fn get<R>(look: impl FnOnce(Current<'_>) -> R) -> R {
    if CURRENT.is_set() { CURRENT.with(look) } else { look(Current::default()) }
}
