//! `-l`, `-lv`, `--list-markdown` and `-L`: all that stock lists, and each field in every form of the
//! list.

use capture_engine::fields;
use capture_tests::data_dir;
use serde_json::Value;
use std::collections::HashSet;
use std::process::{Command, Output};

fn capture(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_capture-test")).args(words).output().expect("starts")
}

fn printed(words: &[&str]) -> String {
    let out = capture(words);
    assert!(out.status.success() && out.stderr.is_empty(), "{words:?}: {out:?}");
    String::from_utf8(out.stdout).expect("text")
}

/// The golden records of lists hold lines that have to be there; more may be.
#[test]
fn lists_hold_what_stock_lists() {
    for number in [44, 45] {
        let record =
            std::fs::read_to_string(data_dir().join(format!("golden/{number}.json"))).expect("reads");
        let record: Value = serde_json::from_str(&record).expect("is JSON");
        let shell = record["shell"].as_str().expect("a command").replacen("sysdig", "\"$CAPTURE\"", 1);
        let out = Command::new("sh")
            .args(["-c", &shell])
            .env("CAPTURE", env!("CARGO_BIN_EXE_capture-test"))
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("starts");
        assert_eq!(out.status.code(), Some(0), "{shell}");
        let ours = String::from_utf8(out.stdout).expect("text");
        let ours: HashSet<&str> = ours.lines().collect();
        let stock = record["stdout"]["text"].as_str().expect("text");
        let missing: Vec<_> = stock.lines().filter(|line| !ours.contains(line)).collect();
        assert!(missing.is_empty(), "{shell}: {missing:#?}");
    }
}

#[test]
fn every_field_is_in_every_list() {
    let (plain, verbose, markdown) = (printed(&["-l"]), printed(&["-lv"]), printed(&["--list-markdown"]));
    for field in fields::all() {
        let line = format!("\n{} ", field.name);
        let row = format!("\n`{}` | ", field.name);
        assert_eq!(
            plain.contains(&line) || plain.contains(&format!("\n{}\n", field.name)),
            !field.hidden,
            "{line}"
        );
        assert_eq!(markdown.contains(&row), !field.hidden, "{row}");
    }
    assert!(plain.lines().chain(verbose.lines()).all(|line| line.chars().count() < 120));
    assert!(verbose.contains("\nevt.num                       (Type: UINT64) running number"));
}

#[test]
fn classes_can_be_chosen() {
    assert!(printed(&["-l", "fd"]).contains("\nfd.num "));
    assert_eq!(printed(&["-l", "fd"]), printed(&["--list=fd"]));
    assert!(!printed(&["-lv", "fd"]).contains("evt.num"));
    let out = capture(&["-l", "nosuch"]);
    let message = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && message.contains("evt, process, user"), "{message}");
}

#[test]
fn the_reference_page_is_of_these_rows() {
    let page = data_dir().join("../../docs/fields.md");
    let page = std::fs::read_to_string(page).expect("docs/fields.md reads");
    assert_eq!(page, capture_engine::listing::fields_reference(), "run `cargo xtask codegen`");
}
