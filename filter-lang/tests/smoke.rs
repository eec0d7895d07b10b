//! The shortest walk through the crate: compile, match, refuse.

mod support;

use support::{Event, compile, matches, refused};

fn open() -> Event {
    Event::new("open", '<').with("proc.name", "curl").with("fd.name", "/etc/passwd").with("fd.num", 3_i64)
}

#[test]
fn basic_operators() {
    for (filter, want) in [
        ("proc.name=curl", true),
        ("proc.name==curl", true),
        ("proc.name!=curl", false),
        ("user.name!=root", false),
        ("not user.name=root", true),
        ("proc.name in (wget, curl)", true),
        ("fd.num>2 and fd.num<5", true),
        ("evt.type=open and evt.dir=<", true),
        ("evt.type=close or proc.name=curl and fd.num=4", false),
        ("(evt.type=close or proc.name=curl) and fd.num=3", true),
        ("fd.name pmatch (/et)", false),
        ("fd.name pmatch (/etc)", true),
        ("fd.name regex '/etc/.*'", true),
        ("fd.name regex /etc", false),
        ("fd.name startswith anyof (/usr, /etc)", true),
        ("proc.name = oneof (curl, curl)", false),
        ("concat(proc.name, ':', basename(fd.name)) = 'curl:passwd'", true),
        ("proc.name=val(proc.name)", true),
        ("proc.name in ()", false),
    ] {
        assert_eq!(matches(filter, &open()), want, "{filter}");
    }
}

#[test]
fn the_event_type_decides_first() {
    let filter = compile("evt.type in (open, close) and evt.dir=<");
    assert_eq!(filter.event_types().iter().collect::<Vec<_>>(), [1, 7]);
    assert_eq!(filter.event_types(), &filter.type_bounds().must);
}

#[test]
fn errors_show_the_place() {
    assert_eq!(
        refused("proc.name=curl and fd.sprot=80"),
        "filter error at column 20:\n  proc.name=curl and fd.sprot=80\n                     ^^^^^^^^\n\
         there is no field `fd.sprot`; did you mean `fd.sport`?"
    );
    for bad in
        ["", "and", "proc.name=", "proc.name", "(proc.name=a", "proc.name=a)", "evt.type=nosuch", "fd.num=x"]
    {
        println!("{}\n", refused(bad));
    }
}
