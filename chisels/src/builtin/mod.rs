//! The built-in chisels: one file each, one line here.

mod echo_fds;

use crate::api::{Chisel, Meta};

/// One line of the registry.
struct Entry {
    meta: &'static Meta,
    make: fn() -> Box<dyn Chisel>,
}

const REGISTRY: &[Entry] =
    &[Entry { meta: &echo_fds::META, make: || Box::new(echo_fds::EchoFds::default()) }];

/// What all built-in chisels say of themselves.
pub(crate) fn all() -> impl Iterator<Item = &'static Meta> {
    REGISTRY.iter().map(|entry| entry.meta)
}

/// A fresh built-in chisel by name.
pub(crate) fn create(name: &str) -> Option<Box<dyn Chisel>> {
    REGISTRY.iter().find(|entry| entry.meta.name == name).map(|entry| (entry.make)())
}
