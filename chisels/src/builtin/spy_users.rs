//! `spy_users`: the commands that people run and the folders they go to, indented by how deep below
//! the first shell they are.
//!
//! A process belongs to a person if one of its ancestors is a shell, that is, has a name that ends in
//! `sh`; the topmost one names the session. sysdig's version loses the ancestors with each change of
//! folder and misses what follows; this one does not.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Fields, JsonLine, colours, number_arg};
use capture_engine::render::number::dec_i64;
use capture_engine::{EventView, Machine, Thread};
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "spy_users",
    "Security",
    "Commands that users run",
    "Prints each command that is run below a shell and each folder that a shell goes to, with the id of the \
     session's first shell, the time and the user, indented by depth. With -pc or -pk the container stands \
     behind the user, in green for the host and in blue for containers.",
    &ARGS,
);

static ARGS: [ArgSpec; 2] = [
    ArgSpec::optional("max_depth", "int", "Depth below the first shell down to which commands are shown"),
    ArgSpec::optional("disable_color", "string", "Set to 'disable_color' to print without colours"),
];

/// The types stand first, alone: one look at an event's name refuses nearly all.
const FILTER: &str = "evt.type in (execve, chdir) and evt.dir=< and evt.failed=false \
                      and (evt.type=execve or proc.name contains sh and not proc.name contains sshd)";
/// Ancestors that are looked at.
const ANCESTORS: usize = 16;

const FIELDS: &[&str] =
    &["user.name", "evt.time.s", "container.name", "proc.exe", "proc.args", "evt.arg.path", "evt.type"];
const USER: usize = 0;
const TIME: usize = 1;
const CONTAINER: usize = 2;
const EXE: usize = 3;
const PROCESS_ARGS: usize = 4;
const PATH: usize = 5;
const CALL: usize = 6;

/// Where a process stands below a shell.
#[derive(Clone, Copy, Debug)]
struct Place {
    depth: i64,
    /// Pid of the topmost shell.
    session: i64,
}

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct SpyUsers {
    max_depth: Option<f64>,
    colours: Colours,
    fields: Fields,
    container_data: bool,
    json: bool,
    /// Processes seen; `None` for those below no shell.
    places: HashMap<i64, Option<Place>>,
}

impl Chisel for SpyUsers {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match name {
            "max_depth" => {
                let depth = number_arg(&META.name, name, value)?;
                self.max_depth = (depth != -1.0).then_some(depth);
            }
            _ if colours::disables(value) => self.colours = Colours::OFF,
            _ => {}
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.container_data = settings.container_data;
        self.json = settings.json;
        control.set_filter(&META.name, FILTER)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(thread) = event.thread() else { return Ok(()) };
        let is_chdir = self.fields.text(CALL, event).is_some_and(|name| name == b"chdir");
        let Some(place) = self.place(event.machine, thread, is_chdir) else { return Ok(()) };
        let depth = place.depth - i64::from(!is_chdir);
        if self.max_depth.is_some_and(|most| depth as f64 > most) {
            return Ok(());
        }
        let out = &mut control.out;
        if self.json {
            self.write_json(event, place, is_chdir, out);
            return Ok(());
        }
        let mut text = |at: usize| self.fields.text_or_na(at, event);
        let container = text(CONTAINER);
        if self.container_data {
            let colour = if container == b"host" { self.colours.green } else { self.colours.blue };
            out.extend_from_slice(colour.as_bytes());
        }
        let step = if is_chdir || self.container_data { 4 } else { 3 };
        out.resize(out.len() + (depth.max(0) * step) as usize, b' ');
        dec_i64(out, place.session);
        out.push(b' ');
        out.extend_from_slice(&text(TIME));
        out.push(b' ');
        out.extend_from_slice(&text(USER));
        if self.container_data {
            out.push(b'@');
            out.extend_from_slice(&container);
        }
        out.extend_from_slice(b") ");
        let (first, second) =
            if is_chdir { (b"cd".to_vec(), text(PATH)) } else { (text(EXE), text(PROCESS_ARGS)) };
        out.extend_from_slice(&first);
        out.push(b' ');
        out.extend_from_slice(&second);
        out.push(b'\n');
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if !self.json {
            self.colours.finish(&mut control.out);
        }
        Ok(())
    }
}

impl SpyUsers {
    /// Where the process stands, if it is below a shell, or a shell that changes its folder.
    fn place(&mut self, machine: &Machine, thread: &Thread, is_chdir: bool) -> Option<Place> {
        let above = if is_chdir { thread.pid } else { machine.main_thread(thread).ptid };
        let parent = match self.places.get(&above) {
            Some(place) => *place,
            None => {
                let place = self.search(machine, thread, is_chdir);
                self.places.insert(above, place);
                place
            }
        }?;
        if is_chdir {
            return Some(parent);
        }
        let own = Place { depth: parent.depth + 1, session: parent.session };
        *self.places.entry(thread.pid).or_insert(Some(own))
    }

    /// The place of the process above, by its ancestors.
    fn search(&self, machine: &Machine, thread: &Thread, is_chdir: bool) -> Option<Place> {
        let own = is_chdir.then(|| machine.main_thread(thread));
        let ancestors = own.into_iter().chain(machine.ancestors(thread));
        let shells = ancestors.take(ANCESTORS).enumerate().filter(|(_, thread)| thread.comm.ends_with(b"sh"));
        let (at, shell) = shells.last()?;
        // A shell that was seen before counts its own ancestors.
        let depth = if self.places.contains_key(&shell.pid) { at as i64 } else { 0 };
        Some(Place { depth, session: shell.pid })
    }

    fn write_json(&mut self, event: &EventView<'_>, place: Place, is_chdir: bool, out: &mut Vec<u8>) {
        let mut text = |at: usize| self.fields.text(at, event);
        let (user, container, exe, args, path) =
            (text(USER), text(CONTAINER), text(EXE), text(PROCESS_ARGS), text(PATH));
        let mut json = JsonLine::begin(out);
        json.uint("evt.rawtime", event.raw.ts_ns).int("session", place.session).int("depth", place.depth);
        json.maybe("user.name", user.as_deref()).maybe("container.name", container.as_deref());
        if is_chdir {
            json.maybe("cd", path.as_deref());
        } else {
            json.maybe("proc.exe", exe.as_deref()).maybe("proc.args", args.as_deref());
        }
        json.end();
    }
}
