//! Errors of the command line, and the exit codes they end in.

use crate::enrich::kubernetes::AccessError;
use crate::live::LiveError;
use capture_common::stream::StreamError;
use capture_engine::render::BufferFormat;
use std::io;

/// What ended the run early.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Options that do not go together.
    #[error("{0}\nTry `capture --help`.")]
    Usage(String),
    /// Two of `-A`, `-b`, `-x` and `-X`: sysdig's sentence, and its exit code.
    #[error("you cannot specify more than one output format")]
    TwoBufferFormats {
        /// The one that came second.
        second: BufferFormat,
    },
    /// An option's value does not parse.
    #[error("{option} {value:?}: expected {expected}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        expected: String,
    },
    /// The filter does not compile. The text holds the caret and the reason.
    #[error("{0}")]
    Filter(#[from] Box<filter_lang::FilterError>),
    /// A file of macros is no rule file.
    #[error("--macros {file}: {error}")]
    Macros {
        /// The file.
        file: String,
        /// Line, column and reason.
        error: filter_lang::LibraryError,
    },
    /// A dump tells of no container.
    #[error("{option} {file}: {error}")]
    Dump {
        /// The option that named it.
        option: &'static str,
        /// The file.
        file: String,
        /// Why.
        error: crate::enrich::DumpError,
    },
    /// The format does not compile.
    #[error("-p: {0}")]
    Format(#[from] capture_engine::format::FormatError),
    /// A chisel does not exist, or its arguments are wrong, or it failed.
    #[error("{0}")]
    Chisel(#[from] chisels::ChiselError),
    /// The live capture cannot start or failed.
    #[error("{0}")]
    Live(#[from] LiveError),
    /// What was said of the Kubernetes API server leads nowhere.
    #[error("Kubernetes: {0}")]
    Kubernetes(#[from] AccessError),
    /// A source or a sink failed.
    #[error("{0}")]
    Stream(StreamError),
    /// Standard output failed (a reader that went away is no error).
    #[error("writing to standard output: {0}")]
    Stdout(#[source] io::Error),
    /// `--strict`, and events are missing.
    #[error("{0} events were lost (--strict)")]
    Lost(u64),
    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
}

impl CliError {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        CliError::Usage(text.into())
    }

    pub(crate) fn value(option: &'static str, value: &str, expected: String) -> Self {
        CliError::Value { option, value: value.to_string(), expected }
    }

    /// Exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Lost(_) => 3,
            // As shells and env(1) have it.
            CliError::Live(LiveError::NoCommand { .. }) => 127,
            CliError::Live(LiveError::NotStarted { .. }) => 126,
            // Scripts may know sysdig's answer: it ends with 0 where the second one is -A or -b.
            CliError::TwoBufferFormats { second: BufferFormat::Ascii | BufferFormat::Base64 } => 0,
            _ => 1,
        }
    }
}
