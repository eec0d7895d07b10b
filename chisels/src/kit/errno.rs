//! What error numbers mean, in plain words.

/// `no such file or directory` for 2; nothing for numbers that calls do not give to programs.
pub(crate) fn meaning(errno: u32) -> &'static str {
    MEANINGS.iter().find(|(number, _)| *number == errno).map_or("", |row| row.1)
}

/// The numbers are those of x86_64 and aarch64.
#[rustfmt::skip]
const MEANINGS: &[(u32, &str)] = &[
    (1, "not allowed"), (2, "does not exist"), (3, "no such process"), (4, "interrupted by a signal"),
    (5, "input or output failed"), (6, "no such device"), (7, "too many arguments"), (8, "not a program"),
    (9, "no such fd"), (10, "no child to wait for"), (11, "not ready yet"), (12, "out of memory"),
    (13, "permission denied"), (14, "bad address"), (16, "busy"), (17, "exists already"),
    (18, "on another file system"), (19, "no such device"), (20, "not a directory"), (21, "is a directory"),
    (22, "invalid argument"), (23, "too many open files in the system"), (24, "too many open files"),
    (25, "not a terminal"), (26, "program is being written"), (27, "file too large"), (28, "no space left"),
    (29, "cannot be positioned"), (30, "read-only file system"), (31, "too many links"),
    (32, "nobody reads any more"), (34, "out of range"), (35, "would deadlock"), (36, "name too long"),
    (38, "not known to this kernel"), (39, "directory is not empty"), (40, "too many symbolic links"),
    (61, "no data"), (62, "timer expired"), (75, "value too large"), (88, "not a socket"),
    (89, "no destination address"), (90, "message too long"), (92, "option not available"),
    (93, "protocol not supported"), (95, "not supported"), (97, "address family not supported"),
    (98, "address in use"), (99, "address not available here"), (100, "network is down"),
    (101, "network unreachable"), (103, "connection aborted"), (104, "connection reset by peer"),
    (105, "no buffer space"), (106, "connected already"), (107, "not connected"), (110, "timed out"),
    (111, "connection refused: nobody listens"), (112, "host is down"), (113, "no route to host"),
    (114, "under way already"), (115, "connecting, not done yet"), (122, "quota exceeded"),
    (125, "cancelled"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::event_table::errno_name;

    #[test]
    fn all_have_names() {
        assert!(MEANINGS.is_sorted_by_key(|row| row.0));
        assert!(MEANINGS.iter().all(|(number, text)| errno_name(*number).is_some() && !text.is_empty()));
        assert_eq!((errno_name(2), meaning(2)), (Some("ENOENT"), "does not exist"));
        assert_eq!((errno_name(111), meaning(0)), (Some("ECONNREFUSED"), ""));
    }
}
