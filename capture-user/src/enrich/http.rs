//! HTTP over a unix socket, with an end to everything: time of an answer, bytes of a body, length
//! of a line. A peer that answers byte by byte, endlessly or with garbage costs its own
//! connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Time for a whole answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Largest body of an answer.
const BODY_MAX: usize = 16 << 20;
/// Longest line of a stream.
const LINE_MAX: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("{0}")]
    Protocol(#[from] hyper::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("more than {BODY_MAX} bytes in an answer")]
    TooLong,
    #[error("a line of more than {LINE_MAX} bytes in a stream")]
    LongLine,
}

/// The body of `GET target`.
pub(super) async fn get(socket: &Path, target: &str) -> Result<Bytes, HttpError> {
    let whole = async {
        let response = send(socket, target).await?;
        match Limited::new(response.into_body(), BODY_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(e) if e.is::<LengthLimitError>() => Err(HttpError::TooLong),
            Err(e) => Err(match e.downcast::<hyper::Error>() {
                Ok(e) => HttpError::Protocol(*e),
                Err(_) => HttpError::TooLong,
            }),
        }
    };
    timeout(PATIENCE, whole).await.map_err(|_| HttpError::Timeout)?
}

/// The lines of `GET target`, which does not end by itself.
pub(super) async fn lines(socket: &Path, target: &str) -> Result<Lines, HttpError> {
    let response = timeout(PATIENCE, send(socket, target)).await.map_err(|_| HttpError::Timeout)??;
    Ok(Lines { body: response.into_body(), buffer: Vec::new() })
}

async fn send(socket: &Path, target: &str) -> Result<Response<Incoming>, HttpError> {
    let stream = UnixStream::connect(socket).await.map_err(HttpError::Connect)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(64 << 10)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await?;
    // It ends with the response's body.
    tokio::spawn(async move {
        // What fails here fails the request, too.
        let _ = connection.await;
    });
    let request = Request::get(target).header("host", "localhost").body(Empty::new());
    let Ok(request) = request else { return Err(HttpError::Status(400)) };
    let response = sender.send_request(request).await?;
    if response.status().is_success() {
        Ok(response)
    } else {
        Err(HttpError::Status(response.status().as_u16()))
    }
}

/// Lines of an endless answer.
#[derive(Debug)]
pub(super) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` at the end of the answer. May be dropped at any
    /// time and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_MAX {
                return Err(HttpError::LongLine);
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Some(data) = frame?.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}
