//! The readers and the table of objects on real answers, damaged ones and made-up ones; the client
//! against a server that can be told to behave badly.

mod access;
mod following;
mod misbehaviour;
mod relations;
