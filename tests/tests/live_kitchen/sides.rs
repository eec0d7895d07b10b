//! The events of one run of the program: by thread, threads by how they descend from the first
//! one, values as text with everything masked that differs from run to run.

use capture_common::event_table::{ParamType, code};
use capture_common::raw_event::{RawEvent, read_int};
use capture_common::syscall_table;
use capture_common::{Batch, EventSource, Next};
use capture_file::Reader;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

/// The first call of the program itself; before it works the dynamic linker.
const FIRST_CALL: &str = "socket";
/// Calls that make threads.
const CLONES: &[&str] = &["clone", "clone3", "fork", "vfork"];
/// Events that come when the machine likes.
const NOT_CALLS: &[&str] = &["switch"];
/// Forms of 2022, which we write, of calls that have events of their own today.
const FORMS_OF_2022: &[(&str, &str)] = &[
    ("accept4", "accept"),
    ("eventfd2", "eventfd"),
    ("inotify_init1", "inotify_init"),
    ("signalfd4", "signalfd"),
    ("pipe2", "pipe"),
    ("dup2", "dup"),
    ("dup3", "dup"),
    ("umount2", "umount"),
];
/// Parameters whose value is the machine's or the moment's.
const MASKED: &[&str] = &[
    "ID",
    "cgroups",
    "cwd",
    "dev",
    "ino",
    "pgft_maj",
    "pgft_min",
    "vm_size",
    "vm_rss",
    "vm_swap",
    "env",
    "tty",
    "exe_ino",
    "exe_ino_ctime",
    "exe_ino_mtime",
    "cap_inheritable",
    "cap_permitted",
    "cap_effective",
    "loginuid",
    "pidns_init_start_ts",
    "semid",
    "next",
];
/// From here on ports are ephemeral (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32768;
/// Numbers from here on are addresses of memory.
const ADDRESSES: u64 = 0x1_0000_0000;

/// One event.
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) is_exit: bool,
    pub(crate) params: Vec<(&'static str, Value)>,
}

/// A parameter's value.
pub(crate) struct Value {
    /// As text, masked.
    pub(crate) text: String,
    /// As it stands in the file, if it is a number. A small one can be the id of a thread by accident.
    number: Option<i64>,
}

impl Value {
    pub(crate) fn is_as(&self, other: &Value) -> bool {
        self.text == other.text || (self.number.is_some() && self.number == other.number)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.is_exit { '<' } else { '>' }, self.name)?;
        self.params.iter().try_for_each(|(name, value)| write!(f, " {name}={}", value.text))
    }
}

/// The events of a run by label of their thread: `0` is the first thread, `0.2` the second one that
/// it made.
pub(crate) struct Sides(BTreeMap<String, Vec<Side>>);

impl Sides {
    pub(crate) fn read(file: &Path) -> Sides {
        let batches = batches(file);
        let events = || batches.iter().flat_map(Batch::iter).filter(|e| !e.is_state_only());
        let labels = label_threads(events());
        let executed_ns = events().find(is_exec).expect("the program is executed").ts_ns;
        let mut sides: BTreeMap<String, Vec<Side>> = BTreeMap::new();
        let mut over: Vec<&str> = Vec::new();
        let mut entered: HashMap<i64, String> = HashMap::new();
        for event in events() {
            let Some(label) = labels.get(&event.tid) else { continue };
            let list = sides.entry(label.clone()).or_default();
            let Some(name) = call_name(&event, &mut entered) else { continue };
            let is_first = event.ts_ns > executed_ns && name == FIRST_CALL && event.code.is_enter();
            let begins = label != "0" || !list.is_empty() || is_first;
            if !begins || over.contains(&label.as_str()) {
                continue;
            }
            list.push(side(&event, name, &labels));
            // What another program does then is not the kitchen's.
            if event.code == code::SYSCALL_EXECVE_19_X && event.int(0) == Some(0) {
                over.push(label);
            }
        }
        Sides(sides)
    }

    pub(crate) fn labels(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub(crate) fn of(&self, label: &str) -> &[Side] {
        self.0.get(label).map_or(&[], Vec::as_slice)
    }
}

fn batches(file: &Path) -> Vec<Batch> {
    let mut reader = Reader::open(file).expect("opens");
    let mut batches = Vec::new();
    loop {
        let mut batch = Batch::new();
        match reader.next(&mut batch).expect("reads") {
            Next::Events => batches.push(batch),
            Next::End => return batches,
            Next::Section(_) | Next::Idle => {}
        }
    }
}

/// Whether this is the exec of the program.
fn is_exec(event: &RawEvent<'_>) -> bool {
    event.code == code::SYSCALL_EXECVE_19_X
        && event.int(0) == Some(0)
        && event.text(1).is_some_and(|exe| exe.ends_with(b"/kitchen"))
}

/// Name of the call; `None` for what is no call. Older files do not say in a generic exit which
/// call it is of.
fn call_name(event: &RawEvent<'_>, entered: &mut HashMap<i64, String>) -> Option<String> {
    let is_generic = matches!(event.code, code::GENERIC_E | code::GENERIC_X);
    let name = match event.uint(1) {
        Some(nr) if is_generic => syscall_table::x86_64(nr as u16)?.name.to_owned(),
        None if is_generic => entered.get(&event.tid)?.clone(),
        _ => event.info()?.name.to_owned(),
    };
    if NOT_CALLS.contains(&&*name) {
        return None;
    }
    let old = FORMS_OF_2022.iter().find(|(new, _)| *new == name);
    let name = old.map_or(name, |(_, old)| (*old).to_owned());
    if event.code.is_enter() {
        entered.insert(event.tid, name.clone());
    }
    Some(name)
}

/// Labels by thread id.
fn label_threads<'a>(events: impl Iterator<Item = RawEvent<'a>>) -> HashMap<i64, String> {
    let mut labels = HashMap::new();
    let mut children: HashMap<i64, u32> = HashMap::new();
    for event in events {
        let name = event.info().map_or("", |info| info.name);
        if labels.is_empty() && is_exec(&event) {
            labels.insert(event.tid, "0".to_owned());
        }
        if let (Some(child), true) = (event.int(0).filter(|c| *c > 0), CLONES.contains(&name))
            && event.code.is_exit()
            && let Some(label) = labels.get(&event.tid)
        {
            let n = children.entry(event.tid).or_default();
            *n += 1;
            let label = format!("{label}.{n:02}");
            labels.insert(child, label);
        }
    }
    labels
}

fn side(event: &RawEvent<'_>, name: String, labels: &HashMap<i64, String>) -> Side {
    let info = event.info().expect("a known event");
    let params = (0..event.nparams()).filter_map(|index| {
        let param = info.param(index)?;
        let bytes = event.param(index).unwrap_or(&[]);
        let number = read_int(bytes).filter(|_| param.ty.fixed_size() == Some(bytes.len()));
        Some((param.name, Value { text: text(param.name, param.ty, bytes, number, labels), number }))
    });
    Side { params: params.collect(), is_exit: event.code.is_exit(), name }
}

/// A value as text, masked.
fn text(
    name: &str,
    ty: ParamType,
    bytes: &[u8],
    number: Option<i64>,
    labels: &HashMap<i64, String>,
) -> String {
    if MASKED.contains(&name) {
        return "*".to_owned();
    }
    if let Some(number) = number {
        return match labels.get(&number) {
            Some(label) if number > 1 => format!("thread {label}"),
            None if ty == ParamType::Pid && number > 1 => "another process".to_owned(),
            None if number.unsigned_abs() >= ADDRESSES && ty != ParamType::RelTime => "an address".to_owned(),
            _ => number.to_string(),
        };
    }
    let mut bytes = bytes.to_vec();
    match ty {
        ParamType::SockTuple => mask_tuple(&mut bytes),
        ParamType::SockAddr => mask_address(&mut bytes),
        _ => {}
    }
    bytes.escape_ascii().to_string()
}

/// Blanks a port if it is ephemeral.
fn mask_port(port: Option<&mut [u8]>) {
    if let Some([low, high]) = port
        && u16::from_le_bytes([*low, *high]) >= EPHEMERAL
    {
        (*low, *high) = (0, 0);
    }
}

fn mask_tuple(bytes: &mut [u8]) {
    match bytes.first() {
        Some(&1) => bytes.iter_mut().skip(1).take(16).for_each(|b| *b = 0),
        Some(&2) => {
            mask_port(bytes.get_mut(5..7));
            mask_port(bytes.get_mut(11..13));
        }
        Some(&10) => {
            mask_port(bytes.get_mut(17..19));
            mask_port(bytes.get_mut(35..37));
        }
        _ => {}
    }
}

fn mask_address(bytes: &mut [u8]) {
    match bytes.first() {
        Some(&2) => mask_port(bytes.get_mut(5..7)),
        Some(&10) => mask_port(bytes.get_mut(17..19)),
        _ => {}
    }
}

/// Pairs two lists of events by their longest common part, compared by call and side.
pub(crate) fn align<'a>(a: &'a [Side], b: &'a [Side]) -> Vec<(Option<&'a Side>, Option<&'a Side>)> {
    let same = |x: &Side, y: &Side| x.name == y.name && x.is_exit == y.is_exit;
    let mut longest = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = if same(&a[i], &b[j]) {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && same(&a[i], &b[j]) {
            out.push((Some(&a[i]), Some(&b[j])));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            out.push((Some(&a[i]), None));
            i += 1;
        } else {
            out.push((None, Some(&b[j])));
            j += 1;
        }
    }
    out
}
