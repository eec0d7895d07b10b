//! The program `capture` as a library, so that tests can call its parts.
//!
//! Owns the live collector ([`live`]), the clients of container engines ([`enrich`]), what keeps
//! secrets out ([`redact`]) and the command line ([`cli`]).
//!
//! **Invariant:** `live` knows nothing of output; `unsafe` is allowed there and nowhere else.
#![deny(unsafe_code)]

pub mod cli;
pub mod enrich;
pub mod live;
pub mod redact;
