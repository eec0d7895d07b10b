//! `fd.*` fields that look beyond the one fd: host names, all types of the process, layers, changes.

use super::fd::{fd, type_name};
use super::proc::flag;
use super::{Ctx, Field, gone, value};
use filter_lang::FieldType::{Bool, Str};
use filter_lang::{ArgRule, Arity, Value};

/// Stored flags of files on an overlay (`file_flags` of the event table).
const UPPER_LAYER: u32 = 1 << 15;
const LOWER_LAYER: u32 = 1 << 16;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("fd.name_changed", Bool, "whether the event gave the fd its name or another one, as connect and messages do", "fd.name_changed=true",
        |c| { fd(c)?; flag(c.view.applied.fd_renamed) }),
    gone("fd.cip.name", Str, "host name of the client; captures hold no names of addresses and none are asked for, so there is no value", "fd.cip.name=db.example.com"),
    gone("fd.sip.name", Str, "host name of the server, as fd.cip.name", "fd.sip.name=db.example.com"),
    gone("fd.lip.name", Str, "host name of the near side, as fd.cip.name", "fd.lip.name=db.example.com"),
    gone("fd.rip.name", Str, "host name of the far side, as fd.cip.name", "fd.rip.name=db.example.com"),
    value("fd.types", Str, "types of all open fds of the process, each once; fd.types[0] is the type of that fd", "fd.types intersects (ipv4, ipv6)",
        types).arg(ArgRule::Optional).arity(Arity::List),
    value("fd.is_upper_layer", Bool, "whether the file is on the upper, writable layer of a container's file system", "fd.is_upper_layer=true",
        |c| flag(fd(c)?.open_flags & UPPER_LAYER != 0)),
    value("fd.is_lower_layer", Bool, "whether the file is on a lower layer of a container's file system", "fd.is_lower_layer=true",
        |c| flag(fd(c)?.open_flags & LOWER_LAYER != 0)),
];

fn types<'a>(c: &Ctx<'a>) -> Option<Value<'a>> {
    if let Some(number) = c.arg {
        let ty = c.view.fd_numbered(number.parse().ok()?)?.ty;
        return Some(Value::text(type_name(ty)));
    }
    let mut seen: Vec<&'static str> = Vec::new();
    for (_, fd) in c.view.main_thread()?.fds.iter() {
        let name = type_name(fd.ty);
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    Some(Value::List(c.arena.list(seen.into_iter().map(Value::text))))
}
