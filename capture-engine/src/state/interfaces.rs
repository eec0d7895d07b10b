//! Network interfaces of the recorded machine, and the address that a socket without one had.

use capture_common::snapshot::{Interface, InterfaceAddr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most addresses that are kept; each look-up goes through them.
const LIMIT: usize = 4_096;

/// Addresses of the recorded machine.
#[derive(Debug, Default)]
pub struct Interfaces {
    list: Vec<Interface>,
}

impl Interfaces {
    /// All interfaces, one entry per address.
    pub fn list(&self) -> &[Interface] {
        &self.list
    }

    /// Takes the machine's list; the answer is how many of them are too many.
    pub(crate) fn set(&mut self, list: &[Interface]) -> usize {
        self.list = list[..list.len().min(LIMIT)].to_vec();
        list.len() - self.list.len()
    }

    /// Whether an address is one of the machine's own.
    pub fn is_local(&self, ip: IpAddr) -> bool {
        self.list.iter().any(|i| match (i.addr, ip) {
            (InterfaceAddr::V4 { addr, .. }, IpAddr::V4(ip)) => addr == ip,
            (InterfaceAddr::V6 { addr, .. }, IpAddr::V6(ip)) => addr == ip,
            _ => false,
        })
    }

    /// The machine's address that faces `peer`: that of the interface in the same subnet, else
    /// of the first interface that is not loopback.
    pub fn facing(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(peer) => self.facing_v4(peer).map(IpAddr::V4),
            IpAddr::V6(peer) => self.facing_v6(peer).map(IpAddr::V6),
        }
    }

    fn facing_v4(&self, peer: Ipv4Addr) -> Option<Ipv4Addr> {
        let all = || {
            self.list.iter().filter_map(|i| match i.addr {
                InterfaceAddr::V4 { addr, netmask, .. } => Some((addr, netmask)),
                InterfaceAddr::V6 { .. } => None,
            })
        };
        let net = |ip: Ipv4Addr, mask: Ipv4Addr| u32::from(ip) & u32::from(mask);
        all()
            .find(|&(addr, mask)| u32::from(mask) != 0 && net(addr, mask) == net(peer, mask))
            .or_else(|| all().find(|(addr, _)| !addr.is_loopback()))
            .map(|(addr, _)| addr)
    }

    fn facing_v6(&self, peer: Ipv6Addr) -> Option<Ipv6Addr> {
        let all = || {
            self.list.iter().filter_map(|i| match i.addr {
                InterfaceAddr::V6 { addr, netmask, .. } => Some((addr, netmask)),
                InterfaceAddr::V4 { .. } => None,
            })
        };
        let net = |ip: Ipv6Addr, mask: Ipv6Addr| u128::from(ip) & u128::from(mask);
        all()
            .find(|&(addr, mask)| u128::from(mask) != 0 && net(addr, mask) == net(peer, mask))
            .or_else(|| all().find(|(addr, _)| !addr.is_loopback()))
            .map(|(addr, _)| addr)
    }
}
