//! Control group ids to the text that files store: `cpuset=/a`, `cpu=/b` and so on, each with a
//! NUL.
//!
//! The probe records ids (inode numbers of the cgroup directories, unique per hierarchy); names
//! are looked up here, once per id, by the kernel's file handles and else by walking the tree. An
//! id that cannot be resolved is left out: no path is ever guessed.

use capture_common::abi::{TaskInfo, cgroup_slot};
use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Hierarchies as files name them, and the slot that leads to each.
const STORED: &[(&str, usize)] = &[
    ("cpuset", cgroup_slot::CPUSET),
    ("cpu", cgroup_slot::CPU),
    ("cpuacct", cgroup_slot::CPUACCT),
    ("io", cgroup_slot::IO),
    ("memory", cgroup_slot::MEMORY),
];
/// Name under which the mount options list the controller of each slot.
const CONTROLLERS: &[(&str, usize)] = &[
    ("cpuset", cgroup_slot::CPUSET),
    ("cpu", cgroup_slot::CPU),
    ("cpuacct", cgroup_slot::CPUACCT),
    ("blkio", cgroup_slot::IO),
    ("memory", cgroup_slot::MEMORY),
    ("pids", cgroup_slot::PIDS),
    ("devices", cgroup_slot::DEVICES),
];
/// Names kept per hierarchy.
const CACHE_MAX: usize = 16_384;
/// Least time between two walks of a tree.
const WALK_PAUSE: Duration = Duration::from_millis(100);
/// Deepest cgroup that a walk visits.
const WALK_DEPTH_MAX: usize = 32;

/// Turns cgroup ids into paths.
pub trait CgroupPaths: Send {
    /// Whether all controllers live in the one unified (v2) hierarchy.
    fn is_unified(&self) -> bool;

    /// Path of the cgroup with this id, below the root of the hierarchy of `slot` (see
    /// [`cgroup_slot`]); `None` when it is not known.
    fn path(&mut self, slot: usize, id: u64) -> Option<&str>;
}

/// Knows no cgroup: for tests and for machines without a cgroup mount.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoCgroups;

impl CgroupPaths for NoCgroups {
    fn is_unified(&self) -> bool {
        false
    }

    fn path(&mut self, _slot: usize, _id: u64) -> Option<&str> {
        None
    }
}

/// Appends the cgroups of `task` in stored form.
pub(super) fn push_cgroups(task: &TaskInfo, paths: &mut dyn CgroupPaths, out: &mut Vec<u8>) {
    let unified = paths.is_unified();
    for &(name, slot) in STORED {
        // On a v2 host every controller is shown with the one path that the process has.
        let slot = if unified { cgroup_slot::UNIFIED } else { slot };
        push_entry(name, slot, task, paths, out);
    }
    if unified {
        return;
    }
    // Where v1 holds the controllers, a v2 path of its own can still be the one that tells the
    // container.
    let start = out.len();
    push_entry("unified", cgroup_slot::UNIFIED, task, paths, out);
    let path_at = start + "unified=".len();
    let known = match out.get(path_at..) {
        Some(b"/\0") | None => true,
        Some(path) => out[..start].split_inclusive(|&b| b == 0).any(|entry| entry.ends_with(path)),
    };
    if known {
        out.truncate(start);
    }
}

fn push_entry(name: &str, slot: usize, task: &TaskInfo, paths: &mut dyn CgroupPaths, out: &mut Vec<u8>) {
    let id = task.cgroup_ids[slot];
    if id == 0 {
        return;
    }
    if let Some(path) = paths.path(slot, id) {
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(path.as_bytes());
        out.push(0);
    }
}

/// The hierarchies mounted on this machine.
#[derive(Debug)]
pub struct SysfsCgroups {
    mounts: Vec<Mount>,
    /// Mount of each slot.
    by_slot: [Option<usize>; cgroup_slot::COUNT],
    unified: bool,
}

#[derive(Debug)]
struct Mount {
    point: PathBuf,
    /// The hierarchy's directory that is mounted there; `/` but in a container.
    root: String,
    fd: Option<OwnedFd>,
    names: HashMap<u64, String>,
    walked: Option<Instant>,
}

impl SysfsCgroups {
    /// Finds the mounts in `/proc/self/mountinfo`. Without any, no id will be resolved.
    pub fn new() -> Self {
        Self::from_mountinfo(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    fn from_mountinfo(text: &str) -> Self {
        let mut this = Self { mounts: Vec::new(), by_slot: [None; cgroup_slot::COUNT], unified: true };
        for line in text.lines() {
            let Some((front, back)) = line.split_once(" - ") else { continue };
            let mut back = back.split(' ');
            let kind = back.next().unwrap_or_default();
            let options = back.nth(1).unwrap_or_default();
            let mut front = front.split(' ').skip(3);
            let (Some(root), Some(point)) = (front.next(), front.next()) else { continue };
            let slots: Vec<usize> = match kind {
                "cgroup2" => vec![cgroup_slot::UNIFIED],
                "cgroup" => options
                    .split(',')
                    .filter_map(|o| CONTROLLERS.iter().find(|(name, _)| *name == o))
                    .map(|&(_, slot)| slot)
                    .collect(),
                _ => continue,
            };
            if kind == "cgroup" && !slots.is_empty() {
                this.unified = false;
            }
            let at = this.mounts.len();
            let mut used = false;
            for slot in slots {
                // A hierarchy may be mounted more than once; the first one that is whole serves.
                if this.by_slot[slot].is_none() {
                    this.by_slot[slot] = Some(at);
                    used = true;
                }
            }
            if used {
                this.mounts.push(Mount::new(root, point));
            }
        }
        // Controllers without a v1 mount are in the unified hierarchy.
        for slot in 0..cgroup_slot::COUNT {
            this.by_slot[slot] = this.by_slot[slot].or(this.by_slot[cgroup_slot::UNIFIED]);
        }
        this
    }
}

impl Default for SysfsCgroups {
    fn default() -> Self {
        Self::new()
    }
}

impl CgroupPaths for SysfsCgroups {
    fn is_unified(&self) -> bool {
        self.unified
    }

    fn path(&mut self, slot: usize, id: u64) -> Option<&str> {
        let at = (*self.by_slot.get(slot)?)?;
        self.mounts.get_mut(at)?.path(id)
    }
}

impl Mount {
    fn new(root: &str, point: &str) -> Self {
        let point = PathBuf::from(unescape(point));
        let fd = fs::File::open(&point).ok().map(OwnedFd::from);
        Self { point, root: unescape(root), fd, names: HashMap::new(), walked: None }
    }

    fn path(&mut self, id: u64) -> Option<&str> {
        if !self.names.contains_key(&id) {
            if self.names.len() >= CACHE_MAX {
                self.names.clear();
            }
            match self.fd.as_ref().map(|fd| open_by_id(fd, id)) {
                Some(Ok(dir)) => {
                    let name = self.name_of(&dir)?;
                    self.names.insert(id, name);
                }
                // The cgroup is gone: a walk would not find it either.
                Some(Err(libc::ESTALE | libc::ENOENT)) => return None,
                _ => self.walk_again(),
            }
        }
        self.names.get(&id).map(String::as_str)
    }

    /// Path of an open cgroup directory, below the hierarchy's root.
    fn name_of(&self, dir: &OwnedFd) -> Option<String> {
        let link = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).ok()?;
        let below = link.strip_prefix(&self.point).ok()?;
        Some(self.join(below))
    }

    fn join(&self, below: &Path) -> String {
        let below = below.to_string_lossy();
        match (self.root.trim_end_matches('/'), below.as_ref()) {
            ("", "") => "/".to_owned(),
            (root, "") => root.to_owned(),
            (root, below) => format!("{root}/{below}"),
        }
    }

    fn walk_again(&mut self) {
        if self.walked.is_some_and(|at| at.elapsed() < WALK_PAUSE) {
            return;
        }
        let mut found = HashMap::new();
        let mut pending = vec![(self.point.clone(), 0)];
        while let Some((dir, depth)) = pending.pop() {
            let Ok(meta) = fs::metadata(&dir) else { continue };
            let below = dir.strip_prefix(&self.point).unwrap_or(Path::new(""));
            found.insert(meta.ino(), self.join(below));
            if depth == WALK_DEPTH_MAX || found.len() >= CACHE_MAX {
                continue;
            }
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let dirs = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            pending.extend(dirs.map(|e| (e.path(), depth + 1)));
        }
        self.names = found;
        self.walked = Some(Instant::now());
    }
}

/// Opens the cgroup directory with this kernfs id; the errno on failure.
#[expect(unsafe_code, reason = "std has no open_by_handle_at")]
fn open_by_id(mount: &OwnedFd, id: u64) -> Result<OwnedFd, i32> {
    /// `FILEID_KERNFS` (include/linux/exportfs.h): the handle is the 64-bit id.
    const FILEID_KERNFS: i32 = 0xfe;
    #[repr(C)]
    struct Handle {
        handle_bytes: u32,
        handle_type: i32,
        id: [u8; 8],
    }
    let mut handle = Handle { handle_bytes: 8, handle_type: FILEID_KERNFS, id: id.to_ne_bytes() };
    // SAFETY: the handle is a live local in the layout of `struct file_handle`, whose
    // `handle_bytes` says how many bytes of it follow; the kernel only reads it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            std::ptr::from_mut(&mut handle),
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    // SAFETY: the call has just returned this fd; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Undoes the octal escapes of mountinfo (blank, tab, newline, backslash).
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            _ => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names every id after its slot.
    struct Named(bool);

    impl CgroupPaths for Named {
        fn is_unified(&self) -> bool {
            self.0
        }
        fn path(&mut self, slot: usize, id: u64) -> Option<&str> {
            match (slot, id) {
                (_, 1) => Some("/"),
                (cgroup_slot::UNIFIED, 2) => Some("/pod"),
                (_, 2) => Some("/lab"),
                (_, 3) => Some("/pod"),
                _ => None,
            }
        }
    }

    fn task(ids: [u64; 8]) -> TaskInfo {
        let zero = [0u8; TaskInfo::LEN_BYTES];
        TaskInfo { cgroup_ids: ids, ..TaskInfo::read(&zero).unwrap() }
    }

    fn stored(ids: [u64; 8], unified: bool) -> String {
        let mut out = Vec::new();
        push_cgroups(&task(ids), &mut Named(unified), &mut out);
        String::from_utf8(out).unwrap().replace('\0', " ")
    }

    #[test]
    fn v1_lists_each_hierarchy() {
        assert_eq!(stored([1, 1, 2, 0, 2, 0, 0, 1], false), "cpuset=/ cpu=/ cpuacct=/lab memory=/lab ");
    }

    #[test]
    fn a_hybrid_hosts_own_v2_path_is_added_once() {
        assert_eq!(
            stored([1, 1, 1, 1, 1, 0, 0, 2], false),
            "cpuset=/ cpu=/ cpuacct=/ io=/ memory=/ unified=/pod "
        );
        assert_eq!(stored([1, 1, 1, 1, 3, 0, 0, 2], false), "cpuset=/ cpu=/ cpuacct=/ io=/ memory=/pod ");
    }

    #[test]
    fn v2_gives_every_controller_the_one_path() {
        assert_eq!(
            stored([0, 9, 0, 9, 1, 0, 0, 2], true),
            "cpuset=/pod cpu=/pod cpuacct=/pod io=/pod memory=/pod "
        );
    }

    #[test]
    fn an_unknown_id_is_left_out() {
        assert_eq!(stored([9, 1, 0, 0, 0, 0, 0, 0], false), "cpu=/ ");
    }

    #[test]
    fn mounts_are_found_by_controller() {
        let this = SysfsCgroups::from_mountinfo(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             33 31 0:30 / /nowhere/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
             41 31 0:38 /kube /nowhere/uni\\040fied rw shared:9 - cgroup2 cgroup2 rw\n",
        );
        assert!(!this.unified);
        assert_eq!(this.by_slot[cgroup_slot::CPU], this.by_slot[cgroup_slot::CPUACCT]);
        assert_eq!(this.by_slot[cgroup_slot::MEMORY], this.by_slot[cgroup_slot::UNIFIED]);
        let unified = &this.mounts[this.by_slot[cgroup_slot::UNIFIED].unwrap()];
        assert_eq!(unified.point, Path::new("/nowhere/uni fied"));
        assert_eq!(unified.join(Path::new("a/b")), "/kube/a/b");
        assert_eq!(unified.join(Path::new("")), "/kube");
    }

    #[test]
    fn this_machines_root_cgroups_resolve() {
        let mut this = SysfsCgroups::new();
        for slot in 0..cgroup_slot::COUNT {
            let Some(at) = this.by_slot[slot] else { continue };
            let Ok(meta) = fs::metadata(&this.mounts[at].point) else { continue };
            let root = this.mounts[at].join(Path::new(""));
            assert_eq!(this.path(slot, meta.ino()), Some(root.as_str()));
        }
    }
}
