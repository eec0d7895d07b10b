//! Right values: every call is made here, and each parameter of the recorded events is compared
//! with what the caller knows (arguments, results, inodes by fstat, ports by getsockname, times
//! by the clock).
//!
//! Needs root and a kernel that the probe can run on; otherwise each test prints
//! `SKIPPED name: reason`.

mod addresses;
mod administration;
mod coverage;
mod descriptors;
mod expect;
mod files;
mod memory;
mod network;
mod processes;
mod recorder;
