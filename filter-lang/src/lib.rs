//! The capture filter language: grammar, type check, compiled filters over any catalogue of fields.
#![forbid(unsafe_code)]
