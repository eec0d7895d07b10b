//! The fields that filters and formats name: one row each, with type, help, example and getter.
//!
//! A row is all there is to a field: the catalogue of the filter language, `-p` formats, JSON
//! output, `-l` and the reference page are made from it. Getters read the event's view and
//! answer `None` where the event has no such value; they never change anything.

mod category;
mod container;
mod event;
mod event_count;
mod event_time;
mod fd;
mod fd_absent;
mod fd_list;
mod fs_path;
mod k8s;
mod proc;
mod proc_ancestors;
mod thread;
mod user;

pub use category::category_name;
pub(crate) use event::flags_of;
pub(crate) use fd::is_about_fd;

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

    const fn rendered(mut self) -> Field {
        self.rendered = true;
        self
    }

    const fn only(mut self, usage: Use) -> Field {
        self.usage = usage;
        self
    }

    /// The class of the field: its name up to the first dot.
    pub fn class(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(class, _)| class)
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

/// All fields, by class, in the order in which they are listed.
pub static CLASSES: &[&[Field]] = &[
    event_time::FIELDS,
    event::FIELDS,
    event_count::FIELDS,
    proc::FIELDS,
    proc_ancestors::FIELDS,
    thread::FIELDS,
    user::FIELDS,
    container::FIELDS,
    fd::FIELDS,
    fd_list::FIELDS,
    fs_path::FIELDS,
    k8s::FIELDS,
];

/// Every field.
pub fn all() -> impl Iterator<Item = &'static Field> {
    CLASSES.iter().flat_map(|class| class.iter())
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
