//! Tasks of the project; bare `cargo xtask` lists them.
#![forbid(unsafe_code)]
fn main() {}
