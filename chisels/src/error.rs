//! Errors of chisels, worded as users of sysdig know them.

use std::io;

/// Why a chisel cannot run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ChiselError {
    /// There is none of this name.
    #[error("no chisel named {name:?}; {hint}`capture -cl` lists them all")]
    Unknown {
        /// The name asked for.
        name: String,
        /// `did you mean …? ` or nothing.
        hint: String,
    },
    /// Required arguments and no word to take them from.
    #[error("missing arguments for chisel {0}; `capture -i {0}` tells them")]
    MissingArgs(String),
    /// A quote in the arguments is not closed.
    #[error("corrupted parameters for chisel {0}: a quote is not closed")]
    Quotes(String),
    /// Fewer values than required arguments.
    #[error(
        "wrong number of parameters for chisel {name}, {required} required, {given} given; `capture -i {name}` tells them"
    )]
    TooFew {
        /// The chisel.
        name: String,
        /// How many it requires.
        required: usize,
        /// How many were given.
        given: usize,
    },
    /// More values than arguments.
    #[error(
        "too many parameters for chisel {name}, {required} required, {optional} optional, {given} given; `capture -i \
         {name}` tells them"
    )]
    TooMany {
        /// The chisel.
        name: String,
        /// How many it requires.
        required: usize,
        /// How many more it takes.
        optional: usize,
        /// How many were given.
        given: usize,
    },
    /// A value does not fit its argument.
    #[error("chisel {name}, argument {arg}: {reason}")]
    BadArg {
        /// The chisel.
        name: String,
        /// The argument.
        arg: String,
        /// What is wrong.
        reason: String,
    },
    /// The chisel's own filter does not compile.
    #[error("invalid filter in chisel {name}: {error}")]
    Filter {
        /// The chisel.
        name: String,
        /// Why.
        error: Box<filter_lang::FilterError>,
    },
    /// A field or an output format that the chisel asks for does not exist.
    #[error("invalid format in chisel {name}: {error}")]
    Format {
        /// The chisel.
        name: String,
        /// Why.
        error: capture_engine::format::FormatError,
    },
    /// The file of a Lua chisel cannot be read.
    #[error("can't open file {path}: {error}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file of a Lua chisel is no chisel.
    #[error("Failed to load chisel {name}: {reason}")]
    Load {
        /// The chisel.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// A Lua file runs but is no chisel: a library or a view.
    #[error("Failed to load chisel {0}: args table missing")]
    NoChisel(String),
    /// A callback of a Lua chisel failed.
    #[error("{name} chisel error in {callback}(): {reason}")]
    Callback {
        /// The chisel.
        name: String,
        /// The callback.
        callback: &'static str,
        /// Where and why.
        reason: String,
    },
    /// A Lua chisel refuses to start.
    #[error("init() for chisel {0} failed.")]
    Refused(String),
    /// A Lua chisel refuses an argument.
    #[error("set_arg() for chisel {name} failed: it does not take {value:?} as {arg}")]
    RefusedArg {
        /// The chisel.
        name: String,
        /// The argument.
        arg: String,
        /// The value.
        value: String,
    },
    /// The interval callback of a Lua chisel asked for the end.
    #[error("execution terminated by the {0} chisel")]
    Terminated(String),
    /// Chisels hand over to each other without end.
    #[error("chisel {0}: more than {max} chisels hand over to each other", max = crate::runner::HANDOVERS_MAX)]
    Handovers(String),
    /// The chisel asked for the end of the program, with this exit code. Not a failure by itself.
    #[error("a chisel ended the program with code {0}")]
    Exit(i32),
    /// Its text cannot be written.
    #[error("writing to standard output: {0}")]
    Output(#[source] io::Error),
}
