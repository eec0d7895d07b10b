//! The tables `chisel` and `evt`.

use super::current;
use super::failure::raise;
use super::host::Host;
use crate::api::Handover;
use crate::control::Interval;
use capture_engine::EventView;
use capture_engine::format::{self, FormatOptions, Formatter};
use capture_engine::render::event_name;
use mlua::{LightUserData, Lua, Table, Value, Variadic};
use std::rc::Rc;

const NS_PER_S: u64 = 1_000_000_000;

/// The table `chisel`.
pub(super) fn chisel(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let h = host.clone();
    table.set(
        "request_field",
        lua.create_function(move |_, name: String| {
            let number = h.request_field(&name)?;
            Ok(LightUserData(std::ptr::without_provenance_mut(number)))
        })?,
    )?;
    let h = host.clone();
    table.set(
        "set_filter",
        lua.create_function(move |_, text: String| {
            let filter = h.compile_filter(&text)?;
            h.ask(|r| r.filter = Some(filter));
            Ok(())
        })?,
    )?;
    let h = host.clone();
    table.set(
        "set_event_formatter",
        lua.create_function(move |_, text: String| {
            let formatter = formatter(&h, &text)?;
            h.ask(|r| r.formatter = Some(formatter));
            Ok(())
        })?,
    )?;
    type Length = fn(f64) -> Interval;
    let intervals: [(&str, Length); 3] = [
        ("set_interval_s", |n| Interval::Sample((n as u64).saturating_mul(NS_PER_S))),
        ("set_interval_ns", |n| Interval::Sample(n as u64)),
        ("set_precise_interval_ns", |n| Interval::Grid(n as u64)),
    ];
    for (name, interval) in intervals {
        let h = host.clone();
        let set = move |_: &Lua, length: f64| {
            if length.is_nan() || length < 0.0 {
                return raise("an interval is a positive number");
            }
            let wanted = interval(length);
            h.ask(|r| {
                // A plain interval stays in force against a precise one.
                if !matches!((r.interval, wanted), (Some(Interval::Sample(_)), Interval::Grid(_))) {
                    r.interval = Some(wanted);
                }
            });
            Ok(())
        };
        table.set(name, lua.create_function(set)?)?;
    }
    let h = host.clone();
    table.set(
        "exec",
        lua.create_function(move |lua, (name, args): (String, Variadic<Value>)| {
            let mut values = Vec::new();
            // The list ends at the first nil.
            for arg in args.into_iter().take_while(|arg| !arg.is_nil()) {
                match lua.coerce_string(arg.clone())? {
                    Some(text) => values.push(text.to_string_lossy()),
                    None => return raise(format!("chisel.exec(): an argument is a {}", arg.type_name())),
                }
            }
            h.ask(|r| r.handover = Some(Handover { name, values }));
            Ok(())
        })?,
    )?;
    Ok(table)
}

fn formatter(host: &Host, text: &str) -> mlua::Result<Formatter> {
    const DEFAULT: &str =
        "*%evt.num %evt.time %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type %evt.args";
    let text = if matches!(text, "" | "default") { DEFAULT } else { text };
    let options = FormatOptions {
        text: host.text.borrow().clone(),
        json: host.settings.borrow().json,
        time: format::TimeForm::default(),
    };
    match Formatter::new(text, options) {
        Ok(formatter) => Ok(formatter),
        Err(error) => raise(format!("invalid format in chisel {}: {error}", host.name)),
    }
}

/// The table `evt`.
pub(super) fn evt(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let h = host.clone();
    table.set(
        "field",
        lua.create_function(move |lua, handle: Value| match handle {
            Value::LightUserData(handle) => h.field(lua, handle.0.addr()),
            // Some of the old chisels ask so, and expect nothing.
            Value::Nil | Value::Number(_) | Value::Integer(_) => Ok(Value::Nil),
            other => raise(format!("evt.field() takes a field, not a {}", other.type_name())),
        })?,
    )?;
    table.set("get_num", lua.create_function(|_, ()| event("get_num", |v| v.applied.num as f64))?)?;
    table.set("get_cpuid", lua.create_function(|_, ()| event("get_cpuid", |v| f64::from(v.raw.cpu)))?)?;
    table.set("get_type", lua.create_function(|_, ()| event("get_type", event_name))?)?;
    let split = |v: &EventView<'_>| ((v.raw.ts_ns / NS_PER_S) as f64, (v.raw.ts_ns % NS_PER_S) as f64);
    table.set("get_ts", lua.create_function(move |_, ()| event("get_ts", split))?)?;
    Ok(table)
}

/// Something of the current event.
fn event<R>(function: &str, look: impl FnOnce(&EventView<'_>) -> R) -> mlua::Result<R> {
    current::get(|current| match current.view {
        Some(view) => Ok(look(view)),
        None => raise(format!("invalid call to evt.{function}(): there is no event yet")),
    })
}
