//! Socket addresses and tuples as text.

use super::number::{dec_u64, hex_lower};
use super::text::{push_printable, until_nul};
use crate::services::PortsOf;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Appends an IPv4 address.
#[inline]
pub fn push_v4(out: &mut Vec<u8>, addr: Ipv4Addr) {
    for (i, byte) in addr.octets().into_iter().enumerate() {
        if i != 0 {
            out.push(b'.');
        }
        dec_u64(out, u64::from(byte));
    }
}

/// Appends an IPv6 address in the form of `inet_ntop`: the longest run of zeros as `::`, and the
/// last four bytes dotted where the address is IPv4-mapped or IPv4-compatible.
pub fn push_v6(out: &mut Vec<u8>, addr: Ipv6Addr) {
    let words = addr.segments();
    let (mut best_at, mut best_len) = (0, 0);
    let mut at = 0;
    while at < words.len() {
        let len = words[at..].iter().take_while(|&&w| w == 0).count();
        if len > best_len && len >= 2 {
            (best_at, best_len) = (at, len);
        }
        at += len.max(1);
    }
    let dotted = best_at == 0 && (best_len == 6 || (best_len == 5 && words[5] == 0xffff));
    let mut i = 0;
    while i < words.len() {
        if best_len != 0 && i == best_at {
            out.extend_from_slice(b"::");
            i += best_len;
            continue;
        }
        if i != 0 && !(best_len != 0 && i == best_at + best_len) {
            out.push(b':');
        }
        if dotted && i == 6 {
            let [.., a, b, c, d] = addr.octets();
            return push_v4(out, Ipv4Addr::new(a, b, c, d));
        }
        hex_lower(out, u64::from(words[i]));
        i += 1;
    }
}

/// Appends an address of either family.
#[inline]
pub fn push_ip(out: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => push_v4(out, addr),
        IpAddr::V6(addr) => push_v6(out, addr),
    }
}

/// Appends `address:port`; IPv6 addresses get no brackets.
#[inline]
pub fn push_endpoint(out: &mut Vec<u8>, addr: IpAddr, port: u16, ports: PortsOf) {
    push_ip(out, addr);
    out.push(b':');
    match ports.name(port) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => dec_u64(out, u64::from(port)),
    }
}

/// Appends a stored socket address (type `SOCKADDR`).
pub fn push_sockaddr(out: &mut Vec<u8>, data: &[u8], ports: PortsOf) {
    let Some((&family, rest)) = data.split_first() else { return out.extend_from_slice(b"NULL") };
    match (family, rest) {
        (AF_UNIX, path) => push_printable(out, until_nul(path)),
        (AF_INET, rest) if rest.len() == 6 => push_endpoint(out, v4(rest, 0), port(rest, 4), ports),
        (AF_INET6, rest) if rest.len() == 18 => push_endpoint(out, v6(rest, 0), port(rest, 16), ports),
        _ => push_family(out, family),
    }
}

/// Appends a stored tuple (type `SOCKTUPLE`). Where both ends of an IPv6 pair are IPv4-mapped
/// (or unset), they print as IPv4.
pub fn push_tuple(out: &mut Vec<u8>, data: &[u8], ports: PortsOf) {
    let Some((&family, rest)) = data.split_first() else { return out.extend_from_slice(b"NULL") };
    match (family, rest) {
        (AF_UNIX, rest) if rest.len() >= 16 => {
            push_unix_tuple(out, u64_at(rest, 0), u64_at(rest, 8), until_nul(&rest[16..]));
        }
        (AF_INET, rest) if rest.len() == 12 => {
            push_pair(out, (v4(rest, 0), port(rest, 4)), (v4(rest, 6), port(rest, 10)), ports);
        }
        (AF_INET6, rest) if rest.len() == 36 => {
            let (source, target) = (v6(rest, 0), v6(rest, 18));
            let (source, target) = match (as_v4(source), as_v4(target)) {
                (Some(a), Some(b)) => (a, b),
                _ => (source, target),
            };
            push_pair(out, (source, port(rest, 16)), (target, port(rest, 34)), ports);
        }
        _ => push_family(out, family),
    }
}

/// Appends `source->target path` of a unix socket, the kernel's addresses in hexadecimal.
pub fn push_unix_tuple(out: &mut Vec<u8>, source: u64, target: u64, path: &[u8]) {
    hex_lower(out, source);
    out.extend_from_slice(b"->");
    hex_lower(out, target);
    out.push(b' ');
    push_printable(out, path);
}

fn push_pair(out: &mut Vec<u8>, source: (IpAddr, u16), target: (IpAddr, u16), ports: PortsOf) {
    push_endpoint(out, source.0, source.1, ports);
    out.extend_from_slice(b"->");
    push_endpoint(out, target.0, target.1, ports);
}

fn push_family(out: &mut Vec<u8>, family: u8) {
    out.extend_from_slice(b"family ");
    dec_u64(out, u64::from(family));
}

fn as_v4(addr: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = addr else { return None };
    if v6.is_unspecified() {
        return Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }
    v6.to_ipv4_mapped().map(IpAddr::V4)
}

// The callers have matched the length of `rest`; a short slice would read as zeros.
fn bytes<const N: usize>(rest: &[u8], at: usize) -> [u8; N] {
    rest.get(at..at + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
}

fn v4(rest: &[u8], at: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(bytes::<4>(rest, at)))
}

fn v6(rest: &[u8], at: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(bytes::<16>(rest, at)))
}

fn port(rest: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(rest, at))
}

fn u64_at(rest: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(rest, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ipv6_as_inet_ntop() {
        for addr in ["::", "::1", "fe80::1", "2001:db8:0:1::", "2600:1f18:262c:6542:9aa6:df7a:9a47:d29e"] {
            assert_eq!(text(|o| push_v6(o, addr.parse().unwrap())), addr);
        }
        for (addr, expected) in [
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::102:304", "::1.2.3.4"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"),
            ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ] {
            assert_eq!(text(|o| push_v6(o, addr.parse().unwrap())), expected);
        }
    }

    fn tuple6(source: &str, target: &str) -> Vec<u8> {
        let mut data = vec![AF_INET6];
        for (addr, port) in [(source, 1u16), (target, 2)] {
            data.extend(addr.parse::<Ipv6Addr>().unwrap().octets());
            data.extend(port.to_le_bytes());
        }
        data
    }

    #[test]
    fn tuples_as_sysdig_prints_them() {
        let check = |data: &[u8], expected: &str| {
            assert_eq!(text(|o| push_tuple(o, data, PortsOf::default())), expected)
        };
        check(b"", "NULL");
        check(b"\x02\x01\x02\x03\x04\x01\x00\x05\x06\x07\x08\x02\x00", "1.2.3.4:1->5.6.7.8:2");
        check(&tuple6("::ffff:1.2.3.4", "::ffff:5.6.7.8"), "1.2.3.4:1->5.6.7.8:2");
        check(&tuple6("::ffff:1.2.3.4", "::"), "1.2.3.4:1->0.0.0.0:2");
        check(&tuple6("::", "::1"), ":::1->::1:2");
        check(b"\x10abc", "family 16");
        let mut unix = vec![AF_UNIX];
        unix.extend(0u64.to_le_bytes());
        unix.extend(0xffff_8800_3c42_0800u64.to_le_bytes());
        unix.extend(b"/var/run/x\0");
        check(&unix, "0->ffff88003c420800 /var/run/x");
    }

    #[test]
    fn addresses_as_sysdig_prints_them() {
        let check = |data: &[u8], expected: &str| {
            assert_eq!(text(|o| push_sockaddr(o, data, PortsOf::default())), expected)
        };
        check(b"", "NULL");
        check(b"\x01/a/b\0", "/a/b");
        check(b"\x01\0abstract\0", "");
        check(b"\x02\x01\x02\x03\x04\x50\x00", "1.2.3.4:80");
        check(b"\x11abcdef", "family 17");
        check(b"\x02\x01", "family 2");
    }
}
