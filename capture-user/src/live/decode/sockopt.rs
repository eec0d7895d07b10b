//! setsockopt and getsockopt: level, name and the value in its dynamic form (a leading byte says
//! which type follows).

use super::call::{Call, word32, word64};
use super::source::Src;
use capture_common::native::maps;

const SOL_SOCKET: u64 = 1;
const SOL_TCP: u64 = 6;

/// Bytes as they are.
const DYN_BYTES: u8 = 0;
/// An errno, as a negative s64.
const DYN_ERRNO: u8 = 1;
/// A number of 32 bits.
const DYN_U32: u8 = 2;
/// A number of 64 bits.
const DYN_U64: u8 = 3;
/// A timeval, in ns.
const DYN_TIMEVAL: u8 = 4;

/// SOL_SOCKET options that are not plain ints, with their form.
const FORMS: &[(u32, u8)] = &[
    (4, DYN_ERRNO),    // SO_ERROR
    (13, DYN_BYTES),   // SO_LINGER
    (17, DYN_BYTES),   // SO_PEERCRED
    (20, DYN_TIMEVAL), // SO_RCVTIMEO_OLD
    (21, DYN_TIMEVAL), // SO_SNDTIMEO_OLD
    (25, DYN_BYTES),   // SO_BINDTODEVICE
    (26, DYN_BYTES),   // SO_ATTACH_FILTER
    (28, DYN_BYTES),   // SO_PEERNAME
    (31, DYN_BYTES),   // SO_PEERSEC
    (51, DYN_BYTES),   // SO_ATTACH_REUSEPORT_CBPF
    (55, DYN_BYTES),   // SO_MEMINFO
    (57, DYN_U64),     // SO_COOKIE
    (59, DYN_BYTES),   // SO_PEERGROUPS
    (61, DYN_BYTES),   // SO_TXTIME
    (66, DYN_TIMEVAL), // SO_RCVTIMEO_NEW
    (67, DYN_TIMEVAL), // SO_SNDTIMEO_NEW
    (71, DYN_U64),     // SO_NETNS_COOKIE
];

/// The protocol level, in stored form.
pub(super) const LEVEL: Src = Src::Map(1, &maps::SOCKOPT_LEVEL);
/// The option, in stored form.
pub(super) const NAME: Src = Src::Num(name);
/// The value.
pub(super) const VALUE: Src = Src::Bytes(push_value);
/// The length of the value as the kernel returned it.
pub(super) const RETURNED_LEN: Src = Src::Num(|c| c.raw_u32(4, 0).map_or(0, u64::from));

fn name(c: &Call<'_>) -> u64 {
    let option = c.arg(2) & 0xffff_ffff;
    u64::from(match c.arg(1) & 0xffff_ffff {
        SOL_SOCKET => maps::SOCKOPT_OPTNAME_SOL_SOCKET.stored(option),
        SOL_TCP => maps::SOCKOPT_OPTNAME_SOL_TCP.stored(option),
        _ => 0,
    })
}

fn push_value(c: &Call<'_>, out: &mut Vec<u8>) {
    let raw = c.raw(3).unwrap_or(&[]);
    let form = if c.arg(1) & 0xffff_ffff == SOL_SOCKET {
        let option = c.arg(2) as u32;
        FORMS.iter().find(|(o, _)| *o == option).map_or(DYN_U32, |(_, form)| *form)
    } else {
        DYN_BYTES
    };
    match value(form, raw) {
        Some(number) => {
            out.push(form);
            match form {
                DYN_U32 => out.extend_from_slice(&(number as u32).to_le_bytes()),
                _ => out.extend_from_slice(&number.to_le_bytes()),
            }
        }
        // Too short for its form, or bytes anyway.
        None => {
            out.push(DYN_BYTES);
            out.extend_from_slice(&raw[..raw.len().min(c.snaplen)]);
        }
    }
}

fn value(form: u8, raw: &[u8]) -> Option<u64> {
    match form {
        DYN_ERRNO => Some((-i64::from(word32(raw, 0)? as i32)) as u64),
        DYN_U32 => Some(u64::from(word32(raw, 0)?)),
        DYN_U64 => word64(raw, 0),
        DYN_TIMEVAL => {
            // A 32-bit caller's timeval has two 32-bit words.
            let (s, us) = if raw.len() < 16 {
                (u64::from(word32(raw, 0)?), u64::from(word32(raw, 1)?))
            } else {
                (word64(raw, 0)?, word64(raw, 1)?)
            };
            Some(s.wrapping_mul(1_000_000_000).wrapping_add(us.wrapping_mul(1000)))
        }
        _ => None,
    }
}
