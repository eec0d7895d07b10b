//! A fixed set of texts for `in` lists: most values are refused by their length and first byte alone.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Up to this many texts are compared one by one, which beats hashing.
const LINEAR_MAX: usize = 4;

/// The set.
#[derive(Debug)]
pub(crate) struct TextSet {
    /// Bit n: some text has n bytes; bit 63: some has 63 or more.
    lengths: u64,
    /// Which first bytes occur.
    first_bytes: [u64; 4],
    texts: Texts,
}

#[derive(Debug)]
enum Texts {
    Few(Box<[Box<[u8]>]>),
    Many(HashSet<Box<[u8]>, BuildHasherDefault<ByteHasher>>),
}

impl TextSet {
    pub(crate) fn new(texts: Vec<Box<[u8]>>) -> TextSet {
        let mut lengths = 0;
        let mut first_bytes = [0_u64; 4];
        for text in &texts {
            lengths |= 1 << text.len().min(63);
            if let Some(&first) = text.first() {
                first_bytes[usize::from(first >> 6)] |= 1 << (first & 63);
            }
        }
        let texts = if texts.len() <= LINEAR_MAX {
            Texts::Few(texts.into())
        } else {
            Texts::Many(texts.into_iter().collect())
        };
        TextSet { lengths, first_bytes, texts }
    }

    #[inline]
    pub(crate) fn contains(&self, text: &[u8]) -> bool {
        if self.lengths >> text.len().min(63) & 1 == 0 {
            return false;
        }
        if let Some(&first) = text.first()
            && self.first_bytes[usize::from(first >> 6)] >> (first & 63) & 1 == 0
        {
            return false;
        }
        match &self.texts {
            Texts::Few(texts) => texts.iter().any(|one| &**one == text),
            Texts::Many(texts) => texts.contains(text),
        }
    }
}

/// A multiply-and-rotate hash over eight bytes at a time. The set's members come from the filter's
/// author, so nobody who writes records can make them collide.
#[derive(Default)]
pub(crate) struct ByteHasher(u64);

impl Hasher for ByteHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        let tail = chunks.remainder();
        if !tail.is_empty() {
            let mut word = [0; 8];
            word[..tail.len()].copy_from_slice(tail);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its bits from both ends of the hash.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many() {
        for count in [0, 1, 4, 5, 300] {
            let texts: Vec<Box<[u8]>> = (0..count).map(|n| format!("word{n}").into_bytes().into()).collect();
            let set = TextSet::new(texts.clone());
            assert!(texts.iter().all(|text| set.contains(text)));
            for absent in [
                "",
                "word",
                "word999",
                "xord1",
                "a rather long text that is not in the set, of more than 63 bytes",
            ] {
                assert!(!set.contains(absent.as_bytes()), "{count} {absent}");
            }
        }
        assert!(TextSet::new(vec![Box::default()]).contains(b""));
    }
}
