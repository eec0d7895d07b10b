//! `evt.outputtime`: the time column, in the form that option `-t` chooses.

use crate::render::TextOptions;
use crate::render::clock::{Fraction, push_seconds_ns, push_time_of_day};
use crate::view::EventView;

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
}

impl OutputTime {
    pub(super) fn new(form: TimeForm) -> Self {
        OutputTime { form, previous_ns: None }
    }

    /// Appends the time of an event.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>, view: &EventView<'_>, options: &TextOptions) {
        let ts_ns = view.raw.ts_ns;
        match self.form {
            TimeForm::Human => push_time_of_day(out, &options.zone, ts_ns, Fraction::Ns),
            TimeForm::Absolute => push_seconds_ns(out, ts_ns),
            TimeForm::Relative => push_seconds_ns(out, ts_ns.saturating_sub(view.applied.first_ts_ns)),
            TimeForm::Latency => push_seconds_ns(out, view.applied.latency_ns),
            TimeForm::Delta => push_seconds_ns(out, ts_ns.saturating_sub(self.previous_ns.unwrap_or(ts_ns))),
        }
    }

    /// Notes that an event was formatted.
    #[inline]
    pub(super) fn written(&mut self, ts_ns: u64) {
        self.previous_ns = Some(ts_ns);
    }
}
