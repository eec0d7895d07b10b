//! The start state by BPF iterators against that by /proc: equal field by field for a set of quiet
//! processes that hold everything, in strange places; and both on a machine with thousands of threads and
//! fds, with the time that each took (printed, never asserted). And whoever changes while the state is read
//! is known all the same.

use capture_common::snapshot::{FdKind, FdRecord, FdType, ThreadRecord};
use capture_common::{Batch, EventSource, Next, Snapshot};
use capture_file::Reader;
use capture_tests::events::each_event_of;
use capture_tests::live::{self, Capture, Ended, Held, Summary};
use capture_user::live::LiveError;
use capture_user::live::iterators::Iterators;
use capture_user::live::snapshot::{self, Roots, Taken};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// Starts a program and returns the words of its first line.
fn start(program: &Path, args: &[&str]) -> (Held, Vec<i64>) {
    let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("says its line");
    (Held(child), line.split_whitespace().map(|word| word.parse().expect("an id")).collect())
}

/// The iterators; otherwise reports a skip.
fn iterators(name: &str) -> Option<Iterators> {
    match Iterators::load() {
        Ok(iterators) => Some(iterators),
        Err(error @ (LiveError::Privilege | LiveError::NoBtf { .. } | LiveError::OldKernel { .. })) => {
            capture_tests::skip(name, &error.to_string());
            None
        }
        Err(LiveError::NoIterators { reason }) if !reason.contains("verifier") => {
            capture_tests::skip(name, &reason);
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Why a record of both ways may differ, and what sets that aside.
type Exception<T> = (&'static str, fn(&T, &mut T));

/// What may differ between the thread records, and why: sets the field of the second to the first's if
/// that is so.
const THREAD_EXCEPTIONS: &[Exception<ThreadRecord>] = &[
    ("vm_rss_kb: /proc adds up what each CPU has not yet counted", |a, b| {
        // A kernel gathers 32 pages or twice the number of CPUs per CPU and kind.
        if a.vm_rss_kb.abs_diff(b.vm_rss_kb) < 16 << 10 {
            b.vm_rss_kb = a.vm_rss_kb;
        }
    }),
    ("pidns_init_start_ns: /proc has it only where the namespace of its init may be looked at", |a, b| {
        if b.pidns_init_start_ns == 0 {
            b.pidns_init_start_ns = a.pidns_init_start_ns;
        }
    }),
    ("exe_upper_layer, exe_lower_layer: /proc does not tell layers of an overlay", |a, b| {
        (b.exe_upper_layer, b.exe_lower_layer) = (a.exe_upper_layer, a.exe_lower_layer);
    }),
    ("exe_writable: iterators do not look at the groups a process is in besides", |a, b| {
        if b.exe_writable && !a.exe_writable {
            b.exe_writable = false;
        }
    }),
    (
        "exe_ino and what belongs to it: where the first thread has ended /proc has none, the others' structures do",
        |a, b| {
            if b.tid != b.pid && b.exe_ino == 0 {
                let ThreadRecord { exe_ino, exe_ino_ctime_ns, exe_ino_mtime_ns, exe_writable, .. } = *a;
                *b = ThreadRecord { exe_ino, exe_ino_ctime_ns, exe_ino_mtime_ns, exe_writable, ..b.clone() };
            }
        },
    ),
];

/// The same of fds.
const FD_EXCEPTIONS: &[Exception<FdRecord>] = &[
    ("unix addresses: the tables have hashed ones, and no peers", |a, b| {
        if let (FdKind::Unix { source, destination, .. }, FdKind::Unix { source: s, destination: d, .. }) =
            (&a.kind, &mut b.kind)
            && *source != 0
        {
            (*s, *d) = (*source, *destination);
        }
    }),
    ("unix path: a socket without a name has its peer's", |a, b| {
        if let (FdKind::Unix { path, destination, .. }, FdKind::Unix { path: p, .. }) = (&a.kind, &mut b.kind)
            && p.is_empty()
            && *destination != 0
        {
            p.clone_from(path);
        }
    }),
    ("TCP, bound and neither listening nor connected: in no table", |a, b| {
        let is_zero = matches!(
            &b.kind,
            FdKind::Ipv4 { sport: 0, dport: 0, .. } | FdKind::Ipv6 { sport: 0, dport: 0, .. }
        );
        if is_zero && matches!(a.kind, FdKind::Ipv4Server { .. } | FdKind::Ipv6Server { .. }) {
            b.kind = a.kind.clone();
        }
    }),
    ("netlink, unbound: in no table", |a, b| {
        let is_unknown = matches!(b.kind, FdKind::Other { ty: FdType::Unsupported, .. });
        if is_unknown && matches!(a.kind, FdKind::Other { ty: FdType::Netlink, .. }) {
            b.kind = a.kind.clone();
        }
    }),
    ("no permission: some processes may not be looked at in /proc, not even by root", |a, b| {
        if b.kind == (FdKind::Other { ty: FdType::Unsupported, name: Vec::new() }) && b.ino == 0 {
            *b = a.clone();
        }
    }),
];

/// Sets aside what may differ. Notes what did.
fn forgive<T: Clone + PartialEq>(
    a: &T,
    b: &mut T,
    exceptions: &'static [Exception<T>],
    used: &mut BTreeMap<&'static str, u32>,
) {
    for (why, forgive) in exceptions {
        let before = b.clone();
        forgive(a, b);
        if *b != before {
            *used.entry(why).or_default() += 1;
        }
    }
}

/// The threads and fds of some processes, by ids.
type Parts = (BTreeMap<i64, ThreadRecord>, BTreeMap<(i64, i64), FdRecord>);

fn parts(snapshot: &Snapshot, of: impl Fn(i64) -> bool) -> Parts {
    let threads = snapshot.threads.iter().filter(|t| of(t.pid));
    let tables = snapshot.fds.iter().filter(|(pid, _)| of(*pid));
    let fds = tables.flat_map(|(pid, fds)| fds.iter().map(move |fd| ((*pid, fd.fd), fd.clone())));
    (threads.map(|t| (t.tid, t.clone())).collect(), fds.collect())
}

/// Asserts that both have the same; prints what was forgiven.
fn compare(iterated: &Parts, proc: &Parts) {
    let mut used = BTreeMap::new();
    let mut differences = Vec::new();
    assert!(iterated.0.keys().eq(proc.0.keys()), "threads: {:?}\n{:?}", iterated.0.keys(), proc.0.keys());
    assert!(iterated.1.keys().eq(proc.1.keys()), "fds: {:?}\n{:?}", iterated.1.keys(), proc.1.keys());
    for (tid, a) in &iterated.0 {
        let mut b = proc.0[tid].clone();
        forgive(a, &mut b, THREAD_EXCEPTIONS, &mut used);
        if *a != b {
            differences.push(format!("thread {tid}:\n  {a:?}\n  {b:?}"));
        }
    }
    for (at, a) in &iterated.1 {
        let mut b = proc.1[at].clone();
        forgive(a, &mut b, FD_EXCEPTIONS, &mut used);
        if *a != b {
            differences.push(format!("fd {at:?}:\n  {a:?}\n  {b:?}"));
        }
    }
    println!("{} threads and {} fds compared; forgiven:", iterated.0.len(), iterated.1.len());
    for (why, count) in used {
        println!("{count:5} {why}");
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

fn by_proc() -> Taken {
    snapshot::take_from(&Roots::default()).expect("lists /proc")
}

/// Where the first thread has ended /proc has no fds, and the iterators those of the others.
fn set_survivor_aside(iterated: &mut Parts, proc: &Parts) {
    let headless = |parts: &Parts| {
        let survivor = parts.0.values().find(|t| t.comm == b"survivor")?.pid;
        Some((survivor, parts.1.range((survivor, 0)..(survivor + 1, 0)).count()))
    };
    let (survivor, fds) = headless(iterated).expect("the process without its first thread");
    assert!(fds > 3 && headless(proc) == Some((survivor, 0)), "{fds}");
    iterated.1.retain(|(pid, _), _| *pid != survivor);
}

#[test]
fn iterators_and_proc_tell_the_same() {
    let name = "iterators_and_proc_tell_the_same";
    let Some(iterators) = iterators(name) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile("holdings", dir.path(), name) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let (_held, pids) = start(&program, &[place.path().to_str().expect("UTF-8")]);
    let iterated = snapshot::take_with(iterators).expect("takes it");
    assert_eq!(iterated.start.without_iterators, None);
    let proc = by_proc();
    let is_ours = |pid: i64| pids.contains(&pid);
    let (mut a, b) = (parts(&iterated.snapshot, is_ours), parts(&proc.snapshot, is_ours));
    set_survivor_aside(&mut a, &b);
    compare(&a, &b);
    // The dead one is in neither.
    assert!(a.0.len() >= pids.len() + 3, "{} threads of {} processes", a.0.len(), pids.len());
    let kinds: std::collections::BTreeSet<String> =
        a.1.values()
            .map(|fd| format!("{:?}", fd.kind).split([' ', '{']).next().expect("a name").to_owned())
            .collect();
    assert!(kinds.len() >= 7, "{kinds:?}");
}

/// Type information of the kernel, where its structures and with them the iterators are found.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Stored flag of a thread that began just before the capture (`CLONE_INVERTED`).
const YOUNG: u32 = 1 << 16;

/// Records for a moment, with this in front of the program. What it said of the start, and the start state.
fn record(in_front: &[&OsStr], file: &Path) -> (String, Snapshot) {
    let mut words = in_front.iter().copied().chain([OsStr::new(CAPTURE)]);
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).args(["-v", "-M", "1", "-w"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null());
    let ended = Capture::spawn(&mut command).wait();
    assert!(ended.status.success(), "{ended:?}");
    way_and_snapshot(&ended, file)
}

/// What a capture said of the start, and the start state.
fn way_and_snapshot(ended: &Ended, file: &Path) -> (String, Snapshot) {
    let way =
        ended.stderr.lines().find(|line| line.starts_with("start state: ")).expect("the way it was read");
    let mut reader = Reader::open(file).expect("opens");
    loop {
        if let Next::Section(snapshot) = reader.next(&mut Batch::new()).expect("reads") {
            return (way.to_owned(), *snapshot);
        }
    }
}

#[test]
fn a_capture_without_iterators_has_the_same_start_state() {
    let name = "a_capture_without_iterators_has_the_same_start_state";
    let _turn = live::turn();
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile("holdings", dir.path(), name) else { return };
    if iterators(name).is_none() {
        return;
    }
    let Some(unshare) = capture_tests::installed("unshare", name) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let (_held, pids) = start(&program, &[place.path().to_str().expect("UTF-8")]);
    let is_ours = |pid: i64| pids.contains(&pid);
    let (way, with) = record(&[], &dir.path().join("with.scap"));
    assert!(way.contains("by BPF iterators"), "{way}");
    // A kernel without iterators: their structure has another name.
    let mut btf = fs::read(BTF).expect("reads");
    let is_name = |word: &[u8]| word == b"\0bpf_iter_meta\0";
    let at = btf.windows(15).position(is_name).expect("this kernel has iterators");
    btf[at + 1] = b'x';
    let mask = dir.path().join("btf");
    fs::write(&mask, btf).expect("writes");
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    let words = [unshare.as_os_str(), "--mount".as_ref(), "sh".as_ref(), "-c".as_ref(), script.as_ref()];
    let words = [&words[..], &["sh".as_ref(), mask.as_os_str(), BTF.as_ref()]].concat();
    let (way, without) = record(&words, &dir.path().join("without.scap"));
    println!("{way}");
    assert!(way.contains("without BPF iterators: this kernel has no BPF iterators"), "{way}");
    let (mut a, mut b) = (parts(&with, is_ours), parts(&without, is_ours));
    set_survivor_aside(&mut a, &b);
    // The second capture finds them older than a second.
    [&mut a.0, &mut b.0].into_iter().flat_map(|t| t.values_mut()).for_each(|t| t.flags &= !YOUNG);
    assert!(a.0.len() >= pids.len() && a.1.len() > 20, "{} threads, {} fds", a.0.len(), a.1.len());
    compare(&a, &b);
}

#[test]
fn a_process_without_its_first_thread_is_watched() {
    let name = "a_process_without_its_first_thread_is_watched";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile("holdings", dir.path(), name) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let (_held, pids) = start(&program, &[place.path().to_str().expect("UTF-8")]);
    let is_survivor = |pid: &&i64| {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let names = threads.map(|thread| fs::read(thread.path().join("comm")).unwrap_or_default());
        names.into_iter().any(|name| name == b"survivor\n")
    };
    let pid = *pids.iter().find(is_survivor).expect("the process without its first thread");
    let file = dir.path().join("survivor.scap");
    let capture = Capture::to_file(CAPTURE, &file, &["-v", "--pid", &pid.to_string()]);
    let (way, snapshot) = way_and_snapshot(&capture.end(libc::SIGTERM), &file);
    println!("{way}");
    assert!(snapshot.threads.iter().any(|t| t.pid == pid && t.tid != pid));
    if way.contains("by BPF iterators") {
        assert!(snapshot.fds.iter().any(|(of, fds)| *of == pid && fds.len() > 3), "it is in the tree");
    }
}

#[test]
fn thousands_of_threads_and_fds() {
    let name = "thousands_of_threads_and_fds";
    let _turn = live::turn();
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile("crowd", dir.path(), name) else { return };
    let (_held, pids) = start(&program, &["2000", "10", "2000"]);
    let Some(iterators) = iterators(name) else { return };
    let began = Instant::now();
    let iterated = snapshot::take_with(iterators).expect("takes it");
    let took = began.elapsed();
    let began = Instant::now();
    let proc = by_proc();
    println!(
        "{} threads, {} fds: {took:.1?} by iterators ({}), {:.1?} by /proc ({})",
        iterated.start.threads,
        iterated.start.fds,
        iterated.start.steps,
        began.elapsed(),
        proc.start.steps,
    );
    let is_ours = |pid: i64| pids.contains(&pid);
    let (a, b) = (parts(&iterated.snapshot, is_ours), parts(&proc.snapshot, is_ours));
    assert_eq!((a.0.len(), a.1.len() >= 20_000), (2000 + pids.len() - 1, true), "{} fds", a.1.len());
    compare(&a, &b);
}

/// What processes do without a pause, with a name that only they have.
const RESTLESS: [(&str, &str); 3] = [
    // The shell handles SIGCHLD.
    ("restless-forks", "while :; do echo x; /bin/true; done"),
    ("restless-pipes", "while :; do echo x | /bin/true; done"),
    ("restless-moves", "while :; do cd /tmp; echo x; cd /; /bin/true; done"),
];

#[test]
fn processes_that_never_rest_have_their_names_from_the_first_event_on() {
    let name = "processes_that_never_rest_have_their_names_from_the_first_event_on";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let _turn = live::turn();
    let folder = tempfile::tempdir().expect("a folder");
    let running: Vec<Held> = RESTLESS
        .iter()
        .map(|(name, script)| {
            let program = folder.path().join(name);
            std::os::unix::fs::symlink("/bin/sh", &program).expect("a name for the shell");
            Held(
                Command::new(program)
                    .args(["-c", script])
                    .stdout(Stdio::null())
                    .current_dir("/")
                    .spawn()
                    .expect("starts"),
            )
        })
        .collect();
    let file = folder.path().join("restless.scap");
    let ended = Capture::to_file(CAPTURE, &file, &["-M", "2"]).wait();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(Summary::parse(&ended.stderr).lost, 0, "{}", ended.stderr);
    // SAFETY: no memory is involved.
    let uid = unsafe { libc::geteuid() };
    let mut events = [0_u64; RESTLESS.len()];
    let mut without = BTreeMap::new();
    each_event_of(&file, |view| {
        let thread = view.thread();
        let pid = thread.map_or(view.raw.tid, |thread| thread.pid);
        let Some(at) = running.iter().position(|held| i64::from(held.0.id()) == pid) else { return };
        events[at] += 1;
        let is_known = thread.is_some_and(|thread| {
            &thread.comm[..] == RESTLESS[at].0.as_bytes()
                && thread.uid == uid
                && thread.exe.ends_with(RESTLESS[at].0.as_bytes())
        });
        if !is_known {
            *without.entry(RESTLESS[at].0).or_insert(0_u64) += 1;
        }
    });
    println!("events: {events:?}");
    assert!(events.iter().all(|count| *count > 50), "{events:?}");
    assert!(without.is_empty(), "of {events:?} events, without name, user or program: {without:?}");
    // The same as lines, while it happens.
    for (name, _) in RESTLESS {
        let filter = format!("proc.name={name} and evt.type=write");
        let out = Command::new(CAPTURE).args(["-M", "1", "-p", "%evt.type", &filter]).output().expect("runs");
        let lines = String::from_utf8_lossy(&out.stdout).lines().count();
        assert!(lines > 5, "{filter}: {lines} lines\n{}", String::from_utf8_lossy(&out.stderr));
    }
}
