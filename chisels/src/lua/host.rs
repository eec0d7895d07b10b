//! [`Host`]: what the functions of the API and the chisel that they belong to share.

use super::current;
use super::failure::raise;
use super::options::LuaOptions;
use crate::api::{Handover, Settings};
use crate::control::{Control, Interval};
use crate::kit::memo::{Depends, Memo};
use capture_engine::fields::Getter;
use capture_engine::format::{Formatter, ResolvedField};
use capture_engine::render::address::push_ip;
use capture_engine::render::buffer::push_buffer;
use capture_engine::render::text::{dot_controls, push_visible};
use capture_engine::render::{BufferFormat, TextOptions};
use capture_engine::{EventFilter, EventView};
use filter_lang::{Arena, Library, Value as FieldValue};
use mlua::{Lua, Value};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;

/// Fields that one chisel may ask for.
const HANDLES_MAX: usize = 4096;
/// Of these the first ones keep values.
const KEEPING_MAX: usize = 64;
/// Text that may wait for the end of a callback.
const WAITING_BYTES: usize = 1 << 20;

/// A field that the chisel asked for.
#[derive(Debug)]
struct Handle {
    field: ResolvedField,
    /// Text goes to the chisel byte by byte as it was recorded.
    is_raw: bool,
    /// A buffer in the form that the user chose, not its bytes.
    is_rendered: bool,
    /// Its values as Lua has them.
    kept: RefCell<Memo<Value>>,
}

/// What the chisel asked for and was not done yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) filter: Option<Option<EventFilter>>,
    pub(super) global_filter: Option<Option<EventFilter>>,
    pub(super) formatter: Option<Formatter>,
    pub(super) interval: Option<Interval>,
    pub(super) handover: Option<Handover>,
    pub(super) snaplen: Option<u32>,
    pub(super) rerun: Option<String>,
    pub(super) ended: bool,
}

/// What is known of the input.
#[derive(Debug, Default)]
pub(super) struct InputInfo {
    pub(super) live: bool,
    pub(super) name: String,
}

/// Times of the events so far, ns since the epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) first_ts_ns: u64,
    pub(super) last_ts_ns: u64,
}

/// Shared by one Lua state and its chisel.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) options: LuaOptions,
    /// Folders of chisels, for modules.
    pub(super) folders: Vec<PathBuf>,
    /// Text for standard output.
    pub(super) out: RefCell<Vec<u8>>,
    pub(super) settings: RefCell<Settings>,
    pub(super) text: RefCell<TextOptions>,
    pub(super) input: RefCell<InputInfo>,
    pub(super) seen: Cell<Seen>,
    pub(super) progress_percent: Cell<f64>,
    /// Exit code with which the chisel ends the program.
    pub(super) exit: Cell<Option<i32>>,
    /// Why its text could not be written.
    pub(super) output_error: RefCell<Option<io::Error>>,
    pub(super) udp: RefCell<Option<UdpSocket>>,
    requests: RefCell<Requests>,
    asked: Cell<bool>,
    handles: RefCell<Vec<Handle>>,
    arena: RefCell<Arena>,
    scratch: RefCell<Vec<u8>>,
}

impl Host {
    /// The host of a chisel before it is loaded.
    pub(super) fn new(name: &str, options: &LuaOptions, folders: &[PathBuf]) -> Host {
        Host { name: name.to_owned(), options: options.clone(), folders: folders.to_vec(), ..Host::default() }
    }

    /// Notes what the chisel asks for.
    pub(super) fn ask(&self, request: impl FnOnce(&mut Requests)) {
        request(&mut self.requests.borrow_mut());
        self.asked.set(true);
    }

    /// Whether something was asked for, once.
    #[inline]
    pub(super) fn take_asked(&self) -> bool {
        self.asked.replace(false)
    }

    /// What it asked for, once.
    pub(super) fn take_requests(&self) -> Requests {
        self.requests.take()
    }

    /// Whether another chisel was asked for.
    pub(super) fn hands_over(&self) -> bool {
        self.requests.borrow().handover.is_some()
    }

    /// Notes what is known of the stream so far.
    #[inline]
    pub(super) fn see(&self, control: &Control) {
        self.seen.set(Seen { first_ts_ns: control.first_ts_ns, last_ts_ns: control.last_ts_ns });
        self.progress_percent.set(control.progress_percent);
    }

    /// Borrows the text that waits on the other side, or gives it back.
    #[inline]
    pub(super) fn swap_out(&self, control: &mut Control) {
        std::mem::swap(&mut *self.out.borrow_mut(), &mut control.out);
    }

    /// Appends to standard output.
    pub(super) fn write(&self, text: &[u8]) -> mlua::Result<()> {
        let mut out = self.out.borrow_mut();
        out.extend_from_slice(text);
        if out.len() >= WAITING_BYTES { self.flush(&mut out) } else { Ok(()) }
    }

    /// Writes out what waits.
    pub(super) fn flush_all(&self) -> mlua::Result<()> {
        self.flush(&mut self.out.borrow_mut())
    }

    fn flush(&self, out: &mut Vec<u8>) -> mlua::Result<()> {
        match self.settings.borrow().sink.write(out) {
            Ok(()) => Ok(()),
            Err(error) => {
                let message = format!("writing to standard output: {error}");
                self.output_error.replace(Some(error));
                raise(message)
            }
        }
    }

    /// Compiles a filter that the chisel gave; empty text is none.
    pub(super) fn compile_filter(&self, text: &str) -> mlua::Result<Option<EventFilter>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        match EventFilter::compile(text, &Library::new()) {
            Ok(filter) => Ok(Some(filter)),
            Err(error) => raise(format!("invalid filter in chisel {}: {error}", self.name)),
        }
    }

    /// Compiles a field; the answer is its number, counted from 1.
    pub(super) fn request_field(&self, name: &str) -> mlua::Result<usize> {
        let field = match capture_engine::format::resolve_field(name) {
            Ok(found) => found,
            Err(error) => {
                return raise(format!("chisel requesting nonexistent field {name}: {error}"));
            }
        };
        let mut handles = self.handles.borrow_mut();
        if handles.len() >= HANDLES_MAX {
            return raise(format!("a chisel may ask for {HANDLES_MAX} fields"));
        }
        let name = field.field.name;
        let depends = Depends::of([&field]).filter(|_| handles.len() < KEEPING_MAX);
        handles.push(Handle {
            field,
            is_raw: name == "evt.rawarg",
            is_rendered: name == "evt.buffer",
            kept: RefCell::new(Memo::new(depends)),
        });
        Ok(handles.len())
    }

    /// The value of a field on the current event.
    pub(super) fn field(&self, lua: &Lua, number: usize) -> mlua::Result<Value> {
        let handles = self.handles.borrow();
        let Some(handle) = number.checked_sub(1).and_then(|at| handles.get(at)) else {
            return raise("evt.field() takes what chisel.request_field() answered");
        };
        current::get(|current| {
            let Some(view) = current.view else {
                return raise("invalid call to evt.field(): there is no event yet");
            };
            handle.kept.borrow_mut().try_get_or(view, || self.read(lua, handle, view))
        })
    }

    fn read(&self, lua: &Lua, handle: &Handle, view: &EventView<'_>) -> mlua::Result<Value> {
        let mut arena = self.arena.borrow_mut();
        arena.reset();
        let options = self.text.borrow();
        let ctx = handle.field.ctx(view, &options, &arena);
        let mut text = self.scratch.borrow_mut();
        text.clear();
        let value = match handle.field.field.getter {
            Getter::Value(get) => get(&ctx).unwrap_or(FieldValue::None),
            Getter::Text(write) => {
                if !write(&ctx, &mut text) {
                    return Ok(Value::Nil);
                }
                if !handle.field.field.rendered {
                    dot_controls(&mut text, 0);
                }
                return Ok(Value::String(lua.create_string(&*text)?));
            }
        };
        match push_value(&mut text, value, handle, &options) {
            Pushed::Value(value) => Ok(value),
            Pushed::Text => Ok(Value::String(lua.create_string(&*text)?)),
            Pushed::Raw(bytes) => Ok(Value::String(lua.create_string(bytes)?)),
        }
    }

    /// The form of buffers now in force.
    pub(super) fn set_buffers(&self, format: BufferFormat) {
        let chosen = self.settings.borrow().buffers;
        self.text.borrow_mut().buffer = chosen.unwrap_or(format);
    }
}

/// A field's value on its way to Lua.
enum Pushed<'a> {
    Value(Value),
    /// It stands in the buffer.
    Text,
    Raw(&'a [u8]),
}

/// Numbers are doubles, as all numbers of this Lua are.
fn push_value<'a>(
    text: &mut Vec<u8>,
    value: FieldValue<'a>,
    handle: &Handle,
    options: &TextOptions,
) -> Pushed<'a> {
    match value {
        FieldValue::None | FieldValue::List([]) => return Pushed::Value(Value::Nil),
        FieldValue::Bool(is) => return Pushed::Value(Value::Boolean(is)),
        FieldValue::Int(number) => return Pushed::Value(Value::Number(number as f64)),
        FieldValue::Uint(number) => return Pushed::Value(Value::Number(number as f64)),
        FieldValue::Double(number) => return Pushed::Value(Value::Number(number)),
        FieldValue::Str(bytes) if handle.is_raw => return Pushed::Raw(bytes),
        FieldValue::Str(bytes) => push_visible(text, bytes),
        FieldValue::Bytes(bytes) if handle.is_rendered => {
            push_buffer(text, bytes, options.buffer, options.cut_buffers);
        }
        FieldValue::Bytes(bytes) => return Pushed::Raw(bytes),
        FieldValue::Ip(ip) => push_ip(text, ip),
        FieldValue::List(values) => {
            for (i, &value) in values.iter().enumerate() {
                if i != 0 {
                    text.push(b',');
                }
                match push_value(text, value, handle, options) {
                    Pushed::Raw(bytes) => text.extend_from_slice(bytes),
                    Pushed::Value(Value::Number(number)) => {
                        capture_engine::render::number::general(text, number);
                    }
                    _ => {}
                }
            }
        }
    }
    Pushed::Text
}
