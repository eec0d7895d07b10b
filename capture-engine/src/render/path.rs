//! Paths of parameters together with what they resolve to.

use super::text::{is_printable, push_printable, until_nul};
use crate::view::EventView;
use capture_common::EventInfo;
use capture_common::event_table::ParamExtra;

/// Stored value of `AT_FDCWD`.
pub const AT_FDCWD: i64 = -100;

/// Text that stands for a path which could not be read.
const UNREADABLE: &[u8] = b"<NA>";

/// As in [`crate::state::paths`]: what a joined path of 1024 bytes or more is replaced by.
const TOO_LONG: &[u8] = b"/PATH_TOO_LONG";
const JOINED_LIMIT: usize = 1024;

/// Last code of the 2022 schema. Stock of that time resolves an empty path to its directory;
/// later versions, which know the younger codes, do not.
const LAST_2022_CODE: u16 = 335;

/// Appends a path seen from the process's working directory. Answers where the resolved form
/// begins, if there is one.
pub fn push_path(out: &mut Vec<u8>, view: &EventView<'_>, bytes: &[u8]) -> Option<usize> {
    push_from(out, view, working_directory(view), bytes)
}

/// Appends a path seen from the directory fd that the table names for parameter `index`.
pub fn push_path_at(
    out: &mut Vec<u8>,
    view: &EventView<'_>,
    info: &'static EventInfo,
    index: usize,
    bytes: &[u8],
) -> Option<usize> {
    push_from(out, view, directory_of(view, info, index), bytes)
}

/// Appends the absolute form of a path, seen from the directory fd of parameter `index`.
pub fn push_absolute(
    out: &mut Vec<u8>,
    view: &EventView<'_>,
    info: &'static EventInfo,
    index: usize,
) -> bool {
    let Some(raw) = view.raw.param(index).map(until_nul) else { return false };
    if raw == UNREADABLE {
        return false;
    }
    push_resolved(out, directory_of(view, info, index), raw);
    true
}

fn working_directory<'a>(view: &EventView<'a>) -> &'a [u8] {
    view.thread().map_or(b"", |t| view.machine.cwd_of(t))
}

fn directory_of<'a>(view: &EventView<'a>, info: &'static EventInfo, index: usize) -> &'a [u8] {
    // The current schema's answer: the one of 2022 names the wrong parameter for openat2's enter.
    let extra = info.params.get(index).map(|p| p.extra);
    let Some(ParamExtra::DirFd(dirfd)) = extra else { return working_directory(view) };
    match view.raw.int(usize::from(dirfd)) {
        Some(AT_FDCWD) => working_directory(view),
        Some(fd) => view.fd_numbered(fd).map_or(b"", |f| &f.name),
        None => b"",
    }
}

fn push_from(out: &mut Vec<u8>, view: &EventView<'_>, base: &[u8], bytes: &[u8]) -> Option<usize> {
    if bytes.is_empty() {
        out.extend_from_slice(UNREADABLE);
        return None;
    }
    let raw = until_nul(bytes);
    push_printable(out, raw);
    let resolves = raw.first() != Some(&b'/')
        && raw != UNREADABLE
        && (!raw.is_empty() || view.raw.code.0 <= LAST_2022_CODE);
    if !resolves {
        return None;
    }
    let paren = out.len();
    out.push(b'(');
    push_resolved(out, base, raw);
    if out.len() == paren + 1 {
        out.truncate(paren);
        return None;
    }
    out.push(b')');
    Some(paren)
}

/// Appends `path` joined to `base` with `.`, `..` and doubled slashes folded. A base that is no
/// absolute path is taken as empty, and the result is relative then.
fn push_resolved(out: &mut Vec<u8>, base: &[u8], path: &[u8]) {
    let absolute = path.first() == Some(&b'/');
    let base = if absolute || base.first() != Some(&b'/') { b"" } else { base };
    if base.len() + path.len() >= JOINED_LIMIT {
        return out.extend_from_slice(TOO_LONG);
    }
    let rooted = absolute || !base.is_empty();
    let floor = out.len();
    for part in base.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                let cut = out[floor..].iter().rposition(|&b| b == b'/').unwrap_or(0);
                out.truncate(floor + cut);
            }
            name => {
                if rooted || out.len() != floor {
                    out.push(b'/');
                }
                out.extend(name.iter().map(|&b| if is_printable(b) { b } else { b'.' }));
            }
        }
    }
    if rooted && out.len() == floor {
        out.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolved_forms_as_sysdig_prints_them() {
        for (base, path, expected) in [
            ("/home/ubuntu/", "", "/home/ubuntu"),
            ("/home/ubuntu/", ".", "/home/ubuntu"),
            ("/home/ubuntu/", "../x//y/.", "/home/x/y"),
            ("/home/ubuntu/", "../../../..", "/"),
            ("/home/ubuntu", "a\tb", "/home/ubuntu/a.b"),
            ("/data/dir", "/abs", "/abs"),
            ("", "./f", "f"),
            ("", "a/../b", "b"),
            ("<NA>", "bin/x", "bin/x"),
            ("", "", ""),
        ] {
            let mut out = b"before".to_vec();
            push_resolved(&mut out, base.as_bytes(), path.as_bytes());
            assert_eq!(std::str::from_utf8(&out[6..]).unwrap(), expected, "{base} {path}");
        }
    }
}
