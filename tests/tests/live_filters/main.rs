//! Filters in the kernel: what the probe leaves out changes nothing of what a filter keeps.
//!
//! One workload, recorded once without a filter and once with each, and every recording replayed with
//! the filter: the lines of the workload's processes are equal, one after another. And the account:
//! what is made is written, or counted as left out.

mod recording;

use capture_tests::cgroup::Cgroup;
use capture_tests::live::{self, Capture, Summary};
use recording::{CAPTURE, Workload, left_out};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Id of a container that no engine has.
const CONTAINER: &str = "4f2a7c1be9d04f2a7c1be9d04f2a7c1be9d04f2a7c1be9d04f2a7c1be9d0abcd";

/// What a filter may stand for.
struct Case {
    /// The filter; `{pid}` is the workload's first process.
    filter: &'static str,
    /// Whether anything of the workload itself is left out, and not only of others.
    pushes: bool,
}

const fn case(filter: &'static str) -> Case {
    Case { filter, pushes: true }
}

const CASES: &[Case] = &[
    // Types, of their own and without parameters of their own.
    case("evt.type=read"),
    case("evt.type in (sched_yield, getpgid)"),
    case("not evt.type in (read, write, lseek, sched_yield, getpgid)"),
    // Directions.
    case("evt.type=lseek and evt.dir=>"),
    case("evt.dir=< and evt.type in (read, sched_yield)"),
    // Results.
    case("evt.failed=true"),
    case("evt.type=read and evt.res!=SUCCESS"),
    case("evt.rawres>=20 and evt.dir=<"),
    // Processes: by name, by id, by user, by arguments.
    case("proc.name=worker"),
    case("proc.name=worker and evt.type=write"),
    case("proc.name startswith work or (proc.name=other and evt.failed=true)"),
    case("not proc.name in (filtered, worker)"),
    case("proc.pid={pid} and evt.type=sched_yield"),
    case("user.uid=12345"),
    case("proc.cmdline contains '--worker other'"),
    // Trees.
    case("proc.apid={pid} and not evt.type=read"),
    case("proc.pname=parent"),
    case("proc.aname=filtered and proc.name=other"),
    // Fds, which state-bearing calls of everybody name.
    case("fd.name contains own.txt and evt.type in (read, write)"),
    case("fd.num=3 and proc.name=worker and evt.is_io=true"),
    // Nothing to decide.
    Case { filter: "evt.num>0 and proc.name=worker", pushes: false },
    case("evt.cpu>=0 and evt.buffer contains 0123456"),
];

fn ready(name: &str) -> Option<(tempfile::TempDir, Workload)> {
    if !live::can_record(name) || !live::has_host_ids(name) {
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let workload = Workload::compile(dir.path(), name)?;
    Some((dir, workload))
}

#[test]
fn recorded_with_a_filter_and_replayed_is_recorded_without_and_replayed() {
    let name = "recorded_with_a_filter_and_replayed_is_recorded_without_and_replayed";
    let Some((_dir, workload)) = ready(name) else { return };
    let _turn = live::turn();
    let whole = workload.record("whole", None, &[]);
    assert_eq!(left_out(&whole.stderr), 0, "{}", whole.stderr);
    for (at, case) in CASES.iter().enumerate() {
        let recorded = workload.record(&format!("with{at}"), Some(case.filter), &[]);
        let mut wanted = whole.replay(case.filter);
        let mut got = recorded.replay(case.filter);
        assert!(wanted.values().any(|lines| !lines.is_empty()), "{}: nothing matches", case.filter);
        for role in whole.roles() {
            let (wanted, got) =
                (wanted.remove(&role).unwrap_or_default(), got.remove(&role).unwrap_or_default());
            recording::assert_same(case.filter, &role, &wanted, &got);
        }
        let left_out = left_out(&recorded.stderr);
        println!("{}: {left_out} records left out", case.filter);
        assert_eq!(left_out > 0, case.pushes, "{}: {}", case.filter, recorded.stderr);
    }
}

#[test]
fn a_process_that_is_chosen_by_name_keeps_the_names_of_its_files() {
    let name = "a_process_that_is_chosen_by_name_keeps_the_names_of_its_files";
    let Some((_dir, workload)) = ready(name) else { return };
    let _turn = live::turn();
    let recorded = workload.record("names", Some("proc.name=worker"), &[]);
    // How many depends on how soon the classes of threads are known.
    assert!(left_out(&recorded.stderr) > 0, "{}", recorded.stderr);
    // One file was opened by its parent under another name, the other one by itself.
    let lines = recorded.lines("evt.type=write and evt.dir=< and evt.failed=false", "%proc.name %fd.name");
    let count = |file: &str| lines.iter().filter(|line| line.ends_with(file)).count();
    assert_eq!((count("/data.txt"), count("/own.txt")), (8, 10), "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("worker ") && !line.contains("<NA>")), "{lines:#?}");
}

#[test]
fn lines_are_the_same_with_and_without_the_kernels_part() {
    let name = "lines_are_the_same_with_and_without_the_kernels_part";
    let Some((_dir, workload)) = ready(name) else { return };
    let _turn = live::turn();
    const FILTER: &str = "proc.name=worker and evt.type in (read, write)";
    let [with, without] = [&[][..], &["--no-kernel-filter"]].map(|options| workload.lines(FILTER, options));
    assert!(left_out(&with.1) > 0, "{}", with.1);
    assert_eq!(left_out(&without.1), 0, "{}", without.1);
    // Two workers: twelve reads and twelve writes that succeed, as many that fail, and what opens a file.
    assert!(with.0.len() > 60, "{:#?}", with.0);
    assert_eq!(with.0, without.0);
}

#[test]
fn every_record_is_written_or_counted_as_left_out() {
    let name = "every_record_is_written_or_counted_as_left_out";
    let Some((dir, workload)) = ready(name) else { return };
    let _turn = live::turn();
    // The workload alone: records of others are counted apart.
    let mut made = Vec::new();
    for filter in [None, Some("evt.type=openat"), Some("proc.name=worker"), Some("evt.failed=true")] {
        let file = dir.path().join("counted.scap");
        let mut command = Command::new(CAPTURE);
        command.args(["-v", "-w"]).arg(&file).args(filter).arg("--").arg("sh").arg("-c");
        command.arg("echo | exec \"$0\" \"$1\"").args([workload.program(), workload.folder()]);
        let out = command.output().expect("capture runs");
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{stderr}");
        let summary = Summary::parse(&stderr);
        assert_eq!(summary.lost, 0, "{stderr}");
        assert_eq!(summary.sum(0), summary.sum(1) + summary.sum(2), "seen = recorded + dropped: {stderr}");
        println!("{filter:?}: {} recorded, {} left out", summary.sum(1), left_out(&stderr));
        assert_eq!(left_out(&stderr) > 0, filter.is_some(), "{stderr}");
        made.push(summary.sum(0) + left_out(&stderr));
    }
    assert!(made.iter().all(|count| *count == made[0]), "made = recorded + left out: {made:?}");
}

#[test]
fn a_process_that_is_moved_into_a_container_is_recorded_from_there_on() {
    let name = "a_process_that_is_moved_into_a_container_is_recorded_from_there_on";
    let Some((_dir, workload)) = ready(name) else { return };
    let Some(cgroup) = Cgroup::made(CONTAINER, name) else { return };
    let _turn = live::turn();
    let filter = format!("container.id={}", cgroup.short_id());
    let folder = cgroup.folder();
    let whole = workload.record("whole", None, &[folder]);
    let recorded = workload.record("with", Some(&filter), &[folder]);
    let (wanted, got) = (whole.replay(&filter), recorded.replay(&filter));
    // Five rounds after the move, eight of the worker, with nine calls each.
    assert!(wanted["in_cgroup"].len() > 2 * 13 * 8, "{wanted:#?}");
    for role in whole.roles() {
        let lines = |all: &recording::ByRole| all.get(&role).cloned().unwrap_or_default();
        recording::assert_same(&filter, &role, &lines(&wanted), &lines(&got));
    }
    assert!(left_out(&recorded.stderr) > 0, "{}", recorded.stderr);
}

#[test]
fn what_the_kernel_does_is_explained() {
    let explain = |filter: &str| {
        let out = Command::new(CAPTURE).args(["--explain-filter", filter]).output().expect("capture runs");
        assert!(out.status.success(), "{out:?}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let text = explain("proc.name=nginx and evt.type=read");
    assert!(text.contains("in the kernel (live): of ") && text.contains("by thread:   proc.name"), "{text}");
    let text = explain("evt.num>3");
    assert!(text.contains("nothing is left out: evt.num depends on every event"), "{text}");
    // In a replay there is no kernel to ask.
    let out = Command::new(CAPTURE).args(["-r", "x", "--no-kernel-filter"]).output().expect("capture runs");
    assert!(String::from_utf8_lossy(&out.stderr).contains("--no-kernel-filter is for live captures"));
}

#[test]
fn a_time_limit_ends_a_capture_whose_filter_lets_nothing_pass() {
    let name = "a_time_limit_ends_a_capture_whose_filter_lets_nothing_pass";
    if !live::can_record(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("limit.scap");
    let capture = Capture::to_file(CAPTURE, &file, &["-M", "1", "evt.type=keyctl"]);
    let ended = capture.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert!(fs::metadata(Path::new(&file)).is_ok_and(|meta| meta.len() > 0));
    // Not even a first event comes.
    let mut quiet = Command::new("sleep").arg("600").spawn().expect("sleep starts");
    let capture = Capture::to_file(CAPTURE, &file, &["-M", "1", "--pid", &quiet.id().to_string()]);
    let ended = capture.wait();
    // It may have ended by itself.
    let _ = quiet.kill();
    let _ = quiet.wait();
    assert!(ended.status.success(), "{ended:?}");
}
