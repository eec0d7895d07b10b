//! Unary gRPC calls over a unix socket: one HTTP/2 connection, a message with a prefix of five
//! bytes each way, the status in the trailers. Every call has an end, every answer a largest size.

use crate::enrich::endpoint::Endpoint;
use crate::enrich::http::PATIENCE;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Largest message that is taken.
const MESSAGE_MAX: usize = 16 << 20;
/// Length of the prefix: whether it is compressed, and the length.
const PREFIX_LEN: usize = 5;
/// Status of calls that went well, and of those about something that is not there.
const STATUS_OK: &str = "0";
const STATUS_NOT_FOUND: &str = "5";

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::enrich) enum GrpcError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("{0}")]
    Protocol(#[from] hyper::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("gRPC status {0}")]
    Status(String),
    #[error("it is not there")]
    NotFound,
    #[error("an answer of more than {MESSAGE_MAX} bytes")]
    TooLong,
    #[error("a damaged answer")]
    Damaged,
}

/// A connection. Copies share it.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl Channel {
    /// Connects; the task ends when the connection does.
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<(Channel, JoinHandle<()>), GrpcError> {
        let stream = endpoint.connect().await.map_err(GrpcError::Connect)?;
        let handshake = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
        let (sender, connection) = timeout(PATIENCE, handshake).await.map_err(|_| GrpcError::Timeout)??;
        let task = tokio::spawn(async move {
            // Calls under way fail with the same error.
            let _ = connection.await;
        });
        Ok((Channel { sender }, task))
    }

    /// Calls `method`, such as `/runtime.v1.RuntimeService/Version`.
    pub(super) async fn call<Answer: Message + Default>(
        &self,
        method: &str,
        question: &impl Message,
    ) -> Result<Answer, GrpcError> {
        timeout(PATIENCE, self.exchange(method, question)).await.map_err(|_| GrpcError::Timeout)?
    }

    async fn exchange<Answer: Message + Default>(
        &self,
        method: &str,
        question: &impl Message,
    ) -> Result<Answer, GrpcError> {
        let mut body = BytesMut::with_capacity(PREFIX_LEN + question.encoded_len());
        body.put_u8(0);
        body.put_u32(question.encoded_len() as u32);
        question.encode(&mut body).map_err(|_| GrpcError::TooLong)?;
        let request = Request::post(format!("http://localhost{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body.freeze()))
            .map_err(|_| GrpcError::Damaged)?;
        let response = self.sender.clone().send_request(request).await?;
        // A failure at once has its status among the headers.
        check(response.headers(), false)?;
        let mut incoming = response.into_body();
        let mut answer = BytesMut::new();
        let mut is_ended_well = false;
        while let Some(frame) = incoming.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    if answer.len() + data.len() > MESSAGE_MAX {
                        return Err(GrpcError::TooLong);
                    }
                    answer.extend_from_slice(&data);
                }
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        check(&trailers, true)?;
                        is_ended_well = true;
                    }
                }
            }
        }
        if !is_ended_well { Err(GrpcError::Damaged) } else { decode(answer.freeze()) }
    }
}

/// An error where a status other than OK stands, or none where one must.
fn check(headers: &HeaderMap, must_be_there: bool) -> Result<(), GrpcError> {
    match headers.get("grpc-status").map(|s| s.to_str().unwrap_or("?")) {
        Some(STATUS_OK) => Ok(()),
        Some(STATUS_NOT_FOUND) => Err(GrpcError::NotFound),
        Some(status) => {
            let message = headers.get("grpc-message").and_then(|m| m.to_str().ok()).unwrap_or("");
            Err(GrpcError::Status(format!("{status} {message}")))
        }
        None if must_be_there => Err(GrpcError::Damaged),
        None => Ok(()),
    }
}

fn decode<Answer: Message + Default>(mut answer: Bytes) -> Result<Answer, GrpcError> {
    if answer.len() < PREFIX_LEN {
        return Err(GrpcError::Damaged);
    }
    let is_compressed = answer.get_u8() != 0;
    let len = answer.get_u32() as usize;
    if is_compressed || len != answer.len() {
        return Err(GrpcError::Damaged);
    }
    Answer::decode(answer).map_err(|_| GrpcError::Damaged)
}
