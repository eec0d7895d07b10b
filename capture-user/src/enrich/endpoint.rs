//! [`Endpoint`]: the socket of an engine, and connections that were made ahead.
//!
//! A capture that gives up its rights (`--user`) may not connect any more, but goes on to use what
//! is connected. So each connection that is free again is kept for the next question.

use super::http::HttpError;
use super::throttle::{Allowance, Throttled};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UnixStream;

/// Connections that are kept while nobody uses them.
const IDLE_MAX: usize = 8;

/// Copies share the connections.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    path: PathBuf,
    connections: Arc<Mutex<Connections>>,
    allowance: Allowance,
}

#[derive(Debug, Default)]
struct Connections {
    /// Made ahead and not used yet.
    ahead: Vec<StdStream>,
    /// Of HTTP/1, free again.
    idle: Vec<SendRequest<Empty<Bytes>>>,
}

impl Endpoint {
    /// A socket that is connected to when there is something to ask.
    pub(super) fn new(path: PathBuf) -> Endpoint {
        Endpoint { path, connections: Arc::default(), allowance: Allowance::of_engine() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes up to `count` connections now; none where nobody listens.
    pub(super) fn connect_ahead(&self, count: usize) {
        let streams = (0..count).map_while(|_| StdStream::connect(&self.path).ok());
        let streams = streams.filter(|stream| stream.set_nonblocking(true).is_ok());
        self.lock().ahead.extend(streams);
    }

    /// A new connection: one made ahead, while there are any.
    pub(super) async fn connect(&self) -> io::Result<Throttled<UnixStream>> {
        let ahead = self.lock().ahead.pop();
        let stream = match ahead {
            Some(stream) => UnixStream::from_std(stream)?,
            None => UnixStream::connect(&self.path).await?,
        };
        Ok(Throttled::new(stream, self.allowance.clone()))
    }

    /// A connection of HTTP/1 that has answered before and is free.
    pub(super) fn take_idle(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut connections = self.lock();
        std::iter::from_fn(|| connections.idle.pop()).find(|sender| sender.is_ready())
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) async fn keep(&self, mut sender: SendRequest<Empty<Bytes>>) -> Result<(), HttpError> {
        sender.ready().await?;
        let mut connections = self.lock();
        if connections.idle.len() < IDLE_MAX {
            connections.idle.push(sender);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
