//! Addresses of network interfaces, from getifaddrs(3), and their speed, from /sys.

use super::{Gaps, Roots};
use capture_common::snapshot::{Interface, InterfaceAddr};
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn read(roots: &Roots, gaps: &mut Gaps) -> Vec<Interface> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `list` is a valid place for the result; it is read only if the call succeeded.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        gaps.lists += 1;
        return Vec::new();
    }
    let mut interfaces = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: entries of the list are valid until freeifaddrs below.
        let entry = unsafe { &*next };
        interfaces.extend(interface(entry, roots));
        next = entry.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    interfaces
}

/// An entry with an IP address; others (link layer) have none to tell.
fn interface(entry: &libc::ifaddrs, roots: &Roots) -> Option<Interface> {
    let addr = match (ip(entry.ifa_addr)?, ip(entry.ifa_netmask), ip(entry.ifa_ifu)) {
        (IpAddr::V4(addr), mask, broadcast) => {
            let v4 = |ip| if let Some(IpAddr::V4(ip)) = ip { ip } else { Ipv4Addr::UNSPECIFIED };
            InterfaceAddr::V4 { addr, netmask: v4(mask), broadcast: v4(broadcast) }
        }
        (IpAddr::V6(addr), mask, _) => {
            let netmask = if let Some(IpAddr::V6(mask)) = mask { mask } else { Ipv6Addr::UNSPECIFIED };
            InterfaceAddr::V6 { addr, netmask, broadcast: Ipv6Addr::UNSPECIFIED }
        }
    };
    // SAFETY: getifaddrs gives every entry a name that ends with NUL.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_bytes().to_vec();
    let speed = std::str::from_utf8(&name).ok().and_then(|name| {
        // Mbit/s; -1 or an error where the device has none.
        std::fs::read_to_string(roots.sys.join("class/net").join(name).join("speed")).ok()
    });
    let link_speed = speed.and_then(|s| s.trim().parse().ok()).unwrap_or(0);
    Some(Interface { name, addr, link_speed })
}

fn ip(addr: *const libc::sockaddr) -> Option<IpAddr> {
    if addr.is_null() {
        return None;
    }
    // SAFETY: addresses of the list start with their family.
    match i32::from(unsafe { (*addr).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that a sockaddr_in stands here; it may be unaligned.
            let v4 = unsafe { addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(IpAddr::V4(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes())))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a sockaddr_in6.
            let v6 = unsafe { addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}
