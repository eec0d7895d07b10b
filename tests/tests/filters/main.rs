//! Filters over recorded events: as many events match as in two versions of stock sysdig, and as
//! a plain reading of the language finds; what the command line says of filters.

mod cli;
mod differences;
mod differential;
mod recorded_counts;
mod reference;
mod support;
