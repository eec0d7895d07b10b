//! Container engines and API servers for tests: good ones, and ones that lie, stall and flood. The clients'
//! own tests and those of the whole program ask the same ones.
//!
//! They know nothing of the program under test, so that they cannot agree with it on a mistake. Their
//! threads go on until the test program ends. What a client does to them (it went away, it refuses to
//! read on) is its right, and never a failure here.

pub mod cri;
mod damage;
mod fault;
pub mod http;
pub mod kubernetes;

pub use damage::damage;
pub use fault::Fault;
