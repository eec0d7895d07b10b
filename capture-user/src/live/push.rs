//! What of a filter goes into the probe's tables: the calls of this kernel as
//! `capture_engine::kernel_filter` sees them, and its answers as rows of the plan.

use super::decode;
use super::load::{NATIVE_CALLS, PLAN_ROWS};
use capture_common::event_table::code;
use capture_engine::kernel_filter::{CallEvents, KernelFilter, Needs, NotPushed, Passes, Shown};
use filter_lang::Filter;

/// A filter for the probe.
#[derive(Clone, Debug)]
pub struct Push {
    /// By row of the plan.
    pub(super) rows: Vec<(usize, Passes)>,
    /// Classes of threads whose signals and context switches are recorded.
    pub(super) signal: u8,
    pub(super) switch: u8,
    pub(super) needs: Needs,
}

/// Numbers of calls that are left out, for explanations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Calls of which no record is made.
    pub whole: usize,
    /// Calls of which some are: one side, one outcome, or those of some threads.
    pub partly: usize,
    /// All calls.
    pub calls: usize,
}

/// Finds out what of a filter the probe can decide.
///
/// # Errors
/// Why that is nothing.
pub fn push(filter: &Filter, shown: Shown<'_>) -> Result<(KernelFilter, Push), NotPushed> {
    let calls = decode::calls(PLAN_ROWS);
    let lone = |code| CallEvents { enter: code, exit: code, generic: None, tells_result: false };
    let others = [lone(code::SIGNALDELIVER_E), lone(code::SCHEDSWITCH_6_E)];
    let events: Vec<CallEvents> = calls.iter().map(|(_, call)| *call).chain(others).collect();
    let kernel = KernelFilter::new(filter, shown, &events)?;
    let rows = calls.iter().map(|(row, _)| *row).zip(kernel.passes().iter().copied()).collect();
    let enter_of = |at: usize| kernel.passes().get(calls.len() + at).map_or(u8::MAX, |passes| passes.enter);
    let (signal, switch, needs) = (enter_of(0), enter_of(1), kernel.needs);
    Ok((kernel, Push { rows, signal, switch, needs }))
}

impl Push {
    /// How many of the machine's own calls are left out.
    pub fn left_out(&self) -> LeftOut {
        const NOTHING: Passes = Passes { enter: 0, exit_ok: 0, exit_failed: 0 };
        let is_call = |row: usize| NATIVE_CALLS.iter().any(|call| usize::from(call.nr) == row);
        let native: Vec<&Passes> =
            self.rows.iter().filter(|(row, _)| is_call(*row)).map(|(_, passes)| passes).collect();
        let whole = native.iter().filter(|passes| ***passes == NOTHING).count();
        let partly = native.iter().filter(|passes| ***passes != NOTHING && ***passes != Passes::ALL).count();
        LeftOut { whole, partly, calls: native.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_engine::EventFilter;
    use filter_lang::Library;

    #[test]
    fn rows_are_those_of_the_plan_and_what_is_unknown_passes() {
        let filter = EventFilter::compile("evt.type=read", &Library::new()).unwrap();
        let (_, push) = push(filter.filter(), Shown::default()).unwrap();
        let row = |at: usize| push.rows.iter().find(|(row, _)| *row == at).map(|(_, passes)| *passes);
        assert_eq!(row(0), Some(Passes::ALL), "read");
        assert_eq!(row(1).unwrap().enter, 0, "write");
        assert_eq!(row(PLAN_ROWS + 3), Some(Passes::ALL), "ia32 read");
        assert_eq!(row(PLAN_ROWS + 102), None, "socketcall is several calls");
        assert_eq!(row(PLAN_ROWS - 1), None, "numbers beyond the table");
        assert_eq!((push.signal, push.switch), (0, 0));
        let left_out = push.left_out();
        assert!(left_out.whole > 200 && left_out.partly == 0 && left_out.calls > 300, "{left_out:?}");
    }
}
