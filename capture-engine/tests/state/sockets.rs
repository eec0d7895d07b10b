//! Names, roles and addresses of sockets.

use crate::world::{O_RDONLY, World};
use capture_common::EventCode;
use capture_common::event_table::code;
use capture_common::snapshot::FdType;
use capture_engine::{ConnState, Role};

const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;

fn addr4(ip: [u8; 4], port: u16) -> Vec<u8> {
    [&[2][..], &ip, &port.to_le_bytes()].concat()
}

fn tuple4(a: [u8; 4], ap: u16, b: [u8; 4], bp: u16) -> Vec<u8> {
    [&[2][..], &a, &ap.to_le_bytes(), &b, &bp.to_le_bytes()].concat()
}

fn unix_tuple(source: u64, dest: u64, path: &str) -> Vec<u8> {
    [&[1][..], &source.to_le_bytes(), &dest.to_le_bytes(), path.as_bytes(), b"\0"].concat()
}

impl World {
    fn socket(&mut self, fd: i64, domain: u32, ty: u32) {
        self.event(100, code::SOCKET_SOCKET_E, 3, |e| {
            e.u32(domain).u32(ty).u32(0);
        });
        self.event(100, code::SOCKET_SOCKET_X, 1, |e| {
            e.i64(fd);
        });
    }

    fn bind(&mut self, fd: i64, addr: &[u8]) {
        self.event(100, code::SOCKET_BIND_X, 3, |e| {
            e.i64(0).bytes(addr).i64(fd);
        });
    }

    fn connect(&mut self, fd: i64, res: i64, addr: &[u8], tuple: &[u8]) {
        self.event(100, code::SOCKET_CONNECT_E, 2, |e| {
            e.i64(fd).bytes(addr);
        });
        self.event(100, code::SOCKET_CONNECT_X, 2, |e| {
            e.i64(res).bytes(tuple);
        });
    }

    fn sendto(&mut self, fd: i64, tuple: &[u8]) {
        self.event(100, code::SOCKET_SENDTO_E, 3, |e| {
            e.i64(fd).u32(4).bytes(tuple);
        });
        self.event(100, code::SOCKET_SENDTO_X, 2, |e| {
            e.i64(4).bytes(b"ping");
        });
    }

    fn recvfrom(&mut self, fd: i64, tuple: &[u8]) {
        self.event(100, code::SOCKET_RECVFROM_E, 2, |e| {
            e.i64(fd).u32(100);
        });
        self.event(100, code::SOCKET_RECVFROM_X, 3, |e| {
            e.i64(4).bytes(b"pong").bytes(tuple);
        });
    }

    /// `<TP>NAME` as listings print it.
    fn shown(&self, fd: i64) -> String {
        let f = self.fd(100, fd).expect("the fd is in the table");
        let proto = f.proto_char().map(String::from).unwrap_or_default();
        format!("<{}{proto}>{}", f.type_char(), String::from_utf8_lossy(&f.name))
    }
}

#[test]
fn a_tcp_client_gets_its_name_at_connect() {
    let mut w = World::new();
    w.socket(5, AF_INET, STREAM);
    assert_eq!(w.shown(5), "<4>");
    let (addr, tuple) = (addr4([93, 184, 216, 34], 80), tuple4([10, 0, 0, 5], 5555, [93, 184, 216, 34], 80));
    w.connect(5, -115, &addr, &tuple);
    assert_eq!(w.shown(5), "<4t>10.0.0.5:5555->93.184.216.34:80");
    let sock = w.fd(100, 5).unwrap().sock;
    assert_eq!((sock.role, sock.state), (Role::Client, ConnState::Pending));
    w.event(100, code::SOCKET_GETSOCKOPT_X, 6, |e| {
        e.i64(0).i64(5).u8(1).u8(4).bytes(&[&[1][..], &0i64.to_le_bytes()].concat()).u32(4);
    });
    assert_eq!(w.fd(100, 5).unwrap().sock.state, ConnState::Connected);
}

#[test]
fn a_refused_connect_leaves_no_name() {
    let mut w = World::new();
    w.socket(5, AF_INET, STREAM);
    w.connect(5, -111, &addr4([127, 0, 0, 1], 81), b"");
    assert_eq!(w.shown(5), "<4>");
    assert_eq!(w.fd(100, 5).unwrap().sock.state, ConnState::Failed);
}

#[test]
fn servers_listen_and_accept() {
    let mut w = World::new();
    w.socket(5, AF_INET, STREAM);
    w.bind(5, &addr4([0, 0, 0, 0], 8080));
    assert_eq!(w.shown(5), "<4t>0.0.0.0:8080");
    assert_eq!(w.fd(100, 5).unwrap().ty, FdType::Ipv4Server);
    for (event, fd) in [(code::SOCKET_ACCEPT_5_X, 6), (code::SOCKET_ACCEPT4_6_X, 7)] {
        w.event(100, event, 5, |e| {
            e.i64(fd).bytes(&tuple4([10, 0, 0, 9], 40000, [10, 0, 0, 5], 8080)).u8(0).u32(0).u32(128);
        });
        assert_eq!(w.shown(fd), "<4t>10.0.0.9:40000->10.0.0.5:8080");
        assert_eq!(w.fd(100, fd).unwrap().sock.role, Role::Server);
    }
    let applied = w.event(100, code::SOCKET_ACCEPT_5_X, 5, |e| {
        e.i64(8).bytes(b"").u8(0).u32(0).u32(0);
    });
    assert_eq!(applied.fd_num, 8);
    assert!(w.fd(100, 8).is_none());
}

#[test]
fn mapped_addresses_are_ipv4() {
    let mut w = World::new();
    w.socket(5, AF_INET6, STREAM);
    assert_eq!(w.shown(5), "<6>");
    let mapped = |last: u8| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
    let tuple = [&[10][..], &mapped(5), &5555u16.to_le_bytes(), &mapped(6), &80u16.to_le_bytes()].concat();
    w.connect(5, 0, b"", &tuple);
    assert_eq!(w.shown(5), "<4t>10.0.0.5:5555->10.0.0.6:80");
}

#[test]
fn a_udp_client_keeps_itself_as_the_source() {
    let mut w = World::new();
    w.socket(5, AF_INET, DGRAM);
    let (me, dns) = ([10, 0, 0, 5], [8, 8, 8, 8]);
    w.sendto(5, &tuple4(me, 40000, dns, 53));
    assert_eq!(w.shown(5), "<4u>10.0.0.5:40000->8.8.8.8:53");
    w.recvfrom(5, &tuple4(dns, 53, me, 40000));
    assert_eq!(w.shown(5), "<4u>10.0.0.5:40000->8.8.8.8:53");
    w.sendto(5, &tuple4(me, 40000, [1, 1, 1, 1], 53));
    assert_eq!(w.shown(5), "<4u>10.0.0.5:40000->1.1.1.1:53");
    // Without a tuple nothing changes.
    w.sendto(5, b"");
    assert_eq!(w.shown(5), "<4u>10.0.0.5:40000->1.1.1.1:53");
}

#[test]
fn a_udp_server_keeps_itself_as_the_destination() {
    let mut w = World::new();
    w.socket(5, AF_INET, DGRAM);
    w.bind(5, &addr4([0, 0, 0, 0], 53));
    assert_eq!(w.shown(5), "<4u>0.0.0.0:53");
    let (me, peer) = ([10, 0, 0, 53], [10, 0, 0, 9]);
    w.recvfrom(5, &tuple4(peer, 46112, me, 53));
    assert_eq!(w.shown(5), "<4u>10.0.0.9:46112->10.0.0.53:53");
    w.sendto(5, &tuple4(me, 53, [10, 0, 0, 7], 50000));
    assert_eq!(w.shown(5), "<4u>10.0.0.7:50000->10.0.0.53:53");
}

#[test]
fn a_message_on_an_unknown_fd_invents_a_udp_socket() {
    let mut w = World::new();
    w.sendto(33, &tuple4([10, 0, 0, 5], 40000, [8, 8, 8, 8], 53));
    assert_eq!(w.shown(33), "<4u>10.0.0.5:40000->8.8.8.8:53");
}

#[test]
fn unix_sockets_show_pointers_and_path() {
    let mut w = World::new();
    w.socket(5, AF_UNIX, STREAM);
    assert_eq!(w.shown(5), "<u>");
    let tuple = unix_tuple(0, 0xffff_94dc_817b_9400, "/var/run/nscd/socket");
    w.connect(5, 0, b"\x01/var/run/nscd/socket\0", &tuple);
    assert_eq!(w.shown(5), "<u>0->ffff94dc817b9400 /var/run/nscd/socket");
    w.event(100, code::SOCKET_RECVMSG_X, 6, |e| {
        e.i64(4).u32(4).bytes(b"pong").bytes(&tuple).bytes(b"").i64(5);
    });
    assert_eq!(w.shown(5), "<u>0->ffff94dc817b9400 /var/run/nscd/socket");
    // The peer's messages come from a socket without a path.
    w.event(100, code::SOCKET_RECVMSG_X, 6, |e| {
        e.i64(4).u32(4).bytes(b"pong").bytes(&unix_tuple(0xb, 0xa, "")).bytes(b"").i64(5);
    });
    assert_eq!(w.shown(5), "<u>b->a ");
}

#[test]
fn a_failed_unix_connect_gives_no_name() {
    let mut w = World::new();
    w.socket(5, AF_UNIX, STREAM);
    w.connect(5, -2, b"", &unix_tuple(0xa, 0, "/run/none"));
    assert_eq!(w.shown(5), "<u>");
}

#[test]
fn raw_sockets_need_no_role() {
    let mut w = World::new();
    w.socket(5, AF_INET, 3);
    assert_eq!(w.shown(5), "<4r>");
    w.sendto(5, &tuple4([0, 0, 0, 0], 0, [8, 8, 8, 8], 0));
    assert_eq!(w.shown(5), "<4r>0.0.0.0->8.8.8.8");
}

#[test]
fn an_enter_without_an_address_does_not_repeat_the_one_before() {
    let mut w = World::new();
    w.socket(5, AF_INET, DGRAM);
    w.sendto(5, &tuple4([10, 0, 0, 5], 0, [8, 8, 8, 8], 53));
    w.connect(5, 0, b"", &tuple4([10, 0, 0, 5], 4000, [8, 8, 8, 8], 53));
    w.sendto(5, b"");
    assert_eq!(w.shown(5), "<4u>10.0.0.5:4000->8.8.8.8:53");
}

#[test]
fn families_without_a_form_of_their_own_are_not_kept() {
    let mut w = World::new();
    w.open(100, 5, "/a", 1);
    w.socket(5, 17, STREAM);
    assert!(w.fd(100, 5).is_none(), "the file that had the number is gone all the same");
    w.socket(6, 16, 3);
    assert_eq!(w.shown(6), "<n>");
}

#[test]
fn short_addresses_are_no_addresses() {
    let mut w = World::new();
    w.socket(5, AF_INET, STREAM);
    let whole = tuple4([1, 2, 3, 4], 5, [6, 7, 8, 9], 10);
    for len in 0..whole.len() {
        w.connect(5, 0, &whole[..len.min(6)], &whole[..len]);
        w.sendto(5, &whole[..len]);
        w.recvfrom(5, &whole[..len]);
    }
    assert_eq!(w.shown(5), "<4>");
    let _: EventCode = code::SOCKET_BIND_X;
}

/// A received fd takes a number; what had it before was closed unseen.
#[test]
fn fds_that_come_with_a_message_make_old_entries_stale() {
    let mut w = World::new();
    for fd in 5..9 {
        w.open(100, fd, "/a", O_RDONLY);
    }
    let mut control = Vec::new();
    for (level, ty, words) in [(1u32, 2u32, vec![1u32, 2, 3]), (1, 1, vec![6, 8])] {
        control.extend_from_slice(&(16 + 4 * words.len() as u64).to_le_bytes());
        control.extend_from_slice(&level.to_le_bytes());
        control.extend_from_slice(&ty.to_le_bytes());
        words.iter().for_each(|word| control.extend_from_slice(&word.to_le_bytes()));
        control.resize(control.len().next_multiple_of(8), 0);
    }
    control.extend_from_slice(&[255; 16]);
    w.event(100, code::SOCKET_RECVMSG_X, 6, |e| {
        e.i64(1).u32(1).bytes(b"x").bytes(b"").bytes(&control).i64(5);
    });
    let left: Vec<_> = (5..9).filter(|&fd| w.fd(100, fd).is_some()).collect();
    assert_eq!(left, [5, 7]);
}

/// Captures of current recorders have no enters: the exit's own tuple makes the lost socket known.
#[test]
fn a_message_of_an_unknown_socket_makes_it_known_by_its_exit_alone() {
    let mut w = World::new();
    w.event(100, code::SOCKET_SENDTO_X, 5, |e| {
        e.i64(2).bytes(b"hi").i64(9).u32(2);
        e.bytes(&[2, 10, 0, 0, 5, 0xb3, 0x15, 10, 0, 0, 1, 53, 0]);
    });
    assert_eq!(w.fd_name(100, 9), "10.0.0.5:5555->10.0.0.1:53");
}
