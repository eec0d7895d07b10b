//! Events as a script: bytes of which every string is one, so that no mutation only breaks lengths.
//!
//! An event is its code (2 bytes), its thread (4), the time since the event before in µs (1), its number
//! of parameters (1), and for each parameter a length byte and that many bytes; of 255 the length follows
//! in two more. What is cut off counts as zeros and as an empty parameter.

use capture_common::encode::EventHead;
use capture_common::{Batch, EventCode, RawEvent};

/// Length byte behind which a longer length stands.
const LONG: u8 = 255;

/// Most events of one script: enough for a story, few enough for many runs.
const EVENTS_MAX: usize = 64;

/// Makes the events of a script.
pub fn batch_of(script: &[u8]) -> Batch {
    let mut batch = Batch::new();
    let mut left = Bytes(script);
    let mut ts_ns = 1_700_000_000_000_000_000;
    while !left.0.is_empty() && batch.len() < EVENTS_MAX {
        let code = EventCode(u16::from_le_bytes(left.array()));
        let tid = i64::from(i32::from_le_bytes(left.array()));
        let [step, nparams] = left.array();
        ts_ns += u64::from(step) * 1_000;
        let mut event = batch.encode(EventHead { ts_ns, tid, cpu: 0, code, flags: 0 }, usize::from(nparams));
        for _ in 0..nparams {
            let len = match left.array() {
                [LONG] => usize::from(u16::from_le_bytes(left.array())),
                [len] => usize::from(len),
            };
            event.bytes(left.take(len));
        }
        event.finish();
    }
    batch
}

/// Appends an event to a script, which makes it again except for its time of day; parameters are cut to
/// what a script can hold.
pub fn push(script: &mut Vec<u8>, event: &RawEvent<'_>, since_ns: u64) {
    script.extend_from_slice(&event.code.0.to_le_bytes());
    script.extend_from_slice(&(event.tid as i32).to_le_bytes());
    script.push((since_ns / 1_000).min(255) as u8);
    script.push(event.nparams().min(255) as u8);
    for param in event.params().take(255) {
        let param = &param[..param.len().min(usize::from(u16::MAX))];
        if param.len() < usize::from(LONG) {
            script.push(param.len() as u8);
        } else {
            script.push(LONG);
            script.extend_from_slice(&(param.len() as u16).to_le_bytes());
        }
        script.extend_from_slice(param);
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let there = self.take(N);
        out[..there.len()].copy_from_slice(there);
        out
    }
}
