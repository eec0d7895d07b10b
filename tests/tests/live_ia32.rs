//! 32-bit programs: one built with `-m32` makes calls by the ia32 entry, the old numbers whose arguments
//! stand in memory among them, and says what their parameters are.

use capture_tests::live;
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// Type of a call, and the text of its parameters at enter and exit.
struct Call {
    name: String,
    text: String,
}

/// The calls of a listing in order, each from its two lines.
fn calls(listing: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in listing.lines() {
        let (head, text) = line.split_at_checked(2).expect("a direction");
        let (name, text) = text.split_once(' ').unwrap_or((text, ""));
        match calls.last_mut().filter(|call| head == "< " && call.name == name) {
            Some(call) => call.text += &format!(" {text}"),
            None => calls.push(Call { name: name.to_owned(), text: text.to_owned() }),
        }
    }
    calls
}

#[test]
fn a_32_bit_program_shows_right_names_and_arguments() {
    const TEST: &str = "a_32_bit_program_shows_right_names_and_arguments";
    if !live::can_record(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile_32("ia32", dir.path(), TEST) else { return };
    let file = dir.path().join("f.scap");
    let run = |words: &[&std::ffi::OsStr]| {
        let out = Command::new(CAPTURE).args(words).stdin(Stdio::null()).output().expect("capture runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let said = run(&["-w".as_ref(), file.as_ref(), "--".as_ref(), program.as_ref(), dir.path().as_ref()]);
    let listing =
        run(&["-r".as_ref(), file.as_ref(), "-p".as_ref(), "%evt.dir %evt.type %evt.args".as_ref()]);
    let calls = calls(&listing);
    let mut rest = calls.iter();
    let mut checked = 0;
    for line in said.lines() {
        let (name, words) = line.split_once(' ').expect("a name and its parameters");
        let fits = |call: &&Call| call.name == name && words.split(' ').all(|word| call.text.contains(word));
        // In order: each call is looked for behind the one before.
        let found = rest.find(fits);
        assert!(
            found.is_some(),
            "no call after the {checked} before it is {line}; there are: {:#?}",
            calls.iter().filter(|call| call.name == name).map(|call| &call.text).collect::<Vec<_>>()
        );
        checked += 1;
    }
    assert!(checked >= 39, "{checked} calls compared");
    eprintln!("{checked} of {checked} calls of a 32-bit program compared");
}
