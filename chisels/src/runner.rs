//! Drives one chisel over a stream: applies its own filter, calls it at intervals, collects its
//! text.
//!
//! Order of work for one event: interval, filter, event. Events that the command line's filter
//! dropped drive intervals, too.

use crate::api::{Chisel, End, Input, Settings, Tick};
use crate::args::ArgValues;
use crate::control::{Control, Interval};
use crate::error::ChiselError;
use capture_common::EventCode;
use capture_engine::{EventFilter, EventView, Machine};
use filter_lang::TypeSet;
use std::sync::atomic::Ordering;

/// Longest chain of chisels that hand over to each other.
pub(crate) const HANDOVERS_MAX: usize = 16;
/// Most points of a grid between two events; a finer grid is a mistake.
const GRID_POINTS_MAX: u64 = 10_000_000;

/// A chisel ready to take events.
#[derive(Debug)]
pub struct Runner {
    chisel: Box<dyn Chisel>,
    control: Control,
    settings: Settings,
    clock: Clock,
}

/// Times of the input so far.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    first_ts_ns: Option<u64>,
    last_ts_ns: u64,
    /// Begin of the last event's sample, and time of the last call.
    sample_ts_ns: Option<u64>,
    called_ts_ns: Option<u64>,
    /// Next point of the grid.
    grid_ts_ns: Option<u64>,
}

impl Clock {
    /// Whether a time is of the same sample as the last event.
    #[inline]
    fn is_in_sample(&self, ts_ns: u64, length: u64) -> bool {
        self.sample_ts_ns.is_some_and(|begin| ts_ns.wrapping_sub(begin) < length)
    }
}

impl Runner {
    /// Initialises the chisel, or the one that it hands over to. Text goes to `out`.
    pub fn new(
        mut chisel: Box<dyn Chisel>,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Runner, ChiselError> {
        let mut control = Control::default();
        let settings = settings.clone();
        for _ in 0..HANDOVERS_MAX {
            let handover = with_out(&mut control, out, |control| chisel.init(&settings, control))?;
            let Some(handover) = handover else {
                return Ok(Runner { chisel, control, settings, clock: Clock::default() });
            };
            chisel = settings.registry.create(&handover.name)?;
            let values = ArgValues::from(handover.values);
            values.check(chisel.meta())?;
            with_out(&mut control, out, |control| values.assign(chisel.as_mut(), control))?;
        }
        Err(ChiselError::Handovers(chisel.meta().name.to_string()))
    }

    /// Bytes of each buffer that it wants from a live capture.
    pub fn snaplen(&self) -> Option<u32> {
        self.control.snaplen
    }

    /// The filter, or none, that is to replace the command line's; once.
    pub fn take_global_filter(&mut self) -> Option<Option<EventFilter>> {
        self.control.global_filter.take()
    }

    /// The command line with which the program is to start over after the end.
    pub fn take_rerun(&mut self) -> Option<String> {
        self.control.rerun.take()
    }

    /// Whether it wants no further event.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.control.ended
    }

    /// How far the input is read, in percent.
    pub fn set_progress(&mut self, percent: f64) {
        self.control.progress_percent = percent;
    }

    /// An input is open.
    pub fn start(&mut self, input: &Input<'_>, out: &mut Vec<u8>) -> Result<(), ChiselError> {
        self.clock = Clock::default();
        with_out(&mut self.control, out, |control| self.chisel.start(input, control))
    }

    /// Whether it has no use for an event of a type that passed the command line's filter: it takes none of
    /// that type, or its own filter lets none through, and no interval ends with it.
    #[inline]
    pub fn passes_over(&self, code: EventCode, ts_ns: u64) -> bool {
        let is_within = match self.control.interval {
            Interval::None | Interval::Sample(0) | Interval::Grid(0) => true,
            Interval::Sample(length) => self.clock.is_in_sample(ts_ns, length),
            Interval::Grid(_) => self.clock.grid_ts_ns.is_some_and(|point| ts_ns < point),
        };
        let refuses = |types: &TypeSet| !types.contains(code.0);
        let filter = self.control.filter.as_ref();
        is_within
            && !self.control.ended
            && (self.control.types.as_ref().is_some_and(refuses)
                || filter.is_some_and(|filter| refuses(filter.filter().event_types())))
    }

    /// Notes the time of an event that it passes over.
    #[inline]
    pub fn pass_over(&mut self, ts_ns: u64) {
        self.see(ts_ns);
    }

    /// Takes the next event of the input, and whether it passed the command line's filter.
    #[inline]
    pub fn event(
        &mut self,
        event: &EventView<'_>,
        matched: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), ChiselError> {
        self.see(event.raw.ts_ns);
        if self.control.interval != Interval::None {
            self.intervals(event, out)?;
        }
        let wanted = matched && self.control.filter.as_mut().is_none_or(|filter| filter.matches(event));
        if !wanted {
            return Ok(());
        }
        with_out(&mut self.control, out, |control| self.chisel.on_event(event, control))
    }

    #[inline]
    fn see(&mut self, ts_ns: u64) {
        self.clock.last_ts_ns = ts_ns;
        self.control.first_ts_ns = *self.clock.first_ts_ns.get_or_insert(ts_ns);
        self.control.last_ts_ns = ts_ns;
    }

    /// The input is over.
    pub fn end(
        &mut self,
        last: Option<&EventView<'_>>,
        machine: &Machine,
        out: &mut Vec<u8>,
    ) -> Result<(), ChiselError> {
        let first = self.clock.first_ts_ns.unwrap_or(self.clock.last_ts_ns);
        let end = End { last, machine, delta_ns: self.clock.last_ts_ns.saturating_sub(first) };
        self.control.ended = false;
        with_out(&mut self.control, out, |control| self.chisel.on_end(&end, control))
    }

    fn intervals(&mut self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), ChiselError> {
        let ts_ns = event.raw.ts_ns;
        match self.control.interval {
            Interval::None | Interval::Sample(0) | Interval::Grid(0) => Ok(()),
            Interval::Sample(length) => {
                if self.clock.is_in_sample(ts_ns, length) {
                    return Ok(());
                }
                if self.clock.sample_ts_ns.replace(ts_ns - ts_ns % length).is_none() {
                    return Ok(());
                }
                let called = self.clock.called_ts_ns.replace(ts_ns).unwrap_or(ts_ns);
                self.tick(Tick { ts_ns, delta_ns: ts_ns.saturating_sub(called) }, event, out)
            }
            Interval::Grid(step) => {
                let mut point = self.clock.grid_ts_ns.unwrap_or(ts_ns.saturating_add(step));
                if ts_ns.saturating_sub(point) / step > GRID_POINTS_MAX {
                    let name = self.chisel.meta().name.to_string();
                    let reason = format!("{step} ns is too short for the gaps in this capture");
                    return Err(ChiselError::BadArg { name, arg: "interval".into(), reason });
                }
                while point <= ts_ns && !self.settings.registry.lua_options().stop.load(Ordering::Relaxed) {
                    self.tick(Tick { ts_ns: point - step, delta_ns: step }, event, out)?;
                    point = point.saturating_add(step);
                }
                self.clock.grid_ts_ns = Some(point);
                Ok(())
            }
        }
    }

    fn tick(&mut self, tick: Tick, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), ChiselError> {
        with_out(&mut self.control, out, |control| self.chisel.on_interval(tick, event, control))
    }
}

/// Lends the caller's buffer to the chisel for one call.
#[inline]
fn with_out<R>(control: &mut Control, out: &mut Vec<u8>, call: impl FnOnce(&mut Control) -> R) -> R {
    std::mem::swap(&mut control.out, out);
    let result = call(control);
    std::mem::swap(&mut control.out, out);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::event_table::code;

    #[test]
    fn types_that_its_own_filter_refuses_are_passed_over() {
        let passes_over = |name: &str, code: EventCode| {
            let settings = Settings::default();
            let chisel = settings.registry.create(name).unwrap();
            Runner::new(chisel, &settings, &mut Vec::new()).unwrap().passes_over(code, 5)
        };
        assert!(passes_over("stdout", code::SYSCALL_CLOSE_X));
        assert!(!passes_over("stdout", code::SYSCALL_READ_X));
        assert!(passes_over("echo_fds", code::SYSCALL_READ_E));
        assert!(!passes_over("echo_fds", code::SYSCALL_READ_X));
        assert!(!passes_over("echo_fds", code::SOCKET_SENDTO_X));
        // One has no filter, the other wants to know of each second.
        assert!(!passes_over("lsof", code::SYSCALL_CLOSE_X));
        assert!(!passes_over("iobytes", code::SYSCALL_CLOSE_X));
    }

    #[test]
    fn what_ends_no_interval_is_passed_over() {
        let settings = Settings::default();
        let chisel = settings.registry.create("iobytes").unwrap();
        let mut runner = Runner::new(chisel, &settings, &mut Vec::new()).unwrap();
        let passes_over = |runner: &Runner, ts_ns| runner.passes_over(code::SYSCALL_CLOSE_X, ts_ns);
        runner.control.interval = Interval::Sample(1000);
        runner.clock.sample_ts_ns = Some(3000);
        let at = [2999, 3000, 3999, 4000].map(|ts_ns| passes_over(&runner, ts_ns));
        assert_eq!(at, [false, true, true, false]);
        runner.control.interval = Interval::Grid(1000);
        assert!(!passes_over(&runner, 3000));
        runner.clock.grid_ts_ns = Some(4000);
        assert_eq!([3999, 4000].map(|ts_ns| passes_over(&runner, ts_ns)), [true, false]);
        runner.control.interval = Interval::None;
        assert!(passes_over(&runner, 0));
    }
}
