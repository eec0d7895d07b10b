//! Joining paths, as the engine stores them: folded, absolute, bounded.

/// Joined paths of this length or more are replaced by [`TOO_LONG`].
pub(crate) const LIMIT: usize = 1024;
const TOO_LONG: &[u8] = b"/PATH_TOO_LONG";

/// Writes `path`, seen from `base`, to `out`: an absolute path stands for itself; `.`, `..` and
/// doubled slashes are folded; `..` at the root stays there.
pub fn join(base: &[u8], path: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let base: &[u8] = if path.first() == Some(&b'/') { b"" } else { base };
    if base.len() + path.len() >= LIMIT {
        out.extend_from_slice(TOO_LONG);
        return;
    }
    if is_folded(path) {
        return out.extend_from_slice(path);
    }
    // A base that is no path (`<UNKNOWN>`, or empty where the directory is not known) stays as it
    // is in front, and nothing goes above it.
    let absolute = path.first() == Some(&b'/');
    let rooted = absolute || base.first() == Some(&b'/');
    let parts = if rooted { base } else { b"" };
    if !rooted {
        out.extend_from_slice(base);
    }
    let floor = out.len();
    for part in parts.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                let cut = out[floor..].iter().rposition(|&b| b == b'/').unwrap_or(0);
                out.truncate(floor + cut);
            }
            name => {
                if rooted || out.len() > floor {
                    out.push(b'/');
                }
                out.extend_from_slice(name);
            }
        }
    }
    if rooted && out.is_empty() {
        out.push(b'/');
    }
}

/// Whether a path is absolute and nothing in it can be folded, as in most calls.
fn is_folded(path: &[u8]) -> bool {
    let mut pairs = path.windows(2);
    path.first() == Some(&b'/')
        && path.last() != Some(&b'/')
        && !pairs.any(|pair| pair[0] == b'/' && matches!(pair[1], b'/' | b'.'))
}

/// As [`join`], for a working directory: the result ends in `/`.
pub fn join_directory(base: &[u8], path: &[u8], out: &mut Vec<u8>) {
    join(base, path, out);
    if out.last() != Some(&b'/') {
        out.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, path: &str, expected: &str) {
        let mut out = b"rest of before".to_vec();
        join(base.as_bytes(), path.as_bytes(), &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{base} + {path}");
    }

    #[test]
    fn paths_are_joined_and_folded() {
        check("/home/alice/", "notes", "/home/alice/notes");
        check("/home/alice/", "/etc//hosts", "/etc/hosts");
        check("/home/alice", "../bob/./x", "/home/bob/x");
        check("/", "../../x", "/x");
        check("/a/", "..", "/");
        check("/a/", "", "/a");
        check("", "x/../y", "y");
        check("", "/x", "/x");
        check("<UNKNOWN>", "../x/z", "<UNKNOWN>x/z");
        check("/a/", &"x".repeat(1021), "/PATH_TOO_LONG");
    }

    #[test]
    fn directories_end_in_a_slash() {
        let mut out = Vec::new();
        join_directory(b"/a/", b"b", &mut out);
        assert_eq!(out, b"/a/b/");
        join_directory(b"/a/", b"..", &mut out);
        assert_eq!(out, b"/");
    }
}
