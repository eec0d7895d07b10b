//! What the options mean: from what was typed ([`super::args`]) to one checked plan of the run.
//!
//! Every rule about combinations of options is here, so that the session only carries out.

use super::args::{Compress, RawArgs};
use super::error::CliError;
use crate::live::source::SourceOptions;
use crate::live::{LiveOptions, Part, ProbeOptions};
use capture_engine::EventFilter;
use capture_engine::format::TimeForm;
use capture_engine::render::BufferFormat;
use capture_file::Compression;
use chisels::{ArgValues, Chisel};
use filter_lang::{FilterError, Library};
use std::path::PathBuf;

/// The whole run.
#[derive(Debug)]
pub struct Plan {
    /// Where events come from.
    pub input: Input,
    /// Where they go, beside the chisels.
    pub write: Option<WritePlan>,
    /// The chisels, in order.
    pub chisels: Vec<ChiselCall>,
    /// The filter.
    pub filter: Option<EventFilter>,
    /// `--lint`.
    pub lint: bool,
    /// `--explain-filter`.
    pub explain_filter: bool,
    /// How events print.
    pub lines: LinePlan,
    /// When to stop.
    pub limits: Limits,
    /// `-S`.
    pub summary: bool,
    /// `-v`.
    pub verbose: bool,
    /// `-D`.
    pub debug: bool,
    /// `--strict`.
    pub strict: bool,
    /// `--filter-proclist`.
    pub filter_proclist: bool,
}

/// Where events come from.
#[derive(Debug)]
pub enum Input {
    /// The running kernel.
    Live(LivePlan),
    /// Files, one after another; `-` is standard input.
    Files(Vec<String>),
}

/// Settings of a live capture.
#[derive(Debug, Clone)]
pub struct LivePlan {
    /// Bytes kept of each buffer.
    pub snaplen: u32,
    /// Whether enter events are recorded.
    pub enter: bool,
    /// Whether context switches are recorded.
    pub switches: bool,
    /// Bytes of the ring of each CPU.
    pub ring_bytes: Option<u64>,
    /// Show the probe's log.
    pub probe_log: bool,
    /// Probe object to load instead of the built-in one.
    pub probe: Option<PathBuf>,
    /// Record users and groups.
    pub users: bool,
    /// Record capture itself, too.
    pub include_self: bool,
}

impl LivePlan {
    /// The same for the collector.
    pub fn source_options(&self) -> SourceOptions {
        let mut parts = vec![Part::Exec, Part::Fork, Part::ProcExit, Part::Exit];
        parts.extend(self.enter.then_some(Part::Enter));
        parts.extend(self.switches.then_some(Part::Switch));
        let probe = ProbeOptions {
            snaplen: self.snaplen,
            ring_bytes: self.ring_bytes,
            exclude_self: !self.include_self,
            parts,
            object: self.probe.clone(),
            log: self.probe_log,
        };
        SourceOptions { live: LiveOptions { probe } }
    }
}

/// The file to write.
#[derive(Debug, Clone)]
pub struct WritePlan {
    /// Its name; `-` is standard output.
    pub path: String,
    /// Its container.
    pub compression: Compression,
    /// Whether users and groups are written.
    pub users: bool,
    /// Whether events that did not pass the filter but change state are kept for replay.
    pub keep_state: bool,
}

/// One `-c`.
#[derive(Debug)]
pub struct ChiselCall {
    /// The chisel.
    pub chisel: Box<dyn Chisel>,
}

/// How events print.
#[derive(Debug, Clone)]
pub struct LinePlan {
    /// `-p` format, or `None` for the default one.
    pub format: Option<String>,
    /// `-j`.
    pub json: bool,
    /// Form of byte buffers.
    pub buffers: BufferFormat,
    /// What `evt.outputtime` shows.
    pub time: TimeForm,
    /// No lines at all.
    pub quiet: bool,
    /// Write out every line.
    pub unbuffered: bool,
    /// Whether container data is asked for (-pc, -pk, -pm).
    pub container_data: bool,
}

/// When to stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// After this many events that passed the filter.
    pub count: Option<u64>,
    /// When an event is this many ns after the first.
    pub duration_ns: Option<u64>,
}

const SNAPLEN_DEFAULT: u32 = 80;
const SNAPLEN_MAX: u32 = 65_000;

impl Plan {
    /// Checks the options and resolves them.
    pub fn new(args: RawArgs) -> Result<Plan, CliError> {
        let library = read_macros(&args.macros)?;
        let (chisels, text) = chisels_and_filter(&args, &library)?;
        let filter = compile_filter(&text, &library)?;
        for (on, option) in [(args.lint, "--lint"), (args.explain_filter, "--explain-filter")] {
            if on && filter.is_none() {
                return Err(CliError::usage(format!("{option} needs a filter")));
            }
        }
        let live = args.read.is_empty();
        if args.filter_proclist && (live || args.write.is_none()) {
            return Err(CliError::usage("--filter-proclist needs -r and -w"));
        }
        if args.filter_proclist && filter.is_none() {
            return Err(CliError::usage("--filter-proclist needs a filter"));
        }
        let limits = Limits {
            count: args.count.as_deref().map(|t| positive("-n", "a number of events", t)).transpose()?,
            duration_ns: args
                .seconds
                .as_deref()
                .map(|t| positive("-M", "a number of seconds", t))
                .transpose()?
                .map(|s| s.saturating_mul(1_000_000_000)),
        };
        let wanted_snaplen = chisels.iter().filter_map(|c| c.chisel.snaplen()).max();
        let input = if live {
            Input::Live(live_plan(&args, wanted_snaplen)?)
        } else {
            Input::Files(args.read.clone())
        };
        Ok(Plan {
            write: args.write.clone().map(|path| write_plan(&args, path)).transpose()?,
            lines: line_plan(&args)?,
            limits,
            input,
            chisels,
            filter,
            lint: args.lint,
            explain_filter: args.explain_filter,
            summary: args.summary,
            verbose: args.verbose,
            debug: args.debug,
            strict: args.strict,
            filter_proclist: args.filter_proclist,
        })
    }
}

fn live_plan(args: &RawArgs, wanted_snaplen: Option<u32>) -> Result<LivePlan, CliError> {
    let snaplen = match args.snaplen.as_deref() {
        None => wanted_snaplen.unwrap_or(SNAPLEN_DEFAULT),
        Some(text) => text.parse().ok().filter(|&n: &u32| n <= SNAPLEN_MAX).ok_or_else(|| {
            CliError::value("-s", text, format!("a number of bytes from 0 to {SNAPLEN_MAX}"))
        })?,
    };
    let ring_mib = args.buffer.as_deref().map(|text| {
        let mib = text.parse().ok().filter(|n: &u64| n.is_power_of_two() && *n <= 256);
        mib.ok_or_else(|| CliError::value("--buffer", text, "a power of two from 1 to 256 (MiB)".into()))
    });
    Ok(LivePlan {
        snaplen,
        enter: !args.no_enter,
        switches: args.switches,
        ring_bytes: ring_mib.transpose()?.map(|mib| mib << 20),
        probe_log: args.probe_log,
        probe: args.probe.clone(),
        users: !args.exclude_users,
        include_self: args.debug,
    })
}

fn write_plan(args: &RawArgs, path: String) -> Result<WritePlan, CliError> {
    let by_name = if path.ends_with(".gz") { Compression::GZIP } else { Compression::ZSTD };
    let compression = match (args.compress, args.gzip) {
        (None, false) => by_name,
        (None | Some(Compress::Gzip), true) | (Some(Compress::Gzip), false) => Compression::GZIP,
        (Some(Compress::Zstd), false) => Compression::ZSTD,
        (Some(Compress::None), false) => Compression::None,
        (Some(_), true) => return Err(CliError::usage("-z means gzip; it contradicts --compress")),
    };
    Ok(WritePlan { path, compression, users: !args.exclude_users, keep_state: !args.filter_proclist })
}

fn line_plan(args: &RawArgs) -> Result<LinePlan, CliError> {
    let chosen = [
        (args.print_ascii, BufferFormat::Ascii),
        (args.print_base64, BufferFormat::Base64),
        (args.print_hex, BufferFormat::Hex),
        (args.print_hex_ascii, BufferFormat::HexAscii),
    ];
    let mut chosen = chosen.into_iter().filter(|(on, _)| *on).map(|(_, format)| format);
    let buffers = chosen.next().unwrap_or(BufferFormat::Dotted);
    if chosen.next().is_some() {
        return Err(CliError::usage(
            "you cannot specify more than one output format: -A, -b, -x and -X exclude each other",
        ));
    }
    let time = match args.time.as_deref() {
        None => TimeForm::default(),
        Some(text) => TimeForm::from_letter(text)
            .ok_or_else(|| CliError::value("-t", text, "one of h, a, r, d and D".into()))?,
    };
    let container_data =
        matches!(args.print.as_deref(), Some("c" | "container" | "k" | "kubernetes" | "m" | "mesos"));
    Ok(LinePlan {
        format: args.print.clone(),
        json: args.json,
        buffers,
        time,
        quiet: args.quiet || args.write.is_some(),
        unbuffered: args.unbuffered,
        container_data,
    })
}

fn positive(option: &'static str, what: &str, text: &str) -> Result<u64, CliError> {
    text.parse()
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| CliError::value(option, text, format!("{what}, at least 1")))
}

/// Gives each chisel its arguments; what is left of the words is the filter.
fn chisels_and_filter(args: &RawArgs, library: &Library) -> Result<(Vec<ChiselCall>, String), CliError> {
    let mut taken = vec![false; args.words.len()];
    let mut calls = Vec::new();
    for (name, place) in args.chisel.iter().zip(&args.chisel_places) {
        let mut chisel = chisels::create(name.trim())?;
        let word = place.next_word.filter(|&at| !taken[at]);
        let takes = match word {
            None => false,
            Some(at) => {
                let rest =
                    args.words[at..].iter().zip(&taken[at..]).filter(|(_, t)| !**t).map(|(w, _)| w.as_str());
                let rest: Vec<&str> = rest.collect();
                chisels::takes_word(chisel.meta(), || {
                    is_filter(args.words[at].as_str(), library) || is_filter(&rest.join(" "), library)
                })
            }
        };
        let mut values = ArgValues::default();
        if let (true, Some(at)) = (takes, word) {
            taken[at] = true;
            values = ArgValues::split(chisel.meta(), &args.words[at])?;
        }
        values.check(chisel.meta())?;
        values.assign(chisel.as_mut())?;
        calls.push(ChiselCall { chisel });
    }
    let words: Vec<&str> =
        args.words.iter().zip(&taken).filter(|(_, t)| !**t).map(|(w, _)| w.as_str()).collect();
    Ok((calls, words.join(" ")))
}

fn is_filter(text: &str, library: &Library) -> bool {
    compile_filter(text, library).is_ok()
}

/// Compiles a filter; empty text is no filter.
fn compile_filter(text: &str, library: &Library) -> Result<Option<EventFilter>, Box<FilterError>> {
    if text.trim().is_empty() { Ok(None) } else { EventFilter::compile(text, library).map(Some) }
}

/// Reads the files of `--macros`, in order.
fn read_macros(files: &[PathBuf]) -> Result<Library, CliError> {
    let mut library = Library::new();
    for path in files {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::Io { what: format!("--macros {file}"), error })?;
        library.read_yaml_of(&file, &text).map_err(|error| CliError::Macros { file, error })?;
    }
    Ok(library)
}
