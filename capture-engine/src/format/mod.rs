//! Events as lines: `-p` format strings, the default line and its variants, JSON.
//!
//! A format is compiled once into pieces; writing an event appends to a buffer that the caller
//! reuses and flushes.

mod compile;
mod json;
mod line;
mod output_time;
mod schema;

pub use compile::{FormatError, ResolvedField, resolve_field};
pub use json::push_string as push_json_string;
pub use output_time::TimeForm;
pub use schema::json_schema;

use crate::render::TextOptions;
use crate::view::EventView;
use filter_lang::Arena;
use output_time::OutputTime;

/// The default line: number, time, CPU, process, thread, direction, type, arguments.
pub const DEFAULT: &str =
    "*%evt.num %evt.outputtime %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type %evt.info";

/// The default line for a terminal: coloured, and with the process id before the thread's.
pub const DEFAULT_TERMINAL: &str = "*%evt.num %evt.outputtime %evt.cpu \\e[01;32m%proc.name\\e[00m \
(\\e[01;36m%proc.pid\\e[00m.%thread.tid) %evt.dir \\e[01;34m%evt.type\\e[00m %evt.info";

/// `-pc`: the line with the container.
pub const CONTAINER: &str = "*%evt.num %evt.outputtime %evt.cpu %container.name (%container.id) \
%proc.name (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info";

/// `-pk`: the line with the pod.
pub const KUBERNETES: &str = "*%evt.num %evt.outputtime %evt.cpu %k8s.pod.name (%container.id) \
%proc.name (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info";

/// `-pm`: the line with the Mesos task; no capture of today has one.
pub const MESOS: &str = "*%evt.num %evt.outputtime %evt.cpu %mesos.task.name (%container.id) \
%proc.name (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info";

/// The sequence that ends all colours; written once after the last line of a format with colours.
pub const COLOUR_RESET: &str = "\u{1b}[00m";

/// How events are written.
#[derive(Clone, Debug, Default)]
pub struct FormatOptions {
    /// Buffers and time zone.
    pub text: TextOptions,
    /// Form of `evt.outputtime` (`-t`).
    pub time: TimeForm,
    /// One JSON object per event instead of a line (`-j`).
    pub json: bool,
}

/// A piece of a compiled format.
#[derive(Debug)]
enum Piece {
    Literal(Box<[u8]>),
    Field(FieldPiece),
}

#[derive(Debug)]
struct FieldPiece {
    resolved: ResolvedField,
    /// The name with its argument as written.
    label: Box<str>,
    /// The same as the name of a JSON member, with quotes and colon.
    key: Box<[u8]>,
    /// Exact width in characters.
    width: Option<usize>,
    /// Which of the fields of usual lines it is.
    hot: Option<Hot>,
}

/// The fields of usual lines, which are written without a detour over their rows; the text is the
/// same. [`Hot::Time`] is written here alone: its form depends on what was printed before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hot {
    Num,
    Time,
    Cpu,
    Comm,
    Tid,
    Dir,
    Type,
    Args,
}

impl Hot {
    fn named(name: &str) -> Option<Hot> {
        Some(match name {
            "evt.num" => Hot::Num,
            "evt.outputtime" => Hot::Time,
            "evt.cpu" => Hot::Cpu,
            "proc.name" => Hot::Comm,
            "thread.tid" => Hot::Tid,
            "evt.dir" => Hot::Dir,
            "evt.type" => Hot::Type,
            "evt.info" | "evt.args" => Hot::Args,
            _ => return None,
        })
    }
}

/// A compiled format. Keeps what relative times need, so one is made per output.
#[derive(Debug)]
pub struct Formatter {
    pieces: Vec<Piece>,
    /// Fields in the order of JSON members.
    sorted: Vec<usize>,
    /// Whether lines are printed though a field has no value.
    tolerant: bool,
    options: FormatOptions,
    time: OutputTime,
    arena: Arena,
    /// Where text is put together that has to be escaped.
    scratch: Vec<u8>,
    has_colours: bool,
}

impl Formatter {
    /// Compiles a format string.
    ///
    /// # Errors
    /// When the text names a field that does not exist, or uses one wrongly.
    pub fn new(format: &str, options: FormatOptions) -> Result<Formatter, FormatError> {
        let compiled = compile::compile(format)?;
        let is_field = |at: &usize| matches!(compiled.pieces[*at], Piece::Field(_));
        let mut sorted: Vec<usize> = (0..compiled.pieces.len()).filter(is_field).collect();
        let label = |at: usize| match &compiled.pieces[at] {
            Piece::Field(piece) => &piece.label[..],
            Piece::Literal(_) => "",
        };
        sorted.sort_by(|&a, &b| label(a).cmp(label(b)));
        sorted.dedup_by(|a, b| label(*a) == label(*b));
        let has_colours = !options.json && compiled.has_colours;
        let time = OutputTime::new(options.time);
        Ok(Formatter {
            pieces: compiled.pieces,
            sorted,
            tolerant: compiled.tolerant,
            options,
            time,
            arena: Arena::new(),
            scratch: Vec::new(),
            has_colours,
        })
    }

    /// Appends the event's line with its line feed. Answers false, with nothing appended, where a
    /// field has no value and the format does not begin with `*`.
    pub fn write(&mut self, view: &EventView<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.arena.reset();
        let complete = if self.options.json {
            let mut scratch = std::mem::take(&mut self.scratch);
            let complete = json::write(self, &mut scratch, view, out);
            self.scratch = scratch;
            complete
        } else {
            line::write(&self.pieces, self.tolerant, &self.options, &self.time, &self.arena, view, out)
        };
        self.time.written(view.raw.ts_ns);
        if !complete {
            out.truncate(start);
            return false;
        }
        out.push(b'\n');
        true
    }

    /// What to print after the last line: ends colours if the format has any.
    pub fn epilogue(&self) -> &'static str {
        if self.has_colours { COLOUR_RESET } else { "" }
    }
}
