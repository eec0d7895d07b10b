//! System calls by number, and what event each one becomes in a file.
//!
//! "Stored" codes are those of the superset form that this project writes: where the 2022
//! schema has a specific code it is used (stock tools of both eras read it), else the current
//! code, else the generic pair 0/1 with the call's id in a parameter.

use crate::event_table::EventCode;
pub use crate::generated::syscalls::{AARCH64, PPM_SC_NAMES, X86_64};

/// One system call of one architecture.
#[derive(Debug)]
pub struct Syscall {
    /// Native number.
    pub nr: u16,
    /// Name, e.g. `openat`.
    pub name: &'static str,
    /// Code of the enter event that we write.
    pub enter: EventCode,
    /// Code of the exit event that we write.
    pub exit: EventCode,
    /// Portable id in the current schema (parameter `ID` of generic events); 0 unknown.
    pub ppm_sc: u16,
    /// Portable id in the 2022 schema; 0 where that does not know the call.
    pub ppm_sc_2022: u16,
    /// Drivers never drop it when shedding load: it changes state.
    pub never_drop: bool,
}

impl Syscall {
    /// Whether the call becomes a generic event (codes 0/1) without arguments of its own.
    #[inline]
    pub fn is_generic(&self) -> bool {
        self.enter.0 == 0
    }

    /// The `ID` parameter of the generic event: the id if sysdig 0.29.3 knows it, else 0 (it
    /// dies of larger ones), and readers find the name through `nativeID`.
    #[inline]
    pub fn stored_generic_id(&self) -> u16 {
        if self.ppm_sc == self.ppm_sc_2022 { self.ppm_sc } else { 0 }
    }
}

/// The x86_64 call with this native number.
#[inline]
pub fn x86_64(nr: u16) -> Option<&'static Syscall> {
    let at = X86_64.binary_search_by_key(&nr, |s| s.nr).ok()?;
    Some(&X86_64[at])
}

/// Name of a portable id (parameter `ID` of generic events).
#[inline]
pub fn ppm_sc_name(id: u16) -> Option<&'static str> {
    PPM_SC_NAMES.get(usize::from(id)).copied().filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_table::code;

    #[test]
    fn known_rows() {
        let openat = x86_64(257).unwrap();
        assert_eq!((openat.name, openat.enter), ("openat", code::SYSCALL_OPENAT_2_E));
        assert_eq!(x86_64(33).unwrap().exit, code::SYSCALL_DUP_X); // dup2 in its 2022 form
        assert!(x86_64(13).unwrap().is_generic()); // rt_sigaction
        assert_eq!(x86_64(334).unwrap().stored_generic_id(), 0); // rseq: unknown to 0.29.3
        assert_eq!(ppm_sc_name(5), Some("open"));
        assert!(X86_64.windows(2).all(|w| w[0].nr < w[1].nr));
        assert!(AARCH64.windows(2).all(|w| w[0].nr < w[1].nr));
    }
}
