//! Connections on which nothing happens: ended, at the cost of one timer that no request touches.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
    time::{Instant, sleep},
};

/// How often a connection is looked at.
const BEAT: Duration = Duration::from_secs(15);
/// Beats within which a request's head must come, from when the connection was made or everything before was answered.
const HEAD_BEATS: u32 = 4;
/// Beats for which what a client is sent may stay in the system's buffers, which hold more than a megabyte: one that is slow
/// must not be taken for one that takes nothing.
const WRITE_BEATS: u32 = 20;

/// How long a client may take to send the first request's head; a later one's, and at most a beat more.
pub(super) const HEAD_TIMEOUT: Duration = BEAT.saturating_mul(HEAD_BEATS);
/// How long a client may take nothing of what it is sent, and at most a beat more.
#[cfg(test)]
pub(super) const WRITE_TIMEOUT: Duration = BEAT.saturating_mul(WRITE_BEATS);

/// What happens on a connection.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Since the last beat a request was answered, or something has left. What comes does not count: a head could come for
    /// ever, a byte at a time.
    has_moved: AtomicBool,
    /// There was a request. What leaves before that does not count either: HTTP/2 has much to say that nobody asked for.
    has_begun: AtomicBool,
    /// Nothing more leaves until the client takes some.
    is_stuck: AtomicBool,
    /// Requests that have not been answered yet.
    serving: AtomicUsize,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Serving(Arc<Pulse>);

impl Pulse {
    /// Begins to answer a request.
    pub(super) fn serve(self: &Arc<Self>) -> Serving {
        self.has_begun.store(true, Ordering::Relaxed);
        self.serving.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    fn note<T>(&self, written: &Poll<T>) {
        self.is_stuck.store(written.is_pending(), Ordering::Relaxed);
        if written.is_ready() && self.has_begun.load(Ordering::Relaxed) {
            self.has_moved.store(true, Ordering::Relaxed);
        }
    }

    /// For how many beats it may be still, if not for ever.
    fn patience(&self) -> Option<u32> {
        if !self.has_begun.load(Ordering::Relaxed) {
            Some(HEAD_BEATS)
        } else if self.is_stuck.load(Ordering::Relaxed) {
            Some(WRITE_BEATS)
        } else if self.serving.load(Ordering::Relaxed) > 0 {
            None
        } else {
            Some(HEAD_BEATS)
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.has_moved.store(true, Ordering::Relaxed);
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Drives a connection to its end, which is also when it was still for too long: `None`.
pub(super) async fn unless_still<C: Future>(connection: C, pulse: Arc<Pulse>) -> Option<C::Output> {
    let (mut connection, mut beat) = (pin!(connection), pin!(sleep(BEAT)));
    let (mut still, mut waker) = (0, None::<Waker>);
    poll_fn(|context| {
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(Some(ended));
        }
        // Most of the time it is the connection that has woken this: the timer is left alone then.
        let is_registered = waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_registered && !beat.is_elapsed() {
            return Poll::Pending;
        }
        waker = Some(context.waker().clone());
        loop {
            // Whatever the connection has used up of what a task may do in one go: else the timer might not be set at all.
            ready!(pin!(unconstrained(beat.as_mut())).poll(context));
            beat.as_mut().reset(Instant::now() + BEAT);
            still = if pulse.has_moved.swap(false, Ordering::Relaxed) { 0 } else { still + 1 };
            if pulse.patience().is_some_and(|patience| still >= patience) {
                return Poll::Ready(None);
            }
        }
    })
    .await
}

/// A stream whose writes are noted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    /// Notes what leaves by a stream.
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.pulse.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.pulse.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
