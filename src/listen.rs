//! Serving connections: HTTP/1.1 and h2c, with limits on time, until told to stop; then draining.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{Request, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::layers::Door;

/// How long a client may take to send a request's head, and to begin the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long what a client is sent may stay in the system's buffers, which hold more than a megabyte: one that is slow must not
/// be taken for one that takes nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long requests that are being served may take when the service stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 256;

/// Serves what is behind a door until `stop`, then lets what is being served finish.
pub(crate) async fn serve(listener: TcpListener, door: Door, tasks: TaskTracker, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(connections());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match stream.set_nodelay(true) {
                // Small answers must not wait for the client's acknowledgement of the ones before.
                Ok(()) => spawn(&tasks, &graceful, &builder, stream, peer, door.clone()),
                Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
            },
            Err(error) => {
                // Out of file descriptors, mostly: somebody must hang up before it can get better.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still being served when the time to drain was over");
    }
}

/// The router tells the length of every body. These have none, and 304 is not of the length 0 (RFC 9110 §8.6).
fn without_length(mut response: Response) -> Response {
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

fn connections() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

fn spawn(
    tasks: &TaskTracker,
    graceful: &GracefulShutdown,
    builder: &Arc<auto::Builder<TokioExecutor>>,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    peer: SocketAddr,
    door: Door,
) {
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&has_begun);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        let (door, request) = (door.clone(), request.map(Body::new));
        async move { Ok::<_, std::convert::Infallible>(without_length(door.answer(request, peer).await)) }
    });
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(WRITE_TIMEOUT));
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service).into_owned();
    let watched = graceful.watch(connection);
    tasks.spawn(async move {
        match unless_silent(watched, &has_begun).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "a connection ended in an error"),
            None => tracing::debug!("a connection brought no request in time"),
        }
    });
}

/// Drives a connection to its end, which is also when it has brought no request in time: `None`. What hyper times is the head
/// of a request of HTTP/1; before that it waits for the bytes that tell which version it is, for ever.
async fn unless_silent<C: Future>(connection: C, has_begun: &AtomicBool) -> Option<C::Output> {
    let (mut connection, mut patience) = (pin!(connection), pin!(tokio::time::sleep(HEAD_TIMEOUT)));
    poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        // It is asked with everything that a connection does: no clock is looked at for that.
        Poll::Pending if has_begun.load(Ordering::Relaxed) => Poll::Pending,
        Poll::Pending => patience.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests;
