//! What is no call, what has one side only, and what is broken.

use super::*;

#[test]
fn sides_are_independent() {
    // The child side of a clone and a call that seccomp refused have no enter; exit has no exit.
    let batch = decode(&[Rec::exit(56, 0, &[]), Rec::exit(2, -1, &[]), Rec::enter(60, &[0])]);
    assert_eq!(batch.iter().map(|e| e.code.0).collect::<Vec<_>>(), [223, 3, 0]);
}

#[test]
fn rt_sigreturn_has_no_exit() {
    let mut decoder = decoder();
    let mut batch = Batch::new();
    // A call with a number too large for a record has both sides; its exit is not mistaken for
    // that of an rt_sigreturn, which comes without any number.
    for record in [
        Rec::enter(15, &[]),
        Rec::exit(NR_NONE, 7, &[]),
        Rec::enter(NR_NONE, &[]),
        Rec::exit(NR_NONE, -38, &[]),
        Rec::exit(NR_NONE, -38, &[]),
    ] {
        decoder.decode(&RecordView::parse(&record.bytes()).unwrap(), 0, &mut batch);
    }
    let lines: Vec<String> = batch.iter().map(|e| line(&e)).collect();
    assert_eq!(
        lines,
        [
            "syscall(0) ID=298 nativeID=15",
            "syscall(0) ID=0 nativeID=65535",
            "syscall(1) ID=0 nativeID=65535 res=-38"
        ]
    );
    assert_eq!(decoder.counts().unnumbered_exits, 2);
    assert_eq!(decoder.counts().records, 5);
}

#[test]
fn context_switches() {
    let mut fixed: Vec<u8> = [77u32, 70].iter().flat_map(|n| n.to_ne_bytes()).collect();
    fixed.extend(words(&[1, 2], 2));
    fixed.extend([3u32, 4, 5, 0].iter().flat_map(|n| n.to_ne_bytes()));
    check(
        Rec::new(kind::SWITCH, 0, fixed),
        "switch(152) next=77 pgft_maj=1 pgft_min=2 vm_size=3 vm_rss=4 vm_swap=5",
    );
}

#[test]
fn losses_are_marked_for_old_and_new_readers() {
    let batch = decode(&[Rec::new(kind::LOSS, 0, words(&[12, 3, 5, 4000, 99], 5)).tid(0)]);
    let lines: Vec<String> = batch.iter().map(|e| line(&e)).collect();
    assert_eq!(lines[..2], ["drop(148) ratio=1", "drop(149) ratio=1"]);
    let detail = batch.get(2).unwrap();
    assert_eq!((detail.code.0, detail.tid, detail.text(1)), (402, -1, Some(&b"capture.loss"[..])));
    let expected = br#"{"cause":"ring_full","cpu":1,"count":12,"stateful":3,"enters":5,"first_ts_ns":1700000000000004000,"last_ts_ns":1700000000000005000}"#;
    assert_eq!(detail.param(2), Some(&expected[..]));
}

#[test]
fn broken_records_are_counted() {
    let mut decoder = decoder();
    let mut batch = Batch::new();
    for record in [
        Rec::new(200, 0, vec![]),
        Rec::new(kind::ENTER, 0, words(&[], 5)),
        Rec::new(kind::EXIT, 0, vec![]),
        Rec::new(kind::PROC_EXIT, 0, vec![]),
    ] {
        decoder.decode(&RecordView::parse(&record.bytes()).unwrap(), 0, &mut batch);
    }
    assert_eq!((batch.len(), decoder.counts().malformed), (0, 4));
}

#[test]
fn no_call_panics_on_empty_or_strange_sections() {
    let mut decoder = decoder();
    let mut batch = Batch::new();
    let mut feed = |record: Rec| {
        batch.clear();
        decoder.decode(&RecordView::parse(&record.bytes()).unwrap(), 0, &mut batch);
        assert!(batch.len() <= 1);
        for event in batch.iter() {
            let info = event.info().unwrap();
            for (param, ty) in event.params().zip(info.params) {
                assert!(ty.ty.fixed_size().is_none_or(|size| size == param.len()), "{}", info.name);
            }
        }
    };
    for nr in 0..480u16 {
        for compat in [false, true] {
            for fill in [0u8, 1, 0xff] {
                let mut records = [Rec::enter(nr, &[u64::MAX; 6]), Rec::exit(nr, 0, &[u64::MAX; 6])];
                for record in &mut records {
                    if compat {
                        record.flags |= flag::COMPAT32;
                    }
                    for tag in tag::STR..=tag::CWD {
                        for arg in [0u8, 1, 2, 3, 4, 0xff] {
                            let len = usize::from(tag) * 7 % 97;
                            *record = record.clone().section(tag, arg, &vec![fill; len]);
                        }
                    }
                    feed(record.clone());
                    record.sections.clear();
                    feed(record.clone());
                }
            }
        }
    }
}
