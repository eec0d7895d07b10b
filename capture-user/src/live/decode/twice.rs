//! Strings that were read twice, at a call's enter and at its exit: where they differ, another thread has
//! changed them meanwhile, and which one the kernel used is not known. A note says so, right behind the
//! exit.
//!
//! Bounded as [`super::exec::Pending`] is.

use super::call::Call;
use capture_common::abi::{Section, flag, section_flag, tag};
use std::collections::HashMap;

/// Name of the note.
pub(super) const CHANGED: &[u8] = b"capture.path_changed";
/// Most threads inside such calls at once; beyond that exits were lost.
const PENDING_MAX: usize = 4096;

/// The calls under way, by thread.
#[derive(Default)]
pub(super) struct Twice {
    entered: HashMap<u32, Entered>,
}

struct Entered {
    /// Number and flags of the call, which its exit has, too.
    call: (u16, u8),
    ts_ns: u64,
    /// Argument and text.
    strings: Vec<(u8, Vec<u8>)>,
}

/// What enter and exit of a call have in common.
fn which(call: &Call<'_>) -> (u16, u8) {
    (call.header.nr, call.header.flags & !flag::TRUNCATED)
}

fn strings<'a>(call: &Call<'a>) -> impl Iterator<Item = Section<'a>> {
    let is_read = |s: &Section<'_>| s.header.flags & (section_flag::FAULT | section_flag::NULL) == 0;
    call.sections.filter(move |s| s.header.tag == tag::STR && is_read(s))
}

impl Twice {
    /// A thread enters a call.
    pub(super) fn entered(&mut self, call: &Call<'_>) {
        let strings: Vec<_> = strings(call).map(|s| (s.header.arg, s.data.to_vec())).collect();
        if strings.is_empty() {
            self.entered.remove(&call.header.tid);
            return;
        }
        if self.entered.len() >= PENDING_MAX {
            self.entered.clear();
        }
        let entered = Entered { call: which(call), ts_ns: call.header.ts_ns, strings };
        self.entered.insert(call.header.tid, entered);
    }

    /// A thread leaves the call; appends what changed as JSON, one object for each string, to `notes`.
    /// An enter up to `pairs_until_ns` may be that of an earlier call.
    pub(super) fn returned(
        &mut self,
        call: &Call<'_>,
        name: &str,
        pairs_until_ns: u64,
        notes: &mut Vec<Vec<u8>>,
    ) {
        let Some(before) = self.entered.remove(&call.header.tid) else { return };
        if before.call != which(call) || before.ts_ns <= pairs_until_ns {
            return;
        }
        for now in strings(call) {
            let old = before.strings.iter().find(|(arg, _)| *arg == now.header.arg);
            let Some((arg, old)) = old.filter(|(_, old)| old != now.data) else { continue };
            let note = serde_json::json!({
                "call": name,
                "arg": arg,
                "enter": String::from_utf8_lossy(old),
                "exit": String::from_utf8_lossy(now.data),
            });
            notes.push(note.to_string().into_bytes());
        }
    }
}
