//! The library `os`: clock and calendar for all; programs, files and the environment only where the
//! user allows it.

use super::failure::raise;
use super::host::Host;
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::io;
use std::process::{Command, Output};
use std::rc::Rc;

/// Replaces what the library has by what chisels get.
pub(super) fn install(lua: &Lua, host: &Rc<Host>) -> mlua::Result<()> {
    let library: Table = lua.globals().get("os")?;
    let os = lua.create_table()?;
    for name in ["clock", "date", "difftime", "time"] {
        os.set(name, library.get::<Function>(name)?)?;
    }
    let h = host.clone();
    os.set(
        "exit",
        lua.create_function(move |_, code: Value| -> mlua::Result<()> {
            h.exit.set(Some(match code {
                Value::Integer(code) => code as i32,
                Value::Boolean(false) => 1,
                _ => 0,
            }));
            raise("os.exit()")
        })?,
    )?;
    let h = host.clone();
    os.set(
        "execute",
        lua.create_function(move |_, command: Option<String>| {
            let Some(command) = command else { return Ok(i32::from(h.options.unrestricted)) };
            match run_shell(&h, "os.execute", &command)? {
                Ok(output) => {
                    h.write(&output.stdout)?;
                    // As system(3) answers in Lua 5.1: the status of wait(2).
                    Ok(output.status.code().map_or(-1, |code| code << 8))
                }
                Err(_) => Ok(-1),
            }
        })?,
    )?;
    let h = host.clone();
    os.set(
        "getenv",
        lua.create_function(move |_, name: String| {
            allowed(&h, "os.getenv", "look at the environment")?;
            Ok(std::env::var(name).ok())
        })?,
    )?;
    let h = host.clone();
    os.set(
        "remove",
        lua.create_function(move |lua, path: String| {
            allowed(&h, "os.remove", "remove files")?;
            answer(lua, &path, std::fs::remove_file(&path))
        })?,
    )?;
    let h = host.clone();
    os.set(
        "rename",
        lua.create_function(move |lua, (from, to): (String, String)| {
            allowed(&h, "os.rename", "rename files")?;
            answer(lua, &from, std::fs::rename(&from, to))
        })?,
    )?;
    for name in ["tmpname", "setlocale"] {
        let refused = move |_: &Lua, _: MultiValue| -> mlua::Result<()> {
            raise(format!("os.{name}() is not there for chisels"))
        };
        os.set(name, lua.create_function(refused)?)?;
    }
    lua.globals().set("os", os)
}

/// Runs a command as the shell does, where that is allowed. What waits for standard output goes out
/// before.
pub(super) fn run_shell(host: &Host, function: &str, command: &str) -> mlua::Result<io::Result<Output>> {
    allowed(host, function, "run programs")?;
    host.flush_all()?;
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(std::process::Stdio::null()).stderr(std::process::Stdio::inherit());
    Ok(shell.output())
}

fn allowed(host: &Host, function: &str, what: &str) -> mlua::Result<()> {
    if host.options.unrestricted {
        return Ok(());
    }
    raise(format!("{function}(): a chisel may not {what}; --lua-unsafe allows it"))
}

fn answer(lua: &Lua, path: &str, result: io::Result<()>) -> mlua::Result<MultiValue> {
    match result {
        Ok(()) => true.into_lua_multi(lua),
        Err(error) => (Value::Nil, format!("{path}: {error}"), error.raw_os_error()).into_lua_multi(lua),
    }
}
