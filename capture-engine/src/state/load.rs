//! Loading the snapshot that opens a section.

use super::cgroups::container_id;
use super::fd::{ConnState, Endpoint, FdInfo, O_DIRECTORY, Role, SocketInfo};
use super::machine::Machine;
use super::paths::join_directory;
use super::thread::{ExeFile, Thread};
use super::tuples;
use super::{Text, empty_text, share_text};
use crate::services::PortNames;
use capture_common::Snapshot;
use capture_common::snapshot::{FdKind, FdRecord, FdType, L4Proto, ThreadRecord};
use rustc_hash::FxHashSet;
use std::net::IpAddr;
use std::sync::Arc;

impl Machine {
    /// Replaces all state by a snapshot's.
    pub(crate) fn load(&mut self, snapshot: &Snapshot, max_fds: usize) {
        self.dialect = snapshot.dialect;
        self.info = snapshot.machine.clone();
        let mut refused = self.interfaces.set(&snapshot.interfaces);
        for user in &snapshot.users {
            refused += usize::from(self.users.add_user(user.clone()).is_err());
        }
        for group in &snapshot.groups {
            refused += usize::from(self.users.add_group(group.clone()).is_err());
        }
        self.counters.names_refused += refused as u64;
        self.load_threads(&snapshot.threads);
        self.count_children();
        self.link_children();
        for (tid, records) in &snapshot.fds {
            self.load_fds(*tid, records, max_fds);
        }
        self.guess_roles();
    }

    fn load_threads(&mut self, records: &[ThreadRecord]) {
        let mut full = false;
        for record in records {
            full = full || (self.threads.may_be_heavy() && self.threads.weigh() > 0);
            let main = if record.tid == record.pid { None } else { self.threads.get(record.pid) };
            let thread = thread_of(record, main);
            if full || self.threads.insert(thread).is_none() {
                self.counters.threads_refused += 1;
            }
        }
    }

    /// Connections that were open before the capture: the side that has a listener on its port
    /// is the server's.
    fn guess_roles(&mut self) {
        let names = self.ports;
        let mut ports = FxHashSet::default();
        for thread in self.threads.iter() {
            ports.extend(thread.fds.iter().filter(|(_, f)| f.is_ip_server()).map(|(_, f)| f.sock.dest.port));
        }
        self.threads.for_each_mut(|thread| {
            let open: Vec<i64> =
                thread.fds.iter().filter(|(_, f)| f.is_ip_stream()).map(|(n, _)| n).collect();
            for fd in open {
                let Some(info) = thread.fds.get_mut(fd) else { continue };
                if ports.contains(&info.sock.source.port) {
                    std::mem::swap(&mut info.sock.source, &mut info.sock.dest);
                    info.sock.role = Role::Server;
                    info.name = Text::from(tuples::ip_name(&info.sock, names).as_bytes());
                } else {
                    info.sock.role = Role::Client;
                }
            }
        });
    }

    fn count_children(&mut self) {
        let children: Vec<i64> = self.threads.iter().filter(|t| !t.is_main()).map(|t| t.pid).collect();
        for pid in children {
            if let Some(main) = self.threads.get_mut(pid) {
                main.nchilds += 1;
            }
        }
    }

    fn link_children(&mut self) {
        let pairs: Vec<(i64, i64)> =
            self.threads.iter().filter(|t| t.is_main()).map(|t| (t.ptid, t.tid)).collect();
        for (parent, child) in pairs {
            if let Some(parent) = self.threads.get_mut(parent) {
                parent.children.push(child);
            }
        }
    }

    fn load_fds(&mut self, tid: i64, records: &[FdRecord], max_fds: usize) {
        let Some(slot) = self.threads.slot(tid).map(|s| self.main_slot(s)) else { return };
        let Some(thread) = self.threads.at_mut(slot) else { return };
        for record in records {
            let room = thread.fds.len() < max_fds;
            let info = || Arc::new(fd_of(record, self.ports));
            if !room || thread.fds.insert(record.fd, info(), &self.fd_budget).is_err() {
                self.counters.fds_refused += 1;
            }
        }
    }
}

/// The thread of a record. What it has from its process, the list repeats for each thread.
fn thread_of(r: &ThreadRecord, main: Option<&Thread>) -> Thread {
    let text = |bytes: &[u8]| if bytes.is_empty() { empty_text() } else { Text::from(bytes) };
    let shared = |of: fn(&Thread) -> &Text, bytes: &[u8]| match main {
        Some(main) => share_text(of(main), bytes),
        None => text(bytes),
    };
    let mut cwd = Vec::new();
    if !r.cwd.is_empty() {
        join_directory(b"", &r.cwd, &mut cwd);
    }
    Thread {
        pid: r.pid,
        ptid: r.ptid,
        sid: r.sid,
        vpgid: r.vpgid,
        pgid: r.pgid,
        vtid: r.vtid,
        vpid: r.vpid,
        comm: text(&r.comm),
        exe: shared(|t| &t.exe, &r.exe),
        exepath: shared(|t| &t.exepath, &r.exepath),
        args_raw: shared(|t| &t.args_raw, &r.args),
        env_raw: shared(|t| &t.env_raw, &r.env),
        cwd: shared(|t| &t.cwd, &cwd),
        root: shared(|t| &t.root, &r.root),
        cgroups_raw: shared(|t| &t.cgroups_raw, &r.cgroups),
        container_id: container_id(&r.cgroups),
        flags: r.flags,
        uid: r.uid,
        gid: r.gid,
        loginuid: r.loginuid,
        tty: r.tty,
        fdlimit: r.fdlimit,
        vm_size_kb: r.vm_size_kb,
        vm_rss_kb: r.vm_rss_kb,
        vm_swap_kb: r.vm_swap_kb,
        pfmajor: r.pfmajor,
        pfminor: r.pfminor,
        pidns_init_start_ns: r.pidns_init_start_ns,
        exe_file: ExeFile {
            writable: r.exe_writable,
            upper_layer: r.exe_upper_layer,
            lower_layer: r.exe_lower_layer,
            from_memfd: r.exe_from_memfd,
            ino: r.exe_ino,
            ctime_ns: r.exe_ino_ctime_ns,
            mtime_ns: r.exe_ino_mtime_ns,
        },
        caps: r.caps,
        ..Thread::new(r.tid)
    }
}

fn fd_of(record: &FdRecord, ports: PortNames) -> FdInfo {
    let mut info = match &record.kind {
        FdKind::Ipv4 { sip, dip, sport, dport, l4proto } => {
            connection(FdType::Ipv4, IpAddr::V4(*sip), *sport, IpAddr::V4(*dip), *dport, *l4proto)
        }
        FdKind::Ipv6 { sip, dip, sport, dport, l4proto } => {
            connection(FdType::Ipv6, IpAddr::V6(*sip), *sport, IpAddr::V6(*dip), *dport, *l4proto)
        }
        FdKind::Ipv4Server { ip, port, l4proto } => {
            listener(FdType::Ipv4Server, IpAddr::V4(*ip), *port, *l4proto)
        }
        FdKind::Ipv6Server { ip, port, l4proto } => {
            listener(FdType::Ipv6Server, IpAddr::V6(*ip), *port, *l4proto)
        }
        FdKind::Unix { source, destination, path } => {
            let sock = SocketInfo { unix_source: *source, unix_dest: *destination, ..Default::default() };
            FdInfo { sock, name: Text::from(&path[..]), ..FdInfo::new(FdType::Unix) }
        }
        FdKind::File { open_flags, name, dev } => {
            let ty = if open_flags & O_DIRECTORY != 0 { FdType::Directory } else { FdType::File };
            FdInfo { name: Text::from(&name[..]), open_flags: *open_flags, dev: *dev, ..FdInfo::new(ty) }
        }
        FdKind::Other { ty, name } => FdInfo { name: Text::from(&name[..]), ..FdInfo::new(*ty) },
    };
    info.ino = record.ino;
    if info.is_ip_server() {
        info.name = Text::from(tuples::endpoint_name(&info.sock.dest, info.sock.l4proto, ports).as_bytes());
    } else if info.is_ip_stream() {
        info.name = Text::from(tuples::ip_name_in_table(&info.sock, ports).as_bytes());
    }
    info
}

fn connection(ty: FdType, sip: IpAddr, sport: u16, dip: IpAddr, dport: u16, l4proto: L4Proto) -> FdInfo {
    let sock = SocketInfo {
        source: Endpoint { ip: sip, port: sport },
        dest: Endpoint { ip: dip, port: dport },
        l4proto,
        state: ConnState::Connected,
        ..Default::default()
    };
    FdInfo { sock, ..FdInfo::new(ty) }
}

fn listener(ty: FdType, ip: IpAddr, port: u16, l4proto: L4Proto) -> FdInfo {
    let sock = SocketInfo { dest: Endpoint { ip, port }, l4proto, role: Role::Server, ..Default::default() };
    FdInfo { sock, ..FdInfo::new(ty) }
}
