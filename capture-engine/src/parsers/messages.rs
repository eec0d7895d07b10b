//! Messages on sockets: send* and recv* carry the tuple of the message, from which a socket
//! learns its addresses and its role.

use super::{Ctx, Row};
use crate::state::Text;
use crate::state::fd::{FdInfo, Role};
use crate::state::fd_table::FdTable;
use crate::state::interfaces::Interfaces;
use crate::state::tuples::{self, Tuple};
use capture_common::event_table::code;
use capture_common::snapshot::{FdType, L4Proto};

pub(super) const ROWS: &[Row] = &[
    (code::SOCKET_SENDTO_E, send_enter),
    (code::SOCKET_SENDMSG_E, send_enter),
    (code::SOCKET_SENDTO_X, |c| message(c, Direction::Outgoing, 4)),
    (code::SOCKET_SENDMSG_X, |c| message(c, Direction::Outgoing, 4)),
    (code::SOCKET_SENDMMSG_X, |c| message(c, Direction::Outgoing, 4)),
    (code::SOCKET_RECVFROM_X, |c| message(c, Direction::Incoming, 2)),
    (code::SOCKET_RECVMSG_X, receive_message),
    (code::SOCKET_RECVMMSG_X, |c| message(c, Direction::Incoming, 4)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Incoming,
    Outgoing,
}

/// Native numbers for a socket invented from a message.
const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;
const SOCK_DGRAM: i64 = 2;
const IPPROTO_UDP: i64 = 17;

fn send_enter(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    let tuple = raw.param(2).unwrap_or(b"");
    if tuple.is_empty() {
        return;
    }
    invent_socket(ctx, tuple);
    // Most messages repeat what the socket already knows.
    if ctx.fd().is_some_and(takes_addresses) {
        ctx.keep([0; 4], tuple);
    }
}

/// A message to an address from an fd that is not known: the socket call was lost, and only an
/// unconnected datagram socket sends so.
fn invent_socket(ctx: &mut Ctx<'_>, tuple: &[u8]) {
    if ctx.fd().is_none()
        && ctx.applied.fd_num >= 0
        && let Some(Tuple::Ip { source, .. }) = tuples::decode_tuple(tuple)
    {
        let domain = if source.ip.is_ipv4() { AF_INET } else { AF_INET6 };
        super::sockets::add_socket(ctx, ctx.applied.fd_num, domain, SOCK_DGRAM, IPPROTO_UDP);
    }
}

/// res, size, data, tuple, msgcontrol, fd. Fds that came with the message have their numbers there;
/// what they refer to is not told, so what had the numbers before is stale.
fn receive_message(ctx: &mut Ctx<'_>) {
    let raw = *ctx.raw;
    if !ctx.failed()
        && let Some(main) = ctx.main_mut()
    {
        for fd in passed_fds(raw.param(4).unwrap_or(b"")) {
            main.fds.remove(fd);
        }
    }
    message(ctx, Direction::Incoming, 3);
}

/// Numbers of the fds in the control messages of a call (cmsg(3), layout of 64-bit Linux).
fn passed_fds(mut control: &[u8]) -> impl Iterator<Item = i64> {
    const HEADER: usize = 16;
    const SOL_SOCKET: u32 = 1;
    const SCM_RIGHTS: u32 = 1;
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mut fds = Vec::new();
    while let (Some(len), Some(level), Some(ty)) = (word(control, 0), word(control, 8), word(control, 12)) {
        let len = len as usize;
        let Some(data) = control.get(HEADER..len) else { break };
        if (level, ty) == (SOL_SOCKET, SCM_RIGHTS) {
            fds.extend(data.chunks_exact(4).filter_map(|n| word(n, 0)).map(|n| i64::from(n as i32)));
        }
        control = control.get(len.next_multiple_of(8)..).unwrap_or(b"");
    }
    fds.into_iter()
}

/// Whether a message can tell a socket its addresses: TCP ones are fixed once they have a name.
fn takes_addresses(fd: &FdInfo) -> bool {
    fd.name.is_empty() || !(fd.is_ip() && fd.sock.l4proto == L4Proto::Tcp)
}

fn message(ctx: &mut Ctx<'_>, direction: Direction, tuple_param: usize) {
    if ctx.failed() {
        return;
    }
    let raw = *ctx.raw;
    if direction == Direction::Outgoing {
        invent_socket(ctx, raw.param(tuple_param).unwrap_or(b""));
    }
    if !ctx.fd().is_some_and(takes_addresses) {
        return;
    }
    let from_enter;
    let mut bytes = raw.param(tuple_param).unwrap_or(b"");
    if bytes.is_empty() && direction == Direction::Outgoing {
        from_enter = ctx.entered().map(|e| e.bytes.clone()).unwrap_or_default();
        bytes = &from_enter;
    }
    ctx.watch_name(|ctx| take_tuple(ctx, direction, bytes));
}

fn take_tuple(ctx: &mut Ctx<'_>, direction: Direction, bytes: &[u8]) {
    match tuples::decode_tuple(bytes) {
        Some(Tuple::Ip { source, dest }) => {
            let (source, dest) = tuples::unmap_pair(source, dest);
            let Some(fd) = ctx.fd() else { return };
            let now = (fd.sock.source, fd.sock.dest);
            if fd.is_ip_stream() && (now == (source, dest) || now == (dest, source)) {
                return;
            }
            let (source, dest) = complete(&ctx.machine.interfaces, source, dest);
            let role = match fd.sock.role {
                Role::None => guess_role(ctx, source.port, dest.port, direction),
                known => known,
            };
            let ports = ctx.machine.ports;
            let Some(fd) = ctx.fd_mut() else { return };
            fd.ty = if source.ip.is_ipv4() { FdType::Ipv4 } else { FdType::Ipv6 };
            if matches!(fd.sock.l4proto, L4Proto::Unknown | L4Proto::Na) {
                // TCP would not take another address in the middle of a connection.
                fd.sock.l4proto = L4Proto::Udp;
            }
            let swap = matches!(
                (role, direction),
                (Role::Client, Direction::Incoming) | (Role::Server, Direction::Outgoing)
            );
            fd.sock.role = role;
            (fd.sock.source, fd.sock.dest) = if swap { (dest, source) } else { (source, dest) };
            fd.name = Text::from(tuples::ip_name(&fd.sock, ports).as_bytes());
        }
        Some(Tuple::Unix { source, dest, path }) => {
            let Some(fd) = ctx.fd() else { return };
            let known = fd.is_unix()
                && (fd.sock.unix_source, fd.sock.unix_dest) == (source, dest)
                && fd.name.len() > path.len()
                && fd.name.ends_with(path);
            if known {
                return;
            }
            let Some(fd) = ctx.fd_mut() else { return };
            fd.ty = FdType::Unix;
            fd.sock.unix_source = source;
            fd.sock.unix_dest = dest;
            fd.name = Text::from(tuples::unix_name(source, dest, path));
        }
        Some(Tuple::Other(_)) | None => {}
    }
}

/// Replaces an unset address by the machine's own that faces the other one.
fn complete(
    interfaces: &Interfaces,
    mut source: crate::Endpoint,
    mut dest: crate::Endpoint,
) -> (crate::Endpoint, crate::Endpoint) {
    if source.ip.is_unspecified() {
        source.ip = interfaces.facing(dest.ip).unwrap_or(source.ip);
    } else if dest.ip.is_unspecified() {
        dest.ip = interfaces.facing(source.ip).unwrap_or(dest.ip);
    }
    (source, dest)
}

/// The side of a socket that has neither connected nor been bound: server where the process
/// listens on the destination's port, unless it also talks from the source's port; where that
/// does not decide, the one who speaks first is the client.
fn guess_role(ctx: &Ctx<'_>, source_port: u16, dest_port: u16, direction: Direction) -> Role {
    let Some(fds) = ctx.fds() else { return Role::None };
    if !is_bound_to(fds, dest_port) {
        return Role::Client;
    }
    if !uses_as_client(fds, source_port) {
        return Role::Server;
    }
    match direction {
        Direction::Incoming => Role::Server,
        Direction::Outgoing => Role::Client,
    }
}

/// Whether one of a process's sockets listens on a port.
pub(super) fn is_bound_to(fds: &FdTable, port: u16) -> bool {
    fds.iter().any(|(_, fd)| fd.is_ip_server() && fd.sock.dest.port == port)
}

fn uses_as_client(fds: &FdTable, port: u16) -> bool {
    fds.iter().any(|(_, fd)| fd.is_ip_stream() && fd.sock.source.port == port)
}
