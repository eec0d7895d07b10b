//! Parse, compile, and nanoseconds per event for filters from trivial to the size of a rule.
//!
//! `cargo bench -p filter-lang`; an iteration of `c_event` is a thousand events, so that microseconds read as nanoseconds.

#[path = "../tests/support/mod.rs"]
mod support;

use divan::{Bencher, black_box};
use filter_lang::{Arena, Catalogue, FieldRef, Filter, Library, Options, Record, Scratch, Value, parse};
use support::{Event, Fields};

fn main() {
    divan::main();
}

const FILTERS: &[(&str, &str)] = &[
    ("01 one type, event of another", "evt.type=close"),
    ("02 one type, event of it", "evt.type=openat"),
    ("03 one number", "fd.num=3"),
    ("04 one text", "proc.name=curl"),
    ("05 type and text", "evt.type=openat and proc.name=nginx"),
    ("06 short list", "proc.name in (curl, wget, nc)"),
    ("07 contains", "fd.name contains passwd"),
    (
        "08 five terms",
        "evt.type=openat and fd.num>2 and proc.name!=curl and fd.name startswith /etc and evt.failed=false",
    ),
    (
        "09 pmatch and glob",
        "fd.name pmatch (/etc, /usr/lib, /var) and not fd.name glob '*.so*' and proc.name exists",
    ),
    ("10 fifty terms", ""),
];

/// The last one is a rule: its macros and lists have more than fifty terms.
fn text(name: &str) -> (String, Options) {
    let mut library = Library::new();
    library.read_yaml(include_str!("../tests/data/falco_style.yaml")).expect("a rule file");
    let text = match FILTERS.iter().find(|row| row.0 == name).expect("a known filter").1 {
        "" => library.rule_condition("Write below etc").expect("a rule").to_owned(),
        text => text.to_owned(),
    };
    (text, Options { library })
}

/// Values by field number, so that the time of the filter is measured and not that of a map.
struct Row {
    code: u16,
    values: Vec<Value<'static>>,
}

impl Record for Row {
    #[inline]
    fn field<'a>(&'a self, field: &'a FieldRef, _: &'a Arena) -> Value<'a> {
        self.values[field.id.0 as usize]
    }

    #[inline]
    fn event_type(&self) -> u16 {
        self.code
    }
}

fn row() -> Row {
    let mut values = vec![Value::None; support::FIELDS.len()];
    let mut set = |name: &str, value| {
        let id = Fields.lookup(name, None).expect("a known field");
        values[id.0 as usize] = value;
    };
    set("proc.name", Value::text("nginx"));
    set("proc.pname", Value::text("nginx"));
    set("proc.exepath", Value::text("/usr/sbin/nginx"));
    set("fd.num", Value::Int(12));
    set("fd.name", Value::text("/etc/nginx/conf.d/default.conf"));
    set("fd.typechar", Value::text("f"));
    set("evt.is_open_write", Value::Bool(true));
    set("evt.failed", Value::Bool(false));
    set("container.image.repository", Value::text("docker.io/library/nginx"));
    Row { code: Event::new("openat", '<').code, values }
}

fn names() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().map(|row| row.0)
}

#[divan::bench(args = names())]
fn a_parse(bencher: Bencher<'_, '_>, name: &str) {
    let (text, _) = text(name);
    bencher.bench(|| parse(black_box(&text)));
}

#[divan::bench(args = names())]
fn b_compile(bencher: Bencher<'_, '_>, name: &str) {
    let (text, options) = text(name);
    bencher.bench(|| Filter::compile(black_box(&text), &Fields, &options));
}

#[divan::bench(args = names())]
fn c_event(bencher: Bencher<'_, '_>, name: &str) {
    let (text, options) = text(name);
    let filter = Filter::compile(&text, &Fields, &options).expect("a good filter");
    let row = row();
    let mut scratch = Scratch::new();
    // A thousand events per sample, for the clock is coarser than one.
    bencher
        .counter(divan::counter::ItemsCount::new(1000_u32))
        .bench_local(|| (0..1000).filter(|_| filter.matches(black_box(&row), &mut scratch)).count());
}
