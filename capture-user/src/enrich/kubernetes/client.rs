//! Questions to the API server: one HTTP/2 connection for all of them where the server speaks it, else
//! one connection each.
//!
//! Invariant: everything has an end: connecting, the head of an answer, a whole answer and its length,
//! a line of a watch.

use super::access::{Access, AccessError};
use super::tls;
use crate::enrich::http::Lines;
use crate::enrich::throttle::{Allowance, Throttled};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time to connect, the handshake of TLS included.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Time until an answer begins.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Time for a whole answer.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// Largest body of an answer.
const BODY_MAX: usize = 16 << 20;
/// Longest line of a watch. An object has at most 1.5 MiB where it is stored.
const LINE_MAX: usize = 4 << 20;
/// Largest headers of an answer.
const HEADERS_MAX: u32 = 64 << 10;
/// Most memory of what arrives before it is read, for HTTP/2.
const WINDOW: u32 = 1 << 20;
/// A silent connection is tried after the first time and given up after the second.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// How long files of keys, certificates and tokens are not read again.
const FILES_AGE: Duration = Duration::from_secs(60);
const AGENT: &str = concat!("capture/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("cannot connect within {} s", CONNECT_PATIENCE.as_secs())]
    ConnectTimeout,
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("{}", cause(.0))]
    Protocol(#[from] hyper::Error),
    #[error("no answer in time")]
    Timeout,
    #[error("more than {BODY_MAX} bytes in an answer")]
    TooLong,
    #[error("{0}")]
    Lines(#[from] crate::enrich::http::HttpError),
    #[error("the question cannot be put: {0}")]
    Question(#[from] hyper::http::Error),
}

impl ClientError {
    /// Whether the server was not reached at all.
    pub(super) fn is_unreachable(&self) -> bool {
        !matches!(self, ClientError::TooLong)
    }
}

/// What is behind an error of hyper, which hides it.
fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The client of one server.
#[derive(Debug)]
pub(super) struct Client {
    access: Access,
    cached: Mutex<Cached>,
    /// The connection that all share; `None` where there is none now, or the server has no HTTP/2.
    shared: tokio::sync::Mutex<Option<http2::SendRequest<Empty<Bytes>>>>,
    allowance: Allowance,
}

#[derive(Debug, Default)]
struct Cached {
    tls: Option<(Instant, Arc<ClientConfig>)>,
    authorization: Option<(Instant, Option<HeaderValue>)>,
}

/// An answer of which the head is there.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// When the server wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    body: Incoming,
}

impl Answer {
    /// The whole body.
    pub(super) async fn whole(self) -> Result<Bytes, ClientError> {
        let whole = Limited::new(self.body, BODY_MAX).collect();
        match timeout(BODY_PATIENCE, whole).await.map_err(|_| ClientError::Timeout)? {
            Ok(body) => Ok(body.to_bytes()),
            Err(e) if e.is::<LengthLimitError>() => Err(ClientError::TooLong),
            Err(e) => Err(match e.downcast::<hyper::Error>() {
                Ok(e) => ClientError::Protocol(*e),
                Err(_) => ClientError::TooLong,
            }),
        }
    }

    /// The body line by line.
    pub(super) fn lines(self) -> Lines {
        Lines::of(self.body, LINE_MAX)
    }
}

enum Sender {
    Shared(http2::SendRequest<Empty<Bytes>>),
    Own(http1::SendRequest<Empty<Bytes>>),
}

impl Client {
    pub(super) fn new(access: Access) -> Client {
        Client {
            access,
            cached: Mutex::default(),
            shared: tokio::sync::Mutex::new(None),
            allowance: Allowance::of_api_server(),
        }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The answer to `GET target`, whatever its status.
    pub(super) async fn get(&self, target: &str, accept: &'static str) -> Result<Answer, ClientError> {
        let sender = match timeout(CONNECT_PATIENCE, self.sender()).await {
            Ok(sender) => sender?,
            Err(_) => return Err(ClientError::ConnectTimeout),
        };
        let asked = async {
            match sender {
                Sender::Shared(mut sender) => sender.send_request(self.request(target, accept, true)?).await,
                Sender::Own(mut sender) => sender.send_request(self.request(target, accept, false)?).await,
            }
            .map_err(ClientError::from)
        };
        let response: Response<Incoming> = match timeout(HEAD_PATIENCE, asked).await {
            Ok(Ok(response)) => response,
            result => {
                // Others have their own way to find out that it is of no use.
                self.shared.lock().await.take();
                return Err(result.map_or(ClientError::Timeout, |r| match r {
                    Ok(_) => ClientError::Timeout,
                    Err(error) => error,
                }));
            }
        };
        let status = response.status().as_u16();
        if status == 401 {
            // The token may be replaced by now.
            self.cached().authorization = None;
        }
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status, retry_after: seconds.map(Duration::from_secs), body: response.into_body() })
    }

    fn request(
        &self,
        target: &str,
        accept: &'static str,
        is_http2: bool,
    ) -> Result<Request<Empty<Bytes>>, ClientError> {
        let server = &self.access.server;
        let path = format!("{}{target}", server.prefix);
        let mut request = Request::get(&path).body(Empty::new())?;
        if is_http2 {
            let scheme = if server.is_tls { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(server.authority()).path_and_query(path);
            *request.uri_mut() = uri.build()?;
        } else {
            let host = HeaderValue::from_str(&server.authority()).map_err(hyper::http::Error::from)?;
            request.headers_mut().insert(HOST, host);
        }
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = self.authorization()? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let mut cached = self.cached();
        if let Some((at, value)) = &cached.authorization
            && at.elapsed() < FILES_AGE
        {
            return Ok(value.clone());
        }
        let identity = &self.access.identity;
        let text = if let Some(token) = &identity.token {
            Some([b"Bearer ", token.read()?.trim_ascii()].concat())
        } else {
            let login = identity.login.as_ref().map(|login| login.read()).transpose()?;
            login.map(|login| format!("Basic {}", STANDARD.encode(login)).into_bytes())
        };
        let value = text.map(|text| HeaderValue::from_bytes(&text)).transpose();
        let mut value = value.map_err(hyper::http::Error::from)?;
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        cached.authorization = Some((Instant::now(), value.clone()));
        Ok(value)
    }

    async fn sender(&self) -> Result<Sender, ClientError> {
        if !self.access.server.is_tls {
            return Ok(Sender::Own(http1_over(self.tcp().await?).await?));
        }
        // While one connects, the others wait for the connection that they will share.
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(Sender::Shared(sender.clone()));
        }
        *shared = None;
        let config = self.tls_config()?;
        let name = tls::server_name(&self.access)?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, self.tcp().await?).await;
        let stream = stream.map_err(ClientError::Connect)?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let sender = http2_over(stream).await?;
            *shared = Some(sender.clone());
            return Ok(Sender::Shared(sender));
        }
        drop(shared);
        Ok(Sender::Own(http1_over(stream).await?))
    }

    async fn tcp(&self) -> Result<Throttled<TcpStream>, ClientError> {
        let server = &self.access.server;
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await;
        let stream = stream.map_err(ClientError::Connect)?;
        // Questions are small and wait for their answers; without it they wait a little longer.
        let _ = stream.set_nodelay(true);
        Ok(Throttled::new(stream, self.allowance.clone()))
    }

    fn tls_config(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let mut cached = self.cached();
        if let Some((at, config)) = &cached.tls
            && at.elapsed() < FILES_AGE
        {
            return Ok(config.clone());
        }
        let config = tls::config(&self.access)?;
        cached.tls = Some((Instant::now(), config.clone()));
        Ok(config)
    }
}

async fn http1_over<S>(stream: S) -> Result<http1::SendRequest<Empty<Bytes>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::Builder::new()
        .max_buf_size(HEADERS_MAX as usize)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream));
    let (sender, connection) = handshake.await?;
    // It ends with the answer's body. What fails here fails the question, too.
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    Ok(sender)
}

async fn http2_over<S>(stream: S) -> Result<http2::SendRequest<Empty<Bytes>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE)
        .max_header_list_size(HEADERS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream));
    let (sender, connection) = handshake.await?;
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    Ok(sender)
}
