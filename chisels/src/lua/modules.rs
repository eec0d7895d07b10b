//! `require`, and the functions that load other code: text only, from the folders of chisels.

use super::access::{self, Access};
use super::failure::{raise, text};
use super::host::Host;
use mlua::chunk::ChunkMode;
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};
use std::path::Path;
use std::rc::Rc;

/// No Lua file of a chisel is longer.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// Sets `package`, `require`, `load`, `loadstring`, `loadfile` and `dofile`.
pub(super) fn install(lua: &Lua, host: &Rc<Host>) -> mlua::Result<()> {
    let globals = lua.globals();
    let package = lua.create_table()?;
    let loaded = lua.create_table()?;
    for name in ["string", "table", "math", "bit", "coroutine", "io", "os", "debug"] {
        loaded.set(name, globals.get::<Value>(name)?)?;
    }
    loaded.set("_G", globals.clone())?;
    package.set("loaded", loaded.clone())?;
    package.set("preload", lua.create_table()?)?;
    package.set("path", search_path(host))?;
    package.set("cpath", "")?;
    package.set("config", "/\n;\n?\n!\n-\n")?;
    loaded.set("package", package.clone())?;
    globals.set("package", package)?;
    globals.set("require", lua.create_function(require)?)?;
    globals.set("load", lua.create_function(load)?)?;
    globals.set("loadstring", lua.create_function(load)?)?;
    let h = host.clone();
    globals.set(
        "loadfile",
        lua.create_function(move |lua, path: String| {
            let source = readable(&h, &path)?;
            compiled(lua, &source, &format!("@{path}"))
        })?,
    )?;
    let h = host.clone();
    globals.set(
        "dofile",
        lua.create_function(move |lua, path: String| {
            let source = readable(&h, &path)?;
            lua.load(source).set_name(format!("@{path}")).set_mode(ChunkMode::Text).call::<MultiValue>(())
        })?,
    )
}

fn search_path(host: &Host) -> String {
    let template = |folder: &std::path::PathBuf| match folder.to_str() {
        Some(".") => "?.lua".to_owned(),
        _ => format!("{}/?.lua", folder.display()),
    };
    host.folders.iter().map(template).collect::<Vec<_>>().join(";")
}

/// `require(name)`: what was loaded before, a preloaded loader, or the first file of `package.path`.
fn require(lua: &Lua, name: LuaString) -> mlua::Result<Value> {
    let package: Table = lua.globals().get("package")?;
    let loaded: Table = package.get("loaded")?;
    let known: Value = loaded.get(&name)?;
    if !known.is_nil() {
        return Ok(known);
    }
    let preload: Table = package.get("preload")?;
    let loader = match preload.get::<Value>(&name)? {
        Value::Function(loader) => loader,
        _ => file_loader(lua, &package, &name.to_string_lossy())?,
    };
    let result: Value = loader.call(&name)?;
    let set: Value = loaded.get(&name)?;
    let result = match (result, set) {
        (Value::Nil, Value::Nil) => Value::Boolean(true),
        (Value::Nil, set) => set,
        (result, _) => result,
    };
    loaded.set(&name, result.clone())?;
    Ok(result)
}

fn file_loader(lua: &Lua, package: &Table, name: &str) -> mlua::Result<Function> {
    let path: String = package.get("path")?;
    let name_as_path = name.replace('.', "/");
    let mut tried = String::new();
    for template in path.split(';').filter(|t| !t.is_empty()) {
        let file = template.replace('?', &name_as_path);
        if !Path::new(&file).is_file() {
            tried.push_str(&format!("\n\tno file '{file}'"));
            continue;
        }
        return match read(&file) {
            Ok(source) => {
                lua.load(source).set_name(format!("@{file}")).set_mode(ChunkMode::Text).into_function()
            }
            Err(error) => raise(format!("{file}: {error}")),
        };
    }
    raise(format!("module '{name}' not found:{tried}"))
}

/// The source of a Lua file.
pub(super) fn read(path: &str) -> std::io::Result<Vec<u8>> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_MAX_BYTES {
        return Err(std::io::Error::other(format!("{length} bytes are too many for a Lua file")));
    }
    std::fs::read(path)
}

fn readable(host: &Host, path: &str) -> mlua::Result<Vec<u8>> {
    if let Err(reason) = access::check(host, path, Access::Read) {
        return raise(reason);
    }
    read(path).or_else(|error| raise(format!("{path}: {error}")))
}

/// `load` and `loadstring`: a function, or nil and why not.
fn load(lua: &Lua, (source, name): (Value, Option<String>)) -> mlua::Result<MultiValue> {
    let mut text = Vec::new();
    match source {
        Value::String(source) => text.extend_from_slice(&source.as_bytes()),
        // Pieces until there is none.
        Value::Function(pieces) => {
            while let Value::String(piece) = pieces.call::<Value>(())? {
                if piece.as_bytes().is_empty() {
                    break;
                }
                text.extend_from_slice(&piece.as_bytes());
                if text.len() as u64 > FILE_MAX_BYTES {
                    return raise("the source is too long");
                }
            }
        }
        other => {
            return raise(format!("bad argument #1 to 'load' (string expected, got {})", other.type_name()));
        }
    }
    let name = name.unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned());
    compiled(lua, &text, &name)
}

fn compiled(lua: &Lua, source: &[u8], name: &str) -> mlua::Result<MultiValue> {
    // A name with NUL cannot be handed over.
    let name = name.replace('\0', "");
    match lua.load(source).set_name(name).set_mode(ChunkMode::Text).into_function() {
        Ok(function) => function.into_lua_multi(lua),
        Err(error) => (Value::Nil, text(&error)).into_lua_multi(lua),
    }
}
