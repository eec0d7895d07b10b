//! Threads, their fds, and containers as Lua tables.

use capture_common::Batch;
use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::snapshot::{FdType, L4Proto};
use capture_engine::fields::fd_type_name;
use capture_engine::render::address::push_ip;
use capture_engine::render::fd::push_fd_name;
use capture_engine::render::text::push_visible;
use capture_engine::state::cgroups::{ContainerKind, locate};
use capture_engine::{Endpoint, EventFilter, EventView, FdInfo, Machine, Role, Thread};
use mlua::{Lua, LuaString, Table};
use std::collections::HashSet;

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
    mut filter: Option<EventFilter>,
) -> mlua::Result<Table> {
    let result = lua.create_table()?;
    let mut batch = Batch::new();
    for thread in machine.threads.iter() {
        batch.clear();
        let head = EventHead { ts_ns: 0, tid: thread.tid, cpu: 0, code: code::SYSCALL_READ_X, flags: 0 };
        batch.encode(head, 0).finish();
        let Some(raw) = batch.get(0) else { continue };
        let fds = lua.create_table()?;
        let mut matching = 0;
        if wanted.with_fds || filter.is_some() {
            for (number, fd) in machine.fd_table_of(thread).iter() {
                let view = EventView::about_fd(machine, raw, number);
                if filter.as_mut().is_some_and(|filter| !filter.matches(&view)) {
                    continue;
                }
                matching += 1;
                if wanted.with_fds {
                    fds.set(number as f64, fd_entry(lua, fd, wanted.is_bare)?)?;
                }
            }
        }
        if filter.is_some() && matching == 0 {
            continue;
        }
        let entry = thread_entry(lua, machine, thread, wanted.is_bare)?;
        entry.set("fdtable", fds)?;
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
        ("fdlimit", fd_limit(machine, thread)),
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
    let user = machine.users.user(thread.uid).map_or(&b"<NA>"[..], |user| &user.name);
    entry.set("username", visible(lua, user)?)?;
    entry.set("args", list(lua, thread.args())?)?;
    entry.set("env", list(lua, machine.main_thread(thread).env())?)?;
    Ok(entry)
}

fn fd_limit(machine: &Machine, thread: &Thread) -> i64 {
    machine.main_thread(thread).fdlimit
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
        entry.set("l4proto", protocol(fd.sock.l4proto))?;
    }
    Ok(entry)
}

fn set_end(lua: &Lua, entry: &Table, ip: &str, port: &str, end: Endpoint) -> mlua::Result<()> {
    let mut text = Vec::new();
    push_ip(&mut text, end.ip);
    entry.set(ip, lua.create_string(&text)?)?;
    entry.set(port, f64::from(end.port))
}

fn protocol(protocol: L4Proto) -> &'static str {
    match protocol {
        L4Proto::Tcp => "tcp",
        L4Proto::Udp => "udp",
        L4Proto::Icmp => "icmp",
        L4Proto::Raw => "raw",
        L4Proto::Unknown | L4Proto::Na => "<NA>",
    }
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
    let mut clean = Vec::with_capacity(text.len());
    push_visible(&mut clean, text);
    lua.create_string(&clean)
}

/// All containers, in no particular order: those of which metadata came, and those that are known
/// by the control groups of a thread only.
pub(super) fn containers(lua: &Lua, machine: &Machine) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for container in machine.containers.iter() {
        let kind = container.kind.map_or("unknown", ContainerKind::name);
        table.push(container_entry(lua, [&container.id, &container.name, &container.image], kind)?)?;
    }
    let mut seen = HashSet::new();
    for thread in machine.threads.iter() {
        let id = &thread.container_id;
        if id.is_empty() || machine.containers.get(id).is_some() || !seen.insert(id.clone()) {
            continue;
        }
        let kind = locate(&thread.cgroups_raw).map_or("unknown", |found| found.kind.name());
        table.push(container_entry(lua, [id, b"", b""], kind)?)?;
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
