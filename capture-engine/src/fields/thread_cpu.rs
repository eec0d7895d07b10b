//! `thread.*` fields of CPU time: slices between context switches, and the counters of `procinfo`
//! events.

use super::proc::uint;
use super::{Ctx, Field, Print, value};
use crate::state::thread::CpuTimes;
use capture_common::event_table::code;
use filter_lang::FieldType::{Double, RelTime};
use filter_lang::Value;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("thread.exectime", RelTime, "on context switches: ns since the CPU's switch before, which is how long the thread ran; 0 on other events", "thread.exectime>1ms",
        |c| uint(c.view.applied.slice_ns)),
    value("thread.totexectime", RelTime, "ns that the thread ran so far, by the context switches seen", "thread.totexectime>1s",
        |c| uint(c.view.thread()?.exec_ns)),
    value("thread.cpu", Double, "on procinfo events: CPU time since the procinfo event before, in hundredths of a second, at most 100", "thread.cpu>50",
        |c| used(c, true, true)).print(Print::OneDecimal),
    value("thread.cpu.user", Double, "as thread.cpu, in user mode only", "thread.cpu.user>50",
        |c| used(c, true, false)).print(Print::OneDecimal),
    value("thread.cpu.system", Double, "as thread.cpu, in the kernel only", "thread.cpu.system>50",
        |c| used(c, false, true)).print(Print::OneDecimal),
];

/// CPU time between the last two `procinfo` events.
fn used<'a>(c: &Ctx<'_>, user: bool, system: bool) -> Option<Value<'a>> {
    const MOST: u64 = 100;
    if c.view.raw.code != code::PROCINFO_E {
        return None;
    }
    let thread = c.view.thread()?;
    let sum = |times: CpuTimes| {
        let user = if user { times.user } else { 0 };
        user.saturating_add(if system { times.system } else { 0 })
    };
    let (now, before) = (sum(thread.cpu), sum(thread.cpu_before));
    // The first figure is no difference.
    let ticks = if before == 0 { 0 } else { now.saturating_sub(before).min(MOST) };
    Some(Value::Double(ticks as f64))
}
