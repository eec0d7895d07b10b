//! What of a filter a probe can decide in the kernel: for each call which of its records can match,
//! by classes of threads; and which class a thread is in.
//!
//! A thread's class stands for what the filter says of it alone (its name, its user, its container).
//! The probe knows the class of a thread or that it is not known, and leaves out what cannot match.
//!
//! Invariant: a record is left out only if no event made of it can match, and if no later event is
//! understood differently without it; whatever is not known passes.

use crate::catalogue::{FieldCatalogue, field};
use crate::engine::{Applied, Engine, Options};
use crate::event_filter::EventFilter;
use crate::event_kinds::EventKind;
use crate::parsers;
use crate::state::machine::Machine;
use crate::state::thread::Thread;
use crate::view::EventView;
use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::{Batch, EventCode, EventFlags};
use filter_lang::{Arena, Catalogue, FieldRef, Filter, Known, Outline, Parts, Record, Scratch, Value};
use std::collections::BTreeSet;

/// Classes that a probe tells apart, without that of unknown threads.
pub const CLASSES_MAX: usize = 7;
/// Class of a thread of which nothing is known.
pub const CLASS_UNKNOWN: u8 = 7;
/// Most parts of a filter about threads that are told apart.
const PARTS_MAX: usize = 6;
/// Most conditions of a filter that is worth the time.
const SIZE_MAX: usize = 4_000;

/// The events that the records of one call become.
#[derive(Clone, Copy, Debug)]
pub struct CallEvents {
    /// Of the record at enter.
    pub enter: EventCode,
    /// Of the record at exit; the enter's code where there is none.
    pub exit: EventCode,
    /// `ID` and `nativeID` of a call without events of its own.
    pub generic: Option<(u16, u16)>,
    /// Whether the result in the exit event is what the call returned.
    pub tells_result: bool,
}

/// Which records of a call can match: a bit for each class, the highest for unknown threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// At enter.
    pub enter: u8,
    /// At exit, where the call did not return a negative number.
    pub exit_ok: u8,
    /// At exit, where it did.
    pub exit_failed: u8,
}

impl Passes {
    /// Every record passes.
    pub const ALL: Passes = Passes { enter: u8::MAX, exit_ok: u8::MAX, exit_failed: u8::MAX };
}

/// What lines show beside what the filter reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// The format.
    pub format: &'a str,
    /// Durations of calls.
    pub latency: bool,
}

/// Why nothing of a filter is decided in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPushed {
    /// A field depends on events of whatever kind.
    #[error("{field} depends on every event")]
    NeedsAll {
        /// The field.
        field: &'static str,
    },
    /// The filter is too large.
    #[error("the filter is too large for it")]
    TooLarge,
    /// Nothing can be left out.
    #[error("every event can match it, or is needed to understand others")]
    Nothing,
}

/// What is needed to keep up which class a thread is in, beside its own calls that change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Classes of threads at all.
    pub threads: bool,
    /// Nothing but name and user decide: [`KernelFilter::key_of`].
    pub keys_only: bool,
    /// Threads change with their ancestors.
    pub ancestors: bool,
    /// Threads change with their container.
    pub containers: bool,
}

/// A filter as far as the kernel can decide it.
#[derive(Debug)]
pub struct KernelFilter {
    parts: Parts,
    /// Class by results of the parts.
    classes: Vec<u8>,
    passes: Vec<Passes>,
    /// What is needed for the classes.
    pub needs: Needs,
    needs_metadata: bool,
    needs_image: bool,
}

/// Fields that a clone does not tell of who makes it.
const IMAGE: &[&str] = &["proc.exepath", "proc.pexepath", "proc.aexepath", "user.loginuid", "user.loginname"];

/// Fields that the thread itself decides, and that change at its birth, its execs and its calls of the
/// set*id family only.
const OWN: &[&str] = &[
    "proc.name",
    "proc.exe",
    "proc.exepath",
    "proc.args",
    "proc.cmdline",
    "proc.exeline",
    "proc.cmdnargs",
    "proc.cmdlenargs",
    "proc.pid",
    "thread.tid",
    "thread.ismain",
    "user.uid",
    "user.name",
    "user.homedir",
    "user.shell",
    "user.loginuid",
    "user.loginname",
    "group.gid",
    "group.name",
];
/// Those of them that name and user id decide.
const KEYED: &[&str] = &["proc.name", "user.uid", "user.name", "user.homedir", "user.shell"];
/// Fields that ancestors decide.
const ANCESTORS: &[&str] = &[
    "proc.ppid",
    "proc.pname",
    "proc.pexe",
    "proc.pexepath",
    "proc.pcmdline",
    "proc.apid",
    "proc.aname",
    "proc.aexe",
    "proc.aexepath",
];
/// Fields that the container decides, the last ones by its metadata.
const CONTAINERS: &[&str] = &["container.id", "container.name", "container.image"];
const METADATA: &[&str] = &["container.name", "container.image"];
/// Fields that the event's type decides: its getter needs no more.
const BY_TYPE: &[&str] = &[
    "evt.type",
    "evt.dir",
    "evt.type.is",
    "syscall.type",
    "evt.is_io",
    "evt.is_io_read",
    "evt.is_io_write",
    "evt.is_wait",
    "evt.io_dir",
    "evt.source",
    "evt.is_async",
    "evt.count",
    "evt.count.exit",
];
/// Fields about the result: decided by the type on enters, by the result on exits.
const RESULTS: &[&str] = &["evt.failed", "evt.res", "evt.rawres", "evt.count.error"];
/// Prefixes of fields that depend on events of whatever kind.
const OF_ALL: &[&str] = &[
    "evt.num",
    "evt.deltatime",
    "evt.reltime",
    "thread.exectime",
    "thread.totexectime",
    "thread.cpu",
    "thread.pf",
    "thread.vm",
    "proc.vm",
];
/// Those of them that need not be the same in a format: they count from what is there.
const FREE_IN_FORMATS: &[&str] = &["evt.num", "evt.reltime"];
/// Prefixes of fields that need the enter of an exit's call.
const OF_ENTER: &[&str] = &["evt.latency", "evt.wait_latency"];

/// Calls of which nothing is left out though no state depends on them: a folder made can be a
/// container's, and an exit that is never told leaves nothing behind.
const ALWAYS: &[EventCode] = &[code::SYSCALL_MKDIR_2_X, code::SYSCALL_MKDIRAT_X];
/// Calls with a parser that are left out all the same: memory use is shown by no field that is pushed
/// with, and what a write changes the probe notices itself (a process that changes its cgroup).
const STATELESS: &[EventCode] = &[
    code::SYSCALL_WRITE_X,
    code::SYSCALL_BRK_4_X,
    code::SYSCALL_MMAP_X,
    code::SYSCALL_MMAP2_X,
    code::SYSCALL_MUNMAP_X,
    code::SCHEDSWITCH_6_E,
];

fn name_of(field_ref: &FieldRef) -> &'static str {
    field(field_ref.id).map_or("", |field| field.name)
}

/// Whether later events are understood differently without this one.
fn bears_state(event: EventCode) -> bool {
    let modifies = event.info().is_some_and(|info| {
        info.flags.contains(EventFlags::MODIFIES_STATE)
            || info.flags_2022.contains(EventFlags::MODIFIES_STATE)
    });
    let parsed = parsers::parser_of(event).is_some() && !STATELESS.contains(&event);
    modifies || parsed || ALWAYS.contains(&event)
}

impl KernelFilter {
    /// Finds out what the kernel can decide of the records of `calls`.
    ///
    /// # Errors
    /// Why that is nothing.
    pub fn new(filter: &Filter, shown: Shown<'_>, calls: &[CallEvents]) -> Result<KernelFilter, NotPushed> {
        let has_prefix = |name: &str, prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
        let mut names = filter.fields().iter().map(name_of);
        let in_format = |name: &&&str| shown.format.contains(**name);
        let of_format = OF_ALL.iter().filter(|name| !FREE_IN_FORMATS.contains(name)).find(in_format);
        if let Some(field) = names.clone().find(|name| has_prefix(name, OF_ALL)).or(of_format.copied()) {
            return Err(NotPushed::NeedsAll { field });
        }
        if filter.size() > SIZE_MAX {
            return Err(NotPushed::TooLarge);
        }
        let shows_enter = shown.latency || OF_ENTER.iter().any(|name| shown.format.contains(name));
        let needs_enter = shows_enter || names.any(|name| has_prefix(name, OF_ENTER));
        let parts = filter.parts(&is_about_thread).first(PARTS_MAX);
        let mut tables =
            Tables { filter, calls, needs_enter, scratch: Scratch::new(), engine: idle_engine() };
        let unknown = tables.of(&parts, None);
        let (parts, classes, known) = classify(&mut tables, parts, &unknown);
        let passes = merge(&unknown, &known);
        if passes.iter().all(|one| *one == Passes::ALL) {
            return Err(NotPushed::Nothing);
        }
        let about = |names: &[&str]| parts.fields().iter().any(|field| names.contains(&name_of(field)));
        let threads = !parts.is_empty() && known.iter().any(|table| *table != unknown);
        let needs = Needs {
            threads,
            keys_only: threads && parts.fields().iter().all(|field| KEYED.contains(&name_of(field))),
            ancestors: threads && about(ANCESTORS),
            containers: threads && about(CONTAINERS),
        };
        let (needs_metadata, needs_image) = (about(METADATA), about(IMAGE));
        Ok(KernelFilter { needs_metadata, needs_image, parts, classes, passes, needs })
    }

    /// By call, in the order in which they were given.
    #[must_use]
    pub fn passes(&self) -> &[Passes] {
        &self.passes
    }

    /// Names of the fields by which threads are told apart.
    pub fn thread_fields(&self) -> BTreeSet<&'static str> {
        let fields = if self.needs.threads { self.parts.fields() } else { &[] };
        fields.iter().map(name_of).collect()
    }

    /// The class of a thread; `None` where too little is known of it.
    pub fn class_of(&self, filter: &mut EventFilter, machine: &Machine, tid: i64) -> Option<u8> {
        // What was told of a thread while records about it are missing holds for nobody.
        let is_known =
            |thread: &&Thread| self.knows(thread) && thread.uid != u32::MAX && !machine.distrust.is_active();
        let thread = machine.thread(tid).filter(is_known)?;
        if self.needs.ancestors && !self.knows_ancestors(machine, thread) {
            return None;
        }
        if self.needs_metadata && !thread.container_id.is_empty() {
            machine.container(thread).filter(|c| !c.name.is_empty() && !c.image.is_empty())?;
        }
        let mut batch = Batch::new();
        push_event(&mut batch, code::GENERIC_E, Some((0, 0)), tid);
        let applied = Applied::about_fd(machine, tid, -1);
        let view = EventView::new(machine, batch.get(0)?, &applied);
        let results = filter.results(&self.parts, &view);
        self.classes.get(usize::try_from(results).ok()?).copied()
    }

    /// Whether enough is known of a thread: a clone tells its maker's name and user, but neither the path
    /// of its program nor who logged in.
    fn knows(&self, thread: &Thread) -> bool {
        thread.is_known() && !(self.needs_image && thread.exepath.is_empty())
    }

    /// Whether the line of ancestors is known up to one that has none.
    fn knows_ancestors(&self, machine: &Machine, thread: &Thread) -> bool {
        let mut last = thread;
        for above in machine.ancestors(thread) {
            if !self.knows(above) {
                return false;
            }
            last = above;
        }
        last.ptid <= 0 || last.pid == 1
    }

    /// What decides a thread's class, where that is its name and its user alone: threads with equal keys
    /// are of one class for ever.
    pub fn key_of<'m>(&self, machine: &'m Machine, tid: i64) -> Option<(&'m [u8], u32)> {
        let thread = machine.thread(tid).filter(|thread| self.needs.keys_only && thread.is_known())?;
        (thread.uid != u32::MAX).then_some((&thread.comm, thread.uid))
    }
}

fn is_about_thread(field_ref: &FieldRef) -> bool {
    let name = name_of(field_ref);
    [OWN, ANCESTORS, CONTAINERS].iter().any(|names| names.contains(&name))
}

fn idle_engine() -> Engine {
    Engine::new(Options::default())
}

fn push_event(batch: &mut Batch, event: EventCode, generic: Option<(u16, u16)>, tid: i64) {
    let head = EventHead { ts_ns: 0, tid, cpu: 0, code: event, flags: 0 };
    match generic {
        Some((id, nr)) => {
            let mut event = batch.encode(head, 2);
            event.u16(id).u16(nr);
            event.finish();
        }
        None => batch.encode(head, 0).finish(),
    }
}

/// Which records of each call can match, for threads of one kind: at enter, at exit after success and
/// after failure.
type Table = Vec<[bool; 3]>;

/// Makes tables.
struct Tables<'f> {
    filter: &'f Filter,
    calls: &'f [CallEvents],
    needs_enter: bool,
    scratch: Scratch,
    engine: Engine,
}

impl Tables<'_> {
    fn of(&mut self, parts: &Parts, results: Option<u64>) -> Table {
        let calls = self.calls;
        calls.iter().map(|call| self.call(call, parts, results)).collect()
    }

    fn call(&mut self, call: &CallEvents, parts: &Parts, results: Option<u64>) -> [bool; 3] {
        if bears_state(call.enter) || bears_state(call.exit) {
            return [true; 3];
        }
        let mut batch = Batch::new();
        push_event(&mut batch, call.enter, call.generic, -1);
        push_event(&mut batch, call.exit, call.generic, -1);
        let sides = [(0, Outcome::None), (1, Outcome::Ok), (1, Outcome::Failed)];
        let mut may = sides.map(|(at, outcome)| {
            let Some(raw) = batch.get(at) else { return true };
            let outcome = if call.tells_result || at == 0 { outcome } else { Outcome::Unknown };
            let view = EventView::new(self.engine.machine(), raw, &Applied::NOTHING);
            let record = Typed { view: &view, outcome };
            self.filter.may_match(&record, parts, results, &mut self.scratch)
        });
        if self.needs_enter {
            may[0] |= may[1] || may[2];
        }
        may
    }
}

/// What is known of a call's result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is an enter: there is none.
    None,
    /// The call returned no negative number.
    Ok,
    /// It did.
    Failed,
    Unknown,
}

/// An event of which nothing but type and outcome is known.
struct Typed<'a> {
    view: &'a EventView<'a>,
    outcome: Outcome,
}

impl Record for Typed<'_> {
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        match (self.outcome, name_of(field)) {
            (Outcome::Ok, "evt.failed") => Value::Bool(false),
            (Outcome::Ok, "evt.res") => Value::text("SUCCESS"),
            _ => self.view.field(field, arena),
        }
    }

    fn event_type(&self) -> u16 {
        self.view.raw.code.0
    }
}

impl Outline for Typed<'_> {
    fn known(&self, field: &FieldRef) -> Known {
        let name = name_of(field);
        if BY_TYPE.contains(&name) {
            return Known::Value;
        }
        if RESULTS.contains(&name) {
            return match (self.outcome, name) {
                (Outcome::None, _) | (Outcome::Ok, "evt.failed" | "evt.res") => Known::Value,
                (Outcome::Ok, "evt.rawres") => Known::Between(0, i128::from(i64::MAX)),
                (Outcome::Ok, "evt.count.error") => Known::Absent,
                (Outcome::Failed, "evt.rawres") => Known::Between(i128::from(i64::MIN), -1),
                (Outcome::Failed, "evt.res") => Known::OtherThan(b"SUCCESS"),
                _ => Known::Nothing,
            };
        }
        let may = FieldCatalogue.presence(field).may.contains(self.view.raw.code.0);
        if may { Known::Nothing } else { Known::Absent }
    }
}

/// Numbers the classes: one for each table that some results lead to. Where those are too many, fewer
/// parts are told apart.
fn classify(tables: &mut Tables<'_>, mut parts: Parts, unknown: &Table) -> (Parts, Vec<u8>, Vec<Table>) {
    loop {
        let mut known: Vec<Table> = Vec::new();
        let mut classes = Vec::new();
        for results in 0..1_u64 << parts.len() {
            let table = if parts.is_empty() { unknown.clone() } else { tables.of(&parts, Some(results)) };
            let class = known.iter().position(|one| *one == table).unwrap_or_else(|| {
                known.push(table);
                known.len() - 1
            });
            classes.push(class as u8);
        }
        if known.len() <= CLASSES_MAX {
            return (parts, classes, known);
        }
        let fewer = parts.len() - 1;
        parts = parts.first(fewer);
    }
}

fn merge(unknown: &Table, known: &[Table]) -> Vec<Passes> {
    let bits = |call: usize, side: usize| {
        let of_class = |class: usize| known.get(class).unwrap_or(unknown)[call][side];
        (0..=CLASSES_MAX).fold(0, |bits, class| bits | u8::from(of_class(class)) << class)
    };
    let passes = |call| {
        let mut one = Passes { enter: bits(call, 0), exit_ok: bits(call, 1), exit_failed: bits(call, 2) };
        if one.enter != 0 {
            // A thread changes its class in the middle of a call: an exit without its enter would be
            // taken for that of an older one.
            one.enter |= one.exit_ok | one.exit_failed;
        }
        one
    };
    (0..unknown.len()).map(passes).collect()
}

/// The result of a call is told by its exit's parameter of this index.
pub fn result_param(exit: EventCode) -> Option<usize> {
    EventKind::get(exit)?.result_param()
}

#[cfg(test)]
mod tests;
