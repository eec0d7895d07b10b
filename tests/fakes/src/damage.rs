//! Damage as it can be reproduced.

/// Bytes changed, cut and doubled at random, but the same in every run.
pub fn damage(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |end: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    };
    let mut bytes = bytes.to_vec();
    for _ in 0..=random(8) {
        let at = random(bytes.len());
        match random(4) {
            0 => bytes[at] = random(256) as u8,
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, b"\"{}[]:,\xff"[random(8)]),
            _ => {
                let end = (at + random(64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}
