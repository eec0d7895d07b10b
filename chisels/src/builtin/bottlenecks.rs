//! `bottlenecks`: the calls that took longest, each with its enter and its exit.

use crate::api::{Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::JsonLine;
use crate::kit::fields::text_options;
use capture_engine::EventView;
use capture_engine::render::clock::push_seconds_ns;
use capture_engine::render::number::{dec_i64, dec_u64};
use capture_engine::render::text::push_visible;
use capture_engine::render::{TextOptions, event_name, push_args};
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "bottlenecks",
    "Performance",
    "System calls that took longest",
    "The ten system calls that took longest, slowest first: the line of the enter and the line of the exit, \
     which begins with the duration.",
    &[],
);

/// Calls that are shown.
const CALLS: usize = 10;
/// Context switches are no calls, though they have a latency.
const SWITCH: &str = "switch";

/// A slow call.
#[derive(Debug)]
struct Slow {
    latency_ns: u64,
    num: u64,
    ts_ns: u64,
    tid: i64,
    comm: Vec<u8>,
    name: &'static str,
    /// Line of the enter; empty where none was seen.
    enter: Vec<u8>,
    exit_args: Vec<u8>,
}

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Bottlenecks {
    text: TextOptions,
    json: bool,
    /// Slowest first.
    slow: Vec<Slow>,
    /// Line of each thread's last enter.
    enters: HashMap<i64, Vec<u8>>,
}

impl Chisel for Bottlenecks {
    fn meta(&self) -> &Meta {
        &META
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.text = text_options(settings);
        self.json = settings.json;
        Ok(None)
    }

    #[inline]
    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let latency_ns = event.applied.latency_ns;
        // Nearly all exits are faster than the tenth.
        if latency_ns != 0 && self.slow.len() == CALLS && latency_ns <= self.slow[CALLS - 1].latency_ns {
            return Ok(());
        }
        let name = event_name(event);
        if name == SWITCH {
            return Ok(());
        }
        let tid = event.raw.tid;
        if latency_ns == 0 {
            let line = self.enters.entry(tid).or_default();
            line.clear();
            push_enter(line, event, name, &self.text);
            return Ok(());
        }
        let at = self.slow.partition_point(|slow| slow.latency_ns >= latency_ns);
        self.slow.truncate(CALLS - usize::from(self.slow.len() == CALLS));
        let mut exit_args = Vec::new();
        push_args(&mut exit_args, event, &self.text);
        let slow = Slow {
            latency_ns,
            num: event.applied.num,
            ts_ns: event.raw.ts_ns,
            tid,
            comm: event.thread().map(|thread| thread.comm.to_vec()).unwrap_or_default(),
            name,
            enter: self.enters.get(&tid).cloned().unwrap_or_default(),
            exit_args,
        };
        self.slow.insert(at, slow);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.enters.clear();
        for slow in self.slow.drain(..) {
            match self.json {
                true => slow.write_json(&mut control.out),
                false => slow.write(&mut control.out),
            }
        }
        Ok(())
    }
}

/// `4) 0.000000000 cat (17) > read fd=3(<f>/etc/hosts) size=80 `.
fn push_enter(out: &mut Vec<u8>, event: &EventView<'_>, name: &str, text: &TextOptions) {
    dec_u64(out, event.applied.num);
    out.extend_from_slice(b") 0.000000000 ");
    if let Some(thread) = event.thread() {
        push_visible(out, &thread.comm);
    }
    push_tid_and_name(out, event.raw.tid, b'>', name);
    push_args(out, event, text);
}

fn push_tid_and_name(out: &mut Vec<u8>, tid: i64, direction: u8, name: &str) {
    out.extend_from_slice(b" (");
    dec_i64(out, tid);
    out.extend_from_slice(b") ");
    out.push(direction);
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
}

impl Slow {
    fn write(&self, out: &mut Vec<u8>) {
        if !self.enter.is_empty() {
            out.extend_from_slice(&self.enter);
            out.push(b'\n');
        }
        dec_u64(out, self.num);
        out.extend_from_slice(b") ");
        push_seconds_ns(out, self.latency_ns);
        out.push(b' ');
        push_visible(out, &self.comm);
        push_tid_and_name(out, self.tid, b'<', self.name);
        out.extend_from_slice(&self.exit_args);
        out.push(b'\n');
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let mut json = JsonLine::begin(out);
        json.uint("evt.rawtime", self.ts_ns).uint("evt.num", self.num).uint("evt.latency", self.latency_ns);
        json.text("proc.name", &self.comm).int("thread.tid", self.tid).text("evt.type", self.name.as_bytes());
        json.text("evt.args", self.exit_args.trim_ascii_end());
        json.maybe("enter", Some(self.enter.trim_ascii_end()).filter(|line| !line.is_empty()));
        json.end();
    }
}
