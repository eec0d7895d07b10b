//! HTTP over a unix socket, with an end to everything: time of an answer, bytes of a body, length
//! of a line. A peer that answers byte by byte, endlessly or with garbage costs its own
//! connection.

use super::endpoint::Endpoint;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::timeout;

type Sender = http1::SendRequest<Empty<Bytes>>;

/// Time for a whole answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer about all containers of an engine, and about one. As JSON in memory they take many times
/// their text.
pub(super) const LIST_MAX: usize = 16 << 20;
pub(super) const ONE_MAX: usize = 4 << 20;
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
    #[error("more than {0} bytes in an answer")]
    TooLong(usize),
    #[error("a line of more than {0} bytes in a stream")]
    LongLine(usize),
}

/// The body of `GET target`, of at most so many bytes.
pub(super) async fn get(endpoint: &Endpoint, target: &str, max: usize) -> Result<Bytes, HttpError> {
    let whole = async {
        if let Some(mut sender) = endpoint.take_idle()
            && let Ok(response) = ask(&mut sender, target).await
        {
            return read(endpoint, sender, response, max).await;
        }
        // Where a kept connection failed, too: the server may have closed it for being idle.
        let mut sender = connect(endpoint).await?;
        let response = ask(&mut sender, target).await?;
        read(endpoint, sender, response, max).await
    };
    timeout(PATIENCE, whole).await.map_err(|_| HttpError::Timeout)?
}

/// The lines of `GET target`, which does not end by itself.
pub(super) async fn lines(endpoint: &Endpoint, target: &str) -> Result<Lines, HttpError> {
    let whole = async {
        let response = ask(&mut connect(endpoint).await?, target).await?;
        successful(&response)?;
        Ok(Lines::of(response.into_body(), LINE_MAX))
    };
    timeout(PATIENCE, whole).await.map_err(|_| HttpError::Timeout)?
}

async fn connect(endpoint: &Endpoint) -> Result<Sender, HttpError> {
    let stream = endpoint.connect().await.map_err(HttpError::Connect)?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(64 << 10)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await?;
    // It ends with the last of sender and response's body.
    tokio::spawn(async move {
        // What fails here fails the request, too.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn ask(sender: &mut Sender, target: &str) -> Result<Response<Incoming>, HttpError> {
    let request = Request::get(target).header("host", "localhost").body(Empty::new());
    let Ok(request) = request else { return Err(HttpError::Status(400)) };
    Ok(sender.send_request(request).await?)
}

/// Reads an answer to its end, which frees its connection for the next question.
async fn read(
    endpoint: &Endpoint,
    sender: Sender,
    response: Response<Incoming>,
    max: usize,
) -> Result<Bytes, HttpError> {
    let status = successful(&response);
    let body = match Limited::new(response.into_body(), max).collect().await {
        Ok(body) => body.to_bytes(),
        Err(e) if e.is::<LengthLimitError>() => return Err(HttpError::TooLong(max)),
        Err(e) => {
            return Err(match e.downcast::<hyper::Error>() {
                Ok(e) => HttpError::Protocol(*e),
                Err(_) => HttpError::TooLong(max),
            });
        }
    };
    // One that the server closed is of no more use, and no fault of this answer.
    let _ = endpoint.keep(sender).await;
    status.map(|()| body)
}

fn successful(response: &Response<Incoming>) -> Result<(), HttpError> {
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(HttpError::Status(status.as_u16())) }
}

/// Lines of an endless answer.
#[derive(Debug)]
pub(super) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    line_max: usize,
}

impl Lines {
    /// The lines of a body, each of at most so many bytes.
    pub(super) fn of(body: Incoming, line_max: usize) -> Lines {
        Lines { body, buffer: Vec::new(), line_max }
    }

    /// The next line without its end; `None` at the end of the answer. May be dropped at any
    /// time and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.buffer.len() > self.line_max {
                return Err(HttpError::LongLine(self.line_max));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Some(data) = frame?.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}
