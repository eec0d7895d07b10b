//! Addresses, tuples, messages and options.

use super::*;
use capture_common::abi::ARG_RET;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const STREAM: u16 = 1;
const DGRAM: u16 = 2;

/// Addresses of a socket: IPv4 in dotted parts, ports.
struct Sock {
    family: u16,
    kind: u16,
    local: (Vec<u8>, u16),
    remote: (Vec<u8>, u16),
}

impl Sock {
    fn v4(kind: u16, local: ([u8; 4], u16), remote: ([u8; 4], u16)) -> Self {
        let wide = |(ip, port): ([u8; 4], u16)| (ip.to_vec(), port);
        Sock { family: AF_INET, kind, local: wide(local), remote: wide(remote) }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = words(&[0xffff_8881_0000_0010, 0xffff_8881_0000_0020], 2);
        for word in [2u32, 8, 3] {
            out.extend(word.to_ne_bytes());
        }
        for half in [self.family, self.kind, 0, self.local.1, self.remote.1, 1] {
            out.extend(half.to_ne_bytes());
        }
        out.extend(99u64.to_ne_bytes());
        for (ip, _) in [&self.local, &self.remote] {
            let mut ip = ip.clone();
            ip.resize(16, 0);
            out.extend(ip);
        }
        out.extend(words(&[0], 1));
        out
    }
}

fn sockaddr_v4(ip: [u8; 4], port: u16) -> Vec<u8> {
    let mut out = AF_INET.to_ne_bytes().to_vec();
    out.extend(port.to_be_bytes());
    out.extend(ip);
    out.resize(16, 0);
    out
}

fn sockaddr_unix(path: &[u8]) -> Vec<u8> {
    let mut out = AF_UNIX.to_ne_bytes().to_vec();
    out.extend(path);
    out
}

/// A stored tuple as text: `a:p->b:q`, or `src->dst path` with kernel addresses' last bytes.
fn tuple(event: &RawEvent<'_>, name: &str) -> String {
    let bytes = event.param(event.info().unwrap().param_index(name).unwrap()).unwrap();
    let ip = |b: &[u8]| b.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    let port = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    match bytes.first() {
        None => "none".to_owned(),
        Some(2) => format!(
            "{}:{}->{}:{}",
            ip(&bytes[1..5]),
            port(&bytes[5..]),
            ip(&bytes[7..11]),
            port(&bytes[11..])
        ),
        Some(10) => {
            format!(
                "{}:{}->{}:{}",
                ip(&bytes[1..17]),
                port(&bytes[17..]),
                ip(&bytes[19..35]),
                port(&bytes[35..])
            )
        }
        Some(1) => {
            format!("{:x}->{:x} {}", bytes[1], bytes[9], String::from_utf8_lossy(&bytes[17..bytes.len() - 1]))
        }
        other => panic!("family {other:?}"),
    }
}

fn check_tuple(record: Rec, expected: &str) {
    let batch = decode(&[record]);
    assert_eq!(tuple(&batch.get(0).unwrap(), "tuple"), expected);
}

const A: ([u8; 4], u16) = ([10, 0, 0, 1], 4000);
const B: ([u8; 4], u16) = ([10, 0, 0, 2], 80);
const NONE: ([u8; 4], u16) = ([0; 4], 0);

#[test]
fn client_is_the_source_of_connect_and_accept() {
    let connect = |ret| {
        Rec::exit(42, ret, &[3, 0x1000, 16]).section(tag::SOCKADDR, 1, &sockaddr_v4(B.0, B.1)).section(
            tag::SOCK,
            0,
            &Sock::v4(STREAM, A, B).bytes(),
        )
    };
    check_tuple(connect(0), "10.0.0.1:4000->10.0.0.2:80");
    check_tuple(connect(-115), "10.0.0.1:4000->10.0.0.2:80");
    check_tuple(connect(-111), "none");
    let accepted = Rec::exit(43, 5, &[3])
        .section(tag::SOCK, ARG_RET, &Sock::v4(STREAM, B, A).bytes())
        .section(tag::SOCK, 0, &Sock::v4(STREAM, B, NONE).bytes());
    check_tuple(accepted.clone(), "10.0.0.1:4000->10.0.0.2:80");
    let batch = decode(&[accepted]);
    let event = batch.get(0).unwrap();
    assert_eq!(
        (event.int(0), event.uint(2), event.uint(3), event.uint(4)),
        (Some(5), Some(25), Some(2), Some(8))
    );
}

#[test]
fn a_dissolved_association_has_no_tuple() {
    let unspec = [0u8; 16];
    check_tuple(
        Rec::exit(42, 0, &[3, 0x1000, 16]).section(tag::SOCKADDR, 1, &unspec).section(
            tag::SOCK,
            0,
            &Sock::v4(DGRAM, A, NONE).bytes(),
        ),
        "none",
    );
}

#[test]
fn sender_is_the_source_of_data() {
    let to = |kind, remote| {
        Rec::enter(44, &[3, 0x1000, 4, 0, 0x2000, 16])
            .section(tag::SOCK, 0, &Sock::v4(kind, A, remote).bytes())
            .section(tag::SOCKADDR, 4, &sockaddr_v4([10, 0, 0, 9], 53))
    };
    check_tuple(to(DGRAM, NONE), "10.0.0.1:4000->10.0.0.9:53");
    check_tuple(to(DGRAM, B), "10.0.0.1:4000->10.0.0.9:53");
    // A connected stream ignores the address.
    check_tuple(to(STREAM, B), "10.0.0.1:4000->10.0.0.2:80");
    let from = |ret, given: &[u8], remote| {
        Rec::exit(45, ret, &[3, 0x1000, 64, 0, 0x2000, 0x3000])
            .section(tag::SOCK, 0, &Sock::v4(DGRAM, A, remote).bytes())
            .section(tag::SOCKADDR, 4, given)
    };
    check_tuple(from(4, &sockaddr_v4([10, 0, 0, 9], 53), NONE), "10.0.0.9:53->10.0.0.1:4000");
    check_tuple(from(4, b"", B), "10.0.0.2:80->10.0.0.1:4000");
    // Nobody said who sent it.
    check_tuple(from(4, b"", NONE), "none");
    check_tuple(from(-11, b"", B), "none");
}

#[test]
fn an_ipv4_address_on_an_ipv6_socket_is_mapped() {
    let mut local = vec![0; 16];
    local[15] = 1;
    let sock = Sock { family: AF_INET6, kind: DGRAM, local: (local, 7), remote: (vec![0; 16], 0) };
    check_tuple(
        Rec::enter(44, &[3, 0x1000, 4, 0, 0x2000, 16]).section(tag::SOCK, 0, &sock.bytes()).section(
            tag::SOCKADDR,
            4,
            &sockaddr_v4([10, 0, 0, 9], 53),
        ),
        "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1:7->0.0.0.0.0.0.0.0.0.0.255.255.10.0.0.9:53",
    );
}

#[test]
fn unix_tuples_have_kernel_addresses_and_the_named_side() {
    let sock = Sock { family: AF_UNIX, kind: STREAM, local: (vec![], 0), remote: (vec![], 0) };
    check_tuple(
        Rec::exit(42, 0, &[3, 0x1000, 16])
            .section(tag::SOCKADDR, 1, &sockaddr_unix(b"run.sock\0junk"))
            .section(tag::SOCK, 0, &sock.bytes())
            .section(tag::UNIX_NAME, 1, b"/srv/run.sock"),
        "10->20 /srv/run.sock",
    );
    check_tuple(
        Rec::exit(43, 4, &[3]).section(tag::SOCK, ARG_RET, &sock.bytes()).section(
            tag::UNIX_NAME,
            0,
            b"/srv/run.sock",
        ),
        "20->10 /srv/run.sock",
    );
    // A reply to a nameless client keeps the server's name.
    check_tuple(
        Rec::exit(45, 2, &[3, 0x1000, 64]).section(tag::SOCK, 0, &sock.bytes()).section(
            tag::UNIX_NAME,
            1,
            b"\0ab\0c",
        ),
        "20->10 @ab@c",
    );
}

#[test]
fn addresses() {
    check(
        Rec::exit(49, 0, &[3, 0x1000, 16]).section(tag::SOCKADDR, 1, &sockaddr_v4([127, 0, 0, 1], 8080)),
        "bind(21) res=0 addr=027f000001901f fd=3",
    );
    check(
        Rec::exit(49, -98, &[3, 0x1000, 16]).section(tag::SOCKADDR, 1, &sockaddr_unix(b"\0x")),
        "bind(21) res=-98 addr=01407800 fd=3",
    );
    // Netlink has no stored form; neither has a short address.
    check(
        Rec::enter(42, &[3, 0x1000, 12]).section(tag::SOCKADDR, 1, &[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "connect(22) fd=3 addr=",
    );
    check(Rec::enter(42, &[3, 0x1000, 3]).section(tag::SOCKADDR, 1, &[2, 0, 1]), "connect(22) fd=3 addr=");
}

#[test]
fn sockets_and_pairs() {
    // SOCK_STREAM|SOCK_CLOEXEC stays in `type`; the flags are also stored translated.
    check(Rec::exit(41, 3, &[10, 0o2000001, 0]), "socket(19) fd=3 domain=10 type=524289 proto=0 flags=4096");
    let fds: Vec<u8> = [5u32, 6].iter().flat_map(|n| n.to_ne_bytes()).collect();
    let sock = Sock { family: AF_UNIX, kind: STREAM, local: (vec![], 0), remote: (vec![], 0) };
    check(
        Rec::exit(53, 0, &[1, 1, 0, 0x1000]).section(tag::RAW, 3, &fds).section(tag::SOCK, 0, &sock.bytes()),
        "socketpair(43) res=0 fd1=5 fd2=6 source=18446612686364999696 peer=18446612686364999712 domain=1 \
         type=1 proto=0",
    );
}

#[test]
fn options_have_the_form_of_their_value() {
    let option = |level, name, value: &[u8]| {
        let batch = decode(&[Rec::exit(54, 0, &[3, level, name, 0x1000, value.len() as u64]).section(
            tag::RAW,
            3,
            value,
        )]);
        let event = batch.get(0).unwrap();
        (2..6).map(|n| shown(&event, n)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(option(1, 2, &1u32.to_ne_bytes()), "1 2 0201000000 4"); // SO_REUSEADDR
    assert_eq!(option(1, 20, &words(&[2, 5], 2)), "1 20 0488a7357700000000 16"); // SO_RCVTIMEO
    assert_eq!(option(6, 1, &1u32.to_ne_bytes()), "2 0 0001000000 4"); // TCP_NODELAY
    assert_eq!(option(1, 2, b""), "1 2 00 0"); // unreadable
    // getsockopt(SO_ERROR) = ECONNREFUSED.
    let mut record = Rec::exit(55, 0, &[3, 1, 4, 0x1000, 0x2000]);
    record = record.section(tag::RAW, 3, &111u32.to_ne_bytes()).section(tag::RAW, 4, &4u32.to_ne_bytes());
    check(record, "getsockopt(47) res=0 fd=3 level=1 optname=4 val=0191ffffffffffffff optlen=4");
}

fn message(total: u64, msg_len: u64, index: u32) -> Vec<u8> {
    let mut out = words(&[total, 0, msg_len], 3);
    for word in [1u32, 16, 0, index] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(words(&[0x1000], 1));
    out
}

#[test]
fn messages() {
    let sock = Sock::v4(DGRAM, A, NONE).bytes();
    let sent = Rec::exit(46, 5, &[3, 0x1000, 0])
        .section(tag::SOCK, 0, &sock)
        .section(tag::MSG, 1, &message(5, 5, 0))
        .section(tag::SOCKADDR, 1, &sockaddr_v4([10, 0, 0, 9], 53))
        .section(tag::IOV, 1, b"hello");
    check_tuple(sent.clone(), "10.0.0.1:4000->10.0.0.9:53");
    let batch = decode(&[sent]);
    let event = batch.get(0).unwrap();
    assert_eq!(
        (event.int(0), event.param(1), event.int(2), event.uint(3)),
        (Some(5), Some(&b"hello"[..]), Some(3), Some(5))
    );

    let received = Rec::exit(47, 2, &[3, 0x1000, 0])
        .section(tag::SOCK, 0, &sock)
        .section(tag::MSG, 1, &message(200, 2, 0))
        .section(tag::IOV, 1, b"ab")
        .section(tag::CMSG, 1, b"ctl");
    let batch = decode(&[received]);
    let event = batch.get(0).unwrap();
    assert_eq!(
        (event.uint(1), event.param(2), event.param(4), event.int(5)),
        (Some(2), Some(&b"ab"[..]), Some(&b"ctl"[..]), Some(3))
    );
}

#[test]
fn several_messages_are_one_event() {
    let mut record =
        Rec::exit(299, 2, &[3, 0x1000, 4, 0]).section(tag::SOCK, 0, &Sock::v4(DGRAM, A, B).bytes());
    for (n, data) in [b"one", b"two"].iter().enumerate() {
        record = record.section(tag::MSG, 1, &message(64, 3, n as u32)).section(tag::IOV, 1, *data);
    }
    check_tuple(record.clone(), "10.0.0.2:80->10.0.0.1:4000");
    let batch = decode(&[record]);
    let event = batch.get(0).unwrap();
    assert_eq!(
        (event.int(0), event.int(1), event.uint(2), event.param(3)),
        (Some(2), Some(3), Some(6), Some(&b"onetwo"[..]))
    );
}
