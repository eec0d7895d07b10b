//! Loads the probe: resolves, patches, creates the maps, fills the plan, loads and attaches the
//! programs. Knows nothing of records.

use super::{
    classes::Classes,
    cpus::Cpus,
    error::LiveError,
    features,
    iterators::{self, Iterators},
    object,
    parts::{COLLECTORS, Part},
    programs,
    push::Push,
    rights,
    steps::Steps,
    tree::Tree,
    type_information::TypeInformation,
    uring::UringRows,
    whoami::{has_host_pids, own_tgid},
};
use aya::{
    Ebpf,
    maps::{Array, Map, MapData, PerCpuArray, ProgramArray},
    programs::{BtfTracePoint, ProgramError, tp_btf::BtfTracePointLinkId},
};
use capture_common::{abi, ia32, plan, syscall_table, uring::UringRow};
use capture_engine::kernel_filter::{Needs, Passes};
use std::{collections::BTreeMap, io, os::fd::AsFd, path::PathBuf, time::Instant};

/// The calls of this machine's kernel.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_CALLS: &[syscall_table::Syscall] = syscall_table::X86_64;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_CALLS: &[syscall_table::Syscall] = syscall_table::AARCH64;

/// Rows of each half of the probe's plan map.
pub(super) const PLAN_ROWS: usize = 512;
/// Processes that a watched tree can have at a time. Memory for all of them is taken at the start,
/// about 64 bytes each.
const TREE_MAX: u32 = 1 << 16;

/// How to load.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// Bytes of payload per record.
    pub snaplen: u32,
    /// Bytes of each ring, a power of two; `None`: by number of CPUs.
    pub ring_bytes: Option<u64>,
    /// Leave out this process's own calls.
    pub exclude_self: bool,
    /// Record only the processes of a tree, which `Probe::take_tree` fills.
    pub only_tree: bool,
    /// What cannot pass the filter and is left out.
    pub push: Option<Push>,
    /// Programs to load; attached by [`Probe::attach`].
    pub parts: Vec<Part>,
    /// Read the strings of a call at its enter, too.
    pub strings_twice: bool,
    /// Another object than the built-in one (a debug build for `log`).
    pub object: Option<PathBuf>,
    /// Print the messages of a debug build of the probe on stderr.
    pub log: bool,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        let parts = Part::RECORDING.to_vec();
        Self {
            snaplen: 80,
            ring_bytes: None,
            exclude_self: true,
            only_tree: false,
            push: None,
            parts,
            strings_twice: false,
            object: None,
            log: false,
        }
    }
}

impl ProbeOptions {
    /// All programs, in the order of attaching: entries must leave the tree before any come in.
    pub(crate) fn all_parts(&self) -> impl Iterator<Item = Part> {
        let free = (self.only_tree || self.needs().threads).then_some(Part::Free);
        let attach = self.push.is_some().then_some(Part::Attach);
        free.into_iter().chain(attach).chain(self.parts.iter().copied())
    }

    pub(super) fn needs(&self) -> Needs {
        self.push.as_ref().map_or_else(Needs::default, |push| push.needs)
    }
}

/// The loaded probe. Dropping it detaches everything.
pub struct Probe {
    ebpf: Ebpf,
    links: BTreeMap<Part, BtfTracePointLinkId>,
    /// Parts that are loaded, attached or not.
    loaded: Vec<Part>,
    /// Or why there are none.
    iterators: Option<Result<Iterators, String>>,
    /// Where the time of loading and attaching went.
    pub(super) steps: Steps,
    pub(crate) cpus: Cpus,
    pub(crate) ring_bytes: u64,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe")
            .field("attached", &self.links.keys())
            .field("ring_bytes", &self.ring_bytes)
            .finish_non_exhaustive()
    }
}

impl Probe {
    /// Loads the object; nothing is attached yet.
    ///
    /// # Errors
    /// What is missing or what the kernel refused.
    pub fn load(options: &ProbeOptions) -> Result<Self, LiveError> {
        let (mut steps, began) = (Steps::default(), Instant::now());
        let TypeInformation { kernel_btf, mut loader, parts, resolved } = TypeInformation::read(options)?;
        steps.add("type information", began);
        let began = Instant::now();
        let cpus = Cpus::read()?;
        let ring_bytes = options.ring_bytes.unwrap_or_else(|| default_ring_bytes(cpus.ringed.len()));
        if !ring_bytes.is_power_of_two() || ring_bytes < 4 * abi::RECORD_MAX as u64 {
            return Err(LiveError::BadObject {
                what: format!("a ring of {ring_bytes} bytes: a power of two from 1 MiB on is needed"),
            });
        }
        let own_tgid = own_tgid(&mut loader, &resolved, &kernel_btf)?;
        let object = patched(options, ring_bytes, resolved.cast_kfunc)?;
        let settings = settings(options, ring_bytes, own_tgid, &cpus);
        loader.map_max_entries("LANES", (cpus.ringed.len() * abi::LANES_PER_CPU) as u32);
        loader.map_max_entries("CPU_SLOT", cpus.possible);
        if options.only_tree {
            loader.map_max_entries("TREE", TREE_MAX);
        }
        if options.needs().threads {
            loader.map_max_entries("THREADS", thread_places());
            loader.map_max_entries("KEYS", abi::KEYS_MAX);
        }
        for (name, value) in resolved.globals.iter().chain(&settings) {
            loader.override_global(name, value, true);
        }
        let ring_total = object::lane_bytes(ring_bytes) * (cpus.ringed.len() * abi::LANES_PER_CPU) as u64;
        let ebpf = loader.load(&object).map_err(|e| match obstacle(&e) {
            Some(obstacle) => obstacle,
            None => LiveError::Maps { ring_bytes: ring_total, source: Box::new(e) },
        })?;
        steps.add("object and maps", began);
        // A kernel that does not report io_uring operations is recorded without them.
        let loaded: Vec<_> =
            parts.into_iter().filter(|part| resolved.uring.is_some() || !part.is_uring()).collect();
        let mut probe = Self {
            ebpf,
            links: BTreeMap::new(),
            loaded: loaded.clone(),
            iterators: None,
            steps,
            cpus,
            ring_bytes,
        };
        probe.fill_slots()?;
        probe.fill_plan(options.strings_twice, options.push.as_ref())?;
        if let Some(uring) = &resolved.uring {
            probe.fill_uring(uring)?;
        }
        let wanted = |tracepoint| loaded.iter().any(|p| p.names().1 == tracepoint && !p.is_floor());
        let collectors = || COLLECTORS.iter().filter(|(.., tracepoint)| wanted(*tracepoint));
        let tails = collectors().map(|(.., program, tracepoint)| (*program, *tracepoint));
        let began = Instant::now();
        let refused = programs::load(
            &mut probe.ebpf,
            tails.chain(loaded.iter().map(|part| part.names())),
            iterators::obstacle(&resolved),
            &kernel_btf,
        )?;
        probe.iterators = Some(match refused {
            None => Iterators::open(&probe.ebpf, own_tgid as u32).map_err(|e| e.to_string()),
            Some(reason) => Err(reason),
        });
        probe.steps.add("verifier", began);
        for (table, slot, program, _) in collectors() {
            probe.set_collector(table, *slot, program)?;
        }
        Ok(probe)
    }

    /// Attaches all parts that were loaded, in order: those that were asked for and that this kernel has.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach_all(&mut self) -> Result<(), LiveError> {
        self.loaded.clone().into_iter().try_for_each(|part| self.attach(part))
    }

    /// Attaches a part that was loaded.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&mut self, part: Part) -> Result<(), LiveError> {
        let name = part.names().0;
        let link = self.program(name)?.attach().map_err(|e| refused(name, &e))?;
        self.links.insert(part, link);
        Ok(())
    }

    /// Detaches a part; nothing happens when it is not attached.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(&mut self, part: Part) -> Result<(), LiveError> {
        let name = part.names().0;
        match self.links.remove(&part) {
            Some(link) => self.program(name)?.detach(link).map_err(|e| refused(name, &e)),
            None => Ok(()),
        }
    }

    /// Detaches everything that is attached. A refusal stops none of the others.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) fn detach_all(&mut self) -> Result<(), LiveError> {
        let mut result = Ok(());
        while let Some(&part) = self.links.keys().next() {
            result = result.and(self.detach(part));
        }
        result
    }

    /// The iterators that tell the start state, or why there are none; once.
    pub(crate) fn take_iterators(&mut self) -> Result<Iterators, String> {
        self.iterators.take().unwrap_or_else(|| Err("they were taken before".to_owned()))
    }

    /// The tree that the capture is limited to; once.
    pub(crate) fn take_tree(&mut self) -> Result<Tree, LiveError> {
        let mut take = |name| self.ebpf.take_map(name).ok_or_else(|| missing(name));
        Tree::new(take("TREE")?, take("TREE_WORDS")?)
    }

    /// The classes of threads, where the filter tells threads apart; once.
    pub(crate) fn take_classes(&mut self, options: &ProbeOptions) -> Result<Option<Classes>, LiveError> {
        let needs = options.needs();
        // Inside a pid namespace the start snapshot has other numbers than the probe.
        if !needs.threads || !has_host_pids() {
            return Ok(None);
        }
        let mut take = |name| self.ebpf.take_map(name).ok_or_else(|| missing(name));
        let maps = [take("THREADS")?, take("FILTER_WORDS")?, take("KEYS")?];
        Classes::new(maps, thread_places(), needs).map(Some)
    }

    /// The loaded object, for aya-log.
    pub(crate) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Runs of programs that the kernel skipped because a program was already running on that CPU
    /// (`recursion_misses` in their fdinfo). The counters outlive the links.
    pub(crate) fn recursion_misses(&mut self) -> u64 {
        let parts = self.loaded.clone();
        parts.into_iter().filter_map(|part| self.misses_of(part.names().0)).sum()
    }

    fn misses_of(&mut self, name: &'static str) -> Option<u64> {
        use std::os::fd::AsRawFd;
        let fd = self.program(name).ok()?.fd().ok()?.as_fd().as_raw_fd();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        info.lines().find_map(|l| l.strip_prefix("recursion_misses:"))?.trim().parse().ok()
    }

    /// Records lost on CPUs that have no ring.
    pub(crate) fn lost_without_ring(&self) -> u64 {
        let map = self.ebpf.map("NO_RING").and_then(|m| PerCpuArray::<_, u64>::try_from(m).ok());
        map.and_then(|m| m.get(&0, 0).ok()).map_or(0, |v| v.iter().sum())
    }

    /// The ring map.
    pub(crate) fn lanes_fd(&self) -> Result<std::os::fd::BorrowedFd<'_>, LiveError> {
        match self.ebpf.map("LANES") {
            Some(Map::Array(data)) => Ok(data.fd().as_fd()),
            _ => Err(missing("map LANES")),
        }
    }

    fn program(&mut self, name: &str) -> Result<&mut BtfTracePoint, LiveError> {
        let program = self.ebpf.program_mut(name).ok_or_else(|| missing(name))?;
        program.try_into().map_err(|_| missing(name))
    }

    fn set_collector(&mut self, table: &'static str, slot: u8, name: &str) -> Result<(), LiveError> {
        let fd = self
            .program(name)?
            .fd()
            .and_then(|fd| fd.try_clone().map_err(ProgramError::IOError))
            .map_err(|e| refused(name, &e))?;
        let map = self.ebpf.map_mut(table).ok_or_else(|| missing(table))?;
        let mut tails = ProgramArray::try_from(map).map_err(|e| map_error(table, e))?;
        tails.set(u32::from(slot), &fd, 0).map_err(|e| map_error(table, e))
    }

    fn fill_slots(&mut self) -> Result<(), LiveError> {
        if self.cpus.is_identity() {
            return Ok(());
        }
        let (ringed, possible) = (self.cpus.ringed.clone(), self.cpus.possible);
        let mut map = self.array::<u32>("CPU_SLOT")?;
        for cpu in 0..possible {
            let slot = ringed.iter().position(|c| *c == cpu).map_or(u32::MAX / 2, |slot| slot as u32);
            map.set(cpu, slot, 0).map_err(|e| map_error("CPU_SLOT", e))?;
        }
        Ok(())
    }

    fn fill_plan(&mut self, strings_twice: bool, push: Option<&Push>) -> Result<(), LiveError> {
        let mut passes = vec![Passes::ALL; 2 * PLAN_ROWS];
        for (row, passed) in push.map_or(&[][..], |push| &push.rows) {
            passes[*row] = *passed;
        }
        let mut map = self.array::<[u8; 64]>("PLAN")?;
        let mut set = |index: usize, row: plan::PlanRow| {
            let row = if strings_twice { with_strings_at_enter(row) } else { row };
            let Passes { enter: pass_enter, exit_ok: pass_ok, exit_failed: pass_failed } = passes[index];
            let row = plan::PlanRow { pass_enter, pass_ok, pass_failed, ..row };
            map.set(index as u32, row.to_bytes(), 0).map_err(|e| map_error("PLAN", e))
        };
        if push.is_some() {
            // Numbers without a call, too: an empty row lets nothing pass.
            (0..2 * PLAN_ROWS).try_for_each(|row| set(row, plan::PlanRow::PLAIN))?;
        }
        for call in NATIVE_CALLS.iter().filter(|c| usize::from(c.nr) < PLAN_ROWS - 1) {
            set(usize::from(call.nr), plan::row(call.name))?;
        }
        for (nr, name) in ia32::names().filter(|(nr, _)| *nr < PLAN_ROWS - 1) {
            set(PLAN_ROWS + nr, plan::compat_row(name))?;
        }
        for (which, name) in ia32::SOCKETCALLS.iter().enumerate() {
            set(PLAN_ROWS + usize::from(plan::SOCKETCALL_ROWS) + which, plan::compat_row(name))?;
        }
        Ok(())
    }

    fn fill_uring(&mut self, uring: &UringRows) -> Result<(), LiveError> {
        let mut map = self.array::<[u8; 40]>("URING")?;
        for number in 0..capture_common::uring::ROWS_MAX {
            let row = uring.rows.get(number).copied().unwrap_or(UringRow::PLAIN);
            map.set(number as u32, row.to_bytes(), 0).map_err(|e| map_error("URING", e))?;
        }
        Ok(())
    }

    fn array<V: aya::Pod>(&mut self, name: &'static str) -> Result<Array<&mut MapData, V>, LiveError> {
        let map = self.ebpf.map_mut(name).ok_or_else(|| missing(name))?;
        Array::try_from(map).map_err(|e| map_error(name, e))
    }
}

/// The row with every string of its exit read at the enter, too, as far as there is room for it.
fn with_strings_at_enter(mut row: plan::PlanRow) -> plan::PlanRow {
    for action in row.exit.into_iter().take(usize::from(row.exit_count)) {
        let at = usize::from(row.enter_count);
        let is_there = row.enter[..at].iter().any(|a| (a.op, a.arg) == (action.op, action.arg));
        let is_input = action.op == plan::op::STR && action.when == plan::when::ALWAYS;
        if is_input && !is_there && at < plan::ENTER_ACTIONS {
            row.enter[at] = action;
            row.enter_count += 1;
        }
    }
    row
}

pub(super) fn missing(what: &str) -> LiveError {
    LiveError::BadObject { what: format!("it has no {what}") }
}

pub(super) fn map_error(map: &'static str, source: aya::maps::MapError) -> LiveError {
    LiveError::Map { map, source: Box::new(source) }
}

/// A refusal, with the end of the verifier's log, where it says why.
pub(super) fn refused(program: &str, error: &ProgramError) -> LiveError {
    const LAST_LINES: usize = 12;
    if let Some(obstacle) = obstacle(error) {
        return obstacle;
    }
    let reason = match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines = log.lines().collect::<Vec<_>>();
            format!("{io_error}\n{}", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"))
        }
        other => other.to_string(),
    };
    LiveError::Program { program: program.to_owned(), release: features::kernel_release(), reason }
}

/// What is in the way where the kernel refuses bpf(2) itself, not what a program does.
fn obstacle(error: &(dyn std::error::Error + 'static)) -> Option<LiveError> {
    let io = std::iter::successors(Some(error), |e| e.source()).find_map(|e| e.downcast_ref::<io::Error>());
    let code = io.and_then(io::Error::raw_os_error);
    let is_refusal = matches!(code, Some(libc::EPERM | libc::EACCES | libc::ENOSYS));
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    // A locked down kernel takes the programs for wrong ones (EINVAL).
    let status = if is_refusal { text("/proc/self/status") } else { String::new() };
    let obstacle = rights::obstacle(&status, &text("/sys/kernel/security/lockdown"))?;
    Some(LiveError::Obstacle { release: features::kernel_release(), obstacle })
}

/// Places for threads: as many as there can be, if that is not too much.
fn thread_places() -> u32 {
    let max = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let max = max.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(abi::THREADS_MAX);
    max.clamp(1 << 10, abi::THREADS_MAX).next_power_of_two()
}

/// 8 MiB per ring keeps the writer inside the cache while the reader keeps up and holds tens of
/// milliseconds of a busy CPU; machines with many CPUs get smaller ones.
fn default_ring_bytes(cpus: usize) -> u64 {
    match cpus {
        0..=16 => 8 << 20,
        17..=64 => 4 << 20,
        _ => 2 << 20,
    }
}

fn settings(options: &ProbeOptions, ring_bytes: u64, own_tgid: u64, cpus: &Cpus) -> Vec<(&'static str, u64)> {
    let page_kb = u64::from(page_size_bytes() / 1024);
    let (push, needs) = (options.push.as_ref(), options.needs());
    // A record that begins below it fits whatever its length.
    let full_limit = ring_bytes - abi::RECORD_MAX as u64;
    vec![
        ("FILTER", u64::from(push.is_some())),
        ("FILTER_THREADS", u64::from(needs.threads)),
        ("FILTER_KEYS", u64::from(needs.keys_only)),
        ("FILTER_ANCESTORS", u64::from(needs.ancestors)),
        ("FILTER_CGROUPS", u64::from(needs.containers)),
        ("THREADS_MASK", if needs.threads { u64::from(thread_places()) - 1 } else { 0 }),
        ("PASS_SIGNAL", push.map_or(0xff, |push| u64::from(push.signal))),
        ("PASS_SWITCH", push.map_or(0xff, |push| u64::from(push.switch))),
        ("RING_MASK", ring_bytes - 1),
        ("FULL_LIMIT", full_limit),
        ("SHED_LIMIT", full_limit / 4 * 3),
        ("USE_SLOTS", u64::from(!cpus.is_identity())),
        ("SNAPLEN", u64::from(options.snaplen.min(abi::SNAPLEN_MAX))),
        ("SELF_TGID", if options.exclude_self { own_tgid } else { 0 }),
        ("ONLY_TREE", u64::from(options.only_tree)),
        ("TREE_MAKER", own_tgid),
        ("PAGE_KB_SHIFT", u64::from(page_kb.trailing_zeros())),
    ]
}

#[expect(unsafe_code, reason = "sysconf has no safe form in std")]
fn page_size_bytes() -> u32 {
    // SAFETY: no pointers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u32 }
}

fn patched(options: &ProbeOptions, ring_bytes: u64, cast_kfunc: Option<u32>) -> Result<Vec<u8>, LiveError> {
    let mut object = object::read(options.object.as_deref())?;
    object::patch(&mut object, ring_bytes, cast_kfunc)?;
    Ok(object)
}
