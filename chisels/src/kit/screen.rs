//! [`Screen`]: how a result that is renewed every second is shown.
//!
//! A live capture on a terminal draws over what was there; elsewhere results follow each other as
//! text. With `-j` there is nothing but JSON.

use crate::api::Settings;

const CLEAR: &[u8] = b"\x1b[2J";
const TO_THE_TOP: &[u8] = b"\x1b[0;0H";
const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

/// Where results go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Screen {
    is_terminal: bool,
    is_json: bool,
    is_live: bool,
}

impl Screen {
    /// By what the user asked for.
    pub(crate) fn new(settings: &Settings) -> Screen {
        Screen { is_terminal: settings.terminal.is_some(), is_json: settings.json, is_live: false }
    }

    fn draws(self) -> bool {
        self.is_live && self.is_terminal && !self.is_json
    }

    /// The input is open.
    pub(crate) fn start(&mut self, is_live: bool, out: &mut Vec<u8>) {
        self.is_live = is_live;
        if self.draws() {
            out.extend_from_slice(CLEAR);
            out.extend_from_slice(HIDE_CURSOR);
        }
    }

    /// A result that others follow.
    pub(crate) fn renew(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.draws() {
            out.extend_from_slice(CLEAR);
            out.extend_from_slice(TO_THE_TOP);
        }
        write(out);
        if self.is_live && !self.is_terminal && !self.is_json {
            out.push(b'\n');
        }
    }

    /// The input is over. Answers whether a last result is wanted.
    pub(crate) fn end(self, out: &mut Vec<u8>) -> bool {
        if self.draws() {
            out.extend_from_slice(CLEAR);
            out.extend_from_slice(TO_THE_TOP);
            out.extend_from_slice(SHOW_CURSOR);
        }
        !self.draws()
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.is_json
    }
}
