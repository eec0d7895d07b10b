//! An exit whose own enter was lost is not taken for that of an earlier call: opens that fail and opens
//! that succeed, in rings that overflow, keep the names that their exits tell.

use capture_common::event_table::code;
use capture_tests::events::each_event_of;
use capture_tests::live::{self, Capture, Held, Summary};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// Threads of execution, more than small machines have CPUs: they move from one to another.
const PROGRAMS: usize = 3;
const DURATION: Duration = Duration::from_secs(3);

fn start(program: &Path, dir: &Path) -> Held {
    Held(Command::new(program).arg(dir).stdin(Stdio::null()).spawn().expect("it starts"))
}

#[test]
fn an_open_never_has_the_name_of_another() {
    const TEST: &str = "an_open_never_has_the_name_of_another";
    if !live::can_record(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile("opens", dir.path(), TEST) else { return };
    let file = dir.path().join("f.scap");
    let _turn = live::turn();
    let options = ["--no-containers", "--check-paths", "--buffer", "1", "--drain-pause", "50"];
    let capture = Capture::to_file(CAPTURE, &file, &options);
    let programs: Vec<Held> = (0..PROGRAMS).map(|_| start(&program, dir.path())).collect();
    std::thread::sleep(DURATION);
    drop(programs);
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");

    let start = format!("{}/there-", dir.path().display());
    let (mut opens, mut named, mut alone, mut wrong) = (0, 0, 0, Vec::new());
    let mut changed = 0;
    // Codes of the last event by thread.
    let mut last = HashMap::new();
    each_event_of(&file, |view| {
        let raw = view.raw;
        let is_note = raw.code == code::ASYNCEVENT_E && raw.text(1) == Some(b"capture.path_changed");
        // Other processes may do so.
        let is_own = |data: &[u8]| String::from_utf8_lossy(data).contains(&start);
        changed += u64::from(is_note && raw.text(2).is_some_and(is_own));
        let before = last.insert(raw.tid, raw.code);
        if raw.code != code::SYSCALL_OPENAT_2_X || raw.int(0).is_none_or(|fd| fd < 0) {
            return;
        }
        let Some(path) = raw.text(2).filter(|path| path.starts_with(start.as_bytes())) else { return };
        opens += 1;
        alone += u64::from(before != Some(code::SYSCALL_OPENAT_2_E));
        // A process that is not known at the moment keeps no fds.
        let Some(fd) = view.fd() else { return };
        named += 1;
        if &*fd.name != path {
            wrong.push([&fd.name, path].map(|name| String::from_utf8_lossy(name).into_owned()));
        }
    });
    let lost = Summary::parse(&ended.stderr).lost;
    println!("{opens} opens, {alone} without their enter, {named} named, {lost} records lost");
    assert!(opens > 0 && lost > 0, "the rings did not overflow");
    assert!(alone > 0, "no open lost its enter");
    assert!(named > opens / 4, "{named} of {opens} are named");
    assert_eq!(changed, 0, "no path was changed");
    assert!(wrong.is_empty(), "{} of {opens}: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}
