//! Calls that block, or never return, are visible while that is so.

use capture_tests::live::{self, Capture};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// How long accept is held.
const HELD: Duration = Duration::from_secs(2);

/// Starts a printing capture whose lines come with the time at which they came.
fn lines_of(args: &[&str], filter: &str) -> (Capture, Receiver<(Instant, String)>) {
    let mut command = Command::new(CAPTURE);
    command.args(args).args(["-p", "*%thread.tid %evt.dir %evt.type"]).arg(filter);
    let mut capture = Capture::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let stdout = capture.child().stdout.take().expect("its stdout");
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    (capture, lines)
}

/// Makes the caller's calls until the first line comes: from then on the capture is running.
fn wait_for_start(lines: &Receiver<(Instant, String)>) {
    let start = Instant::now();
    while start.elapsed() < live::PATIENCE {
        // A call that the filter lets pass.
        drop(TcpListener::bind("127.0.0.1:0"));
        if lines.recv_timeout(Duration::from_millis(20)).is_ok() {
            return;
        }
    }
    panic!("the capture prints nothing");
}

fn accept_is_printed_before_it_returns(args: &[&str]) {
    let filter = format!("proc.pid={} and evt.type in (listen, accept)", std::process::id());
    let (capture, lines) = lines_of(args, &filter);
    wait_for_start(&lines);
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    let accepting = std::thread::spawn(move || {
        // SAFETY: the call takes no argument.
        let tid = unsafe { libc::gettid() };
        let called = Instant::now();
        listener.accept().expect("accepts");
        (tid, called, Instant::now())
    });
    std::thread::sleep(HELD);
    drop(TcpStream::connect(address).expect("connects"));
    let (tid, called, returned) = accepting.join().expect("accepts");
    let find = |what: String| {
        let is_it = |(at, line): (Instant, String)| (line == what).then_some(at);
        std::iter::from_fn(|| lines.recv_timeout(live::PATIENCE).ok()).find_map(is_it)
    };
    let entered = find(format!("{tid} > accept")).expect("an enter of accept");
    let exited = find(format!("{tid} < accept")).expect("an exit of accept");
    println!(
        "{args:?}: accept entered, printed {:?} later; returned after {:?}, printed {:?} later",
        entered - called,
        returned - called,
        exited - returned
    );
    assert!(entered < returned, "the enter was printed only after the call had returned");
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn a_blocked_accept_is_printed() {
    let name = "a_blocked_accept_is_printed";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    accept_is_printed_before_it_returns(&["--unbuffered"]);
    accept_is_printed_before_it_returns(&[]);
}

#[test]
fn exit_group_is_printed() {
    let name = "exit_group_is_printed";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let filter = format!(
        "(proc.pid={} and evt.type=listen) or evt.type in (exit_group, procexit)",
        std::process::id()
    );
    let (capture, lines) = lines_of(&[], &filter);
    wait_for_start(&lines);
    let mut child = Command::new("/bin/true").spawn().expect("starts");
    let pid = child.id();
    child.wait().expect("ends");
    let mut last = String::new();
    let wanted = [format!("{pid} > exit_group"), format!("{pid} > procexit")];
    for want in wanted {
        let is_it = |(_, line): (Instant, String)| {
            last.clone_from(&line);
            line == want
        };
        let found = std::iter::from_fn(|| lines.recv_timeout(live::PATIENCE).ok()).any(is_it);
        assert!(found, "no line {want:?}; the last one: {last:?}");
    }
    drop(capture);
}
