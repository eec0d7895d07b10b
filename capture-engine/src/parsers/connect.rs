//! connect: the destination at the enter, both ends at the exit.

use super::{Ctx, Row};
use crate::state::Text;
use crate::state::fd::{ConnState, FdInfo, Role};
use crate::state::tuples::{self, SockAddr, Tuple};
use capture_common::event_table::code;
use capture_common::snapshot::FdType;

pub(super) const ROWS: &[Row] = &[
    (code::SOCKET_CONNECT_E, |c| c.watch_name(connect_enter)),
    (code::SOCKET_CONNECT_X, |c| c.watch_name(connect_exit)),
];

/// EINPROGRESS: a non-blocking connect is under way.
const EINPROGRESS: u32 = 115;

fn connect_enter(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    if let (Some(addr), Some(fd)) = (raw.param(1).and_then(tuples::decode_sockaddr), ctx.fd_mut()) {
        remember_destination(fd, addr);
    }
}

/// Where the socket is going, before it is known where from.
fn remember_destination(fd: &mut FdInfo, addr: SockAddr<'_>) {
    match addr {
        SockAddr::Unix(path) if fd.is_unix() => fd.name = Text::from(path),
        SockAddr::Ip(end) if fd.is_ip_stream() => {
            fd.sock.dest = end;
            if let (Some(v4), true) = (tuples::mapped_v4(end.ip), end.ip.is_ipv6()) {
                fd.sock.dest.ip = v4.into();
                fd.ty = FdType::Ipv4;
            }
        }
        _ => {}
    }
}

fn connect_exit(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    let state = match ctx.applied.error {
        0 => ConnState::Connected,
        EINPROGRESS => ConnState::Pending,
        _ => ConnState::Failed,
    };
    let addr = raw.param(3).and_then(tuples::decode_sockaddr);
    let tuple = raw.param(1).and_then(tuples::decode_tuple);
    let ports = ctx.machine.ports;
    let Some(fd) = ctx.fd_mut() else { return };
    fd.sock.state = state;
    if let Some(addr) = addr {
        remember_destination(fd, addr);
    }
    match tuple {
        // A failed connect leaves the socket as it was.
        _ if state == ConnState::Failed => {}
        Some(Tuple::Ip { source, dest }) => {
            let (source, dest) = tuples::unmap_pair(source, dest);
            let was_server = fd.is_ip_server() || fd.sock.role == Role::Server;
            fd.ty = if source.ip.is_ipv4() { FdType::Ipv4 } else { FdType::Ipv6 };
            // Some kernels' tuples lack the destination (a disconnect, a port not set yet).
            let dest = if dest.port == 0 && !fd.sock.dest.is_unset() { fd.sock.dest } else { dest };
            // A bound UDP socket that connects keeps its role: its own address is the server's.
            (fd.sock.source, fd.sock.dest) = if was_server { (dest, source) } else { (source, dest) };
            if fd.sock.role == Role::None {
                fd.sock.role = Role::Client;
            }
            fd.name = Text::from(tuples::ip_name(&fd.sock, ports).as_bytes());
        }
        Some(Tuple::Unix { source, dest, path }) => {
            fd.ty = FdType::Unix;
            fd.sock.unix_source = source;
            fd.sock.unix_dest = dest;
            if fd.sock.role == Role::None {
                fd.sock.role = Role::Client;
            }
            fd.name = Text::from(tuples::unix_name(source, dest, path));
        }
        Some(Tuple::Other(_)) | None => {}
    }
}
