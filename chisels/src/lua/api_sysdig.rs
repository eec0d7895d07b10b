//! The table `sysdig`.

use super::current;
use super::failure::raise;
use super::host::{Host, Seen};
use super::tables;
use capture_engine::render::BufferFormat;
use mlua::{FromLuaMulti, IntoLuaMulti, Lua, LuaString, Table, Value};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

/// Names of buffer formats, as `sysdig.set_output_format` takes them.
const FORMATS: &[(&str, BufferFormat)] = &[
    ("normal", BufferFormat::Dotted),
    ("json", BufferFormat::Dotted),
    ("simple", BufferFormat::Dotted),
    ("hex", BufferFormat::Hex),
    ("hexascii", BufferFormat::HexAscii),
    ("ascii", BufferFormat::Ascii),
    ("base64", BufferFormat::Base64),
    ("jsonbase64", BufferFormat::Base64),
];

/// A table under construction, with the host for its functions.
struct Builder<'a> {
    lua: &'a Lua,
    host: &'a Rc<Host>,
    table: Table,
}

impl Builder<'_> {
    fn add<A, R>(
        &self,
        name: &str,
        function: impl Fn(&Lua, &Host, A) -> mlua::Result<R> + 'static,
    ) -> mlua::Result<()>
    where
        A: FromLuaMulti,
        R: IntoLuaMulti,
    {
        let host = self.host.clone();
        self.table.set(name, self.lua.create_function(move |lua, args: A| function(lua, &host, args))?)
    }
}

/// The table `sysdig`.
pub(super) fn sysdig(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
    let builder = Builder { lua, host, table: lua.create_table()? };
    session(&builder)?;
    times(&builder)?;
    state(&builder)?;
    network(&builder)?;
    Ok(builder.table)
}

/// What concerns the run and its output.
fn session(b: &Builder<'_>) -> mlua::Result<()> {
    b.add("set_filter", |_, host, text: String| {
        let filter = host.compile_filter(&text)?;
        host.ask(|r| r.global_filter = Some(filter));
        Ok(())
    })?;
    b.add("get_filter", |_, host, ()| Ok(host.settings.borrow().filter.clone()))?;
    b.add("set_snaplen", |_, host, bytes: f64| {
        if !(0.0..=65_000.0).contains(&bytes) {
            return raise(format!("set_snaplen({bytes}): a number of bytes from 0 to 65000"));
        }
        host.ask(|r| r.snaplen = Some(bytes as u32));
        Ok(())
    })?;
    b.add("set_output_format", |_, host, name: String| {
        let Some((_, format)) = FORMATS.iter().find(|(known, _)| *known == name) else {
            return raise(format!("invalid set_output_format value in chisel {}: {name}", host.name));
        };
        host.set_buffers(*format);
        Ok(())
    })?;
    b.add("get_output_format", |_, host, ()| {
        let settings = host.settings.borrow();
        Ok(if settings.json && settings.buffers.is_none() { "json" } else { "normal" })
    })?;
    // Written files always keep what replay needs.
    b.add("set_fatfile_dump_mode", |_, _, _on: bool| Ok(()))?;
    b.add("is_live", |_, host, ()| Ok(host.input.borrow().live))?;
    b.add("is_tty", |_, host, ()| Ok(host.settings.borrow().terminal.is_some()))?;
    b.add("get_terminal_info", |lua, host, ()| {
        let (width, height) =
            host.settings.borrow().terminal.map_or((-1, -1), |(w, h)| (i32::from(w), i32::from(h)));
        lua.create_table_from([("width", width), ("height", height)])
    })?;
    b.add("is_print_container_data", |_, host, ()| Ok(host.settings.borrow().container_data))?;
    b.add("run_app", |_, host, words: String| {
        host.ask(|r| r.rerun = Some(words));
        Ok(())
    })?;
    b.add("end_capture", |_, host, ()| {
        host.ask(|r| r.ended = true);
        Ok(())
    })?;
    b.add("log", |_, _, (message, severity): (String, String)| {
        if !["debug", "info", "warning", "error", "critical"].contains(&&*severity) {
            return raise(format!("log(): {severity:?} is no severity"));
        }
        eprintln!("{severity}: {message}");
        Ok(())
    })
}

fn times(b: &Builder<'_>) -> mlua::Result<()> {
    b.add("get_evtsource_name", |_, host, ()| Ok(host.input.borrow().name.clone()))?;
    b.add("get_read_progress", |_, host, ()| Ok(host.progress_percent.get()))?;
    type Moment = fn(Seen) -> u64;
    let moments: [(&str, Moment); 2] =
        [("get_firstevent_ts", |s| s.first_ts_ns), ("get_lastevent_ts", |s| s.last_ts_ns)];
    for (name, moment) in moments {
        b.add(name, move |_, host, ()| Ok(moment(host.seen.get()).to_string()))?;
    }
    b.add("make_ts", |_, _, (s, ns): (f64, f64)| {
        Ok((s as u64).wrapping_mul(1_000_000_000).wrapping_add(ns as u64).to_string())
    })?;
    b.add("add_ts", |_, _, (left, right): (LuaString, LuaString)| {
        Ok(decimal(&left)?.wrapping_add(decimal(&right)?).to_string())
    })?;
    b.add("subtract_ts", |_, _, (left, right): (LuaString, LuaString)| {
        Ok(decimal(&left)?.wrapping_sub(decimal(&right)?).to_string())
    })
}

/// A time as decimal text.
fn decimal(text: &LuaString) -> mlua::Result<u64> {
    let text = text.to_string_lossy();
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => raise(format!("{text:?} is no time in nanoseconds")),
    }
}

/// What is known of the machine.
fn state(b: &Builder<'_>) -> mlua::Result<()> {
    b.add("get_machine_info", |lua, _, ()| {
        current::get(|current| {
            let Some(machine) = current.machine else {
                return raise("sysdig.get_machine_info() has no answer before on_capture_start()");
            };
            let table = lua.create_table()?;
            table.set("num_cpus", machine.info.num_cpus)?;
            table.set("memory_size_bytes", machine.info.memory_bytes as f64)?;
            table.set("max_pid", machine.info.max_pid as f64)?;
            table.set("hostname", lua.create_string(&machine.info.hostname)?)?;
            Ok(table)
        })
    })?;
    for (name, with_fds, is_bare) in [
        ("get_thread_table", true, false),
        ("get_thread_table_nofds", false, false),
        ("get_thread_table_barebone", true, true),
        ("get_thread_table_barebone_nofds", false, true),
    ] {
        b.add(name, move |lua, host, filter: Option<String>| {
            let filter = host.compile_filter(filter.as_deref().unwrap_or_default())?;
            let what = tables::Wanted { with_fds, is_bare };
            current::get(|current| match current.machine {
                Some(machine) => tables::threads(lua, machine, what, filter),
                None => raise(format!("sysdig.{name}() has no answer before on_capture_start()")),
            })
        })?;
    }
    b.add("get_container_table", |lua, _, ()| {
        current::get(|current| match current.machine {
            Some(machine) => tables::containers(lua, machine),
            None => raise("sysdig.get_container_table() has no answer before on_capture_start()"),
        })
    })
}

/// One UDP socket per chisel. Elsewhere than on this machine only when the user allows it: what
/// a chisel sees is private.
fn network(b: &Builder<'_>) -> mlua::Result<()> {
    b.add("udp_setpeername", |lua, host, (address, port): (String, Value)| {
        let Ok(address) = address.parse::<Ipv4Addr>() else {
            return raise(format!("udp_setpeername(): {address:?} is no IPv4 address"));
        };
        let port = lua.coerce_number(port)?.filter(|p| (0.0..=65535.0).contains(p));
        let Some(port) = port else { return raise("udp_setpeername(): the port is no number up to 65535") };
        if !address.is_loopback() && !host.options.unrestricted {
            return raise(format!(
                "udp_setpeername(): {address} is another machine; --lua-unsafe allows chisels to send there"
            ));
        }
        let peer = SocketAddr::new(IpAddr::V4(address), port as u16);
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|s| s.connect(peer).map(|()| s));
        match socket {
            Ok(socket) => {
                host.udp.replace(Some(socket));
                Ok(())
            }
            Err(error) => raise(format!("udp_setpeername({peer}): {error}")),
        }
    })?;
    b.add("udp_send", |_, host, text: LuaString| match &*host.udp.borrow() {
        // Whether somebody listens is not the sender's business.
        Some(socket) => {
            let _ = socket.send(&text.as_bytes());
            Ok(())
        }
        None => raise("udp_send(): call udp_setpeername() before"),
    })
}
