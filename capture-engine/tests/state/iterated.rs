//! Threads and fds that were read again from the kernel.

use crate::world::World;
use capture_common::event_table::code;

fn task(w: &mut World, tid: i64, vtgid: i32, vtid: i32) {
    w.event(tid, code::ITER_TASK_E, 32, |e| {
        e.i32(100).i32(700).i32(7).i32(600).text(b"nginx");
        e.bytes(b"/usr/sbin/nginx\0-g\0daemon off;\0").text(b"/usr/sbin/nginx").u32(1);
        e.bytes(b"HOME=/root\0").text(b"/srv").u64(4096).u32(33).u32(34);
        e.u64(2).u64(3).u64(1).u64(77).u64(1_000).u64(2_000).u32(500).u32(300).u32(0).u64(5).u64(6);
        e.i32(vtgid).i32(vtid).u64(9_000);
        e.bytes(b"cpu=/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e\0").text(b"/");
        e.u64(8_000).u32(34816).u32(1000);
    });
}

#[test]
fn a_process_is_known_by_its_event() {
    let mut w = World::new();
    task(&mut w, 700, 7, 7);
    let t = w.thread(700);
    assert_eq!((t.pid, t.ptid, t.vpid, t.vtid, t.sid, t.vpgid, t.pgid), (700, 100, 7, 7, 600, 7, 700));
    assert_eq!(
        (&*t.comm, &*t.exe, &*t.args_raw),
        (&b"nginx"[..], &b"/usr/sbin/nginx"[..], &b"-g\0daemon off;\0"[..])
    );
    assert_eq!((&*t.cwd, t.fdlimit, t.uid, t.gid, t.loginuid), (&b"/srv/"[..], 4096, 33, 34, 1000));
    assert_eq!((t.caps, t.exe_file.ino, t.exe_file.writable), ([1, 2, 3], 77, true));
    assert_eq!(&*t.container_id, b"3ad7b26ded6d");
    assert_eq!(w.engine.machine().parent(t).unwrap().tid, 100);
    // In the host's namespace the process's number is its own.
    task(&mut w, 701, 700, 701);
    assert_eq!(w.thread(701).pid, 700);
    assert_eq!(w.thread(700).nchilds, 1);
}

#[test]
fn fds_without_a_path_have_their_type() {
    let mut w = World::new();
    for (fd, number, letter) in [(9, 1u8, 'e'), (10, 2, 'l'), (11, 9, 'b'), (12, 13, 'X'), (13, 99, 'o')] {
        w.event(100, code::ITER_TASK_FILE_ANON_INODE_E, 4, |e| {
            e.i32(fd).u8(number).text(b"anon_inode:[x]").u64(5);
        });
        let info = w.fd(100, i64::from(fd)).unwrap();
        assert_eq!((info.type_char(), info.ino, info.name.len()), (letter, 5, 0));
    }
}
