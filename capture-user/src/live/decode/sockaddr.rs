//! Socket addresses and tuples: from user sockaddrs and [`SockInfo`] to their stored forms.
//!
//! Stored address: family u8, then for IPv4 ip[4] port u16, for IPv6 ip[16] port u16, for unix
//! the path and a NUL. Stored tuple: family u8, then source and destination ip and port, for unix
//! two kernel addresses and a path. Addresses in network order, ports as little-endian numbers.
//! Source is the client for connect and accept, the sender for everything that moves data.
//! Nothing is stored (length 0) where the peer is not known.

use super::call::Call;
use capture_common::abi::{ARG_RET, SockInfo, tag};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const EINPROGRESS: i64 = 115;

/// An IP address and a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    ip: [u8; 16],
    port: u16,
}

/// A decoded user sockaddr.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Addr<'a> {
    V4(End),
    V6(End),
    /// `sun_path` up to its end; abstract names keep their leading NUL.
    Unix(&'a [u8]),
}

impl<'a> Addr<'a> {
    /// Decodes a sockaddr; `None` for short ones and for other families, AF_UNSPEC among them.
    fn decode(raw: &'a [u8]) -> Option<Self> {
        let family = u16::from_ne_bytes(*raw.first_chunk()?);
        match family {
            AF_UNIX => Some(Addr::Unix(&raw[2..])),
            AF_INET => {
                let (port, ip) = (raw.get(2..4)?, raw.get(4..8)?);
                let mut end = End { ip: [0; 16], port: u16::from_be_bytes([port[0], port[1]]) };
                end.ip[..4].copy_from_slice(ip);
                Some(Addr::V4(end))
            }
            AF_INET6 => {
                let (port, ip) = (raw.get(2..4)?, raw.get(8..24)?);
                let port = u16::from_be_bytes([port[0], port[1]]);
                Some(Addr::V6(End { ip: ip.try_into().ok()?, port }))
            }
            _ => None,
        }
    }

    /// As an end of a socket of `family`: IPv4 addresses given to IPv6 sockets become mapped ones.
    fn end(self, family: u16) -> Option<End> {
        match (self, family) {
            (Addr::V4(end), AF_INET) | (Addr::V6(end), AF_INET6) => Some(end),
            (Addr::V4(end), AF_INET6) => {
                let mut ip = [0; 16];
                ip[10..12].copy_from_slice(&[0xff; 2]);
                ip[12..].copy_from_slice(&end.ip[..4]);
                Some(End { ip, ..end })
            }
            _ => None,
        }
    }
}

/// Appends a unix path: a filesystem path ends at its first NUL; abstract names start with `@`
/// and have `@` for every NUL, as in /proc/net/unix.
fn push_unix_path(raw: &[u8], out: &mut Vec<u8>) {
    match raw.first() {
        Some(0) if raw.len() > 1 => out.extend(raw.iter().map(|&b| if b == 0 { b'@' } else { b })),
        _ => out.extend_from_slice(raw.split(|&b| b == 0).next().unwrap_or(&[])),
    }
    out.push(0);
}

fn push_end(end: End, family: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(if family == AF_INET { &end.ip[..4] } else { &end.ip });
    out.extend_from_slice(&end.port.to_le_bytes());
}

/// Appends the stored form of the user sockaddr at argument `arg`.
pub(super) fn push_addr(call: &Call<'_>, arg: u8, out: &mut Vec<u8>) {
    match call.data(tag::SOCKADDR, arg).and_then(Addr::decode) {
        Some(Addr::Unix(path)) => {
            out.push(AF_UNIX as u8);
            push_unix_path(path, out);
        }
        Some(Addr::V4(end)) => {
            out.push(AF_INET as u8);
            push_end(end, AF_INET, out);
        }
        Some(Addr::V6(end)) => {
            out.push(AF_INET6 as u8);
            push_end(end, AF_INET6, out);
        }
        None => {}
    }
}

fn local(sock: &SockInfo) -> End {
    End { ip: sock.local_addr, port: sock.local_port }
}

fn remote(sock: &SockInfo) -> Option<End> {
    // Raw sockets have no ports: an address alone makes them connected.
    let connected = sock.remote_port != 0 || sock.remote_addr != [0; 16];
    connected.then_some(End { ip: sock.remote_addr, port: sock.remote_port })
}

fn push_ip_tuple(family: u16, source: End, destination: End, out: &mut Vec<u8>) {
    out.push(family as u8);
    push_end(source, family, out);
    push_end(destination, family, out);
}

fn push_unix_tuple(source: u64, destination: u64, path: &[u8], out: &mut Vec<u8>) {
    out.push(AF_UNIX as u8);
    out.extend_from_slice(&source.to_le_bytes());
    out.extend_from_slice(&destination.to_le_bytes());
    push_unix_path(path, out);
}

/// Which way a tuple points.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The socket's own side is the source.
    Out,
    /// The socket's own side is the destination.
    In,
}

/// Appends the tuple of `sock`. `given` is the user's sockaddr of the other side; `prefer_given`
/// says that it wins over what the socket is connected to.
fn push_tuple(
    call: &Call<'_>,
    sock: &SockInfo,
    way: Way,
    given: Option<Addr<'_>>,
    prefer_given: bool,
    out: &mut Vec<u8>,
) {
    match sock.family {
        AF_INET | AF_INET6 => {
            let given = given.and_then(|addr| addr.end(sock.family));
            let connected = remote(sock);
            let other = if prefer_given { given.or(connected) } else { connected.or(given) };
            let Some(other) = other else { return };
            match way {
                Way::Out => push_ip_tuple(sock.family, local(sock), other, out),
                Way::In => push_ip_tuple(sock.family, other, local(sock), out),
            }
        }
        AF_UNIX => {
            let own = call.data(tag::UNIX_NAME, 0).unwrap_or(&[]);
            let peer = call.data(tag::UNIX_NAME, 1).unwrap_or(&[]);
            let given = match given {
                Some(Addr::Unix(path)) => path,
                _ => &[],
            };
            // The path is the destination's; where that is nameless, the other side's, so that
            // replies on a named connection keep its name.
            let order = match way {
                Way::Out if prefer_given => [given, peer, own],
                Way::Out => [peer, given, own],
                Way::In => [own, peer, given],
            };
            let path = order.into_iter().find(|p| !p.is_empty()).unwrap_or(&[]);
            match way {
                Way::Out => push_unix_tuple(sock.sk_addr, sock.peer_addr, path, out),
                Way::In => push_unix_tuple(sock.peer_addr, sock.sk_addr, path, out),
            }
        }
        _ => {}
    }
}

/// Appends the tuple of a connect: made or under way, else nothing.
pub(super) fn push_connect(call: &Call<'_>, out: &mut Vec<u8>) {
    if call.ret != 0 && call.ret != -EINPROGRESS {
        return;
    }
    let Some(sock) = call.sock(0) else { return };
    let given = call.data(tag::SOCKADDR, 1).and_then(Addr::decode);
    push_tuple(call, &sock, Way::Out, given, false, out);
}

/// Appends the tuple of an accepted connection: the peer is the source.
pub(super) fn push_accept(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(sock) = call.sock(ARG_RET) {
        push_tuple(call, &sock, Way::In, None, false, out);
    }
}

fn other_side<'a>(call: &Call<'a>, sock: &SockInfo, arg: u8) -> Option<Addr<'a>> {
    // Connected stream sockets ignore the address they are given.
    if sock.family != AF_UNIX && sock.sock_type == SOCK_STREAM && remote(sock).is_some() {
        return None;
    }
    call.data(tag::SOCKADDR, arg).and_then(Addr::decode)
}

/// Appends the tuple of data sent, with the destination's sockaddr at argument `arg`.
pub(super) fn push_sent(call: &Call<'_>, arg: u8, out: &mut Vec<u8>) {
    if let Some(sock) = call.sock(0) {
        push_tuple(call, &sock, Way::Out, other_side(call, &sock, arg), true, out);
    }
}

/// Appends the tuple of data received, with the sender's sockaddr at argument `arg`; nothing
/// when nothing was received or the sender is not known.
pub(super) fn push_received(call: &Call<'_>, arg: u8, out: &mut Vec<u8>) {
    if !call.is_ok() {
        return;
    }
    if let Some(sock) = call.sock(0) {
        push_tuple(call, &sock, Way::In, other_side(call, &sock, arg), true, out);
    }
}
