//! Which fields are decided by the event's process or by its fd alone, so that a filter need not read
//! them again for each event of the same ones.
//!
//! Invariant: a field of [`PROCESS`] reads the thread and what stands around it (its ancestors,
//! session, users, container), none of which changes without `ThreadTable::touch`; it does not read
//! what every call changes, such as times, counts and memory. A field of [`FD`] reads the `FdInfo`.
//! It may look at the event's type, which is part of the version.

use filter_lang::Subject;

/// The event's thread and what is known of processes.
pub(crate) const PROCESS: Subject = Subject(0);
/// The fd that the event is about.
pub(crate) const FD: Subject = Subject(1);

/// Name of a subject, for explanations.
pub(crate) fn subject_name(subject: Subject) -> Option<&'static str> {
    match subject {
        PROCESS => Some("process"),
        FD => Some("fd"),
        _ => None,
    }
}

/// The subject that decides a field.
pub(crate) fn subject_of(field: &str) -> Option<Subject> {
    let of_fd = field.strip_prefix("fd.").is_some_and(|rest| FD_FIELDS.contains(&rest));
    if of_fd { Some(FD) } else { PROCESS_FIELDS.contains(&field).then_some(PROCESS) }
}

#[rustfmt::skip]
const FD_FIELDS: &[&str] = &[
    "type", "typechar", "name", "nameraw", "directory", "filename", "ip", "cip", "sip", "lip", "rip",
    "port", "cport", "sport", "lport", "rport", "net", "cnet", "snet", "lnet", "rnet", "proto", "cproto",
    "sproto", "lproto", "rproto", "l4proto", "sockfamily", "is_server", "connected", "dev", "dev.major",
    "dev.minor", "ino",
];

#[rustfmt::skip]
const PROCESS_FIELDS: &[&str] = &[
    "proc.pid", "proc.exe", "proc.name", "proc.args", "proc.env", "proc.cmdline", "proc.exeline",
    "proc.cmdnargs", "proc.cmdlenargs", "proc.exepath", "proc.cwd", "proc.vpid", "proc.sid", "proc.vpgid",
    "proc.pgid", "proc.tty", "proc.is_exe_writable", "proc.is_exe_upper_layer", "proc.is_exe_lower_layer",
    "proc.is_exe_from_memfd", "proc.is_sid_leader", "proc.is_vpgid_leader", "proc.is_pgid_leader",
    "proc.exe_ino", "proc.ppid", "proc.pname", "proc.pexe", "proc.pexepath", "proc.pcmdline", "proc.pvpid",
    "proc.apid", "proc.aname", "proc.aexe", "proc.aexepath", "proc.acmdline", "proc.aargs", "proc.aenv",
    "proc.loginshellid", "proc.sname", "proc.sid.exe", "proc.sid.exepath", "proc.vpgid.name",
    "proc.vpgid.exe", "proc.vpgid.exepath", "proc.pgid.name", "proc.pgid.exe", "proc.pgid.exepath",
    "thread.tid", "thread.ismain", "thread.vtid", "thread.nametid", "thread.cgroups", "thread.cgroup",
    "thread.cap_permitted", "thread.cap_inheritable", "thread.cap_effective",
    "user.uid", "user.name", "user.homedir", "user.shell", "user.loginuid", "user.loginname", "group.gid",
    "group.name",
    "container.id", "container.full_id", "container.name", "container.image", "container.image.id",
    "container.image.repository", "container.image.tag", "container.image.digest", "container.type",
    "container.privileged", "container.ip",
    "k8s.pod.name", "k8s.pod.id", "k8s.pod.uid", "k8s.pod.label", "k8s.pod.labels", "k8s.ns.name",
    "k8s.ns.id", "k8s.ns.label", "k8s.ns.labels", "k8s.deployment.name", "k8s.rs.name",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::field_named;

    #[test]
    fn every_name_is_a_field() {
        let of_fds = FD_FIELDS.iter().map(|rest| format!("fd.{rest}"));
        for name in of_fds.chain(PROCESS_FIELDS.iter().map(|name| (*name).to_owned())) {
            assert!(field_named(&name).is_some(), "{name}");
            assert!(subject_of(&name).is_some(), "{name}");
        }
        assert_eq!(subject_of("fd.num"), None);
    }
}
