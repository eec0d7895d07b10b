//! clone, exec, exit.

use crate::world::{CHILD_IN_PIDNS, CLONE_THREAD, CLONE_VFORK, Clone, O_CLOEXEC, O_RDONLY, World};
use capture_common::event_table::code;

#[test]
fn a_child_is_made_by_whichever_exit_comes_first() {
    for child_first in [false, true] {
        let mut w = World::new();
        w.open(100, 5, "notes", O_RDONLY);
        let (parent, child) =
            (Clone::default(), Clone { pid: 101, ptid: 100, vtid: 101, vpid: 101, ..Clone::default() });
        if child_first {
            let applied = w.clone_exit(101, 0, &child);
            assert!(applied.thread.is_some(), "the child's own event sees the child");
            w.clone_exit(100, 101, &parent);
        } else {
            w.clone_exit(100, 101, &parent);
            w.clone_exit(101, 0, &child);
        }
        let t = w.thread(101);
        assert_eq!((t.pid, t.ptid, t.vtid, t.uid, t.fdlimit), (101, 100, 101, 1000, 1024));
        assert_eq!((&*t.comm, &*t.cwd), (&b"bash"[..], &b"/home/alice/"[..]));
        assert_eq!(t.args().collect::<Vec<_>>(), [b"-l"]);
        assert_eq!(t.env().collect::<Vec<_>>(), [b"HOME=/home/alice"]);
        assert_eq!(t.fds.len(), 3);
        assert_eq!(w.fd_name(101, 5), "/home/alice/notes");
        assert_ne!(t.clone_ts_ns, 0);
        let names: Vec<_> = w.engine.machine().ancestors(t).map(|a| a.tid).collect();
        assert_eq!(names, [100, 1]);
    }
}

#[test]
fn the_tables_of_parent_and_child_part_ways() {
    let mut w = World::new();
    w.open(100, 5, "a", O_RDONLY);
    w.clone_exit(100, 101, &Clone::default());
    w.open(100, 6, "b", O_RDONLY);
    w.close_exit(101, 0, 5);
    w.settle();
    assert_eq!((w.fd_name(100, 5), w.fd_name(100, 6)), ("/home/alice/a".into(), "/home/alice/b".into()));
    assert_eq!((w.fd_name(101, 5), w.fd_name(101, 6)), ("-".into(), "-".into()));
}

#[test]
fn a_thread_shares_the_process() {
    let mut w = World::new();
    let c = Clone { flags: CLONE_THREAD, ..Clone::default() };
    w.clone_exit(100, 110, &c);
    let t = w.thread(110);
    assert_eq!((t.pid, t.ptid, t.fds.len()), (100, 1, 0));
    assert_eq!(w.thread(100).nchilds, 2);
    w.open(110, 7, "/etc/hosts", O_RDONLY);
    assert_eq!(w.fd_name(100, 7), "/etc/hosts");
    w.process_exit(110, 0);
    w.settle();
    assert_eq!(w.thread(100).nchilds, 1);
}

#[test]
fn inside_a_pid_namespace_only_the_childs_event_counts() {
    let mut w = World::new();
    // The creator's result is its namespace's number: it must not make a thread 8.
    w.clone_exit(100, 8, &Clone { vtid: 7, vpid: 7, ..Clone::default() });
    assert!(w.find(8).is_none());
    w.clone_exit(120, 0, &Clone { pid: 120, ptid: 100, vtid: 8, vpid: 8, ..Clone::default() });
    let t = w.thread(120);
    assert_eq!((t.vtid, t.vpid, t.ptid), (8, 8, 100));
    // A creator outside whose child is in a new namespace.
    w.clone_exit(100, 130, &Clone { flags: CHILD_IN_PIDNS, ..Clone::default() });
    assert!(w.find(130).is_none());
}

#[test]
fn a_child_that_already_ended_is_not_brought_back() {
    let mut w = World::new();
    w.clone_exit(101, 0, &Clone { pid: 101, ptid: 100, vtid: 101, vpid: 101, ..Clone::default() });
    w.process_exit(101, 0);
    w.clone_exit(100, 101, &Clone::default());
    assert!(w.find(101).is_none());
    // A vfork's creator only returns once its child has gone on.
    w.clone_exit(100, 102, &Clone { flags: CLONE_VFORK, ..Clone::default() });
    assert!(w.find(102).is_none());
}

#[test]
fn a_leftover_of_the_same_number_is_replaced() {
    let mut w = World::new();
    w.clone_exit(100, 101, &Clone::default());
    w.open(101, 9, "old", O_RDONLY);
    w.ts_ns += 5_000_000_000;
    w.clone_exit(101, 0, &Clone { comm: "sh", pid: 101, ptid: 1, vtid: 101, vpid: 101, ..Clone::default() });
    let t = w.thread(101);
    assert_eq!((&*t.comm, t.ptid), (&b"sh"[..], 1));
    assert_eq!(w.fd_name(101, 9), "-");
}

#[test]
fn failed_clones_and_execs_change_nothing() {
    let mut w = World::new();
    let applied = w.clone_exit(100, -11, &Clone::default());
    assert_eq!(applied.error, 11);
    assert_eq!(w.engine.machine().threads.len(), 3);
    w.exec_exit(100, -2, 100, 1, "cat");
    assert_eq!(&*w.thread(100).comm, b"bash");
}

#[test]
fn exec_makes_another_program_of_the_process() {
    let mut w = World::new();
    w.open(100, 5, "kept", O_RDONLY);
    w.open(100, 6, "closed", O_RDONLY | O_CLOEXEC);
    w.event(100, code::SYSCALL_EXECVE_19_E, 1, |e| {
        e.text(b"bin/cat");
    });
    w.exec_exit(100, 0, 100, 7777, "cat");
    let t = w.thread(100);
    assert_eq!((&*t.comm, &*t.exepath), (&b"cat"[..], &b"/home/alice/bin/cat"[..]));
    assert_eq!((t.ptid, t.tty, t.loginuid, t.exe_file.writable), (1, 34816, 1000, true));
    assert_eq!(t.env().collect::<Vec<_>>(), [b"A=b"]);
    assert_eq!((w.fd_name(100, 5), w.fd_name(100, 6)), ("/home/alice/kept".into(), "-".into()));
    // The other thread of the process is gone.
    assert!(w.find(105).is_none());
    assert_eq!(w.thread(100).nchilds, 0);
}

#[test]
fn an_unknown_thread_is_invented_and_learns_who_it_is_at_exec() {
    let mut w = World::new();
    let applied = w.open(4242, 3, "/etc/hosts", O_RDONLY);
    assert!(applied.thread.is_some());
    let t = w.thread(4242);
    assert!(t.is_fake);
    assert_eq!((&*t.comm, t.pid, t.ptid, t.uid), (&b"<NA>"[..], 4242, -1, u32::MAX));
    w.exec_exit(4242, 0, 4242, 100, "curl");
    let t = w.thread(4242);
    assert_eq!((&*t.comm, t.ptid, t.is_fake), (&b"curl"[..], 100, false));
    assert_eq!(w.engine.counters().fake_threads, 1);
}

#[test]
fn an_exit_is_removed_after_its_event_and_children_get_their_reaper() {
    let mut w = World::new();
    w.clone_exit(100, 101, &Clone::default());
    w.clone_exit(101, 102, &Clone { pid: 101, ptid: 100, vtid: 101, vpid: 101, ..Clone::default() });
    let applied = w.process_exit(101, 0);
    assert!(applied.thread.is_some());
    assert!(w.find(101).is_some(), "the event itself still sees its thread");
    w.settle();
    assert!(w.find(101).is_none());
    assert_eq!(w.thread(102).ptid, 1, "init adopts");
    // The kernel's word wins.
    w.clone_exit(102, 103, &Clone { pid: 102, ptid: 1, vtid: 102, vpid: 102, ..Clone::default() });
    w.process_exit(102, 100);
    w.settle();
    assert_eq!(w.thread(103).ptid, 100);
}

#[test]
fn a_main_thread_waits_for_its_threads() {
    let mut w = World::new();
    w.process_exit(100, 0);
    w.settle();
    assert_eq!(w.fd_name(105, 0), "/dev/pts/0");
    w.process_exit(105, 0);
    w.settle();
    assert!(w.find(100).is_none() && w.find(105).is_none());
}

#[test]
fn loops_of_parents_end() {
    let mut w = World::new();
    w.exec_exit(200, 0, 200, 201, "a");
    w.exec_exit(201, 0, 201, 202, "b");
    w.exec_exit(202, 0, 202, 201, "c");
    let steps = w.engine.machine().ancestors(w.thread(200)).count();
    assert!(steps <= 4, "{steps}");
}

#[test]
fn directories_follow_chdir_and_fchdir() {
    let mut w = World::new();
    w.event(100, code::SYSCALL_CHDIR_X, 2, |e| {
        e.i64(0).text(b"../bob//./x/");
    });
    assert_eq!(&*w.thread(100).cwd, b"/home/bob/x/");
    w.open(105, 5, "/srv/lab", O_RDONLY | crate::world::O_DIRECTORY);
    w.event(105, code::SYSCALL_FCHDIR_E, 1, |e| {
        e.i64(5);
    });
    w.event(105, code::SYSCALL_FCHDIR_X, 1, |e| {
        e.i64(0);
    });
    assert_eq!(&*w.thread(100).cwd, b"/srv/lab/", "threads share the directory");
    w.event(100, code::SYSCALL_CHDIR_X, 2, |e| {
        e.i64(-2).text(b"/none");
    });
    assert_eq!(&*w.thread(100).cwd, b"/srv/lab/");
}

#[test]
fn ids_and_limits() {
    let mut w = World::new();
    w.event(100, code::SYSCALL_SETRESUID_E, 3, |e| {
        e.u32(u32::MAX).u32(33).u32(u32::MAX);
    });
    w.event(100, code::SYSCALL_SETRESUID_X, 1, |e| {
        e.i64(0);
    });
    assert_eq!(w.thread(100).uid, 33);
    w.event(100, code::SYSCALL_SETUID_X, 2, |e| {
        e.i64(-1).u32(0);
    });
    assert_eq!(w.thread(100).uid, 33);
    w.event(100, code::SYSCALL_PRLIMIT_X, 7, |e| {
        e.i64(0).i64(4096).i64(-1).i64(1024).i64(4096).i64(0).u8(7);
    });
    assert_eq!(w.thread(100).fdlimit, 4096);
}

#[test]
fn containers_are_known_by_cgroup_and_by_record() {
    let mut w = World::new();
    let cgroups = b"cpuset=/\0cpu=/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e\0";
    let c = Clone { pid: 101, ptid: 100, vtid: 1, vpid: 1, cgroups, ..Clone::default() };
    let json = br#"{"container":{"id":"3ad7b26ded6d","type":7,"name":"web","image":"nginx:1.25"}}"#;
    let applied = w.event(-1, code::CONTAINER_JSON_2_E, 1, |e| {
        e.text(json);
    });
    assert_eq!((applied.num, applied.thread), (1, None));
    w.clone_exit(101, 0, &c);
    let t = w.thread(101);
    assert_eq!(&*t.container_id, b"3ad7b26ded6d");
    assert_eq!(&*w.engine.machine().container(t).unwrap().name, b"web");
}

#[test]
fn an_old_container_record_speaks_for_the_container() {
    let mut w = World::new();
    let mut batch = capture_common::Batch::new();
    let head = capture_common::encode::EventHead {
        ts_ns: 1,
        tid: 1,
        cpu: 0,
        code: code::CONTAINER_JSON_E,
        flags: 0,
    };
    let mut event = batch.encode(head, 1);
    event.text(br#"{"container":{"id":"3ad7b26ded6d","type":0}}"#);
    event.finish();
    let raw = batch.get(0).unwrap();
    let applied = w.engine.apply(&raw);
    assert!(applied.visible && applied.thread.is_none());
    let view = w.engine.view(raw, &applied);
    assert_eq!(&*view.thread().unwrap().comm, b"container:3ad7b26ded6d");
    assert_eq!(&*w.thread(1).comm, b"init");
}

#[test]
fn a_process_is_in_its_container_once_its_id_is_written_there() {
    const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e";
    let mut w = World::new();
    w.clone_exit(100, 101, &Clone::default());
    w.clone_exit(
        101,
        111,
        &Clone { flags: CLONE_THREAD, pid: 101, ptid: 100, vtid: 101, vpid: 101, ..Clone::default() },
    );
    let write = |w: &mut World, fd: i64, result: i64, data: &[u8]| {
        w.event(100, code::SYSCALL_WRITE_E, 2, |e| {
            e.i64(fd).u32(data.len() as u32);
        });
        w.event(100, code::SYSCALL_WRITE_X, 2, |e| {
            e.i64(result).bytes(data);
        });
    };
    w.open(100, 5, &format!("/sys/fs/cgroup/memory/docker/{ID}/cgroup.procs"), O_RDONLY);
    w.open(100, 6, "/sys/fs/cgroup/memory/user.slice/cgroup.procs", O_RDONLY);
    write(&mut w, 6, 4, b"101\n");
    write(&mut w, 5, -3, b"101\n");
    write(&mut w, 5, 9, b"no number");
    assert_eq!(&*w.thread(101).container_id, b"");
    write(&mut w, 5, 3, b"101");
    assert_eq!(&*w.thread(101).container_id, &ID.as_bytes()[..12]);
    assert_eq!(&*w.thread(111).container_id, &ID.as_bytes()[..12]);
    assert_eq!(&*w.thread(100).container_id, b"");
    // The number goes to another file.
    w.open(100, 5, "/sys/fs/cgroup/memory/user.slice/cgroup.procs", O_RDONLY);
    write(&mut w, 5, 3, b"100");
    assert_eq!(&*w.thread(100).container_id, b"");
}
