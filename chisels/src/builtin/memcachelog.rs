//! `memcachelog`: the get and set commands of memcached's text protocol, one line for each key.

use crate::api::{ArgSpec, Chisel, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{JsonLine, bad_arg, number_arg};
use crate::state::visible;
use capture_engine::EventView;
use capture_engine::render::Zone;
use capture_engine::render::clock::{Fraction, push_datetime};
use std::io::Write;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "memcachelog",
    "Application",
    "Keys that are read from and written to memcached",
    "Prints the get and set commands that are sent to memcached (port 11211, or a process of that name) with \
     key and size: memcachelog, memcachelog get, memcachelog 'set 1000' for objects of 1000 bytes and more.",
    &ARGS,
);

static ARGS: [ArgSpec; 2] = [
    ArgSpec::optional("method", "string", "get or set, for only one of them"),
    ArgSpec::optional("size", "int", "Bytes that an object must have at least to be shown, for set"),
];

const FILTER: &str = "(fd.sport=11211 or proc.name=memcached) and evt.is_io=true";
/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 4096;
/// Longest key of the protocol.
const KEY_MAX: usize = 250;

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct MemcacheLog {
    method: String,
    size: f64,
    zone: Zone,
    json: bool,
}

impl Chisel for MemcacheLog {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match name {
            "method" if !matches!(value, "get" | "set") => {
                return Err(bad_arg(&META.name, name, format!("{value:?} is neither get nor set")));
            }
            "method" => value.clone_into(&mut self.method),
            _ => self.size = number_arg(&META.name, name, value)?,
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.zone = settings.zone.clone();
        self.json = settings.json;
        control.snaplen = Some(SNAPLEN);
        control.set_filter(&META.name, FILTER)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(data) = event.param("data") else { return Ok(()) };
        for command in commands(data) {
            let is_other = !self.method.is_empty() && self.method.as_bytes() != command.method;
            let is_small = self.method == "set" && (command.bytes as f64) < self.size;
            if is_other || is_small {
                continue;
            }
            let out = &mut control.out;
            if self.json {
                let mut json = JsonLine::begin(out);
                json.uint("evt.rawtime", event.raw.ts_ns).text("method", command.method);
                json.uint("size", command.bytes).text("key", command.key);
                json.end();
                continue;
            }
            push_datetime(out, &self.zone, event.raw.ts_ns, Fraction::Ns);
            out.extend_from_slice(b" method=");
            out.extend_from_slice(&visible(command.method));
            // Writing to a Vec cannot fail.
            let _ = write!(out, " size={}B key=", command.bytes);
            out.extend_from_slice(&visible(command.key));
            out.push(b'\n');
        }
        Ok(())
    }
}

/// A command about one key.
#[derive(Debug, PartialEq, Eq)]
struct Command<'d> {
    method: &'d [u8],
    key: &'d [u8],
    bytes: u64,
}

/// The commands at the beginning of lines; lines of values that are stored are none, since they come
/// behind the line of their command.
fn commands(data: &[u8]) -> Vec<Command<'_>> {
    let mut commands = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, behind) = rest.split_at(end);
        rest = behind;
        let mut words = line.trim_ascii_end().split(|&b| b == b' ').filter(|word| !word.is_empty());
        let method = words.next().unwrap_or_default();
        match method {
            b"get" | b"gets" => {
                let keys = words.filter(|key| key.len() <= KEY_MAX);
                commands.extend(keys.map(|key| Command { method: b"get", key, bytes: 0 }));
            }
            b"set" => {
                let Some(key) = words.next().filter(|key| key.len() <= KEY_MAX) else { return commands };
                let bytes = words.nth(2).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                let bytes: u64 = bytes.unwrap_or(0);
                commands.push(Command { method: b"set", key, bytes });
                let value = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(2);
                rest = rest.get(value..).unwrap_or_default();
            }
            _ => return commands,
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_apart() {
        let show = |data: &'static [u8]| -> Vec<String> {
            let text = |c: Command<'_>| {
                let (method, key) = (String::from_utf8_lossy(c.method), String::from_utf8_lossy(c.key));
                format!("{method} {key} {}", c.bytes)
            };
            commands(data).into_iter().map(text).collect()
        };
        assert_eq!(show(b"get a b\r\n"), ["get a 0", "get b 0"]);
        assert_eq!(
            show(b"set k 0 60 5\r\nget x\r\nget y\r\n"),
            ["set k 5", "get y 0"],
            "a value is no command"
        );
        assert_eq!(show(b"set k 0 60 18446744073709551615\r\nx"), ["set k 18446744073709551615"]);
        assert_eq!(show(b"VALUE k 0 5\r\nhello\r\nEND\r\n"), [""; 0]);
        assert_eq!(show(b"settle down\r\n"), [""; 0]);
        assert_eq!(show(b"set"), [""; 0]);
        assert_eq!(show(b""), [""; 0]);
    }
}
