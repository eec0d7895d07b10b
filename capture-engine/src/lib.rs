//! Machine state, fields and formatting for capture; does no I/O.
#![forbid(unsafe_code)]
