//! [`Engine`]: applies events to the [`Machine`] in the order in which they are recorded.
//!
//! The order of work for one event: removals left by the event before; the thread; enter or exit
//! bookkeeping (pairing, latency, fd, error); the parser of the event type. No allocation is made
//! for an event that changes no state.

use crate::aside::{self, Aside};
use crate::event_kinds::EventKind;
use crate::parsers::{self, Ctx};
use crate::services::PortNames;
use crate::state::fd_table::CANCELLED_KEY;
use crate::state::machine::{Counters, Machine};
use crate::state::thread::{Entered, Thread};
use crate::state::thread_table::ThreadSlot;
use crate::state::{Text, empty_text};
use crate::view::EventView;
use capture_common::event_table::code;
use capture_common::{Category, EventCode, RawEvent, Snapshot};

/// Limits of the state, so that no input makes it grow without bound.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most threads that are held; for further ones idle ones are dropped and counted.
    pub max_threads: usize,
    /// Most fds of one process; further ones are refused and counted.
    pub max_fds_per_process: usize,
    /// How ports print in the names of sockets.
    pub ports: PortNames,
    /// Most bytes that the fd tables of all processes take together; what goes beyond is refused, or
    /// forgotten where a fork's table would have to be copied, and counted.
    pub max_fd_bytes: usize,
    /// Most bytes that the threads take together, their text included; where they take more, idle ones
    /// are dropped and counted.
    pub max_thread_bytes: usize,
    /// Most bytes that the records of containers take together; the oldest are dropped for new ones and
    /// counted.
    pub max_container_bytes: usize,
}

impl Options {
    /// What a large machine needs; together with a reader at work it stays below 256 MiB.
    pub const DEFAULT: Options = Options {
        max_threads: 131_072,
        max_fds_per_process: 65_536,
        ports: PortNames::Numbers,
        max_fd_bytes: 56 << 20,
        max_thread_bytes: 64 << 20,
        max_container_bytes: 16 << 20,
    };
}

impl Default for Options {
    fn default() -> Self {
        Options::DEFAULT
    }
}

/// What applying an event found out. Valid until the next event is applied.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// Number of the event: counted from 1 over all events of the file, shown or not, except those
    /// that say they do not count.
    pub num: u64,
    /// Slot of the event's thread; `None` where there is none.
    pub thread: Option<ThreadSlot>,
    /// Number of the fd that the event is about, -1 for none. For exits it may come from the
    /// enter.
    pub fd_num: i64,
    /// Slot of the thread that holds the fd table (the main thread).
    pub(crate) fd_owner: Option<ThreadSlot>,
    /// Key of the fd in that table: its number, or the side slot's.
    pub(crate) fd_key: i64,
    /// Time of the call's enter, ns; 0 where none was seen. For enters their own.
    pub enter_ts_ns: u64,
    /// For exits: time since the thread's last enter, ns; 0 where none was seen and for enters.
    /// A `switch` has that of the thread's last call.
    pub latency_ns: u64,
    /// errno of a failed call (positive), 0 for success.
    pub error: u32,
    /// For exits: whether the thread's last enter was of the same call.
    pub paired: bool,
    /// Whether listings show the event: neither marked state-only nor internal.
    pub visible: bool,
    /// Whether the event is internal (`procinfo` and such), shown on demand only.
    pub internal: bool,
    /// Whether the event is a container's record: its thread stands for the container.
    pub(crate) speaks_for_container: bool,
    /// Time of the thread's event before this one, ns; 0 where there was none.
    pub prev_ts_ns: u64,
    /// Time of the first event of the stream, shown or not, ns.
    pub first_ts_ns: u64,
    /// For context switches: how long the thread ran, ns; 0 where that is not known, and elsewhere.
    pub slice_ns: u64,
    /// Whether the event stands for an operation of io_uring, which is no call of the thread's.
    pub is_io_uring: bool,
    /// Whether the event gave its fd a name or changed it.
    pub fd_renamed: bool,
    /// Time of the visible event before this one, of whatever thread, ns; 0 where there was none.
    pub prev_shown_ts_ns: u64,
}

impl Applied {
    /// What is known before anything is looked at.
    pub(crate) const NOTHING: Applied = Applied {
        num: 0,
        thread: None,
        fd_num: -1,
        fd_owner: None,
        fd_key: -1,
        enter_ts_ns: 0,
        latency_ns: 0,
        error: 0,
        paired: false,
        visible: false,
        internal: false,
        speaks_for_container: false,
        prev_ts_ns: 0,
        first_ts_ns: 0,
        prev_shown_ts_ns: 0,
        slice_ns: 0,
        fd_renamed: false,
        is_io_uring: false,
    };

    /// Of an event that never happened, about an fd of a thread: how a filter is asked about something
    /// in the state.
    pub fn about_fd(machine: &Machine, tid: i64, fd: i64) -> Applied {
        let thread = machine.threads.slot(tid);
        let fd_owner = thread.map(|slot| machine.main_slot(slot));
        Applied { thread, fd_num: fd, fd_owner, fd_key: fd, ..Applied::NOTHING }
    }
}

/// Removals that wait for the next event, so that the current one still sees its subjects.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    /// (tid of the table's owner, first key, last key).
    pub(crate) fds: Option<(i64, i64, i64)>,
    /// (tid, thread that adopts its children or 0 where the event does not say).
    pub(crate) thread: Option<(i64, i64)>,
    /// Process of which records are missing: what the event told of it may be wrong already.
    pub(crate) distrusted: Option<i64>,
}

/// Applies events to the state of the machine.
#[derive(Debug)]
pub struct Engine {
    machine: Machine,
    options: Options,
    deferred: Deferred,
    num: u64,
    last_thread: Option<ThreadSlot>,
    /// The call that a thread is in while events of its io_uring operation are applied.
    aside: Option<Aside>,
    /// Memory that the last such call left.
    spare: Option<Box<Entered>>,
    last_ts_ns: u64,
    first_ts_ns: Option<u64>,
    /// Time of the last visible event.
    shown_ts_ns: u64,
    na: Text,
    scratch: Vec<u8>,
    /// Of the last event.
    applied: Applied,
}

impl Engine {
    /// An engine with no state; [`Engine::begin_section`] comes next.
    pub fn new(options: Options) -> Self {
        Engine {
            machine: Machine::new(&options),
            options,
            deferred: Deferred::default(),
            num: 0,
            last_thread: None,
            aside: None,
            spare: None,
            last_ts_ns: 0,
            first_ts_ns: None,
            shown_ts_ns: 0,
            na: Text::from(crate::state::NOT_KNOWN),
            scratch: Vec::new(),
            applied: Applied::NOTHING,
        }
    }

    /// Forgets all state and starts from a snapshot. Event numbers and counters go on.
    pub fn begin_section(&mut self, snapshot: &Snapshot) {
        let counters = self.counters();
        self.machine = Machine::new(&self.options);
        self.machine.counters = counters;
        self.machine.load(snapshot, self.options.max_fds_per_process);
        self.deferred = Deferred::default();
        self.last_thread = None;
        self.aside = None;
    }

    /// The state after the last event (its removals not done yet).
    #[inline]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What could not be done as asked so far.
    pub fn counters(&self) -> Counters {
        let counters = self.machine.counters;
        Counters { fds_forgotten: counters.fds_forgotten + self.machine.fd_budget.forgotten(), ..counters }
    }

    /// The event and the state around it, for printing. `applied` must be what
    /// [`Engine::apply`] answered for `raw` just before.
    #[inline]
    pub fn view<'a>(&'a self, raw: RawEvent<'a>, applied: &'a Applied) -> EventView<'a> {
        EventView::new(&self.machine, raw, applied)
    }

    /// What applying the last event found out.
    #[inline]
    pub fn last_applied(&self) -> &Applied {
        &self.applied
    }

    /// Applies one event and shows it with the state around it: [`Engine::apply`] and
    /// [`Engine::view`] in one, without a copy.
    #[inline]
    pub fn see<'a>(&'a mut self, raw: RawEvent<'a>) -> EventView<'a> {
        self.step(&raw);
        self.view(raw, &self.applied)
    }

    /// Applies one event.
    #[inline]
    pub fn apply(&mut self, raw: &RawEvent<'_>) -> Applied {
        self.step(raw);
        self.applied
    }

    /// Applies one event that nobody is going to look at.
    #[inline]
    pub fn follow(&mut self, raw: &RawEvent<'_>) {
        self.step(raw);
    }

    fn step(&mut self, raw: &RawEvent<'_>) {
        self.settle();
        if self.aside.is_some() {
            self.follow_aside(raw);
        }
        self.num += u64::from(!raw.is_uncounted());
        let is_io_uring = self.aside.is_some();
        self.applied = Applied { is_io_uring, ..Applied::NOTHING };
        let applied = &mut self.applied;
        applied.num = self.num;
        applied.visible = !raw.is_state_only();
        applied.first_ts_ns = self.first_ts_ns.unwrap_or(raw.ts_ns);
        applied.prev_shown_ts_ns = self.shown_ts_ns;
        let Some(kind) = EventKind::get(raw.code) else {
            self.first_ts_ns.get_or_insert(raw.ts_ns);
            self.machine.counters.unknown_codes += 1;
            return;
        };
        if !kind.is_metadata() {
            // Metadata are told ahead of their time.
            self.first_ts_ns.get_or_insert(raw.ts_ns);
        }
        // Records about containers and the capture itself belong to no thread.
        let belongs_to_none = raw.tid < 0 && kind.is_record() && raw.code != code::PLUGINEVENT_E;
        applied.internal = kind.is_internal() || belongs_to_none;
        applied.visible &= !applied.internal;
        if applied.visible {
            self.shown_ts_ns = raw.ts_ns;
        }
        applied.thread = self.machine.threads.slot_cached(raw.tid);
        if applied.thread.is_none() {
            applied.thread = invent_thread(&mut self.machine, raw, &self.na);
        }
        if let Some(slot) = applied.thread
            && let Some(thread) = self.machine.threads.at_mut(slot)
        {
            applied.prev_ts_ns = thread.last_event_ts_ns;
            if raw.code == code::ASYNCEVENT_E {
                self.aside = Aside::begin(raw, thread, &mut self.spare);
                applied.is_io_uring = raw.text(1).is_some_and(|name| name.starts_with(aside::NOTES));
            } else if kind.is_booked() && !kind.is_iterated() {
                // Both sides of an io_uring operation are made of one record.
                let is_sure = is_io_uring || self.machine.distrust.trusts_enter(thread.call.enter_ts_ns);
                if raw.code.is_exit() && !is_sure {
                    thread.call.forget_enter();
                }
                book(thread, raw, kind, applied, &mut self.machine.counters);
                if let Some(aside) = self.aside.as_ref().filter(|_| raw.code.is_enter()) {
                    thread.call.enter_ts_ns = aside.began_ts_ns(raw.ts_ns);
                }
            } else if kind.is_switch() {
                // No call of the thread's: it has the latency of its last one.
                applied.latency_ns = thread.call.latency_ns;
            }
            if applied.fd_num >= 0 {
                applied.fd_owner = Some(self.machine.main_slot(slot));
                applied.fd_key = applied.fd_num;
            }
        }
        if parsers::changes_processes(raw.code) {
            self.machine.threads.touch();
        }
        if let Some(parser) = parsers::parser_of(raw.code) {
            parser(&mut Ctx {
                machine: &mut self.machine,
                raw,
                applied,
                deferred: &mut self.deferred,
                max_fds: self.options.max_fds_per_process,
                scratch: &mut self.scratch,
            });
            if self.machine.distrust.is_active() {
                self.distrust(raw);
            }
        }
        self.last_ts_ns = raw.ts_ns;
        if !kind.is_switch() && !kind.is_iterated() {
            self.last_thread = self.applied.thread;
        }
    }

    /// After an event that changed state while records are missing.
    #[cold]
    fn distrust(&mut self, raw: &RawEvent<'_>) {
        let Some(thread) = self.applied.thread.and_then(|slot| self.machine.threads.at(slot)) else { return };
        let pid = thread.pid;
        if self.machine.distrust.concerns(pid, raw.ts_ns) {
            self.deferred.distrusted = Some(pid);
        }
    }

    /// Keeps the call that was set aside for as long as the events of the operation come.
    #[cold]
    fn follow_aside(&mut self, raw: &RawEvent<'_>) {
        let Some(mut aside) = self.aside.take() else { return };
        if !aside.is_over() && aside.take(raw) {
            self.aside = Some(aside);
        } else if let Some(thread) = self.machine.threads.get_mut(aside.tid) {
            self.spare = aside.end(thread);
        }
    }

    /// Does what the event before left to do.
    #[inline]
    fn settle(&mut self) {
        if let Some(slot) = self.last_thread.take()
            && let Some(thread) = self.machine.threads.at_mut(slot)
        {
            thread.last_event_ts_ns = self.last_ts_ns;
        }
        if let Some((tid, first, last)) = self.deferred.fds.take() {
            self.remove_fds(tid, first, last);
        }
        if let Some((tid, reaper)) = self.deferred.thread.take() {
            parsers::process::end_thread(&mut self.machine, tid, reaper, self.last_ts_ns);
            self.machine.threads.touch();
        }
        if let Some(pid) = self.deferred.distrusted.take() {
            parsers::stale::forget(&mut self.machine, Some(&[pid]));
        }
        if self.machine.threads.may_be_heavy() {
            parsers::reparent::make_light(&mut self.machine);
        }
    }

    fn remove_fds(&mut self, tid: i64, first: i64, last: i64) {
        let Some(owner) = self.machine.threads.get_mut(tid) else { return };
        if first == last {
            owner.fds.remove(first);
        } else {
            owner.fds.retain(|fd, _| fd < first || fd > last || fd == CANCELLED_KEY);
        }
    }
}

/// Makes an unknown thread known by its event, unless that is of a kind that makes the thread itself,
/// or of none.
#[cold]
fn invent_thread(machine: &mut Machine, raw: &RawEvent<'_>, na: &Text) -> Option<ThreadSlot> {
    if raw.tid < 0 || !invents_thread(raw.code) {
        return None;
    }
    let fake = Thread {
        comm: na.clone(),
        exe: na.clone(),
        exepath: empty_text(),
        has_namespace_ids: false,
        is_fake: true,
        ..Thread::new(raw.tid)
    };
    parsers::reparent::make_room(machine, &[raw.tid]);
    let slot = machine.threads.insert(fake)?;
    machine.counters.fake_threads += 1;
    Some(slot)
}

/// Enter and exit bookkeeping of a thread.
#[inline]
fn book(
    thread: &mut Thread,
    raw: &RawEvent<'_>,
    kind: EventKind,
    applied: &mut Applied,
    counters: &mut Counters,
) {
    if raw.code.is_enter() {
        thread.call.code = Some(raw.code);
        thread.call.has_returned = false;
        thread.call.entered_is_fresh = false;
        thread.call.fd = -1;
        thread.call.enter_ts_ns = raw.ts_ns;
        thread.call.latency_ns = 0;
        applied.enter_ts_ns = raw.ts_ns;
        if kind.uses_fd() {
            thread.call.fd = kind.fd_param().and_then(|at| raw.int(at)).unwrap_or(-1);
            applied.fd_num = thread.call.fd;
        }
        return;
    }
    applied.enter_ts_ns = thread.call.enter_ts_ns;
    if thread.call.enter_ts_ns != 0 {
        thread.call.latency_ns = raw.ts_ns.saturating_sub(thread.call.enter_ts_ns);
        applied.latency_ns = thread.call.latency_ns;
    }
    // One exit for one enter: the next one's enter was lost.
    applied.paired = !thread.call.has_returned && is_pair(thread.call.code, raw.code);
    thread.call.has_returned = true;
    if !applied.paired {
        counters.unpaired_exits += 1;
        thread.call.fd = -1;
    }
    if kind.has_result_first()
        && let Some(value) = raw.int(0)
        && value < 0
    {
        applied.error = u32::try_from(value.unsigned_abs()).unwrap_or(0);
    }
    if kind.uses_fd() {
        // The exit's own word counts more: the enter may be that of an earlier call whose exit was lost.
        if let Some(fd) = kind.fd_param().and_then(|at| raw.int(at)) {
            thread.call.fd = fd;
        }
        applied.fd_num = thread.call.fd;
    }
}

/// Whether an exit belongs to the enter that the thread made last.
#[inline]
fn is_pair(last: Option<EventCode>, exit: EventCode) -> bool {
    match last {
        Some(enter) => {
            enter.0 + 1 == exit.0 || (enter == code::SYSCALL_EXECVEAT_E && exit == code::SYSCALL_EXECVE_19_X)
        }
        None => false,
    }
}

/// Whether an event of an unknown thread makes that thread known.
fn invents_thread(event: EventCode) -> bool {
    let (Some(kind), Some(info)) = (EventKind::get(event), event.info()) else { return false };
    let users = code::USER_ADDED_E..=code::GROUP_DELETED_X;
    let iterators = code::ITER_TASK_E..=code::ITER_TASK_FILE_ANON_INODE_X;
    let makes_none = kind.is_switch()
        || kind.is_record()
        || event == code::PROCINFO_E
        || info.category == Category::Internal
        || users.contains(&event)
        || iterators.contains(&event);
    !makes_none && !parsers::process::is_clone_exit(event)
}
