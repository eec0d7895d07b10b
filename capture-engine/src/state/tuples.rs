//! Socket addresses and tuples: from their stored bytes, and as names.

use super::fd::{Endpoint, SocketInfo};
use crate::render::number::hex_lower;
use crate::services::PortNames;
use capture_common::snapshot::L4Proto;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Address family numbers as stored.
pub const AF_UNIX: u8 = 1;
/// See [`AF_UNIX`].
pub const AF_INET: u8 = 2;
/// See [`AF_UNIX`].
pub const AF_INET6: u8 = 10;

/// A socket tuple parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuple<'a> {
    /// Both ends of an IP connection or message. Mapped IPv4 addresses are kept as stored.
    Ip {
        /// Sender, client, or for accepts the peer.
        source: Endpoint,
        /// Receiver or server.
        dest: Endpoint,
    },
    /// Kernel addresses of both sockets and the path.
    Unix {
        /// Kernel address of the source's socket.
        source: u64,
        /// Kernel address of the destination's socket.
        dest: u64,
        /// Path without its NUL.
        path: &'a [u8],
    },
    /// Another family.
    Other(u8),
}

/// A socket address parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SockAddr<'a> {
    /// IPv4 or IPv6. Mapped IPv4 addresses are kept as stored.
    Ip(Endpoint),
    /// Path without its NUL.
    Unix(&'a [u8]),
    /// Another family.
    Other(u8),
}

/// Decodes a tuple; `None` where it is empty or too short for its family.
pub fn decode_tuple(bytes: &[u8]) -> Option<Tuple<'_>> {
    let (&family, rest) = bytes.split_first()?;
    match family {
        AF_INET => {
            let source = Endpoint { ip: ipv4(rest.get(0..4)?)?, port: port(rest.get(4..6)?)? };
            let dest = Endpoint { ip: ipv4(rest.get(6..10)?)?, port: port(rest.get(10..12)?)? };
            Some(Tuple::Ip { source, dest })
        }
        AF_INET6 => {
            let source = Endpoint { ip: ipv6(rest.get(0..16)?)?, port: port(rest.get(16..18)?)? };
            let dest = Endpoint { ip: ipv6(rest.get(18..34)?)?, port: port(rest.get(34..36)?)? };
            Some(Tuple::Ip { source, dest })
        }
        AF_UNIX => {
            let source = u64::from_le_bytes(rest.get(0..8)?.try_into().ok()?);
            let dest = u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?);
            Some(Tuple::Unix { source, dest, path: before_nul(&rest[16..]) })
        }
        other => Some(Tuple::Other(other)),
    }
}

/// Decodes an address; `None` where it is empty or too short for its family.
pub fn decode_sockaddr(bytes: &[u8]) -> Option<SockAddr<'_>> {
    let (&family, rest) = bytes.split_first()?;
    match family {
        AF_INET => Some(SockAddr::Ip(Endpoint { ip: ipv4(rest.get(0..4)?)?, port: port(rest.get(4..6)?)? })),
        AF_INET6 => {
            Some(SockAddr::Ip(Endpoint { ip: ipv6(rest.get(0..16)?)?, port: port(rest.get(16..18)?)? }))
        }
        AF_UNIX => Some(SockAddr::Unix(before_nul(rest))),
        other => Some(SockAddr::Other(other)),
    }
}

fn ipv4(bytes: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)))
}

fn ipv6(bytes: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)))
}

fn port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn before_nul(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|&b| b == 0).map_or(bytes, |end| &bytes[..end])
}

/// The IPv4 address that an IPv6 one maps.
pub fn mapped_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped(),
    }
}

/// Both ends as IPv4 where both are IPv4 or map it; unchanged otherwise.
pub fn unmap_pair(source: Endpoint, dest: Endpoint) -> (Endpoint, Endpoint) {
    match (mapped_v4(source.ip), mapped_v4(dest.ip)) {
        (Some(s), Some(d)) => (
            Endpoint { ip: IpAddr::V4(s), port: source.port },
            Endpoint { ip: IpAddr::V4(d), port: dest.port },
        ),
        _ => (source, dest),
    }
}

/// Name of a listening socket: `ip:port`, IPv6 without brackets.
pub fn endpoint_name(end: &Endpoint, proto: L4Proto, ports: PortNames) -> String {
    format!("{}:{}", end.ip, ports.port(end.port, proto))
}

/// Name of an IP connection.
pub fn ip_name(sock: &SocketInfo, ports: PortNames) -> String {
    match sock.l4proto {
        L4Proto::Tcp | L4Proto::Udp => ends_name(sock, ports),
        L4Proto::Icmp | L4Proto::Raw => format!("{}->{}", sock.source.ip, sock.dest.ip),
        L4Proto::Unknown | L4Proto::Na => "<unknown>".to_owned(),
    }
}

/// Name of an IP connection of the process table, which has its ends whatever the protocol.
pub fn ip_name_in_table(sock: &SocketInfo, ports: PortNames) -> String {
    match sock.l4proto {
        L4Proto::Unknown | L4Proto::Na => ends_name(sock, ports),
        _ => ip_name(sock, ports),
    }
}

fn ends_name(sock: &SocketInfo, ports: PortNames) -> String {
    let (s, d) = (&sock.source, &sock.dest);
    let port = |end: &Endpoint| ports.port(end.port, sock.l4proto);
    format!("{}:{}->{}:{}", s.ip, port(s), d.ip, port(d))
}

/// Name of a unix socket that has spoken: `SOURCE->DEST path`, kernel addresses in hex without
/// 0x. The blank is there even where the path is empty.
pub fn unix_name(source: u64, dest: u64, path: &[u8]) -> Vec<u8> {
    const ADDRESSES: usize = 2 * 16 + 3;
    let mut name = Vec::with_capacity(ADDRESSES + path.len());
    hex_lower(&mut name, source);
    name.extend_from_slice(b"->");
    hex_lower(&mut name, dest);
    name.push(b' ');
    name.extend_from_slice(path);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_and_addresses_decode() {
        let v4 = [2, 10, 0, 0, 5, 0xb3, 0x15, 93, 184, 216, 34, 80, 0];
        let Some(Tuple::Ip { source, dest }) = decode_tuple(&v4) else { panic!() };
        let sock = SocketInfo { source, dest, l4proto: L4Proto::Tcp, ..Default::default() };
        assert_eq!(ip_name(&sock, PortNames::Numbers), "10.0.0.5:5555->93.184.216.34:80");
        assert_eq!(ip_name(&sock, PortNames::Services), "10.0.0.5:5555->93.184.216.34:http");
        assert_eq!(decode_tuple(&v4[..12]), None);
        assert_eq!(decode_tuple(&[]), None);
        assert_eq!(decode_tuple(&[16]), Some(Tuple::Other(16)));
        assert_eq!(decode_sockaddr(b"\x01/run/x\0rest"), Some(SockAddr::Unix(b"/run/x")));
        assert_eq!(unix_name(0, 0x00ff_ff88, b"/run/x"), b"0->ffff88 /run/x");
    }

    #[test]
    fn mapped_addresses_become_ipv4_only_in_pairs() {
        let mapped = |s: &str| Endpoint { ip: s.parse().unwrap(), port: 1 };
        let (a, b) = unmap_pair(mapped("::ffff:1.2.3.4"), mapped("::ffff:5.6.7.8"));
        let name = |end| endpoint_name(end, L4Proto::Tcp, PortNames::Numbers);
        assert_eq!((name(&a), name(&b)), ("1.2.3.4:1".into(), "5.6.7.8:1".into()));
        let (a, _) = unmap_pair(mapped("::ffff:1.2.3.4"), mapped("2001:db8::1"));
        assert!(a.ip.is_ipv6());
    }
}
