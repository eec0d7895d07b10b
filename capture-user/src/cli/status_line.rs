//! [`StatusLine`]: one line of standard error that is written over and over.

use super::report;

/// The line.
#[derive(Debug, Default)]
pub(crate) struct StatusLine {
    /// Characters that stand on it, to wipe them.
    width: usize,
}

impl StatusLine {
    /// Puts a text in the place of the one before.
    pub(crate) fn put(&mut self, text: &str, end: &str) {
        let wiped = " ".repeat(self.width);
        self.width = text.trim_start().len();
        report::say(&format!("\r{wiped}\r{text}{end}"));
    }

    /// Leaves it empty for what is said next.
    pub(crate) fn wipe(&mut self) {
        if self.width > 0 {
            self.put("", "");
        }
    }
}
