//! Files of earlier versions of the format: every version of the process list, lists without
//! entry lengths, unofficial block codes, event blocks without parameter counts.

mod common;

use capture_common::snapshot::{FdKind, FdRecord, FdType, Interface, InterfaceAddr, ThreadRecord};
use capture_file::{Compression, Reader, WriterOptions};
use common::{Everything, block, read_bytes, rewrite, section_header};
use std::io::Cursor;

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u16).to_le_bytes()[..], value.as_bytes()].concat()
}

/// An entry of a process list as version `version` has it; version 9 without its tail.
fn process_entry(version: u8) -> Vec<u8> {
    let long = |v: i64| v.to_le_bytes().to_vec();
    let word = |v: u32| v.to_le_bytes().to_vec();
    let fields: [(u8, Vec<u8>); 24] = [
        (1, long(10)),
        (1, long(11)),
        (1, long(12)),
        (6, long(13)),
        (8, long(14)),
        (1, text("comm")),
        (1, text("exe")),
        (7, text("/bin/exe")),
        (1, text("a\0b")),
        (1, text("/cwd/")),
        (1, long(1024)),
        (1, word(1)),
        (1, word(1000)),
        (1, word(100)),
        (2, word(21)),
        (2, word(22)),
        (2, word(23)),
        (2, long(31)),
        (2, long(32)),
        (3, text("K=V\0")),
        (4, long(41)),
        (4, long(42)),
        (4, text("cpu=/x\0")),
        (5, text("/")),
    ];
    fields.into_iter().filter(|(since, _)| *since <= version).flat_map(|(_, bytes)| bytes).collect()
}

fn threads(code: u32, body: &[u8]) -> Vec<ThreadRecord> {
    let all = read_bytes(&[section_header(), block(code, body)].concat());
    assert!(all.error.is_none(), "{code:#x}: {:?}", all.error);
    all.sections[0].threads.clone()
}

#[test]
fn every_version_of_the_process_list() {
    const CODES: [(u8, u32); 11] = [
        (1, 0x202),
        (1, 0x8000_ABCD),
        (2, 0x207),
        (2, 0x8013_ABCD),
        (3, 0x209),
        (3, 0x8014_ABCD),
        (4, 0x210),
        (5, 0x211),
        (6, 0x212),
        (7, 0x213),
        (8, 0x214),
    ];
    for (version, code) in CODES {
        let entry = process_entry(version);
        let found = threads(code, &[&entry[..], &entry].concat());
        assert_eq!(found.len(), 2, "{code:#x}");
        let t = &found[1];
        let since = |v: u8, value: i64| if version >= v { value } else { -1 };
        assert_eq!((t.tid, t.pid, t.ptid), (10, 11, 12));
        assert_eq!(
            (t.sid, t.vpgid, t.vtid, t.vpid),
            (since(6, 13), since(8, 14), since(4, 41), since(4, 42))
        );
        assert_eq!((&t.args[..], t.fdlimit, t.uid, t.gid), (&b"a\0b\0"[..], 1024, 1000, 100));
        assert_eq!((t.vm_size_kb, t.pfminor), if version >= 2 { (21, 32) } else { (0, 0) });
        assert_eq!((t.env.len(), t.root.len()), (4 * usize::from(version >= 3), usize::from(version >= 5)));
        assert_eq!((t.loginuid, t.pgid), (u32::MAX, -1));
    }
}

#[test]
fn the_two_layouts_of_a_version_9_tail() {
    let entry = |tail: &[u8]| {
        let fields = [&process_entry(9)[..], tail].concat();
        threads(0x215, &[&(fields.len() as u32 + 4).to_le_bytes()[..], &fields].concat()).remove(0)
    };
    let uid = 1000u32.to_le_bytes();
    assert_eq!(entry(&[]).loginuid, u32::MAX);
    assert_eq!(entry(&uid).loginuid, 1000);
    let t = entry(&[&uid[..], &[1]].concat());
    assert_eq!((t.loginuid, t.exe_writable, t.pidns_init_start_ns), (1000, true, 0));
    let caps: Vec<u8> = [5u64, 6, 7].iter().flat_map(|c| c.to_le_bytes()).collect();
    let t = entry(&[&uid[..], &[0], &caps].concat());
    assert_eq!((t.loginuid, t.caps), (1000, [5, 6, 7]));
    let start_ns = 1_700_000_000_000_000_000u64;
    let long = [&start_ns.to_le_bytes()[..], &34816u32.to_le_bytes(), &uid, &[1], &caps, &[1]].concat();
    let t = entry(&long);
    assert_eq!((t.pidns_init_start_ns, t.tty, t.loginuid, t.caps), (start_ns, 34816, 1000, [5, 6, 7]));
    assert_eq!((t.exe_upper_layer, t.exe_ino, t.pgid), (true, 0, -1));
    let whole = [&long[..], &[9; 24], &[1, 0], &77u64.to_le_bytes(), b"fields of a later version"].concat();
    let t = entry(&whole);
    assert_eq!((t.exe_from_memfd, t.exe_lower_layer, t.pgid), (true, false, 77));
}

#[test]
fn lists_without_entry_lengths() {
    let fd = |fd: i64, ty: u8, rest: &[u8]| [&fd.to_le_bytes()[..], &[9; 8], &[ty], rest].concat();
    let fds = [
        1i64.to_le_bytes().to_vec(),
        fd(0, 16, &[&1u32.to_le_bytes()[..], &text("/dev/null")].concat()),
        fd(1, 7, &text("pipe:[9]")),
        fd(2, 5, &[127, 0, 0, 1, 80, 0, 2]),
        fd(3, 77, &text("a type of the future")),
    ]
    .concat();
    let users = [
        &[0][..],
        &[1, 0, 0, 0, 2, 0, 0, 0],
        &text("joe"),
        &text("/j"),
        &text("sh"),
        &[1],
        &[3, 0, 0, 0],
        &text("staff"),
    ]
    .concat();
    let v4 = |ty: u8| [&[ty, 0, 2, 0], &[127, 0, 0, 1, 255, 0, 0, 0, 127, 255, 255, 255][..]].concat();
    let interfaces = [&v4(1)[..], &1000u64.to_le_bytes(), b"lo", &v4(3), b"lo"].concat();
    for codes in [[0x203, 0x206, 0x205], [0x8001_ABCD, 0x8012_ABCD, 0x8011_ABCD]] {
        let file =
            [section_header(), block(codes[0], &fds), block(codes[1], &users), block(codes[2], &interfaces)]
                .concat();
        let all = read_bytes(&file);
        assert!(all.error.is_none(), "{:?}", all.error);
        let s = &all.sections[0];
        let ino = u64::from_le_bytes([9; 8]);
        let record = |fd, kind| FdRecord { fd, ino, kind };
        assert_eq!(s.fds[0].0, 1);
        assert_eq!(
            s.fds[0].1[0],
            record(0, FdKind::File { open_flags: 1, name: b"/dev/null".to_vec(), dev: 0 })
        );
        assert_eq!(s.fds[0].1[1], record(1, FdKind::Other { ty: FdType::Pipe, name: b"pipe:[9]".to_vec() }));
        assert!(matches!(s.fds[0].1[2].kind, FdKind::Ipv4Server { port: 80, .. }));
        assert!(matches!(s.fds[0].1[3].kind, FdKind::Other { ty: FdType::Unsupported, .. }));
        assert_eq!((&s.users[0].name[..], s.groups[0].gid), (&b"joe"[..], 3));
        let lo = |link_speed| Interface {
            name: b"lo".to_vec(),
            addr: InterfaceAddr::V4 {
                addr: [127, 0, 0, 1].into(),
                netmask: [255, 0, 0, 0].into(),
                broadcast: [127, 255, 255, 255].into(),
            },
            link_speed,
        };
        assert_eq!(s.interfaces, [lo(1000), lo(0)]);
    }
}

/// An event block of version 1.
fn old_event(block_code: u32, event_code: u16, params: &[&[u8]], surplus: u32) -> Vec<u8> {
    let mut body = vec![3, 0];
    if block_code == 0x208 {
        body.extend_from_slice(&1u32.to_le_bytes());
    }
    let len = 22 + params.iter().map(|p| p.len() + 2).sum::<usize>() as u32;
    body.extend_from_slice(&99u64.to_le_bytes());
    body.extend_from_slice(&7i64.to_le_bytes());
    body.extend_from_slice(&(len + surplus).to_le_bytes());
    body.extend_from_slice(&event_code.to_le_bytes());
    params.iter().for_each(|p| body.extend_from_slice(&(p.len() as u16).to_le_bytes()));
    params.iter().for_each(|p| body.extend_from_slice(p));
    // What the wrong length of two event types covers.
    body.resize(body.len() + surplus as usize, 0);
    block(block_code, &body)
}

#[test]
fn old_events_are_read_and_rewritten_in_current_blocks() {
    let params: [&[u8]; 4] = [&[3, 0, 0, 0, 0, 0, 0, 0], b"/etc/passwd\0", &[1, 0, 0, 0], &[0, 0, 0, 0]];
    let file = [
        section_header(),
        old_event(0x204, 3, &params, 0),
        old_event(0x8010_ABCD, 3, &params, 0),
        old_event(0x208, 5, &[&[0; 8]], 0),
        old_event(0x204, 280, &[b"id\0", b"text\0"], 3),
        old_event(0x204, 60_000, &[&[0; 8]], 0),
    ]
    .concat();
    let check = |all: &Everything| {
        assert!(all.error.is_none());
        let params: Vec<_> = params.iter().map(|p| p.to_vec()).collect();
        assert_eq!(all.events.len(), 4);
        assert_eq!(all.events[0], (99, 7, 3, 3, 0, params.clone()));
        assert_eq!(all.events[1], all.events[0]);
        assert_eq!(all.events[2], (99, 7, 3, 5, 1, vec![vec![0; 8]]));
        assert_eq!(all.events[3].5, [b"id\0".to_vec(), b"text\0".to_vec()]);
    };
    let all = read_bytes(&file);
    check(&all);
    assert_eq!((all.stats.damaged_events, all.stats.unreadable_events), (0, 1));
    let reader = Reader::inline(Cursor::new(file), "memory").unwrap();
    let options = WriterOptions { compression: Compression::None, ..WriterOptions::default() };
    let again = rewrite(reader, options);
    let all = read_bytes(&again);
    check(&all);
    assert_eq!((all.stats.damaged_events, all.stats.unreadable_events), (0, 0));
    let mut codes = std::collections::BTreeSet::new();
    let mut at = 0;
    while at < again.len() {
        codes.insert(u32::from_le_bytes(again[at..at + 4].try_into().unwrap()));
        at += u32::from_le_bytes(again[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        [0x201, 0x215, 0x216, 0x217, 0x219, 0x220, 0x0A0D_0D0A]
    );
}
