//! `evt.outputtime`: the time column, in the form that option `-t` chooses.

use crate::render::TextOptions;
use crate::render::clock::{Fraction, push_seconds_ns, push_time_of_day};
use crate::render::number::nine_digits;
use crate::view::EventView;
use std::cell::Cell;

const NS_PER_S: u64 = 1_000_000_000;

/// Form of the time column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimeForm {
    /// `h`: time of day in the zone.
    #[default]
    Human,
    /// `a`: seconds since the epoch.
    Absolute,
    /// `r`: seconds since the first event of the stream.
    Relative,
    /// `d`: for exits the time since the enter, for enters zero.
    Latency,
    /// `D`: time since the line before.
    Delta,
}

impl TimeForm {
    /// The form with this letter.
    pub fn from_letter(letter: &str) -> Option<TimeForm> {
        Some(match letter {
            "h" => TimeForm::Human,
            "a" => TimeForm::Absolute,
            "r" => TimeForm::Relative,
            "d" => TimeForm::Latency,
            "D" => TimeForm::Delta,
            _ => return None,
        })
    }
}

/// The column's state.
#[derive(Debug)]
pub(super) struct OutputTime {
    form: TimeForm,
    previous_ns: Option<u64>,
    /// The last second that was printed, and its text: `17:35:48.`
    second: Cell<(u64, [u8; SECOND_LEN])>,
}

const SECOND_LEN: usize = 9;

impl OutputTime {
    pub(super) fn new(form: TimeForm) -> Self {
        OutputTime { form, previous_ns: None, second: Cell::new((u64::MAX, [0; SECOND_LEN])) }
    }

    /// Appends the time of an event.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>, view: &EventView<'_>, options: &TextOptions) {
        let ts_ns = view.raw.ts_ns;
        match self.form {
            TimeForm::Human => self.push_time_of_day(out, ts_ns, options),
            TimeForm::Absolute => push_seconds_ns(out, ts_ns),
            TimeForm::Relative => push_seconds_ns(out, ts_ns.saturating_sub(view.applied.first_ts_ns)),
            TimeForm::Latency => push_seconds_ns(out, view.applied.latency_ns),
            TimeForm::Delta => push_seconds_ns(out, ts_ns.saturating_sub(self.previous_ns.unwrap_or(ts_ns))),
        }
    }

    #[inline]
    fn push_time_of_day(&self, out: &mut Vec<u8>, ts_ns: u64, options: &TextOptions) {
        let (second, text) = self.second.get();
        if second == ts_ns / NS_PER_S {
            out.extend_from_slice(&text);
            return nine_digits(out, (ts_ns % NS_PER_S) as u32);
        }
        let start = out.len();
        push_time_of_day(out, &options.zone, ts_ns, Fraction::Ns);
        if let Some(&text) = out[start..].first_chunk() {
            self.second.set((ts_ns / NS_PER_S, text));
        }
    }

    /// Notes that an event was formatted.
    #[inline]
    pub(super) fn written(&mut self, ts_ns: u64) {
        self.previous_ns = Some(ts_ns);
    }
}
