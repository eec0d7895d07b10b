//! A set of path prefixes for `pmatch`: a trie over whole components.

use crate::glob::glob_matches;
use crate::text_set::ByteHasher;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Paths, one of which must be equal to the value or a directory above it.
#[derive(Debug, Default)]
pub(crate) struct PathSet {
    nodes: Vec<PathNode>,
    /// Paths with a glob in a component: tried one after the other.
    globs: Vec<Vec<Box<[u8]>>>,
}

#[derive(Debug, Default)]
struct PathNode {
    children: HashMap<Box<[u8]>, usize, BuildHasherDefault<ByteHasher>>,
    is_end: bool,
}

impl PathSet {
    pub(crate) fn new(paths: &[Box<[u8]>]) -> PathSet {
        let mut set = PathSet { nodes: vec![PathNode::default()], globs: Vec::new() };
        for path in paths.iter().filter(|path| !path.is_empty()) {
            if is_glob(path) {
                set.globs.push(components(path).map(Box::from).collect());
            } else {
                set.insert(path);
            }
        }
        set
    }

    fn insert(&mut self, path: &[u8]) {
        let mut at = 0;
        for component in components(path) {
            at = match self.nodes[at].children.get(component) {
                Some(&child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(PathNode::default());
                    self.nodes[at].children.insert(component.into(), child);
                    child
                }
            };
        }
        self.nodes[at].is_end = true;
    }

    /// Is the path one of the set or below one?
    pub(crate) fn covers(&self, path: &[u8]) -> bool {
        let mut at = 0;
        for component in components(path) {
            match self.nodes[at].children.get(component) {
                Some(&child) if self.nodes[child].is_end => return true,
                Some(&child) => at = child,
                None => break,
            }
        }
        self.globs.iter().any(|pattern| glob_covers(pattern.iter().map(|component| &**component), path))
    }
}

/// Is one path, which may have globs in its components, equal to another or a directory above it?
pub(crate) fn path_covers(prefix: &[u8], path: &[u8]) -> bool {
    if is_glob(prefix) {
        return glob_covers(components(prefix), path);
    }
    let mut rest = components(path);
    !prefix.is_empty() && components(prefix).all(|component| rest.next() == Some(component))
}

fn is_glob(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

fn glob_covers<'p>(mut pattern: impl Iterator<Item = &'p [u8]>, path: &[u8]) -> bool {
    let mut rest = components(path);
    pattern.all(|pattern| rest.next().is_some_and(|component| glob_matches(pattern, component, false)))
}

/// The components of a path; an absolute path has `/` as its first. Doubled and trailing slashes do
/// not count.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let root: &[u8] = if path.starts_with(b"/") { b"/" } else { b"" };
    std::iter::once(root).chain(path.split(|&byte| byte == b'/')).filter(|component| !component.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_components() {
        let set = PathSet::new(&["/etc", "/usr/lib", "/var/*/x", "rel"].map(|path| path.as_bytes().into()));
        for (path, want) in [
            ("/etc", true),
            ("/etc/passwd", true),
            ("/etcetera", false),
            ("/et", false),
            ("/usr", false),
            ("/usr/lib/a/b", true),
            ("/usr//lib", true),
            ("/var/log/x/y", true),
            ("/var/log/y", false),
            ("rel/x", true),
            ("/rel/x", false),
            ("", false),
            ("/", false),
        ] {
            assert_eq!(set.covers(path.as_bytes()), want, "{path}");
        }
        assert!(PathSet::new(&[b"/".as_slice().into()]).covers(b"/anything"));
        assert!(path_covers(b"/etc/", b"/etc/passwd") && !path_covers(b"", b"/etc"));
        assert!(path_covers(b"/e*/", b"/etc/passwd") && !path_covers(b"/e*/x", b"/etc/passwd"));
    }
}
