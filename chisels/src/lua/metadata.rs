//! What a Lua file says of itself in its globals.

use super::failure::text;
use crate::api::{ArgSpec, Meta};
use crate::error::ChiselError;
use mlua::{Lua, Table, Value};
use std::borrow::Cow;
use std::path::Path;

/// Name of the chisel in a file.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    name.strip_suffix(".lua").map_or(name.clone(), str::to_owned)
}

/// Reads the globals of a file that was run.
pub(super) fn read(lua: &Lua, name: &str) -> Result<Meta, ChiselError> {
    let globals = lua.globals();
    let args: Table = globals.get("args").map_err(|_| ChiselError::NoChisel(name.to_owned()))?;
    let specs: Result<Vec<ArgSpec>, String> =
        args.sequence_values::<Table>().map(|arg| spec(&arg.map_err(|e| text(&e))?)).collect();
    let specs = specs.map_err(|reason| ChiselError::Load { name: name.to_owned(), reason })?;
    let owned = |name: &str| Cow::Owned(string(&globals, name).unwrap_or_default());
    Ok(Meta {
        name: Cow::Owned(name.to_owned()),
        category: owned("category"),
        short: owned("short_description"),
        description: owned("description"),
        args: Cow::Owned(specs),
    })
}

/// Whether it is to be listed: it describes itself and does not hide.
pub(super) fn is_listed(lua: &Lua) -> bool {
    let globals = lua.globals();
    let hidden = globals.get::<Value>("hidden").is_ok_and(|v| matches!(v, Value::Boolean(true)));
    let describes =
        ["description", "short_description", "category"].iter().all(|n| string(&globals, n).is_some());
    describes && !hidden
}

fn spec(arg: &Table) -> Result<ArgSpec, String> {
    for pair in arg.pairs::<Value, Value>() {
        let (_, value) = pair.map_err(|e| text(&e))?;
        if !matches!(value, Value::String(_) | Value::Boolean(_)) {
            return Err(format!("args: a {} where text or a boolean is expected", value.type_name()));
        }
    }
    let field = |name: &str| Cow::Owned(string(arg, name).unwrap_or_default());
    let optional = arg.get::<Value>("optional").is_ok_and(|v| matches!(v, Value::Boolean(true)));
    Ok(ArgSpec { name: field("name"), kind: field("argtype"), description: field("description"), optional })
}

fn string(table: &Table, name: &str) -> Option<String> {
    match table.get::<Value>(name) {
        Ok(Value::String(text)) => Some(text.to_string_lossy()),
        _ => None,
    }
}
