//! [`Cgroup`]: the control group of a made-up container, for tests that need containers and no engine.

use crate::live::within;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where groups are made, the first that is there: v1, else v2.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
/// How long the last process inside may take to go.
const PATIENCE: Duration = Duration::from_secs(2);

/// A control group named as a container's. Made by the first that runs in it, gone with this value.
#[derive(Debug)]
pub struct Cgroup {
    /// The whole id of the container.
    pub id: String,
    path: PathBuf,
}

impl Cgroup {
    /// The group of a container with this id.
    ///
    /// # Panics
    /// On a machine without control groups.
    pub fn of(id: String) -> Cgroup {
        let hierarchy = HIERARCHIES.iter().map(Path::new).find(|path| path.is_dir()).expect("control groups");
        Cgroup { path: hierarchy.join(&id), id }
    }

    /// The group of a container of this test program, by number.
    pub fn numbered(number: usize) -> Cgroup {
        Cgroup::of(format!("{:08x}{number:04x}{:052x}", std::process::id(), 0))
    }

    /// The group of a container with this id, made; where none can be made here, `test` is skipped.
    pub fn made(id: &str, test: &str) -> Option<Cgroup> {
        let group = HIERARCHIES.iter().map(|hierarchy| Path::new(hierarchy).join(id));
        let path = group.into_iter().find(|path| {
            // That of a run that was ended in the middle, if there was one.
            let _ = std::fs::remove_dir(path);
            std::fs::create_dir(path).is_ok() && path.join("cgroup.procs").exists()
        });
        if path.is_none() {
            crate::skip(test, "no control group can be made here");
        }
        Some(Cgroup { path: path?, id: id.to_owned() })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// The id that events have.
    pub fn short_id(&self) -> &str {
        &self.id[..12]
    }

    /// A shell that makes the group, enters it and becomes `program`.
    pub fn enter(&self, program: &Path) -> Command {
        let script =
            format!("mkdir -p {0} && echo 0 > {0}/cgroup.procs && exec \"$0\" \"$@\"", self.path.display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).arg(program);
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whoever ran in it is gone a moment later.
        within(PATIENCE, || std::fs::remove_dir(&self.path).is_ok() || !self.path.exists());
    }
}
