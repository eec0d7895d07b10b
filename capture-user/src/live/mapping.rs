//! [`Mapping`]: memory of a BPF map, shared with the probe.
//!
//! Invariant: it is mapped, readable and writable, for as long as the value lives. Both sides use its words
//! by atomic operations only.

#![allow(unsafe_code, reason = "live/: memory shared with the probe")]

use super::error::LiveError;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Memory of a map, which it holds: the map's fd may be closed.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: plain shared memory that belongs to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a mappable array; `what` is for the error ("mapping …").
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize, what: &'static str) -> Result<Mapping, LiveError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        match NonNull::new(at.cast()).filter(|_| at != libc::MAP_FAILED) {
            Some(base) => Ok(Mapping { base, len }),
            None => Err(LiveError::last_os(what)),
        }
    }

    /// Where it begins.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// A word of it.
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset + 8 <= self.len && offset.is_multiple_of(8), "{offset} of {}", self.len);
        // SAFETY: an aligned word inside the mapping, which lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; words do not outlive `self`, and lane readers do not by their
        // owner's order of fields.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
