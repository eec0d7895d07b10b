//! Sockets: socket, socketpair, bind, accept, getsockopt, and sockets read again after a loss.

use super::{Ctx, Row};
use crate::state::fd::{ConnState, Endpoint, FdInfo, O_CLOEXEC, Role, SocketInfo};
use crate::state::tuples::{self, SockAddr, Tuple};
use crate::state::{Text, empty_text};
use capture_common::event_table::code;
use capture_common::raw_event::read_int;
use capture_common::snapshot::{FdType, L4Proto};
use std::net::IpAddr;
use std::sync::Arc;

/// Native address families; types and protocols of sockets are stored as the call had them.
const AF_UNIX: i64 = 1;
const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;
const AF_NETLINK: i64 = 16;
const SOCK_STREAM: i64 = 1;
const SOCK_DGRAM: i64 = 2;
const SOCK_RAW: i64 = 3;
/// The bits of a socket's type below its flags.
const SOCK_TYPE_MASK: i64 = 0xff;
const SOCK_CLOEXEC: i64 = 0o2_000_000;
const IPPROTO_ICMP: i64 = 1;
const IPPROTO_TCP: i64 = 6;
const IPPROTO_UDP: i64 = 17;
const IPPROTO_ICMPV6: i64 = 58;
const IPPROTO_RAW: i64 = 255;

/// Stored numbers of SOL_SOCKET and SO_ERROR.
const SOL_SOCKET: u64 = 1;
const SO_ERROR: u64 = 4;

pub(super) const ROWS: &[Row] = &[
    (code::SOCKET_SOCKET_E, socket_enter),
    (code::SOCKET_SOCKET_X, socket_exit),
    (code::SOCKET_SOCKETPAIR_X, socketpair_exit),
    (code::SOCKET_BIND_X, |c| c.watch_name(bind_exit)),
    (code::SOCKET_ACCEPT_X, |c| accept_exit(c, None)),
    (code::SOCKET_ACCEPT4_X, |c| accept_exit(c, None)),
    (code::SOCKET_ACCEPT_5_X, |c| accept_exit(c, None)),
    (code::SOCKET_ACCEPT4_5_X, |c| accept_exit(c, None)),
    (code::SOCKET_ACCEPT4_6_X, |c| accept_exit(c, Some(5))),
    (code::SOCKET_GETSOCKOPT_X, getsockopt_exit),
    (code::ITER_TASK_FILE_SOCKET_INET_E, iterated_inet),
    (code::ITER_TASK_FILE_SOCKET_INET6_E, iterated_inet),
    (code::ITER_TASK_FILE_SOCKET_UNIX_E, iterated_unix),
    (code::ITER_TASK_FILE_SOCKET_NETLINK_E, iterated_netlink),
];

fn socket_enter(ctx: &mut Ctx<'_>) {
    let int = |at| ctx.raw.int(at).unwrap_or(0);
    let nums = [int(0), int(1), int(2), 0];
    ctx.keep(nums, b"");
}

fn socket_exit(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let own = (ctx.raw.int(1), ctx.raw.int(2), ctx.raw.int(3));
    let (domain, ty, proto) = match own {
        (Some(domain), Some(ty), Some(proto)) => (domain, ty, proto),
        _ => match ctx.entered() {
            Some(e) => (e.nums[0], e.nums[1], e.nums[2]),
            None => return,
        },
    };
    add_socket(ctx, fd, domain, ty, proto);
}

/// Adds a fresh socket. Families without a form of their own are not kept; what had the number
/// before goes all the same.
pub(super) fn add_socket(ctx: &mut Ctx<'_>, fd: i64, domain: i64, ty: i64, proto: i64) {
    let fd_type = match domain {
        AF_UNIX => FdType::Unix,
        AF_INET => FdType::Ipv4,
        AF_INET6 => FdType::Ipv6,
        AF_NETLINK => FdType::Netlink,
        _ => {
            if let Some(main) = ctx.main_mut() {
                main.fds.remove(fd);
            }
            return;
        }
    };
    let l4proto =
        if matches!(fd_type, FdType::Ipv4 | FdType::Ipv6) { l4proto(ty, proto) } else { L4Proto::Na };
    let open_flags = if ty & SOCK_CLOEXEC != 0 { O_CLOEXEC } else { 0 };
    let sock = SocketInfo { l4proto, ..Default::default() };
    ctx.add_fd(fd, FdInfo { sock, open_flags, ..FdInfo::new(fd_type) });
}

fn l4proto(ty: i64, proto: i64) -> L4Proto {
    match (proto, ty & SOCK_TYPE_MASK) {
        (_, SOCK_RAW) => L4Proto::Raw,
        (IPPROTO_TCP, _) => L4Proto::Tcp,
        // UDP's number with a stream type is no UDP, but the kernel refuses that.
        (IPPROTO_UDP, _) => L4Proto::Udp,
        (IPPROTO_ICMP | IPPROTO_ICMPV6, SOCK_DGRAM) => L4Proto::Icmp,
        (IPPROTO_RAW, _) => L4Proto::Raw,
        (0, SOCK_STREAM) => L4Proto::Tcp,
        (0, SOCK_DGRAM) => L4Proto::Udp,
        _ => L4Proto::Unknown,
    }
}

fn socketpair_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let (Some(first), Some(second)) = (ctx.success(1), ctx.success(2)) else { return };
    let (unix_source, unix_dest) = (ctx.raw.uint(3).unwrap_or(0), ctx.raw.uint(4).unwrap_or(0));
    let sock = SocketInfo { unix_source, unix_dest, l4proto: L4Proto::Na, ..Default::default() };
    let info = Arc::new(FdInfo { sock, ..FdInfo::new(FdType::Unix) });
    ctx.add_fd_shared(first, info.clone());
    ctx.add_fd_shared(second, info);
}

fn bind_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() {
        return;
    }
    let raw = *ctx.raw;
    let Some(addr) = raw.param(1).and_then(tuples::decode_sockaddr) else { return };
    let ports = ctx.machine.ports;
    let Some(fd) = ctx.fd_mut() else { return };
    match addr {
        SockAddr::Unix(path) => fd.name = Text::from(path),
        SockAddr::Ip(end) => {
            let end = unmapped(end);
            if end.port > 0 {
                fd.ty = if end.ip.is_ipv4() { FdType::Ipv4Server } else { FdType::Ipv6Server };
                fd.sock.source = Endpoint::default();
                fd.sock.dest = end;
                fd.sock.role = Role::Server;
            }
            fd.name = Text::from(tuples::endpoint_name(&end, fd.sock.l4proto, ports).as_bytes());
        }
        SockAddr::Other(_) => {}
    }
}

fn unmapped(end: Endpoint) -> Endpoint {
    match tuples::mapped_v4(end.ip) {
        Some(ip) => Endpoint { ip: IpAddr::V4(ip), port: end.port },
        None => end,
    }
}

fn accept_exit(ctx: &mut Ctx<'_>, flags_param: Option<usize>) {
    let Some(fd) = ctx.success(0) else { return };
    let raw = *ctx.raw;
    let flags = flags_param.and_then(|at| raw.int(at)).unwrap_or(0);
    let open_flags = if flags & SOCK_CLOEXEC != 0 { O_CLOEXEC } else { 0 };
    let mut sock = SocketInfo { role: Role::Server, state: ConnState::Connected, ..Default::default() };
    let (ty, name) = match raw.param(1).and_then(tuples::decode_tuple) {
        Some(Tuple::Ip { source, dest }) => {
            (sock.source, sock.dest) = tuples::unmap_pair(source, dest);
            sock.l4proto = L4Proto::Tcp;
            let ty = if sock.source.ip.is_ipv4() { FdType::Ipv4 } else { FdType::Ipv6 };
            (ty, Text::from(tuples::ip_name(&sock, ctx.machine.ports).as_bytes()))
        }
        Some(Tuple::Unix { source, dest, path }) => {
            sock.unix_source = source;
            sock.unix_dest = dest;
            sock.l4proto = L4Proto::Na;
            (FdType::Unix, Text::from(tuples::unix_name(source, dest, path)))
        }
        Some(Tuple::Other(_)) | None => {
            // Without a tuple nothing is known; an older entry with the number is stale.
            if let Some(main) = ctx.main_mut() {
                main.fds.remove(fd);
            }
            ctx.set_event_fd(fd);
            return;
        }
    };
    ctx.add_fd(fd, FdInfo { sock, name, open_flags, ..FdInfo::new(ty) });
}

/// SO_ERROR tells how a pending connect ended.
fn getsockopt_exit(ctx: &mut Ctx<'_>) {
    if ctx.failed() || ctx.raw.uint(2) != Some(SOL_SOCKET) || ctx.raw.uint(3) != Some(SO_ERROR) {
        return;
    }
    let raw = *ctx.raw;
    let Some(error) = raw.param(4).and_then(|v| read_int(v.get(1..)?)) else { return };
    if ctx.fd().is_some_and(|fd| fd.sock.state == ConnState::Pending)
        && let Some(fd) = ctx.fd_mut()
    {
        fd.sock.state = if error == 0 { ConnState::Connected } else { ConnState::Failed };
    }
}

/// Address bytes as the iterator events have them: network order.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// fd, sk_type, sk_proto, local_ip, local_port, remote_ip, remote_port, ino_num.
fn iterated_inet(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let raw = *ctx.raw;
    let (Some(local), Some(remote)) = (raw.param(3).and_then(address), raw.param(5).and_then(address)) else {
        ctx.machine.counters.bad_params += 1;
        return;
    };
    let local = Endpoint { ip: local, port: raw.uint(4).unwrap_or(0) as u16 };
    let remote = Endpoint { ip: remote, port: raw.uint(6).unwrap_or(0) as u16 };
    let l4proto = l4proto(raw.int(1).unwrap_or(0), raw.int(2).unwrap_or(0));
    let v4 = local.ip.is_ipv4();
    let ino = raw.uint(7).unwrap_or(0);
    let ports = ctx.machine.ports;
    let mut sock = SocketInfo { l4proto, ..Default::default() };
    let (ty, name) = if remote.is_unset() && local.is_unset() {
        // Neither bound nor connected.
        (if v4 { FdType::Ipv4 } else { FdType::Ipv6 }, String::new())
    } else if remote.is_unset() && local.port != 0 {
        sock.dest = local;
        sock.role = Role::Server;
        (
            if v4 { FdType::Ipv4Server } else { FdType::Ipv6Server },
            tuples::endpoint_name(&local, l4proto, ports),
        )
    } else {
        let listens = ctx.fds().is_some_and(|fds| super::messages::is_bound_to(fds, local.port));
        (sock.source, sock.dest) = if listens { (remote, local) } else { (local, remote) };
        sock.role = if listens { Role::Server } else { Role::Client };
        sock.state = ConnState::Connected;
        (if v4 { FdType::Ipv4 } else { FdType::Ipv6 }, tuples::ip_name(&sock, ports))
    };
    ctx.add_fd(fd, FdInfo { sock, ino, name: Text::from(name.as_bytes()), ..FdInfo::new(ty) });
}

/// fd, sk_type, sk_proto, sk_pointer, sun_path, ino_num.
fn iterated_unix(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let raw = *ctx.raw;
    let sock =
        SocketInfo { unix_source: raw.uint(3).unwrap_or(0), l4proto: L4Proto::Na, ..Default::default() };
    let name = raw.text(4).map_or_else(empty_text, Text::from);
    let ino = raw.uint(5).unwrap_or(0);
    ctx.add_fd(fd, FdInfo { sock, name, ino, ..FdInfo::new(FdType::Unix) });
}

/// fd, sk_type, sk_proto, ino_num.
fn iterated_netlink(ctx: &mut Ctx<'_>) {
    let Some(fd) = ctx.success(0) else { return };
    let ino = ctx.raw.uint(3).unwrap_or(0);
    ctx.add_fd(fd, FdInfo { ino, ..FdInfo::new(FdType::Netlink) });
}
