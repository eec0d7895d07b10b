//! [`Gaps`]: what a reading of the machine's state did not get, in words for whoever asks why a name is missing.

use std::fmt;

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Processes and threads that ended while they were read.
    pub vanished_threads: u32,
    /// Processes whose fd table could not be listed.
    pub fd_tables: u32,
    /// Fds that were closed while they were read, or that may not be looked at (a sandboxed init,
    /// even for root); the latter are in the table as unsupported ones.
    pub unreadable_fds: u32,
    /// Sockets that no table of any network namespace has (unbound ones, mostly).
    pub unlisted_sockets: u32,
    /// Records of iterators that say nothing that can be understood.
    pub bad_records: u32,
    /// Whole files or lists that could not be read (users, groups, interfaces, socket tables).
    pub lists: u32,
}

impl Gaps {
    /// Whether more is missing than a running machine always costs: then it is said unasked.
    pub fn is_notable(&self) -> bool {
        self.fd_tables > 0 || self.bad_records > 0 || self.lists > 0
    }
}

impl fmt::Display for Gaps {
    /// Each kind that there is, by number; nothing where nothing is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.vanished_threads, "threads that ended meanwhile"),
            (self.fd_tables, "processes' tables of fds"),
            (self.unreadable_fds, "fds that were closed meanwhile, or that may not be looked at"),
            (self.unlisted_sockets, "sockets that are in no table"),
            (self.bad_records, "records of iterators that make no sense"),
            (self.lists, "lists of users, groups, interfaces or sockets"),
        ];
        let mut comma = "";
        for (count, what) in kinds.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{comma}{count} {what}")?;
            comma = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_counted_in_words() {
        let usual = Gaps { vanished_threads: 2, unlisted_sockets: 1, ..Gaps::default() };
        assert_eq!(usual.to_string(), "2 threads that ended meanwhile, 1 sockets that are in no table");
        assert!(!usual.is_notable());
        assert_eq!(Gaps::default().to_string(), "");
        assert!(Gaps { bad_records: 1, ..usual }.is_notable());
    }
}
