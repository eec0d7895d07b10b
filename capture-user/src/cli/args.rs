//! What was typed: the options of `capture`, as clap parses them.
//!
//! Option letters are sysdig's, so that muscle memory works; everything new is a long option.
//! What the options mean together is decided in [`super::plan`].

use capture_engine::render::BufferFormat;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::ffi::OsString;

const INPUT: &str = "Input";
const FILTER: &str = "Filter";
const LINES: &str = "Printing";
const CHISELS: &str = "Chisels";
const LISTS: &str = "Lists";
const WRITING: &str = "Writing (with -w)";
const LIVE: &str = "Live capture";
const METADATA: &str = "Containers and secrets";

const AFTER_HELP: &str = "\
Examples:
  capture                                 print every call of the machine (root)
  capture -w trace.scap                   record it until Ctrl-C (root)
  capture -r trace.scap -pk \"proc.name=curl and fd.type in (ipv4, ipv6)\"
  capture -r trace.scap -c echo_fds \"fd.name=/etc/resolv.conf\"
  capture -r trace.scap -w small.scap.gz \"proc.name=nginx\"
  capture -w f.scap -- make -j4           record a command and its children (root)
  ssh host capture -w - | capture -r -    record there, look here
  capture enrich a.scap --docker inspect.json -w b.scap
                                          name the containers of a file afterwards
  capture doctor                          can this machine record? What is missing?

All words that are no options form the filter; those behind -- are a command.
It is run and only its process tree recorded, and its exit code is that of
capture (128 + N for signal N, 127 where there is no such command). Lines go to
standard error then, so that the command has standard output to itself. Times are local; set TZ to change
that.";

/// System call capture and replay: what processes and containers really do.
#[derive(Parser, Debug, Clone)]
#[command(
    name = "capture",
    version,
    infer_long_args = true,
    disable_version_flag = true,
    max_term_width = 80,
    after_help = AFTER_HELP,
    override_usage = "capture [OPTIONS] [FILTER...] [-- COMMAND [ARGUMENTS...]]"
)]
pub struct RawArgs {
    // Input
    /// Replay these capture files instead of watching the machine; `-` is standard input. Several
    /// are read in order of time
    #[arg(short = 'r', long = "read", alias = "readfile", value_name = "FILE", help_heading = INPUT)]
    pub read: Vec<String>,

    /// Stop after this many events, of all files together
    #[arg(short = 'n', long = "numevents", value_name = "COUNT", help_heading = INPUT)]
    pub count: Option<String>,

    /// Stop this many seconds after the first event
    #[arg(short = 'M', value_name = "SECONDS", help_heading = INPUT)]
    pub seconds: Option<String>,

    /// Say on standard error how much of the files is read (always so with -r and -w)
    #[arg(short = 'P', long, help_heading = INPUT)]
    pub progress: bool,

    // Filter
    /// Let the filter choose what is printed, and nothing else: chisels, -w, -n and -S get every
    /// event
    #[arg(short = 'd', long = "displayflt", help_heading = FILTER)]
    pub display_filter: bool,

    /// Leave out the events of threads with this name; can be repeated
    #[arg(short = 'U', long = "suppress-comm", value_name = "NAME", help_heading = FILTER)]
    pub suppress: Vec<String>,

    /// Also know the macros and lists of this Falco rule file in the filter; can be repeated, later
    /// definitions replace earlier ones
    #[arg(long, value_name = "FILE.yaml", help_heading = FILTER)]
    pub macros: Vec<std::path::PathBuf>,

    /// Say on standard error what in the filter is legal but probably not meant; without -r that is
    /// all that is done
    #[arg(long, help_heading = FILTER)]
    pub lint: bool,

    /// Print how the filter is evaluated, and end
    #[arg(long, help_heading = FILTER)]
    pub explain_filter: bool,

    // Lines
    /// Format of a line; c, k or m (-pc, -pk, -pm) choose one with container data, p (-pp) prints
    /// the default one and ends
    #[arg(short = 'p', long = "print", value_name = "FORMAT", allow_hyphen_values = true, help_heading = LINES)]
    pub print: Option<String>,

    /// Time of a line: h time of day, a seconds since 1970, r since the first event, d of the
    /// call, D since the line before
    #[arg(short = 't', long = "timetype", value_name = "TYPE", help_heading = LINES)]
    pub time: Option<String>,

    /// One JSON object a line; docs/json-lines.md has its schema
    #[arg(short = 'j', long, help_heading = LINES)]
    pub json: bool,

    /// Print only the text of buffers
    #[arg(short = 'A', long, help_heading = LINES)]
    pub print_ascii: bool,

    /// Print buffers in base64
    #[arg(short = 'b', long, help_heading = LINES)]
    pub print_base64: bool,

    /// Print buffers in hex
    #[arg(short = 'x', long, help_heading = LINES)]
    pub print_hex: bool,

    /// Print buffers in hex and text
    #[arg(short = 'X', long, help_heading = LINES)]
    pub print_hex_ascii: bool,

    /// Print ports as names of services
    #[arg(short = 'R', long, help_heading = LINES)]
    pub resolve_ports: bool,

    /// Print no events
    #[arg(short = 'q', long, help_heading = LINES)]
    pub quiet: bool,

    /// Do not cut buffers at 80 characters; print statistics at the end, live also counters each second
    #[arg(short = 'v', long, help_heading = LINES)]
    pub verbose: bool,

    /// Print a table of event types by count at the end
    #[arg(short = 'S', long, help_heading = LINES)]
    pub summary: bool,

    /// Also show internal events; live also the events of capture itself
    #[arg(short = 'D', long, help_heading = LINES)]
    pub debug: bool,

    /// Write out every line at once
    #[arg(long, help_heading = LINES)]
    pub unbuffered: bool,

    // Chisels
    /// Run a chisel instead of printing events; the word after it can be its arguments
    #[arg(short = 'c', long = "chisel", value_name = "NAME", help_heading = CHISELS)]
    pub chisel: Vec<String>,

    /// Describe a chisel and its arguments
    #[arg(short = 'i', long, value_name = "NAME", help_heading = CHISELS)]
    pub chisel_info: Option<String>,

    /// Look for Lua chisels in this folder first; can be repeated
    #[arg(long, value_name = "FOLDER", help_heading = CHISELS)]
    pub chisel_dir: Vec<std::path::PathBuf>,

    /// Let Lua chisels run programs, open any file and send to other machines
    #[arg(long, help_heading = CHISELS)]
    pub lua_unsafe: bool,

    /// Memory that a Lua chisel may use, in MiB [default: 1024]
    #[arg(long, value_name = "MIB", help_heading = CHISELS)]
    pub lua_memory: Option<String>,

    /// Seconds that each call of a Lua chisel may take, 0 for any number [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = CHISELS)]
    pub lua_time: Option<String>,

    /// List the chisels (-cl does the same)
    #[arg(long, help_heading = CHISELS)]
    pub list_chisels: bool,

    // Lists
    /// List the fields of filters and formats, with -v (or -lv) their types; the words that follow
    /// choose classes, as does --list=CLASS
    #[arg(short = 'l', long, value_name = "CLASS", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = LISTS)]
    pub list: Option<String>,

    /// List the fields as Markdown tables
    #[arg(long, help_heading = LISTS)]
    pub list_markdown: bool,

    /// List the types of events and their parameters
    #[arg(short = 'L', long, help_heading = LISTS)]
    pub list_events: bool,

    // Files that are written
    /// Write events to this file instead of printing them; `-` is standard output. zstd unless -z,
    /// --compress or a name ending in .gz says otherwise
    #[arg(short = 'w', long = "write", alias = "writefile", value_name = "FILE", help_heading = WRITING)]
    pub write: Option<String>,

    /// Compress the written file with gzip, as sysdig does
    #[arg(short = 'z', help_heading = WRITING)]
    pub gzip: bool,

    /// Compression of the written file (sysdig reads gzip and none)
    #[arg(long, value_enum, value_name = "HOW", help_heading = WRITING)]
    pub compress: Option<Compress>,

    /// Begin a new file after this many millions of bytes: the name gets a number
    #[arg(short = 'C', long = "file-size", value_name = "MILLIONS", help_heading = WRITING)]
    pub file_size: Option<String>,

    /// Begin a new file after this many seconds of event time. A name with % is that of strftime(3)
    /// for the file's first event
    #[arg(short = 'G', long = "seconds", value_name = "SECONDS", help_heading = WRITING)]
    pub file_seconds: Option<String>,

    /// Begin a new file after this many events
    #[arg(short = 'e', long = "event-limit", value_name = "COUNT", help_heading = WRITING)]
    pub file_events: Option<String>,

    /// Keep this many files of -C, -G and -e, overwriting the oldest
    #[arg(short = 'W', long = "limit", value_name = "COUNT", help_heading = WRITING)]
    pub file_limit: Option<String>,

    /// Number the hidden events of a filtered file, too, as sysdig's fat files do. They are there
    /// in any case: events that did not pass the filter but that names depend on
    #[arg(short = 'F', long = "fatfile", help_heading = WRITING)]
    pub fat_file: bool,

    /// Write nothing but what the filter keeps: cut the process table, too, and leave out the
    /// hidden events that keep names right (with -r and -w)
    #[arg(long, help_heading = WRITING)]
    pub filter_proclist: bool,

    /// Do not write the users and groups of the machine; live it prints no names of them either
    #[arg(short = 'E', long, help_heading = WRITING)]
    pub exclude_users: bool,

    // Containers and secrets
    /// Take names and values of passwords, tokens and keys out of arguments and environments of
    /// processes and out of all metadata of containers, before anything is printed or written.
    /// PATTERNS are further names, separated by commas, with * for any text. Without this
    /// option only environments in metadata of containers are redacted
    #[arg(long, value_name = "PATTERNS", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = METADATA)]
    pub redact: Option<String>,

    /// Take metadata of containers from this dump where the files that are read have none: what
    /// docker inspect, podman inspect or crictl inspect printed; can be repeated
    #[arg(long, value_name = "FILE", help_heading = METADATA)]
    pub docker: Vec<std::path::PathBuf>,

    /// The same from what kubectl get pods,... -A -o json printed; can be repeated
    #[arg(long, value_name = "FILE", help_heading = METADATA)]
    pub k8s: Vec<std::path::PathBuf>,

    // Live
    /// Bytes to keep of each buffer, 0 to 65000 [default: 80]. Ignored with -r
    #[arg(short = 's', long, value_name = "BYTES", help_heading = LIVE)]
    pub snaplen: Option<String>,

    /// Leave out the enter side of calls (cheapest; no latency)
    #[arg(long, help_heading = LIVE)]
    pub no_enter: bool,

    /// Also record context switches
    #[arg(long, help_heading = LIVE)]
    pub switches: bool,

    /// Also record page faults
    #[arg(long, help_heading = LIVE)]
    pub page_faults: bool,

    /// Read paths at the enter of a call and again at its exit, and note those that another thread has
    /// changed meanwhile
    #[arg(long, help_heading = LIVE)]
    pub check_paths: bool,

    /// Leave out what programs do by io_uring, without calls
    #[arg(long, help_heading = LIVE)]
    pub no_io_uring: bool,

    /// Record only this process and its children, those that it has already, too, and end when it
    /// ends
    #[arg(long, value_name = "PID", help_heading = LIVE, conflicts_with = "command")]
    pub pid: Option<String>,

    /// With --pid or a command, go on until the last process of the tree has ended
    #[arg(long, help_heading = LIVE)]
    pub whole_tree: bool,

    /// Go on as this user once the probe is attached, with no rights of root but those to look into
    /// processes and to trace. Files that are written, and a command, are the user's
    #[arg(long, value_name = "USER", help_heading = LIVE)]
    pub user: Option<String>,

    /// Memory of the ring of each CPU in MiB, a power of two
    #[arg(long, value_name = "MIB", help_heading = LIVE)]
    pub buffer: Option<String>,

    /// Also ask the container engine at this socket, by the Kubernetes container runtime
    /// interface; can be repeated. The usual sockets of docker, podman, containerd and CRI-O are
    /// found by themselves, as are those in DOCKER_HOST, CONTAINER_HOST and
    /// CONTAINER_RUNTIME_ENDPOINT
    #[arg(long, value_name = "SOCKET", help_heading = LIVE)]
    pub cri: Vec<std::path::PathBuf>,

    /// How long the first event of a container may be held until its name is known, in
    /// milliseconds [default: 100; with -w 1000]
    #[arg(long, value_name = "MS", help_heading = LIVE)]
    pub meta_wait: Option<String>,

    /// Milliseconds between two looks at the rings, instead of as the load wants it: for tests of loss
    #[arg(long, value_name = "MS", hide = true)]
    pub drain_pause: Option<u64>,

    /// Look for no names of containers
    #[arg(long, help_heading = LIVE)]
    pub no_containers: bool,

    /// Ask this Kubernetes API server who made the pods of this machine and what services they are
    /// of. Without it the account of the pod that capture runs in is used, else the kubeconfig of
    /// KUBECONFIG or ~/.kube/config, once a pod is seen. Ignored with -r: a file has what was known
    #[arg(short = 'k', long = "k8s-api", value_name = "URL", help_heading = LIVE)]
    pub k8s_api: Option<String>,

    /// Credentials for the API server: a file with a bearer token, or the PEM files CERT:KEY or
    /// CERT:KEY:CA
    #[arg(short = 'K', long = "k8s-api-cert", value_name = "CREDENTIALS", help_heading = LIVE)]
    pub k8s_api_cert: Option<String>,

    /// Check the API server's certificate by the certificates in this file
    #[arg(long, value_name = "FILE", help_heading = LIVE)]
    pub k8s_ca: Option<std::path::PathBuf>,

    /// Ask the API server of the current context of this file
    #[arg(long, value_name = "FILE", help_heading = LIVE)]
    pub kubeconfig: Option<std::path::PathBuf>,

    /// Name of this machine's node: only its pods are asked for [default: NODE_NAME, else the host's
    /// name if a node has it]
    #[arg(long, value_name = "NAME", help_heading = LIVE)]
    pub node_name: Option<String>,

    /// Ask no Kubernetes API server
    #[arg(long, help_heading = LIVE)]
    pub no_k8s: bool,

    /// Show the messages of the probe (needs a debug build of it, see --probe)
    #[arg(long, help_heading = LIVE)]
    pub probe_log: bool,

    /// Load this probe object instead of the one built in
    #[arg(long, value_name = "FILE", help_heading = LIVE)]
    pub probe: Option<std::path::PathBuf>,

    /// End with exit code 3 if any event was lost
    #[arg(long, help_heading = LIVE)]
    pub strict: bool,

    /// Leave nothing out in the kernel: the filter is evaluated outside of it alone
    #[arg(long, help_heading = LIVE)]
    pub no_kernel_filter: bool,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,

    /// Accepted and ignored, as numbers are never turned into names
    #[arg(short = 'N', hide = true)]
    pub numeric: bool,

    /// Words of the filter
    #[arg(value_name = "FILTER", allow_negative_numbers = true)]
    pub words: Vec<String>,

    /// A command to watch
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<OsString>,

    /// Forms of buffers that were asked for, in the order of the words.
    #[arg(skip)]
    pub buffer_forms: Vec<BufferFormat>,

    /// For each chisel, how many of `words` stand before it and whether one stands right after.
    #[arg(skip)]
    pub chisel_places: Vec<ChiselPlace>,
}

/// The options that choose a form of buffers.
const BUFFER_FORMS: &[(&str, BufferFormat)] = &[
    ("print_ascii", BufferFormat::Ascii),
    ("print_base64", BufferFormat::Base64),
    ("print_hex", BufferFormat::Hex),
    ("print_hex_ascii", BufferFormat::HexAscii),
];

/// Where a `-c NAME` stands among the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChiselPlace {
    /// Index in `words` of the word right after it, if one stands there.
    pub next_word: Option<usize>,
}

/// `--compress`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// Checksummed zstd frames.
    Zstd,
    /// One gzip stream.
    Gzip,
    /// Nothing.
    None,
}

impl RawArgs {
    /// Parses a command line, program name first.
    ///
    /// The error carries what to print and where; `--help` and `--version` come back as errors
    /// of their own kind.
    pub fn parse_words<I, T>(words: I) -> Result<RawArgs, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let matches = RawArgs::command().try_get_matches_from(words)?;
        let mut args = RawArgs::from_arg_matches(&matches)?;
        let mut forms: Vec<(usize, BufferFormat)> = BUFFER_FORMS
            .iter()
            .filter(|(id, _)| matches.value_source(id) == Some(ValueSource::CommandLine))
            .filter_map(|&(id, form)| Some((matches.index_of(id)?, form)))
            .collect();
        forms.sort_by_key(|&(at, _)| at);
        args.buffer_forms = forms.into_iter().map(|(_, form)| form).collect();
        let words: Vec<usize> = matches.indices_of("words").map(Iterator::collect).unwrap_or_default();
        args.chisel_places = matches
            .indices_of("chisel")
            .into_iter()
            .flatten()
            .map(|at| ChiselPlace { next_word: words.iter().position(|&w| w == at + 1) })
            .collect();
        Ok(args)
    }
}

/// Exit code for a failed parse: help and version are no failures.
pub fn exit_code(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
