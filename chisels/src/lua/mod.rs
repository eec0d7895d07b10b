//! Chisels written for sysdig in Lua, unmodified: LuaJIT with sysdig's tables `chisel`, `evt` and
//! `sysdig`.
//!
//! [`LuaChisel`] is a [`Chisel`] like any other. Each has a Lua state of its own, made by `sandbox`,
//! with a limit on memory and one on time (`limits`), so that no chisel can bring the program down or
//! keep it from ending.
//!
//! **Invariant:** a file runs with the rights of a guest: it reads events and state, prints, and
//! nothing else, unless the user said `--lua-unsafe`.

mod access;
mod api_chisel;
mod api_sysdig;
mod current;
mod failure;
mod host;
mod io;
mod limits;
mod metadata;
mod modules;
mod options;
mod os;
mod sandbox;
mod tables;

pub use options::LuaOptions;

use crate::api::{Chisel, End, Handover, Input, Meta, Settings, Tick};
use crate::control::Control;
use crate::error::ChiselError;
use capture_engine::EventView;
use capture_engine::format::Formatter;
use capture_engine::render::TextOptions;
use current::Current;
use host::{Host, InputInfo, Seen};
use limits::{Callback, Limits};
use mlua::chunk::ChunkMode;
use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Value};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long a file may take that is only asked what it is.
const DESCRIBE_TIME: Duration = Duration::from_secs(2);
const NS_PER_S: u64 = 1_000_000_000;

/// A chisel from a Lua file.
pub struct LuaChisel {
    // Before the state, so that it ends first.
    on_event: Option<Function>,
    limits: Limits,
    lua: Lua,
    host: Rc<Host>,
    meta: Meta,
    formatter: Option<Formatter>,
}

impl LuaChisel {
    /// Loads a file: runs its text once.
    pub(crate) fn load(path: &Path, folders: &[PathBuf], options: &LuaOptions) -> Result<Self, ChiselError> {
        let name = metadata::name_of(path);
        let source = modules::read(&path.to_string_lossy())
            .map_err(|error| ChiselError::Open { path: path.display().to_string(), error })?;
        let failed = |reason: String| ChiselError::Load { name: name.clone(), reason };
        let host = Rc::new(Host::new(&name, options, folders));
        let prepare = || -> mlua::Result<(Lua, Limits)> {
            let lua = sandbox::create(&host)?;
            let limits = Limits::install(&lua, &name, options)?;
            Ok((lua, limits))
        };
        let (lua, limits) = prepare().map_err(|e| failed(failure::text(&e)))?;
        let meta = Meta::new("", "", "", "", &[]);
        let mut chisel = LuaChisel { on_event: None, limits, lua, host, meta, formatter: None };
        let chunk =
            chisel.lua.load(source).set_name(format!("@{}", path.display())).set_mode(ChunkMode::Text);
        let function = chunk.into_function().map_err(|e| failed(failure::text(&e)))?;
        chisel.call::<()>(Callback::Load, &function, (), Current::default())?;
        chisel.meta = metadata::read(&chisel.lua, &name)?;
        Ok(chisel)
    }

    /// What a file says of itself; `None` where it is no chisel that is to be listed.
    pub(crate) fn describe(path: &Path, folders: &[PathBuf], options: &LuaOptions) -> Option<Meta> {
        let options = LuaOptions { time: Some(DESCRIBE_TIME), ..options.clone() };
        let chisel = Self::load(path, folders, &options).ok()?;
        metadata::is_listed(&chisel.lua).then_some(chisel.meta)
    }

    fn name(&self) -> String {
        self.host.name.clone()
    }

    /// The function of a callback, if the file has one.
    fn function(&self, callback: Callback) -> Option<Function> {
        self.lua.globals().get(callback.name()).ok()
    }

    fn failed(&self, callback: Callback, reason: impl Into<String>) -> ChiselError {
        match callback {
            Callback::Load => ChiselError::Load { name: self.name(), reason: reason.into() },
            _ => {
                ChiselError::Callback { name: self.name(), callback: callback.name(), reason: reason.into() }
            }
        }
    }

    /// Calls a function of the file under its limits.
    fn call<R: FromLuaMulti>(
        &self,
        callback: Callback,
        function: &Function,
        args: impl IntoLuaMulti,
        current: Current<'_>,
    ) -> Result<R, ChiselError> {
        let failed = |error: &mlua::Error| self.failed(callback, failure::text(error));
        self.limits.begin(&self.lua, callback).map_err(|e| failed(&e))?;
        let result = current::with(current, || function.call::<R>(args));
        self.limits.end();
        match result {
            // What was meant to end the program may have been caught on the way.
            Ok(value) if self.host.exit.get().is_none() => Ok(value),
            result => Err(match (self.host.exit.take(), self.host.output_error.take()) {
                (Some(code), _) => ChiselError::Exit(code),
                (None, Some(error)) => ChiselError::Output(error),
                (None, None) => match result {
                    Err(error) => failed(&error),
                    Ok(_) => self.failed(callback, "os.exit()"),
                },
            }),
        }
    }

    /// Lends the waiting text to the Lua side for one call, and does what it asked for.
    #[inline]
    fn with_control<R>(
        &mut self,
        control: &mut Control,
        call: impl FnOnce(&mut Self) -> Result<R, ChiselError>,
    ) -> Result<R, ChiselError> {
        self.host.swap_out(control);
        let result = call(self);
        self.host.swap_out(control);
        if self.host.take_asked() {
            self.comply(control);
        }
        result
    }

    #[cold]
    fn comply(&mut self, control: &mut Control) {
        let requests = self.host.take_requests();
        if let Some(filter) = requests.filter {
            control.filter = filter;
        }
        if requests.global_filter.is_some() {
            control.global_filter = requests.global_filter;
        }
        if let Some(formatter) = requests.formatter {
            self.formatter = Some(formatter);
        }
        if let Some(interval) = requests.interval {
            control.interval = interval;
        }
        control.snaplen = requests.snaplen.or(control.snaplen);
        control.rerun = requests.rerun.or(control.rerun.take());
        control.ended |= requests.ended;
        // Read where it means something, at the end of on_init().
        if let Some(handover) = requests.handover {
            self.host.ask(|r| r.handover = Some(handover));
        }
    }

    fn init_function(&mut self) -> Result<(), ChiselError> {
        let Some(function) = self.function(Callback::Init) else { return Ok(()) };
        let answer: Value = self.call(Callback::Init, &function, (), Current::default())?;
        let hands_over = self.host.hands_over();
        match answer {
            _ if hands_over => Ok(()),
            Value::Boolean(true) => Ok(()),
            Value::Boolean(false) => Err(ChiselError::Refused(self.name())),
            _ => Err(self.failed(Callback::Init, "wrong init() return value")),
        }
    }
}

impl Chisel for LuaChisel {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, control: &mut Control) -> Result<(), ChiselError> {
        let Some(function) = self.function(Callback::SetArg) else {
            let reason = format!("chisel {} misses a set_arg() function.", self.host.name);
            return Err(self.failed(Callback::SetArg, reason));
        };
        let answer: Value = self.with_control(control, |chisel| {
            chisel.call(Callback::SetArg, &function, (name, value), Current::default())
        })?;
        match answer {
            Value::Boolean(true) => Ok(()),
            Value::Boolean(false) => Err(ChiselError::RefusedArg {
                name: self.name(),
                arg: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(self.failed(Callback::SetArg, "wrong set_arg() return value")),
        }
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        // With a chisel buffers are never cut.
        let buffer = settings.buffers.unwrap_or_default();
        let zone = settings.zone.clone();
        let columns = settings.terminal.map_or(0, |(columns, _)| columns);
        let text = TextOptions { buffer, cut_buffers: false, zone, columns };
        self.host.text.replace(text);
        self.host.settings.replace(settings.clone());
        self.with_control(control, LuaChisel::init_function)?;
        self.on_event = self.function(Callback::Event);
        Ok(self.host.take_requests().handover)
    }

    fn start(&mut self, input: &Input<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.host.input.replace(InputInfo { live: input.live, name: input.name.to_owned() });
        self.host.seen.set(Seen::default());
        if let Some(function) = self.function(Callback::CaptureStart) {
            let current = Current { view: None, machine: Some(input.machine) };
            let answer: Value = self.with_control(control, |chisel| {
                chisel.call(Callback::CaptureStart, &function, (), current)
            })?;
            match answer {
                Value::Boolean(true) => {}
                Value::Boolean(false) => return Err(ChiselError::Refused(self.name())),
                _ => return Err(self.failed(Callback::CaptureStart, "wrong capture_start() return value")),
            }
        }
        self.on_event = self.function(Callback::Event);
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.host.see(control);
        let Some(function) = self.on_event.take() else { return Ok(()) };
        let current = Current { view: Some(event), machine: Some(event.machine) };
        // As Lua takes any value for true or false.
        let prints: Result<bool, ChiselError> =
            self.with_control(control, |chisel| chisel.call(Callback::Event, &function, (), current));
        self.on_event = Some(function);
        if prints? && let Some(formatter) = &mut self.formatter {
            formatter.write(event, &mut control.out);
        }
        Ok(())
    }

    fn on_interval(
        &mut self,
        tick: Tick,
        event: &EventView<'_>,
        control: &mut Control,
    ) -> Result<(), ChiselError> {
        self.host.see(control);
        let Some(function) = self.function(Callback::Interval) else { return Ok(()) };
        let current = Current { view: Some(event), machine: Some(event.machine) };
        let args = moment(tick.ts_ns, tick.delta_ns);
        let answer: Value =
            self.with_control(control, |chisel| chisel.call(Callback::Interval, &function, args, current))?;
        match answer {
            Value::Boolean(true) => Ok(()),
            _ => Err(ChiselError::Terminated(self.name())),
        }
    }

    fn on_end(&mut self, end: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.host.see(control);
        let Some(function) = self.function(Callback::CaptureEnd) else { return Ok(()) };
        let current = Current { view: end.last, machine: Some(end.machine) };
        let args = moment(end.ts_ns(), end.delta_ns);
        let _: Value =
            self.with_control(control, |chisel| chisel.call(Callback::CaptureEnd, &function, args, current))?;
        Ok(())
    }
}

/// Seconds, nanoseconds and the time since the last call, as callbacks get them.
fn moment(ts_ns: u64, delta_ns: u64) -> (f64, f64, f64) {
    ((ts_ns / NS_PER_S) as f64, (ts_ns % NS_PER_S) as f64, delta_ns as f64)
}

impl fmt::Debug for LuaChisel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LuaChisel").field("meta", &self.meta).finish_non_exhaustive()
    }
}
