//! Fds as listings show them: `3(<4t>10.0.0.1:4000->10.0.0.2:80)`.

use super::flags::push_names;
use super::number::{dec_i64, dec_u64, hex_lower};
use super::path::AT_FDCWD;
use super::text::{push_dotted, push_printable};
use crate::state::fd::FdInfo;
use crate::view::EventView;
use capture_common::event_table::errno_name;

/// Appends an fd number and what it refers to. Answers where the resolved form begins, if there
/// is one.
#[inline]
pub fn push_fd(out: &mut Vec<u8>, view: &EventView<'_>, fd: i64) -> Option<usize> {
    dec_i64(out, fd);
    if fd < 0 {
        return if fd == AT_FDCWD { push_paren(out, b"AT_FDCWD") } else { push_errno(out, fd) };
    }
    let info = view.fd_numbered(fd)?;
    let paren = out.len();
    out.push(b'(');
    push_fd_type(out, info);
    push_fd_name(out, info);
    out.push(b')');
    Some(paren)
}

/// Appends `<4t>`: the type's character and, for IP sockets, the protocol's.
#[inline]
pub fn push_fd_type(out: &mut Vec<u8>, info: &FdInfo) {
    out.push(b'<');
    out.push(info.type_char() as u8);
    if let Some(proto) = info.proto_char() {
        out.push(proto as u8);
    }
    out.push(b'>');
}

/// Appends an fd's name, cleaned: paths show unprintable bytes as dots, others lose them.
#[inline]
pub fn push_fd_name(out: &mut Vec<u8>, info: &FdInfo) {
    if info.is_file() { push_dotted(out, &info.name) } else { push_printable(out, &info.name) }
}

/// Appends the name of an errno (given negative) in parentheses, if it has one.
#[inline]
pub fn push_errno(out: &mut Vec<u8>, negative: i64) -> Option<usize> {
    let number = u32::try_from(negative.unsigned_abs()).ok()?;
    push_paren(out, errno_name(number)?.as_bytes())
}

/// Appends text in parentheses and answers where they begin.
#[inline]
pub fn push_paren(out: &mut Vec<u8>, text: &[u8]) -> Option<usize> {
    let paren = out.len();
    out.push(b'(');
    out.extend_from_slice(text);
    out.push(b')');
    Some(paren)
}

/// Appends the names of flags in parentheses and answers where they begin.
#[inline]
pub fn push_flag_names(out: &mut Vec<u8>, entries: &[(&str, u32)], value: u32) -> Option<usize> {
    let paren = out.len();
    push_names(out, entries, value);
    (out.len() != paren).then_some(paren)
}

/// Appends a list of fds and poll flags (type `FDLIST`): `4:61 5:f4`.
///
/// Entries past the end of the stored bytes are left out.
pub fn push_fd_list(out: &mut Vec<u8>, view: &EventView<'_>, data: &[u8]) {
    const ENTRY_LEN: usize = 10;
    let Some((count, entries)) = data.split_first_chunk() else { return };
    let count = usize::from(u16::from_le_bytes(*count));
    for (i, entry) in entries.chunks_exact(ENTRY_LEN).take(count).enumerate() {
        if i != 0 {
            out.push(b' ');
        }
        let (fd, flags) = entry.split_at(8);
        let fd = i64::from_le_bytes(fd.try_into().unwrap_or_default());
        let flags = i16::from_le_bytes(flags.try_into().unwrap_or_default());
        dec_u64(out, fd as u64);
        out.push(b':');
        out.push(view.fd_numbered(fd).map_or(b'?', |f| f.type_char() as u8));
        // As C prints a short through %x: sign-extended to 32 bits.
        hex_lower(out, u64::from(i32::from(flags) as u32));
    }
}
