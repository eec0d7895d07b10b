//! `spectrogram`, `subsecoffset`: how often something happens, as rows of colours down the terminal.
//!
//! A row is a slice of time; a column is a range of durations on a logarithmic scale, or a part of the
//! slice. Colours go from green (tens per second) to red (thousands).

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings, Tick};
use crate::control::{Control, Interval};
use crate::error::ChiselError;
use crate::kit::{bad_arg, number_arg};
use crate::text::{write_duration, write_number};
use capture_engine::EventView;
use std::io::Write;

const NS_PER_MS: f64 = 1e6;
const NS_PER_S: f64 = 1e9;
/// Colours of the 256 of a terminal, from rare to frequent.
const PALETTE: [u8; 20] =
    [22, 28, 64, 34, 2, 76, 46, 118, 154, 191, 227, 226, 11, 220, 209, 208, 202, 197, 9, 1];
/// How much of the second colour shines through.
const FILLS: [&str; 4] = [" ", "░", "▒", "░"];
/// One colour to the next, as a factor of frequency.
const STEP: f64 = 1.6;
/// Powers of ten on the scale of durations: 1 ns to 100 s.
const DECADES: usize = 11;
const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";
const UP: &[u8] = b"\x1b[1F";
const RESET: &[u8] = b"\x1b[0m";
const BLACK: &[u8] = b"\x1b[38;5;0m\x1b[48;5;0m";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Duration,
    Offset,
}

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    axis: Axis,
    filter: &'static str,
    refresh_ms: f64,
}

static ARGS: [ArgSpec; 1] = [ArgSpec::optional("refresh_time", "int", "Milliseconds that a row stands for")];

#[rustfmt::skip]
static ROWS: [Row; 2] = [
    Row {
        meta: Meta::new("spectrogram", "CPU Usage", "Durations of system calls as a heat map",
            "Draws how long system calls take: each row is half a second, or the time given, each column a \
             range of durations, from 1 ns on the left to 100 s on the right. Green is tens of calls per \
             second, yellow hundreds, red thousands. It needs a terminal.", &ARGS),
        axis: Axis::Duration, filter: "evt.dir=<", refresh_ms: 500.0,
    },
    Row {
        meta: Meta::new("subsecoffset", "CPU Usage", "When in a second system calls are made, as a heat map",
            "Draws when system calls are made: each row is a second, or the time given, each column a part \
             of it, so that what repeats itself shows as a pattern. Green is tens of calls per second, yellow \
             hundreds, red thousands. It needs a terminal.", &ARGS),
        axis: Axis::Offset, filter: "evt.dir=>", refresh_ms: 1000.0,
    },
];

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    Some(Box::new(HeatMap { row, refresh_ns: row.refresh_ms * NS_PER_MS, counts: Vec::new() }))
}

/// The chisel.
#[derive(Debug)]
struct HeatMap {
    row: &'static Row,
    refresh_ns: f64,
    /// By column.
    counts: Vec<u32>,
}

impl Chisel for HeatMap {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        let ms = number_arg(&self.row.meta.name, name, value)?;
        if ms < 1.0 {
            return Err(bad_arg(&self.row.meta.name, name, "it must be at least 1 ms"));
        }
        self.refresh_ns = ms * NS_PER_MS;
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        let Some((columns, _)) = settings.terminal else {
            control.out.extend_from_slice(b"This chisel only works on ANSI terminals. Aborting.\n");
            return Err(ChiselError::Refused(self.row.meta.name.to_string()));
        };
        self.counts = vec![0; usize::from(columns)];
        control.set_filter(&self.row.meta.name, self.row.filter)?;
        control.out.extend_from_slice(HIDE_CURSOR);
        if self.row.axis == Axis::Offset {
            let text = "Tracing syscalls... red (hot) == high frequency <-> green == low frequency.\n\n";
            control.out.extend_from_slice(text.as_bytes());
        }
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, control: &mut Control) -> Result<(), ChiselError> {
        control.set_interval(Interval::Sample(self.refresh_ns as u64));
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let width = self.counts.len();
        let column = match self.row.axis {
            Axis::Duration => match event.applied.latency_ns {
                0 => return Ok(()),
                ns => ((ns as f64).log10() * width as f64 / DECADES as f64) as usize,
            },
            Axis::Offset => {
                let slice_ns = self.refresh_ns as u64;
                let offset = (event.raw.ts_ns % slice_ns) as f64 / slice_ns as f64;
                (offset * width as f64) as usize
            }
        };
        // What is off the right end is in the last column.
        if let Some(count) = self.counts.get_mut(column.min(width.saturating_sub(1))) {
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    fn on_interval(&mut self, _: Tick, _: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.draw(&mut control.out);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.draw(&mut control.out);
        control.out.extend_from_slice(RESET);
        control.out.push(b'\n');
        control.out.extend_from_slice(SHOW_CURSOR);
        Ok(())
    }
}

impl HeatMap {
    /// A row over the scale of before, and the scale again.
    fn draw(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(UP);
        for count in &mut self.counts {
            match std::mem::take(count) {
                0 => {
                    out.extend_from_slice(BLACK);
                    out.push(b' ');
                }
                count => {
                    let (front, back, fill) = colour(f64::from(count) * NS_PER_S / self.refresh_ns);
                    // Writing to a Vec cannot fail.
                    let _ = write!(out, "\x1b[38;5;{front}m\x1b[48;5;{back}m{fill}");
                }
            }
        }
        out.extend_from_slice(RESET);
        out.push(b'\n');
        self.scale(out);
    }

    fn scale(&self, out: &mut Vec<u8>) {
        let width = self.counts.len();
        let parts = match self.row.axis {
            Axis::Duration => DECADES,
            Axis::Offset => 10,
        };
        let mut line: Vec<u8> = Vec::new();
        for part in 0..parts {
            // The first column of the part, as far as what stands there already leaves it.
            let at = (part * width).div_ceil(parts);
            let mut label = b"|".to_vec();
            match self.row.axis {
                Axis::Duration => write_duration(&mut label, 10u64.pow(part as u32)),
                Axis::Offset => {
                    write_number(&mut label, part as f64 * self.refresh_ns / NS_PER_MS / parts as f64);
                    label.extend_from_slice(b"ms");
                }
            }
            if at < line.len() || at + label.len() > width {
                continue;
            }
            line.resize(at, b' ');
            line.extend_from_slice(&label);
        }
        line.resize(width, b' ');
        out.extend_from_slice(&line);
        out.push(b'\n');
    }
}

/// Two colours and how they are mixed, for a number of events per second.
fn colour(per_second: f64) -> (u8, u8, &'static str) {
    let at = ((per_second + 1.0).log10() / STEP.log10()).clamp(1.0, PALETTE.len() as f64);
    let part = at.fract();
    let [low, high] = [at.floor(), at.ceil()].map(|at| PALETTE[at as usize - 1]);
    let fill = FILLS[(part * FILLS.len() as f64) as usize];
    // Three quarters are one quarter the other way round.
    if part > 0.75 { (high, low, fill) } else { (low, high, fill) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_from_green_to_red() {
        assert_eq!(colour(0.1), (22, 22, " "));
        assert_eq!(colour(1e9).0, 1);
        assert_eq!(colour(1e9).1, 1);
    }

    #[test]
    fn scales_fit_the_width() {
        for row in &ROWS {
            for width in [0, 1, 40, 80, 200] {
                let map = HeatMap { row, refresh_ns: row.refresh_ms * NS_PER_MS, counts: vec![0; width] };
                let mut out = Vec::new();
                map.scale(&mut out);
                assert_eq!(out.len(), width + 1);
            }
        }
        let map = HeatMap { row: &ROWS[1], refresh_ns: 1e9, counts: vec![0; 60] };
        let mut out = Vec::new();
        map.scale(&mut out);
        assert!(out.starts_with(b"|0ms  |100ms|200ms"), "{}", String::from_utf8_lossy(&out));
    }
}
