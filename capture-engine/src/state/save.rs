//! The state as a snapshot, for a file that begins in the middle of a stream (rotation): the
//! reverse of loading one.
//!
//! Loading what was saved gives the state back as far as the format can hold it: calls under way
//! and roles of sockets whose listener is gone are not in it.

use super::fd::{FdInfo, O_DIRECTORY, Role};
use super::machine::Machine;
use super::thread::Thread;
use super::tuples;
use capture_common::Snapshot;
use capture_common::snapshot::{FdKind, FdRecord, FdType, ThreadRecord};
use rustc_hash::FxHashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Machine {
    /// The state as it is now. Containers are not in it: their records are events.
    pub fn save(&self) -> Snapshot {
        let mut users: Vec<_> = self.users.users().cloned().collect();
        users.sort_by_key(|user| user.uid);
        let mut groups: Vec<_> = self.users.groups().cloned().collect();
        groups.sort_by_key(|group| group.gid);
        let mut threads: Vec<&Thread> = self.threads.iter().collect();
        threads.sort_by_key(|t| (t.pid, !t.is_main(), t.tid));
        let listening: FxHashSet<u16> = threads
            .iter()
            .flat_map(|t| t.fds.iter())
            .filter(|(_, fd)| fd.is_ip_server())
            .map(|(_, fd)| fd.sock.dest.port)
            .collect();
        let fds = threads
            .iter()
            .filter(|t| !t.fds.is_empty())
            .map(|t| (t.tid, t.fds.iter().map(|(number, fd)| fd_record(number, fd, &listening)).collect()))
            .collect();
        Snapshot {
            dialect: self.dialect,
            machine: self.info.clone(),
            interfaces: self.interfaces.list().to_vec(),
            users,
            groups,
            threads: threads.into_iter().map(thread_record).collect(),
            fds,
        }
    }
}

fn thread_record(t: &Thread) -> ThreadRecord {
    ThreadRecord {
        tid: t.tid,
        pid: t.pid,
        ptid: t.ptid,
        sid: t.sid,
        vpgid: t.vpgid,
        pgid: t.pgid,
        vtid: t.vtid,
        vpid: t.vpid,
        comm: t.comm.to_vec(),
        exe: t.exe.to_vec(),
        exepath: t.exepath.to_vec(),
        args: t.args_raw.to_vec(),
        env: t.env_raw.to_vec(),
        cwd: t.cwd.to_vec(),
        root: t.root.to_vec(),
        cgroups: t.cgroups_raw.to_vec(),
        fdlimit: t.fdlimit,
        flags: t.flags,
        uid: t.uid,
        gid: t.gid,
        loginuid: t.loginuid,
        vm_size_kb: t.vm_size_kb,
        vm_rss_kb: t.vm_rss_kb,
        vm_swap_kb: t.vm_swap_kb,
        pfmajor: t.pfmajor,
        pfminor: t.pfminor,
        pidns_init_start_ns: t.pidns_init_start_ns,
        tty: t.tty,
        exe_writable: t.exe_file.writable,
        caps: t.caps,
        exe_upper_layer: t.exe_file.upper_layer,
        exe_lower_layer: t.exe_file.lower_layer,
        exe_from_memfd: t.exe_file.from_memfd,
        exe_ino: t.exe_file.ino,
        exe_ino_ctime_ns: t.exe_file.ctime_ns,
        exe_ino_mtime_ns: t.exe_file.mtime_ns,
    }
}

fn fd_record(number: i64, fd: &FdInfo, listening: &FxHashSet<u16>) -> FdRecord {
    let (mut source, mut dest) = (fd.sock.source, fd.sock.dest);
    // The format has the own end first; loading puts the server's end second where it knows of a
    // listener on that port, and would else take the server for the client.
    if fd.is_ip_stream() && fd.sock.role == Role::Server && listening.contains(&dest.port) {
        std::mem::swap(&mut source, &mut dest);
    }
    let (sport, dport, l4proto) = (source.port, dest.port, fd.sock.l4proto);
    let kind = match fd.ty {
        FdType::Ipv4 => FdKind::Ipv4 { sip: v4(source.ip), dip: v4(dest.ip), sport, dport, l4proto },
        FdType::Ipv6 => FdKind::Ipv6 { sip: v6(source.ip), dip: v6(dest.ip), sport, dport, l4proto },
        FdType::Ipv4Server => FdKind::Ipv4Server { ip: v4(dest.ip), port: dport, l4proto },
        FdType::Ipv6Server => FdKind::Ipv6Server { ip: v6(dest.ip), port: dport, l4proto },
        FdType::Unix => FdKind::Unix {
            source: fd.sock.unix_source,
            destination: fd.sock.unix_dest,
            path: fd.name.to_vec(),
        },
        // Files tell a directory by its open flags.
        FdType::Directory if fd.open_flags & O_DIRECTORY == 0 => {
            FdKind::Other { ty: FdType::Directory, name: fd.name.to_vec() }
        }
        FdType::File | FdType::Directory => {
            FdKind::File { open_flags: fd.open_flags, name: fd.name.to_vec(), dev: fd.dev }
        }
        ty => FdKind::Other { ty, name: fd.name.to_vec() },
    };
    FdRecord { fd: number, ino: fd.ino, kind }
}

fn v4(ip: IpAddr) -> Ipv4Addr {
    tuples::mapped_v4(ip).unwrap_or(Ipv4Addr::UNSPECIFIED)
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        // The address of a socket of which nothing is known is the unset IPv4 one.
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv6Addr::UNSPECIFIED,
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
