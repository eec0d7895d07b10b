//! The SOCK section: the kernel's view of a socket, and the names of AF_UNIX sockets.

use crate::{
    config::ro,
    fdtable::{encode_dev, file_of},
    read::{cast, k1, k2, k4, k8, plain, probe_into, probe4, probe8, st2, st4, st8},
    ring::{Record, body},
};
use capture_common::{
    abi::{SockInfo, tag},
    kernel_offsets::ABSENT,
};
use core::mem::offset_of;

const S_IFMT: u16 = 0xf000;
const S_IFSOCK: u16 = 0xc000;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `sizeof(sockaddr_un.sun_path)`.
const SUN_PATH_MAX: u64 = 108;

/// SOCK (and UNIX_NAME) of `fd`; nothing when it is not an open socket.
#[inline(always)]
pub(crate) fn put_sock(record: Record, task: u64, arg: u64, fd: u32) {
    let file = file_of(task, fd);
    if file != 0 {
        put_sock_of(record, file, arg, fd);
    }
}

/// The same of a file; nothing when it is no socket.
#[inline(always)]
pub(crate) fn put_sock_of(record: Record, file: u64, arg: u64, fd: u32) {
    let inode = k8(file, ro!(F_INODE));
    if k2(inode, ro!(I_MODE)) & S_IFMT != S_IFSOCK {
        return;
    }
    let socket = cast(k8(file, ro!(F_PRIVATE)), ro!(ID_SOCKET));
    let sk = k8(socket, ro!(SOCKET_SK));
    if sk == 0 {
        return;
    }
    let Some(at) = record.section() else { return };
    let out = body(at);
    let sk_plain = plain(out.cast(), sk);
    let family = k2(sk, ro!(SK_FAMILY));
    st4(out, offset_of!(SockInfo, ack_backlog), k4(sk, ro!(SK_BACKLOG)));
    st4(out, offset_of!(SockInfo, max_ack_backlog), k4(sk, ro!(SK_MAX_BACKLOG)));
    st4(out, offset_of!(SockInfo, fd), fd);
    st2(out, offset_of!(SockInfo, family), family);
    st2(out, offset_of!(SockInfo, sock_type), k2(sk, ro!(SK_TYPE)));
    st2(out, offset_of!(SockInfo, protocol), k2(sk, ro!(SK_PROTOCOL)));
    st2(out, offset_of!(SockInfo, state), k1(sk, ro!(SK_STATE)) as u16);
    st8(out, offset_of!(SockInfo, ino), k8(inode, ro!(I_INO)));
    st4(out, offset_of!(SockInfo, dev), encode_dev(k4(k8(inode, ro!(I_SB)), ro!(SB_DEV))));
    st4(out, offset_of!(SockInfo, f_flags), k4(file, ro!(F_FLAGS)));
    let mut peer = 0;
    if family == AF_UNIX && ro!(U_PEER) != ABSENT {
        peer = probe8(sk_plain + ro!(U_PEER));
    }
    st8(out, offset_of!(SockInfo, peer_addr), peer);
    put_addresses(out, sk, sk_plain, family);
    record.end_section(at, tag::SOCK, arg, 0, SockInfo::LEN_BYTES as u64);
    if family == AF_UNIX && ro!(U_ADDR) != ABSENT {
        put_unix_name(record, 0, sk_plain);
        if peer != 0 {
            put_unix_name(record, 1, peer);
        }
    }
}

#[inline(always)]
fn put_addresses(out: *mut u8, sk: u64, sk_plain: u64, family: u16) {
    const LOCAL: usize = offset_of!(SockInfo, local_addr);
    const REMOTE: usize = offset_of!(SockInfo, remote_addr);
    let (mut local, mut local_high, mut remote, mut remote_high) = (0u64, 0u64, 0u64, 0u64);
    let (mut local_port, mut remote_port) = (0u16, 0u16);
    if family == AF_INET || family == AF_INET6 {
        local_port = k2(sk, ro!(SK_NUM));
        remote_port = u16::from_be(k2(sk, ro!(SK_DPORT)));
    }
    if family == AF_INET {
        local = k4(sk, ro!(SK_RCV_SADDR)) as u64;
        if local == 0 {
            local = k4(cast(sk_plain, ro!(ID_INET_SOCK)), ro!(INET_SADDR)) as u64;
        }
        remote = k4(sk, ro!(SK_DADDR)) as u64;
    } else if family == AF_INET6 && ro!(SK_V6_DADDR) != ABSENT {
        // in6_addr is a union of arrays, which typed loads refuse: by helper.
        local = probe8(sk_plain + ro!(SK_V6_RCV_SADDR));
        local_high = probe8(sk_plain + ro!(SK_V6_RCV_SADDR) + 8);
        remote = probe8(sk_plain + ro!(SK_V6_DADDR));
        remote_high = probe8(sk_plain + ro!(SK_V6_DADDR) + 8);
    }
    st2(out, offset_of!(SockInfo, local_port), local_port);
    st2(out, offset_of!(SockInfo, remote_port), remote_port);
    st8(out, LOCAL, local);
    st8(out, LOCAL + 8, local_high);
    st8(out, REMOTE, remote);
    st8(out, REMOTE + 8, remote_high);
}

/// UNIX_NAME of the unix_sock at the plain address `sk`; nothing when it is unnamed.
#[inline(always)]
fn put_unix_name(record: Record, which: u64, sk: u64) {
    let address = probe8(sk + ro!(U_ADDR));
    if address == 0 {
        return;
    }
    // `len` counts `sun_family` (2 bytes) too.
    let mut len = probe4(address + ro!(UA_LEN)) as u64;
    if len <= 2 {
        return;
    }
    len -= 2;
    if len > SUN_PATH_MAX {
        len = SUN_PATH_MAX;
    }
    let Some(at) = record.section() else { return };
    if probe_into(body(at), len, address + ro!(UA_NAME) + 2) {
        record.end_section(at, tag::UNIX_NAME, which, 0, len);
    }
}
