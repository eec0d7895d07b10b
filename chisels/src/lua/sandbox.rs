//! A fresh Lua state for one chisel: the libraries that chisels rely on, without what could harm
//! the machine or the program.
//!
//! Off for all: `ffi`, the compiler's and the debug library, byte code, `newproxy`, whose finalizers
//! no limit reaches. `io` and `os` are our own, see [`super::io`] and [`super::os`]. Of `debug` the
//! two harmless functions stay, since modules ask for them.

use super::host::Host;
use super::{api_chisel, api_sysdig, io, modules, os};
use mlua::{Lua, LuaOptions as StateOptions, StdLib, Value, Variadic};
use std::rc::Rc;

/// Makes the state.
pub(super) fn create(host: &Rc<Host>) -> mlua::Result<Lua> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::BIT | StdLib::OS;
    let lua = Lua::new_with(libraries, StateOptions::default())?;
    let globals = lua.globals();
    for name in ["newproxy", "jit", "ffi", "debug", "io", "gcinfo"] {
        globals.raw_remove(name)?;
    }
    globals.get::<mlua::Table>("string")?.raw_remove("dump")?;
    os::install(&lua, host)?;
    io::install(&lua, host)?;
    let debug = lua.create_table()?;
    debug.set("getmetatable", globals.get::<Value>("getmetatable")?)?;
    debug.set(
        "traceback",
        lua.create_function(|lua, message: Option<String>| lua.traceback(message.as_deref(), 1))?,
    )?;
    globals.set("debug", debug)?;
    globals.set("print", print(&lua, host)?)?;
    globals.set("chisel", api_chisel::chisel(&lua, host)?)?;
    globals.set("evt", api_chisel::evt(&lua, host)?)?;
    globals.set("sysdig", api_sysdig::sysdig(&lua, host)?)?;
    modules::install(&lua, host)?;
    Ok(lua)
}

fn print(lua: &Lua, host: &Rc<Host>) -> mlua::Result<mlua::Function> {
    let host = host.clone();
    lua.create_function(move |lua, values: Variadic<Value>| {
        let mut line = Vec::with_capacity(80);
        for (i, value) in values.iter().enumerate() {
            if i != 0 {
                line.push(b'\t');
            }
            push_text(lua, &mut line, value)?;
        }
        line.push(b'\n');
        host.write(&line)
    })
}

/// Appends a value as `tostring` shows it.
pub(super) fn push_text(lua: &Lua, out: &mut Vec<u8>, value: &Value) -> mlua::Result<()> {
    match value {
        Value::String(text) => out.extend_from_slice(&text.as_bytes()),
        Value::Nil => out.extend_from_slice(b"nil"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(_) | Value::Number(_) => {
            if let Some(text) = lua.coerce_string(value.clone())? {
                out.extend_from_slice(&text.as_bytes());
            }
        }
        other => {
            let tostring: mlua::Function = lua.globals().get("tostring")?;
            let text: mlua::LuaString = tostring.call(other)?;
            out.extend_from_slice(&text.as_bytes());
        }
    }
    Ok(())
}
