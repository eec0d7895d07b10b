//! `--probe-log`: messages that a debug build of the probe (`cargo xtask ebpf --log`) writes with
//! aya-log, on stderr as they come.

use super::{error::LiveError, load::Probe};
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use std::io::Write;

/// Writes each message as one line to stderr.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let place = record.file().zip(record.line());
        let (file, line) = place.unwrap_or(("?", 0));
        // A closed stderr must not end the capture.
        let _ = writeln!(std::io::stderr(), "probe: {file}:{line}: {}", record.args());
    }

    fn flush(&self) {}
}

/// The probe's log.
pub(crate) struct ProbeLog(EbpfLogger<Stderr>);

impl ProbeLog {
    /// Takes the log map out of the loaded probe.
    pub(crate) fn open(probe: &mut Probe) -> Result<Self, LiveError> {
        let logger = EbpfLogger::init_with_logger(probe.ebpf(), Stderr);
        logger.map(Self).map_err(|_| LiveError::BadObject {
            what: "it has no log messages: build one that has with `cargo xtask ebpf --log`".to_owned(),
        })
    }

    /// Prints what came.
    pub(crate) fn flush(&mut self) {
        self.0.flush();
    }
}
