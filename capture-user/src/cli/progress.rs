//! `-P`: how much of the files is read, in percent, on standard error, over and over on one line.

use super::status_line::StatusLine;

/// Least step that is shown, in percent.
const STEP: f64 = 0.1;

/// The line.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shown: f64,
    line: StatusLine,
}

impl Progress {
    /// Shows how much of the size is read, if that is more than a little further.
    pub(crate) fn show(&mut self, read: u64, size: u64) {
        if size == 0 {
            return;
        }
        let percent = read.min(size) as f64 * 100.0 / size as f64;
        // The end is said by `end`: reading runs ahead of the events.
        if percent - self.shown > STEP && percent < 100.0 {
            self.shown = percent;
            self.line.put(&format!("{percent:.2}"), "");
        }
    }

    /// Everything is read.
    pub(crate) fn end(&mut self) {
        self.line.put("\r100.00", "\n");
    }
}
