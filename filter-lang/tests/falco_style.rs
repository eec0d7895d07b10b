//! Conditions of the size and style of published rule sets: all compile, are linted, and agree with
//! the reference evaluator after their macros are expanded.

mod support;

use filter_lang::{Filter, Library, Options, Scratch};
use support::{Event, Fields};

fn library() -> Library {
    let mut library = Library::new();
    library.read_yaml(include_str!("data/falco_style.yaml")).expect("a rule file");
    library
}

fn rule(name: &str) -> Filter {
    let library = library();
    let condition = library.rule_condition(name).expect("a rule").to_owned();
    Filter::compile(&condition, &Fields, &Options { library }).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_rule_compiles() {
    let options = Options { library: library() };
    let mut count = 0;
    let mut by_type = 0;
    for (name, condition) in options.library.rules() {
        let filter =
            Filter::compile(condition, &Fields, &options).unwrap_or_else(|error| panic!("{name}:\n{error}"));
        let warnings: Vec<_> =
            filter.warnings().iter().filter(|w| !w.message.contains("only asks whether")).collect();
        assert!(warnings.is_empty(), "{name}: {}", warnings[0]);
        assert!(filter.explain().contains("evaluated:"), "{name}");
        by_type += usize::from(!filter.event_types().is_all());
        count += 1;
    }
    assert!(count >= 60, "{count} rules");
    assert!(by_type >= count * 3 / 4, "only {by_type} of {count} are bound to event types");
}

#[test]
fn every_macro_and_rule_survives_printing() {
    let library = library();
    for (name, condition) in library.rules().chain(library.macros()) {
        let tree = filter_lang::parse(condition).unwrap_or_else(|error| panic!("{name}:\n{error}"));
        let printed = tree.to_string();
        assert_eq!(filter_lang::parse(&printed).expect(name), tree, "{name}: {printed}");
    }
}

fn shell_in_container() -> Event {
    Event::new("execve", '<')
        .with("proc.name", "bash")
        .with("proc.pname", "runc")
        .with("proc.tty", 34816_i64)
        .with("container.id", "3ad7b26ded6d")
        .with("container.image.repository", "docker.io/library/nginx")
        .with("evt.num", 7_u64)
}

#[test]
fn a_shell_in_a_container() {
    let filter = rule("Terminal shell in a container");
    let mut scratch = Scratch::new();
    let hit = shell_in_container();
    assert!(filter.matches(&hit, &mut scratch));
    for miss in [
        hit.clone().with("proc.tty", 0_i64),
        hit.clone().with("container.id", "host"),
        hit.clone().with("proc.name", "nginx"),
        hit.clone().with("container.image.repository", "registry.example.org/tools/agent"),
        Event { code: Event::new("execve", '>').code, ..hit.clone() },
    ] {
        assert!(!filter.matches(&miss, &mut scratch), "{miss:?}");
    }
}

#[test]
fn a_write_below_etc() {
    let filter = rule("Write below etc");
    let mut scratch = Scratch::new();
    let hit = Event::new("openat", '<')
        .with("evt.is_open_write", true)
        .with("fd.typechar", "f")
        .with("fd.num", 3_i64)
        .with("fd.name", "/etc/crontab")
        .with("proc.name", "sh")
        .with("proc.pname", "nginx");
    assert!(filter.matches(&hit, &mut scratch));
    for miss in [
        hit.clone().with("fd.name", "/etc/ssl/certs/a.pem"),
        hit.clone().with("proc.name", "useradd"),
        hit.clone().with("proc.pname", "dpkg"),
        hit.clone().with("fd.num", -1_i64),
        hit.clone().with("fd.name", "/var/x"),
    ] {
        assert!(!filter.matches(&miss, &mut scratch), "{miss:?}");
    }
}

#[test]
fn an_outbound_connection() {
    let filter = rule("Cloud metadata");
    let mut scratch = Scratch::new();
    let addr = |text: &str| support::Owned::Ip(text.parse().expect("an address"));
    let hit = Event::new("connect", '<')
        .with("fd.typechar", "4")
        .with("fd.ip", vec![addr("10.0.0.5"), addr("169.254.169.254")])
        .with("fd.net", vec![addr("10.0.0.5"), addr("169.254.169.254")])
        .with("evt.rawres", 0_i64)
        .with("container.id", "3ad7b26ded6d");
    let metadata = addr("169.254.169.254");
    let hit = hit.with("fd.sip", metadata.clone()).with("fd.snet", metadata);
    assert!(filter.matches(&hit, &mut scratch));
    assert!(!filter.matches(&hit.clone().with("evt.rawres", -111_i64), &mut scratch));
    assert!(
        filter
            .matches(&hit.clone().with("evt.rawres", -115_i64).with("evt.res", "EINPROGRESS"), &mut scratch)
    );
    assert!(!filter.matches(&hit.with("fd.snet", addr("10.1.1.1")), &mut scratch));
}
