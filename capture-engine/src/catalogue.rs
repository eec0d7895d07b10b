//! The fields as the filter language sees them: names, types, constants, and on which event types
//! they can have a value; and events as records that filters run on.

use crate::event_kinds::EventKind;
use crate::fields::{self, Ctx, Field, Use, subject};
use crate::render::TextOptions;
use crate::view::EventView;
use capture_common::event_table::{EVENTS, FlagTable, ParamExtra, code};
use capture_common::syscall_table::{AARCH64, PPM_SC_NAMES, X86_64};
use capture_common::{EventCode, EventFlags, EventInfo, ParamInfo, ParamType};
use filter_lang::{
    Arena, ArgRule, Arity, Catalogue, Constant, Cost, FieldDef, FieldId, FieldRef, FieldType, LookupError,
    Record, Subject, TypeBounds, TypeSet, Value, Version,
};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// All fields of [`crate::fields`], for [`filter_lang::Filter::compile`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldCatalogue;

/// Bits of a [`FieldId`]: number of the argument's name if it names a parameter (from 1), index of the
/// field in [`FIELDS`].
const ARG_SHIFT: u32 = 16;
const FIELD_MASK: u32 = (1 << ARG_SHIFT) - 1;

static FIELDS: LazyLock<Box<[&'static Field]>> = LazyLock::new(|| fields::all().collect());

static BY_NAME: LazyLock<HashMap<&'static str, FieldId>> =
    LazyLock::new(|| FIELDS.iter().zip(0..).map(|(field, at)| (field.name, FieldId(at))).collect());

/// Names that `evt.type` can have.
static TYPE_NAMES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let events =
        EVENTS.iter().filter(|e| !e.is_unused() && !is_generic(e) && !e.name.is_empty()).map(|e| e.name);
    events.chain(CALL_NAMES.iter().copied()).collect()
});

/// Names of system calls.
static CALL_NAMES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let calls = X86_64.iter().chain(AARCH64).map(|s| s.name);
    calls.chain(PPM_SC_NAMES.iter().copied()).filter(|n| !n.is_empty()).collect()
});

/// Names of parameters, of either schema.
static PARAM_NAMES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| EVENTS.iter().flat_map(params_of).map(|p| p.name).collect());

/// Where each event type has the parameter of a certain name.
#[derive(Debug)]
pub struct ParamPlaces {
    name: &'static str,
    by_code: [u8; EVENTS.len()],
}

impl ParamPlaces {
    const NOWHERE: u8 = u8::MAX;

    /// Those of all names, sorted.
    fn all() -> Vec<ParamPlaces> {
        let nowhere = |&name: &&'static str| ParamPlaces { name, by_code: [Self::NOWHERE; EVENTS.len()] };
        let mut all: Vec<ParamPlaces> = PARAM_NAMES.iter().map(nowhere).collect();
        for info in EVENTS.iter() {
            for list in [info.params_2022.unwrap_or(&[]), info.params] {
                for (param, at) in list.iter().zip(0u8..) {
                    let Ok(row) = all.binary_search_by(|places| places.name.cmp(param.name)) else {
                        continue;
                    };
                    let place = &mut all[row].by_code[usize::from(info.code.0)];
                    // The first of a name counts, and the 2022 schema before the current one.
                    if *place == Self::NOWHERE {
                        *place = at;
                    }
                }
            }
        }
        all
    }

    /// Index of the parameter in events of this type.
    #[inline]
    pub fn at(&self, event: EventCode) -> Option<usize> {
        let &place = self.by_code.get(usize::from(event.0))?;
        (place != Self::NOWHERE).then_some(usize::from(place))
    }
}

/// All names of parameters, sorted: looked up once when a filter or format is compiled.
static PARAM_PLACES: LazyLock<Vec<ParamPlaces>> = LazyLock::new(ParamPlaces::all);

/// The places of the parameter that a field's argument names.
#[inline]
pub fn param_places(id: FieldId) -> Option<&'static ParamPlaces> {
    match id.0 >> ARG_SHIFT {
        0 => None,
        number => PARAM_PLACES.get(number as usize - 1),
    }
}

/// The id with the number of the parameter that its argument names, where it names one.
fn with_param(id: FieldId, field: &Field, arg: Option<&str>) -> FieldId {
    let Some(arg) = arg.filter(|_| matches!(field.name, "evt.arg" | "evt.rawarg")) else { return id };
    match PARAM_PLACES.binary_search_by(|places| places.name.cmp(arg)) {
        Ok(at) => FieldId(id.0 | (at as u32 + 1) << ARG_SHIFT),
        Err(_) => id,
    }
}

/// The row of a field.
#[inline]
pub fn field(id: FieldId) -> Option<&'static Field> {
    FIELDS.get((id.0 & FIELD_MASK) as usize).copied()
}

/// The field with this name (without argument).
pub fn field_named(name: &str) -> Option<(FieldId, &'static Field)> {
    let &id = BY_NAME.get(name)?;
    Some((id, field(id)?))
}

impl Catalogue for FieldCatalogue {
    fn lookup(&self, name: &str, arg: Option<&str>) -> Result<FieldId, LookupError> {
        let (id, field) = field_named(name).ok_or(LookupError::Unknown)?;
        match (field.arg, arg) {
            (ArgRule::None, Some(_)) => return Err(LookupError::ArgNotAllowed),
            (ArgRule::Required, None) => return Err(LookupError::ArgRequired),
            (_, Some(arg)) => check_arg(field, arg)?,
            (_, None) => {}
        }
        Ok(with_param(id, field, arg))
    }

    fn def(&self, field_ref: &FieldRef) -> FieldDef<'_> {
        let Some(field) = field(field_ref.id) else { return FieldDef::new("", FieldType::Str).print_only() };
        // With an index there is one ancestor only.
        let arity = if field_ref.arg.is_some() { Arity::One } else { field.arity };
        let ty = if field.name == "evt.rawarg" { raw_type(field_ref.arg.as_deref()) } else { field.ty };
        let cost = match field.getter {
            fields::Getter::Text(_) => Cost::Rendered,
            fields::Getter::Value(_) if field.name.starts_with("proc.a") => Cost::Rendered,
            fields::Getter::Value(_) if field.name.starts_with("evt.") => Cost::Header,
            fields::Getter::Value(_) => Cost::Stored,
        };
        let mut def = FieldDef::new(field.name, ty).arity(arity).arg(field.arg).cost(cost);
        def.subject = subject::subject_of(field.name);
        if field.usage == Use::Format { def.print_only() } else { def }
    }

    fn names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(fields::all().map(|f| Cow::Borrowed(f.name)))
    }

    fn constant(&self, field_ref: &FieldRef, name: &str) -> Option<i64> {
        flag_tables(field_ref.arg.as_deref()?).find_map(|t| t.value_of(name)).map(i64::from)
    }

    fn is_keyword(&self, field_ref: &FieldRef, name: &str) -> bool {
        match field(field_ref.id).map(|f| f.name) {
            Some("evt.dir") => matches!(name, ">" | "<"),
            Some("evt.type" | "syscall.type") => TYPE_NAMES.contains(name),
            _ => true,
        }
    }

    fn constant_names(&self, field_ref: &FieldRef) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match (field(field_ref.id).map(|f| f.name), field_ref.arg.as_deref()) {
            (Some("evt.dir"), _) => Box::new([">", "<"].into_iter().map(Cow::Borrowed)),
            (Some("evt.type" | "syscall.type"), _) => Box::new(TYPE_NAMES.iter().map(|n| Cow::Borrowed(*n))),
            (Some("evt.rawarg"), Some(arg)) => {
                let names: BTreeSet<_> = flag_tables(arg)
                    .flat_map(|t| t.v2022.iter().chain(t.head))
                    .map(|&(name, _)| name)
                    .collect();
                Box::new(names.into_iter().map(Cow::Borrowed))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    fn presence(&self, field_ref: &FieldRef) -> TypeBounds {
        let Some(field) = field(field_ref.id) else { return TypeBounds::NEVER };
        match (field.name, field_ref.arg.as_deref()) {
            (
                "evt.num" | "evt.dir" | "evt.type" | "evt.cpu" | "evt.rawtime" | "evt.count" | "evt.failed",
                _,
            ) => TypeBounds::ALWAYS,
            ("evt.arg" | "evt.rawarg", Some(arg)) if !arg.starts_with(|c: char| c.is_ascii_digit()) => {
                TypeBounds::at_most(codes(|e| e.param_index(arg).is_some()))
            }
            ("evt.buffer", _) => TypeBounds::at_most(codes(|e| e.param_index("data").is_some())),
            ("evt.res" | "evt.rawres" | "evt.count.exit", _) => {
                TypeBounds::at_most(codes(|e| e.code.is_exit()))
            }
            (name, _) if name.starts_with("fd.") => TypeBounds::at_most(codes(fields::is_about_fd)),
            _ => TypeBounds::UNKNOWN,
        }
    }

    fn equality(&self, field_ref: &FieldRef, value: &Constant) -> Option<TypeBounds> {
        match (field(field_ref.id)?.name, value) {
            ("evt.dir", Constant::Text(text)) => {
                let enter = &**text == b">";
                let known = codes(|e| e.code.is_enter() == enter);
                // Younger types have directions, too.
                Some(TypeBounds { may: known.and_younger(), must: known })
            }
            ("evt.type", Constant::Text(text)) => Some(type_bounds(std::str::from_utf8(text).ok()?)),
            ("syscall.type", Constant::Text(text)) => {
                Some(TypeBounds::at_most(type_bounds(std::str::from_utf8(text).ok()?).may))
            }
            ("evt.failed", Constant::Bool(true)) => Some(TypeBounds::at_most(codes(|e| {
                EventKind::get(e.code).is_some_and(|kind| kind.result_param().is_some())
            }))),
            (name, &Constant::Bool(is)) => {
                let flags = match name {
                    "evt.is_io" => EventFlags(EventFlags::READS_FROM_FD.0 | EventFlags::WRITES_TO_FD.0),
                    "evt.is_io_read" => EventFlags::READS_FROM_FD,
                    "evt.is_io_write" => EventFlags::WRITES_TO_FD,
                    "evt.is_wait" => EventFlags::WAITS,
                    _ => return None,
                };
                Some(TypeBounds::exactly(codes(|e| fields::flags_of(e).contains(flags) == is)))
            }
            _ => None,
        }
    }

    fn subject_name(&self, subject: Subject) -> Option<Cow<'_, str>> {
        subject::subject_name(subject).map(Cow::Borrowed)
    }

    fn type_name(&self, code: u16) -> Option<Cow<'_, str>> {
        let info = EVENTS.get(usize::from(code))?;
        let direction = if info.code.is_enter() { '>' } else { '<' };
        let name = if is_generic(info) { "generic call" } else { info.name };
        Some(Cow::Owned(format!("{direction} {name}")))
    }
}

fn check_arg(field: &Field, arg: &str) -> Result<(), LookupError> {
    let bad = |reason: &str, known: Vec<String>| LookupError::BadArg { reason: reason.to_owned(), known };
    let owned = |names: &BTreeSet<&str>| names.iter().map(|n| (*n).to_owned()).collect();
    match field.name {
        "evt.arg" | "evt.rawarg" if arg.starts_with(|c: char| c.is_ascii_digit()) => arg
            .parse::<usize>()
            .map(|_| ())
            .map_err(|_| bad("an argument's position is a small number", vec![])),
        "evt.arg" | "evt.rawarg" if !PARAM_NAMES.contains(arg) => {
            Err(bad("no event has an argument of this name", owned(&PARAM_NAMES)))
        }
        "evt.type.is" if !TYPE_NAMES.contains(arg) => Err(bad("no event has this name", owned(&TYPE_NAMES))),
        "evt.abspath" if !matches!(arg, "src" | "dst") => {
            Err(bad("the paths of a call are src and dst", vec!["src".into(), "dst".into()]))
        }
        "evt.around" if arg.parse::<u64>().is_err() => {
            Err(bad("it is a time in nanoseconds since the epoch", vec![]))
        }
        "proc.args" | "fd.types" if arg.parse::<u32>().is_err() => {
            Err(bad("its index is a small number", vec![]))
        }
        _ if field.arity == Arity::Any && arg.parse::<u32>().is_err() => {
            Err(bad("an ancestor's index is a small number", vec![]))
        }
        _ => Ok(()),
    }
}

fn is_generic(info: &EventInfo) -> bool {
    info.code.0 <= 1
}

fn params_of(info: &'static EventInfo) -> impl Iterator<Item = &'static ParamInfo> {
    info.params_2022.unwrap_or(&[]).iter().chain(info.params)
}

fn codes(wanted: impl Fn(&'static EventInfo) -> bool) -> TypeSet {
    EVENTS.iter().filter(|e| wanted(e)).map(|e| e.code.0).collect()
}

/// Event types with this name: those of their own for certain. A call may be generic too, also
/// where it has a type of its own: captures from before that type was added hold it so.
fn type_bounds(name: &str) -> TypeBounds {
    let own = codes(|e| e.name == name && !is_generic(e));
    if !CALL_NAMES.contains(name) {
        return TypeBounds::exactly(own);
    }
    let generic: TypeSet = [0u16, 1].into_iter().collect();
    TypeBounds { may: own.or(&generic), must: own }
}

/// The flag tables of all parameters with this name.
fn flag_tables(name: &str) -> impl Iterator<Item = &'static FlagTable> {
    EVENTS.iter().flat_map(params_of).filter(move |p| p.name == name).filter_map(|p| match p.extra {
        ParamExtra::Flags(table) => Some(table),
        _ => None,
    })
}

/// The type of `evt.rawarg.NAME`: that of the first parameter with this name.
fn raw_type(arg: Option<&str>) -> FieldType {
    use ParamType as T;
    let param = arg.and_then(|arg| EVENTS.iter().flat_map(params_of).find(|p| p.name == arg));
    match param.map(|p| p.ty) {
        Some(T::CharBuf | T::FsPath | T::FsRelPath) => FieldType::Str,
        Some(
            T::Flags8 | T::Flags16 | T::Flags32 | T::EnumFlags8 | T::EnumFlags16 | T::EnumFlags32 | T::Mode,
        ) => FieldType::Flags,
        Some(T::RelTime) => FieldType::RelTime,
        Some(T::AbsTime) => FieldType::AbsTime,
        Some(T::Dyn) | None => FieldType::Int,
        Some(ty) if ty.fixed_size().is_some_and(|size| size <= 8) => FieldType::Int,
        Some(_) => FieldType::Bytes,
    }
}

/// An event whose text fields are shown in a certain way; a record for filters.
#[derive(Clone, Copy, Debug)]
pub struct ShownEvent<'a> {
    /// The event.
    pub view: &'a EventView<'a>,
    /// How text is shown, in particular the time zone of `evt.time` and its like.
    pub options: &'a TextOptions,
}

#[inline]
fn value_of<'a>(
    field_ref: &'a FieldRef,
    view: &'a EventView<'a>,
    options: &'a TextOptions,
    arena: &'a Arena,
) -> Value<'a> {
    let Some(field) = field(field_ref.id) else { return Value::None };
    let (arg, places) = (field_ref.arg.as_deref(), param_places(field_ref.id));
    field.value(&Ctx { view, options, arg, places, arena }).unwrap_or(Value::None)
}

/// The version of an event's fd. Those of one type that have none are alike, but for exits that tell
/// what they did not get.
fn fd_version(view: &EventView<'_>) -> Option<u64> {
    /// Of the fds themselves versions begin at 1.
    const NONE: u64 = 0;
    let (code, info) = (view.raw.code, view.info?);
    view.applied.thread?;
    match view.fd() {
        // A connect that failed names what it tried to reach. Ends of a pipe share an entry, without number.
        Some(fd) if code == code::SOCKET_CONNECT_X || fd.version == NONE => None,
        Some(fd) => Some(fd.version),
        None if !fields::is_about_fd(info) || !fields::tells_what_it_wanted(code) => Some(NONE),
        None => None,
    }
}

impl Record for ShownEvent<'_> {
    #[inline]
    fn field<'a>(&'a self, field_ref: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        value_of(field_ref, self.view, self.options, arena)
    }

    #[inline]
    fn event_type(&self) -> u16 {
        self.view.raw.code.0
    }

    #[inline]
    fn version(&self, subject: Subject) -> Option<Version> {
        self.view.version(subject)
    }
}

/// Filters see buffers whole and times in UTC, unless [`ShownEvent`] says otherwise.
static FILTER_OPTIONS: LazyLock<TextOptions> =
    LazyLock::new(|| TextOptions { cut_buffers: false, ..TextOptions::default() });

impl Record for EventView<'_> {
    #[inline]
    fn field<'a>(&'a self, field_ref: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        value_of(field_ref, self, &FILTER_OPTIONS, arena)
    }

    #[inline]
    fn event_type(&self) -> u16 {
        self.raw.code.0
    }

    #[inline]
    fn version(&self, subject: Subject) -> Option<Version> {
        match subject {
            subject::PROCESS => {
                let slot = self.applied.thread?;
                Some(Version(self.machine.threads.version(), u64::from(slot.0)))
            }
            subject::FD => Some(Version(fd_version(self)?, u64::from(self.raw.code.0))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::event_table::code;
    use filter_lang::Filter;

    fn compile(text: &str) -> Filter {
        Filter::compile(text, &FieldCatalogue, &filter_lang::Options::default())
            .unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn every_example_of_a_filter_compiles() {
        for field in fields::all().filter(|f| f.usage != Use::Format && !f.example.starts_with("-p")) {
            compile(field.example);
        }
    }

    #[test]
    fn event_types_of_filters() {
        let types = |text: &str| compile(text).event_types().iter().collect::<Vec<_>>();
        let generic_exit = vec![code::GENERIC_X.0];
        assert_eq!(
            types("evt.type=openat and evt.dir=<"),
            [generic_exit.clone(), types_named("openat", false)].concat()
        );
        assert_eq!(types("evt.type=switch"), types_named("switch", true));
        // A type of its own since 2018; older captures hold it as a generic call.
        assert_eq!(types("evt.type=mprotect and evt.dir=<")[..1], generic_exit);
        assert_eq!(types("evt.type=rt_sigaction"), [0, 1]);
        assert_eq!(types("evt.type=execve and evt.dir=> and evt.is_io=true"), [0u16; 0]);
    }

    fn types_named(name: &str, enter: bool) -> Vec<u16> {
        EVENTS.iter().filter(|e| e.name == name && e.code.is_enter() == enter).map(|e| e.code.0).collect()
    }

    #[test]
    fn ids_hold_every_row_and_every_name() {
        assert!(FIELDS.len() <= FIELD_MASK as usize + 1);
        assert!(fields::all().all(|f| field_named(f.name).is_some_and(|(_, found)| std::ptr::eq(found, f))));
        for &name in PARAM_NAMES.iter() {
            let id = FieldCatalogue.lookup("evt.arg", Some(name)).unwrap();
            assert_eq!((field(id).unwrap().name, param_places(id).unwrap().name), ("evt.arg", name));
            for info in EVENTS.iter() {
                assert_eq!(param_places(id).unwrap().at(info.code), info.param_index(name), "{name}");
            }
        }
        assert!(param_places(FieldCatalogue.lookup("evt.arg", Some("0")).unwrap()).is_none());
    }

    #[test]
    fn wrong_names_are_refused() {
        let refused = |text: &str| {
            Filter::compile(text, &FieldCatalogue, &filter_lang::Options::default()).unwrap_err().to_string()
        };
        assert!(refused("evt.type=opne").contains("open"));
        assert!(refused("proc.nmae=x").contains("proc.name"));
        assert!(refused("evt.arg.flagz=1").contains("flags"));
        assert!(refused("evt.outputtime=1").contains("evt.outputtime"));
    }

    #[test]
    fn raw_arguments_have_the_type_of_their_parameter() {
        compile("evt.rawarg.res<0 and evt.rawarg.flags=O_RDONLY|O_CLOEXEC and evt.rawarg.name contains /etc");
    }
}
