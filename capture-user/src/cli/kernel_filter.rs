//! The filter's part in the kernel, in a session: what is pushed, and the classes of threads that the
//! probe is told from the state.
//!
//! Invariant: the filter is evaluated on every event that comes all the same, so that nothing but the
//! amount of work depends on the kernel's part.

use super::error::CliError;
use super::plan::{Input, LinePlan, Plan};
use crate::live::classes::Class;
use crate::live::push::{self, Push};
use crate::live::source::LiveSource;
use capture_common::Batch;
use capture_common::event_table::code;
use capture_engine::format::{self, TimeForm};
use capture_engine::kernel_filter::{KernelFilter, NotPushed, Shown};
use capture_engine::{Engine, EventFilter};
use std::fmt::Write as _;

/// What of the plan's filter goes into the kernel; `None` where there is no filter, or none that may.
pub(crate) fn of_plan(plan: &Plan) -> Option<Result<(KernelFilter, Push), NotPushed>> {
    let Input::Live(live) = &plan.input else { return None };
    // Chisels see state and events as they come, and can replace the filter; -d only chooses lines.
    let may = live.kernel_filter && plan.chisels.calls.is_empty() && !plan.display_filter;
    let filter = plan.filter.as_ref().filter(|_| may)?;
    Some(push::push(filter.filter(), shown(&plan.lines)))
}

fn shown(lines: &LinePlan) -> Shown<'_> {
    if lines.quiet {
        return Shown::default();
    }
    let format = lines.format.as_deref().unwrap_or(format::DEFAULT);
    Shown { format, latency: matches!(lines.time, TimeForm::Latency) }
}

/// `--explain-filter`: what the probe leaves out.
pub(crate) fn explain(filter: &EventFilter, plan: &Plan) -> String {
    let mut out = String::new();
    let (kernel, push) = match push::push(filter.filter(), shown(&plan.lines)) {
        Ok(pushed) => pushed,
        Err(reason) => return format!("in the kernel (live): nothing is left out: {reason}\n"),
    };
    let left_out = push.left_out();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "in the kernel (live): of {} calls {} are left out and {} in part; those that change state are kept",
        left_out.calls, left_out.whole, left_out.partly
    );
    let fields: Vec<&str> = kernel.thread_fields().into_iter().collect();
    if !fields.is_empty() {
        let _ = writeln!(out, "  by thread:   {}", fields.join(", "));
    }
    out
}

/// Tells the probe the classes of the threads of a batch; with `None` those of the names and users that
/// are there at the start.
pub(crate) fn classify(
    live: &mut LiveSource,
    kernel: &KernelFilter,
    filter: &mut EventFilter,
    engine: &Engine,
    batch: Option<&Batch>,
) -> Result<(), CliError> {
    let until_ns = live.until_ns();
    let Some(classes) = live.classes() else { return Ok(()) };
    let machine = engine.machine();
    let mut class_of = |tid| {
        let class = kernel.class_of(filter, machine, tid)?;
        Some(Class { class, key: kernel.key_of(machine, tid) })
    };
    match batch {
        Some(batch) => {
            // What a reading tells of a thread, the probe has noted no change for.
            let mut reread = batch.iter().filter(|event| event.code == code::ITER_TASK_E).peekable();
            if kernel.needs.ancestors && reread.peek().is_some() {
                classes.take_back();
            } else {
                reread.for_each(|event| classes.forget(event.tid));
            }
            classes.enter(batch.iter().map(|event| event.tid), until_ns, class_of)?;
        }
        None => classes.learn(machine.threads.iter().filter_map(|thread| class_of(thread.tid)))?,
    }
    Ok(())
}
