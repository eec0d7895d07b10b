//! Which files a chisel may open.
//!
//! Unless the user allows more: files below a folder of the current directory, those beside the
//! capture that chisels of sysdig use as their index (`NAME_wd_index/`), and, for reading, the
//! folders of chisels. Nothing hidden, nothing through `..` or a link that leads elsewhere, and no
//! file that exists is ever changed.

use super::host::Host;
use std::path::{Component, Path, PathBuf};

/// End of the folder that `wsysdig_summary` keeps beside a capture.
const INDEX_END: &str = "_wd_index";

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Whether the chisel may; else why not.
pub(super) fn check(host: &Host, path: &str, access: Access) -> Result<(), String> {
    if host.options.unrestricted {
        return Ok(());
    }
    let refuse = |why: &str| Err(format!("{path}: a chisel may not open it: {why}; --lua-unsafe allows it"));
    let file = Path::new(path);
    let is_hidden = |part: Component<'_>| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b"."));
    if file.components().any(|part| part == Component::ParentDir) {
        return refuse("its name goes up");
    }
    if access == Access::Write && std::fs::symlink_metadata(file).is_ok() {
        return refuse("it exists and would be changed");
    }
    let Some(folder) = file.parent() else { return refuse("it is no file") };
    // A folder that is not there holds nothing; the open itself will say so.
    let Ok(folder) =
        std::fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
    else {
        return Ok(());
    };
    let target = match std::fs::canonicalize(file) {
        Ok(target) => target,
        Err(_) => folder.join(file.file_name().unwrap_or_default()),
    };
    let is_visible = |rest: &Path| !rest.as_os_str().is_empty() && !rest.components().any(is_hidden);
    let inside = allowed(host, access).iter().any(|root| target.strip_prefix(root).is_ok_and(is_visible));
    let here = std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default();
    let below_here = target
        .strip_prefix(&here)
        .is_ok_and(|rest| is_visible(rest) && (access == Access::Read || rest.components().count() > 1));
    if inside || below_here {
        Ok(())
    } else {
        refuse("it is hidden, or neither below the current directory nor beside the capture")
    }
}

fn allowed(host: &Host, access: Access) -> Vec<PathBuf> {
    let capture = &host.input.borrow().name;
    let index = (!capture.is_empty()).then(|| PathBuf::from(format!("{capture}{INDEX_END}")));
    let chisels = host.folders.iter().filter(|_| access == Access::Read).cloned();
    // The current directory has its own rule.
    let chisels = chisels.filter(|folder| folder != Path::new("."));
    index.into_iter().chain(chisels).filter_map(|root| std::fs::canonicalize(root).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_the_capture_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(path("a.scap_wd_index")).unwrap();
        std::fs::write(path("a.scap_wd_index/old"), "x").unwrap();
        std::fs::write(path("secret"), "x").unwrap();
        std::os::unix::fs::symlink(path("secret"), path("a.scap_wd_index/link")).unwrap();
        let host = Host::default();
        host.input.borrow_mut().name = path("a.scap");
        for (name, access, allowed) in [
            ("a.scap_wd_index/old", Access::Read, true),
            ("a.scap_wd_index/new", Access::Write, true),
            ("a.scap_wd_index/old", Access::Write, false),
            ("a.scap_wd_index/link", Access::Read, false),
            ("a.scap_wd_index/../secret", Access::Read, false),
            ("a.scap_wd_index/.new", Access::Write, false),
            ("secret", Access::Read, false),
            ("new", Access::Write, false),
        ] {
            let answer = check(&host, &path(name), access);
            assert_eq!(answer.is_ok(), allowed, "{name} {access:?}: {answer:?}");
        }
        assert!(check(&host, "/etc/passwd", Access::Read).unwrap_err().contains("--lua-unsafe"));
    }
}
