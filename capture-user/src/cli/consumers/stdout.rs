//! Standard output through one reused buffer; where a command has it, standard error.

use crate::cli::error::CliError;
use std::io::{self, Write};

/// Bytes that may wait before they are written out.
const FULL_BYTES: usize = 64 << 10;

/// Collects text and writes it in large pieces.
#[derive(Debug, Default)]
pub(crate) struct Stdout {
    /// What waits to be written; append here.
    pub(crate) buffer: Vec<u8>,
    /// Write out after every line.
    pub(crate) unbuffered: bool,
    /// Write to standard error instead.
    pub(crate) is_stderr: bool,
}

impl Stdout {
    /// Called after something was appended.
    #[inline]
    pub(crate) fn appended(&mut self) -> Result<(), CliError> {
        if self.buffer.len() >= FULL_BYTES || (self.unbuffered && !self.buffer.is_empty()) {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes out what waits.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = if self.is_stderr {
            let written = io::stderr().lock().write_all(&self.buffer);
            self.buffer.clear();
            written
        } else {
            write_out(&mut self.buffer)
        };
        written.map_err(CliError::Stdout)
    }
}

/// Writes text to standard output and empties the buffer, even if that fails.
pub(crate) fn write_out(buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(buffer).and_then(|()| out.flush());
    buffer.clear();
    written
}
