//! The fields that filters and formats name: one row each, with type, help, example and getter.
//!
//! A row is all there is to a field: the catalogue of the filter language, `-p` formats, JSON
//! output, `-l` and the reference page are made from it. Getters read the event's view and
//! answer `None` where the event has no such value; they never change anything.

mod category;
mod container;
mod container_detail;
mod event;
mod event_count;
mod event_infra;
mod event_latency;
mod event_time;
mod fd;
mod fd_absent;
mod fd_address;
mod fd_list;
mod fs_path;
mod health_probe;
mod k8s;
mod mesos;
mod orchestrators;
mod proc;
mod proc_ancestors;
pub(crate) mod subject;
mod syslog;
mod thread;
mod thread_cpu;
mod tracer;
mod user;
mod util;

pub use category::category_name;
pub use event::flags_of;
pub(crate) use event::has_failed;
pub(crate) use fd::is_about_fd;
pub use fd::type_name as fd_type_name;
pub(crate) use fd_absent::tells_what_it_wanted;

use crate::catalogue::ParamPlaces;
use crate::render::TextOptions;
use crate::view::EventView;
use filter_lang::{Arena, ArgRule, Arity, FieldType, Value};
use std::cell::RefCell;

/// What a getter is given.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The event and the state around it.
    pub view: &'a EventView<'a>,
    /// How text is shown.
    pub options: &'a TextOptions,
    /// The argument of the field, without brackets.
    pub arg: Option<&'a str>,
    /// Where events have the parameter that the argument names, for fields whose argument does.
    pub places: Option<&'static ParamPlaces>,
    /// Memory for values that exist nowhere.
    pub arena: &'a Arena,
}

/// How a field's value is found.
#[derive(Clone, Copy)]
pub enum Getter {
    /// A value, borrowed from the state or made in the arena.
    Value(for<'a> fn(&Ctx<'a>) -> Option<Value<'a>>),
    /// Text that has to be put together: appended to a buffer. Answers whether there is a value;
    /// what was appended does not count otherwise.
    Text(for<'a> fn(&Ctx<'a>, &mut Vec<u8>) -> bool),
}

/// How a number is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Print {
    /// Decimal; text as it is.
    Plain,
    /// Decimal with nine digits.
    Nine,
    /// Hexadecimal in capitals.
    Hex,
    /// Floating point with one decimal.
    OneDecimal,
}

/// Where a field may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// In filters and in formats.
    Anywhere,
    /// In filters only.
    Filter,
    /// In formats only.
    Format,
}

/// One field.
pub struct Field {
    /// Name without argument.
    pub name: &'static str,
    /// Type of a value.
    pub ty: FieldType,
    /// One value, candidates, or a list.
    pub arity: Arity,
    /// Whether it takes an argument.
    pub arg: ArgRule,
    /// Where it may be used.
    pub usage: Use,
    /// How numbers are printed.
    pub print: Print,
    /// Whether listings leave it out: meant for the tables of chisels, accepted everywhere.
    pub hidden: bool,
    /// Whether its text comes from [`crate::render`], which leaves nothing in it that a terminal
    /// would obey but the line breaks of its own layout. Other text is cleaned when it is printed.
    pub rendered: bool,
    /// What it is, for `-l` and the reference page.
    pub help: &'static str,
    /// A filter or format that uses it.
    pub example: &'static str,
    /// How it is found.
    pub getter: Getter,
}

impl Field {
    const fn new(
        name: &'static str,
        ty: FieldType,
        help: &'static str,
        example: &'static str,
        getter: Getter,
    ) -> Field {
        Field {
            name,
            ty,
            arity: Arity::One,
            arg: ArgRule::None,
            usage: Use::Anywhere,
            print: Print::Plain,
            hidden: false,
            rendered: false,
            help,
            example,
            getter,
        }
    }

    const fn arg(mut self, rule: ArgRule) -> Field {
        self.arg = rule;
        self
    }

    const fn arity(mut self, arity: Arity) -> Field {
        self.arity = arity;
        self
    }

    const fn print(mut self, print: Print) -> Field {
        self.print = print;
        self
    }

    const fn hidden(mut self) -> Field {
        self.hidden = true;
        self
    }

    const fn rendered(mut self) -> Field {
        self.rendered = true;
        self
    }

    const fn only(mut self, usage: Use) -> Field {
        self.usage = usage;
        self
    }

    /// The field's value on an event.
    pub fn value<'a>(&self, ctx: &Ctx<'a>) -> Option<Value<'a>> {
        match self.getter {
            Getter::Value(get) => get(ctx),
            Getter::Text(write) => text_value(ctx, write),
        }
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").field("name", &self.name).field("ty", &self.ty).finish_non_exhaustive()
    }
}

/// Shorthand of the rows: a value.
const fn value(
    name: &'static str,
    ty: FieldType,
    help: &'static str,
    example: &'static str,
    get: for<'a> fn(&Ctx<'a>) -> Option<Value<'a>>,
) -> Field {
    Field::new(name, ty, help, example, Getter::Value(get))
}

/// Shorthand of the rows: text.
const fn text(
    name: &'static str,
    help: &'static str,
    example: &'static str,
    write: for<'a> fn(&Ctx<'a>, &mut Vec<u8>) -> bool,
) -> Field {
    Field::new(name, FieldType::Str, help, example, Getter::Text(write))
}

thread_local! {
    /// Where text is put together before the arena gets a copy; kept so that evaluating a filter
    /// does not allocate.
    static PARTS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn text_value<'a>(ctx: &Ctx<'a>, write: for<'b> fn(&Ctx<'b>, &mut Vec<u8>) -> bool) -> Option<Value<'a>> {
    // Taken, not borrowed: a writer may itself ask for another text field.
    let mut parts = PARTS.take();
    parts.clear();
    let value = write(ctx, &mut parts).then(|| Value::Str(ctx.arena.copy(&parts)));
    PARTS.set(parts);
    value
}

/// Shorthand of the rows: a field whose source is gone, so that it never has a value.
const fn gone(name: &'static str, ty: FieldType, help: &'static str, example: &'static str) -> Field {
    Field::new(name, ty, help, example, Getter::Value(|_| None))
}

/// Fields that are listed together.
#[derive(Debug)]
pub struct Class {
    /// Name of the class.
    pub name: &'static str,
    /// What the fields of a class of several parts have in common; empty where there is one part.
    pub part: &'static str,
    /// What the fields are about.
    pub about: &'static str,
    /// The rows, in the order in which they are listed.
    pub tables: &'static [&'static [Field]],
}

impl Class {
    /// The fields of the class.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.tables.iter().flat_map(|table| table.iter())
    }
}

const fn class(
    name: &'static str,
    part: &'static str,
    about: &'static str,
    tables: &'static [&'static [Field]],
) -> Class {
    Class { name, part, about, tables }
}

/// All fields, by class, in the order in which they are listed.
#[rustfmt::skip]
pub static CLASSES: &[Class] = &[
    class("evt", "All event types", "What every event has: number, time, origin", &[event_time::FIELDS]),
    class("evt", "Syscall events only", "What happened: type, arguments, result, duration. Single arguments are reached by name, as in evt.arg.name",
        &[event_latency::FIELDS, event::FIELDS, event_count::FIELDS, event_infra::FIELDS]),
    class("process", "", "The process and the thread that the event belongs to, and their ancestors",
        &[proc::FIELDS, proc_ancestors::FIELDS, thread::FIELDS, thread_cpu::FIELDS]),
    class("user", "", "The user that the thread works for", &[user::USER_FIELDS]),
    class("group", "", "The group that the thread works for", &[user::GROUP_FIELDS]),
    class("container", "", "The container that the thread runs in, by its control groups and the records of the stream", &[container::FIELDS, container_detail::FIELDS]),
    class("fd", "", "The file, socket or other fd that the event is about", &[fd::FIELDS, fd_address::FIELDS]),
    class("fs.path", "", "The paths that calls on the file system name", &[fs_path::FIELDS]),
    class("syslog", "", "Messages that are written to /dev/log", &[syslog::FIELDS]),
    class("util", "", "Aids for formats", &[util::FIELDS]),
    class("fdlist", "", "The fds of poll and select", &[fd_list::FIELDS]),
    class("k8s", "", "The pod that the container belongs to, and what Kubernetes knows of it, as stored with the container", &[k8s::FIELDS]),
    class("orchestrators", "", "Swarm services and Compose projects, by the labels of their containers", &[orchestrators::FIELDS]),
    class("mesos", "", "Mesos tasks and Marathon applications, as labels and environment of their containers and processes tell them", &[mesos::FIELDS]),
    class("span", "", "Spans of sysdig's tracers; nothing records tracers any more, so these fields parse and never have a value", &[tracer::SPAN_FIELDS]),
    class("evtin", "", "Spans around an event; nothing records tracers any more, so these fields parse and never have a value", &[tracer::EVTIN_FIELDS]),
];

/// Every field.
pub fn all() -> impl Iterator<Item = &'static Field> {
    CLASSES.iter().flat_map(Class::fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rows_are_complete_and_names_are_unique() {
        let mut names = HashSet::new();
        for field in all() {
            assert!(names.insert(field.name), "{} twice", field.name);
            assert!(!field.help.is_empty() && !field.help.ends_with('.'), "{}: {}", field.name, field.help);
            assert!(field.example.contains(field.name), "{}: {}", field.name, field.example);
        }
    }
}
