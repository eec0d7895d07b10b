//! [`FdInfo`]: what one fd refers to.

use super::{Text, empty_text};
use capture_common::snapshot::{FdType, L4Proto};
use std::net::{IpAddr, Ipv4Addr};

/// Stored open flag of close-on-exec (`file_flags` of the event table).
pub const O_CLOEXEC: u32 = 1 << 12;
/// Stored open flag of directories.
pub const O_DIRECTORY: u32 = 1 << 10;

/// An open file.
#[derive(Clone, Debug)]
pub struct FdInfo {
    /// What it is.
    pub ty: FdType,
    /// Name as fields print it, not yet cleaned of control characters.
    pub name: Text,
    /// The path as the call had it, before it was joined to a directory; empty where it is `name`.
    pub raw_name: Text,
    /// Stored open flags (`file_flags`).
    pub open_flags: u32,
    /// Device as stored, 0 unknown.
    pub dev: u32,
    /// Inode, 0 unknown.
    pub ino: u64,
    /// Mount id, 0 unknown.
    pub mount_id: u32,
    /// For pidfds: the process; -1 otherwise.
    pub pid: i64,
    /// Addresses and role, for sockets.
    pub sock: SocketInfo,
    /// The thread whose close of it was seen to begin and not yet to end; -1 none.
    pub closing_tid: i64,
    /// What the budget of the tables was charged for it.
    pub(crate) charged_bytes: u32,
    /// Number of its last change; 0 while it stands in no table, or was added to two at once.
    pub(crate) version: u64,
}

/// Which side of a connection a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// Not known yet.
    #[default]
    None,
    /// It connected, or speaks first.
    Client,
    /// It listens, or was accepted.
    Server,
}

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ConnState {
    /// No connect or accept was seen.
    #[default]
    None,
    /// A connect that answered EINPROGRESS.
    Pending,
    /// Connected or accepted.
    Connected,
    /// The connect failed.
    Failed,
}

/// An IP address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address; 0.0.0.0 where none is known.
    pub ip: IpAddr,
    /// Port; 0 where none is known.
    pub port: u16,
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 }
    }
}

impl Endpoint {
    /// Whether nothing is known of it.
    pub fn is_unset(&self) -> bool {
        self.ip.is_unspecified() && self.port == 0
    }
}

/// Addresses of a socket.
///
/// IP: `source` is the client and `dest` the server as soon as the role is known; a listening
/// socket ([`FdType::Ipv4Server`], [`FdType::Ipv6Server`]) has its own address in `dest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SocketInfo {
    /// Client's address.
    pub source: Endpoint,
    /// Server's address.
    pub dest: Endpoint,
    /// Transport protocol.
    pub l4proto: L4Proto,
    /// Side.
    pub role: Role,
    /// Connection state.
    pub state: ConnState,
    /// Unix sockets: kernel address of the source's socket.
    pub unix_source: u64,
    /// Unix sockets: kernel address of the destination's socket.
    pub unix_dest: u64,
}

impl FdInfo {
    /// An fd of a type, with nothing else known.
    pub fn new(ty: FdType) -> Self {
        FdInfo {
            ty,
            name: empty_text(),
            raw_name: empty_text(),
            open_flags: 0,
            dev: 0,
            ino: 0,
            mount_id: 0,
            pid: -1,
            sock: SocketInfo::default(),
            closing_tid: -1,
            charged_bytes: 0,
            version: 0,
        }
    }

    /// What it takes of memory, roughly, in bytes.
    pub(crate) fn cost_bytes(&self) -> usize {
        /// Counts and length of a shared text or entry.
        const SHARED: usize = 16;
        let text = |text: &Text| if text.is_empty() { 0 } else { SHARED + text.len() };
        let raw = if Text::ptr_eq(&self.name, &self.raw_name) { 0 } else { text(&self.raw_name) };
        size_of::<FdInfo>() + SHARED + text(&self.name) + raw
    }

    /// The character that stands for the type in `N(<TP>NAME)`.
    pub fn type_char(&self) -> char {
        type_char(self.ty)
    }

    /// The character of the transport protocol, `None` where the role or the protocol is unknown
    /// and for everything that is no IP socket. Raw sockets need no role.
    pub fn proto_char(&self) -> Option<char> {
        let settled = self.sock.role != Role::None || self.sock.l4proto == L4Proto::Raw;
        if !self.is_ip() || !settled {
            return None;
        }
        match self.sock.l4proto {
            L4Proto::Tcp => Some('t'),
            L4Proto::Udp => Some('u'),
            L4Proto::Icmp => Some('i'),
            L4Proto::Raw => Some('r'),
            L4Proto::Unknown | L4Proto::Na => None,
        }
    }

    /// Whether it is an IPv4 or IPv6 socket of either kind.
    #[inline]
    pub fn is_ip(&self) -> bool {
        matches!(self.ty, FdType::Ipv4 | FdType::Ipv6 | FdType::Ipv4Server | FdType::Ipv6Server)
    }

    /// Whether it is a connection or unconnected IP socket (not a listening one).
    #[inline]
    pub fn is_ip_stream(&self) -> bool {
        matches!(self.ty, FdType::Ipv4 | FdType::Ipv6)
    }

    /// Whether it is a listening IP socket.
    #[inline]
    pub fn is_ip_server(&self) -> bool {
        matches!(self.ty, FdType::Ipv4Server | FdType::Ipv6Server)
    }

    /// Whether it is a unix socket.
    #[inline]
    pub fn is_unix(&self) -> bool {
        self.ty == FdType::Unix
    }

    /// Whether it is a file or a directory.
    #[inline]
    pub fn is_file(&self) -> bool {
        matches!(self.ty, FdType::File | FdType::FileOld | FdType::Directory)
    }
}

/// The character of an fd type.
pub const fn type_char(ty: FdType) -> char {
    match ty {
        FdType::File | FdType::FileOld => 'f',
        FdType::Directory => 'd',
        FdType::Ipv4 | FdType::Ipv4Server => '4',
        FdType::Ipv6 | FdType::Ipv6Server => '6',
        FdType::Unix | FdType::Userfault => 'u',
        FdType::Pipe => 'p',
        FdType::Event => 'e',
        FdType::Signal => 's',
        FdType::EventPoll => 'l',
        FdType::Inotify => 'i',
        FdType::Timer => 't',
        FdType::Netlink => 'n',
        FdType::Unsupported => 'X',
        FdType::Unknown => 'o',
        FdType::Bpf => 'b',
        FdType::IoUring => 'r',
        FdType::Memfd => 'm',
        FdType::Pid => 'P',
    }
}
