//! `slow`: what processes waited for: files, network, locks, children, other programs, sleep; the rest
//! is their own work.

use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::place::{Places, who};
use crate::kit::{Fields, JsonLine, count_arg};
use crate::state::visible;
use crate::text::{write_duration, write_row};
use capture_common::Category;
use capture_engine::render::event_name;
use capture_engine::{EventView, FdInfo};
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "slow",
    "Performance",
    "What processes waited for",
    "Shows for each thread, longest first, how its time divides: own work (running, or waiting for a CPU), files, \
     network, locks (futex), children (wait), pipes and other programs, waiting for events (poll, select, epoll), \
     sleep, and other calls; and the one call that took longest. Time outside of system calls is own work. \
     Rows: 30 unless given, 0 for all.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] =
    [ArgSpec::optional("rows", "int", "Rows that are shown, 30 unless given, 0 for all")];

const ROWS: usize = 30;
/// Threads that are remembered.
const THREADS_MAX: usize = 200_000;
const KINDS: usize = 8;

/// What time goes to besides own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Net,
    Lock,
    Child,
    Pipe,
    Events,
    Sleep,
    Other,
}

const HEADINGS: [&str; KINDS] = ["FILE", "NET", "LOCK", "CHILD", "PIPE", "EVENTS", "SLEEP", "OTHER"];

/// Calls whose name says what they wait for; for others the fd does.
#[rustfmt::skip]
const CALLS: &[(&str, Kind)] = &[
    ("futex", Kind::Lock), ("flock", Kind::Lock), ("semop", Kind::Lock), ("semtimedop", Kind::Lock),
    ("futex_wait", Kind::Lock), ("futex_waitv", Kind::Lock),
    ("wait4", Kind::Child), ("waitid", Kind::Child), ("waitpid", Kind::Child), ("vfork", Kind::Child),
    ("nanosleep", Kind::Sleep), ("clock_nanosleep", Kind::Sleep), ("pause", Kind::Sleep),
    ("rt_sigtimedwait", Kind::Sleep), ("rt_sigsuspend", Kind::Sleep),
    ("poll", Kind::Events), ("ppoll", Kind::Events), ("select", Kind::Events), ("pselect6", Kind::Events),
    ("epoll_wait", Kind::Events), ("epoll_pwait", Kind::Events), ("epoll_pwait2", Kind::Events),
    ("io_uring_enter", Kind::Events),
    ("fsync", Kind::File), ("fdatasync", Kind::File), ("sync", Kind::File), ("syncfs", Kind::File),
    ("sync_file_range", Kind::File), ("msync", Kind::File),
];

/// What a thread did.
#[derive(Clone, Debug, Default)]
struct Thread {
    pid: i64,
    tid: i64,
    comm: Vec<u8>,
    place: Vec<u8>,
    first_ts_ns: u64,
    last_ts_ns: u64,
    waited_ns: [u64; KINDS],
    longest_ns: u64,
    longest: Vec<u8>,
}

/// The chisel.
#[derive(Debug)]
pub(super) struct Slow {
    rows: usize,
    json: bool,
    fields: Fields,
    places: Places,
    threads: HashMap<i64, Thread>,
    ended: Vec<Thread>,
}

impl Default for Slow {
    fn default() -> Self {
        Slow {
            rows: ROWS,
            json: false,
            fields: Fields::default(),
            places: Places::default(),
            threads: HashMap::new(),
            ended: Vec::new(),
        }
    }
}

impl Chisel for Slow {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        self.rows = count_arg(&META.name, name, value)?;
        Ok(())
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(&["fd.name"], settings).expect("the field exists");
        self.places = Places::new(settings);
        self.json = settings.json;
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.threads.clear();
        self.ended.clear();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let Some(info) =
            event.info.filter(|info| !matches!(info.category, Category::Internal | Category::Scheduler))
        else {
            return Ok(());
        };
        let tid = event.raw.tid;
        if self.threads.len() >= THREADS_MAX && !self.threads.contains_key(&tid) {
            return Ok(());
        }
        let (places, fields) = (&mut self.places, &mut self.fields);
        let thread = self.threads.entry(tid).or_insert_with(|| Thread {
            pid: event.thread().map_or(tid, |t| t.pid),
            tid,
            place: places.of(event),
            first_ts_ns: event.raw.ts_ns,
            ..Thread::default()
        });
        thread.last_ts_ns = event.raw.ts_ns;
        if info.code.is_exit() {
            let ns = event.applied.latency_ns;
            thread.waited_ns[kind(event) as usize] += ns;
            if ns > thread.longest_ns {
                thread.longest_ns = ns;
                thread.longest = event_name(event).as_bytes().to_vec();
                if let Some(name) = fields.text(0, event).filter(|name| !name.is_empty()) {
                    thread.longest.push(b' ');
                    thread.longest.extend_from_slice(&name);
                }
            }
            // A thread has the name that it had last.
            if let Some(comm) = event.thread().map(|t| &t.comm).filter(|comm| comm[..] != thread.comm[..]) {
                thread.comm = visible(comm);
            }
        } else if event_name(event) == "procexit"
            && let Some(thread) = self.threads.remove(&tid)
        {
            self.ended.push(thread);
        }
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let mut rows: Vec<Thread> = std::mem::take(&mut self.ended);
        rows.extend(self.threads.drain().map(|(_, thread)| thread));
        rows.sort_by_key(|thread| (std::cmp::Reverse(thread.wall_ns()), thread.first_ts_ns, thread.tid));
        let found = rows.len();
        if self.rows != 0 {
            rows.truncate(self.rows);
        }
        let out = &mut control.out;
        if self.json {
            rows.iter().for_each(|thread| thread.write_json(out));
            return Ok(());
        }
        let mut headings = ["WHO", "TIME", "OWN", "", "", "", "", "", "", "", "", "LONGEST CALL"];
        headings[3..3 + KINDS].copy_from_slice(&HEADINGS);
        write_row(out, WIDTHS, headings.map(str::as_bytes));
        rows.iter().for_each(|thread| thread.write(out));
        if found > rows.len() {
            let text = format!("{} more threads: slow 0 shows all.\n", found - rows.len());
            out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

const WIDTHS: [usize; 12] = [26, 8, 5, 6, 6, 6, 6, 6, 6, 6, 6, 0];

/// What the call of this exit waited for.
fn kind(event: &EventView<'_>) -> Kind {
    let name = event_name(event);
    if let Some((_, kind)) = CALLS.iter().find(|(call, _)| *call == name) {
        return *kind;
    }
    match event.fd() {
        Some(fd) if fd.is_ip() => Kind::Net,
        Some(fd) if fd.is_unix() || is_pipe(fd) => Kind::Pipe,
        Some(_) => Kind::File,
        None => match event.info.map(|info| info.category) {
            Some(Category::File) => Kind::File,
            Some(Category::Net) => Kind::Net,
            _ => Kind::Other,
        },
    }
}

fn is_pipe(fd: &FdInfo) -> bool {
    use capture_common::snapshot::FdType as T;
    matches!(fd.ty, T::Pipe | T::Event | T::Signal)
}

impl Thread {
    fn wall_ns(&self) -> u64 {
        self.last_ts_ns.saturating_sub(self.first_ts_ns).max(self.waited_ns.iter().sum())
    }

    fn own_ns(&self) -> u64 {
        self.wall_ns().saturating_sub(self.waited_ns.iter().sum())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let wall_ns = self.wall_ns();
        let mut who = who(&self.comm, self.pid, &self.place);
        if self.tid != self.pid {
            who.extend_from_slice(format!(" thread {}", self.tid).as_bytes());
        }
        let duration = |ns: u64| {
            let mut text = Vec::new();
            write_duration(&mut text, ns);
            text
        };
        // What is less than half a percent is left out.
        let percent = |ns: u64| match (ns as f64 / wall_ns.max(1) as f64 * 100.0).round() {
            0.0 => Vec::new(),
            percent => format!("{percent}%").into_bytes(),
        };
        let mut longest = Vec::new();
        if self.longest_ns > 0 {
            longest = [&duration(self.longest_ns)[..], b" ", &self.longest].concat();
        }
        let waited = self.waited_ns.map(percent);
        let (time, own) = (duration(wall_ns), percent(self.own_ns()));
        let mut columns: [&[u8]; 12] = [b""; 12];
        columns[..3].copy_from_slice(&[&who, &time, &own]);
        for (column, text) in columns[3..].iter_mut().zip(&waited) {
            *column = text;
        }
        columns[11] = &longest;
        write_row(out, WIDTHS, columns);
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let mut json = JsonLine::begin(out);
        json.text("proc.name", &self.comm).int("proc.pid", self.pid).int("thread.tid", self.tid);
        json.text("container", &self.place).uint("time_ns", self.wall_ns()).uint("own_ns", self.own_ns());
        for (heading, ns) in HEADINGS.iter().zip(self.waited_ns) {
            json.uint(&format!("{}_ns", heading.to_ascii_lowercase()), ns);
        }
        json.uint("longest_ns", self.longest_ns).text("longest", &self.longest);
        json.end();
    }
}
