//! [`Said`]: what the user is told of the cluster, each thing once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Most messages of a run: a server that comes and goes is no news after a while.
const MESSAGES_MAX: usize = 32;

/// What was told already, and where it is told.
#[derive(Debug)]
pub(super) struct Said {
    say: fn(&str),
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: HashSet<String>,
    count: usize,
    is_down: bool,
    #[cfg(test)]
    all: Vec<String>,
}

impl Said {
    pub(super) fn new(say: fn(&str)) -> Said {
        Said { say, state: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it, unless it was told before.
    pub(super) fn once(&self, message: String) {
        let mut state = self.lock();
        if state.messages.len() < MESSAGES_MAX && state.messages.insert(message.clone()) {
            self.tell(&mut state, &message);
        }
    }

    fn tell(&self, state: &mut State, message: &str) {
        if state.count < MESSAGES_MAX {
            state.count += 1;
            #[cfg(test)]
            state.all.push(message.to_owned());
            (self.say)(message);
        }
    }

    /// The server does not answer: told when it begins.
    pub(super) fn down(&self, message: String) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_down, true) {
            self.tell(&mut state, &message);
        }
    }

    /// The server answers: told where it did not before.
    pub(super) fn up(&self, message: impl FnOnce() -> String) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_down, false) {
            self.tell(&mut state, &message());
        }
    }

    /// Whether the server does not answer now.
    pub(super) fn is_down(&self) -> bool {
        self.lock().is_down
    }

    /// All that was told.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<String> {
        self.lock().all.clone()
    }
}
