//! What the options mean: from what was typed ([`super::args`]) to one checked plan of the run.
//!
//! Every rule about combinations of options is here, so that the session only carries out.

use super::args::{Compress, RawArgs};
use super::chisel_plan::{self, ChiselPlan};
use super::counters::Counters;
use super::enrich;
use super::error::CliError;
use super::misplaced;
use super::report;
use super::rotation::Rotation;
use super::signals::StopFlag;
use crate::enrich::kubernetes::{Kubernetes, KubernetesOptions};
use crate::enrich::{Dump, EnrichOptions};
use crate::live::command::CommandLine;
use crate::live::priority;
use crate::live::push::Push;
use crate::live::rights::{self, User};
use crate::live::source::SourceOptions;
use crate::live::watch::{Root, WatchOptions};
use crate::live::{LiveOptions, Part, ProbeOptions};
use capture_engine::format::TimeForm;
use capture_engine::render::BufferFormat;
use capture_engine::{EventFilter, PortNames};
use capture_file::Compression;
use filter_lang::{FilterError, Library};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The whole run.
#[derive(Debug)]
pub struct Plan {
    /// Where events come from.
    pub input: Input,
    /// Where they go, beside the chisels.
    pub write: Option<WritePlan>,
    /// The chisels.
    pub chisels: ChiselPlan,
    /// The filter.
    pub filter: Option<EventFilter>,
    /// `-d`: the filter chooses what is printed, and nothing else.
    pub display_filter: bool,
    /// `-U`: names of threads whose events are left out.
    pub suppress: Vec<String>,
    /// `-R`: how ports print.
    pub ports: PortNames,
    /// Whether to say how much of the files is read.
    pub progress: bool,
    /// Whether counters are shown of a live capture while it runs, and over and over on one line.
    pub counters: Option<bool>,
    /// What is to be said of options that do nothing here.
    pub notes: Vec<String>,
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
    /// `--redact`, with its patterns.
    pub redact: Option<String>,
    /// Dumps that tell of containers.
    pub dump: Option<Arc<Dump>>,
}

/// Where events come from.
#[derive(Debug)]
pub enum Input {
    /// The running kernel.
    Live(Box<LivePlan>),
    /// Files, in order of time; `-` is standard input.
    Files(Vec<String>),
}

/// Settings of a live capture.
#[derive(Debug, Clone)]
pub struct LivePlan {
    /// Bytes kept of each buffer, if `-s` says so.
    pub snaplen: Option<u32>,
    /// Whether enter events are recorded.
    pub enter: bool,
    /// Whether page faults are recorded.
    pub page_faults: bool,
    /// Whether paths are read twice and compared.
    pub check_paths: bool,
    /// Whether io_uring operations are recorded.
    pub io_uring: bool,
    /// Whether context switches are recorded.
    pub switches: bool,
    /// Bytes of the ring of each CPU.
    pub ring_bytes: Option<u64>,
    /// A fixed pause between drains.
    pub drain_pause: Option<Duration>,
    /// Show the probe's log.
    pub probe_log: bool,
    /// Probe object to load instead of the built-in one.
    pub probe: Option<PathBuf>,
    /// Record users and groups.
    pub users: bool,
    /// Record capture itself, too.
    pub include_self: bool,
    /// Where metadata of containers come from; `None`: from nowhere.
    pub containers: Option<ContainerPlan>,
    /// The process tree that is recorded; `None`: the machine.
    pub watch: Option<WatchOptions>,
    /// As whom the capture goes on once it records.
    pub user: Option<User>,
    /// Whether the CPU time of threads is noted: for files and chisels, since lines do not show it.
    pub samples: bool,
    /// Whether the probe leaves out what cannot pass the filter.
    pub kernel_filter: bool,
}

/// Metadata of containers in a live capture.
#[derive(Debug, Clone)]
pub struct ContainerPlan {
    /// Where to ask.
    pub sources: EnrichOptions,
    /// How long the stream may be held for a record.
    pub wait: Duration,
}

impl LivePlan {
    /// The same for the collector. `wanted_snaplen` is what the chisels ask for, `push` what of the
    /// filter the probe decides.
    pub fn source_options(&self, wanted_snaplen: Option<u32>, push: Option<Push>) -> SourceOptions {
        let mut parts = Part::RECORDING.to_vec();
        parts.retain(|part| self.enter || *part != Part::Enter);
        parts.retain(|part| self.io_uring || !part.is_uring());
        parts.extend(self.switches.then_some(Part::Switch));
        if self.page_faults {
            parts.extend([Part::FaultUser, Part::FaultKernel]);
        }
        let probe = ProbeOptions {
            snaplen: self.snaplen.or(wanted_snaplen).unwrap_or(SNAPLEN_DEFAULT),
            ring_bytes: self.ring_bytes,
            exclude_self: !self.include_self,
            only_tree: self.watch.is_some(),
            push,
            parts,
            strings_twice: self.check_paths,
            object: self.probe.clone(),
            log: self.probe_log,
        };
        SourceOptions {
            live: LiveOptions { probe },
            containers: None,
            watch: self.watch.clone(),
            samples: self.samples,
            pause: self.drain_pause,
        }
    }
}

/// The file to write.
#[derive(Debug, Clone)]
pub struct WritePlan {
    /// Its name; `-` is standard output.
    pub path: String,
    /// Its container.
    pub compression: Compression,
    /// Whom a new file is given to: who called sudo.
    pub owner: Option<(u32, u32)>,
    /// Whether users and groups are written.
    pub users: bool,
    /// Whether events that did not pass the filter but change state are kept for replay.
    pub keep_state: bool,
    /// `-F`: whether those are numbered, too.
    pub fat: bool,
    /// When to begin a new file, and how it is called.
    pub rotation: Option<Rotation>,
    /// The files that are read meanwhile.
    pub inputs: Vec<String>,
}

/// How events print.
#[derive(Debug, Clone)]
pub struct LinePlan {
    /// `-p` format, or `None` for the default one.
    pub format: Option<String>,
    /// `-j`.
    pub json: bool,
    /// Form of byte buffers, if one was chosen.
    pub buffers: Option<BufferFormat>,
    /// What `evt.outputtime` shows.
    pub time: TimeForm,
    /// No lines at all.
    pub quiet: bool,
    /// Write out every line.
    pub unbuffered: bool,
    /// Lines go to standard error: a watched command has standard output.
    pub to_stderr: bool,
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
/// `--meta-wait` by default: someone looks at lines, a file is looked at later.
const META_WAIT_LINES_MS: u64 = 100;
const META_WAIT_FILE_MS: u64 = 1000;
const META_WAIT_MAX_MS: u64 = 60_000;

impl Plan {
    /// Checks the options and resolves them.
    pub fn new(mut args: RawArgs, stop: &StopFlag) -> Result<Plan, CliError> {
        filter_behind_dashes(&mut args)?;
        let library = read_macros(&args.macros)?;
        let (chisels, text) = chisel_plan::chisels_and_filter(&args, &library, stop)?;
        let filter = compile_filter(&text, &library)?;
        for (on, option) in [(args.lint, "--lint"), (args.explain_filter, "--explain-filter")] {
            if on && filter.is_none() {
                return Err(CliError::usage(format!("{option} needs a filter")));
            }
        }
        let live = args.read.is_empty();
        if !live {
            misplaced::refuse_live(&args)?;
        } else if !args.docker.is_empty() || !args.k8s.is_empty() {
            return Err(CliError::usage("--docker and --k8s complete files: they need -r"));
        } else if args.progress {
            return Err(CliError::usage("the -P flag cannot be used with live captures."));
        }
        if args.filter_proclist && (live || args.write.is_none()) {
            return Err(CliError::usage("--filter-proclist needs -r and -w"));
        }
        if args.filter_proclist && Rotation::is_asked(&args) {
            return Err(CliError::usage("--filter-proclist cuts one process table: not with -C, -G or -e"));
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
        Rotation::check(&args)?;
        let input = if live {
            Input::Live(Box::new(live_plan(&args, stop)?))
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
            display_filter: args.display_filter,
            suppress: args.suppress.clone(),
            ports: if args.resolve_ports { PortNames::Services } else { PortNames::Numbers },
            progress: args.progress || (!live && args.write.is_some()),
            counters: live.then(|| Counters::mode(&args)).flatten(),
            notes: misplaced::idle(&args),
            lint: args.lint,
            explain_filter: args.explain_filter,
            summary: args.summary,
            verbose: args.verbose,
            debug: args.debug,
            strict: args.strict,
            filter_proclist: args.filter_proclist,
            redact: args.redact.clone(),
            dump: enrich::dumps(&args)?,
        })
    }
}

fn live_plan(args: &RawArgs, stop: &StopFlag) -> Result<LivePlan, CliError> {
    let snaplen = args.snaplen.as_deref().map(|text| {
        let bytes = text.parse().ok().filter(|&n: &u32| n <= SNAPLEN_MAX);
        bytes.ok_or_else(|| CliError::value("-s", text, format!("a number of bytes from 0 to {SNAPLEN_MAX}")))
    });
    let ring_mib = args.buffer.as_deref().map(|text| {
        let mib = text.parse().ok().filter(|n: &u64| n.is_power_of_two() && *n <= 256);
        mib.ok_or_else(|| CliError::value("--buffer", text, "a power of two from 1 to 256 (MiB)".into()))
    });
    Ok(LivePlan {
        snaplen: snaplen.transpose()?,
        enter: !args.no_enter,
        switches: args.switches,
        page_faults: args.page_faults,
        check_paths: args.check_paths,
        io_uring: !args.no_io_uring,
        ring_bytes: ring_mib.transpose()?.map(|mib| mib << 20),
        drain_pause: args.drain_pause.map(Duration::from_millis),
        probe_log: args.probe_log,
        probe: args.probe.clone(),
        users: !args.exclude_users,
        include_self: args.debug,
        containers: container_plan(args)?,
        watch: watch_plan(args, stop)?,
        user: args.user.as_deref().map(User::find).transpose()?,
        samples: args.write.is_some() || !args.chisel.is_empty() || args.debug,
        kernel_filter: !args.no_kernel_filter,
    })
}

/// In a replay there is no command to watch: words behind `--` are the filter's, as in sysdig.
fn filter_behind_dashes(args: &mut RawArgs) -> Result<(), CliError> {
    if args.read.is_empty() {
        return Ok(());
    }
    for word in std::mem::take(&mut args.command) {
        let word = word.into_string();
        args.words.push(word.map_err(|_| CliError::usage("the filter is not UTF-8"))?);
    }
    Ok(())
}

fn watch_plan(args: &RawArgs, stop: &StopFlag) -> Result<Option<WatchOptions>, CliError> {
    let root = match &args.pid {
        Some(text) => {
            let pid = text.parse().ok().filter(|&pid: &u32| pid > 0 && i32::try_from(pid).is_ok());
            Root::Process(pid.ok_or_else(|| CliError::value("--pid", text, "the id of a process".into()))?)
        }
        None if args.command.is_empty() => {
            let usage = CliError::usage("--whole-tree needs --pid or a command behind --");
            return if args.whole_tree { Err(usage) } else { Ok(None) };
        }
        None => Root::Command(CommandLine {
            words: args.command.clone(),
            output_to_stderr: args.write.as_deref() == Some("-"),
            nice: priority::current(),
            ignored: stop.ignored_at_start().to_vec(),
        }),
    };
    Ok(Some(WatchOptions { root, whole_tree: args.whole_tree }))
}

fn container_plan(args: &RawArgs) -> Result<Option<ContainerPlan>, CliError> {
    let default = if args.write.is_some() { META_WAIT_FILE_MS } else { META_WAIT_LINES_MS };
    let wait_ms = match args.meta_wait.as_deref() {
        None => default,
        Some(text) => text.parse().ok().filter(|&ms: &u64| ms <= META_WAIT_MAX_MS).ok_or_else(|| {
            CliError::value("--meta-wait", text, format!("a number of milliseconds up to {META_WAIT_MAX_MS}"))
        })?,
    };
    if args.no_containers {
        return Ok(None);
    }
    let sources = EnrichOptions { cri: args.cri.clone(), kubernetes: kubernetes(args)? };
    Ok(Some(ContainerPlan { sources, wait: Duration::from_millis(wait_ms) }))
}

/// The API server to ask; sysdig's variables stand for its options.
fn kubernetes(args: &RawArgs) -> Result<Option<Kubernetes>, CliError> {
    let or_env = |option: &Option<String>, name| {
        option.clone().or_else(|| std::env::var(name).ok()).filter(|value: &String| !value.is_empty())
    };
    let options = KubernetesOptions {
        url: or_env(&args.k8s_api, "SYSDIG_K8S_API"),
        credentials: or_env(&args.k8s_api_cert, "SYSDIG_K8S_API_CERT"),
        ca: args.k8s_ca.clone(),
        kubeconfig: args.kubeconfig.clone(),
        node: args.node_name.clone(),
        is_off: args.no_k8s,
    };
    Ok(Kubernetes::find(&options, report::kubernetes)?)
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
    let rotation = Rotation::new(args, &path)?;
    Ok(WritePlan {
        path,
        compression,
        owner: rights::behind_sudo(|name| std::env::var(name).ok()),
        users: !args.exclude_users,
        keep_state: !args.filter_proclist,
        fat: args.fat_file,
        rotation,
        inputs: args.read.clone(),
    })
}

fn line_plan(args: &RawArgs) -> Result<LinePlan, CliError> {
    let buffers = args.buffer_forms.first().copied();
    if let Some(second) = args.buffer_forms.get(1) {
        return Err(CliError::TwoBufferFormats { second: *second });
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
        to_stderr: !args.command.is_empty(),
        container_data,
    })
}

pub(super) fn positive(option: &'static str, what: &str, text: &str) -> Result<u64, CliError> {
    text.parse()
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| CliError::value(option, text, format!("{what}, at least 1")))
}

/// Compiles a filter; empty text is no filter.
pub(super) fn compile_filter(text: &str, library: &Library) -> Result<Option<EventFilter>, Box<FilterError>> {
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
