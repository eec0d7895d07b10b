//! `flame`: where the time of system calls went, by process tree: folded stacks, as the flame graph
//! tools take them, or a drawing.
//!
//! A stack is the process's ancestors, the process and the call. sysdig's file of this name draws
//! tracers, which no system records any more.

use super::flame_svg;
use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{JsonLine, Totals, bad_arg};
use crate::state::visible;
use capture_engine::render::event_name;
use capture_engine::{EventView, Thread};
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "flame",
    "Performance",
    "Time of system calls by process tree, as a flame graph",
    "Sums up the time that system calls took by process tree. It prints folded stacks with microseconds, which \
     flamegraph.pl, inferno and speedscope read, or draws them: flame svg > calls.svg.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] = [ArgSpec::optional("form", "string", "folded (the default) or svg")];

/// Frames of a stack.
const DEPTH_MAX: usize = 64;
/// Stacks of processes that are remembered.
const STACKS_MAX: usize = 200_000;
const NS_PER_US: f64 = 1000.0;

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Flame {
    svg: bool,
    json: bool,
    totals: Totals,
    /// Frames of each process: name it had when they were put together, and the text.
    stacks: HashMap<i64, (Vec<u8>, Vec<u8>)>,
}

impl Chisel for Flame {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        self.svg = match value {
            "folded" => false,
            "svg" => true,
            _ => return Err(bad_arg(&META.name, name, format!("{value:?} is neither folded nor svg"))),
        };
        Ok(())
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.json = settings.json;
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.totals.clear();
        self.stacks.clear();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let ns = event.applied.latency_ns;
        let call = event_name(event);
        if ns == 0 || !event.raw.code.is_exit() || call == "switch" {
            return Ok(());
        }
        let Some(main) = event.main_thread() else { return Ok(()) };
        let known = self.stacks.get(&main.pid).filter(|(comm, _)| comm[..] == main.comm[..]);
        if known.is_none() {
            if self.stacks.len() >= STACKS_MAX {
                self.stacks.clear();
            }
            let ancestors: Vec<&Thread> = event.machine.ancestors(main).take(DEPTH_MAX).collect();
            let mut stack = Vec::new();
            for thread in ancestors.into_iter().rev().chain([main]) {
                stack.extend(frame(&thread.comm));
                stack.push(b';');
            }
            self.stacks.insert(main.pid, (main.comm.to_vec(), stack));
        }
        let key = self.totals.part(0);
        key.extend_from_slice(&self.stacks[&main.pid].1);
        key.extend_from_slice(call.as_bytes());
        let place = self.totals.place();
        self.totals.add_at(place, ns as f64);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let mut rows = self.totals.top(0);
        rows.sort_by(|a, b| a.0.cmp(b.0));
        let out = &mut control.out;
        if self.svg && !self.json {
            flame_svg::write(&rows, out);
            return Ok(());
        }
        for (stack, ns) in rows {
            if self.json {
                let mut json = JsonLine::begin(out);
                json.list("stack", |list| stack.split(|&b| b == b';').for_each(|frame| _ = list.item(frame)));
                json.number("ns", ns);
                json.end();
                continue;
            }
            out.extend_from_slice(stack);
            out.extend_from_slice(format!(" {}\n", (ns / NS_PER_US) as u64).as_bytes());
        }
        Ok(())
    }
}

/// A process's name without what separates frames.
fn frame(comm: &[u8]) -> Vec<u8> {
    let mut name = visible(comm);
    name.iter_mut().filter(|b| matches!(b, b';' | b' ')).for_each(|b| *b = b'_');
    if name.is_empty() { b"?".to_vec() } else { name }
}
