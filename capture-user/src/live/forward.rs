//! Signals to capture while it watches a command: they are meant for the command.
//!
//! What the terminal sends (Ctrl-C, Ctrl-\, a hang-up) reaches the command by itself, as it would
//! under a shell; what a process sends to capture is passed on. The first signal does nothing else:
//! the capture goes on until the command has ended of it. A second one ends the capture in order,
//! and a third one at once, for commands that do not want to end.

#![allow(unsafe_code, reason = "live/: signal handlers")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The signals that end programs from outside.
const SIGNALS: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// What the handlers need.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    /// The command's process.
    pub(super) pid: u32,
    /// Whether it has ended. Set before its id is free again.
    pub(super) ended: Arc<AtomicBool>,
    /// Ends the capture.
    pub(super) stop: Arc<AtomicBool>,
}

impl Forward {
    /// Installs the handlers, which stay.
    pub(super) fn install(self) -> io::Result<()> {
        let count = Arc::new(AtomicU32::new(0));
        for signal in SIGNALS {
            let (this, count) = (self.clone(), count.clone());
            let handle = move |info: &libc::siginfo_t| this.signalled(signal, info.si_code, &count);
            // SAFETY: the handler uses atomics, kill(2) and _exit(2), which are safe in handlers.
            unsafe { signal_hook_registry::register_sigaction(signal, handle)? };
        }
        Ok(())
    }

    fn signalled(&self, signal: i32, si_code: i32, count: &AtomicU32) {
        if self.ended.load(Ordering::SeqCst) {
            self.stop.store(true, Ordering::SeqCst);
            return;
        }
        // Above 0: from the kernel, which has sent it to the whole foreground group.
        if si_code <= 0 {
            // SAFETY: no pointers; the id is the command's, which has not been waited for.
            unsafe { libc::kill(self.pid as i32, signal) };
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => {}
            1 => self.stop.store(true, Ordering::SeqCst),
            // SAFETY: ends the process and runs nothing more of it.
            _ => unsafe { libc::_exit(128 + signal) },
        }
    }
}
