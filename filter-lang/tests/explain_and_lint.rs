//! What the program tells about a filter: warnings, explanation, requirements.

mod support;

use filter_lang::{Filter, Library, Op, Options};
use support::{Fields, compile};

fn warnings(text: &str) -> Vec<String> {
    compile(text).warnings().iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn warnings_by_cause() {
    for (filter, wanted) in [
        ("proc.name=c*t", "stands for itself"),
        ("proc.name contains 'a*'", "stands for itself"),
        ("proc.name glob curl", "no * ? or ["),
        ("proc.name regex curl", "whole text"),
        ("evt.time > 20", "compares text"),
        ("evt.num=-1", "is never = -1"),
        ("evt.num>=0", "only asks whether it exists"),
        ("fd.sport=70000", "is never = 70000"),
        ("fd.port!=-5", "only asks whether"),
        ("proc.name in ()", "an empty list"),
        ("evt.dir=> and evt.res=SUCCESS", "never true on the event types"),
        ("evt.type=open and evt.type=close", "never true"),
        ("proc.name=a and proc.name=b", "both are never true"),
        ("fd.net=2001:db8::", "means 2001:db8::/64"),
        ("fd.name contains ''", "empty text"),
        ("fd.name pmatch ('')", "empty path"),
    ] {
        let found = warnings(filter);
        assert!(found.iter().any(|message| message.contains(wanted)), "{filter}: {found:?}");
    }
    for quiet in [
        "proc.name=curl",
        "proc.name in (a, b) and proc.name != a",
        "evt.type=open and evt.dir=< and evt.res=SUCCESS",
        "fd.net=2001:db8::/64",
        "proc.name glob c*",
        "proc.name regex 'c.*'",
        "evt.num>5",
        "not evt.type=open and not evt.type=close",
    ] {
        assert_eq!(warnings(quiet), Vec::<String>::new(), "{quiet}");
    }
}

#[test]
fn a_warning_in_a_macro_shows_the_macro() {
    let mut library = Library::new();
    library.add_macro("shell", "proc.name=*sh");
    let filter = Filter::compile("shell and fd.num=1", &Fields, &Options { library }).expect("a good filter");
    assert_eq!(
        filter.warnings()[0].to_string(),
        "warning at column 1 of `shell`:\n  proc.name=*sh\n  ^^^^^^^^^^^^^\n\
         `proc.name`: the * in `*sh` stands for itself; `glob` matches patterns"
    );
}

#[test]
fn explanation() {
    let filter =
        compile("(proc.name=a or proc.name in (b, c)) and evt.type=open and not fd.name regex '/etc/.*'");
    assert_eq!(
        filter.explain(),
        "read as:     (proc.name = a or proc.name in (b, c)) and evt.type = open and not fd.name regex '/etc/.*'\n\
         event types: open >, open <\n\
         field:       proc.name (text)\n\
         field:       evt.type (one of a fixed set of names)\n\
         field:       fd.name (text)\n\
         evaluated:\n  \
           and  [cost 19]\n    \
             event type is open >, open <  [cost 1]\n    \
             once per state of the fd  [cost 8]\n      \
               not  [cost 65]\n        \
                 fd.name regex '/etc/.*'  [cost 65]\n    \
             proc.name in ('a', 'b', 'c')  [cost 9]\n"
    );
}

#[test]
fn requirements_of_a_conjunction() {
    let filter = compile("evt.type=open and proc.pid=5 and not user.uid=0 and (fd.num=1 or fd.num=2)");
    let shown: Vec<_> =
        filter.requirements().iter().map(|one| (one.op, one.constants.len(), one.negated)).collect();
    assert_eq!(shown, [(Op::In, 1, false), (Op::In, 2, false), (Op::In, 1, true)]);
    assert!(filter.is_conjunction());
    let filter = compile("proc.pid=5 and (fd.num=1 or proc.name=a)");
    assert_eq!(filter.requirements().len(), 1);
    assert!(!filter.is_conjunction());
    assert!(compile("proc.pid=5 or proc.name=a").requirements().is_empty());
}
