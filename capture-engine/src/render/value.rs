//! The value of one parameter as text: `3(<f>/etc/hosts)`, `4097(O_RDONLY|O_CLOEXEC)`.
//!
//! A value is a raw part and, where more is known, a resolved part in parentheses.

use super::TextOptions;
use super::address::{push_sockaddr, push_tuple, push_v4, push_v6};
use super::buffer::push_buffer;
use super::clock::{Fraction, push_datetime};
use super::fd::{push_errno, push_fd, push_fd_list, push_flag_names, push_paren};
use super::number::{dec_i64, dec_u64, general, hex_upper, octal, seconds};
use super::path::{push_path, push_path_at};
use super::text::{push_dotted, push_printable, push_visible, until_nul};
use crate::view::EventView;
use capture_common::event_table::{ParamExtra, signal_name};
use capture_common::raw_event::{read_int, read_uint};
use capture_common::syscall_table::ppm_sc_name;
use capture_common::{EventInfo, ParamFormat, ParamInfo, ParamType};

/// What stands for a value that is not there.
pub(super) const ABSENT: &[u8] = b"<NA>";

/// Appends parameter `index` of the event, whose bytes and table row are given. Answers the
/// offset in `out` at which the parenthesis of the resolved part opens, if there is one.
#[inline]
pub(super) fn push_value(
    out: &mut Vec<u8>,
    view: &EventView<'_>,
    info: &'static EventInfo,
    index: usize,
    param: &'static ParamInfo,
    bytes: &[u8],
    options: &TextOptions,
) -> Option<usize> {
    match param.ty {
        ParamType::FsRelPath => push_path_at(out, view, info, index, bytes),
        ParamType::Dyn => {
            let ParamExtra::Dynamic(kinds) = param.extra else { return None };
            let kind = bytes.split_first().and_then(|(&at, rest)| Some((kinds.get(usize::from(at))?, rest)));
            let Some((&(ty, format), rest)) = kind else {
                out.extend_from_slice(b"INVALID DYNAMIC PARAMETER");
                return None;
            };
            push_typed(out, view, ty, format, ParamExtra::None, rest, options)
        }
        ty => push_typed(out, view, ty, param.format, param.extra, bytes, options),
    }
}

/// Appends a value of any type but those that need the event's other parameters.
fn push_typed(
    out: &mut Vec<u8>,
    view: &EventView<'_>,
    ty: ParamType,
    format: ParamFormat,
    extra: ParamExtra,
    bytes: &[u8],
    options: &TextOptions,
) -> Option<usize> {
    use ParamType as T;
    match ty {
        T::ByteBuf => push_buffer(out, bytes, options.buffer, options.cut_buffers),
        T::CharBuf if bytes.is_empty() => out.extend_from_slice(ABSENT),
        T::CharBuf => push_printable(out, until_nul(bytes)),
        T::FsPath => return push_path(out, view, bytes),
        T::SockAddr => push_sockaddr(out, bytes, view.ports()),
        T::SockTuple => push_tuple(out, bytes, view.ports()),
        T::FdList => push_fd_list(out, view, bytes),
        T::SigSet => push_signal_set(out, bytes),
        T::CharBufArray => push_dotted(out, bytes.strip_suffix(&[0]).unwrap_or(bytes)),
        T::Ipv4Addr | T::Ipv6Addr | T::IpAddr => push_address(out, bytes),
        T::Double => match <[u8; 8]>::try_from(bytes) {
            Ok(bits) => general(out, f64::from_le_bytes(bits)),
            Err(_) => out.extend_from_slice(ABSENT),
        },
        // Types of filter constants; they do not occur in files.
        T::None | T::CharBufPairArray | T::Ipv4Net | T::Ipv6Net | T::IpNet | T::FsRelPath | T::Dyn => {
            push_dotted(out, bytes);
        }
        _ => return push_number(out, view, ty, format, extra, bytes, options),
    }
    None
}

/// Appends a value that is stored as a number; one of a wrong size is absent.
fn push_number(
    out: &mut Vec<u8>,
    view: &EventView<'_>,
    ty: ParamType,
    format: ParamFormat,
    extra: ParamExtra,
    bytes: &[u8],
    options: &TextOptions,
) -> Option<usize> {
    use ParamType as T;
    let (Some(signed), Some(unsigned)) = (read_int(bytes), read_uint(bytes)) else {
        out.extend_from_slice(ABSENT);
        return None;
    };
    match ty {
        T::Fd | T::Fd32 => return push_fd(out, view, signed),
        T::Errno => {
            dec_i64(out, signed);
            return if signed < 0 { push_errno(out, signed) } else { None };
        }
        T::Pid | T::Pid32 => {
            dec_i64(out, signed);
            return push_comm(out, view, signed);
        }
        T::Uid | T::Gid => return push_id(out, view, ty, unsigned as u32),
        T::Flags8 | T::Flags16 | T::Flags32 => {
            dec_u64(out, unsigned);
            return names(out, extra, unsigned as u32);
        }
        T::EnumFlags8 | T::EnumFlags16 | T::EnumFlags32 => {
            dec_u64(out, unsigned);
            return enum_name(out, extra, unsigned as u32);
        }
        T::Mode => {
            octal(out, unsigned);
            return names(out, extra, unsigned as u32);
        }
        T::SigType => {
            dec_u64(out, unsigned);
            return push_paren(out, signal_name(unsigned as u32)?.as_bytes());
        }
        T::SyscallId => {
            dec_u64(out, unsigned);
            return push_paren(out, ppm_sc_name(unsigned as u16)?.as_bytes());
        }
        T::RelTime => return push_duration(out, unsigned),
        T::AbsTime => push_datetime(out, &options.zone, unsigned, Fraction::Ns),
        T::Bool => out.extend_from_slice(if unsigned != 0 { b"true" } else { b"false" }),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => match format {
            ParamFormat::Hex => hex_upper(out, unsigned),
            ParamFormat::Oct => octal(out, unsigned),
            ParamFormat::Dec | ParamFormat::Na => dec_i64(out, signed),
        },
        _ => match format {
            ParamFormat::Hex => hex_upper(out, unsigned),
            ParamFormat::Oct => octal(out, unsigned),
            // 64-bit numbers print as signed ones: the table calls offsets and limits, which may
            // be negative, unsigned.
            ParamFormat::Dec | ParamFormat::Na if ty == T::Uint64 => dec_i64(out, signed),
            ParamFormat::Dec | ParamFormat::Na => dec_u64(out, unsigned),
        },
    }
    None
}

#[inline]
fn names(out: &mut Vec<u8>, extra: ParamExtra, value: u32) -> Option<usize> {
    let ParamExtra::Flags(table) = extra else { return None };
    push_flag_names(out, table.entries(), value)
}

fn enum_name(out: &mut Vec<u8>, extra: ParamExtra, value: u32) -> Option<usize> {
    let ParamExtra::Flags(table) = extra else { return None };
    let &(name, _) = table.entries().iter().find(|&&(_, v)| v == value)?;
    push_paren(out, name.as_bytes())
}

#[inline]
fn push_comm(out: &mut Vec<u8>, view: &EventView<'_>, tid: i64) -> Option<usize> {
    let thread = view.machine.thread(tid)?;
    let paren = out.len();
    out.push(b'(');
    push_printable(out, &thread.comm);
    out.push(b')');
    Some(paren)
}

/// A user or group id with its name; all ones stand for "unchanged" or "none".
fn push_id(out: &mut Vec<u8>, view: &EventView<'_>, ty: ParamType, id: u32) -> Option<usize> {
    if id == u32::MAX {
        out.extend_from_slice(b"-1");
        return push_paren(out, b"<NONE>");
    }
    dec_u64(out, u64::from(id));
    let users = &view.machine.users;
    let name = match ty {
        ParamType::Uid => users.user(id).map(|u| &u.name),
        _ => users.group(id).map(|g| &g.name),
    };
    let paren = out.len();
    out.push(b'(');
    push_visible(out, name.map_or(ABSENT, |n| n));
    out.push(b')');
    Some(paren)
}

fn push_duration(out: &mut Vec<u8>, ns: u64) -> Option<usize> {
    if ns == u64::MAX {
        out.extend_from_slice(b"none");
        return None;
    }
    dec_u64(out, ns);
    let paren = out.len();
    out.push(b'(');
    seconds(out, ns);
    out.extend_from_slice(b"s)");
    Some(paren)
}

/// The names of the signals in a mask, separated by blanks. Nothing for a mask that is not there.
fn push_signal_set(out: &mut Vec<u8>, bytes: &[u8]) {
    let mask = read_uint(bytes).unwrap_or(0) as u32;
    let start = out.len();
    for bit in (0..32).filter(|bit| mask >> bit & 1 != 0) {
        if let Some(name) = signal_name(bit + 1) {
            if out.len() != start {
                out.push(b' ');
            }
            out.extend_from_slice(name.as_bytes());
        }
    }
}

fn push_address(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        push_v4(out, v4.into());
    } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        push_v6(out, v6.into());
    } else {
        out.extend_from_slice(ABSENT);
    }
}
