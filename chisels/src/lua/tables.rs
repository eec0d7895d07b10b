//! Threads, their fds, and containers as Lua tables.

use crate::state::{self, ThreadFds};
use capture_common::snapshot::FdType;
use capture_engine::fields::fd_type_name;
use capture_engine::render::address::push_ip;
use capture_engine::render::fd::push_fd_name;
use capture_engine::{Endpoint, EventFilter, FdInfo, Machine, Role, Thread};
use mlua::{Lua, LuaString, Table};

/// Which parts of the table of threads are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The fds of each thread.
    pub(super) with_fds: bool,
    /// Ids only, and fds without names.
    pub(super) is_bare: bool,
}

/// All threads by tid. A filter keeps those that have a matching fd, and of their fds those that
/// match; it is asked about the end of a read from each fd.
pub(super) fn threads(
    lua: &Lua,
    machine: &Machine,
    wanted: Wanted,
    filter: Option<EventFilter>,
) -> mlua::Result<Table> {
    let result = lua.create_table()?;
    for ThreadFds { thread, fds } in state::threads(machine, wanted.with_fds, filter) {
        let table = lua.create_table()?;
        if wanted.with_fds {
            for (number, fd) in fds {
                table.set(number as f64, fd_entry(lua, fd, wanted.is_bare)?)?;
            }
        }
        let entry = thread_entry(lua, machine, thread, wanted.is_bare)?;
        entry.set("fdtable", table)?;
        result.set(thread.tid as f64, entry)?;
    }
    Ok(result)
}

fn thread_entry(lua: &Lua, machine: &Machine, thread: &Thread, is_bare: bool) -> mlua::Result<Table> {
    let entry = lua.create_table()?;
    // As wide as stock hands them over.
    let numbers = [
        ("tid", thread.tid),
        ("pid", thread.pid),
        ("ptid", thread.ptid),
        ("fdlimit", state::fd_limit(machine, thread)),
    ];
    for (name, number) in &numbers[..if is_bare { 2 } else { numbers.len() }] {
        entry.set(*name, f64::from(*number as u32))?;
    }
    if is_bare {
        return Ok(entry);
    }
    let numbers = [
        ("flags", thread.flags),
        ("uid", thread.uid),
        ("gid", thread.gid),
        ("nchilds", thread.nchilds),
        ("vmsize_kb", thread.vm_size_kb),
        ("vmrss_kb", thread.vm_rss_kb),
        ("vmswap_kb", thread.vm_swap_kb),
        ("pfmajor", thread.pfmajor as u32),
        ("pfminor", thread.pfminor as u32),
    ];
    for (name, number) in numbers {
        entry.set(name, f64::from(number))?;
    }
    entry.set("comm", visible(lua, &thread.comm)?)?;
    entry.set("exe", visible(lua, &thread.exe)?)?;
    entry.set("clone_ts", thread.clone_ts_ns.to_string())?;
    entry.set("username", lua.create_string(state::user_name(machine, thread))?)?;
    entry.set("args", list(lua, thread.args())?)?;
    entry.set("env", list(lua, machine.main_thread(thread).env())?)?;
    Ok(entry)
}

fn fd_entry(lua: &Lua, fd: &FdInfo, is_bare: bool) -> mlua::Result<Table> {
    let entry = lua.create_table()?;
    if !is_bare {
        let mut name = Vec::new();
        push_fd_name(&mut name, fd);
        entry.set("name", lua.create_string(&name)?)?;
        entry.set("type", fd_type_name(fd.ty))?;
    }
    let is_connection = matches!(fd.ty, FdType::Ipv4 | FdType::Ipv6);
    let is_listening = matches!(fd.ty, FdType::Ipv4Server | FdType::Ipv6Server);
    if is_connection {
        set_end(lua, &entry, "cip", "cport", fd.sock.source)?;
    }
    if is_connection || is_listening {
        set_end(lua, &entry, "sip", "sport", fd.sock.dest)?;
        entry.set("is_server", is_listening || fd.sock.role == Role::Server)?;
        entry.set("l4proto", state::protocol(fd.sock.l4proto))?;
    }
    Ok(entry)
}

fn set_end(lua: &Lua, entry: &Table, ip: &str, port: &str, end: Endpoint) -> mlua::Result<()> {
    let mut text = Vec::new();
    push_ip(&mut text, end.ip);
    entry.set(ip, lua.create_string(&text)?)?;
    entry.set(port, f64::from(end.port))
}

fn list<'a>(lua: &Lua, items: impl Iterator<Item = &'a [u8]>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for item in items {
        table.push(visible(lua, item)?)?;
    }
    Ok(table)
}

/// Text without what a terminal would obey.
fn visible(lua: &Lua, text: &[u8]) -> mlua::Result<LuaString> {
    lua.create_string(state::visible(text))
}

/// All containers, in no particular order.
pub(super) fn containers(lua: &Lua, machine: &Machine) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for row in state::containers(machine) {
        table.push(container_entry(lua, [row.id, row.name, row.image], row.kind)?)?;
    }
    Ok(table)
}

fn container_entry(lua: &Lua, texts: [&[u8]; 3], kind: &str) -> mlua::Result<Table> {
    let entry = lua.create_table()?;
    for (name, text) in ["id", "name", "image"].into_iter().zip(texts) {
        entry.set(name, visible(lua, text)?)?;
    }
    entry.set("type", kind)?;
    Ok(entry)
}
