//! What `fd.*` answers where the event has no fd: a call that makes or uses one and failed still
//! tells what it wanted. So do both generations of sysdig, and filters such as
//! `fd.name startswith /etc and evt.failed=true` live by it.

use super::Ctx;
use crate::render::address::push_tuple;
use crate::render::path::push_absolute;
use capture_common::EventCode;
use capture_common::event_table::code;
use capture_common::snapshot::FdType;

/// Where an exit names what the call was to make.
#[derive(Clone, Copy)]
enum Wanted {
    /// A path, parameter of this index.
    Path(usize),
    /// The two ends of a connection, parameter of this index.
    Tuple(usize),
}

const WANTED: &[(EventCode, Wanted)] = &[
    (code::SYSCALL_OPEN_X, Wanted::Path(1)),
    (code::SYSCALL_CREAT_X, Wanted::Path(1)),
    (code::SYSCALL_OPENAT_2_X, Wanted::Path(2)),
    (code::SYSCALL_OPENAT2_X, Wanted::Path(2)),
    (code::SYSCALL_OPEN_BY_HANDLE_AT_X, Wanted::Path(3)),
    (code::SOCKET_ACCEPT_X, Wanted::Tuple(1)),
    (code::SOCKET_ACCEPT4_X, Wanted::Tuple(1)),
    (code::SOCKET_ACCEPT_5_X, Wanted::Tuple(1)),
    (code::SOCKET_ACCEPT4_5_X, Wanted::Tuple(1)),
    (code::SOCKET_ACCEPT4_6_X, Wanted::Tuple(1)),
    (code::SOCKET_CONNECT_X, Wanted::Tuple(1)),
];

/// Types of the fds that calls make, by the enter's code. Which kind of socket it was to be
/// nobody looks up: all count as IPv4.
const MAKES: &[(EventCode, FdType)] = &[
    (code::SYSCALL_OPEN_E, FdType::File),
    (code::SYSCALL_OPENAT_E, FdType::File),
    (code::SYSCALL_OPENAT_2_E, FdType::File),
    (code::SYSCALL_OPENAT2_E, FdType::File),
    (code::SYSCALL_CREAT_E, FdType::File),
    (code::SOCKET_SOCKET_E, FdType::Ipv4),
    (code::SOCKET_ACCEPT_E, FdType::Ipv4),
    (code::SOCKET_ACCEPT4_E, FdType::Ipv4),
    (code::SOCKET_ACCEPT_5_E, FdType::Ipv4),
    (code::SOCKET_ACCEPT4_5_E, FdType::Ipv4),
    (code::SOCKET_ACCEPT4_6_E, FdType::Ipv4),
    (code::SYSCALL_PIPE_E, FdType::Pipe),
    (code::SYSCALL_PIPE2_E, FdType::Pipe),
    (code::SYSCALL_EVENTFD_E, FdType::Event),
    (code::SYSCALL_EVENTFD2_E, FdType::Event),
    (code::SYSCALL_SIGNALFD_E, FdType::Signal),
    (code::SYSCALL_SIGNALFD4_E, FdType::Signal),
    (code::SYSCALL_TIMERFD_CREATE_E, FdType::Timer),
    (code::SYSCALL_INOTIFY_INIT_E, FdType::Inotify),
    (code::SYSCALL_INOTIFY_INIT1_E, FdType::Inotify),
];

/// Whether events of this type, where they have no fd, tell what they were to open or reach.
pub(crate) fn tells_what_it_wanted(event: EventCode) -> bool {
    WANTED.iter().any(|row| row.0 == event)
}

/// Appends the name of what an exit's call was to open or reach; empty for other calls, no value
/// on enters.
pub(super) fn push_name(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let raw = &c.view.raw;
    let Some(info) = c.view.info.filter(|_| !raw.code.is_enter()) else { return false };
    match WANTED.iter().find(|row| row.0 == raw.code) {
        Some((_, Wanted::Path(at))) => {
            push_absolute(out, c.view, info, *at);
        }
        Some((_, Wanted::Tuple(at))) => push_tuple(out, raw.param(*at).unwrap_or(b""), c.view.ports()),
        None => {}
    }
    true
}

/// As [`push_name`], with a path as the call had it.
pub(super) fn push_raw_name(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    match WANTED.iter().find(|row| row.0 == c.view.raw.code) {
        Some((_, Wanted::Path(at))) => {
            out.extend_from_slice(c.view.raw.text(*at).unwrap_or(b""));
            true
        }
        _ => push_name(c, out),
    }
}

/// Appends the directory of [`push_name`]; the root where there is none.
pub(super) fn push_directory(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    if !push_name(c, out) {
        return false;
    }
    let name = &out[start..];
    match name.iter().rposition(|&b| b == b'/') {
        None | Some(0) => {
            out.truncate(start);
            out.push(b'/');
        }
        // A name that ends in a slash is a directory's own.
        Some(at) if at + 1 < name.len() => out.truncate(start + at),
        Some(_) => {}
    }
    true
}

/// Type of the fd that the call makes; unknown for calls that make none.
pub(super) fn wanted_type(event: EventCode) -> FdType {
    let enter = EventCode(event.0 & !1);
    MAKES.iter().find(|row| row.0 == enter).map_or(FdType::Unknown, |row| row.1)
}
