//! What socket fds are: addresses from the tables in /proc/PID/net, one set per network namespace.
//!
//! Socket inodes are unique in the machine, so all namespaces fill one table. It is read after
//! the fds, so that a socket made meanwhile is found.

use super::Gaps;
use super::processes::{bracketed, link};
use capture_common::abi::SockInfo;
use capture_common::snapshot::{FdKind, FdRecord, FdType, L4Proto};
use std::collections::HashMap;
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Processes of a namespace that are tried for its tables, in case the first ends.
const WITNESSES_MAX: usize = 4;

/// Tables of IP sockets and their protocol.
const INET_TABLES: [(&str, L4Proto); 10] = [
    ("tcp", L4Proto::Tcp),
    ("tcp6", L4Proto::Tcp),
    ("udp", L4Proto::Udp),
    ("udp6", L4Proto::Udp),
    ("udplite", L4Proto::Udp),
    ("udplite6", L4Proto::Udp),
    ("raw", L4Proto::Raw),
    ("raw6", L4Proto::Raw),
    ("icmp", L4Proto::Icmp),
    ("icmp6", L4Proto::Icmp),
];

/// Protocol names of sockets that stand in no table, because they are not bound yet.
const UNBOUND: [(&[u8], bool, L4Proto); 8] = [
    (b"TCP", false, L4Proto::Tcp),
    (b"TCPv6", true, L4Proto::Tcp),
    (b"UDP", false, L4Proto::Udp),
    (b"UDPv6", true, L4Proto::Udp),
    (b"RAW", false, L4Proto::Raw),
    (b"RAWv6", true, L4Proto::Raw),
    (b"PING", false, L4Proto::Icmp),
    (b"PINGv6", true, L4Proto::Icmp),
];

/// Sockets by inode.
type Table = HashMap<u64, FdKind>;
/// What a line of a table says.
type Line = Option<(u64, FdKind)>;

/// A socket fd that waits for its addresses.
struct Waiting {
    /// Indices of the fd's table and entry.
    at: (usize, usize),
    ino: u64,
    path: PathBuf,
}

/// Socket fds seen so far, and the network namespaces of their processes.
#[derive(Default)]
pub(super) struct Pending {
    waiting: Vec<Waiting>,
    /// Folders of processes by inode of their network namespace.
    namespaces: HashMap<u64, Vec<PathBuf>>,
    last_folder: PathBuf,
}

impl Pending {
    /// Notes a socket fd of the process in `folder`.
    pub(super) fn push(&mut self, at: (usize, usize), ino: u64, folder: &Path, path: PathBuf) {
        if self.last_folder != folder {
            self.last_folder = folder.to_owned();
            if let Some(namespace) = link(&folder.join("ns/net")).as_deref().and_then(bracketed) {
                let witnesses = self.namespaces.entry(namespace).or_default();
                if witnesses.len() < WITNESSES_MAX {
                    witnesses.push(folder.to_owned());
                }
            }
        }
        self.waiting.push(Waiting { at, ino, path });
    }

    /// Reads the tables and fills in the sockets.
    pub(super) fn resolve(self, fds: &mut [(i64, Vec<FdRecord>)], gaps: &mut Gaps) {
        let mut table = Table::new();
        for witnesses in self.namespaces.values() {
            let is_read = witnesses.iter().any(|folder| read_tables(&folder.join("net"), &mut table));
            // A namespace may end with its processes.
            if !is_read && witnesses.iter().any(|folder| folder.join("net").exists()) {
                gaps.lists += 1;
            }
        }
        for Waiting { at, ino, path } in self.waiting {
            let kind = table.get(&ino).cloned().or_else(|| {
                gaps.unlisted_sockets += 1;
                by_protocol_name(&protocol_name(&path)?)
            });
            let record = fds.get_mut(at.0).and_then(|(_, records)| records.get_mut(at.1));
            if let (Some(record), Some(kind)) = (record, kind) {
                record.kind = kind;
            }
        }
    }
}

/// Adds the sockets of one namespace; `false` if not one of its tables can be read.
fn read_tables(net: &Path, table: &mut Table) -> bool {
    let mut any = false;
    let mut each_line = |name: &str, parse: &mut dyn FnMut(&[u8]) -> Line| {
        let Ok(content) = std::fs::read(net.join(name)) else { return };
        any = true;
        // The first line names the columns.
        table.extend(content.split(|&b| b == b'\n').skip(1).filter_map(parse));
    };
    for (name, l4proto) in INET_TABLES {
        each_line(name, &mut |line| parse_inet(line, l4proto));
    }
    each_line("unix", &mut parse_unix);
    each_line("netlink", &mut parse_netlink);
    any
}

/// A line of tcp, udp, raw or icmp, of either IP version.
fn parse_inet(line: &[u8], l4proto: L4Proto) -> Line {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, lport) = parse_end(fields.next()?)?;
    let (remote, rport) = parse_end(fields.next()?)?;
    let ino = fields.nth(6)?.parse().ok()?;
    // Inode 0: the connection outlives its socket, no fd can refer to it.
    if ino == 0 {
        return None;
    }
    let is_server = remote.is_unspecified() && (rport == 0 || l4proto == L4Proto::Raw);
    let kind = match (unmapped(local, remote), is_server) {
        ((IpAddr::V4(ip), _), true) => FdKind::Ipv4Server { ip, port: lport, l4proto },
        ((IpAddr::V6(ip), _), true) => FdKind::Ipv6Server { ip, port: lport, l4proto },
        ((IpAddr::V4(sip), IpAddr::V4(dip)), false) => {
            FdKind::Ipv4 { sip, dip, sport: lport, dport: rport, l4proto }
        }
        ((IpAddr::V6(sip), IpAddr::V6(dip)), false) => {
            FdKind::Ipv6 { sip, dip, sport: lport, dport: rport, l4proto }
        }
        _ => return None,
    };
    Some((ino, kind))
}

/// IPv4 connections of an IPv6 socket are IPv4 connections.
fn unmapped(local: IpAddr, remote: IpAddr) -> (IpAddr, IpAddr) {
    match (local.to_canonical(), remote.to_canonical()) {
        (l @ IpAddr::V4(_), r @ IpAddr::V4(_)) => (l, r),
        _ => (local, remote),
    }
}

/// `0100007F:1F90`: 32-bit words as the machine holds them, in hex.
fn parse_end(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

/// `Num RefCount Protocol Flags Type St Inode Path`, where the path may be missing or hold blanks.
fn parse_unix(line: &[u8]) -> Line {
    let mut rest = line;
    let mut field = || {
        let start = rest.iter().position(|&b| b != b' ')?;
        let end = rest[start..].iter().position(|&b| b == b' ').map_or(rest.len(), |len| start + len);
        let field = &rest[start..end];
        rest = &rest[end..];
        std::str::from_utf8(field).ok()
    };
    let source = u64::from_str_radix(field()?.strip_suffix(':')?, 16).ok()?;
    for _ in 0..5 {
        field()?;
    }
    let ino = field()?.parse().ok()?;
    let path = rest.strip_prefix(b" ").unwrap_or(rest).to_vec();
    // The table does not say who the peer is.
    Some((ino, FdKind::Unix { source, destination: 0, path }))
}

fn parse_netlink(line: &[u8]) -> Line {
    let line = std::str::from_utf8(line).ok()?;
    let ino = line.split_ascii_whitespace().nth(9)?.parse().ok()?;
    Some((ino, FdKind::Other { ty: FdType::Netlink, name: Vec::new() }))
}

/// What the kernel's own structures say of a socket, with the names that it and its peer have, if it is
/// of a family with addresses that files keep.
pub(super) fn by_structure(sock: &SockInfo, own_name: &[u8], peer_name: &[u8]) -> Option<FdKind> {
    match i32::from(sock.family) {
        libc::AF_UNIX => Some(FdKind::Unix {
            source: sock.sk_addr,
            destination: sock.peer_addr,
            path: unix_path(if own_name.is_empty() { peer_name } else { own_name }),
        }),
        libc::AF_NETLINK => Some(FdKind::Other { ty: FdType::Netlink, name: Vec::new() }),
        libc::AF_INET => {
            let ip = |bytes: [u8; 16]| IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]);
            Some(inet(sock, ip(sock.local_addr), ip(sock.remote_addr), protocol(sock)?))
        }
        libc::AF_INET6 => {
            let (local, remote) = unmapped(sock.local_addr.into(), sock.remote_addr.into());
            Some(inet(sock, local, remote, protocol(sock)?))
        }
        _ => None,
    }
}

/// Type and protocol of IP sockets; every raw one is [`L4Proto::Raw`].
const PROTOCOLS: [(i32, i32, L4Proto); 5] = [
    (libc::SOCK_STREAM, libc::IPPROTO_TCP, L4Proto::Tcp),
    (libc::SOCK_DGRAM, libc::IPPROTO_UDP, L4Proto::Udp),
    (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE, L4Proto::Udp),
    (libc::SOCK_DGRAM, libc::IPPROTO_ICMP, L4Proto::Icmp),
    (libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6, L4Proto::Icmp),
];

fn protocol(sock: &SockInfo) -> Option<L4Proto> {
    let (sock_type, protocol) = (i32::from(sock.sock_type), i32::from(sock.protocol));
    if sock_type == libc::SOCK_RAW {
        return Some(L4Proto::Raw);
    }
    PROTOCOLS.iter().find(|(t, p, _)| (*t, *p) == (sock_type, protocol)).map(|&(_, _, l4proto)| l4proto)
}

/// As the tables show it: a socket that is connected to nothing is a server if it is bound.
fn inet(sock: &SockInfo, local: IpAddr, mut remote: IpAddr, l4proto: L4Proto) -> FdKind {
    let (sport, dport) = (sock.local_port, sock.remote_port);
    if sport == 0 && dport == 0 {
        // What a connect that failed leaves.
        remote = match remote {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
    }
    let is_server = remote.is_unspecified() && (dport == 0 && sport != 0 || l4proto == L4Proto::Raw);
    match (local, remote) {
        (IpAddr::V4(ip), _) if is_server => FdKind::Ipv4Server { ip, port: sport, l4proto },
        (IpAddr::V6(ip), _) if is_server => FdKind::Ipv6Server { ip, port: sport, l4proto },
        (IpAddr::V4(sip), IpAddr::V4(dip)) => FdKind::Ipv4 { sip, dip, sport, dport, l4proto },
        (sip, dip) => {
            let v6 = |ip| match ip {
                IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
                IpAddr::V6(ip) => ip,
            };
            FdKind::Ipv6 { sip: v6(sip), dip: v6(dip), sport, dport, l4proto }
        }
    }
}

/// A name as /proc/net/unix shows it: abstract ones have `@` for every NUL, paths end at the first.
fn unix_path(name: &[u8]) -> Vec<u8> {
    match name.first() {
        Some(0) => name.iter().map(|&b| if b == 0 { b'@' } else { b }).collect(),
        _ => name.split(|&b| b == 0).next().unwrap_or_default().to_vec(),
    }
}

/// A socket of which only the protocol is known.
fn by_protocol_name(name: &[u8]) -> Option<FdKind> {
    let &(_, is_v6, l4proto) = UNBOUND.iter().find(|(n, ..)| *n == name)?;
    Some(if is_v6 {
        let any = Ipv6Addr::UNSPECIFIED;
        FdKind::Ipv6 { sip: any, dip: any, sport: 0, dport: 0, l4proto }
    } else {
        let any = Ipv4Addr::UNSPECIFIED;
        FdKind::Ipv4 { sip: any, dip: any, sport: 0, dport: 0, l4proto }
    })
}

/// Name of a socket's protocol (`system.sockprotoname`), which the kernel tells for any socket.
fn protocol_name(path: &Path) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut name = [0u8; 64];
    // SAFETY: both strings end with NUL, and the buffer's real size is given.
    let len = unsafe {
        libc::getxattr(path.as_ptr(), c"system.sockprotoname".as_ptr(), name.as_mut_ptr().cast(), name.len())
    };
    let name = name.get(..usize::try_from(len).ok()?)?;
    Some(name[..name.iter().position(|&b| b == 0).unwrap_or(name.len())].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_inet_tables() {
        let check = |line: &str, l4proto, expected: Option<(u64, FdKind)>| {
            assert_eq!(parse_inet(line.as_bytes(), l4proto), expected, "{line}");
        };
        let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        check(
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1656 1 0 100",
            L4Proto::Tcp,
            Some((1656, FdKind::Ipv4Server { ip: ip("127.0.0.1"), port: 8080, l4proto: L4Proto::Tcp })),
        );
        let v4 = FdKind::Ipv4 {
            sip: ip("127.0.0.1"),
            dip: ip("10.0.0.2"),
            sport: 8080,
            dport: 443,
            l4proto: L4Proto::Tcp,
        };
        check(
            "  10: 0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 1000 0 77 1",
            L4Proto::Tcp,
            Some((77, v4.clone())),
        );
        check(
            "  1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200000A:01BB 01 0:0 0:0 0 0 0 78 1",
            L4Proto::Tcp,
            Some((78, v4)),
        );
        check(
            "  1: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 79 1",
            L4Proto::Udp,
            Some((79, FdKind::Ipv6Server { ip: Ipv6Addr::LOCALHOST, port: 53, l4proto: L4Proto::Udp })),
        );
        check("  1: 0100007F:AAF7 0100007F:B302 06 0:0 3:0 0 0 0 0 3", L4Proto::Tcp, None);
        check("  1: 0100007F:AAF7", L4Proto::Tcp, None);
        check("", L4Proto::Tcp, None);
    }

    #[test]
    fn lines_of_the_unix_table() {
        let check = |line: &str, expected: Option<(u64, u64, &str)>| {
            let expected = expected.map(|(ino, source, path)| {
                (ino, FdKind::Unix { source, destination: 0, path: path.as_bytes().to_vec() })
            });
            assert_eq!(parse_unix(line.as_bytes()), expected, "{line}");
        };
        check("00000000015e8c5a: 00000003 00000000 00000000 0001 03  1652", Some((1652, 0x15e_8c5a, "")));
        check(
            "0000000000000001: 00000002 00000000 00010000 0001 01 16301 /run/a b",
            Some((16301, 1, "/run/a b")),
        );
        check(
            "ffff8800372b6c00: 00000002 00000000 00010000 0005 01 7 @abs",
            Some((7, 0xffff_8800_372b_6c00, "@abs")),
        );
        check("garbage", None);
        check("", None);
    }

    #[test]
    fn structures_say_what_the_tables_say() {
        let zero = SockInfo::read(&[0; SockInfo::LEN_BYTES]).unwrap();
        let of = |family: i32, sock_type: i32, protocol: i32| SockInfo {
            family: family as u16,
            sock_type: sock_type as u16,
            protocol: protocol as u16,
            ..zero
        };
        let check = |sock: &SockInfo, expected: Option<FdKind>| {
            assert_eq!(by_structure(sock, b"", b""), expected, "{sock:?}");
        };
        let (tcp, any) = (of(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP), Ipv4Addr::UNSPECIFIED);
        let l4proto = L4Proto::Tcp;
        check(&tcp, Some(FdKind::Ipv4 { sip: any, dip: any, sport: 0, dport: 0, l4proto }));
        let bound = SockInfo { local_port: 8080, ..tcp };
        check(&bound, Some(FdKind::Ipv4Server { ip: any, port: 8080, l4proto }));
        let mapped = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
        let v6 = SockInfo {
            local_addr: mapped(1),
            remote_addr: mapped(2),
            remote_port: 443,
            family: libc::AF_INET6 as u16,
            ..bound
        };
        let ends = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        check(&v6, Some(FdKind::Ipv4 { sip: ends.0, dip: ends.1, sport: 8080, dport: 443, l4proto }));
        let raw = SockInfo { local_port: 1, ..of(libc::AF_INET, libc::SOCK_RAW, 1) };
        check(&raw, Some(FdKind::Ipv4Server { ip: any, port: 1, l4proto: L4Proto::Raw }));
        check(&of(libc::AF_INET, libc::SOCK_STREAM, 262), None);
        check(&of(libc::AF_PACKET, libc::SOCK_RAW, 0), None);
        let unix = SockInfo { sk_addr: 5, peer_addr: 6, ..of(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
        for (own, peer, path) in
            [(&b"/a\0b"[..], &b"/c"[..], "/a"), (b"", b"/c", "/c"), (b"\0x\0", b"", "@x@"), (b"", b"", "")]
        {
            let expected = FdKind::Unix { source: 5, destination: 6, path: path.as_bytes().to_vec() };
            assert_eq!(by_structure(&unix, own, peer), Some(expected));
        }
    }

    #[test]
    fn netlink_and_unbound_sockets() {
        let line =
            b"0000000028e052d9 0   0          00000000 0        0        0     2        0        4       ";
        let netlink = FdKind::Other { ty: FdType::Netlink, name: Vec::new() };
        assert_eq!(parse_netlink(line), Some((4, netlink)));
        assert!(matches!(by_protocol_name(b"TCPv6"), Some(FdKind::Ipv6 { l4proto: L4Proto::Tcp, .. })));
        assert_eq!(by_protocol_name(b"PACKET"), None);
    }
}
