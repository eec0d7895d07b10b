//! Captures made to take memory: the program reads each to its end within 256 MiB and counts what it
//! had to leave out.

use crate::support::MEMORY_MAX_KIB;
use capture_common::encode::{EventEncoder, EventHead};
use capture_common::event_table::code;
use capture_common::{Batch, EventCode};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// A capture being written; what repeats compresses well, so that hundreds of MiB make a small file.
type File = zstd::stream::write::Encoder<'static, std::fs::File>;

/// Writes a capture and runs the program over it; `note` is what has to be said in the end.
fn check(name: &str, write: impl FnOnce(&mut File), note: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("{name}.scap"));
    let file = std::fs::File::create(&path).expect("creates");
    let mut file = File::new(file, 1).expect("a compressor");
    let header = [&0x1A2B_3C4D_u32.to_le_bytes()[..], &[1, 0, 2, 0], &[0xFF; 8]].concat();
    block(&mut file, 0x0A0D_0D0A, &[&header]);
    write(&mut file);
    file.finish().expect("writes");
    let (said, peak_kib) = run(&path);
    println!("{name}: {} MiB; {}", peak_kib >> 10, said.replace('\n', "; "));
    assert!(said.contains(note), "{name}: {said}");
    assert!(peak_kib <= MEMORY_MAX_KIB, "{name}: {} MiB", peak_kib >> 10);
}

/// Runs the program; what it said on stderr, and its peak of memory in KiB.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it, since std's wait tells no peak")]
fn run(path: &Path) -> (String, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capture-test"));
    command.args(["-v", "-r"]).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    let mut status = 0;
    // SAFETY: all zeros are a value of this structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places are valid for writing, and nobody else waits for this child.
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert!(waited == child.id() as i32 && status == 0, "status {status:#x}: {said}");
    (said, usage.ru_maxrss as u64)
}

fn block(file: &mut File, code: u32, body: &[&[u8]]) {
    let len: usize = body.iter().map(|piece| piece.len()).sum();
    let padding = len.next_multiple_of(4) - len;
    let total = ((len + padding + 12) as u32).to_le_bytes();
    file.write_all(&[code.to_le_bytes(), total].concat()).expect("writes");
    body.iter().for_each(|piece| file.write_all(piece).expect("writes"));
    file.write_all(&[0; 3][..padding]).expect("writes");
    file.write_all(&total).expect("writes");
}

/// A list of metadata too long to be made in memory: its entries one after another.
fn list(file: &mut File, code: u32, entries: u64, entry: impl Fn(u64, &mut Vec<u8>)) {
    let mut bytes = Vec::new();
    entry(0, &mut bytes);
    let (entry_len, head) = (bytes.len(), 8);
    let total = ((head + entry_len * entries as usize).next_multiple_of(4) + 4) as u32;
    file.write_all(&[code.to_le_bytes(), total.to_le_bytes()].concat()).expect("writes");
    for number in 0..entries {
        bytes.clear();
        entry(number, &mut bytes);
        assert_eq!(bytes.len(), entry_len, "entries are of one length");
        file.write_all(&bytes).expect("writes");
    }
    let padding = total as usize - 4 - head - entry_len * entries as usize;
    file.write_all(&[0; 3][..padding]).expect("writes");
    file.write_all(&total.to_le_bytes()).expect("writes");
}

fn events(file: &mut File, count: u64, mut make: impl FnMut(u64, &mut Batch)) {
    let mut batch = Batch::new();
    for number in 0..count {
        make(number, &mut batch);
        file.write_all(batch.bytes()).expect("writes");
        batch.clear();
    }
}

fn event(
    batch: &mut Batch,
    ts_ns: u64,
    tid: i64,
    code: EventCode,
    nparams: usize,
    fill: impl FnOnce(&mut EventEncoder<'_>),
) {
    let mut event = batch.encode(EventHead { ts_ns, tid, cpu: 0, code, flags: 0 }, nparams);
    fill(&mut event);
    event.finish();
}

/// Text of a length that is different for each number.
fn text(number: u64, len: usize) -> Vec<u8> {
    let mut text = format!("/{number:012}/").into_bytes();
    text.resize(len, b'x');
    text
}

fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
}

/// A thread of the process list, version 3.
fn thread(number: u64, env: usize, out: &mut Vec<u8>) {
    let tid = number as i64 + 1;
    [tid, tid, 1].iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    [&b"comm"[..], b"exe", b"-a\0", b"/"].iter().for_each(|value| string(out, value));
    out.extend_from_slice(&[0; 8 + 12 + 12 + 16]);
    string(out, &text(number, env));
}

fn last_event(file: &mut File) {
    events(file, 1, |_, batch| {
        event(batch, 1, 1, code::SYSCALL_CLOSE_E, 1, |e| {
            e.i64(3);
        });
    });
}

#[test]
fn processes_with_much_text() {
    let write = |file: &mut File| {
        list(file, 0x209, 100_000, |number, out| thread(number, 4_000, out));
        last_event(file);
    };
    check("processes_with_much_text", write, "threads of the opening table refused");
}

#[test]
fn processes_beyond_counting() {
    let write = |file: &mut File| {
        list(file, 0x209, 3_000_000, |number, out| thread(number, 14, out));
        last_event(file);
    };
    check("processes_beyond_counting", write, "entries of the opening tables are left out");
}

/// A list of fds of a thread, version 1.
fn fds(file: &mut File, tid: u64, count: u64) {
    list(file, 0x203, count, |number, out| {
        if number == 0 {
            // Before the entries stands the thread; the first is made as long as the others.
            out.extend_from_slice(&tid.to_le_bytes());
        }
        out.extend_from_slice(&(number + 3).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.push(7);
        string(out, &text(number, if number == 0 { 52 } else { 60 }));
    });
}

#[test]
fn fds_beyond_counting() {
    let write = |file: &mut File| {
        list(file, 0x209, 50, |number, out| thread(number, 14, out));
        (1..=50).for_each(|tid| fds(file, tid, 60_000));
        last_event(file);
    };
    check("fds_beyond_counting", write, "fds refused, since there were too many");
}

/// All that has a limit at its limit.
#[test]
fn threads_fds_and_containers_at_once() {
    let write = |file: &mut File| {
        list(file, 0x209, 60_000, |number, out| thread(number, 600, out));
        (1..=8).for_each(|tid| fds(file, tid, 40_000));
        events(file, 200, |number, batch| {
            let name = "x".repeat(200_000);
            let json = format!(r#"{{"container":{{"id":"{number:012}","name":"{name}"}}}}"#);
            batch.push_container_record(json.as_bytes(), number, 0);
        });
        events(file, 30_000, |number, batch| {
            event(batch, number, 1 + number as i64, code::SYSCALL_EXECVE_19_E, 1, |e| {
                e.text(&text(number, 4_000));
            });
        });
    };
    check("threads_fds_and_containers_at_once", write, "container records dropped");
}

#[test]
fn clones_with_much_text() {
    let write = |file: &mut File| {
        events(file, 20_000, |number, batch| {
            let tid = 1_000 + number as i64;
            event(batch, number, tid, code::SYSCALL_CLONE_20_X, 20, |e| {
                e.i64(0).text(b"exe").bytes(&text(number, 20_000)).i64(tid).i64(tid).i64(1);
                e.text(b"/").i64(1024).u64(0).u64(1).u32(1).u32(1).u32(0).text(b"comm");
                e.bytes(b"").u32(0).u32(0).u32(0).i64(tid).i64(tid);
            });
        });
    };
    check("clones_with_much_text", write, "threads dropped, since there were too many");
}

#[test]
fn calls_under_way_in_many_threads() {
    let write = |file: &mut File| {
        events(file, 150_000, |number, batch| {
            event(batch, number, 1_000 + number as i64, code::SYSCALL_EXECVE_19_E, 1, |e| {
                e.text(&text(number, 4_000));
            });
        });
    };
    check("calls_under_way_in_many_threads", write, "threads dropped, since there were too many");
}

#[test]
fn high_fds_in_many_processes() {
    let write = |file: &mut File| {
        events(file, 150_000, |number, batch| {
            event(batch, number, 1_000 + number as i64, code::SYSCALL_OPEN_X, 6, |e| {
                e.i64(255).text(&text(number, 900)).u32(1).u32(0).u32(1).u64(1);
            });
        });
    };
    check("high_fds_in_many_processes", write, "fds refused, since there were too many");
}

#[test]
fn records_of_containers() {
    let write = |file: &mut File| {
        events(file, 100, |number, batch| {
            let labels: Vec<String> = (0..20_000).map(|label| format!(r#""{label}":"x""#)).collect();
            let json = format!(
                r#"{{"container":{{"id":"{number:012}","name":"n","labels":{{{}}}}}}}"#,
                labels.join(",")
            );
            batch.push_container_record(json.as_bytes(), number, 0);
        });
    };
    check("records_of_containers", write, "container records dropped, since there were too many");
}

#[test]
fn the_largest_events() {
    let write = |file: &mut File| {
        let json = vec![b'['; 33_000_000];
        for number in 0..8 {
            events(file, 1, |_, batch| batch.push_container_record(&json, number, 0));
        }
    };
    check("the_largest_events", write, "container records refused, since they were too large");
}
