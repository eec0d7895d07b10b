//! Socket addresses in native and in stored form.

use crate::expect::{mut_ptr, raw};
use capture_common::RawEvent;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A native sockaddr.
pub(crate) fn native(addr: SocketAddr) -> Vec<u8> {
    let mut out = Vec::new();
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.extend((libc::AF_INET as u16).to_ne_bytes());
            out.extend(addr.port().to_be_bytes());
            out.extend(ip.octets());
            out.resize(16, 0);
        }
        IpAddr::V6(ip) => {
            out.extend((libc::AF_INET6 as u16).to_ne_bytes());
            out.extend(addr.port().to_be_bytes());
            out.extend([0; 4]);
            out.extend(ip.octets());
            out.resize(28, 0);
        }
    }
    out
}

/// A native unix sockaddr.
pub(crate) fn native_unix(path: &[u8]) -> Vec<u8> {
    let mut out = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    out.extend(path);
    out
}

fn push_end(out: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => out.extend(ip.octets()),
        IpAddr::V6(ip) => out.extend(ip.octets()),
    }
    out.extend(addr.port().to_le_bytes());
}

fn family(addr: SocketAddr) -> u8 {
    if addr.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

/// A stored address.
pub(crate) fn stored(addr: SocketAddr) -> Vec<u8> {
    let mut out = vec![family(addr)];
    push_end(&mut out, addr);
    out
}

/// A stored tuple.
pub(crate) fn tuple(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut out = vec![family(source)];
    push_end(&mut out, source);
    push_end(&mut out, destination);
    out
}

/// What getsockname (or getpeername) says.
pub(crate) fn name_of(nr: libc::c_long, fd: i64) -> SocketAddr {
    let mut buf = [0u8; 28];
    let mut len = 28u32;
    assert_eq!(raw(nr, &[fd as u64, mut_ptr(&mut buf), mut_ptr(&mut len)]), 0);
    let port = u16::from_be_bytes([buf[2], buf[3]]);
    if u16::from_ne_bytes([buf[0], buf[1]]) == libc::AF_INET as u16 {
        SocketAddr::new(Ipv4Addr::new(buf[4], buf[5], buf[6], buf[7]).into(), port)
    } else {
        let ip: [u8; 16] = buf[8..24].try_into().expect("16 bytes");
        SocketAddr::new(Ipv6Addr::from(ip).into(), port)
    }
}

/// A stored unix tuple whose kernel addresses are not compared.
pub(crate) fn unix_tuple(event: &RawEvent<'_>, name: &str) -> Option<(u64, u64, Vec<u8>)> {
    let bytes = event.param(event.info()?.param_index(name)?)?;
    let (head, path) = bytes.split_at_checked(17)?;
    let word = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    (head[0] == 1).then_some((word(1)?, word(9)?, path.to_vec()))
}
