//! Engines that speak CRI (gRPC) on a unix socket: [`Reply`] says how a call is answered.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Pause between the bytes of an engine that is slow.
const PAUSE: Duration = Duration::from_millis(50);
/// Length of the prefix of a message.
const PREFIX_LEN: usize = 5;
/// Wire type of texts and messages (Protocol Buffers, encoding).
const LEN: u8 = 2;
/// Key of the id in questions about containers and sandboxes.
const ID_KEY: u8 = 1 << 3 | LEN;
/// Number of the runtime's name in the answer to `Version`.
const RUNTIME_NAME: u8 = 2;

/// How an engine answers a call.
#[derive(Debug)]
pub enum Reply {
    /// A message and a status.
    Message(Vec<u8>, &'static str),
    /// These bytes as they are, and no status.
    Raw(Vec<u8>),
    /// 64 KiB again and again.
    Flood,
    /// A byte now and then.
    Trickle(Pin<Box<tokio::time::Sleep>>),
    /// Nothing more.
    Done,
}

impl Reply {
    /// A message with its prefix, and the status of a call that went well.
    pub fn ok(message: &[u8]) -> Reply {
        Reply::Message(framed(message), "0")
    }

    /// The status of what is not there.
    pub fn not_found() -> Reply {
        Reply::Message(Vec::new(), "5")
    }

    /// The answer to `Version`.
    pub fn version(runtime: &str) -> Reply {
        Reply::ok(&field(RUNTIME_NAME, runtime.as_bytes()))
    }

    /// A byte now and then, from now on.
    pub fn trickle() -> Reply {
        Reply::Trickle(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Nothing for as long as anybody waits.
    pub fn silence() -> Reply {
        Reply::Trickle(Box::pin(tokio::time::sleep(Duration::from_secs(3600))))
    }
}

/// A message with its prefix: not compressed, and its length.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// A text or a message as field `number` of a message; numbers up to 15.
pub fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | LEN];
    let mut len = value.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend_from_slice(value);
    bytes
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match &mut *self {
            Reply::Message(message, status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                match std::mem::take(message) {
                    message if message.is_empty() => {
                        *self = Reply::Done;
                        Frame::trailers(trailers)
                    }
                    message => Frame::data(Bytes::from(message)),
                }
            }
            Reply::Raw(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Reply::Done;
                Frame::data(Bytes::from(bytes))
            }
            Reply::Flood => Frame::data(Bytes::from_static(&[b'x'; 64 << 10])),
            Reply::Trickle(sleep) => {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                sleep.as_mut().reset(tokio::time::Instant::now() + PAUSE);
                Frame::data(Bytes::from_static(b"\0"))
            }
            Reply::Done => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Serves on a thread of its own, with what `answer` makes of the method and the id that is asked for.
///
/// # Panics
/// Where the socket cannot be made.
pub fn serve(socket: PathBuf, answer: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) {
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("the socket of the test");
    listener.set_nonblocking(true).expect("a socket that does not block");
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener).expect("a socket");
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let answer = answer.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer.clone();
                    async move {
                        let method = request.uri().path().rsplit('/').next().unwrap_or("").to_owned();
                        let body = request.into_body().collect().await?.to_bytes();
                        let response = Response::builder().header("content-type", "application/grpc");
                        Ok::<_, hyper::Error>(
                            response.body(answer(&method, id_of(&body))).expect("a response"),
                        )
                    }
                });
                tokio::spawn(async move {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
}

/// The id in a question; empty where it has none.
fn id_of(question: &[u8]) -> &str {
    let of_message = question.get(PREFIX_LEN..).unwrap_or(&[]);
    let id = match of_message {
        // Ids are shorter than what takes a second byte of length.
        [ID_KEY, len, rest @ ..] => rest.get(..usize::from(*len)),
        _ => None,
    };
    id.and_then(|id| std::str::from_utf8(id).ok()).unwrap_or("")
}
