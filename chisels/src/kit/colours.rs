//! Colours of sysdig's chisels.

/// The colours in use; all empty without colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colours {
    pub(crate) red: &'static str,
    pub(crate) green: &'static str,
    pub(crate) yellow: &'static str,
    pub(crate) blue: &'static str,
    pub(crate) cyan: &'static str,
    pub(crate) reset: &'static str,
}

impl Colours {
    /// The sequences of ANSI terminals.
    pub(crate) const ON: Colours = Colours {
        red: "\x1b[31m",
        green: "\x1b[32m",
        yellow: "\x1b[33m",
        blue: "\x1b[34m",
        cyan: "\x1b[36m",
        reset: "\x1b[0m",
    };
    /// None.
    pub(crate) const OFF: Colours = Colours { red: "", green: "", yellow: "", blue: "", cyan: "", reset: "" };

    /// The last line of coloured text: what follows has the terminal's own colour again.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.reset.as_bytes());
        out.push(b'\n');
    }
}

impl Default for Colours {
    fn default() -> Self {
        Colours::ON
    }
}

/// Whether a value of the argument `disable_color` means it. sysdig's help names one form and its
/// chisels take the other.
pub(crate) fn disables(value: &str) -> bool {
    matches!(value, "disable_color" | "disable_colors")
}
