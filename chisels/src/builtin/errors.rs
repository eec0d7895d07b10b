//! `errors`: the calls that failed, grouped by process, call, error and what they were about.

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::errno::meaning;
use crate::kit::place::{Places, who};
use crate::kit::{Fields, JsonLine, bad_arg, count_arg};
use crate::text::{write_duration, write_row};
use capture_common::event_table::errno_name;
use capture_engine::EventView;
use capture_engine::render::event_name;
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "errors",
    "Errors",
    "What failed, where, and why in plain words",
    "Groups failed system calls by process, call, error and path or peer, most frequent first, and says in plain \
     words what each error means. Calls that only were not ready yet (EAGAIN, EINPROGRESS) are left out unless \
     'all' is given: errors 20, errors '0 all'.",
    &ARGS,
);

static ARGS: [ArgSpec; 2] = [
    ArgSpec::optional("rows", "int", "Rows that are shown, 50 unless given, 0 for all"),
    ArgSpec::optional("which", "string", "Set to 'all' to count calls that were not ready yet, too"),
];

const NOT_READY: [u32; 2] = [11, 115];
/// Failures, and the enters of calls of which the exit does not tell what they were about.
const FILTER: &str =
    "evt.failed=true or (evt.dir=> and evt.type in (connect, execve, execveat, mount, umount, umount2))";
const ROWS: usize = 50;
const WIDTHS: [usize; 6] = [6, 26, 12, 32, 8, 0];
/// Groups that are counted; further ones go together.
const GROUPS_MAX: usize = 100_000;

const FIELDS: &[&str] =
    &["fs.path.name", "fd.name", "evt.arg.path", "evt.arg.name", "evt.arg.filename", "evt.arg.addr"];

/// What failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Group {
    comm: Vec<u8>,
    pid: i64,
    place: Vec<u8>,
    call: &'static str,
    errno: u32,
    about: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    times: u64,
    first_ts_ns: u64,
    last_ts_ns: u64,
}

/// The chisel.
#[derive(Debug)]
pub(super) struct Errors {
    rows: usize,
    all: bool,
    json: bool,
    fields: Fields,
    places: Places,
    groups: HashMap<Group, Count>,
    /// What the last call of each thread was about, for calls of which only the enter tells.
    enters: HashMap<i64, (&'static str, Vec<u8>)>,
}

impl Default for Errors {
    fn default() -> Self {
        Errors {
            rows: ROWS,
            all: false,
            json: false,
            fields: Fields::default(),
            places: Places::default(),
            groups: HashMap::new(),
            enters: HashMap::new(),
        }
    }
}

impl Chisel for Errors {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match (name, value) {
            ("rows", _) => self.rows = count_arg(&META.name, name, value)?,
            (_, "all") => self.all = true,
            _ => return Err(bad_arg(&META.name, name, format!("{value:?} is not all"))),
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.places = Places::new(settings);
        self.json = settings.json;
        control.set_filter(&META.name, FILTER)?;
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.groups.clear();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        if event.raw.code.is_enter() {
            if self.enters.len() >= GROUPS_MAX {
                self.enters.clear();
            }
            let about = self.about(event).unwrap_or_default();
            self.enters.insert(event.raw.tid, (event_name(event), about));
            return Ok(());
        }
        let errno = event.applied.error;
        if errno == 0 || (!self.all && NOT_READY.contains(&errno)) {
            return Ok(());
        }
        let said = self.enters.remove(&event.raw.tid);
        let said =
            said.filter(|(call, about)| *call == event_name(event) && !about.is_empty()).map(|said| said.1);
        let about = said
            .or_else(|| self.about(event))
            .or_else(|| Some(format!("fd {}", event.fd_num()?).into_bytes()));
        let thread = event.thread();
        let mut group = Group {
            comm: thread.map(|t| crate::state::visible(&t.comm)).unwrap_or_default(),
            pid: thread.map_or(event.raw.tid, |t| t.pid),
            place: self.places.of(event),
            call: event_name(event),
            errno,
            about: about.unwrap_or_default(),
        };
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group) {
            group.about = b"(other)".to_vec();
        }
        let count = self.groups.entry(group).or_default();
        if count.times == 0 {
            count.first_ts_ns = event.raw.ts_ns;
        }
        count.times += 1;
        count.last_ts_ns = event.raw.ts_ns;
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let mut rows: Vec<(Group, Count)> = self.groups.drain().collect();
        rows.sort_by(|(group, count), (other_group, other)| {
            (other.times, count.first_ts_ns, &group.about, &group.call).cmp(&(
                count.times,
                other.first_ts_ns,
                &other_group.about,
                &other_group.call,
            ))
        });
        let found = rows.len();
        if self.rows != 0 {
            rows.truncate(self.rows);
        }
        let out = &mut control.out;
        if self.json {
            rows.iter().for_each(|(group, count)| write_json(group, count, out));
            return Ok(());
        }
        write_row(out, WIDTHS, [b"TIMES", b"WHO", b"CALL", b"ERROR", b"OVER", b"ABOUT"]);
        for (group, count) in &rows {
            let mut over = Vec::new();
            if count.times > 1 {
                write_duration(&mut over, count.last_ts_ns.saturating_sub(count.first_ts_ns));
            }
            write_row(
                out,
                WIDTHS,
                [
                    count.times.to_string().as_bytes(),
                    &who(&group.comm, group.pid, &group.place),
                    group.call.as_bytes(),
                    error(group.errno).as_bytes(),
                    &over,
                    &group.about,
                ],
            );
        }
        if found > rows.len() {
            let text = format!("{} more rows: errors 0 shows all.\n", found - rows.len());
            out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

impl Errors {
    /// The path or peer that the event tells of.
    fn about(&mut self, event: &EventView<'_>) -> Option<Vec<u8>> {
        let is_told = |text: &Vec<u8>| !text.is_empty() && text != b"NULL" && text != b"<NA>";
        (0..FIELDS.len()).find_map(|at| self.fields.text(at, event).filter(is_told))
    }
}

/// `ENOENT does not exist`.
fn error(errno: u32) -> String {
    let name = errno_name(errno).map_or_else(|| errno.to_string(), str::to_owned);
    format!("{name} {}", meaning(errno)).trim_end().to_owned()
}

fn write_json(group: &Group, count: &Count, out: &mut Vec<u8>) {
    let mut json = JsonLine::begin(out);
    json.uint("times", count.times).text("proc.name", &group.comm).int("proc.pid", group.pid);
    json.text("container", &group.place).text("evt.type", group.call.as_bytes());
    json.maybe("error", errno_name(group.errno).map(str::as_bytes)).uint("errno", group.errno.into());
    json.text("meaning", meaning(group.errno).as_bytes()).text("about", &group.about);
    json.uint("first_ns", count.first_ts_ns).uint("last_ns", count.last_ts_ns);
    json.end();
}
