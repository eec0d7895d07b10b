//! Socket calls. Tuples are compared with what getsockname says.

use crate::addresses::{name_of, native, native_unix, stored, tuple, unix_tuple};
use crate::expect::{BAD, Script, V, mut_ptr, ptr, raw};
use crate::recorder::record;
use crate::values;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn socket(s: &mut Script, domain: i32, kind: i32) -> i64 {
    let fd = s.ok(libc::SYS_socket, &[domain as u64, kind as u64, 0]);
    let (domain, kind) = (i64::from(domain), i64::from(kind));
    let flags = i64::from(capture_common::native::maps::SOCKET_TYPE_FLAGS.stored(kind as u64));
    s.enter(values!["domain" = domain, "type" = kind, "proto" = 0]);
    s.exit(values!["fd" = fd, "domain" = domain, "type" = kind, "proto" = 0, "flags" = flags]);
    fd
}

/// Binds to a free port of `ip`; what getsockname says then.
fn bind(s: &mut Script, fd: i64, ip: IpAddr) -> SocketAddr {
    let wanted = SocketAddr::new(ip, 0);
    let addr = native(wanted);
    s.ok(libc::SYS_bind, &[fd as u64, ptr(&addr[..]), addr.len() as u64]);
    s.enter(values!["fd" = fd]).exit(values!["res" = 0, "addr" = stored(wanted), "fd" = fd]);
    name_of(libc::SYS_getsockname, fd)
}

fn stream(s: &mut Script, ip: IpAddr) {
    let domain = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let listener = socket(s, domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC);
    let server = bind(s, listener, ip);
    s.ok(libc::SYS_listen, &[listener as u64, 5]);
    s.enter(values!["fd" = listener, "backlog" = 5]);
    s.exit(values!["res" = 0, "fd" = listener, "backlog" = 5]);

    let client = socket(s, domain, libc::SOCK_STREAM);
    let addr = native(server);
    s.ok(libc::SYS_connect, &[client as u64, ptr(&addr[..]), addr.len() as u64]);
    let own = name_of(libc::SYS_getsockname, client);
    s.enter(values!["fd" = client, "addr" = stored(server)]);
    s.exit(values!["res" = 0, "tuple" = tuple(own, server), "fd" = client, "addr" = stored(server)]);

    let peer = s.ok(libc::SYS_accept4, &[listener as u64, 0, 0, libc::SOCK_NONBLOCK as u64]);
    assert_eq!(name_of(libc::SYS_getpeername, peer), own);
    s.enter(values!["flags" = 0x40]);
    s.exit(values![
        "fd" = peer,
        "tuple" = tuple(own, server),
        "queuepct" = 0,
        "queuelen" = 0,
        "queuemax" = 5
    ]);

    let text = b"hello".to_vec();
    s.ok(libc::SYS_sendto, &[client as u64, ptr(&text[..]), 5, 0, 0, 0]);
    s.enter(values!["fd" = client, "size" = 5, "tuple" = tuple(own, server)]);
    s.exit(values![
        "res" = 5,
        "data" = text.clone(),
        "fd" = client,
        "size" = 5,
        "tuple" = tuple(own, server)
    ]);
    let mut buf = [0u8; 64];
    let at = mut_ptr(&mut buf);
    s.ok(libc::SYS_recvfrom, &[peer as u64, at, 64, 0, 0, 0]);
    s.enter(values!["fd" = peer, "size" = 64]);
    s.exit(values!["res" = 5, "data" = text, "tuple" = tuple(own, server), "fd" = peer, "size" = 64]);
    let error = s.fails(libc::EAGAIN, libc::SYS_recvfrom, &[peer as u64, at, 64, 0, 0, 0]);
    s.enter(values!["fd" = peer, "size" = 64]);
    s.exit(values!["res" = error, "data" = vec![], "tuple" = vec![], "fd" = peer, "size" = 64]);
    s.ok(libc::SYS_shutdown, &[client as u64, libc::SHUT_WR as u64]);
    s.enter(values!["fd" = client, "how" = 1]).exit(values!["res" = 0, "fd" = client, "how" = 1]);
    for fd in [listener, client, peer] {
        s.ok(libc::SYS_close, &[fd as u64]);
        s.enter(values!["fd" = fd]).exit(values!["res" = 0, "fd" = fd]);
    }
    // Nobody listens any more.
    let client = socket(s, domain, libc::SOCK_STREAM);
    let error =
        s.fails(libc::ECONNREFUSED, libc::SYS_connect, &[client as u64, ptr(&addr[..]), addr.len() as u64]);
    s.enter(values!["fd" = client, "addr" = stored(server)]);
    s.exit(values!["res" = error, "tuple" = vec![], "fd" = client, "addr" = stored(server)]);
}

#[test]
fn streams_of_both_families() {
    let Some((script, recording)) = record("streams_of_both_families", || {
        let mut s = Script::new();
        stream(&mut s, Ipv4Addr::LOCALHOST.into());
        stream(&mut s, Ipv6Addr::LOCALHOST.into());
        let error = s.fails(libc::EAFNOSUPPORT, libc::SYS_socket, &[99, 1, 0]);
        s.enter(values!["domain" = 0, "type" = 1, "proto" = 0]);
        s.exit(values!["fd" = error, "domain" = 0, "type" = 1, "proto" = 0, "flags" = 0]);
        let error = s.fails(libc::EBADF, libc::SYS_listen, &[999, 5]);
        s.enter(values!["fd" = 999, "backlog" = 5]);
        s.exit(values!["res" = error, "fd" = 999, "backlog" = 5]);
        let error = s.fails(libc::EBADF, libc::SYS_accept, &[999, 0, 0]);
        s.exit(values!["fd" = error, "tuple" = vec![], "queuepct" = 0, "queuelen" = 0, "queuemax" = 0]);
        let error = s.fails(libc::EBADF, libc::SYS_shutdown, &[999, 2]);
        s.enter(values!["fd" = 999, "how" = 2]).exit(values!["res" = error, "fd" = 999, "how" = 2]);
        let error = s.fails(libc::EBADF, libc::SYS_bind, &[999, BAD, 16]);
        s.enter(values!["fd" = 999]).exit(values!["res" = error, "addr" = vec![], "fd" = 999]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

fn datagrams_of(s: &mut Script, ip: IpAddr) {
    let domain = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let server = socket(s, domain, libc::SOCK_DGRAM);
    let to = bind(s, server, ip);
    let client = socket(s, domain, libc::SOCK_DGRAM);
    let addr = native(to);
    let text = b"ping".to_vec();
    let any = SocketAddr::new(
        if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() },
        0,
    );
    s.ok(libc::SYS_sendto, &[client as u64, ptr(&text[..]), 4, 0, ptr(&addr[..]), addr.len() as u64]);
    // The port is chosen by this call; the address of an unconnected socket stays open.
    let bound = name_of(libc::SYS_getsockname, client);
    s.enter(values!["fd" = client, "size" = 4, "tuple" = tuple(any, to)]);
    s.exit(values!["res" = 4, "data" = text.clone(), "fd" = client, "size" = 4, "tuple" = tuple(bound, to)]);
    let sender = SocketAddr::new(ip, bound.port());
    let (mut buf, mut from, mut len) = ([0u8; 64], [0u8; 28], 28u32);
    let at = mut_ptr(&mut buf);
    s.ok(libc::SYS_recvfrom, &[server as u64, at, 64, 0, mut_ptr(&mut from), mut_ptr(&mut len)]);
    s.enter(values!["fd" = server, "size" = 64]);
    s.exit(values![
        "res" = 4,
        "data" = text.clone(),
        "tuple" = tuple(sender, to),
        "fd" = server,
        "size" = 64
    ]);
    // Without asking for the sender nobody knows it.
    s.ok(libc::SYS_sendto, &[client as u64, ptr(&text[..]), 4, 0, ptr(&addr[..]), addr.len() as u64]);
    s.enter(values!["fd" = client, "size" = 4, "tuple" = tuple(bound, to)]);
    s.exit(values!["res" = 4, "data" = text.clone(), "fd" = client, "size" = 4, "tuple" = tuple(bound, to)]);
    s.ok(libc::SYS_recvfrom, &[server as u64, at, 64, 0, 0, 0]);
    s.enter(values!["fd" = server, "size" = 64]);
    s.exit(values!["res" = 4, "data" = text, "tuple" = vec![], "fd" = server, "size" = 64]);
}

#[test]
fn datagrams() {
    let Some((script, recording)) = record("datagrams", || {
        let mut s = Script::new();
        datagrams_of(&mut s, Ipv4Addr::LOCALHOST.into());
        datagrams_of(&mut s, Ipv6Addr::LOCALHOST.into());
        let error = s.fails(libc::EBADF, libc::SYS_sendto, &[999, BAD, 4, 0, 0, 0]);
        s.enter(values!["fd" = 999, "size" = 4, "tuple" = vec![]]);
        s.exit(values!["res" = error, "data" = vec![], "fd" = 999, "size" = 4, "tuple" = vec![]]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

fn msghdr(name: &mut [u8], iov: &mut [libc::iovec], control: &mut [u8]) -> libc::msghdr {
    // SAFETY: all zeroes is a valid msghdr.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    if !name.is_empty() {
        msg.msg_name = name.as_mut_ptr().cast();
        msg.msg_namelen = name.len() as u32;
    }
    msg.msg_iov = iov.as_mut_ptr();
    msg.msg_iovlen = iov.len();
    if !control.is_empty() {
        msg.msg_control = control.as_mut_ptr().cast();
        msg.msg_controllen = control.len();
    }
    msg
}

fn iovec(buf: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() }
}

#[test]
fn messages() {
    let Some((script, recording)) = record("messages", || {
        let mut s = Script::new();
        let ip: IpAddr = Ipv4Addr::LOCALHOST.into();
        let server = socket(&mut s, libc::AF_INET, libc::SOCK_DGRAM);
        let to = bind(&mut s, server, ip);
        let client = socket(&mut s, libc::AF_INET, libc::SOCK_DGRAM);
        let own = bind(&mut s, client, ip);
        let mut addr = native(to);
        let (mut one, mut two) = (*b"one ", *b"two");
        let mut parts = [iovec(&mut one), iovec(&mut two)];
        let msg = msghdr(&mut addr, &mut parts, &mut []);
        s.ok(libc::SYS_sendmsg, &[client as u64, ptr(&msg), 0]);
        s.enter(values!["fd" = client, "size" = 7, "tuple" = tuple(own, to)]);
        s.exit(values![
            "res" = 7,
            "data" = b"one two".to_vec(),
            "fd" = client,
            "size" = 7,
            "tuple" = tuple(own, to)
        ]);
        let error = s.fails(libc::EBADF, libc::SYS_sendmsg, &[999, ptr(&msg), 0]);
        s.enter(values!["fd" = 999, "size" = 7, "tuple" = vec![]]);
        s.exit(values![
            "res" = error,
            "data" = b"one two".to_vec(),
            "fd" = 999,
            "size" = 7,
            "tuple" = vec![]
        ]);
        let (mut from, mut buf) = ([0u8; 16], [0u8; 64]);
        let mut into = [iovec(&mut buf)];
        let mut msg = msghdr(&mut from, &mut into, &mut []);
        s.ok(libc::SYS_recvmsg, &[server as u64, mut_ptr(&mut msg), 0]);
        s.enter(values!["fd" = server]);
        s.exit(values![
            "res" = 7,
            "size" = 7,
            "data" = b"one two".to_vec(),
            "tuple" = tuple(own, to),
            "msgcontrol" = vec![],
            "fd" = server
        ]);
        let error = s.fails(
            libc::EAGAIN,
            libc::SYS_recvmsg,
            &[server as u64, mut_ptr(&mut msg), libc::MSG_DONTWAIT as u64],
        );
        s.enter(values!["fd" = server]);
        s.exit(values![
            "res" = error,
            "size" = 0,
            "data" = vec![],
            "tuple" = vec![],
            "msgcontrol" = vec![],
            "fd" = server
        ]);
        several(&mut s, client, server, own, to);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

fn several(s: &mut Script, client: i64, server: i64, own: SocketAddr, to: SocketAddr) {
    let (mut addr, mut addr2) = (native(to), native(to));
    let (mut one, mut three) = (*b"one", *b"three");
    let (mut first, mut second) = ([iovec(&mut one)], [iovec(&mut three)]);
    let mut list = [
        libc::mmsghdr { msg_hdr: msghdr(&mut addr, &mut first, &mut []), msg_len: 0 },
        libc::mmsghdr { msg_hdr: msghdr(&mut addr2, &mut second, &mut []), msg_len: 0 },
    ];
    s.ok(libc::SYS_sendmmsg, &[client as u64, mut_ptr(&mut list), 2, 0]);
    let both = b"onethree".to_vec();
    s.exit(values!["res" = 2, "fd" = client, "size" = 8, "data" = both.clone(), "tuple" = tuple(own, to)]);
    let (mut from, mut from2) = ([0u8; 16], [0u8; 16]);
    let (mut buf, mut buf2) = ([0u8; 16], [0u8; 16]);
    let (mut into, mut into2) = ([iovec(&mut buf)], [iovec(&mut buf2)]);
    let mut list = [
        libc::mmsghdr { msg_hdr: msghdr(&mut from, &mut into, &mut []), msg_len: 0 },
        libc::mmsghdr { msg_hdr: msghdr(&mut from2, &mut into2, &mut []), msg_len: 0 },
    ];
    s.ok(libc::SYS_recvmmsg, &[server as u64, mut_ptr(&mut list), 2, 0, 0]);
    s.exit(values![
        "res" = 2,
        "fd" = server,
        "size" = 8,
        "data" = both,
        "tuple" = tuple(own, to),
        "msgcontrol" = vec![]
    ]);
    let error = s.fails(libc::EBADF, libc::SYS_sendmmsg, &[999, mut_ptr(&mut list), 2, 0]);
    s.exit(values!["res" = error, "fd" = 999, "size" = V::Unknown, "data" = V::Unknown, "tuple" = vec![]]);
}

#[test]
fn unix_sockets_and_passed_descriptors() {
    use capture_common::event_table::code;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("s").to_str().expect("plain text").to_owned();
    let Some((script, recording)) = record("unix_sockets_and_passed_descriptors", || {
        let mut s = Script::new();
        let addr = native_unix(path.as_bytes());
        let mut stored = vec![1u8];
        stored.extend(path.as_bytes());
        stored.push(0);
        let listener = socket(&mut s, libc::AF_UNIX, libc::SOCK_STREAM);
        s.ok(libc::SYS_bind, &[listener as u64, ptr(&addr[..]), addr.len() as u64]);
        s.enter(values!["fd" = listener]).exit(values!["res" = 0, "addr" = stored.clone(), "fd" = listener]);
        raw(libc::SYS_listen, &[listener as u64, 3]);
        let client = socket(&mut s, libc::AF_UNIX, libc::SOCK_STREAM);
        s.ok(libc::SYS_connect, &[client as u64, ptr(&addr[..]), addr.len() as u64]);
        s.enter(values!["fd" = client, "addr" = stored.clone()]);
        s.exit(values!["res" = 0, "tuple" = V::Unknown, "fd" = client, "addr" = stored]);
        let peer = s.ok(libc::SYS_accept, &[listener as u64, 0, 0]);
        s.exit(values!["fd" = peer, "tuple" = V::Unknown, "queuepct" = 0, "queuelen" = 0, "queuemax" = 3]);
        let mut pair = [0i32; 2];
        let place = mut_ptr(&mut pair);
        let kind = libc::SOCK_DGRAM as u64;
        s.ok(libc::SYS_socketpair, &[1, kind, 0, place]);
        // SAFETY: the kernel has just written both.
        let pair = unsafe { std::ptr::read_volatile(place as *const [i32; 2]) }.map(i64::from);
        s.enter(values!["domain" = 1, "type" = kind as i64, "proto" = 0]);
        s.exit(values![
            "res" = 0,
            "fd1" = pair[0],
            "fd2" = pair[1],
            "source" = V::Positive,
            "peer" = V::Positive,
            "domain" = 1,
            "type" = kind as i64,
            "proto" = 0
        ]);
        s.fails(libc::EINVAL, libc::SYS_socketpair, &[1, 0xff, 0, place]);
        s.enter(values!["domain" = 1, "type" = 0xff, "proto" = 0]);
        s.exit(values![
            "res" = -22,
            "fd1" = -1,
            "fd2" = -1,
            "source" = 0,
            "peer" = 0,
            "domain" = 1,
            "type" = 0xff,
            "proto" = 0
        ]);
        pass_descriptor(&mut s, pair);
        s
    }) else {
        return;
    };
    script.verify(&recording);
    // Both ends of the connection tell the same tuple; so do both ends of the pair.
    let all: Vec<_> = recording.of(script.tid()).into_iter().collect();
    let of = |c| all.iter().find(|e| e.code == c).and_then(|e| unix_tuple(e, "tuple")).expect("has a tuple");
    let connected = of(code::SOCKET_CONNECT_X);
    assert_eq!(connected, of(code::SOCKET_ACCEPT_5_X));
    assert_eq!(connected.2, [path.as_bytes(), b"\0"].concat());
    assert!(connected.0 != 0 && connected.1 != 0);
    let pair = all.iter().find(|e| e.code == code::SOCKET_SOCKETPAIR_X).expect("made a pair");
    let (source, peer) = (pair.uint(3).unwrap_or(0), pair.uint(4).unwrap_or(0));
    let sent = of(code::SOCKET_SENDMSG_X);
    assert_eq!((sent.0, sent.1), (source, peer));
    let received = of(code::SOCKET_RECVMSG_X);
    assert_eq!((received.0, received.1), (source, peer));
}

/// Sends a descriptor through the pair.
fn pass_descriptor(s: &mut Script, pair: [i64; 2]) {
    let mut text = *b"fd";
    let mut parts = [iovec(&mut text)];
    // struct cmsghdr { len: 20, SOL_SOCKET, SCM_RIGHTS } and one fd, padded.
    let mut control = [0u8; 24];
    control[..8].copy_from_slice(&20u64.to_ne_bytes());
    control[8..12].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    control[12..16].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
    control[16..20].copy_from_slice(&2i32.to_ne_bytes());
    let msg = msghdr(&mut [], &mut parts, &mut control);
    s.ok(libc::SYS_sendmsg, &[pair[0] as u64, ptr(&msg), 0]);
    s.enter(values!["fd" = pair[0], "size" = 2, "tuple" = V::Unknown]);
    s.exit(values!["res" = 2, "data" = b"fd".to_vec(), "fd" = pair[0], "size" = 2, "tuple" = V::Unknown]);
    let (mut buf, mut control) = ([0u8; 8], [0u8; 24]);
    let mut into = [iovec(&mut buf)];
    let mut msg = msghdr(&mut [], &mut into, &mut control);
    s.ok(libc::SYS_recvmsg, &[pair[1] as u64, mut_ptr(&mut msg), 0]);
    s.enter(values!["fd" = pair[1]]);
    // The kernel says in msg_controllen how much it wrote.
    let written = control[..msg.msg_controllen.min(24)].to_vec();
    assert_eq!(i32::from_ne_bytes([written[12], written[13], written[14], written[15]]), libc::SCM_RIGHTS);
    s.exit(values![
        "res" = 2,
        "size" = 2,
        "data" = b"fd".to_vec(),
        "tuple" = V::Unknown,
        "msgcontrol" = written,
        "fd" = pair[1]
    ]);
}

#[test]
fn options() {
    let Some((script, recording)) = record("options", || {
        let mut s = Script::new();
        let fd = socket(&mut s, libc::AF_INET, libc::SOCK_STREAM);
        let f = fd as u64;
        let sol = libc::SOL_SOCKET as u64;
        let one = 1u32;
        let dynamic = |form: u8, bytes: &[u8]| [&[form], bytes].concat();
        s.ok(libc::SYS_setsockopt, &[f, sol, libc::SO_REUSEADDR as u64, ptr(&one), 4]);
        s.exit(values![
            "res" = 0,
            "fd" = fd,
            "level" = 1,
            "optname" = 2,
            "val" = dynamic(2, &1u32.to_le_bytes()),
            "optlen" = 4
        ]);
        let time: [i64; 2] = [2, 5];
        s.ok(libc::SYS_setsockopt, &[f, sol, libc::SO_RCVTIMEO as u64, ptr(&time), 16]);
        s.exit(values![
            "res" = 0,
            "fd" = fd,
            "level" = 1,
            "optname" = 20,
            "val" = dynamic(4, &2_000_005_000u64.to_le_bytes()),
            "optlen" = 16
        ]);
        s.ok(libc::SYS_setsockopt, &[f, libc::IPPROTO_TCP as u64, libc::TCP_NODELAY as u64, ptr(&one), 4]);
        s.exit(values![
            "res" = 0,
            "fd" = fd,
            "level" = 2,
            "optname" = 0,
            "val" = dynamic(0, &1u32.to_le_bytes()),
            "optlen" = 4
        ]);
        let error = s.fails(libc::EBADF, libc::SYS_setsockopt, &[999, sol, 2, ptr(&one), 4]);
        s.exit(values![
            "res" = error,
            "fd" = 999,
            "level" = 1,
            "optname" = 2,
            "val" = dynamic(2, &1u32.to_le_bytes()),
            "optlen" = 4
        ]);
        let (mut value, mut len) = (0u32, 4u32);
        let (value_at, len_at) = (mut_ptr(&mut value), mut_ptr(&mut len));
        s.ok(libc::SYS_getsockopt, &[f, sol, libc::SO_TYPE as u64, value_at, len_at]);
        s.exit(values![
            "res" = 0,
            "fd" = fd,
            "level" = 1,
            "optname" = 3,
            "val" = dynamic(2, &1u32.to_le_bytes()),
            "optlen" = 4
        ]);
        s.ok(libc::SYS_getsockopt, &[f, sol, libc::SO_ERROR as u64, value_at, len_at]);
        s.exit(values![
            "res" = 0,
            "fd" = fd,
            "level" = 1,
            "optname" = 4,
            "val" = dynamic(1, &0i64.to_le_bytes()),
            "optlen" = 4
        ]);
        let error = s.fails(libc::ENOTSOCK, libc::SYS_getsockopt, &[0, sol, 4, value_at, len_at]);
        s.exit(values![
            "res" = error,
            "fd" = 0,
            "level" = 1,
            "optname" = 4,
            "val" = dynamic(0, b""),
            "optlen" = 4
        ]);
        let (mut buf, mut size) = ([0u8; 16], 16u32);
        s.ok(libc::SYS_getsockname, &[f, mut_ptr(&mut buf), mut_ptr(&mut size)]);
        s.fails(libc::ENOTCONN, libc::SYS_getpeername, &[f, mut_ptr(&mut buf), mut_ptr(&mut size)]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}
