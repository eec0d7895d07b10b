//! The binary `capture`.
#![forbid(unsafe_code)]
fn main() {}
