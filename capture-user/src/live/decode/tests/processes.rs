//! clone and exec forms, process ends.

use super::*;
use capture_common::abi::TaskInfo;

/// A task whose every field that events show has a value of its own.
fn task(pidns_level: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let words32 = [TID, TID, 1000, 1001, 7, 6, 501, 5, 402, 4, 0x8801, pidns_level];
    let ids = [100u32, 101, 102, 103, 104, 105, u32::MAX, 0];
    for word in words32.iter().chain(&ids) {
        out.extend(word.to_ne_bytes());
    }
    out.extend(words(&[1, 3, 2, 1024, 11, 12], 6));
    for word in [2364u32, 976, 4, 0] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(b"kitchen\0\0\0\0\0\0\0\0\0");
    out.extend(words(&[900, 800, 77, 555, 444], 5));
    for word in [0xfe00u32, 1] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(words(&[], 8));
    assert_eq!(out.len(), TaskInfo::LEN_BYTES);
    out
}

fn image(record: Rec, pidns_level: u32) -> Rec {
    record
        .section(tag::TASK, 0, &task(pidns_level))
        .section(tag::ARGS, 0, b"./kitchen\0-v\0two words\0")
        .section(tag::EXEPATH, 0, b"/srv/kitchen")
        .section(tag::CWD, 0, b"/srv")
}

const IMAGE: &str = r#"exe="./kitchen" args="-v\0two words\0" tid=1234 pid=1234 ptid=1000 cwd="/srv" fdlimit=1024 pgft_maj=11 pgft_min=12 vm_size=2364 vm_rss=976 vm_swap=4 comm="kitchen" cgroups="""#;

#[test]
fn both_sides_of_a_clone() {
    // CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD.
    let args = [0x0120_0011];
    check(
        image(Rec::exit(56, 4321, &args), 0),
        &format!(
            "clone(223) res=4321 {IMAGE} flags=25165824 uid=102 gid=103 vtid=7 vpid=6 pidns_init_start_ts=0"
        ),
    );
    // The child says when its pid namespace began, and that it is in one.
    check(
        image(Rec::exit(56, 0, &args), 1),
        &format!(
            "clone(223) res=0 {IMAGE} flags=562036736 uid=102 gid=103 vtid=7 vpid=6 pidns_init_start_ts=800"
        ),
    );
}

#[test]
fn clone3_takes_its_flags_from_the_struct() {
    let batch = decode(&[image(Rec::exit(435, 9, &[0x1000, 88]), 0).section(
        tag::RAW,
        0,
        &words(&[0x2000_0000], 11),
    )]);
    let event = batch.get(0).unwrap();
    assert_eq!((event.nparams(), event.uint(15)), (21, Some(0x40)));
}

const AFTER_EXEC: &str = r#"env="A=1\0B=2\0" tty=34817 vpgid=5 loginuid=4294967295 flags=1 cap_inheritable=1 cap_permitted=3 cap_effective=2 exe_ino=77 exe_ino_ctime=555 exe_ino_mtime=444 uid=102 trusted_exepath="/srv/kitchen" pgid=501 gid=103"#;

fn exec_record(old_tid: u32) -> Rec {
    let fixed = [old_tid, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
    Rec::new(kind::EXEC, 0, fixed).section(tag::FILENAME, 0, b"./kitchen")
}

#[test]
fn a_successful_exec_knows_its_path() {
    let records = [
        Rec::enter(59, &[0x1000]).section(tag::STR, 0, b"./kitchen"),
        exec_record(TID),
        image(Rec::exit(59, 0, &[]), 0).section(tag::ENV, 0, b"A=1\0B=2\0"),
    ];
    let batch = decode(&records);
    let lines: Vec<String> = batch.iter().map(|e| line(&e)).collect();
    assert_eq!(
        lines,
        [
            r#"execve(292) filename="./kitchen""#.to_owned(),
            format!(r#"execve(293) res=0 {IMAGE} {AFTER_EXEC} filename="./kitchen""#)
        ]
    );
    // Without the EXEC record the enter's path serves.
    let batch = decode(&[records[0].clone(), records[2].clone()]);
    assert_eq!(batch.get(1).unwrap().text(30), Some(&b"./kitchen"[..]));
}

#[test]
fn a_threads_exec_tells_its_enter_again_under_the_leaders_id() {
    let thread = TID + 5;
    let batch = decode(&[
        Rec::enter(59, &[0x1000]).tid(thread).section(tag::STR, 0, b"./kitchen"),
        exec_record(thread),
        image(Rec::exit(59, 0, &[]), 0),
        // A later exec must not find anything of the first.
        image(Rec::exit(59, -2, &[0x1000]), 0).section(tag::STR, 0, b"/other"),
    ]);
    let seen: Vec<_> = batch.iter().map(|e| (e.code.0, e.tid, e.is_state_only())).collect();
    let (thread, leader) = (i64::from(thread), i64::from(TID));
    assert_eq!(seen, [(292, thread, false), (292, leader, true), (293, leader, false), (293, leader, false)]);
    assert_eq!(batch.get(1).unwrap().text(0), Some(&b"./kitchen"[..]));
    assert_eq!(batch.get(2).unwrap().text(30), Some(&b"./kitchen"[..]));
    assert_eq!(batch.get(3).unwrap().text(30), Some(&b"/other"[..]));
}

#[test]
fn execveat_ends_as_execve_when_it_succeeds() {
    let enter = Rec::enter(322, &[3, 0x1000, 0, 0, 0x1000]).section(tag::STR, 1, b"");
    // x86 gives the exit the number of execve; other machines keep theirs.
    for nr in [59, 322] {
        let batch = decode(&[enter.clone(), exec_record(TID), image(Rec::exit(nr, 0, &[]), 0)]);
        assert_eq!(line(&batch.get(0).unwrap()), r#"execveat(330) dirfd=3 pathname="" flags=1"#);
        let exit = batch.get(1).unwrap();
        assert_eq!((exit.code.0, exit.nparams(), exit.text(30)), (293, 31, Some(&b"./kitchen"[..])));
    }
    let batch = decode(&[enter, image(Rec::exit(322, -2, &[3]), 0)]);
    let exit = batch.get(1).unwrap();
    assert_eq!((exit.code.0, exit.nparams(), exit.int(0)), (331, 30, Some(-2)));
}

#[test]
fn an_image_that_is_missing_is_not_root() {
    let batch = decode(&[Rec::exit(57, 0, &[])]);
    let event = batch.get(0).unwrap();
    assert_eq!(
        (event.int(3), event.int(5), event.uint(16)),
        (Some(i64::from(TID)), Some(-1), Some(u64::from(u32::MAX)))
    );
    assert_eq!((event.text(1), event.int(18)), (Some(&b"<NA>"[..]), Some(i64::from(TID))));
}

#[test]
fn process_ends() {
    let end = |code: u32, reaper: u32| {
        let fixed =
            [code, reaper, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).chain(words(&[900], 1)).collect();
        Rec::new(kind::PROC_EXIT, 0, fixed)
    };
    check(end(3 << 8, 0), "procexit(186) status=768 ret=3 sig=0 core=0 reaper_tid=0");
    check(end(0x8b, 1), "procexit(186) status=139 ret=0 sig=11 core=1 reaper_tid=1");
}
