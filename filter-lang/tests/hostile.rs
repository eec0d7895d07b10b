//! Text that is meant to hurt: a verdict within a second and bounded memory, never a crash.

mod support;

use filter_lang::{Filter, Library, Options, Scratch, TEXT_MAX_BYTES};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::{Event, Fields, compile, matches};

/// A second, with room for a build that is not optimised.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

/// Time that this thread has spent on a CPU, so that a busy machine fails nobody; wall-clock time where
/// the kernel does not say.
fn cpu_time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let on_cpu_ns = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok());
    match on_cpu_ns {
        Some(ns) => Duration::from_nanos(ns),
        None => START.get_or_init(Instant::now).elapsed(),
    }
}

fn verdict(text: &str) -> Result<(), String> {
    let start = cpu_time();
    let result = Filter::compile(text, &Fields, &Options::default());
    let shown = result.map(drop).map_err(|error| error.to_string());
    let took = cpu_time() - start;
    let head: String = text.chars().take(20).collect();
    assert!(took < LIMIT, "{head}... took {took:?}");
    if let Err(error) = &shown {
        assert!(error.len() < 4096, "{head}...: an error of {} bytes", error.len());
    }
    shown
}

#[test]
fn a_megabyte_of_anything() {
    const MEGABYTE: usize = 1 << 20;
    for piece in [
        "(",
        ")",
        "not ",
        "not(",
        "((((proc.name=a) ",
        "'",
        "\"",
        "\\",
        "=",
        "a",
        ".",
        "a.",
        "[",
        "proc.name[",
        "proc.name=(",
        "tolower(",
        "proc.name=a and ",
        "proc.name=a or ",
        "proc.name=a or (",
        ",",
        "\n",
        "\u{8}",
        "é",
        "\\x",
        "val(",
        "join(',',(",
        "in (",
        "and",
        "proc.name in ",
        "concat(proc.name,",
        "!",
        "<",
        "\0",
    ] {
        let text = piece.repeat(MEGABYTE / piece.len());
        assert!(verdict(&text).is_err(), "{piece}");
    }
}

#[test]
fn nested_text_with_a_broken_end() {
    for depth in [1, 50, 99, 100, 101, 1000, 300_000] {
        let open = "(".repeat(depth);
        let close = ")".repeat(depth);
        let whole = verdict(&format!("{open}proc.name=a{close}"));
        assert_eq!(whole.is_ok(), depth <= 100, "{depth}: {whole:?}");
        for broken in [
            format!("{open}proc.name=a"),
            format!("{open}proc.name={close}"),
            format!("{open}proc.name=a{close})"),
            format!("{open}proc.name=a and{close}"),
            format!("{open}tolower({open}proc.name=a{close}"),
            format!("not{open}proc.name=a or{close}"),
            format!("proc.name in {open}a{close}"),
        ] {
            let result = verdict(&broken);
            assert!(result.is_err() || depth == 1 && broken.contains(" in "), "{depth}: {broken}");
        }
        let calls = format!("{}proc.name{close}=a", "tolower(".repeat(depth));
        assert_eq!(verdict(&calls).is_ok(), depth <= 100);
    }
}

#[test]
fn many_nots_cancel_out() {
    let text = format!("{}proc.name=a", "not ".repeat(200_000));
    assert!(verdict(&text).is_ok());
    assert!(matches(&text, &Event::new("open", '<').with("proc.name", "a")));
}

#[test]
fn a_list_of_a_hundred_thousand() {
    for (field, op) in [
        ("proc.name", "in"),
        ("proc.name", "= anyof"),
        ("proc.name", "!= allof"),
        ("proc.name", "contains anyof"),
        ("proc.name", "icontains anyof"),
        ("proc.name", "startswith anyof"),
        ("proc.name", "endswith anyof"),
        ("proc.name", "glob anyof"),
        ("proc.name", "pmatch"),
        ("fd.num", "in"),
        ("fd.num", "= oneof"),
    ] {
        let items: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
        let text = format!("{field} {op} ({})", items.join(","));
        assert_eq!(verdict(&text), Ok(()), "{op}");
    }
    let items: Vec<String> = (0..100_000).map(|n| format!("word{n}")).collect();
    let filter = compile(&format!("proc.name in ({})", items.join(", ")));
    let mut scratch = Scratch::new();
    assert!(filter.matches(&Event::new("open", '<').with("proc.name", "word77777"), &mut scratch));
    assert!(!filter.matches(&Event::new("open", '<').with("proc.name", "word100000"), &mut scratch));
}

#[test]
fn long_chains() {
    for word in ["and", "or"] {
        let text = vec!["proc.name=a"; 50_000].join(&format!(" {word} "));
        assert_eq!(verdict(&text), Ok(()));
    }
    let mixed: Vec<String> = (0..30_000).map(|n| format!("fd.num={n} and not proc.pid={n}")).collect();
    assert_eq!(verdict(&mixed.join(" or ")), Ok(()));
}

#[test]
fn too_long_a_text() {
    assert!(verdict(&"a".repeat(TEXT_MAX_BYTES + 1)).expect_err("too long").contains("the limit is"));
}

#[test]
fn macros_that_multiply_or_bite_their_tail() {
    let mut library = Library::new();
    library.add_macro("m0", "fd.num=1 or fd.num=2");
    for n in 1..40 {
        library.add_macro(format!("m{n}"), format!("(m{} and m{}) or fd.num={n}", n - 1, n - 1));
    }
    library.add_macro("self", "fd.num=1 and self");
    library.add_list("loop", vec!["a".into(), "pool".into()]);
    library.add_list("pool", vec!["loop".into()]);
    library.add_list("l0", vec!["x".into(); 1000]);
    for n in 1..8 {
        library.add_list(format!("l{n}"), vec![format!("l{}", n - 1); 1000]);
    }
    library.add_macro("deep0", "fd.num=1");
    for n in 1..400 {
        library.add_macro(format!("deep{n}"), format!("not (fd.num={n} and deep{})", n - 1));
    }
    let options = Options { library };
    for (text, reason) in [
        ("m39", "expands into more"),
        ("self", "refers to itself"),
        ("proc.name in (loop)", "refers to itself"),
        ("proc.name in (l7)", "expands into more"),
        ("deep399", "nested deeper"),
        ("nomacro", "neither a check nor a known macro"),
    ] {
        let start = cpu_time();
        let error = Filter::compile(text, &Fields, &options).expect_err(text).to_string();
        assert!(error.contains(reason), "{error}");
        assert!(cpu_time() - start < LIMIT * 2, "{text} took {:?}", cpu_time() - start);
    }
    assert!(Filter::compile("m8 and deep20", &Fields, &options).is_ok());
}

#[test]
fn patterns_that_explode() {
    assert!(verdict("proc.name regex '(((a{1000}){1000}){1000})'").is_err());
    assert!(verdict(&format!("proc.name regex '{}a{}'", "(".repeat(90), ")".repeat(90))).is_ok());
    let filter = compile("proc.name regex '(a*)*b'");
    let text = "a".repeat(50_000);
    let start = cpu_time();
    assert!(!filter.matches(&Event::new("open", '<').with("proc.name", text.as_str()), &mut Scratch::new()));
    assert!(cpu_time() - start < LIMIT);
}
