//! Records of iterators as they should not be: what can be read of them is, the rest is counted.

use super::*;
use crate::live::snapshot::{Roots, Snapped, take_since};
use capture_common::abi::{RecordHeader, SectionHeader};
use std::fs::File;
use std::io::{Seek, Write};
use std::mem::offset_of;

/// A file with these records.
fn file_of(records: &[Vec<u8>]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&records.concat()).unwrap();
    file.rewind().unwrap();
    file
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn record(kind: u8, pid: u32, tid: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; RecordHeader::LEN_BYTES];
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let len = bytes.len() as u32;
    put(&mut bytes, 0, len);
    bytes[offset_of!(RecordHeader, kind)] = kind;
    put(&mut bytes, offset_of!(RecordHeader, tid), tid);
    put(&mut bytes, offset_of!(RecordHeader, pid), pid);
    bytes
}

fn section(tag: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; SectionHeader::LEN_BYTES];
    bytes[offset_of!(SectionHeader, tag)] = tag;
    put(&mut bytes, offset_of!(SectionHeader, len), data.len() as u32);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn task_info(pid: u32, tid: u32, level: u32, number: u32) -> Vec<u8> {
    let mut info = vec![0; TaskInfo::LEN_BYTES];
    put(&mut info, offset_of!(TaskInfo, pid), pid);
    put(&mut info, offset_of!(TaskInfo, tid), tid);
    put(&mut info, offset_of!(TaskInfo, pidns_level), level);
    put(&mut info, offset_of!(TaskInfo, vpid), number);
    info[offset_of!(TaskInfo, comm)] = b'x';
    info
}

fn task_record(pid: u32, tid: u32) -> Vec<u8> {
    let info = section(tag::TASK, &task_info(pid, tid, 0, pid));
    record(kind::ITER_TASK, pid, tid, &[vec![0; IterTaskFixed::LEN_BYTES], info].concat())
}

fn file_record(pid: u32, fd: u32, path: &[u8]) -> Vec<u8> {
    let mut fixed = vec![0; IterFileFixed::LEN_BYTES];
    put(&mut fixed, offset_of!(IterFileFixed, fd), fd);
    let sections = [section(tag::FDINFO, &[0; FdInfo::LEN_BYTES]), section(tag::FDPATH, path)].concat();
    record(kind::ITER_FILE, pid, pid, &[fixed, sections].concat())
}

/// Without its last bytes, in a record that is whole itself.
fn cut(mut record: Vec<u8>, bytes: usize) -> Vec<u8> {
    record.truncate(record.len() - bytes);
    let len = record.len() as u32;
    put(&mut record, 0, len);
    record
}

/// As of another kind.
fn of_kind(mut record: Vec<u8>, kind: u8) -> Vec<u8> {
    record[offset_of!(RecordHeader, kind)] = kind;
    record
}

/// Processes far above what a machine has, so that /proc has none of them, and that differ by several bytes.
const A: u32 = 0x7000_0000;
const B: u32 = 0x7123_4567;

fn found(tasks: &[Vec<u8>], files: &[Vec<u8>]) -> Found {
    let mut iterators = Iterators::of_files(file_of(tasks), file_of(files));
    let mut found = Found::default();
    found.read_tasks(&mut iterators, Numbers::Kernel).unwrap();
    found.read_files(&mut iterators).unwrap();
    found
}

fn threads(found: &Found, pid: u32) -> Vec<i64> {
    let threads = found.process(Path::new("/none"), i64::from(pid), 0, Begin::LATE);
    threads.unwrap_or_default().iter().map(|thread| thread.tid).collect()
}

#[test]
fn records_that_say_nothing_are_counted_and_the_others_kept() {
    let task = |tid| task_record(A, tid);
    let mut odd = section(tag::TASK, &task_info(A, A + 9, 0, 0));
    // A section that is longer than its record.
    put(&mut odd, offset_of!(SectionHeader, len), u32::MAX);
    let odd = record(kind::ITER_TASK, A, A + 9, &[vec![0; IterTaskFixed::LEN_BYTES], odd].concat());
    let tasks = [
        task(A),
        record(kind::ITER_TASK, A, A + 5, &[]),
        cut(task(A + 6), 8),
        of_kind(task(A + 7), kind::ITER_FILE),
        of_kind(task(A + 8), 0xff),
        odd,
        task(A + 1),
    ];
    let files = [
        file_record(A, 3, b"/a"),
        record(kind::ITER_FILE, A, A, &[]),
        cut(file_record(A, 4, b""), 8),
        of_kind(file_record(A, 5, b"/c"), kind::ITER_TASK),
        of_kind(file_record(A, 6, b"/d"), 0),
        file_record(A, 7, b"/b"),
    ];
    let mut found = found(&tasks, &files);
    assert_eq!(found.bad_records, 5 + 3);
    assert_eq!(
        (found.pids(), threads(&found, A)),
        (vec![i64::from(A)], vec![i64::from(A), i64::from(A + 1)])
    );
    // The fd of which only the path is missing is there all the same.
    let fds = found.take_table(i64::from(A)).unwrap().fds;
    assert_eq!(fds.iter().map(|fd| fd.fd).collect::<Vec<_>>(), [3, 4, 7]);
    assert_eq!(fds[1].kind, FdKind::Other { ty: FdType::Unsupported, name: Vec::new() });
}

#[test]
fn no_byte_of_a_record_makes_a_panic() {
    let (task, file) = (task_record(A, A), file_record(A, 3, b"socket:[1]"));
    for at in 4..task.len().max(file.len()) {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let change = |record: &Vec<u8>| {
                let mut record = record.clone();
                if let Some(byte) = record.get_mut(at) {
                    *byte = value;
                }
                record
            };
            let found =
                found(&[change(&task), task_record(B, B)], &[change(&file), file_record(B, 8, b"/b")]);
            assert_eq!(threads(&found, B), [i64::from(B)], "byte {at} is {value}");
            found.pids().iter().for_each(|pid| {
                threads(&found, *pid as u32);
            });
            assert!(found.tables[&i64::from(B)].fds.iter().any(|fd| fd.fd == 8), "byte {at} is {value}");
        }
    }
}

fn take(tasks: &[Vec<u8>], files: &[Vec<u8>], numbers: Numbers) -> Snapped {
    let iterators = Iterators::of_files(file_of(tasks), file_of(files));
    take_since(&Roots::default(), numbers, Begin::LATE, Ok(iterators)).unwrap()
}

fn own_fds(snapped: &Snapped) -> usize {
    let own = i64::from(std::process::id());
    snapped.snapshot.fds.iter().filter(|(pid, _)| *pid == own).map(|(_, fds)| fds.len()).sum()
}

#[test]
fn iterators_that_fail_in_the_middle_leave_all_to_proc() {
    let half = file_record(B, 3, b"/a")[..40].to_vec();
    let no_record = vec![0; 64];
    let whole = [task_record(A, A), task_record(B, B)];
    let cases = [
        (vec![whole[0].clone(), half.clone()], vec![], "40 bytes of a record at the end"),
        (whole.to_vec(), vec![file_record(A, 1, b"/a"), no_record], "a record of 0 bytes"),
    ];
    for (tasks, files, why) in cases {
        let snapped = take(&tasks, &files, Numbers::Kernel);
        assert_eq!(snapped.start.without_iterators.as_deref(), Some(why));
        assert!(snapped.snapshot.threads.iter().any(|t| t.pid == i64::from(std::process::id())));
        assert!(own_fds(&snapped) >= 3 && snapped.start.left_out == 0);
        assert!(snapped.snapshot.threads.iter().all(|t| t.pid < i64::from(A)), "half a table is no table");
        // Where /proc has other ids, there is no more than what was readable.
        let snapped = take(&tasks, &files, Numbers::Other);
        assert_eq!(snapped.start.without_iterators.as_deref(), Some(why));
        assert!(snapped.snapshot.threads.iter().any(|t| t.pid == i64::from(A) && t.comm == b"x"));
        assert_eq!(own_fds(&snapped), 0);
        assert!(snapped.snapshot.threads.iter().all(|t| t.pid >= i64::from(A)));
    }
}

#[test]
fn names_are_those_of_the_process_or_none() {
    let info = |level, number| TaskInfo::read(&task_info(900, 900, level, number)).unwrap();
    let own = info(2, 7);
    let folder = |numbers, level, number| Folders::new(numbers, Some(&own)).number(&info(level, number));
    assert_eq!(folder(Numbers::Kernel, 2, 9), Some(900));
    assert_eq!(folder(Numbers::Own, 2, 9), Some(9));
    assert_eq!(folder(Numbers::Own, 3, 1), None, "its number here is not told");
    assert_eq!(folder(Numbers::Other, 2, 9), None);
    assert_eq!(Folders::new(Numbers::Own, None).number(&own), None);
}
