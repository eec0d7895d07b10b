//! Properties over random filters: printing and parsing is the identity, and the compiled filter says
//! what the reference says on every event.

mod reference;
mod support;

use filter_lang::{
    Arena, Arg, Check, Expr, FieldRef, Filter, Item, Known, Modifier, Op, Operand, Options, Outline, Record,
    Rhs, Scratch, Span, Text, Value, parse,
};
use proptest::prelude::*;
use proptest::sample::select;
use support::{Event, Fields};

const SPAN: Span = Span { start: 0, end: 0 };

fn field(name: &str) -> Operand {
    Operand::Field { name: name.to_owned(), index: None, span: SPAN }
}

fn indexed(name: &str, index: &str) -> Operand {
    Operand::Field { name: name.to_owned(), index: Some(index.to_owned()), span: SPAN }
}

fn call(name: &str, args: Vec<Arg>) -> Operand {
    Operand::Call { name: name.to_owned(), args, index: None, span: SPAN }
}

fn quoted(text: &str) -> Text {
    Text { bytes: text.as_bytes().to_vec(), quoted: true, span: SPAN }
}

/// A left side with the operators and constants that fit it.
#[derive(Clone, Debug)]
struct Shape {
    lhs: Operand,
    ops: &'static [Op],
    constants: &'static [&'static str],
    rights: Vec<Operand>,
}

const WORDS: &[&str] =
    &["curl", "cu", "CURL", "sh", "bash", "/etc", "/etc/passwd", "", "c*l", "*sh", "x y", "curlbash"];
const NUMBERS: &[&str] = &["-1", "0", "3", "4", "1000", "0", "5"];
const TEXT_OPS: &[Op] = &[
    Op::Eq,
    Op::Ne,
    Op::Lt,
    Op::Le,
    Op::Gt,
    Op::Ge,
    Op::Contains,
    Op::IContains,
    Op::StartsWith,
    Op::EndsWith,
    Op::Glob,
    Op::IGlob,
    Op::In,
    Op::Intersects,
    Op::PMatch,
    Op::Exists,
];
const NUMBER_OPS: &[Op] =
    &[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In, Op::Intersects, Op::Exists];
const EQUALITY_OPS: &[Op] = &[Op::Eq, Op::Ne, Op::In, Op::Intersects, Op::Exists];
const LIST_OPS: &[Op] = &[Op::In, Op::Intersects, Op::Exists];
const BUFFER_OPS: &[Op] = &[Op::Eq, Op::Ne, Op::Contains, Op::StartsWith, Op::EndsWith, Op::In, Op::Exists];
const HEX_OPS: &[Op] = &[Op::BContains, Op::BStartsWith];

fn shapes() -> Vec<Shape> {
    let shape = |lhs, ops, constants| Shape { lhs, ops, constants, rights: Vec::new() };
    let arg = |name: &str| Arg::Operand(field(name));
    let lower = call("tolower", vec![arg("proc.name")]);
    let texts = vec![call("val", vec![arg("proc.exe")]), lower.clone()];
    vec![
        Shape { rights: texts.clone(), ..shape(field("proc.name"), TEXT_OPS, WORDS) },
        Shape { rights: texts, ..shape(field("fd.name"), TEXT_OPS, WORDS) },
        shape(field("proc.exe"), &[Op::Regex], &["c.*", "[a-z]+", "/etc(/passwd)?", "curl|bash"]),
        Shape {
            rights: vec![call("val", vec![arg("fd.num")])],
            ..shape(field("proc.pid"), NUMBER_OPS, NUMBERS)
        },
        shape(field("fd.num"), NUMBER_OPS, NUMBERS),
        shape(field("evt.num"), NUMBER_OPS, NUMBERS),
        shape(field("evt.reltime"), NUMBER_OPS, NUMBERS),
        shape(field("fd.port"), NUMBER_OPS, NUMBERS),
        shape(field("thread.cpu"), NUMBER_OPS, &["0.5", "3", "-1.25"]),
        shape(field("evt.failed"), EQUALITY_OPS, &["true", "false"]),
        shape(field("evt.type"), EQUALITY_OPS, &["open", "close", "read"]),
        shape(field("evt.dir"), EQUALITY_OPS, &["<", ">"]),
        shape(field("fd.ip"), EQUALITY_OPS, &["127.0.0.1", "::1", "10.0.0.5"]),
        shape(field("fd.sip"), EQUALITY_OPS, &["127.0.0.1", "::1", "10.0.0.5"]),
        shape(field("fd.net"), EQUALITY_OPS, &["127.0.0.0/8", "::/64", "10.0.0.4/30", "0.0.0.0/0"]),
        shape(field("evt.buffer"), BUFFER_OPS, WORDS),
        shape(field("evt.buffer"), HEX_OPS, &["6375", "ff", "0a"]),
        shape(field("proc.aname"), TEXT_OPS, WORDS),
        shape(indexed("proc.aname", "1"), TEXT_OPS, WORDS),
        shape(field("proc.arglist"), LIST_OPS, WORDS),
        shape(lower, TEXT_OPS, WORDS),
        shape(call("len", vec![arg("proc.name")]), NUMBER_OPS, NUMBERS),
        shape(call("basename", vec![arg("fd.name")]), TEXT_OPS, WORDS),
        shape(
            call("concat", vec![arg("proc.name"), Arg::Text(quoted("")), arg("proc.exe")]),
            TEXT_OPS,
            WORDS,
        ),
    ]
}

fn text(pool: &'static [&'static str]) -> impl Strategy<Value = Item> + Clone {
    (select(pool), any::<bool>()).prop_map(|(text, is_quoted)| {
        // A bare pattern stands as it is, so that one with parentheses has to be quoted.
        let quoted = is_quoted || text.is_empty() || text.contains(['(', ' ']);
        Item::Text(Text { bytes: text.as_bytes().to_vec(), quoted, span: SPAN })
    })
}

fn check() -> impl Strategy<Value = Expr> {
    select(shapes()).prop_flat_map(|shape| {
        let Shape { lhs, ops, constants, rights } = shape;
        let item = match rights.is_empty() {
            true => text(constants).boxed(),
            false => prop_oneof![4 => text(constants), 1 => select(rights).prop_map(Item::Operand)].boxed(),
        };
        let modifier = select(vec![Modifier::OneOf, Modifier::AnyOf, Modifier::AllOf]);
        (Just(lhs), select(ops), prop::collection::vec(item, 0..6), prop::option::of(modifier)).prop_map(
            |(lhs, op, items, modifier)| {
                let rhs = match (op, modifier) {
                    (Op::Exists, _) => Rhs::None,
                    (Op::In | Op::Intersects | Op::PMatch, _) => Rhs::List(None, items, SPAN),
                    (_, Some(modifier)) => Rhs::List(Some(modifier), items, SPAN),
                    (_, None) => match items.into_iter().next() {
                        Some(item) => Rhs::Item(item),
                        None => Rhs::List(Some(Modifier::AnyOf), Vec::new(), SPAN),
                    },
                };
                Expr::Check(Check { lhs, op, op_span: SPAN, rhs })
            },
        )
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    check().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Expr::Or),
            inner.prop_map(|inner| match inner {
                // The parser cancels double negation.
                Expr::Not(inner) => *inner,
                inner => Expr::Not(Box::new(inner)),
            }),
        ]
    })
}

fn event() -> impl Strategy<Value = Event> {
    let words = || prop::option::of(select(WORDS));
    let number = || prop::option::of(select(vec![-1_i64, 0, 3, 4, 5, 1000]));
    let addr = || {
        select(vec!["127.0.0.1", "10.0.0.5", "::1", "::2"])
            .prop_map(|ip| support::Owned::Ip(ip.parse().unwrap()))
    };
    let texts =
        (words(), words(), words(), words(), prop::option::of(prop::collection::vec(select(WORDS), 0..4)));
    let lists = (
        prop::option::of(prop::collection::vec(select(WORDS), 0..4)),
        prop::option::of(prop::collection::vec(addr(), 0..3)),
        prop::option::of(prop::collection::vec(select(vec![0_u64, 3, 1000]), 0..3)),
        prop::option::of(addr()),
    );
    let numbers =
        (number(), number(), select(vec![0_u64, 3, 5, 9]), prop::option::of(select(vec![0.5, 3.0, -2.0])));
    let buffer = prop::option::of(select(vec![&b"curl"[..], b"\xff\x0a", b""]));
    (
        select(vec!["open", "close", "read"]),
        select(vec!['<', '>']),
        texts,
        lists,
        numbers,
        buffer,
        any::<Option<bool>>(),
    )
        .prop_map(|(name, dir, texts, lists, numbers, buffer, failed)| {
            let mut event = Event::new(name, dir).with("evt.num", numbers.2).with("evt.reltime", numbers.2);
            let mut put = |field: &str, value: Option<support::Owned>| {
                if let Some(value) = value {
                    event.values.insert(field.to_owned(), value);
                }
            };
            put("proc.name", texts.0.map(Into::into));
            put("fd.name", texts.1.map(Into::into));
            put("proc.exe", texts.2.map(Into::into));
            put("proc.aname[1]", texts.3.map(Into::into));
            put("proc.aname", texts.4.map(Into::into));
            put("proc.arglist", lists.0.map(Into::into));
            put("fd.ip", lists.1.clone().map(support::Owned::List));
            put("fd.net", lists.1.map(support::Owned::List));
            put("fd.port", lists.2.map(Into::into));
            put("fd.sip", lists.3);
            put("proc.pid", numbers.0.map(Into::into));
            put("fd.num", numbers.1.map(Into::into));
            put("thread.cpu", numbers.3.map(Into::into));
            put("evt.buffer", buffer.map(Into::into));
            put("evt.failed", failed.map(Into::into));
            event
        })
}

/// An event of which only some is known: which fields in full, and which by half, says `seed`.
struct Outlined<'e> {
    event: &'e Event,
    seed: u64,
}

impl Record for Outlined<'_> {
    fn field<'a>(&'a self, field: &'a FieldRef, arena: &'a Arena) -> Value<'a> {
        assert_eq!(self.known(field), Known::Value, "{field:?} is read, but not known");
        self.event.field(field, arena)
    }

    fn event_type(&self) -> u16 {
        self.event.code
    }
}

impl Outline for Outlined<'_> {
    fn known(&self, field: &FieldRef) -> Known {
        let arena = Arena::new();
        let luck = (self.seed ^ u64::from(field.id.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match (self.event.field(field, &arena), luck % 4) {
            _ if self.seed == ALL_KNOWN => Known::Value,
            (_, 0) => Known::Nothing,
            (Value::None, 1) => Known::Absent,
            (value, 1 | 2) => match value.as_integer() {
                Some(number) if number < 0 => Known::Between(-100, -1),
                Some(number) => Known::Between(number.min(3), 2000),
                None if value.as_bytes().is_some_and(|text| text != b"curl") => Known::OtherThan(b"curl"),
                None => Known::Value,
            },
            _ => Known::Value,
        }
    }
}

const ALL_KNOWN: u64 = u64::MAX;

fn is_about_process(field: &FieldRef) -> bool {
    support::FIELDS[field.id.0 as usize].0.starts_with("proc.")
}

/// 1,500 cases each, or as many as the variable PROPTEST_CASES says.
fn config() -> ProptestConfig {
    let from_environment = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { from_environment.cases } else { 1500 };
    ProptestConfig { cases, failure_persistence: None, ..from_environment }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn printed_and_parsed_is_the_same_tree(expr in expr()) {
        let printed = expr.to_string();
        let parsed = parse(&printed).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(parsed, expr, "{}", printed);
    }

    #[test]
    fn any_bytes_survive_printing(bytes in prop::collection::vec(1_u8.., 0..12), is_quoted in any::<bool>()) {
        let quoted = is_quoted || bytes.is_empty();
        let item = Item::Text(Text { bytes, quoted, span: SPAN });
        let expr = Expr::Check(Check { lhs: field("proc.name"), op: Op::Eq, op_span: SPAN, rhs: Rhs::Item(item) });
        let printed = expr.to_string();
        let parsed = parse(&printed).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(parsed, expr, "{}", printed);
    }

    #[test]
    fn compiled_agrees_with_the_reference(expr in expr(), events in prop::collection::vec(event(), 1..12)) {
        let printed = expr.to_string();
        let filter = Filter::compile(&printed, &Fields, &Options::default())
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut scratch = Scratch::new();
        // Then by each other's processes, of which the filter may know results by now.
        let mixed = events.iter().zip(events.iter().cycle().skip(1));
        let mixed: Vec<Event> = mixed.map(|(event, other)| event.by_process_of(other)).collect();
        for event in events.iter().chain(&mixed) {
            let wanted = reference::holds(&expr, event);
            let got = filter.matches(event, &mut scratch);
            prop_assert_eq!(got, wanted, "{} on {:?}", printed, event);
            prop_assert!(!wanted || filter.event_types().contains(event.code), "{}: type {}", printed, event.code);
            prop_assert!(wanted || !filter.type_bounds().must.contains(event.code), "{}", printed);
        }
    }

    #[test]
    fn what_matches_is_never_ruled_out(
        expr in expr(), events in prop::collection::vec(event(), 1..8), seed in any::<u64>(), count in 0_usize..4
    ) {
        let printed = expr.to_string();
        let filter = Filter::compile(&printed, &Fields, &Options::default())
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let parts = filter.parts(&is_about_process).first(count);
        let mut scratch = Scratch::new();
        for event in &events {
            let wanted = reference::holds(&expr, event);
            let results = filter.results(&parts, event, &mut scratch);
            for results in [None, Some(results)] {
                let outline = Outlined { event, seed };
                let may = filter.may_match(&outline, &parts, results, &mut scratch);
                prop_assert!(may || !wanted, "{} on {:?}, {:?}", printed, event, results);
                // Where all is known it is the answer.
                let all = Outlined { event, seed: ALL_KNOWN };
                prop_assert_eq!(filter.may_match(&all, &parts, results, &mut scratch), wanted, "{}", printed);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~]{0,60}|(not|and|or|in|[()'\"=,.a-z\\[\\]\\\\ ]){0,30}") {
        if let Err(error) = Filter::compile(&text, &Fields, &Options::default()) {
            let shown = error.to_string();
            prop_assert!(shown.len() < 2000, "{}", shown);
        }
    }
}
