//! Words of command lines, and the help text.

use super::*;

fn parse(line: &str) -> RawArgs {
    RawArgs::parse_words(std::iter::once("capture").chain(line.split(' '))).unwrap()
}

#[test]
fn the_definition_is_sound() {
    RawArgs::command().debug_assert();
}

#[test]
fn help_fits_80_columns() {
    let help = RawArgs::command().render_long_help().to_string();
    let wide = help.lines().filter(|line| line.chars().count() > 80).collect::<Vec<_>>();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn sysdig_spellings() {
    let args = parse("-s8192 -pk -zw f -r a -r b proc.name=x and -q evt.type=open");
    assert_eq!(args.snaplen.as_deref(), Some("8192"));
    assert_eq!(args.print.as_deref(), Some("k"));
    assert!(args.gzip && args.quiet);
    assert_eq!(args.write.as_deref(), Some("f"));
    assert_eq!(args.read, ["a", "b"]);
    assert_eq!(args.words.join(" "), "proc.name=x and evt.type=open");
    assert!(parse("-NA -r x").print_ascii);
    assert!(parse("--numev 3").count.is_some());
    let args = parse("-k http://localhost:8080 -K cert:key -s8192 -zw f");
    assert_eq!(args.k8s_api.as_deref(), Some("http://localhost:8080"));
    assert_eq!(args.k8s_api_cert.as_deref(), Some("cert:key"));
    assert_eq!(parse("-r x not evt.rawres < -1").words.join(" "), "not evt.rawres < -1");
}

#[test]
fn forms_of_buffers_keep_their_order() {
    assert_eq!(parse("-X -A").buffer_forms, [BufferFormat::HexAscii, BufferFormat::Ascii]);
    assert_eq!(parse("-bj -r x").buffer_forms, [BufferFormat::Base64]);
    assert!(parse("-r x").buffer_forms.is_empty());
}

#[test]
fn the_word_after_a_chisel_is_known() {
    let next = |line: &str| parse(line).chisel_places.iter().map(|p| p.next_word).collect::<Vec<_>>();
    assert_eq!(next("-c echo_fds fd.type=ipv4 -r f"), [Some(0)]);
    assert_eq!(next("-c echo_fds -r f fd.type=ipv4"), [None]);
    assert_eq!(next("evt.type=open -c spy_port 80 fd.num=3"), [Some(1)]);
    assert_eq!(next("-r f -c a -c b x"), [None, Some(0)]);
}

#[test]
fn lists() {
    assert_eq!(parse("-l").list.as_deref(), Some(""));
    let args = parse("-lv fd proc");
    assert!(args.verbose && args.list.is_some());
    assert_eq!(args.words, ["fd", "proc"]);
    assert_eq!(parse("--list=fd").list.as_deref(), Some("fd"));
    assert!(parse("-L").list_events && parse("--list-markdown").list_markdown);
}

#[test]
fn wrong_options_fail_with_one() {
    let error = RawArgs::parse_words(["capture", "--bogus"]).unwrap_err();
    assert_eq!(exit_code(&error), 1);
    assert_eq!(exit_code(&RawArgs::parse_words(["capture", "-h"]).unwrap_err()), 0);
}
