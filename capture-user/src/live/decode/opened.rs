//! The path of a successful open. The caller's string is read after the call, when another thread may
//! have changed it; the path of the file that the fd leads to cannot be changed so. Where the string
//! can be that path, word for word, it stays as the caller gave it; else the file's own path is stored:
//! after such a change, and where the string leads through symbolic links.

use super::call::Call;
use capture_common::abi::tag;

/// `O_TMPFILE`'s own bit: the path is that of a directory, and the file has none.
const O_TMPFILE: u64 = 0x40_0000;

/// The path of an open's exit: `arg` is the string's argument, `flags` the native ones.
pub(super) fn path<'a>(call: &Call<'a>, arg: u8, flags: u64) -> &'a [u8] {
    let given = call.text(arg);
    if call.ret < 0 || flags & O_TMPFILE != 0 {
        return given;
    }
    match call.whole_path(tag::FDPATH) {
        Some(found) if !can_be(given, found) => found,
        _ => given,
    }
}

/// Whether `given` leads to `found` without symbolic links: component by component from the end, `..`
/// taking one away. A relative path says nothing of what stands before it.
fn can_be(given: &[u8], found: &[u8]) -> bool {
    let mut rest = found.rsplit(|&b| b == b'/').filter(|part| !part.is_empty());
    let mut skip = 0u32;
    for part in given.rsplit(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => skip += 1,
            _ if skip > 0 => skip -= 1,
            _ => {
                if rest.next() != Some(part) {
                    return false;
                }
            }
        }
    }
    // `..` at the root is the root; of a relative path it is a directory that is not known here.
    given.first() != Some(&b'/') || rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_can_be_the_same() {
        for (given, found) in [
            ("/etc/passwd", "/etc/passwd"),
            ("/etc//./passwd", "/etc/passwd"),
            ("/usr/../etc/passwd", "/etc/passwd"),
            ("/..", "/"),
            ("/", "/"),
            ("passwd", "/etc/passwd"),
            ("./a/b/", "/x/a/b"),
            ("../b", "/x/b"),
            (".", "/x"),
            ("", "/x"),
        ] {
            assert!(can_be(given.as_bytes(), found.as_bytes()), "{given} {found}");
        }
    }

    #[test]
    fn paths_that_cannot() {
        for (given, found) in [
            ("/etc/passwd", "/etc/shadow"),
            ("/lib/libc.so", "/usr/lib/libc.so"),
            ("/a", "/b/a"),
            ("/etc/passwd", "/"),
            ("passwd", "/etc/shadow"),
            ("a/b", "/b"),
            ("<NA>", "/etc/passwd"),
        ] {
            assert!(!can_be(given.as_bytes(), found.as_bytes()), "{given} {found}");
        }
    }
}
