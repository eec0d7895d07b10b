//! `tree`: the processes that did something, as a tree, with start, duration, exit code and command.

use crate::api::{Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::JsonLine;
use crate::kit::place::{HOST, Places};
use crate::state::visible;
use crate::text::{write_at_least, write_duration};
use capture_common::event_table::{code, signal_name};
use capture_engine::render::Zone;
use capture_engine::render::clock::{Fraction, push_time_of_day};
use capture_engine::{EventView, Thread};
use std::collections::{BTreeMap, HashMap};

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "tree",
    "System State",
    "Process tree with start, duration and exit code",
    "Shows the processes that had an event that passes the filter, and their ancestors, as a tree: when each \
     began, how long it ran, its exit code or the signal that ended it, its pod or container, and its command. \
     A dash stands for what was before the capture began or is after its end.",
    &[],
);

/// Processes that are remembered.
const PROCESSES_MAX: usize = 200_000;
/// Deepest level that is drawn.
const DEPTH_MAX: usize = 200;

/// A process.
#[derive(Clone, Debug, Default)]
struct Process {
    pid: i64,
    /// Index of the parent, if it is known.
    parent: Option<usize>,
    command: Vec<u8>,
    place: Vec<u8>,
    /// 0 where it was there before.
    start_ts_ns: u64,
    /// Wait status at the end, and when that was.
    end: Option<(Option<i64>, u64)>,
}

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Tree {
    zone: Zone,
    json: bool,
    places: Places,
    processes: Vec<Process>,
    /// Index of the process that has the pid now.
    by_pid: HashMap<i64, usize>,
    /// Threads of the last event, which is mostly that of the next, too.
    last_tid: i64,
}

impl Chisel for Tree {
    fn meta(&self) -> &Meta {
        &META
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.zone = settings.zone.clone();
        self.json = settings.json;
        self.places = Places::new(settings);
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        (self.processes, self.by_pid, self.last_tid) = Default::default();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let is_exit = matches!(event.raw.code, code::PROCEXIT_E | code::PROCEXIT_1_E);
        let is_start = event.info.is_some_and(|info| {
            info.code.is_exit()
                && matches!(info.name, "clone" | "clone3" | "fork" | "vfork" | "execve" | "execveat")
        });
        if event.raw.tid == self.last_tid && !is_exit && !is_start {
            return Ok(());
        }
        self.last_tid = event.raw.tid;
        let Some(main) = event.main_thread() else { return Ok(()) };
        let ancestors: Vec<&Thread> = event.machine.ancestors(main).take(DEPTH_MAX).collect();
        let mut parent = None;
        for ancestor in ancestors.into_iter().rev() {
            let place = if ancestor.container_id.is_empty() { HOST.to_vec() } else { Vec::new() };
            parent = self.process(ancestor, parent, place, false);
        }
        let place = self.places.of(event);
        let Some(at) = self.process(main, parent, place, is_start) else { return Ok(()) };
        if is_exit && event.raw.tid == main.tid {
            let status =
                event.info.and_then(|info| info.param_index("status")).and_then(|at| event.raw.int(at));
            self.processes[at].end = Some((status, event.raw.ts_ns));
        }
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (at, process) in self.processes.iter().enumerate() {
            children.entry(process.parent).or_default().push(at);
        }
        for list in children.values_mut() {
            list.sort_by_key(|&at| (self.processes[at].start_ts_ns, self.processes[at].pid));
        }
        let out = &mut control.out;
        if !self.json {
            self.line(out, b"START", b"RAN", b"EXIT", "", b"COMMAND");
        }
        for &root in children.get(&None).into_iter().flatten() {
            self.write(root, "", &children, end.ts_ns(), 0, out);
        }
        Ok(())
    }
}

impl Tree {
    /// Index of the thread's process.
    fn process(
        &mut self,
        main: &Thread,
        parent: Option<usize>,
        place: Vec<u8>,
        is_new_image: bool,
    ) -> Option<usize> {
        // A pid that is used again is another process. Threads may outlive their main one.
        let is_same = |at: &usize| !main.is_main() || self.processes[*at].start_ts_ns == main.clone_ts_ns;
        if let Some(at) = self.by_pid.get(&main.pid).copied().filter(is_same) {
            let process = &mut self.processes[at];
            if is_new_image {
                process.command = command(main);
            }
            if process.place.is_empty() || is_new_image {
                process.place = place;
            }
            return Some(at);
        }
        if self.processes.len() >= PROCESSES_MAX {
            return None;
        }
        let at = self.processes.len();
        let start_ts_ns = main.clone_ts_ns;
        self.processes.push(Process {
            pid: main.pid,
            parent,
            command: command(main),
            place,
            start_ts_ns,
            end: None,
        });
        self.by_pid.insert(main.pid, at);
        Some(at)
    }

    fn write(
        &self,
        at: usize,
        indent: &str,
        children: &BTreeMap<Option<usize>, Vec<usize>>,
        last_ts_ns: u64,
        depth: usize,
        out: &mut Vec<u8>,
    ) {
        let process = &self.processes[at];
        let own = children.get(&Some(at)).map_or(&[][..], Vec::as_slice);
        match self.json {
            true => self.write_json(process, out),
            false => self.write_line(process, indent, last_ts_ns, out),
        }
        if depth >= DEPTH_MAX {
            return;
        }
        // The branch that leads to this process becomes what passes beside its children.
        let beside = indent.replace("├─ ", "│  ").replace("└─ ", "   ");
        for (number, &child) in own.iter().enumerate() {
            let branch = if number + 1 == own.len() { "└─ " } else { "├─ " };
            self.write(child, &format!("{beside}{branch}"), children, last_ts_ns, depth + 1, out);
        }
    }

    fn write_line(&self, process: &Process, indent: &str, last_ts_ns: u64, out: &mut Vec<u8>) {
        let (mut start, mut ran) = (Vec::new(), Vec::new());
        match process.start_ts_ns {
            0 => start.push(b'-'),
            ts_ns => push_time_of_day(&mut start, &self.zone, ts_ns, Fraction::Ns),
        }
        match (process.start_ts_ns, process.end) {
            (0, _) => ran.push(b'-'),
            (ts_ns, Some((_, end_ts_ns))) => write_duration(&mut ran, end_ts_ns.saturating_sub(ts_ns)),
            (ts_ns, None) => {
                ran.push(b'>');
                write_duration(&mut ran, last_ts_ns.saturating_sub(ts_ns));
            }
        }
        let exit = process.end.map_or_else(|| "-".to_owned(), |(status, _)| exit_text(status));
        let mut command = format!("{} ", process.pid).into_bytes();
        if !process.place.is_empty() && process.place != HOST {
            command.push(b'[');
            command.extend_from_slice(&process.place);
            command.extend_from_slice(b"] ");
        }
        command.extend_from_slice(&process.command);
        self.line(out, &start, &ran, exit.as_bytes(), indent, &command);
    }

    fn line(&self, out: &mut Vec<u8>, start: &[u8], ran: &[u8], exit: &[u8], indent: &str, command: &[u8]) {
        for (text, width) in [(start, 18), (ran, 8), (exit, 7)] {
            write_at_least(out, text, width);
            out.push(b' ');
        }
        out.extend_from_slice(indent.as_bytes());
        out.extend_from_slice(command);
        out.push(b'\n');
    }

    fn write_json(&self, process: &Process, out: &mut Vec<u8>) {
        let mut json = JsonLine::begin(out);
        json.int("proc.pid", process.pid);
        if let Some(parent) = process.parent {
            json.int("proc.ppid", self.processes[parent].pid);
        }
        json.text("container", &process.place).text("proc.cmdline", &process.command);
        if process.start_ts_ns != 0 {
            json.uint("start_ns", process.start_ts_ns);
        }
        if let Some((status, ts_ns)) = process.end {
            json.uint("end_ns", ts_ns).text("exit", exit_text(status).as_bytes());
        }
        json.end();
    }
}

/// The exit code, or the signal that ended the process, out of a wait status.
fn exit_text(status: Option<i64>) -> String {
    let Some(status) = status else { return "?".to_owned() };
    let (signal, code) = (status & 0x7f, status >> 8 & 0xff);
    match signal {
        0 => code.to_string(),
        signal => signal_name(signal as u32).map_or_else(|| format!("signal {signal}"), str::to_owned),
    }
}

fn command(main: &Thread) -> Vec<u8> {
    let exe = if main.exe.is_empty() { &main.comm } else { &main.exe };
    let mut command = visible(exe);
    for arg in main.args() {
        command.push(b' ');
        command.extend_from_slice(&visible(arg));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses() {
        let check = |status, expected| assert_eq!(exit_text(status), expected);
        check(Some(0), "0");
        check(Some(0x100), "1");
        check(Some(9), "SIGKILL");
        check(Some(11 | 0x80), "SIGSEGV");
        check(None, "?");
    }
}
