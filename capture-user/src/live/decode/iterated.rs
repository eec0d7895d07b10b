//! Processes that were read again, as the iterator events of the current schema.
//!
//! They are marked state-only and uncounted: they tell what is, and nothing that happened.

use capture_common::Batch;
use capture_common::encode::EventHead;
use capture_common::event_table::{EventCode, code};
use capture_common::raw_event::{FLAG_STATE_ONLY, FLAG_UNCOUNTED};
use capture_common::snapshot::{FdKind, FdRecord, FdType, L4Proto, ThreadRecord};
use std::net::IpAddr;

/// Bits of the `flags` parameter of a task (`execve_flags`).
const EXE_WRITABLE: u32 = 1;
const EXE_UPPER_LAYER: u32 = 2;
const EXE_FROM_MEMFD: u32 = 4;
const EXE_LOWER_LAYER: u32 = 8;

/// Stored numbers of `anon_inode_fd_types`.
const ANON_TYPES: &[(FdType, u8)] = &[
    (FdType::Event, 1),
    (FdType::EventPoll, 2),
    (FdType::Inotify, 3),
    (FdType::Signal, 4),
    (FdType::Timer, 5),
    (FdType::IoUring, 6),
    (FdType::Userfault, 7),
    (FdType::Pid, 8),
    (FdType::Bpf, 9),
    (FdType::Unsupported, 13),
];

/// Native type and protocol of sockets.
const SOCKETS: &[(L4Proto, u16, u16)] =
    &[(L4Proto::Tcp, 1, 6), (L4Proto::Udp, 2, 17), (L4Proto::Raw, 3, 255), (L4Proto::Icmp, 2, 1)];

fn head(tid: i64, ts_ns: u64, code: EventCode) -> EventHead {
    EventHead { ts_ns, tid, cpu: 0, code, flags: FLAG_STATE_ONLY | FLAG_UNCOUNTED }
}

/// One thread; `start_ts_ns` is when its process began, 0 unknown.
pub(super) fn push_task(t: &ThreadRecord, start_ts_ns: u64, ts_ns: u64, batch: &mut Batch) {
    let flag = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
    let flags = flag(t.exe_writable, EXE_WRITABLE)
        | flag(t.exe_upper_layer, EXE_UPPER_LAYER)
        | flag(t.exe_from_memfd, EXE_FROM_MEMFD)
        | flag(t.exe_lower_layer, EXE_LOWER_LAYER);
    let mut e = batch.encode(head(t.tid, ts_ns, code::ITER_TASK_E), 32);
    e.i32(t.ptid as i32).i32(t.pgid as i32).i32(t.vpgid as i32).i32(t.sid as i32).text(&t.comm);
    e.pieces(&[&t.exe, b"\0", &t.args]).text(&t.exepath).u32(flags).bytes(&t.env).text(&t.cwd);
    e.i64(t.fdlimit).u32(t.uid).u32(t.gid).u64(t.caps[1]).u64(t.caps[2]).u64(t.caps[0]);
    e.u64(t.exe_ino).u64(t.exe_ino_ctime_ns).u64(t.exe_ino_mtime_ns);
    e.u32(t.vm_size_kb).u32(t.vm_rss_kb).u32(t.vm_swap_kb).u64(t.pfmajor).u64(t.pfminor);
    e.i32(t.vpid as i32).i32(t.vtid as i32).u64(t.pidns_init_start_ns).bytes(&t.cgroups).text(&t.root);
    e.u64(start_ts_ns).u32(t.tty).u32(t.loginuid);
    e.finish();
}

/// One fd of process `pid`.
pub(super) fn push_fd(pid: i64, fd: &FdRecord, ts_ns: u64, batch: &mut Batch) {
    let head = |code| head(pid, ts_ns, code);
    let number = fd.fd as i32;
    match &fd.kind {
        FdKind::File { open_flags, name, .. } => {
            let mut e = batch.encode(head(code::ITER_TASK_FILE_REGULAR_E), 5);
            e.i32(number).text(name).u32(*open_flags).u32(0).u64(fd.ino);
            e.finish();
        }
        FdKind::Other { ty, name } => push_other(number, *ty, name, fd.ino, head, batch),
        FdKind::Ipv4 { sip, dip, sport, dport, l4proto } => {
            let ends = [((*sip).into(), *sport), ((*dip).into(), *dport)];
            push_inet(head(code::ITER_TASK_FILE_SOCKET_INET_E), number, *l4proto, ends, fd.ino, batch);
        }
        FdKind::Ipv6 { sip, dip, sport, dport, l4proto } => {
            let ends = [((*sip).into(), *sport), ((*dip).into(), *dport)];
            push_inet(head(code::ITER_TASK_FILE_SOCKET_INET6_E), number, *l4proto, ends, fd.ino, batch);
        }
        FdKind::Ipv4Server { ip, port, l4proto } => {
            let ends = [((*ip).into(), *port), (IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0)];
            push_inet(head(code::ITER_TASK_FILE_SOCKET_INET_E), number, *l4proto, ends, fd.ino, batch);
        }
        FdKind::Ipv6Server { ip, port, l4proto } => {
            let ends = [((*ip).into(), *port), (IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 0)];
            push_inet(head(code::ITER_TASK_FILE_SOCKET_INET6_E), number, *l4proto, ends, fd.ino, batch);
        }
        FdKind::Unix { source, path, .. } => {
            let mut e = batch.encode(head(code::ITER_TASK_FILE_SOCKET_UNIX_E), 6);
            e.i32(number).u16(0).u16(0).u64(*source).text(path).u64(fd.ino);
            e.finish();
        }
    }
}

fn push_other(
    number: i32,
    ty: FdType,
    name: &[u8],
    ino: u64,
    head: impl Fn(EventCode) -> EventHead,
    batch: &mut Batch,
) {
    let with_path = match ty {
        FdType::Pipe => Some(code::ITER_TASK_FILE_PIPE_E),
        FdType::Memfd => Some(code::ITER_TASK_FILE_MEMFD_E),
        FdType::Directory => Some(code::ITER_TASK_FILE_DIRECTORY_E),
        _ => None,
    };
    if let Some(code) = with_path {
        let mut e = batch.encode(head(code), 3);
        e.i32(number).text(name).u64(ino);
        e.finish();
    } else if ty == FdType::Netlink {
        let mut e = batch.encode(head(code::ITER_TASK_FILE_SOCKET_NETLINK_E), 4);
        e.i32(number).u16(0).u16(0).u64(ino);
        e.finish();
    } else {
        let stored = ANON_TYPES.iter().find(|(t, _)| *t == ty).map_or(0, |(_, stored)| *stored);
        let mut e = batch.encode(head(code::ITER_TASK_FILE_ANON_INODE_E), 4);
        e.i32(number).u8(stored).text(name).u64(ino);
        e.finish();
    }
}

/// Local end, remote end; addresses in network order.
fn push_inet(
    head: EventHead,
    number: i32,
    l4proto: L4Proto,
    ends: [(IpAddr, u16); 2],
    ino: u64,
    batch: &mut Batch,
) {
    let (_, ty, proto) = SOCKETS.iter().find(|(p, ..)| *p == l4proto).copied().unwrap_or((l4proto, 0, 0));
    let mut e = batch.encode(head, 8);
    e.i32(number).u16(ty).u16(proto);
    for (ip, port) in ends {
        match ip {
            IpAddr::V4(ip) => e.bytes(&ip.octets()),
            IpAddr::V6(ip) => e.bytes(&ip.octets()),
        };
        e.u16(port);
    }
    e.u64(ino);
    e.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fd_has_the_parameters_of_its_event() {
        let ip = "10.1.2.3".parse().unwrap();
        let v6 = "::1".parse().unwrap();
        let other = |ty, name: &str| FdKind::Other { ty, name: name.into() };
        let l4proto = L4Proto::Tcp;
        let kinds = [
            (FdKind::File { open_flags: 1, name: b"/a".to_vec(), dev: 3 }, code::ITER_TASK_FILE_REGULAR_E),
            (other(FdType::Pipe, "pipe:[1]"), code::ITER_TASK_FILE_PIPE_E),
            (other(FdType::Memfd, "/memfd:x"), code::ITER_TASK_FILE_MEMFD_E),
            (other(FdType::Directory, "/d"), code::ITER_TASK_FILE_DIRECTORY_E),
            (other(FdType::Netlink, ""), code::ITER_TASK_FILE_SOCKET_NETLINK_E),
            (other(FdType::EventPoll, ""), code::ITER_TASK_FILE_ANON_INODE_E),
            (FdKind::Ipv4Server { ip, port: 80, l4proto }, code::ITER_TASK_FILE_SOCKET_INET_E),
            (FdKind::Ipv6Server { ip: v6, port: 80, l4proto }, code::ITER_TASK_FILE_SOCKET_INET6_E),
            (
                FdKind::Ipv4 { sip: ip, dip: ip, sport: 1, dport: 2, l4proto },
                code::ITER_TASK_FILE_SOCKET_INET_E,
            ),
            (
                FdKind::Ipv6 { sip: v6, dip: v6, sport: 1, dport: 2, l4proto },
                code::ITER_TASK_FILE_SOCKET_INET6_E,
            ),
            (
                FdKind::Unix { source: 9, destination: 0, path: b"/s".to_vec() },
                code::ITER_TASK_FILE_SOCKET_UNIX_E,
            ),
        ];
        for (kind, code) in kinds {
            let mut batch = Batch::new();
            push_fd(700, &FdRecord { fd: 5, ino: 42, kind: kind.clone() }, 1_000, &mut batch);
            let event = batch.get(0).expect("one event");
            assert_eq!((event.code, event.tid, event.ts_ns), (code, 700, 1_000), "{kind:?}");
            assert!(event.is_state_only() && event.is_uncounted());
            let info = event.info().expect("a known event");
            assert_eq!(event.nparams(), info.params.len(), "{kind:?}");
            assert_eq!((event.int(0), event.uint(event.nparams() - 1)), (Some(5), Some(42)), "{kind:?}");
        }
    }

    #[test]
    fn a_task_has_all_parameters() {
        let mut batch = Batch::new();
        let thread =
            ThreadRecord { tid: 701, vpid: 7, vtid: 8, comm: b"a".to_vec(), ..ThreadRecord::default() };
        push_task(&thread, 99, 1_000, &mut batch);
        let event = batch.get(0).expect("one event");
        assert_eq!(event.nparams(), event.info().expect("a known event").params.len());
        assert_eq!(
            (event.tid, event.text(4), event.int(24), event.int(25)),
            (701, Some(&b"a"[..]), Some(7), Some(8))
        );
        assert_eq!(event.uint(29), Some(99));
    }
}
