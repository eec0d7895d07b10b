//! What stops a chisel that does not stop by itself: a time limit for every callback, and Ctrl-C.
//!
//! Two nets. A hook runs every [`PERIOD`] instructions of the interpreter and raises an error in a
//! callback that is overdue. LuaJIT runs no hooks in compiled code, therefore the compiler stays off:
//! it is never initialised, because its library is not opened. A chisel that catches the error meets
//! it again at every single instruction, so that loops around `pcall` unwind, too. One call of a C
//! function (a pattern that backtracks for ever) has no instructions to hook: a second thread watches
//! for that and, as nothing else is left to do, ends the program with a message.

use super::options::LuaOptions;
use mlua::{HookTriggers, Lua, VmState};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Instructions between two looks at the clock, about a millisecond.
const PERIOD: u32 = 100_000;
/// How long a callback may go on after Ctrl-C, except the one at the end.
const AFTER_STOP: Duration = Duration::from_secs(1);
/// What the watching thread leaves to the hook.
const GRACE: Duration = Duration::from_secs(2);
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// The callbacks, and the load of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    Load,
    SetArg,
    Init,
    CaptureStart,
    Event,
    Interval,
    CaptureEnd,
}

impl Callback {
    const NAMES: [&'static str; 7] =
        ["load", "on_set_arg", "on_init", "on_capture_start", "on_event", "on_interval", "on_capture_end"];

    /// The name of its function.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Which callback runs, for the watching thread.
#[derive(Debug, Default)]
struct Turn {
    /// Counts begins and ends: odd while a callback runs.
    number: AtomicU64,
    callback: AtomicU8,
}

#[derive(Debug)]
struct State {
    turn: Arc<Turn>,
    options: LuaOptions,
    /// The turn that the hook saw last, and when it saw it first.
    seen: Cell<(u64, Instant)>,
    /// Whether the hook runs at every instruction.
    tripped: Cell<bool>,
}

/// The limits of one Lua state.
#[derive(Debug)]
pub(super) struct Limits {
    state: Rc<State>,
}

impl Limits {
    /// Puts limits on a state.
    pub(super) fn install(lua: &Lua, chisel: &str, options: &LuaOptions) -> mlua::Result<Limits> {
        lua.set_memory_limit(options.memory_bytes)?;
        let turn = Arc::new(Turn::default());
        watch(chisel.to_owned(), Arc::downgrade(&turn), options.clone());
        let state = Rc::new(State {
            turn,
            options: options.clone(),
            seen: Cell::new((0, Instant::now())),
            tripped: Cell::new(false),
        });
        hook(lua, &state, PERIOD)?;
        Ok(Limits { state })
    }

    /// A callback begins.
    #[inline]
    pub(super) fn begin(&self, lua: &Lua, callback: Callback) -> mlua::Result<()> {
        if self.state.tripped.take() {
            hook(lua, &self.state, PERIOD)?;
        }
        let turn = &self.state.turn;
        turn.callback.store(callback as u8, Ordering::Relaxed);
        // Only this thread writes.
        turn.number.store(turn.number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Ok(())
    }

    /// It is over.
    #[inline]
    pub(super) fn end(&self) {
        let number = &self.state.turn.number;
        number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

fn hook(lua: &Lua, state: &Rc<State>, every: u32) -> mlua::Result<()> {
    let state = state.clone();
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(every), move |lua, debug| {
        let Some(reason) = state.overdue() else { return Ok(VmState::Continue) };
        if !state.tripped.replace(true) {
            hook(lua, &state, 1)?;
        }
        let file = debug.source().short_src.map(|file| file.into_owned()).unwrap_or_default();
        let line = debug.current_line().unwrap_or_default();
        Err(mlua::Error::RuntimeError(format!("{file}:{line}: {reason}")))
    })
}

impl State {
    /// Why the callback must end, if it must.
    fn overdue(&self) -> Option<String> {
        let number = self.turn.number.load(Ordering::Relaxed);
        let (seen, since) = self.seen.get();
        if seen != number {
            self.seen.set((number, Instant::now()));
            return None;
        }
        overdue(&self.turn, &self.options, since.elapsed(), Duration::ZERO)
    }
}

fn overdue(turn: &Turn, options: &LuaOptions, elapsed: Duration, grace: Duration) -> Option<String> {
    if let Some(limit) = options.time
        && elapsed > limit + grace
    {
        return Some(format!("it ran for more than {} s, see --lua-time", limit.as_secs_f64()));
    }
    let at_end = turn.callback.load(Ordering::Relaxed) == Callback::CaptureEnd as u8;
    let stopped = !at_end && options.stop.load(Ordering::Relaxed) && elapsed > AFTER_STOP + grace;
    stopped.then(|| "interrupted".to_owned())
}

/// Watches turns from a thread of its own until the state is gone.
fn watch(chisel: String, turn: Weak<Turn>, options: LuaOptions) {
    let watcher = move || {
        let mut seen = (0, Instant::now());
        loop {
            std::thread::sleep(WATCH_EVERY);
            let Some(turn) = turn.upgrade() else { return };
            let number = turn.number.load(Ordering::Relaxed);
            if number != seen.0 || number % 2 == 0 {
                seen = (number, Instant::now());
                continue;
            }
            if let Some(reason) = overdue(&turn, &options, seen.1.elapsed(), GRACE) {
                let callback = Callback::NAMES[usize::from(turn.callback.load(Ordering::Relaxed))];
                let what = "it hangs in a function that cannot be interrupted";
                (options.on_hang)(&format!("{chisel} chisel error in {callback}(): {reason}; {what}"));
                return;
            }
        }
    };
    // Without the thread the hook is still there; a machine that cannot start one has other worries.
    let _ = std::thread::Builder::new().name("capture-lua-watch".into()).spawn(watcher);
}
