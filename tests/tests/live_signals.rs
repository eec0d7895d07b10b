//! How a capture ends: by signals at any moment, without privileges, without a reader, without
//! room.

use capture_tests::live::{self, Capture, Ended};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// User and group "nobody".
const NOBODY: u32 = 65_534;

/// `capture -r file`: the number of its lines.
fn replay(file: &Path) -> usize {
    let out = Command::new(CAPTURE).arg("-r").arg(file).output().expect("starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{}: {} {said}", file.display(), out.status);
    String::from_utf8_lossy(&out.stdout).lines().count()
}

/// One sentence on stderr, and nothing that looks like a crash.
fn assert_one_sentence(ended: &Ended) {
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "{ended:?}");
    assert!(lines[0].starts_with("capture: ") && !ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn signals_at_the_start_leave_nothing_or_a_file_that_opens() {
    let name = "signals_at_the_start_leave_nothing_or_a_file_that_opens";
    if !live::can_record(name) {
        return;
    }
    let _turn = live::turn();
    let dir = tempfile::tempdir().expect("a folder");
    for signal in [libc::SIGINT, libc::SIGTERM] {
        for delay_ms in [0, 10, 100, 300] {
            for args in [&[][..], &["-z"][..]] {
                let file = dir.path().join(format!("{signal}-{delay_ms}-{}.scap", args.len()));
                let words = [&["-w", file.to_str().expect("a path")], args].concat();
                let capture = Capture::start(CAPTURE, &words);
                std::thread::sleep(Duration::from_millis(delay_ms));
                let ended = capture.end(signal);
                let events = file.exists().then(|| replay(&file));
                println!("signal {signal} after {delay_ms} ms {args:?}: {}, {events:?} events", ended.status);
                if events.is_some() {
                    assert!(ended.status.success(), "a capture that was ended is a success: {ended:?}");
                    live::Summary::parse(&ended.stderr);
                } else if ended.status.signal() != Some(signal) {
                    assert_one_sentence(&ended);
                } else {
                    // The signal came before the program's first statement, for which a busy machine
                    // needs more than 10 ms; nobody was there to say anything.
                    assert!(delay_ms <= 10 && ended.stderr.is_empty(), "{ended:?}");
                }
            }
        }
    }
}

#[test]
fn without_privileges_it_says_so() {
    let name = "without_privileges_it_says_so";
    // SAFETY: the call takes no argument.
    let is_root = unsafe { libc::geteuid() } == 0;
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("permissions");
    // Where others may run it: the build folder need not be readable for all.
    let program = dir.path().join("capture");
    std::fs::copy(CAPTURE, &program).expect("copies");
    for args in [&["-w", "refused.scap"][..], &[][..]] {
        let mut command = Command::new(&program);
        command.args(args).current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        if is_root {
            command.uid(NOBODY);
            command.gid(NOBODY);
        }
        let ended = Capture::spawn(&mut command).wait();
        println!("{args:?}: {} {}", ended.status, ended.stderr.trim());
        assert_eq!(ended.status.code(), Some(1), "{name}: {ended:?}");
        assert_one_sentence(&ended);
        assert!(ended.stderr.contains("root"), "{ended:?}");
        assert!(!dir.path().join("refused.scap").exists(), "a refused capture leaves no file");
    }
}

#[test]
fn a_reader_that_goes_away_is_a_clean_end() {
    let name = "a_reader_that_goes_away_is_a_clean_end";
    if !live::can_record(name) {
        return;
    }
    let _turn = live::turn();
    // As `capture | head -1` does.
    let mut command = Command::new(CAPTURE);
    let mut capture = Capture::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut stdout = BufReader::new(capture.child().stdout.take().expect("its stdout"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    drop(stdout);
    let ended = capture.wait();
    println!("{}: {:?}", ended.status, ended.stderr.trim());
    assert!(line.starts_with("1 "), "{line:?}");
    assert!(ended.status.success() && !ended.stderr.contains("capture: "), "{ended:?}");
}

#[test]
fn a_capture_goes_through_a_pipe() {
    let name = "a_capture_goes_through_a_pipe";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    // capture -w - | capture -r - filter
    let mut writer = Command::new(CAPTURE);
    let mut writer = Capture::spawn(writer.args(["-w", "-"]).stdin(Stdio::null()).stdout(Stdio::piped()));
    let stream = writer.child().stdout.take().expect("its stdout");
    let filter = format!("proc.pid={} and evt.type=access", std::process::id());
    let mut reader = Command::new(CAPTURE);
    reader.args(["-r", "-"]).arg(&filter).stdin(stream).stdout(Stdio::piped());
    let mut reader = Capture::spawn(&mut reader);
    let mut lines = BufReader::new(reader.child().stdout.take().expect("its stdout")).lines();
    let (sender, found) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mark = c"/mark-of-the-pipe-test";
    let arrived = live::within(live::PATIENCE, || {
        // SAFETY: a NUL-terminated string.
        unsafe { libc::access(mark.as_ptr(), libc::F_OK) };
        found.try_iter().any(|line| line.contains("mark-of-the-pipe-test"))
    });
    let ended = [writer.end(libc::SIGINT), reader.wait()];
    reading.join().expect("the reader ends");
    println!("{ended:?}");
    assert!(arrived, "nothing came through the pipe: {ended:?}");
    assert!(ended.iter().all(|e| e.status.success()), "{ended:?}");
}

#[test]
fn a_full_disk_is_an_error_with_the_files_name() {
    let name = "a_full_disk_is_an_error_with_the_files_name";
    if !live::can_record(name) {
        return;
    }
    let _turn = live::turn();
    let full = Capture::start(CAPTURE, &["-w", "/dev/full"]).wait();
    println!("/dev/full: {} {}", full.status, full.stderr.trim());
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    assert!(full.stderr.contains("/dev/full") && full.stderr.contains("No space left"), "{full:?}");

    // A file system of its own, in a mount namespace that ends with the capture.
    let (Some(unshare), Some(sh)) =
        (capture_tests::installed("unshare", name), capture_tests::installed("sh", name))
    else {
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=256k none \"$0\" && exec \"$1\" --compress none -w \"$0/full.scap\"";
    let mut command = Command::new(unshare);
    command
        .args(["--mount", "--propagation", "private"])
        .arg(sh)
        .args(["-c", script])
        .arg(dir.path())
        .arg(CAPTURE);
    let capture = Capture::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()));
    let ended = capture.wait();
    println!("tmpfs: {} {}", ended.status, ended.stderr.trim());
    if ended.stderr.contains("mount") {
        return capture_tests::skip(name, &format!("no mount namespace: {}", ended.stderr.trim()));
    }
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("full.scap") && ended.stderr.contains("No space left"), "{ended:?}");
}
