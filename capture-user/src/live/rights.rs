//! The rights of this process: [`User`], as whom a capture goes on once the probe is attached
//! (`--user`), and the sentence for a kernel that refuses although the rights would do.
//!
//! Invariant: after `User::become_it` every thread that this one starts holds the capabilities of
//! `KEPT` and no others, effective and permitted; threads that ran before hold none at all.

use super::error::LiveError;
use super::priority;
use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{self, Gid, Uid};
use std::ffi::CString;
use std::fmt::Display;
use std::io;

/// What a capture under way makes use of: its maps, its programs, and /proc of other users.
const KEPT: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Somebody to go on as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: CString,
    uid: Uid,
    gid: Gid,
}

impl User {
    /// The user of this name, or of this number, on this machine.
    ///
    /// # Errors
    /// Where the user database has none.
    pub fn find(text: &str) -> Result<User, LiveError> {
        let found = match text.parse::<u32>() {
            Ok(number) => unistd::User::from_uid(Uid::from_raw(number)),
            Err(_) => unistd::User::from_name(text),
        };
        let user = found
            .map_err(|errno| LiveError::Os { what: "looking the user of --user up", source: errno.into() })?
            .ok_or_else(|| LiveError::NoUser { name: text.to_owned() })?;
        let name = CString::new(user.name).map_err(|_| LiveError::NoUser { name: text.to_owned() })?;
        Ok(User { name, uid: user.uid, gid: user.gid })
    }

    /// Makes this process the user's: ids, groups, and no rights but those of [`KEPT`].
    ///
    /// The priority is raised before, since that takes a right which is not kept: threads that are
    /// started from here on inherit it and can only lower it.
    ///
    /// # Errors
    /// Where the system refuses: the capture was not started as root.
    pub(crate) fn become_it(&self) -> Result<(), LiveError> {
        let refused = |what: &'static str| move |error: io::Error| self.refused(what, &error);
        let os = |errno: nix::errno::Errno| io::Error::from(errno);
        let caps = |error: caps::errors::CapsError| io::Error::other(error.to_string());
        let mine =
            caps::read(None, CapSet::Permitted).map_err(caps).map_err(refused("reading capabilities"))?;
        // Root itself can lack some, inside a container.
        let kept: CapsHashSet = KEPT.into_iter().filter(|cap| mine.contains(cap)).collect();
        priority::raise(priority::DRAIN);
        caps::securebits::set_keepcaps(true).map_err(caps).map_err(refused("keeping capabilities"))?;
        if !unistd::geteuid().is_root() && unistd::geteuid() == self.uid {
            // Rights by file capabilities: only the others are left to be given up.
        } else {
            unistd::initgroups(&self.name, self.gid).map_err(os).map_err(refused("setting its groups"))?;
            unistd::setresgid(self.gid, self.gid, self.gid)
                .map_err(os)
                .map_err(refused("setting its group"))?;
            unistd::setresuid(self.uid, self.uid, self.uid).map_err(os).map_err(refused("setting its id"))?;
        }
        for set in [CapSet::Effective, CapSet::Permitted] {
            caps::set(None, set, &kept).map_err(caps).map_err(refused("limiting capabilities"))?;
        }
        caps::clear(None, CapSet::Inheritable).map_err(caps).map_err(refused("limiting capabilities"))?;
        caps::securebits::set_keepcaps(false).map_err(caps).map_err(refused("limiting capabilities"))
    }

    fn refused(&self, what: &'static str, error: &dyn Display) -> LiveError {
        let name = self.name.to_string_lossy().into_owned();
        LiveError::BecomeUser { name, what, reason: error.to_string() }
    }
}

/// User and group of who became root by sudo(8), which says so in the environment: files that are
/// made are theirs.
pub fn behind_sudo(env: impl Fn(&str) -> Option<String>) -> Option<(u32, u32)> {
    let number = |name| env(name)?.parse().ok();
    let invoking = number("SUDO_UID").zip(number("SUDO_GID"));
    invoking.filter(|_| unistd::geteuid().is_root())
}

/// What stands in the way of a probe that the kernel refuses to somebody with the rights for it;
/// `status` is the text of /proc/self/status, `lockdown` of /sys/kernel/security/lockdown.
pub(super) fn obstacle(status: &str, lockdown: &str) -> Option<&'static str> {
    if lockdown.contains("[confidentiality]") {
        return Some(
            "the kernel is locked down (lockdown=confidentiality), which keeps programs from reading its memory: boot without it",
        );
    }
    let filtered =
        status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"));
    filtered.then_some(
        "a seccomp filter is on this process and refuses bpf(2): run its container without one (--security-opt seccomp=unconfined) or with a profile that allows bpf",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, User::find("0").unwrap()), (Uid::from_raw(0), root));
        for name in ["no-such-user", "4294967294", "", "-1"] {
            assert!(matches!(User::find(name), Err(LiveError::NoUser { .. })), "{name:?}");
        }
    }

    #[test]
    fn obstacles_are_named() {
        let none = "none [integrity] confidentiality";
        assert_eq!(obstacle("Seccomp:\t0\n", none), None);
        assert!(obstacle("Name:\tx\nSeccomp:\t2\n", none).unwrap().contains("seccomp"));
        assert!(
            obstacle("Seccomp:\t0\n", "none integrity [confidentiality]\n").unwrap().contains("lockdown")
        );
    }
}
