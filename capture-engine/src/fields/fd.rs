//! `fd.*` fields: the fd that the event is about.

use super::event::flags_of;
use super::proc::{flag, int, uint};
use super::{Ctx, Field, Print, Use, fd_absent, text, value};
use crate::render::address::{push_ip, push_tuple};
use crate::render::fd::push_fd_name;
use crate::render::number::dec_i64;
use crate::state::fd::{ConnState, FdInfo, Role, type_char};
use capture_common::EventFlags;
use capture_common::event_table::code;
use capture_common::snapshot::{FdType, L4Proto};
use filter_lang::FieldType::{Bool, Int, Ip, Net, Port, Str, Uint};
use filter_lang::{Arity, Value};
use std::net::IpAddr;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("fd.num", Int, "number of the fd", "fd.num=1", number),
    value("fd.type", Str, "type of the fd: file, directory, ipv4, ipv6, unix, pipe, event, signalfd, eventpoll, inotify, timerfd, netlink and so on", "fd.type=ipv4",
        |c| Some(Value::text(type_name(fd(c)?.ty)))),
    value("fd.typechar", Str, "type of the fd as one character, the one of the <> in listings", "fd.typechar=f",
        |c| Some(Value::text(type_letter(match about_fd(c)? { Some(fd) => fd.ty, None => fd_absent::wanted_type(c.view.raw.code) })))),
    text("fd.name", "path of a file, addresses of a socket, or another name", "fd.name contains /etc",
        name),
    text("fd.nameraw", "path of a file as the call had it", "fd.nameraw contains ..",
        |c, out| match about_fd(c) {
            Some(Some(fd)) => { out.extend_from_slice(if fd.raw_name.is_empty() { &fd.name } else { &fd.raw_name }); true }
            Some(None) => fd_absent::push_raw_name(c, out),
            None => false,
        }),
    text("fd.directory", "directory of a file", "fd.directory=/etc", directory),
    text("fd.filename", "last part of a file's path", "fd.filename=hosts",
        |c, out| file(c).filter(|fd| fd.ty != FdType::Directory).map(|fd| out.extend_from_slice(last_part(&fd.name))).is_some()),
    value("fd.ip", Ip, "either address of a socket", "fd.ip=10.0.0.1",
        |c| both(c, |e| Value::Ip(e.ip))).arity(Arity::Any).only(Use::Filter),
    value("fd.cip", Ip, "address of the client", "fd.cip=10.0.0.1", |c| Some(Value::Ip(connection(c)?.sock.source.ip))),
    value("fd.sip", Ip, "address of the server", "fd.sip=10.0.0.1", |c| Some(Value::Ip(ip_socket(c)?.sock.dest.ip))),
    value("fd.lip", Ip, "address on the recorded machine", "fd.lip=10.0.0.1", |c| Some(Value::Ip(sides(c)?.0.ip))),
    value("fd.rip", Ip, "address of the other side", "fd.rip=10.0.0.1", |c| Some(Value::Ip(sides(c)?.1.ip))),
    value("fd.port", Port, "either port of a socket", "fd.port=443",
        |c| both(c, |e| Value::Uint(u64::from(e.port)))).arity(Arity::Any).only(Use::Filter),
    value("fd.cport", Port, "port of the client", "fd.cport>32767", |c| uint(u64::from(ip_socket(c)?.sock.source.port))),
    value("fd.sport", Port, "port of the server", "fd.sport=443", |c| uint(u64::from(ip_socket(c)?.sock.dest.port))),
    value("fd.lport", Port, "port on the recorded machine", "fd.lport=22", |c| uint(u64::from(sides(c)?.0.port))),
    value("fd.rport", Port, "port of the other side", "fd.rport=443", |c| uint(u64::from(sides(c)?.1.port))),
    value("fd.net", Net, "either address of a socket, for comparison with a network", "fd.net=10.0.0.0/8",
        |c| both(c, |e| Value::Ip(e.ip))).arity(Arity::Any).only(Use::Filter),
    value("fd.cnet", Net, "address of the client, for comparison with a network", "fd.cnet=10.0.0.0/8", |c| Some(Value::Ip(connection(c)?.sock.source.ip))).only(Use::Filter),
    value("fd.snet", Net, "address of the server, for comparison with a network", "fd.snet=10.0.0.0/8", |c| Some(Value::Ip(ip_socket(c)?.sock.dest.ip))).only(Use::Filter),
    value("fd.lnet", Net, "address on the recorded machine, for comparison with a network", "fd.lnet=10.0.0.0/8", |c| Some(Value::Ip(sides(c)?.0.ip))).only(Use::Filter),
    value("fd.rnet", Net, "address of the other side, for comparison with a network", "fd.rnet=10.0.0.0/8", |c| Some(Value::Ip(sides(c)?.1.ip))).only(Use::Filter),
    value("fd.proto", Port, "either port of a socket; constants may be service names", "fd.proto=https",
        |c| both(c, |e| Value::Uint(u64::from(e.port)))).arity(Arity::Any).only(Use::Filter),
    value("fd.cproto", Port, "port of the client; constants may be service names", "fd.cproto=ntp", |c| uint(u64::from(ip_socket(c)?.sock.source.port))),
    value("fd.sproto", Port, "port of the server; constants may be service names", "fd.sproto=http", |c| uint(u64::from(ip_socket(c)?.sock.dest.port))),
    value("fd.lproto", Port, "port on the recorded machine; constants may be service names", "fd.lproto=ssh", |c| uint(u64::from(sides(c)?.0.port))),
    value("fd.rproto", Port, "port of the other side; constants may be service names", "fd.rproto=https", |c| uint(u64::from(sides(c)?.1.port))),
    value("fd.l4proto", Str, "tcp, udp, icmp or raw; the text <NA> for other fds and where it is not known", "fd.l4proto=tcp",
        |c| Some(Value::text(protocol(fd(c)?)))),
    value("fd.sockfamily", Str, "ip or unix", "fd.sockfamily=unix",
        |c| { let fd = fd(c)?; if fd.is_ip() { Some(Value::text("ip")) } else if fd.is_unix() { Some(Value::text("unix")) } else { None } }),
    value("fd.is_server", Bool, "whether the socket is on the server's side", "fd.is_server=true", |c| flag(is_server(c, fd(c)?))),
    value("fd.connected", Bool, "whether the socket is connected, or about to be", "fd.connected=false",
        |c| flag(matches!(fd(c)?.sock.state, ConnState::Connected | ConnState::Pending))),
    text("fd.uid", "id of the thread and number of the fd in one, -1 for none yet", "-p '%fd.uid'",
        |c, out| match (about_fd(c), c.view.thread()) {
            (Some(_), Some(thread)) => { dec_i64(out, thread.tid); dec_i64(out, c.view.applied.fd_num); true }
            _ => false,
        }),
    text("fd.containername", "id of the container, a colon, and the name of the fd", "-p '%fd.containername'",
        |c, out| about_fd(c).is_some() && container_prefix(c, out) && name(c, out)),
    text("fd.containerdirectory", "id of the container, a colon, and the directory of the file", "-p '%fd.containerdirectory'",
        |c, out| about_fd(c).is_some() && container_prefix(c, out) && directory(c, out)),
    value("fd.dev", Uint, "device of the file", "fd.dev=64768", |c| uint(u64::from(fd(c)?.dev))).print(Print::Hex),
    value("fd.dev.major", Uint, "major number of the file's device", "fd.dev.major=253", |c| uint(u64::from((fd(c)?.dev & 0x000f_ff00) >> 8))),
    value("fd.dev.minor", Uint, "minor number of the file's device", "fd.dev.minor=0", |c| { let dev = fd(c)?.dev; uint(u64::from((dev & 0xff) | (dev >> 12 & 0xf_ff00))) }),
    value("fd.ino", Uint, "inode", "fd.ino=409842", |c| uint(fd(c)?.ino)),
];

const ON_FDS: EventFlags =
    EventFlags(EventFlags::CREATES_FD.0 | EventFlags::USES_FD.0 | EventFlags::DESTROYS_FD.0);

/// Whether events of this type are about an fd.
pub(crate) fn is_about_fd(info: &capture_common::EventInfo) -> bool {
    flags_of(info).contains(ON_FDS)
}

/// Name of the fd. The exit of a unix connect that failed names what it tried to reach, though
/// the socket stays as it was.
fn name(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(fd) = about_fd(c) else { return false };
    let Some(fd) = fd else { return fd_absent::push_name(c, out) };
    match c.view.raw.param(1) {
        Some(tuple)
            if c.view.raw.code == code::SOCKET_CONNECT_X && c.view.applied.error != 0 && fd.is_unix() =>
        {
            push_tuple(out, tuple, c.view.ports());
        }
        _ => push_fd_name(out, fd),
    }
    true
}

/// The number of the fd: -1 on enters of calls that are to make one.
fn number<'a>(c: &Ctx<'a>) -> Option<Value<'a>> {
    if is_about_fd(c.view.info?) { int(c.view.applied.fd_num) } else { None }
}

pub(super) fn fd<'a>(c: &Ctx<'a>) -> Option<&'a FdInfo> {
    about_fd(c)?
}

/// The fd of an event that is about one, if it is known; `None` for events about none.
fn about_fd<'a>(c: &Ctx<'a>) -> Option<Option<&'a FdInfo>> {
    if is_about_fd(c.view.info?) && c.view.thread().is_some() { Some(c.view.fd()) } else { None }
}

fn file<'a>(c: &Ctx<'a>) -> Option<&'a FdInfo> {
    fd(c).filter(|fd| fd.is_file())
}

/// An IP socket whose side is known: only then its addresses mean anything.
fn ip_socket<'a>(c: &Ctx<'a>) -> Option<&'a FdInfo> {
    fd(c).filter(|fd| fd.is_ip() && (fd.is_ip_server() || fd.sock.role != Role::None))
}

/// As [`ip_socket`], but not a listening one, which has one address only.
fn connection<'a>(c: &Ctx<'a>) -> Option<&'a FdInfo> {
    ip_socket(c).filter(|fd| fd.is_ip_stream())
}

fn both<'a>(c: &Ctx<'a>, get: fn(crate::state::fd::Endpoint) -> Value<'a>) -> Option<Value<'a>> {
    // A side is not needed to match either.
    let fd = fd(c).filter(|fd| fd.is_ip())?;
    let ends = if fd.is_ip_server() { &[fd.sock.dest][..] } else { &[fd.sock.source, fd.sock.dest][..] };
    Some(Value::List(c.arena.list(ends.iter().copied().map(get))))
}

/// The near and the far end of a connection: the near one is an address of the machine.
fn sides(c: &Ctx<'_>) -> Option<(crate::state::fd::Endpoint, crate::state::fd::Endpoint)> {
    let fd = connection(c)?;
    let (source, dest) = (fd.sock.source, fd.sock.dest);
    let interfaces = &c.view.machine.interfaces;
    let source_is_near = if interfaces.list().is_empty() {
        fd.sock.role != Role::Server
    } else {
        is_near(c, source.ip) || !is_near(c, dest.ip)
    };
    Some(if source_is_near { (source, dest) } else { (dest, source) })
}

fn is_near(c: &Ctx<'_>, ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || c.view.machine.interfaces.is_local(ip)
}

fn is_server(c: &Ctx<'_>, fd: &FdInfo) -> bool {
    fd.is_ip_server() || (fd.is_ip_stream() && is_near(c, fd.sock.dest.ip))
}

fn protocol(fd: &FdInfo) -> &'static str {
    const UNKNOWN: &str = "<NA>";
    if !fd.is_ip() || (fd.sock.role == Role::None && !fd.is_ip_server()) {
        return UNKNOWN;
    }
    match fd.sock.l4proto {
        L4Proto::Tcp => "tcp",
        L4Proto::Udp => "udp",
        L4Proto::Icmp => "icmp",
        L4Proto::Raw => "raw",
        L4Proto::Unknown | L4Proto::Na => UNKNOWN,
    }
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

fn directory(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    match about_fd(c) {
        Some(None) => return fd_absent::push_directory(c, out),
        None => return false,
        Some(Some(_)) => {}
    }
    let Some(fd) = file(c) else { return false };
    let directory: &[u8] = match fd.name.iter().rposition(|&b| b == b'/') {
        // A directory's own name is its directory.
        _ if fd.ty == FdType::Directory => &fd.name,
        Some(0) | None => b"/",
        Some(at) => &fd.name[..at],
    };
    out.extend_from_slice(directory);
    true
}

fn container_prefix(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(thread) = c.view.thread() else { return false };
    out.extend_from_slice(&thread.container_id);
    out.push(b':');
    true
}

fn type_letter(ty: FdType) -> &'static str {
    match type_char(ty) {
        'f' => "f",
        'd' => "d",
        '4' => "4",
        '6' => "6",
        'u' => "u",
        'p' => "p",
        'e' => "e",
        's' => "s",
        'l' => "l",
        'i' => "i",
        't' => "t",
        'n' => "n",
        'X' => "X",
        'b' => "b",
        'r' => "r",
        'm' => "m",
        'P' => "P",
        _ => "o",
    }
}

/// Names of the fd types.
pub const fn type_name(ty: FdType) -> &'static str {
    match ty {
        FdType::File | FdType::FileOld => "file",
        FdType::Directory => "directory",
        FdType::Ipv4 | FdType::Ipv4Server => "ipv4",
        FdType::Ipv6 | FdType::Ipv6Server => "ipv6",
        FdType::Unix => "unix",
        FdType::Pipe => "pipe",
        FdType::Event => "event",
        FdType::Signal => "signalfd",
        FdType::EventPoll => "eventpoll",
        FdType::Inotify => "inotify",
        FdType::Timer => "timerfd",
        FdType::Netlink => "netlink",
        FdType::Bpf => "bpf",
        FdType::Userfault => "userfaultfd",
        FdType::IoUring => "io_uring",
        FdType::Memfd => "memfd",
        FdType::Pid => "pidfd",
        FdType::Unsupported => "unsupported",
        FdType::Unknown => "unknown",
    }
}

/// Appends the address of one end.
pub(super) fn push_end(out: &mut Vec<u8>, ip: IpAddr) {
    push_ip(out, ip);
}
