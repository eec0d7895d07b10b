//! Socket calls.

use crate::live::decode::call::Call;
use crate::live::decode::message;
use crate::live::decode::sockaddr::{push_accept, push_addr, push_connect, push_received, push_sent};
use crate::live::decode::sockopt;
use crate::live::decode::source::Src::{Bytes, Data, Int, Map, Num, Ret, Uint};
use crate::live::decode::source::{Row, Src, coded, row};
use capture_common::abi::{SockInfo, tag};
use capture_common::native::maps;

/// An address family is stored unchanged if it is a known one.
const DOMAIN: Src = Map(0, &maps::SOCKET_FAMILY);
const ADDR: Src = Bytes(|c, out| push_addr(c, 1, out));
const SOCKET_FLAGS: Src = Map(1, &maps::SOCKET_TYPE_FLAGS);

/// Arguments of sendto and recvfrom.
const SENDTO_TUPLE: Src = Bytes(|c, out| push_sent(c, 4, out));
const RECVFROM_TUPLE: Src = Bytes(|c, out| push_received(c, 4, out));
/// send and recv have no address argument (and no argument 4 worth reading).
const SEND_TUPLE: Src = SENDTO_TUPLE;
const RECV_TUPLE: Src = RECVFROM_TUPLE;

fn listener(c: &Call<'_>) -> Option<SockInfo> {
    c.sock(0)
}

fn queue_percent(c: &Call<'_>) -> u64 {
    match listener(c) {
        Some(s) if s.max_ack_backlog != 0 => {
            (u64::from(s.ack_backlog) * 100 / u64::from(s.max_ack_backlog)).min(u64::from(u8::MAX))
        }
        _ => 0,
    }
}

const ACCEPTED: &[Src] = &[
    Ret,
    Bytes(push_accept),
    Num(queue_percent),
    Num(|c| listener(c).map_or(0, |s| u64::from(s.ack_backlog))),
    Num(|c| listener(c).map_or(0, |s| u64::from(s.max_ack_backlog))),
];

fn pair_fd(c: &Call<'_>, index: usize) -> u64 {
    match c.raw_u32(3, index) {
        Some(fd) if c.is_ok() => i64::from(fd as i32) as u64,
        _ => -1i64 as u64,
    }
}

fn pair_sock(c: &Call<'_>) -> Option<SockInfo> {
    SockInfo::read(c.data_of(tag::SOCK)?).filter(|_| c.is_ok())
}

pub(in crate::live::decode) const ROWS: &[Row] = &[
    row!(&["socket"], &[DOMAIN, Uint(1), Uint(2)], &[Ret, DOMAIN, Uint(1), Uint(2), SOCKET_FLAGS]),
    row!(
        &["socketpair"],
        &[DOMAIN, Uint(1), Uint(2)],
        &[
            Ret,
            Num(|c| pair_fd(c, 0)),
            Num(|c| pair_fd(c, 1)),
            Num(|c| pair_sock(c).map_or(0, |s| s.sk_addr)),
            Num(|c| pair_sock(c).map_or(0, |s| s.peer_addr)),
            DOMAIN,
            Uint(1),
            Uint(2),
        ],
    ),
    row!(&["bind"], &[Int(0)], &[Ret, ADDR, Int(0)]),
    row!(&["listen"], &[Int(0), Uint(1)], &[Ret, Int(0), Uint(1)]),
    row!(&["connect"], &[Int(0), ADDR], &[Ret, Bytes(push_connect), Int(0), ADDR]),
    row!(&["accept"], &[], ACCEPTED),
    row!(&["accept4"], &[Map(3, &maps::SOCKET_TYPE_FLAGS)], ACCEPTED),
    row!(&["sendto"], &[Int(0), Uint(2), SENDTO_TUPLE], &[Ret, Data(1), Int(0), Uint(2), SENDTO_TUPLE],),
    coded!(&["send"], (28, 29), &[Int(0), Uint(2)], &[Ret, Data(1), Int(0), Uint(2), SEND_TUPLE]),
    row!(&["recvfrom"], &[Int(0), Uint(2)], &[Ret, Data(1), RECVFROM_TUPLE, Int(0), Uint(2)],),
    coded!(&["recv"], (32, 33), &[Int(0), Uint(2)], &[Ret, Data(1), Int(0), Uint(2), RECV_TUPLE]),
    row!(
        &["sendmsg"],
        &[Int(0), message::SIZE, message::SENT_TUPLE],
        &[Ret, message::DATA, Int(0), message::SIZE, message::SENT_TUPLE],
    ),
    row!(
        &["recvmsg"],
        &[Int(0)],
        &[Ret, message::RECEIVED, message::DATA, message::RECEIVED_TUPLE, message::CONTROL, Int(0)],
    ),
    row!(&["sendmmsg"], &[], &[Ret, Int(0), message::MANY_SIZE, message::MANY_DATA, message::SENT_TUPLE]),
    row!(
        &["recvmmsg", "recvmmsg_time64"],
        &[],
        &[Ret, Int(0), message::MANY_SIZE, message::MANY_DATA, message::RECEIVED_TUPLE, message::CONTROL,],
    ),
    row!(&["shutdown"], &[Int(0), Map(1, &maps::SHUTDOWN_HOW)], &[Ret, Int(0), Map(1, &maps::SHUTDOWN_HOW)],),
    row!(&["setsockopt"], &[], &[Ret, Int(0), sockopt::LEVEL, sockopt::NAME, sockopt::VALUE, Uint(4)],),
    row!(
        &["getsockopt"],
        &[],
        &[Ret, Int(0), sockopt::LEVEL, sockopt::NAME, sockopt::VALUE, sockopt::RETURNED_LEN],
    ),
    row!(&["getsockname"], &[], &[]),
    row!(&["getpeername"], &[], &[]),
];
