//! Events, snapshots and records through the whole of it.

use super::*;
use capture_common::event_table::code;
use capture_common::snapshot::ThreadRecord;

/// An exec's exit with these arguments and environment.
fn exec(batch: &mut Batch, args: &[u8], env: &[u8], flags: u32) {
    let head = EventHead { ts_ns: 5, tid: 7, cpu: 1, code: code::SYSCALL_EXECVE_19_X, flags };
    let info = code::SYSCALL_EXECVE_19_X.info().unwrap();
    let mut event = batch.encode(head, info.params.len());
    for param in info.params {
        match param.name {
            "exe" => event.text(b"/bin/run"),
            "args" => event.bytes(args),
            "env" => event.bytes(env),
            _ => event.empty(),
        };
    }
    event.finish();
}

#[test]
fn events_lose_their_secrets_and_nothing_else() {
    let mut batch = Batch::new();
    exec(&mut batch, b"-v\0x\0", b"HOME=/\0", 0);
    exec(&mut batch, b"--token\0hunter2\0", b"A=b\0DB_PASSWORD=hunter2\0", 1);
    let head = EventHead { ts_ns: 6, tid: 7, cpu: 0, code: code::SYSCALL_CLOSE_E, flags: 0 };
    let mut event = batch.encode(head, 1);
    event.i64(3);
    event.finish();
    batch.push_container_record(br#"{"container":{"id":"a","labels":{"token":"hunter2"}}}"#, 7, 0);
    let before = batch.clone();
    let mut redactor = Redactor::new("");
    redactor.batch(&mut batch);
    assert_eq!((batch.len(), redactor.changed()), (4, 2));
    assert_eq!((batch.block(0), batch.block(2)), (before.block(0), before.block(2)));
    let event = batch.get(1).unwrap();
    assert_eq!((event.ts_ns, event.tid, event.cpu, event.flags), (5, 7, 1, 1));
    let params = |event: &RawEvent<'_>| event.params().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (old, new) = (params(&before.get(1).unwrap()), params(&event));
    for (old, new) in old.iter().zip(&new) {
        match &old[..] {
            b"--token\0hunter2\0" => assert_eq!(new, b"--token\0[redacted]\0"),
            b"A=b\0DB_PASSWORD=hunter2\0" => assert_eq!(new, b"A=b\0DB_PASSWORD=[redacted]\0"),
            same => assert_eq!(new, same),
        }
    }
    assert_eq!(old.len(), new.len());
    assert!(!batch.bytes().windows(7).any(|w| w == b"hunter2"));
}

#[test]
fn processes_of_the_snapshot_lose_theirs() {
    let thread = |args: &[u8], env: &[u8]| ThreadRecord {
        args: args.into(),
        env: env.into(),
        ..ThreadRecord::default()
    };
    let mut snapshot = Snapshot {
        threads: vec![thread(b"-x\0", b"A=b\0"), thread(b"--badge=7\0", b"BADGE=7\0")],
        ..Snapshot::default()
    };
    let mut redactor = Redactor::new("badge");
    redactor.snapshot(&mut snapshot);
    assert_eq!(snapshot.threads[0], thread(b"-x\0", b"A=b\0"));
    assert_eq!(snapshot.threads[1], thread(b"--badge=[redacted]\0", b"BADGE=[redacted]\0"));
    assert_eq!(redactor.changed(), 1);
}

#[test]
fn every_event_that_starts_a_program_is_known() {
    let redactor = Redactor::new("");
    let known = |code: EventCode| redactor.places[usize::from(code.0)];
    for code in [code::SYSCALL_EXECVE_19_X, code::SYSCALL_EXECVEAT_X] {
        assert!(known(code).args.is_some() && known(code).env.is_some(), "{code:?}");
    }
    for code in
        [code::SYSCALL_CLONE_20_X, code::SYSCALL_FORK_20_X, code::SYSCALL_VFORK_20_X, code::SYSCALL_CLONE3_X]
    {
        assert!(known(code).args.is_some(), "{code:?}");
    }
    assert!(known(code::SYSCALL_OPEN_X).args.is_none());
}
