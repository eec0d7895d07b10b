//! Pauses after failures: longer each time, and each at a random moment of its span.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(15);

/// The pause after the next failure.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Pause(FIRST)
    }
}

impl Pause {
    /// Pauses; `asked` is what the server wants at least.
    pub(super) async fn next(&mut self, asked: Option<Duration>) {
        let span = self.0.max(asked.unwrap_or_default());
        self.0 = (self.0 * 2).min(LAST);
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
