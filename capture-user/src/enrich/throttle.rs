//! [`Throttled`]: a connection from which no more is read than its peer's [`Allowance`] gives.
//!
//! The clients have a high priority, since a record must be there in time. A peer that talks without end
//! would make them take a CPU from everybody else; so each gets what a sound one never needs, and what
//! is beyond waits in its own socket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What an engine may say at once, and in a second. A status of CRI takes some 50 KB, all else less.
const ENGINE: Rate = Rate { at_once_bytes: 32 << 20, each_s_bytes: 4 << 20 };
/// The same for an API server: lists of a cluster of thousands of pods.
const API_SERVER: Rate = Rate { at_once_bytes: 128 << 20, each_s_bytes: 8 << 20 };

#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once_bytes: u64,
    each_s_bytes: u64,
}

/// What a peer may still say. Copies share it, as the connections to one peer do.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    rate: Rate,
    left: Arc<Mutex<Left>>,
}

#[derive(Debug)]
struct Left {
    /// Below nothing where a read brought more.
    bytes: i64,
    at: Instant,
}

impl Allowance {
    /// An engine's.
    pub(super) fn of_engine() -> Allowance {
        Allowance::new(ENGINE)
    }

    /// An API server's.
    pub(super) fn of_api_server() -> Allowance {
        Allowance::new(API_SERVER)
    }

    fn new(rate: Rate) -> Allowance {
        let left = Left { bytes: rate.at_once_bytes as i64, at: Instant::now() };
        Allowance { rate, left: Arc::new(Mutex::new(left)) }
    }

    /// Takes what was read; how long to wait before more is.
    fn take(&self, bytes: usize, now: Instant) -> Option<Duration> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(left.at).as_micros() * u128::from(self.rate.each_s_bytes)
            / 1_000_000;
        // Parts of a byte count on.
        if gained > 0 {
            let gained = gained.min(u128::from(self.rate.at_once_bytes) * 2) as i64;
            left.bytes = left.bytes.saturating_add(gained).min(self.rate.at_once_bytes as i64);
            left.at = now;
        }
        left.bytes -= bytes as i64;
        let owed = u64::try_from(-left.bytes).ok().filter(|owed| *owed > 0)?;
        Some(Duration::from_micros(owed.saturating_mul(1_000_000) / self.rate.each_s_bytes))
    }
}

/// A connection to such a peer.
#[derive(Debug)]
pub(super) struct Throttled<S> {
    stream: S,
    allowance: Allowance,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Throttled<S> {
    /// Reads within this allowance.
    pub(super) fn new(stream: S, allowance: Allowance) -> Throttled<S> {
        Throttled { stream, allowance, pause: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let pause = self.allowance.take(buf.filled().len() - before, Instant::now());
        self.pause = pause.map(|time| Box::pin(sleep(time)));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_waits_and_what_was_not_said_counts_up_to_a_bound() {
        let allowance = Allowance::new(Rate { at_once_bytes: 1000, each_s_bytes: 100 });
        let start = allowance.left.lock().unwrap().at;
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(allowance.take(1000, start), None);
        assert_eq!(allowance.clone().take(50, start), Some(Duration::from_millis(500)));
        assert_eq!(allowance.take(10, after(1_000)), None);
        assert_eq!(allowance.take(50, after(1_001)), Some(Duration::from_millis(100)));
        // However long nothing is said, it may not say more at once.
        assert_eq!(allowance.take(1000, after(1_000_000)), None);
        assert_eq!(allowance.take(100, after(1_000_000)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_flood_is_read_at_its_rate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (read, took) = runtime.block_on(async {
            let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
            std::mem::drop(tokio::spawn(async move {
                use std::io::ErrorKind::WouldBlock;
                loop {
                    theirs.writable().await.unwrap();
                    match theirs.try_write(&[b'x'; 4096]) {
                        Ok(_) => {}
                        Err(error) if error.kind() == WouldBlock => {}
                        Err(_) => return,
                    }
                    let _ = &mut theirs;
                }
            }));
            let allowance = Allowance::new(Rate { at_once_bytes: 64 << 10, each_s_bytes: 256 << 10 });
            let mut stream = Throttled::new(ours, allowance);
            let (start, mut read) = (Instant::now(), 0);
            let mut bytes = [0; 4096];
            while read < 192 << 10 {
                let mut buf = ReadBuf::new(&mut bytes);
                std::future::poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buf)).await.unwrap();
                read += buf.filled().len();
            }
            (read, start.elapsed())
        });
        assert!(read >= 192 << 10 && took >= Duration::from_millis(450), "{read} bytes in {took:?}");
    }
}
