//! The machine as the events so far left it: threads, fds, users, containers.
//!
//! Everything here is read by fields and formats; only the opening [`Snapshot`] and
//! the parsers write it. No clock, no file and no `/proc` is consulted, so a replay on
//! another machine gives the same answers.
//!
//! [`Snapshot`]: capture_common::Snapshot

pub mod cgroups;
pub mod containers;
pub mod fd;
pub mod fd_table;
pub mod interfaces;
pub mod k8s;
mod load;
pub mod machine;
pub mod paths;
mod save;
pub mod thread;
pub mod thread_table;
pub mod tuples;
pub mod users;
pub(crate) mod version;

use std::sync::Arc;

/// Shared immutable text. Names on Linux need not be UTF-8, so all text is bytes, and it is
/// kept exactly as it came: cleaning for display is the printer's work.
pub type Text = Arc<[u8]>;

/// What stands where a text is unknown.
pub(crate) const NOT_KNOWN: &[u8] = b"<NA>";

/// An empty [`Text`]. Cheap: one process-wide value is shared.
pub fn empty_text() -> Text {
    static EMPTY: std::sync::LazyLock<Text> = std::sync::LazyLock::new(|| Arc::from(&b""[..]));
    EMPTY.clone()
}

/// `old` if it already holds `bytes`, else a new [`Text`]: saves the allocation in the usual
/// case that a child has the values of its parent.
#[inline]
pub(crate) fn share_text(old: &Text, bytes: &[u8]) -> Text {
    if **old == *bytes { old.clone() } else { Arc::from(bytes) }
}
