//! Errors of chisels, worded as users of sysdig know them.

/// Why a chisel cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ChiselError {
    /// There is none of this name.
    #[error("no chisel named {name:?}{hint}; `capture -cl` lists them")]
    Unknown {
        /// The name asked for.
        name: String,
        /// `, did you mean …?` or nothing.
        hint: String,
    },
    /// Required arguments and no word to take them from.
    #[error("missing arguments for chisel {0}")]
    MissingArgs(&'static str),
    /// A quote in the arguments is not closed.
    #[error("corrupted parameters for chisel {0}: a quote is not closed")]
    Quotes(&'static str),
    /// Fewer values than required arguments.
    #[error("wrong number of parameters for chisel {name}, {required} required, {given} given")]
    TooFew {
        /// The chisel.
        name: &'static str,
        /// How many it requires.
        required: usize,
        /// How many were given.
        given: usize,
    },
    /// More values than arguments.
    #[error("too many parameters for chisel {name}, {required} required, {optional} optional, {given} given")]
    TooMany {
        /// The chisel.
        name: &'static str,
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
        name: &'static str,
        /// The argument.
        arg: String,
        /// What is wrong.
        reason: String,
    },
    /// The chisel's own filter does not compile.
    #[error("invalid filter in chisel {name}: {error}")]
    Filter {
        /// The chisel.
        name: &'static str,
        /// Why.
        error: Box<filter_lang::FilterError>,
    },
    /// The chisel's own output format does not compile.
    #[error("invalid format in chisel {name}: {error}")]
    Format {
        /// The chisel.
        name: &'static str,
        /// Why.
        error: capture_engine::format::FormatError,
    },
}
