//! The program `capture` as a library, so that tests can call its parts.
#![deny(unsafe_code)]
