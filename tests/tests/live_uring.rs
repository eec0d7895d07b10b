//! io_uring: a program that opens, reads, writes and connects without calls of its own, recorded live,
//! in the three ways in which the kernel carries operations out (at once, in a thread that polls the
//! queue, in worker threads), and looked at with filters, fields, chisels and the stock tools.

use capture_common::event_table::code;
use capture_tests::events::each_event_of;
use capture_tests::{live, skip};
use std::path::Path;
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// An operation's result: name, result, mark.
type Outcome = (String, i64, u64);

/// A recorded run of the program.
struct Run {
    dir: tempfile::TempDir,
    /// What the program says it got.
    said: Vec<Outcome>,
    pid: i64,
}

/// A call that stands for an operation: type, name of its fd, result, text of its buffer.
#[derive(Debug, PartialEq)]
struct Shown {
    event: &'static str,
    fd_name: String,
    res: i64,
    data: String,
    latency_ns: u64,
}

/// Whether this kernel lets a program have a ring of this kind; else reports a skip.
fn has_rings(program: &Path, dir: &Path, mode: &str, test: &str) -> bool {
    let out = Command::new(program).arg(dir).args(["0", mode]).output().expect("the program starts");
    if !out.status.success() {
        skip(test, &format!("no io_uring here: {}", String::from_utf8_lossy(&out.stderr).trim()));
        return false;
    }
    let folder = dir.join("folder-by-uring");
    std::fs::remove_dir(folder).expect("the folder was made");
    let _ = std::fs::remove_file(dir.join("in-a-slot"));
    true
}

fn record(mode: &str, options: &[&str], test: &str) -> Option<Run> {
    if !(live::can_record(test) && live::has_host_ids(test)) {
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let program = live::compile("uring", dir.path(), test)?;
    if !has_rings(&program, dir.path(), mode, test) {
        return None;
    }
    let file = dir.path().join("f.scap");
    let out = Command::new(CAPTURE)
        .args(["--compress", "none"])
        .args(options)
        .arg("-w")
        .arg(&file)
        .arg("--")
        .arg(&program)
        .arg(dir.path())
        .args(["0", mode])
        .stdin(Stdio::null())
        .output()
        .expect("capture runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = stdout.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let first = words.next().expect("a first line");
    let pid = first[1].parse().expect("its process id");
    let said = words.map(|w| (w[0].to_owned(), w[1].parse().unwrap(), w[2].parse().unwrap())).collect();
    Some(Run { dir, said, pid })
}

impl Run {
    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("f.scap")
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("text").to_owned()
    }

    /// Results by the notes in the file, and the calls that stand for operations.
    fn read(&self) -> (Vec<Outcome>, Vec<Shown>) {
        let (mut notes, mut shown, mut enter_uring) = (Vec::new(), Vec::new(), 0);
        each_event_of(&self.file(), |view| {
            let raw = &view.raw;
            let name = raw.info().map_or("", |info| info.name);
            if name == "io_uring_enter" && raw.code.is_exit() {
                assert!(view.applied.paired, "operations came between the two sides of a call");
                enter_uring += 1;
            }
            if !view.applied.is_io_uring {
                return;
            }
            assert_eq!(raw.tid, self.pid, "an operation is its submitter's");
            if raw.code == code::ASYNCEVENT_E {
                notes.extend(outcome(raw));
            } else if raw.code.is_exit() {
                assert!(view.applied.paired);
                shown.push(Shown {
                    event: name,
                    fd_name: view
                        .fd()
                        .map_or_else(String::new, |fd| String::from_utf8_lossy(&fd.name).into_owned()),
                    res: raw.int(0).expect("a result"),
                    data: data_of(raw),
                    latency_ns: view.applied.latency_ns,
                });
            }
        });
        assert!(enter_uring > 0, "the calls of io_uring are there, too");
        (notes, shown)
    }

    fn replay(&self, words: &[&str]) -> String {
        let out =
            Command::new(CAPTURE).arg("-r").arg(self.file()).args(words).output().expect("capture runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// The result that a note tells.
fn outcome(raw: &capture_common::RawEvent<'_>) -> Option<Outcome> {
    if raw.text(1) != Some(b"capture.io_uring.complete") {
        return None;
    }
    let note: serde_json::Value = serde_json::from_slice(raw.text(2)?).expect("a note is JSON");
    let name = note["op"].as_str()?.to_owned();
    Some((name, note["res"].as_i64()?, note["user_data"].as_u64()?))
}

fn data_of(raw: &capture_common::RawEvent<'_>) -> String {
    let at = raw.info().and_then(|info| info.params.iter().position(|param| param.name == "data"));
    let data = at.and_then(|at| raw.param(at)).unwrap_or_default();
    String::from_utf8_lossy(data).into_owned()
}

/// Every operation is there with the result that the program got, and those that are calls are shown as
/// such, with names and data.
fn check(run: &Run) {
    let (notes, shown) = run.read();
    let said: Vec<Outcome> = run
        .said
        .iter()
        .map(|(name, res, mark)| (name.trim_end_matches("-slot").to_owned(), *res, *mark))
        .collect();
    let sorted = |mut outcomes: Vec<Outcome>| {
        outcomes.sort_by_key(|(_, _, mark)| *mark);
        outcomes
    };
    assert_eq!(sorted(notes), sorted(said));
    let file = run.path("by-uring");
    let of = |event: &str, fd_name: &str| {
        shown.iter().filter(|s| s.event == event && s.fd_name == fd_name).collect::<Vec<_>>()
    };
    let datas =
        |event: &str, fd_name: &str| of(event, fd_name).iter().map(|s| s.data.clone()).collect::<Vec<_>>();
    assert_eq!(of("openat", &file).len(), 1);
    assert_eq!(datas("write", &file), ["written by io_uring"]);
    assert_eq!(datas("read", &file), ["tten by"]);
    assert_eq!(datas("writev", &file), ["vector"]);
    assert_eq!(datas("readv", &file), ["written "]);
    assert_eq!(of("close", &file).len(), 1);
    assert_eq!(of("openat2", &run.path("folder-by-uring")).len(), 1);
    assert!(shown.iter().any(|s| s.event == "openat" && s.res == -2));
    assert!(shown.iter().any(|s| s.event == "connect" && s.res == -111));
    let connected = shown.iter().find(|s| s.event == "connect" && s.res == 0).expect("a connection");
    assert!(connected.fd_name.starts_with("127.0.0.1:") && connected.fd_name.contains("->127.0.0.1:"));
    for (event, data) in
        [("sendto", "ping"), ("recvfrom", "ping"), ("sendmsg", "message"), ("recvmsg", "message")]
    {
        let tuples: Vec<_> = shown.iter().filter(|s| s.event == event).collect();
        assert_eq!(tuples.len(), 1, "{event}");
        assert_eq!(tuples[0].data, data, "{event}");
        assert_eq!(tuples[0].fd_name, connected.fd_name, "{event}");
    }
    assert!(shown.iter().all(|s| s.latency_ns > 0), "a call lasts from the submission on: {shown:#?}");
}

#[test]
fn operations_are_shown_with_names_and_data() {
    let Some(run) = record("plain", &[], "operations_are_shown_with_names_and_data") else { return };
    check(&run);
    // A file in the ring's own table has a name, too.
    let (_, shown) = run.read();
    let slot = run.path("in-a-slot");
    let events: Vec<_> =
        shown.iter().filter(|s| s.fd_name == slot).map(|s| (s.event, s.data.as_str())).collect();
    assert_eq!(events, [("openat", ""), ("write", "slot"), ("read", "sl"), ("close", "")]);
    filters_and_chisels(&run);
    stock_tools(&run);
}

#[test]
fn a_polled_queue_belongs_to_the_process_that_made_it() {
    let Some(run) = record("sqpoll", &[], "a_polled_queue_belongs_to_the_process_that_made_it") else {
        return;
    };
    check(&run);
}

#[test]
fn operations_of_workers_belong_to_their_submitter() {
    let Some(run) = record("iowq", &[], "operations_of_workers_belong_to_their_submitter") else { return };
    check(&run);
    assert!(
        run.replay(&["evt.asynctype=capture.io_uring.complete"]).contains("\"by\":"),
        "workers are named"
    );
}

#[test]
fn without_io_uring_there_is_nothing_of_it() {
    let Some(run) = record("plain", &["--no-io-uring"], "without_io_uring_there_is_nothing_of_it") else {
        return;
    };
    assert_eq!(run.replay(&["evt.is_io_uring=true"]), "");
    assert!(run.replay(&["evt.type=io_uring_enter"]).lines().count() > 0);
}

fn filters_and_chisels(run: &Run) {
    let file = run.path("by-uring");
    let lines = run.replay(&["-p", "%evt.type %evt.dir %fd.name", &format!("fd.name={file}")]);
    for event in ["openat <", "read <", "write <", "close <"] {
        assert!(lines.lines().any(|line| line.starts_with(event)), "{event}: {lines}");
    }
    let opened = run.replay(&[
        "-p",
        "%evt.arg.name %evt.res",
        "evt.is_io_uring=true and evt.type=openat and evt.dir=<",
    ]);
    assert!(opened.lines().any(|line| line == "/no/such/file ENOENT"), "{opened}");
    // 19 + 7 + 6 + 8 bytes.
    let top = run.replay(&["-c", "topfiles_bytes"]);
    assert!(top.lines().any(|line| line.starts_with("40B") && line.ends_with(&file)), "{top}");
    let echoed = run.replay(&["-c", "echo_fds", &format!("fd.name={file}")]);
    assert!(echoed.contains("written by io_uring"), "{echoed}");
}

fn stock_tools(run: &Run) {
    let file = run.path("by-uring");
    if let Some(sysdig) = capture_tests::stock_sysdig("operations_are_shown_with_names_and_data") {
        let stock = |words: &[&str]| {
            let out =
                Command::new(&sysdig).arg("-r").arg(run.file()).args(words).output().expect("sysdig runs");
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        let lines = stock(&["-p", "%evt.type %fd.name %evt.rawres", "evt.dir=<"]);
        let ours =
            run.replay(&["-p", "%evt.type %fd.name %evt.rawres", "evt.dir=< and evt.is_io_uring=true"]);
        for line in ours.lines().filter(|line| line.contains(&file) || line.contains("->")) {
            assert!(lines.lines().any(|stock| stock == line), "stock lacks {line}: {lines}");
        }
        let top = stock(&["-c", "topfiles_bytes"]);
        assert!(top.lines().any(|line| line.contains("40B") && line.contains(&file)), "{top}");
    }
    if let Some(tshark) = capture_tests::installed("tshark", "operations_are_shown_with_names_and_data") {
        let out = Command::new(tshark).arg("-r").arg(run.file()).output().expect("tshark runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let packets = out.stdout.iter().filter(|&&b| b == b'\n').count();
        assert_eq!(packets, run.replay(&["-D", "-p", "%evt.num"]).lines().count());
    }
}
