//! Reads and writes .scap capture files.
#![forbid(unsafe_code)]
