//! [`Requests`]: containers that an engine is to be asked about, with a bound on how many
//! questions are under way; and [`keep_serving`], which looks for an engine until the end.

use capture_engine::state::cgroups::ContainerKind;
use std::fmt::Display;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Ids that may wait for one engine.
pub(super) const WAITING_MAX: usize = 4096;
/// Questions under way to one engine.
pub(super) const UNDER_WAY_MAX: usize = 8;
/// Pauses between looks at a socket where nobody answers.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Why serving ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The engine closed the connection.
    Gone,
    /// The capture is over.
    Ended,
}

/// A container that the stream shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) full_id: String,
    /// The engine, guessed by its cgroup.
    pub(super) kind: ContainerKind,
}

/// What one engine is asked.
#[derive(Debug)]
pub(super) struct Requests {
    waiting: mpsc::Receiver<Wanted>,
    under_way: Arc<Semaphore>,
}

impl Requests {
    pub(super) fn new() -> (mpsc::Sender<Wanted>, Requests) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        (sender, Requests { waiting, under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)) })
    }

    /// The next question; `None` when the capture is over.
    pub(super) async fn next(&mut self) -> Option<Wanted> {
        self.waiting.recv().await
    }

    /// Starts a question as soon as there are few enough under way.
    pub(super) async fn spawn(&self, question: impl Future<Output = ()> + Send + 'static) {
        // The semaphore is never closed.
        let Ok(permit) = self.under_way.clone().acquire_owned().await else { return };
        tokio::spawn(async move {
            question.await;
            drop(permit);
        });
    }

    /// Forgets what was asked while nobody was there: the engine lists its containers when it
    /// comes back. Whether the capture is over.
    fn forget(&mut self) -> bool {
        loop {
            match self.waiting.try_recv() {
                Ok(_) => {}
                Err(mpsc::error::TryRecvError::Empty) => return false,
                Err(mpsc::error::TryRecvError::Disconnected) => return true,
            }
        }
    }
}

/// Calls `serve` again and again, with growing pauses while nobody is there, until the capture is
/// over.
pub(super) async fn keep_serving<E: Display>(
    socket: &Path,
    requests: &mut Requests,
    mut serve: impl AsyncFnMut(&mut Requests) -> Result<Served, E>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        if socket.exists() {
            match serve(requests).await {
                Ok(Served::Ended) => return,
                Ok(Served::Gone) => pause = FIRST_PAUSE,
                Err(error) => log::debug!("{}: {error}", socket.display()),
            }
        }
        if requests.forget() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
