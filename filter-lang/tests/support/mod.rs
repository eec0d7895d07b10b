//! A made-up catalogue with the shapes of the real one's fields, and records that are plain maps.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of this module")]

use filter_lang::{
    Arena, ArgRule, Arity, Catalogue, Constant, Cost, FieldDef, FieldId, FieldRef, FieldType, Filter,
    LookupError, Options, Record, Scratch, Subject, TypeBounds, TypeSet, Value, Version,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// Name, type, arity, argument rule, cost.
pub type Row = (&'static str, FieldType, Arity, ArgRule, Cost);

const fn plain(name: &'static str, ty: FieldType) -> Row {
    (name, ty, Arity::One, ArgRule::None, Cost::Stored)
}

const fn header(name: &'static str, ty: FieldType) -> Row {
    (name, ty, Arity::One, ArgRule::None, Cost::Header)
}

const fn any(name: &'static str, ty: FieldType) -> Row {
    (name, ty, Arity::Any, ArgRule::None, Cost::Stored)
}

const fn with_arg(name: &'static str, ty: FieldType, arg: ArgRule) -> Row {
    (name, ty, Arity::One, arg, Cost::Rendered)
}

pub const FIELDS: &[Row] = &[
    header("evt.num", FieldType::Uint),
    plain("evt.time", FieldType::Str),
    header("evt.rawtime", FieldType::AbsTime),
    header("evt.reltime", FieldType::RelTime),
    plain("evt.latency", FieldType::RelTime),
    header("evt.type", FieldType::Keyword),
    header("evt.dir", FieldType::Keyword),
    plain("syscall.type", FieldType::Keyword),
    with_arg("evt.type.is", FieldType::Uint, ArgRule::Required),
    with_arg("evt.arg", FieldType::Str, ArgRule::Required),
    with_arg("evt.rawarg", FieldType::Int, ArgRule::Required),
    with_arg("evt.around", FieldType::WithinMs, ArgRule::Required),
    plain("evt.args", FieldType::Str),
    plain("evt.res", FieldType::Str),
    plain("evt.rawres", FieldType::Int),
    plain("evt.failed", FieldType::Bool),
    plain("evt.info", FieldType::Str),
    plain("evt.buffer", FieldType::Bytes),
    plain("evt.buflen", FieldType::Uint),
    plain("evt.category", FieldType::Str),
    plain("evt.count", FieldType::Uint),
    plain("evt.cpu", FieldType::Int),
    plain("evt.io_dir", FieldType::Str),
    plain("evt.is_io", FieldType::Bool),
    plain("evt.is_io_write", FieldType::Bool),
    plain("evt.is_io_read", FieldType::Bool),
    plain("evt.is_open_read", FieldType::Bool),
    plain("evt.is_open_write", FieldType::Bool),
    plain("evt.is_open_exec", FieldType::Bool),
    plain("evt.abspath", FieldType::Str),
    plain("proc.name", FieldType::Str),
    plain("proc.pname", FieldType::Str),
    plain("proc.sname", FieldType::Str),
    plain("proc.exe", FieldType::Str),
    plain("proc.exepath", FieldType::Str),
    plain("proc.exeline", FieldType::Str),
    plain("proc.args", FieldType::Str),
    plain("proc.cmdline", FieldType::Str),
    plain("proc.pcmdline", FieldType::Str),
    plain("proc.cwd", FieldType::Str),
    plain("proc.pid", FieldType::Int),
    plain("proc.ppid", FieldType::Int),
    plain("proc.vpid", FieldType::Int),
    plain("proc.vpgid", FieldType::Int),
    plain("proc.tty", FieldType::Int),
    plain("proc.duration", FieldType::RelTime),
    plain("proc.vmsize", FieldType::Uint),
    plain("proc.nthreads", FieldType::Uint),
    plain("proc.fdopencount", FieldType::Uint),
    plain("proc.is_exe_writable", FieldType::Bool),
    plain("proc.is_exe_upper_layer", FieldType::Bool),
    plain("proc.is_exe_from_memfd", FieldType::Bool),
    plain("proc.is_vpgid_leader", FieldType::Bool),
    ("proc.aname", FieldType::Str, Arity::Any, ArgRule::Optional, Cost::Rendered),
    ("proc.aexepath", FieldType::Str, Arity::Any, ArgRule::Optional, Cost::Rendered),
    ("proc.apid", FieldType::Int, Arity::Any, ArgRule::Optional, Cost::Rendered),
    with_arg("proc.env", FieldType::Str, ArgRule::Optional),
    ("proc.arglist", FieldType::Str, Arity::List, ArgRule::None, Cost::Rendered),
    plain("thread.tid", FieldType::Int),
    plain("thread.ismain", FieldType::Bool),
    plain("thread.cpu", FieldType::Double),
    with_arg("thread.cgroup", FieldType::Str, ArgRule::Required),
    plain("thread.cap_effective", FieldType::Str),
    plain("user.uid", FieldType::Uint),
    plain("user.name", FieldType::Str),
    plain("user.loginuid", FieldType::Int),
    plain("group.name", FieldType::Str),
    plain("fd.num", FieldType::Int),
    plain("fd.name", FieldType::Str),
    plain("fd.nameraw", FieldType::Str),
    plain("fd.type", FieldType::Str),
    plain("fd.typechar", FieldType::Str),
    plain("fd.directory", FieldType::Str),
    plain("fd.filename", FieldType::Str),
    any("fd.ip", FieldType::Ip),
    plain("fd.cip", FieldType::Ip),
    plain("fd.sip", FieldType::Ip),
    plain("fd.lip", FieldType::Ip),
    plain("fd.rip", FieldType::Ip),
    any("fd.port", FieldType::Port),
    plain("fd.cport", FieldType::Port),
    plain("fd.sport", FieldType::Port),
    plain("fd.lport", FieldType::Port),
    plain("fd.rport", FieldType::Port),
    any("fd.net", FieldType::Net),
    plain("fd.cnet", FieldType::Net),
    plain("fd.snet", FieldType::Net),
    plain("fd.l4proto", FieldType::Str),
    plain("fd.sockfamily", FieldType::Str),
    plain("fd.is_server", FieldType::Bool),
    plain("fd.connected", FieldType::Bool),
    plain("fd.flags", FieldType::Flags),
    plain("container.id", FieldType::Str),
    plain("container.name", FieldType::Str),
    plain("container.image.repository", FieldType::Str),
    plain("container.privileged", FieldType::Bool),
    with_arg("container.mount.dest", FieldType::Str, ArgRule::Required),
    plain("k8s.pod.name", FieldType::Str),
    plain("k8s.ns.name", FieldType::Str),
    with_arg("k8s.pod.label", FieldType::Str, ArgRule::Required),
];

/// Event names; the code of an enter is twice the index, that of the exit one more.
pub const EVENTS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "close",
    "read",
    "write",
    "connect",
    "accept",
    "execve",
    "clone",
    "fork",
    "socket",
    "bind",
    "listen",
    "sendto",
    "recvfrom",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "chmod",
    "fchmodat",
    "ptrace",
    "setuid",
    "setns",
    "mount",
    "dup",
    "dup2",
    "dup3",
    "symlinkat",
    "linkat",
    "kill",
    "creat",
    "open_by_handle_at",
    "procexit",
    "init_module",
    "finit_module",
    "bpf",
    "unshare",
    "setresuid",
    "prctl",
    "memfd_create",
    "userfaultfd",
    "container",
    "accept4",
    "execveat",
    "vfork",
    "clone3",
    "link",
    "symlink",
    "switch",
];

pub const ARGS: &[&str] = &[
    "res", "fd", "flags", "name", "size", "uid", "filename", "path", "oldpath", "newpath", "mode", "domain",
    "type", "request", "target", "linkpath", "tuple", "data", "oldname", "newname", "addr", "option", "cmd",
    "nstype", "source", "dev", "pid",
];

/// A catalogue over a field table.
pub struct Fields;

/// Fields with these prefixes are decided by subjects: by process and by fd.
const SUBJECTS: &[&str] = &["proc.", "fd."];

impl Catalogue for Fields {
    fn lookup(&self, name: &str, arg: Option<&str>) -> Result<FieldId, LookupError> {
        let at = FIELDS.iter().position(|row| row.0 == name).ok_or(LookupError::Unknown)?;
        let id = FieldId(u32::try_from(at).expect("a short table"));
        match (FIELDS[at].3, arg) {
            (ArgRule::None, Some(_)) => Err(LookupError::ArgNotAllowed),
            (ArgRule::Required, None) => Err(LookupError::ArgRequired),
            (_, Some(arg)) if matches!(name, "evt.arg" | "evt.rawarg") => {
                if arg.parse::<u32>().is_ok() || ARGS.contains(&arg) {
                    Ok(id)
                } else {
                    Err(LookupError::BadArg {
                        reason: "no event has an argument of this name".to_owned(),
                        known: ARGS.iter().map(|&arg| arg.to_owned()).collect(),
                    })
                }
            }
            _ => Ok(id),
        }
    }

    fn def(&self, field: &FieldRef) -> FieldDef<'_> {
        let (name, ty, arity, arg, cost) = FIELDS[field.id.0 as usize];
        let arity = if arity == Arity::Any && field.arg.is_some() { Arity::One } else { arity };
        let subject = SUBJECTS.iter().position(|prefix| name.starts_with(prefix));
        let subject = subject.map(|at| Subject(u8::try_from(at).expect("a short table")));
        let mut def = FieldDef::new(name, ty).arity(arity).arg(arg).cost(cost);
        def.subject = subject;
        def
    }

    fn subject_name(&self, subject: Subject) -> Option<Cow<'_, str>> {
        SUBJECTS.get(usize::from(subject.0)).map(|prefix| Cow::Borrowed(prefix.trim_end_matches('.')))
    }

    fn names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(FIELDS.iter().map(|row| Cow::Borrowed(row.0)))
    }

    fn constant(&self, field: &FieldRef, name: &str) -> Option<i64> {
        let flags = [("O_RDONLY", 1), ("O_WRONLY", 2), ("O_CREAT", 4)];
        (FIELDS[field.id.0 as usize].1 == FieldType::Flags)
            .then(|| flags.iter().find(|row| row.0 == name))
            .flatten()
            .map(|row| row.1)
    }

    fn is_keyword(&self, field: &FieldRef, name: &str) -> bool {
        if FIELDS[field.id.0 as usize].0 == "evt.dir" {
            [">", "<"].contains(&name)
        } else {
            EVENTS.contains(&name)
        }
    }

    fn constant_names(&self, field: &FieldRef) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match FIELDS[field.id.0 as usize].1 {
            FieldType::Keyword => Box::new(EVENTS.iter().map(|&name| Cow::Borrowed(name))),
            _ => Box::new(["O_RDONLY", "O_WRONLY", "O_CREAT"].iter().map(|&name| Cow::Borrowed(name))),
        }
    }

    fn presence(&self, field: &FieldRef) -> TypeBounds {
        match FIELDS[field.id.0 as usize].0 {
            "evt.type" | "evt.dir" | "evt.num" | "evt.rawtime" => TypeBounds::ALWAYS,
            "evt.res" | "evt.rawres" => TypeBounds::at_most((0..512).filter(|code| code % 2 == 1).collect()),
            _ => TypeBounds::UNKNOWN,
        }
    }

    fn equality(&self, field: &FieldRef, value: &Constant) -> Option<TypeBounds> {
        let Constant::Text(text) = value else { return None };
        match FIELDS[field.id.0 as usize].0 {
            "evt.type" => {
                let at = EVENTS.iter().position(|name| name.as_bytes() == &**text)?;
                let enter = u16::try_from(2 * at).expect("a short table");
                Some(TypeBounds::exactly([enter, enter + 1].into_iter().collect()))
            }
            "evt.dir" => {
                let parity = u16::from(&**text == b"<");
                Some(TypeBounds::exactly((0..TypeSet::CAPACITY).filter(|code| code % 2 == parity).collect()))
            }
            _ => None,
        }
    }

    fn type_name(&self, code: u16) -> Option<Cow<'_, str>> {
        let name = EVENTS.get(usize::from(code / 2))?;
        Some(Cow::Owned(format!("{name} {}", if code.is_multiple_of(2) { '>' } else { '<' })))
    }
}

/// An owned value.
#[derive(Clone, Debug, PartialEq)]
pub enum Owned {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Ip(IpAddr),
    List(Vec<Owned>),
}

impl Owned {
    pub fn view<'a>(&'a self, arena: &'a Arena) -> Value<'a> {
        match self {
            Owned::Bool(flag) => Value::Bool(*flag),
            Owned::Int(number) => Value::Int(*number),
            Owned::Uint(number) => Value::Uint(*number),
            Owned::Double(number) => Value::Double(*number),
            Owned::Text(text) => Value::Str(text),
            Owned::Bytes(bytes) => Value::Bytes(bytes),
            Owned::Ip(addr) => Value::Ip(*addr),
            Owned::List(many) => Value::List(arena.list(many.iter().map(|one| one.view(arena)))),
        }
    }
}

impl From<&str> for Owned {
    fn from(text: &str) -> Owned {
        Owned::Text(text.as_bytes().to_vec())
    }
}
impl From<bool> for Owned {
    fn from(flag: bool) -> Owned {
        Owned::Bool(flag)
    }
}
impl From<i64> for Owned {
    fn from(number: i64) -> Owned {
        Owned::Int(number)
    }
}
impl From<u64> for Owned {
    fn from(number: u64) -> Owned {
        Owned::Uint(number)
    }
}
impl From<f64> for Owned {
    fn from(number: f64) -> Owned {
        Owned::Double(number)
    }
}
impl From<&[u8]> for Owned {
    fn from(bytes: &[u8]) -> Owned {
        Owned::Bytes(bytes.to_vec())
    }
}
impl From<IpAddr> for Owned {
    fn from(addr: IpAddr) -> Owned {
        Owned::Ip(addr)
    }
}
impl<T: Into<Owned>> From<Vec<T>> for Owned {
    fn from(many: Vec<T>) -> Owned {
        Owned::List(many.into_iter().map(Into::into).collect())
    }
}

/// A record: values by field text (`evt.arg[fd]`), and a type code.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub code: u16,
    pub values: BTreeMap<String, Owned>,
}

impl Event {
    /// An event of a name and direction, which sets `evt.type` and `evt.dir` too.
    pub fn new(name: &str, dir: char) -> Event {
        let at = EVENTS.iter().position(|&event| event == name).expect("a known event");
        let code = u16::try_from(2 * at).expect("a short table") + u16::from(dir == '<');
        let dir = dir.to_string();
        Event { code, values: BTreeMap::new() }.with("evt.type", name).with("evt.dir", dir.as_str())
    }

    pub fn with(mut self, field: &str, value: impl Into<Owned>) -> Event {
        self.values.insert(field.to_owned(), value.into());
        self
    }

    /// The same event by the process of another one.
    pub fn by_process_of(&self, other: &Event) -> Event {
        let is_own = |field: &&String| field.starts_with("proc.");
        let mut mixed = self.clone();
        mixed.values.retain(|field, _| !is_own(&field));
        let own = other.values.iter().filter(|(field, _)| is_own(field));
        mixed.values.extend(own.map(|(field, value)| (field.clone(), value.clone())));
        mixed
    }
}

impl Record for Event {
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        let name = FIELDS[field.id.0 as usize].0;
        let value = match &field.arg {
            Some(arg) => self.values.get(&format!("{name}[{arg}]")),
            None => self.values.get(name),
        };
        value.map_or(Value::None, |value| value.view(arena))
    }

    fn event_type(&self) -> u16 {
        self.code
    }

    fn version(&self, subject: Subject) -> Option<Version> {
        let prefix = SUBJECTS[usize::from(subject.0)];
        let mut hasher = DefaultHasher::new();
        for (field, value) in self.values.iter().filter(|(field, _)| field.starts_with(prefix)) {
            field.hash(&mut hasher);
            format!("{value:?}").hash(&mut hasher);
        }
        Some(Version(hasher.finish(), 0))
    }
}

/// Compiles or panics with the error as a user sees it.
pub fn compile(text: &str) -> Filter {
    match Filter::compile(text, &Fields, &Options::default()) {
        Ok(filter) => filter,
        Err(error) => panic!("{error}"),
    }
}

/// The error of a filter that must be refused.
pub fn refused(text: &str) -> String {
    match Filter::compile(text, &Fields, &Options::default()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// Does one event match?
pub fn matches(text: &str, event: &Event) -> bool {
    compile(text).matches(event, &mut Scratch::new())
}
