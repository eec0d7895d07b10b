//! `fdlist.*` fields: the fds of poll and select.

use super::{Ctx, Field, text};
use crate::render::fd::push_fd_name;
use crate::render::number::{dec_i64, dec_u64};
use crate::state::fd::FdInfo;
use capture_common::ParamType;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    text("fdlist.nums", "numbers of the fds in the list, joined by commas", "fdlist.nums contains 4",
        |c, out| list(c, out, |out, fd, _| { dec_i64(out, fd); true })),
    text("fdlist.names", "names of the fds in the list, <NA> for those without", "fdlist.names contains /dev",
        |c, out| list(c, out, |out, _, info| { push_name(out, info); true })),
    text("fdlist.cips", "addresses of the clients of the sockets in the list", "fdlist.cips contains 10.0.0.1",
        |c, out| list(c, out, |out, _, info| socket(info).map(|i| super::fd::push_end(out, i.sock.source.ip)).is_some())),
    text("fdlist.sips", "addresses of the servers of the sockets in the list", "fdlist.sips contains 10.0.0.1",
        |c, out| list(c, out, |out, _, info| socket(info).map(|i| super::fd::push_end(out, i.sock.dest.ip)).is_some())),
    text("fdlist.cports", "ports of the clients of the sockets in the list", "fdlist.cports contains 40000",
        |c, out| list(c, out, |out, _, info| socket(info).map(|i| dec_u64(out, u64::from(i.sock.source.port))).is_some())),
    text("fdlist.sports", "ports of the servers of the sockets in the list", "fdlist.sports contains 443",
        |c, out| list(c, out, |out, _, info| socket(info).map(|i| dec_u64(out, u64::from(i.sock.dest.port))).is_some())),
];

fn push_name(out: &mut Vec<u8>, info: Option<&FdInfo>) {
    let start = out.len();
    if let Some(info) = info {
        push_fd_name(out, info);
    }
    if out.len() == start {
        out.extend_from_slice(b"<NA>");
    }
}

fn socket(info: Option<&FdInfo>) -> Option<&FdInfo> {
    info.filter(|i| i.is_ip_stream() && !i.sock.dest.is_unset())
}

/// Appends one part per fd of the list, joined by commas; fds without a part are left out.
fn list(c: &Ctx<'_>, out: &mut Vec<u8>, push: fn(&mut Vec<u8>, i64, Option<&FdInfo>) -> bool) -> bool {
    const ENTRY_LEN: usize = 10;
    let Some(info) = c.view.info else { return false };
    let Some(at) = info.params.iter().position(|p| p.ty == ParamType::FdList) else { return false };
    let Some(entries) = c.view.raw.param(at).and_then(|bytes| bytes.get(2..)) else { return false };
    let start = out.len();
    for entry in entries.chunks_exact(ENTRY_LEN) {
        let fd = i64::from_le_bytes(entry[..8].try_into().unwrap_or_default());
        let comma = out.len();
        if comma != start {
            out.push(b',');
        }
        if !push(out, fd, c.view.fd_numbered(fd)) {
            out.truncate(comma);
        }
    }
    out.len() != start
}
