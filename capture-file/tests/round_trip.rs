//! Write, read, write: identical, for any snapshot and any events.

mod common;

use capture_common::encode::EventHead;
use capture_common::event_table::{OWN_PARAMS, code};
use capture_common::snapshot::{
    Dialect, FdKind, FdRecord, FdType, Group, Interface, InterfaceAddr, L4Proto, MachineInfo, ThreadRecord,
    User,
};
use capture_common::stream::MemorySource;
use capture_common::{Batch, EventCode, EventSource, Next, Snapshot};
use capture_file::{Compression, ProcessTail, Writer, WriterOptions};
use common::{Everything, SharedBytes, read_bytes};
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

/// Strings that each end with NUL.
fn nul_list() -> impl Strategy<Value = Vec<u8>> {
    vec("[a-z=/]{0,9}", 0..4)
        .prop_map(|words| words.iter().flat_map(|w| [w.as_bytes(), b"\0"].concat()).collect())
}

prop_compose! {
    fn thread()(
        ids in any::<[i64; 8]>(), texts in vec(bytes(40), 5), lists in vec(nul_list(), 3),
        words in any::<[u32; 8]>(), longs in any::<[u64; 9]>(), flags in any::<[bool; 4]>(), fdlimit in any::<i64>(),
    ) -> ThreadRecord {
        ThreadRecord {
            tid: ids[0], pid: ids[1], ptid: ids[2], sid: ids[3], vpgid: ids[4], pgid: ids[5], vtid: ids[6], vpid: ids[7],
            comm: texts[0].clone(), exe: texts[1].clone(), exepath: texts[2].clone(),
            cwd: texts[3].clone(), root: texts[4].clone(),
            args: lists[0].clone(), env: lists[1].clone(), cgroups: lists[2].clone(),
            fdlimit, flags: words[0], uid: words[1], gid: words[2], loginuid: words[3],
            vm_size_kb: words[4], vm_rss_kb: words[5], vm_swap_kb: words[6], tty: words[7],
            pfmajor: longs[0], pfminor: longs[1],
            // The dual tail keeps all but the low 40 bits.
            pidns_init_start_ns: longs[2] & !((1 << 40) - 1),
            caps: [longs[3], longs[4], longs[5]],
            exe_ino: longs[6], exe_ino_ctime_ns: longs[7], exe_ino_mtime_ns: longs[8],
            exe_writable: flags[0], exe_upper_layer: flags[1], exe_lower_layer: flags[2], exe_from_memfd: flags[3],
        }
    }
}

fn l4proto() -> impl Strategy<Value = L4Proto> {
    (0..6u8).prop_map(L4Proto::from_number)
}

fn fd_kind() -> impl Strategy<Value = FdKind> {
    // Only types that are written as they are; see `fd_types_that_old_readers_refuse`.
    let by_name = prop::sample::select(vec![1u8, 2, 7, 9, 10, 11, 12, 13, 14, 15]);
    prop_oneof![
        (any::<([u8; 4], [u8; 4], u16, u16)>(), l4proto()).prop_map(|((s, d, sport, dport), l4proto)| {
            FdKind::Ipv4 { sip: s.into(), dip: d.into(), sport, dport, l4proto }
        }),
        (any::<([u8; 16], [u8; 16], u16, u16)>(), l4proto()).prop_map(|((s, d, sport, dport), l4proto)| {
            FdKind::Ipv6 { sip: s.into(), dip: d.into(), sport, dport, l4proto }
        }),
        (any::<([u8; 4], u16)>(), l4proto()).prop_map(|((ip, port), l4proto)| FdKind::Ipv4Server {
            ip: ip.into(),
            port,
            l4proto
        }),
        (any::<([u8; 16], u16)>(), l4proto()).prop_map(|((ip, port), l4proto)| FdKind::Ipv6Server {
            ip: ip.into(),
            port,
            l4proto
        }),
        (any::<[u64; 2]>(), bytes(100)).prop_map(|([source, destination], path)| FdKind::Unix {
            source,
            destination,
            path
        }),
        (any::<[u32; 2]>(), bytes(100)).prop_map(|([open_flags, dev], name)| FdKind::File {
            open_flags,
            name,
            dev
        }),
        (by_name, bytes(100))
            .prop_map(|(ty, name)| FdKind::Other { ty: FdType::from_number(ty).unwrap(), name }),
    ]
}

fn interface() -> impl Strategy<Value = Interface> {
    let v4 = any::<[[u8; 4]; 3]>().prop_map(|[a, n, b]| InterfaceAddr::V4 {
        addr: a.into(),
        netmask: n.into(),
        broadcast: b.into(),
    });
    let v6 = any::<[[u8; 16]; 3]>().prop_map(|[a, n, b]| InterfaceAddr::V6 {
        addr: a.into(),
        netmask: n.into(),
        broadcast: b.into(),
    });
    (bytes(20), prop_oneof![v4, v6], any::<u64>()).prop_map(|(name, addr, link_speed)| Interface {
        name,
        addr,
        link_speed,
    })
}

prop_compose! {
    fn snapshot()(
        superset in any::<bool>(), numbers in any::<(u32, [u64; 4])>(), hostname in "[a-z.]{0,100}",
        mut interfaces in vec(interface(), 0..4),
        users in vec((any::<[u32; 2]>(), vec(bytes(40), 3)), 0..4), groups in vec((any::<u32>(), bytes(40)), 0..4),
        threads in vec(thread(), 0..5),
        fds in vec((any::<i64>(), vec((any::<i64>(), any::<u64>(), fd_kind()), 0..6)), 0..4),
    ) -> Snapshot {
        // Writers put the IPv4 addresses first.
        interfaces.sort_by_key(|i| matches!(i.addr, InterfaceAddr::V6 { .. }));
        let (num_cpus, [memory_bytes, max_pid, boot_ts_ns, flags]) = numbers;
        Snapshot {
            dialect: if superset { Dialect::Superset } else { Dialect::Foreign },
            machine: MachineInfo { num_cpus, memory_bytes, max_pid, hostname: hostname.into_bytes(), boot_ts_ns, flags },
            interfaces,
            users: users.into_iter().map(|([uid, gid], t)| User {
                uid, gid, name: t[0].clone(), home: t[1].clone(), shell: t[2].clone(),
            }).collect(),
            groups: groups.into_iter().map(|(gid, name)| Group { gid, name }).collect(),
            threads,
            fds: fds.into_iter().map(|(tid, table)| {
                (tid, table.into_iter().map(|(fd, ino, kind)| FdRecord { fd, ino, kind }).collect())
            }).collect(),
        }
    }
}

type Drawn = (u64, i64, u16, u16, bool, Vec<Vec<u8>>);

fn events() -> impl Strategy<Value = Vec<Drawn>> {
    let size = prop_oneof![9 => 0..40usize, 1 => 0..66_000usize];
    let param = (size, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    vec((any::<u64>(), any::<i64>(), any::<u16>(), 0..460u16, any::<bool>(), vec(param, 0..8)), 0..60)
}

fn batch(events: &[Drawn]) -> Batch {
    let mut batch = Batch::new();
    for (ts_ns, tid, cpu, code, hidden, params) in events {
        let head = EventHead {
            ts_ns: *ts_ns,
            tid: *tid,
            cpu: *cpu,
            code: EventCode(*code),
            flags: u32::from(*hidden),
        };
        let mut encoder = batch.encode(head, params.len());
        params.iter().for_each(|p| {
            encoder.bytes(p);
        });
        encoder.finish();
    }
    batch
}

fn write(mut source: impl EventSource, options: WriterOptions) -> Vec<u8> {
    let bytes = SharedBytes::default();
    let mut writer = Writer::from_writer(bytes.clone(), "memory", options).unwrap();
    let mut batch = Batch::new();
    loop {
        match source.next(&mut batch).unwrap() {
            Next::Section(s) => writer.write_section(&s).unwrap(),
            Next::Events => writer.write_events(&batch).unwrap(),
            Next::Idle => {}
            Next::End => break,
        }
    }
    writer.close().unwrap();
    bytes.take()
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![Compression::ZSTD, Compression::Gzip { level: 1 }, Compression::None])
}

/// How many parameters of an event the container takes.
fn kept_params(code: EventCode, compression: Compression) -> usize {
    let own =
        OWN_PARAMS.iter().find(|(own, _)| *own == code && !matches!(compression, Compression::Zstd { .. }));
    own.map_or(usize::MAX, |&(_, others)| others)
}

#[test]
fn the_result_of_a_generic_call_stays_in_our_own_container() {
    for (compression, kept) in [(Compression::ZSTD, 3), (Compression::GZIP, 2), (Compression::None, 2)] {
        let mut events = Batch::new();
        for code in [code::GENERIC_E, code::GENERIC_X, code::SYSCALL_LSEEK_E] {
            let head = EventHead { ts_ns: 1, tid: 1, cpu: 0, code, flags: 0 };
            let mut encoder = events.encode(head, 3);
            encoder.u16(100).u16(27).i64(-12);
            encoder.finish();
        }
        let mut source = MemorySource::default();
        source.push_section(Snapshot::default());
        source.push_events(events);
        let all = read_bytes(&write(source, WriterOptions { compression, ..WriterOptions::default() }));
        let counts: Vec<usize> = all.events.iter().map(|event| event.5.len()).collect();
        assert_eq!((counts, all.error.is_none()), (vec![3, kept, 3], true), "{compression:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        sections in vec((snapshot(), events()), 1..3), compression in compression(), frame_bytes in 1..100_000usize,
    ) {
        let mut source = MemorySource::default();
        let mut wanted = (Vec::new(), Vec::new());
        for (snapshot, events) in &sections {
            wanted.0.push(format!("{snapshot:?}"));
            let made = batch(events);
            wanted.1.extend(made.iter().map(|e| {
                let params = e.params().take(kept_params(e.code, compression)).map(<[u8]>::to_vec);
                (e.ts_ns, e.tid, e.cpu, e.code.0, e.flags, params.collect::<Vec<_>>())
            }));
            source.push_section(snapshot.clone());
            source.push_events(made);
        }
        let options = WriterOptions { compression, frame_bytes, ..WriterOptions::default() };
        let file = write(source, options);
        let got = read_bytes(&file);
        prop_assert!(got.error.is_none(), "{:?}", got.error);
        prop_assert_eq!(got.snapshots(), wanted.0);
        prop_assert_eq!(&got.events, &wanted.1);
        prop_assert_eq!(got.stats.damaged_events + got.stats.unreadable_events, 0);
        // And once more: the same bytes.
        let reader = capture_file::Reader::inline(std::io::Cursor::new(file.clone()), "memory").unwrap();
        let plain = WriterOptions { compression: Compression::None, ..options };
        let again = write(reader, plain);
        let once_more = capture_file::Reader::inline(std::io::Cursor::new(again.clone()), "memory").unwrap();
        prop_assert_eq!(write(once_more, plain), again);
    }
}

fn one_fd(kind: FdKind) -> Snapshot {
    Snapshot { fds: vec![(1, vec![FdRecord { fd: 3, ino: 9, kind }])], ..Snapshot::default() }
}

fn rewritten(snapshot: Snapshot, tail: ProcessTail) -> Everything {
    let mut source = MemorySource::default();
    source.push_section(snapshot);
    read_bytes(&write(
        source,
        WriterOptions { tail, compression: Compression::None, ..WriterOptions::default() },
    ))
}

#[test]
fn fd_types_that_old_readers_refuse() {
    let check = |ty, expected| {
        let all = rewritten(one_fd(FdKind::Other { ty, name: b"n".to_vec() }), ProcessTail::Dual);
        assert_eq!(all.sections[0].fds[0].1[0].kind, expected, "{ty:?}");
    };
    let file = FdKind::File { open_flags: 0, name: b"n".to_vec(), dev: 0 };
    let unsupported = FdKind::Other { ty: FdType::Unsupported, name: b"n".to_vec() };
    check(FdType::Memfd, file);
    for ty in [FdType::Bpf, FdType::Userfault, FdType::IoUring, FdType::Pid, FdType::Unknown, FdType::Ipv4] {
        check(ty, unsupported.clone());
    }
}

#[test]
fn the_safe_tail_keeps_what_every_reader_takes_alike() {
    let thread = ThreadRecord {
        loginuid: 1000,
        exe_writable: true,
        caps: [1, 2, 3],
        tty: 7,
        pidns_init_start_ns: 1 << 60,
        ..ThreadRecord::default()
    };
    let snapshot = Snapshot { threads: vec![thread.clone()], ..Snapshot::default() };
    let all = rewritten(snapshot, ProcessTail::Safe);
    let kept = ThreadRecord { tty: 0, pidns_init_start_ns: 0, ..thread };
    assert_eq!(all.sections[0].threads, [kept]);
}

#[test]
fn strings_are_cut_to_what_stock_readers_accept_and_counted() {
    let long = ThreadRecord { comm: vec![b'c'; 2000], args: vec![b'a'; 5000], ..ThreadRecord::default() };
    let snapshot = Snapshot {
        threads: vec![long],
        users: vec![User { name: vec![b'u'; 300], ..User::default() }],
        ..one_fd(FdKind::Other { ty: FdType::Pipe, name: vec![b'p'; 70_000] })
    };
    let bytes = SharedBytes::default();
    let mut writer = Writer::from_writer(bytes.clone(), "memory", WriterOptions::default()).unwrap();
    writer.write_section(&snapshot).unwrap();
    assert_eq!(writer.close().unwrap().cut_strings, 4);
    let all = read_bytes(&bytes.take());
    let thread = &all.sections[0].threads[0];
    // The reader repairs the missing last NUL of the arguments.
    assert_eq!(
        (thread.comm.len(), thread.args.len(), all.sections[0].users[0].name.len()),
        (1024, 4097, 255)
    );
    let FdKind::Other { name, .. } = &all.sections[0].fds[0].1[0].kind else { panic!() };
    assert_eq!(name.len(), 1023);
}
