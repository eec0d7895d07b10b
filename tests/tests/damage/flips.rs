//! Captures in which one bit is wrong.

use crate::support::{Capture, check_memory, check_message, decompressed, replay, rewritten};
use capture_file::Compression;
use zstd::zstd_safe::find_frame_compressed_size;

/// Number of damaged captures of each form.
const FLIPS: usize = 10_000;

/// A capture of some 1,900 events.
const LARGER: &str = "kitchen.scap.gz";

/// Random numbers by SplitMix64. `CAPTURE_DAMAGE_SEED` chooses others.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let wanted = std::env::var("CAPTURE_DAMAGE_SEED").ok();
        let seed = wanted.map_or(20_261_128, |text| text.parse().expect("CAPTURE_DAMAGE_SEED is a number"));
        println!("seed {seed}");
        Random(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// Flips bits of `file`, one at a time; `safe` tells how much of the block stream stands before a byte.
fn flip(capture: &Capture, mut file: Vec<u8>, what: &str, safe: impl Fn(usize) -> usize) {
    let mut random = Random::new();
    let (mut errors, mut same) = (0, 0);
    for _ in 0..FLIPS {
        let bit = random.below(file.len() * 8);
        let (byte, mask) = (bit / 8, 1 << (bit % 8));
        file[byte] ^= mask;
        let run = replay(&file);
        file[byte] ^= mask;
        let before = capture.whole_events(safe(byte));
        assert!(run.lines.len() >= before, "{what}, bit {bit}: {} of {before} events", run.lines.len());
        assert_eq!(run.lines[..before], capture.lines[..before], "{what}, bit {bit}: events before it");
        same += usize::from(run.lines == capture.lines);
        if let Some(text) = run.error {
            check_message(&text, crate::support::NAME);
            errors += 1;
        }
    }
    println!("{what}: {FLIPS} flips, {errors} errors, {same} times the same lines");
    check_memory();
}

#[test]
fn bits_of_a_plain_capture() {
    let capture = Capture::load(LARGER);
    flip(&capture, capture.plain.clone(), "plain", |byte| byte);
}

#[test]
fn bits_of_a_zstd_capture() {
    let capture = Capture::load(LARGER);
    let file = rewritten(LARGER, Compression::ZSTD, 16 << 10);
    // Where frames end, in the file and in the block stream.
    let mut ends = vec![(0, 0)];
    let (mut at, mut raw) = (0, 0);
    while at < file.len() {
        let len = find_frame_compressed_size(&file[at..]).expect("a frame");
        raw += decompressed(&file[at..at + len], Compression::ZSTD).len();
        at += len;
        ends.push((at, raw));
    }
    assert!(ends.len() > 8 && raw == capture.plain.len());
    flip(&capture, file, "zstd", |byte| ends[ends.partition_point(|&(end, _)| end <= byte) - 1].1);
}
