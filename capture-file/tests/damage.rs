//! Damaged files: everything readable is delivered, then one clear error; never a panic, never
//! memory for bytes that are not there.

mod common;

use capture_common::{Batch, Next};
use capture_file::{Compression, FileError, Reader, WriterOptions};
use common::{Everything, block, capture, read_all, read_bytes, rewrite, section_header};

fn sample(compression: Compression) -> Vec<u8> {
    // Small frames, so that cuts and flips fall between and inside several of them.
    let options = WriterOptions { compression, frame_bytes: 600, ..WriterOptions::default() };
    rewrite(Reader::open(capture("interop-full.scap")).unwrap(), options)
}

const ALL: [Compression; 3] = [Compression::None, Compression::GZIP, Compression::ZSTD];

#[test]
fn cut_at_every_byte() {
    for compression in ALL {
        let whole = sample(compression);
        let wanted = read_bytes(&whole);
        assert_eq!(wanted.events.len(), 25);
        let mut most = 0;
        for len in 0..whole.len() {
            let got = read_bytes(&whole[..len]);
            assert!(wanted.events.starts_with(&got.events), "{compression:?} {len}");
            assert!(got.events.len() >= most, "{compression:?}: fewer events from {len} bytes");
            most = got.events.len();
            // A cut between two blocks or frames cannot be told from an end, a gzip one can.
            let may_be_clean = compression != Compression::GZIP && len > 0;
            let error = got.error.as_ref();
            assert!(error.is_some() || may_be_clean, "{compression:?} {len}");
            if let Some(error) = error {
                let known = matches!(
                    error,
                    FileError::Empty { .. } | FileError::Truncated { .. } | FileError::Unfinished { .. }
                );
                assert!(known, "{compression:?} {len}: {error}");
            }
        }
        assert!(most >= 24, "{compression:?}: the last block is lost only with its last bytes");
    }
}

#[test]
fn two_thousand_flipped_bits() {
    // SplitMix64.
    let mut state = 42u64;
    let mut random = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    for compression in ALL {
        let whole = sample(compression);
        for _ in 0..2000 {
            let mut damaged = whole.clone();
            for _ in 0..1 + random() % 3 {
                let bit = random() as usize % (damaged.len() * 8);
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
            let got = read_bytes(&damaged);
            assert!(got.events.len() <= 60, "{}", got.events.len());
        }
    }
}

/// Reads hand-made bytes: number of sections and events, and the error's text.
fn check(bytes: &[u8], sections: usize, events: usize, error: &str) {
    let got: Everything = read_bytes(bytes);
    let text = got.error.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(text.contains(error) && (error.is_empty() == text.is_empty()), "wanted {error:?}, got {text:?}");
    assert_eq!((got.sections.len(), got.events.len()), (sections, events), "{text}");
}

/// An event block (close exit of tid 7) of version 2.
fn event() -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend_from_slice(&1u64.to_le_bytes());
    body.extend_from_slice(&7i64.to_le_bytes());
    body.extend_from_slice(&36u32.to_le_bytes());
    body.extend_from_slice(&5u16.to_le_bytes());
    body.extend_from_slice(&1u32.to_le_bytes());
    body.extend_from_slice(&8u16.to_le_bytes());
    body.extend_from_slice(&0i64.to_le_bytes());
    block(0x216, &body)
}

#[test]
fn files_that_are_no_captures() {
    check(b"", 0, 0, "is empty");
    check(b"#!/bin/sh\necho hello\n", 0, 0, "not a capture file");
    check(&[0x7F], 0, 0, "cut off, wanted 8 bytes, found 1");
    let mut swapped = section_header();
    swapped[4..8].copy_from_slice(&28u32.to_be_bytes());
    swapped[8..12].reverse();
    check(&swapped, 0, 0, "big-endian");
    let mut wrong = section_header();
    wrong[8] = 0;
    check(&wrong, 0, 0, "wrong magic");
    let mut future = section_header();
    future[12] = 2;
    check(&future, 0, 0, "format version 2.2");
}

#[test]
fn sections_unknown_blocks_and_junk() {
    let (shb, event, unknown) = (section_header(), event(), block(0x999, b"what"));
    check(&shb, 1, 0, "");
    check(&[&shb[..], &event].concat(), 1, 1, "");
    check(&[&shb[..], &unknown, &event, &event].concat(), 1, 2, "");
    check(&[&shb[..], &event, &shb, &unknown, &event, &event].concat(), 2, 3, "");
    check(
        &[&shb[..], &event, &unknown, &event].concat(),
        1,
        1,
        "wanted an event or a section header, found unknown type, 0x999",
    );
    check(&[&shb[..], &event, &[0; 40]].concat(), 1, 1, "block 2 after the last event");
    let options = block(0x0A0D_0D0A, &[&shb[8..24], b"\x01\0\x04\0note\0\0\0\0"].concat());
    check(&[&options[..], &event].concat(), 1, 1, "");
}

#[test]
fn lengths_that_lie() {
    let (shb, event) = (section_header(), event());
    // A block of almost 4 GB: refused before any memory is asked for.
    let mut huge = event.clone();
    huge[4..8].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    check(&[&shb[..], &event, &huge].concat(), 1, 1, "impossible length");
    // No event passes 64 KiB, except in blocks of the large types: those are read as far as they go.
    let mut large = event.clone();
    large[4..8].copy_from_slice(&65_548u32.to_le_bytes());
    check(&[&shb[..], &event, &large].concat(), 1, 1, "wanted 12 to 65544 bytes, found 65548");
    large.resize(65_548, 0);
    check(&[&shb[..], &event, &large, &event].concat(), 1, 1, "wanted 12 to 65544 bytes, found 65548");
    large.truncate(event.len());
    large[0..8].copy_from_slice(&[0x21, 2, 0, 0, 0, 0, 0, 2]);
    check(&[&shb[..], &event, &large].concat(), 1, 1, "wanted 33554432 bytes, found 52");
    // Metadata are read piece by piece, however long they say that they are.
    let mut list = block(0x215, &[]);
    list[4..8].copy_from_slice(&3_000_000_000u32.to_le_bytes());
    check(&[&shb[..], &list, &event].concat(), 1, 0, "wanted 3000000000 bytes, found 64");
    let mut zero = event.clone();
    zero[4..8].copy_from_slice(&0u32.to_le_bytes());
    check(&[&shb[..], &event, &zero].concat(), 1, 1, "impossible length");
    // The trailer of metadata is checked, that of events is not.
    let mut users = block(0x220, &[]);
    users[8] = 99;
    check(&[&shb[..], &users, &event].concat(), 1, 0, "ends with another length, wanted 12, found 99");
    let mut odd = event.clone();
    *odd.last_mut().unwrap() = 1;
    check(&[&shb[..], &odd, &event].concat(), 1, 2, "");
    // A process entry that passes its block: the threads before it are kept.
    let list = block(0x215, &[&200u32.to_le_bytes()[..], &[0; 40]].concat());
    check(&[&shb[..], &list, &event].concat(), 1, 0, "process entry needs 196 bytes, found 40");
}

/// A process entry of the first version, with so many bytes of arguments.
fn thread(tid: i64, args: usize) -> Vec<u8> {
    let ids = [tid, tid, 1].map(i64::to_le_bytes).concat();
    let args = [&(args as u16).to_le_bytes()[..], &vec![b'a'; args]].concat();
    // comm and exe, the arguments; cwd, fd limit, flags, uid and gid.
    [&ids[..], &[0; 4], &args, &[0; 2 + 8 + 12]].concat()
}

#[test]
fn long_tables_are_read_to_their_end() {
    let (shb, event) = (section_header(), event());
    let threads: Vec<u8> = (1..=300).flat_map(|tid| thread(tid, 30_000)).collect();
    let all = read_bytes(&[&shb[..], &block(0x202, &threads), &event].concat());
    assert!(all.error.is_none() && all.events.len() == 1, "{:?}", all.error);
    let threads = &all.sections[0].threads;
    assert_eq!(threads.len(), 300);
    assert!(threads.iter().zip(1..).all(|(t, tid)| t.tid == tid && t.args.len() == 30_001));
    assert_eq!(all.stats.refused_entries, 0);
}

#[test]
fn tables_larger_than_any_machines_are_cut_and_counted() {
    let (shb, event) = (section_header(), event());
    let threads: Vec<u8> = (1..=2_000).flat_map(|tid| thread(tid, 60_000)).collect();
    let fds = block(0x203, &[&7i64.to_le_bytes()[..], &[0; 17], &[1, 0, b'x'], &[0; 17], &[0; 2]].concat());
    let all = read_bytes(&[&shb[..], &block(0x202, &threads), &fds, &event].concat());
    assert!(all.error.is_none() && all.events.len() == 1, "{:?}", all.error);
    let held = all.sections[0].threads.len();
    assert!((1_300..1_500).contains(&held), "{held}");
    let fds = all.sections[0].fds.iter().map(|(_, fds)| fds.len()).sum::<usize>();
    assert_eq!((held + fds) as u64 + all.stats.refused_entries, 2_002);
}

#[test]
fn bad_events_are_counted() {
    let (shb, good) = (section_header(), event());
    let mut short_param = good.clone();
    short_param[36] = 200; // the parameter passes the event
    let mut no_lengths = good.clone();
    no_lengths[32..36].copy_from_slice(&1000u32.to_le_bytes());
    let tiny = block(0x216, &[0; 4]);
    let all = read_bytes(&[&shb[..], &good, &short_param, &no_lengths, &tiny, &good].concat());
    assert!(all.error.is_none());
    assert_eq!((all.events.len(), all.stats.damaged_events, all.stats.unreadable_events), (3, 1, 2));
    assert!(all.events[1].5.is_empty());
    assert_eq!(all.stats.blocks, 6);
}

#[test]
fn a_block_larger_than_any_buffer() {
    let mut body = vec![0, 0];
    let len = 26 + 4 + 5_000_000u32;
    body.extend_from_slice(&[0; 16]);
    body.extend_from_slice(&len.to_le_bytes());
    body.extend_from_slice(&324u16.to_le_bytes()); // container JSON: 32-bit lengths
    body.extend_from_slice(&1u32.to_le_bytes());
    body.extend_from_slice(&5_000_000u32.to_le_bytes());
    body.resize(body.len() + 5_000_000, b'x');
    let file = [section_header(), event(), block(0x221, &body), event()].concat();
    let all = read_bytes(&file);
    assert!(all.error.is_none());
    assert_eq!(all.events.len(), 3);
    assert_eq!(all.events[1].5[0].len(), 5_000_000);
}

#[test]
fn a_read_error_comes_after_the_events_before_it() {
    struct Failing(std::io::Cursor<Vec<u8>>);
    impl std::io::Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(std::io::Error::from_raw_os_error(5)),
                n => Ok(n),
            }
        }
    }
    let bytes = [section_header(), event(), event()].concat();
    let all = read_all(Reader::from_reader(Failing(std::io::Cursor::new(bytes)), "disk").unwrap());
    assert_eq!(all.events.len(), 2);
    assert!(matches!(all.error, Some(FileError::Read { offset, .. }) if offset == 28 + 2 * 52));
}

#[test]
fn a_live_pipe_hands_over_at_once() {
    use std::io::Write;
    let (from, mut to) = std::io::pipe().unwrap();
    to.write_all(&[section_header(), event(), event()].concat()).unwrap();
    let mut reader = Reader::from_reader(from, "pipe").unwrap();
    let mut batch = Batch::new();
    assert!(matches!(reader.next_piece(&mut batch), Ok(Next::Section(_))));
    // The writer's end is open and silent: the two events must come all the same.
    assert!(matches!(reader.next_piece(&mut batch), Ok(Next::Events)));
    assert_eq!(batch.len(), 2);
    to.write_all(&event()[..20]).unwrap();
    to.write_all(&event()[20..]).unwrap();
    assert!(matches!(reader.next_piece(&mut batch), Ok(Next::Events)));
    drop(to);
    assert!(matches!(reader.next_piece(&mut batch), Ok(Next::End)));
}
