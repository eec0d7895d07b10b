//! Ctrl-C, SIGTERM and a hang-up end a capture in order: what was recorded is written out first. A
//! second one ends the program at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user asked for the end.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    flag: Arc<AtomicBool>,
    /// What was installed.
    actions: Arc<Vec<SigId>>,
    /// Signals that were ignored when the program started.
    ignored: Arc<Vec<i32>>,
}

impl StopFlag {
    /// Installs the handlers.
    pub fn install() -> io::Result<StopFlag> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut actions = Vec::new();
        let mut ignored = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // nohup(1) has hang-ups ignored, and that stays so. An ignored SIGINT does not: scripts
            // start everything in the background that way, and then end it by `kill -INT`.
            if is_ignored(signal)? {
                ignored.push(signal);
                if signal == SIGHUP {
                    continue;
                }
            }
            // Order matters: the shutdown looks at the flag before this signal sets it.
            actions.push(flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?);
            actions.push(flag::register(signal, stop.clone())?);
        }
        Ok(StopFlag { flag: stop, actions: Arc::new(actions), ignored: Arc::new(ignored) })
    }

    /// Whether the end was asked for.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag itself, for those that know nothing of signals.
    pub fn shared(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// Signals that were ignored when the program started, as a command that it runs is to find them.
    pub fn ignored_at_start(&self) -> &[i32] {
        &self.ignored
    }

    /// Leaves signals to others: those that come now are for a watched command.
    pub fn leave(&self) {
        for id in &*self.actions {
            low_level::unregister(*id);
        }
    }

    /// Asks for the end.
    pub fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }
}

/// Whether the signal was ignored when the program started (`SigIgn` in proc_pid_status(5)).
fn is_ignored(signal: i32) -> io::Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    Ok(mask & 1 << (signal - 1) != 0)
}
