//! Pauses after failures: longer each time, and each at a random moment of its span.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(15);
/// For rights that are missing.
const FIRST_REFUSED: Duration = Duration::from_secs(1);
const LAST_REFUSED: Duration = Duration::from_secs(300);

/// The pause after the next failure.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
    last: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Pause { next: FIRST, last: LAST }
    }
}

impl Pause {
    /// For a client that was refused. A server that has just begun does not know yet who has which rights,
    /// so at first it is asked again soon.
    pub(super) fn of_refused() -> Pause {
        Pause { next: FIRST_REFUSED, last: LAST_REFUSED }
    }

    /// Whether this has gone on for about a minute.
    pub(super) fn is_long(&self) -> bool {
        self.next >= Duration::from_secs(60)
    }

    /// Pauses; `asked` is what the server wants at least.
    pub(super) async fn next(&mut self, asked: Option<Duration>) {
        let span = self.next.max(asked.unwrap_or_default());
        self.next = (self.next * 2).min(self.last);
        Pause::about(span).await;
    }

    /// Pauses for a time between the span and one and a half of it.
    pub(super) async fn about(span: Duration) {
        // Each `RandomState` has other keys, which is all the randomness that is needed.
        let random = RandomState::new().build_hasher().finish();
        let part = (random % 1024) as f64 / 2048.0;
        tokio::time::sleep(span.mul_f64(1.0 + part)).await;
    }
}
