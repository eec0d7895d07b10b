//! Events that are no system calls: process ends, context switches, losses.

use super::source::number;
use crate::live::{Loss, LossCause, Stale};
use capture_common::abi::{LossFixed, PageFaultFixed, ProcExitFixed, RecordHeader, SignalFixed, SwitchFixed};
use capture_common::batch::Batch;
use capture_common::encode::EventHead;
use capture_common::event_table::code;

/// Thread of events that belong to none.
const NO_TID: i64 = -1;
/// Name under which a loss is described in detail.
const LOSS_NAME: &[u8] = b"capture.loss";
/// Name under which it is told whose state is not known any more.
const STALE_NAME: &[u8] = b"capture.stale";
/// `ratio` of drop events: no sampling takes place.
const RATIO: u64 = 1;

fn push_numbers(batch: &mut Batch, head: EventHead, values: &[u64]) {
    let params = head.code.info().map_or(&[][..], |info| info.params);
    debug_assert_eq!(params.len(), values.len());
    let mut event = batch.encode(head, params.len());
    for (param, value) in params.iter().zip(values) {
        number(*value, param.ty, &mut event);
    }
    event.finish();
}

/// procexit: the wait status and its parts.
pub(super) fn push_proc_exit(exit: &ProcExitFixed, head: EventHead, batch: &mut Batch) {
    let status = u64::from(exit.exit_code);
    let (ret, signal, core) = (status >> 8 & 0xff, status & 0x7f, status >> 7 & 1);
    let values = [status, ret, signal, core, u64::from(exit.reaper_tid)];
    push_numbers(batch, EventHead { code: code::PROCEXIT_1_E, ..head }, &values);
}

/// switch: the next thread, and what the leaving one has used.
pub(super) fn push_switch(switch: &SwitchFixed, head: EventHead, batch: &mut Batch) {
    let mm = &switch.mm;
    let values = [
        u64::from(switch.next_tid),
        switch.maj_flt,
        switch.min_flt,
        u64::from(mm.vm_size_kb),
        u64::from(mm.vm_rss_kb),
        u64::from(mm.vm_swap_kb),
    ];
    push_numbers(batch, EventHead { code: code::SCHEDSWITCH_6_E, ..head }, &values);
}

/// page_fault: what was touched, by which instruction, and how.
pub(super) fn push_page_fault(fault: &PageFaultFixed, head: EventHead, batch: &mut Batch) {
    // The processor's bit, the stored flag where it is set, the one where it is not.
    const BITS: [(u32, u64, u64); 5] = [
        (1 << 0, 1 << 0, 1 << 1),
        (1 << 1, 1 << 2, 1 << 3),
        (1 << 2, 1 << 4, 1 << 5),
        (1 << 3, 1 << 6, 0),
        (1 << 4, 1 << 7, 0),
    ];
    let flags = BITS.iter().map(|(bit, set, clear)| if fault.error & bit != 0 { set } else { clear });
    let values = [fault.address, fault.ip, flags.sum()];
    push_numbers(batch, EventHead { code: code::PAGE_FAULT_E, ..head }, &values);
}

/// signaldeliver: who sent what to whom; the sender is 0 where there is none.
pub(super) fn push_signal(signal: &SignalFixed, header: &RecordHeader, head: EventHead, batch: &mut Batch) {
    const SIGCHLD: u32 = 17;
    // si_code of timers (SI_TIMER), whose first word is the timer's id.
    const TIMER: i32 = -2;
    let code = signal.code as i32;
    let has_sender = (code <= 0 && code != TIMER) || signal.signal == SIGCHLD;
    let sender = if has_sender { u64::from(signal.sender) } else { 0 };
    let values = [sender, u64::from(header.pid), u64::from(signal.signal)];
    push_numbers(batch, EventHead { code: code::SIGNALDELIVER_E, ..head }, &values);
}

/// What is known of a loss. Times are ns since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossMark {
    /// Why: `ring_full`, `nested`, `skipped`, `no_ring`, `sink`.
    pub(super) cause: &'static str,
    /// CPU, where one is known.
    pub(super) cpu: Option<u16>,
    pub(super) count: u64,
    /// Of these, records that change state, and enters.
    pub(super) stateful: u64,
    pub(super) enters: u64,
    /// 0 where it is not known.
    pub(super) first_ts_ns: u64,
    /// Also the time of the marker.
    pub(super) last_ts_ns: u64,
}

impl LossMark {
    /// A loss found by the collector, whose times are those of the probe's clock.
    pub(super) fn of_probe(loss: &Loss, wall_offset_ns: i64) -> Self {
        let wall = |mono_ns: u64| mono_ns.wrapping_add_signed(wall_offset_ns);
        LossMark {
            cause: match loss.cause {
                LossCause::RingFull => "ring_full",
                LossCause::Nested => "nested",
                LossCause::Skipped => "skipped",
                LossCause::NoRing => "no_ring",
            },
            cpu: loss.cpu.map(|cpu| cpu as u16),
            count: loss.count,
            stateful: loss.stateful,
            enters: loss.enters,
            first_ts_ns: if loss.first_ts_ns == 0 { 0 } else { wall(loss.first_ts_ns) },
            last_ts_ns: wall(loss.ts_ns),
        }
    }

    /// A LOSS record as it stands in a ring.
    pub(super) fn of_record(loss: &LossFixed, header: &RecordHeader, cpu: u16, wall_offset_ns: i64) -> Self {
        let wall = |mono_ns: u64| mono_ns.wrapping_add_signed(wall_offset_ns);
        LossMark {
            cause: "ring_full",
            cpu: Some(cpu),
            count: loss.count,
            stateful: loss.stateful,
            enters: loss.enters,
            first_ts_ns: wall(loss.first_ts_ns),
            last_ts_ns: wall(header.ts_ns),
        }
    }
}

/// A loss: a pair of drop events, which stock tools show, and one with all that is known.
pub(super) fn push_loss(loss: &LossMark, batch: &mut Batch) {
    let cpu = loss.cpu.unwrap_or(0);
    let head = EventHead { ts_ns: loss.last_ts_ns, tid: NO_TID, cpu, code: code::DROP_E, flags: 0 };
    push_numbers(batch, head, &[RATIO]);
    push_numbers(batch, EventHead { code: code::DROP_X, ..head }, &[RATIO]);
    let cpu = loss.cpu.map_or_else(|| "null".to_string(), |cpu| cpu.to_string());
    let LossMark { cause, count, stateful, enters, first_ts_ns, last_ts_ns, .. } = loss;
    let detail = format!(
        "{{\"cause\":\"{cause}\",\"cpu\":{cpu},\"count\":{count},\"stateful\":{stateful},\"enters\":{enters},\
         \"first_ts_ns\":{first_ts_ns},\"last_ts_ns\":{last_ts_ns}}}"
    );
    push_note(LOSS_NAME, detail.as_bytes(), loss.last_ts_ns, batch);
}

/// What does not hold any more, up to a time; see [`Stale`].
pub(super) fn push_stale(stale: &Stale<'_>, wall_offset_ns: i64, batch: &mut Batch) {
    let wall = |mono_ns: u64| mono_ns.wrapping_add_signed(wall_offset_ns);
    let (from_ns, until_ns) = (wall(stale.from_ns), wall(stale.until_ns));
    let mut detail = format!("{{\"from_ts_ns\":{from_ns},\"until_ts_ns\":{until_ns},\"pids\":");
    match stale.pids {
        None => detail.push_str("null}"),
        Some(pids) => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            detail.push_str(&format!("[{}]}}", pids.join(",")));
        }
    }
    push_note(STALE_NAME, detail.as_bytes(), wall(stale.ts_ns), batch);
}

/// A note about what a thread does; `fill` appends its data.
pub(super) fn push_thread_note(
    name: &[u8],
    head: EventHead,
    batch: &mut Batch,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let mut event = batch.encode(EventHead { code: code::ASYNCEVENT_E, ..head }, 3);
    event.u32(0).text(name).with(fill);
    event.finish();
}

/// A note about the capture itself.
pub(super) fn push_note(name: &[u8], data: &[u8], ts_ns: u64, batch: &mut Batch) {
    let head = EventHead { ts_ns, tid: NO_TID, cpu: 0, code: code::ASYNCEVENT_E, flags: 0 };
    let mut event = batch.encode(head, 3);
    event.u32(0).text(name).bytes(data);
    event.finish();
}
