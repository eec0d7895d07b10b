//! Fd list blocks (0x203, 0x218): the table of one thread.

use super::Opening;
use crate::block::{FD_LIST_V2, begin_block, end_block};
use crate::cursor::{Cursor, Short, close_entry, put_string};
use capture_common::snapshot::{FD_NAME_MAX, FdKind, FdRecord, FdType, L4Proto};
use std::net::{Ipv4Addr, Ipv6Addr};

/// sysdig 0.29.3 refuses a whole file in which a type above this one occurs.
const TYPE_MAX_WRITTEN: u8 = FdType::File as u8;

const _: () = assert!(size_of::<FdRecord>() > size_of::<(i64, Vec<FdRecord>)>());

/// Decodes what stands before the entries.
pub(super) fn open(cursor: &mut Cursor<'_>, to: &mut Opening) -> Result<(), Short> {
    let tid = cursor.i64("tid of the fd list")?;
    if to.has_room::<(i64, Vec<FdRecord>)>(&[]) {
        to.snapshot.fds.push((tid, Vec::new()));
    }
    Ok(())
}

/// Decodes one entry.
pub(super) fn decode(cursor: &mut Cursor<'_>, sized: bool, to: &mut Opening) -> Result<(), Short> {
    let record = if sized {
        decode_entry(&mut cursor.entry("fd entry")?, true)?
    } else {
        decode_entry(cursor, false)?
    };
    let name: &[u8] = match &record.kind {
        FdKind::Unix { path, .. } => path,
        FdKind::File { name, .. } | FdKind::Other { name, .. } => name,
        _ => b"",
    };
    // A list that found no room has none for its entries, which are larger.
    if to.has_room::<FdRecord>(&[name])
        && let Some((_, records)) = to.snapshot.fds.last_mut()
    {
        records.push(record);
    }
    Ok(())
}

fn decode_entry(entry: &mut Cursor<'_>, sized: bool) -> Result<FdRecord, Short> {
    let fd = entry.i64("fd number")?;
    let ino = entry.u64("fd inode")?;
    let ty = entry.u8("fd type")?;
    let kind = match FdType::from_number(ty).unwrap_or(FdType::Unsupported) {
        FdType::Ipv4 => FdKind::Ipv4 {
            sip: Ipv4Addr::from(entry.array::<4>("source address")?),
            dip: Ipv4Addr::from(entry.array::<4>("destination address")?),
            sport: entry.u16("source port")?,
            dport: entry.u16("destination port")?,
            l4proto: L4Proto::from_number(entry.u8("protocol")?),
        },
        FdType::Ipv6 => FdKind::Ipv6 {
            sip: Ipv6Addr::from(entry.array::<16>("source address")?),
            dip: Ipv6Addr::from(entry.array::<16>("destination address")?),
            sport: entry.u16("source port")?,
            dport: entry.u16("destination port")?,
            l4proto: L4Proto::from_number(entry.u8("protocol")?),
        },
        FdType::Ipv4Server => FdKind::Ipv4Server {
            ip: Ipv4Addr::from(entry.array::<4>("address")?),
            port: entry.u16("port")?,
            l4proto: L4Proto::from_number(entry.u8("protocol")?),
        },
        FdType::Ipv6Server => FdKind::Ipv6Server {
            ip: Ipv6Addr::from(entry.array::<16>("address")?),
            port: entry.u16("port")?,
            l4proto: L4Proto::from_number(entry.u8("protocol")?),
        },
        FdType::Unix => FdKind::Unix {
            source: entry.u64("unix source")?,
            destination: entry.u64("unix destination")?,
            path: entry.string("unix path")?,
        },
        FdType::File => {
            let open_flags = entry.u32("open flags")?;
            let name = entry.string("fd name")?;
            let has_dev = sized && entry.left() >= 4;
            FdKind::File { open_flags, name, dev: if has_dev { entry.u32("device")? } else { 0 } }
        }
        // A type from the future: its entry need not hold a name.
        FdType::Unsupported if sized && ty > FdType::Pid as u8 => {
            FdKind::Other { ty: FdType::Unsupported, name: entry.string("fd name").unwrap_or_default() }
        }
        ty => FdKind::Other { ty, name: entry.string("fd name")? },
    };
    Ok(FdRecord { fd, ino, kind })
}

pub(super) fn encode(tid: i64, records: &[FdRecord], out: &mut Vec<u8>) -> u64 {
    let mut cut_strings = 0;
    let block_at = begin_block(out, FD_LIST_V2);
    out.extend_from_slice(&tid.to_le_bytes());
    for record in records {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&record.fd.to_le_bytes());
        out.extend_from_slice(&record.ino.to_le_bytes());
        cut_strings += u64::from(encode_kind(&record.kind, out));
        close_entry(out, at);
    }
    end_block(out, block_at);
    cut_strings
}

fn encode_kind(kind: &FdKind, out: &mut Vec<u8>) -> bool {
    match kind {
        FdKind::Ipv4 { sip, dip, sport, dport, l4proto } => {
            out.push(FdType::Ipv4 as u8);
            put_ends(out, &[&sip.octets(), &dip.octets()], &[*sport, *dport], *l4proto)
        }
        FdKind::Ipv6 { sip, dip, sport, dport, l4proto } => {
            out.push(FdType::Ipv6 as u8);
            put_ends(out, &[&sip.octets(), &dip.octets()], &[*sport, *dport], *l4proto)
        }
        FdKind::Ipv4Server { ip, port, l4proto } => {
            out.push(FdType::Ipv4Server as u8);
            put_ends(out, &[&ip.octets()], &[*port], *l4proto)
        }
        FdKind::Ipv6Server { ip, port, l4proto } => {
            out.push(FdType::Ipv6Server as u8);
            put_ends(out, &[&ip.octets()], &[*port], *l4proto)
        }
        FdKind::Unix { source, destination, path } => {
            out.push(FdType::Unix as u8);
            out.extend_from_slice(&source.to_le_bytes());
            out.extend_from_slice(&destination.to_le_bytes());
            put_string(out, path, FD_NAME_MAX)
        }
        FdKind::File { open_flags, name, dev } => put_file(out, *open_flags, name, *dev),
        FdKind::Other { ty: FdType::Memfd, name } => put_file(out, 0, name, 0),
        FdKind::Other { ty, name } => {
            out.push(written_type(*ty) as u8);
            put_string(out, name, FD_NAME_MAX)
        }
    }
}

/// The type under which an fd known by its name alone is written.
fn written_type(ty: FdType) -> FdType {
    match ty {
        // Their entries have another shape, which a name alone cannot fill.
        FdType::Ipv4
        | FdType::Ipv6
        | FdType::Ipv4Server
        | FdType::Ipv6Server
        | FdType::Unix
        | FdType::File
        | FdType::Unknown => FdType::Unsupported,
        ty if ty as u8 > TYPE_MAX_WRITTEN => FdType::Unsupported,
        ty => ty,
    }
}

fn put_file(out: &mut Vec<u8>, open_flags: u32, name: &[u8], dev: u32) -> bool {
    out.push(FdType::File as u8);
    out.extend_from_slice(&open_flags.to_le_bytes());
    let cut = put_string(out, name, FD_NAME_MAX);
    out.extend_from_slice(&dev.to_le_bytes());
    cut
}

fn put_ends(out: &mut Vec<u8>, addresses: &[&[u8]], ports: &[u16], l4proto: L4Proto) -> bool {
    addresses.iter().for_each(|a| out.extend_from_slice(a));
    ports.iter().for_each(|p| out.extend_from_slice(&p.to_le_bytes()));
    out.push(l4proto as u8);
    false
}
