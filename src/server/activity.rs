//! What a connection is doing, and until when it may. hyper's own header timer is not used: it starts with the first
//! byte, and cannot tell a slow request from an idle connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::Limits;

/// The account of one connection, shared by its socket, its requests and its deadline.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// Milliseconds after `begun`: when what it is doing now began.
    since: AtomicU64,
    open_requests: AtomicU32,
    heard: AtomicBool,
    reading_headers: AtomicBool,
    http2: AtomicBool,
    /// The peer's side is full: an answer that hyper has taken over whole is not out yet.
    blocked: AtomicBool,
}

/// Why a connection's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing to do: it may be closed in good manners.
    Idle,
    /// It promised something and did not do it.
    Stalled(&'static str),
}

impl Activity {
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            since: AtomicU64::new(0),
            open_requests: AtomicU32::new(0),
            heard: AtomicBool::new(false),
            reading_headers: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
        })
    }

    /// Waits until the connection's time is over. It looks at the clock when a deadline would be there, not at each
    /// change: a busy connection never touches the timer.
    pub(super) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            let (span, overdue) = self.grace(limits);
            let since = self.begun + Duration::from_millis(self.since.load(Ordering::Relaxed));
            let deadline = since + span;
            if deadline <= Instant::now() {
                return overdue;
            }
            // What it does next may have an earlier deadline than what it does now, and nobody wakes us then.
            let soonest = Instant::now() + limits.first_byte.min(limits.header_read);
            sleep_until(deadline.min(soonest)).await;
        }
    }

    /// A request has begun; it has ended when the guard is dropped.
    pub(super) fn request(self: &Arc<Self>, version: Version) -> OpenRequest {
        self.http2.store(version == Version::HTTP_2, Ordering::Relaxed);
        self.reading_headers.store(false, Ordering::Relaxed);
        self.open_requests.fetch_add(1, Ordering::Relaxed);
        self.changed();
        OpenRequest(Arc::clone(self))
    }

    /// Whether it is an HTTP/2 connection, as far as is known.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    fn grace(&self, limits: &Limits) -> (Duration, Overdue) {
        if self.open_requests.load(Ordering::Relaxed) > 0 || self.blocked.load(Ordering::Relaxed) {
            (limits.request * 2, Overdue::Stalled("nothing moves though a request is open"))
        } else if !self.heard.load(Ordering::Relaxed) {
            (limits.first_byte, Overdue::Stalled("not a byte was sent"))
        } else if self.reading_headers.load(Ordering::Relaxed) {
            (limits.header_read, Overdue::Stalled("a request's headers came too slowly"))
        } else {
            (limits.idle, Overdue::Idle)
        }
    }

    fn read(&self, bytes: &[u8]) {
        if !self.heard.swap(true, Ordering::Relaxed) && bytes.starts_with(b"PRI") {
            self.http2.store(true, Ordering::Relaxed);
            self.changed();
        }
        let open = self.open_requests.load(Ordering::Relaxed) > 0;
        let http2 = self.http2.load(Ordering::Relaxed);
        if open || (!http2 && !self.reading_headers.swap(true, Ordering::Relaxed)) {
            self.changed();
        }
        // On HTTP/2 without open requests, settings and pings come and go: they make it no less idle.
    }

    fn written(&self, pending: bool) {
        let moved = self.open_requests.load(Ordering::Relaxed) > 0 || self.blocked.load(Ordering::Relaxed);
        self.blocked.store(pending, Ordering::Relaxed);
        if moved && !pending {
            self.changed();
        }
    }

    fn changed(&self) {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(passed, Ordering::Relaxed);
    }
}

/// Keeps a request open in the account of its connection.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Activity>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.changed();
        self.0.open_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that keeps the account.
#[derive(Debug)]
pub(super) struct Watched<I> {
    pub(super) socket: I,
    pub(super) activity: Arc<Activity>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(context, buf);
        if let Some(bytes) = buf.filled().get(before..)
            && !bytes.is_empty()
        {
            self.activity.read(bytes);
        }
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.activity.written(result.is_pending());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.activity.written(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
