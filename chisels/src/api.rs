//! The trait that every chisel implements, and what it is told.
//!
//! What a chisel asks of its host goes through [`Control`], so that chisels in Rust and chisels in
//! Lua are driven by the same [`Runner`](crate::Runner).

use crate::control::{Control, Sink};
use crate::error::ChiselError;
use crate::registry::Registry;
use capture_engine::render::{BufferFormat, Zone};
use capture_engine::{EventView, Machine};
use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::rc::Rc;

/// What a chisel says of itself.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Name for `-c`.
    pub name: Cow<'static, str>,
    /// Heading in the list of chisels.
    pub category: Cow<'static, str>,
    /// One line.
    pub short: Cow<'static, str>,
    /// A paragraph.
    pub description: Cow<'static, str>,
    /// Arguments, required ones first.
    pub args: Cow<'static, [ArgSpec]>,
}

impl Meta {
    /// What a chisel in Rust says of itself.
    pub const fn new(
        name: &'static str,
        category: &'static str,
        short: &'static str,
        description: &'static str,
        args: &'static [ArgSpec],
    ) -> Meta {
        Meta {
            name: Cow::Borrowed(name),
            category: Cow::Borrowed(category),
            short: Cow::Borrowed(short),
            description: Cow::Borrowed(description),
            args: Cow::Borrowed(args),
        }
    }
}

/// One argument of a chisel.
#[derive(Debug, Clone)]
pub struct ArgSpec {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its type: `string`, `int`, `filter`, …; only `filter` changes how words are taken.
    pub kind: Cow<'static, str>,
    /// What it does.
    pub description: Cow<'static, str>,
    /// Whether it may be left out.
    pub optional: bool,
}

impl ArgSpec {
    /// An argument that must be given.
    pub const fn required(name: &'static str, kind: &'static str, description: &'static str) -> ArgSpec {
        ArgSpec {
            name: Cow::Borrowed(name),
            kind: Cow::Borrowed(kind),
            description: Cow::Borrowed(description),
            optional: false,
        }
    }

    /// An argument that may be left out.
    pub const fn optional(name: &'static str, kind: &'static str, description: &'static str) -> ArgSpec {
        let mut arg = ArgSpec::required(name, kind, description);
        arg.optional = true;
        arg
    }
}

/// What the command line asks of all chisels.
#[derive(Clone, Default)]
pub struct Settings {
    /// Form in which byte buffers print (-A, -b, -x, -X); `None` where the user chose none.
    pub buffers: Option<BufferFormat>,
    /// Whether container data is to be shown (-pc, -pk, -pm).
    pub container_data: bool,
    /// Whether JSON is asked for (-j).
    pub json: bool,
    /// Time zone of all times.
    pub zone: Zone,
    /// The command line's filter; empty for none.
    pub filter: String,
    /// Columns and rows of the terminal that standard output is, if it is one.
    pub terminal: Option<(u16, u16)>,
    /// Where chisels are found, for those that hand over to another one.
    pub registry: Rc<Registry>,
    /// Takes text that cannot wait for the end of a callback.
    pub sink: Sink,
}

impl Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("buffers", &self.buffers)
            .field("container_data", &self.container_data)
            .field("json", &self.json)
            .field("filter", &self.filter)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// What is known of the input once it is open.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Whether it is the running kernel.
    pub live: bool,
    /// Name of the file as given; empty when live.
    pub name: &'a str,
    /// The machine as the input's opening snapshot tells it.
    pub machine: &'a Machine,
}

/// A moment at which a chisel that asked for intervals is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The moment, ns since the epoch.
    pub ts_ns: u64,
    /// Time since the last such moment, ns; 0 the first time.
    pub delta_ns: u64,
}

/// The end of an input.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The last event; `None` where there was none.
    pub last: Option<&'a EventView<'a>>,
    /// The machine after it.
    pub machine: &'a Machine,
    /// Time from the first event to the last, ns.
    pub delta_ns: u64,
}

impl End<'_> {
    /// Time of the last event, ns since the epoch; 0 where there was none.
    pub fn ts_ns(&self) -> u64 {
        self.last.map_or(0, |view| view.raw.ts_ns)
    }
}

/// A chisel that takes over, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Name of the other chisel.
    pub name: String,
    /// Values of its arguments, in order.
    pub values: Vec<String>,
}

/// A small program over the stream of events.
///
/// Order of calls: [`set_arg`](Chisel::set_arg) for each argument given, [`init`](Chisel::init);
/// then for each input [`start`](Chisel::start), [`on_event`](Chisel::on_event) for each event
/// that passes the command line's filter and the chisel's own with
/// [`on_interval`](Chisel::on_interval) in between, and [`on_end`](Chisel::on_end). Text goes to the end of
/// [`Control::out`].
pub trait Chisel: Debug {
    /// What it is.
    fn meta(&self) -> &Meta;

    /// Takes the value of one argument, of those that [`Chisel::meta`] lists.
    fn set_arg(&mut self, _name: &str, _value: &str, _control: &mut Control) -> Result<(), ChiselError> {
        Ok(())
    }

    /// All arguments are known, no input is open yet. It may hand over to another chisel.
    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError>;

    /// An input is open.
    fn start(&mut self, _input: &Input<'_>, _control: &mut Control) -> Result<(), ChiselError> {
        Ok(())
    }

    /// Takes one event.
    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError>;

    /// An interval that it asked for is over; `event` is the one that told so.
    fn on_interval(
        &mut self,
        _tick: Tick,
        _event: &EventView<'_>,
        _control: &mut Control,
    ) -> Result<(), ChiselError> {
        Ok(())
    }

    /// The input is over.
    fn on_end(&mut self, _end: &End<'_>, _control: &mut Control) -> Result<(), ChiselError> {
        Ok(())
    }
}
