//! Interface list blocks (0x205, 0x219): one entry per address.

use super::Opening;
use crate::block::{INTERFACE_LIST_V2, begin_block, end_block};
use crate::cursor::{Cursor, Short, put_string};
use capture_common::snapshot::{Interface, InterfaceAddr};
use std::net::{Ipv4Addr, Ipv6Addr};

const TYPE_V4: u16 = 1;
const TYPE_V6: u16 = 2;
/// Types of old files, which lack the link speed.
const TYPE_V4_OLD: u16 = 3;
/// See [`TYPE_V4_OLD`].
const TYPE_V6_OLD: u16 = 4;

/// Longest name that stock readers accept, in bytes.
const NAME_MAX: usize = 1023;

/// Decodes one entry.
pub(super) fn decode(cursor: &mut Cursor<'_>, sized: bool, to: &mut Opening) -> Result<(), Short> {
    let interface = if sized {
        // This length, alone in the format, does not count itself.
        let len = cursor.u32("interface entry length")? as usize;
        decode_entry(&mut Cursor::new(cursor.take(len, "interface entry")?))?
    } else {
        let interface = decode_entry(cursor)?;
        if interface.is_none() {
            // Without a length nothing after an unknown type can be found.
            return Err(Short { what: "interface of unknown type", wanted_bytes: 0, found_bytes: 0 });
        }
        interface
    };
    if let Some(interface) = interface
        && to.has_room::<Interface>(&[&interface.name])
    {
        to.snapshot.interfaces.push(interface);
    }
    Ok(())
}

fn decode_entry(entry: &mut Cursor<'_>) -> Result<Option<Interface>, Short> {
    let ty = entry.u16("interface type")?;
    let name_len = usize::from(entry.u16("interface name length")?);
    let addr = match ty {
        TYPE_V4 | TYPE_V4_OLD => InterfaceAddr::V4 {
            addr: Ipv4Addr::from(entry.array::<4>("interface address")?),
            netmask: Ipv4Addr::from(entry.array::<4>("interface netmask")?),
            broadcast: Ipv4Addr::from(entry.array::<4>("interface broadcast")?),
        },
        TYPE_V6 | TYPE_V6_OLD => InterfaceAddr::V6 {
            addr: Ipv6Addr::from(entry.array::<16>("interface address")?),
            netmask: Ipv6Addr::from(entry.array::<16>("interface netmask")?),
            broadcast: Ipv6Addr::from(entry.array::<16>("interface broadcast")?),
        },
        _ => return Ok(None),
    };
    let link_speed = if ty <= TYPE_V6 { entry.u64("link speed")? } else { 0 };
    let name = entry.take(name_len, "interface name")?.to_vec();
    Ok(Some(Interface { name, addr, link_speed }))
}

pub(super) fn encode(interfaces: &[Interface], out: &mut Vec<u8>) -> u64 {
    let mut cut_strings = 0;
    let at = begin_block(out, INTERFACE_LIST_V2);
    let (v4, v6): (Vec<_>, Vec<_>) =
        interfaces.iter().partition(|i| matches!(i.addr, InterfaceAddr::V4 { .. }));
    for interface in v4.into_iter().chain(v6) {
        let mut name = Vec::new();
        cut_strings += u64::from(put_string(&mut name, &interface.name, NAME_MAX));
        let name = &name[2..];
        let len_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let ty = if matches!(interface.addr, InterfaceAddr::V4 { .. }) { TYPE_V4 } else { TYPE_V6 };
        out.extend_from_slice(&ty.to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        match interface.addr {
            InterfaceAddr::V4 { addr, netmask, broadcast } => {
                [addr, netmask, broadcast].iter().for_each(|a| out.extend_from_slice(&a.octets()));
            }
            InterfaceAddr::V6 { addr, netmask, broadcast } => {
                [addr, netmask, broadcast].iter().for_each(|a| out.extend_from_slice(&a.octets()));
            }
        }
        out.extend_from_slice(&interface.link_speed.to_le_bytes());
        out.extend_from_slice(name);
        let len = (out.len() - len_at - 4) as u32;
        out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
    }
    end_block(out, at);
    cut_strings
}
