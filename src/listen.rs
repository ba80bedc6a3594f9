//! Serving connections: HTTP/1.1 and h2c, with limits on time, until told to stop; then draining.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::response::Response;
use events::limits::HEAD_BYTES_MAX;
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
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::layers::Door;

mod pulse;

use pulse::{HEAD_TIMEOUT, Pulse, Watched, unless_still};

/// How long requests that are being served may take when the service stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a client of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What leaves is what keeps a connection on which nobody asks for anything.
const _: () = assert!(PING_EVERY.as_secs() + PING_TIMEOUT.as_secs() < HEAD_TIMEOUT.as_secs());
/// Requests that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 256;

/// Serves what is behind a door until `stop`, then lets what is being served finish.
pub(crate) async fn serve(listener: TcpListener, door: Door, stop: CancellationToken) {
    // Nobody waits for a connection but for as long as it takes to drain.
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
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
    // HTTP/1 gets no timer: it would be set anew for every request.
    builder
        .http1()
        .max_buf_size(HEAD_BYTES_MAX as usize)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn spawn(
    tasks: &TaskTracker,
    graceful: &GracefulShutdown,
    builder: &Arc<auto::Builder<TokioExecutor>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    door: Door,
) {
    let pulse = Arc::new(Pulse::default());
    let beating = Arc::clone(&pulse);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (serving, answered) = (beating.serve(), door.answer(request, peer));
        async move {
            let response = answered.await;
            drop(serving);
            Ok::<_, Infallible>(without_length(response))
        }
    });
    let stream = Watched::new(stream, Arc::clone(&pulse));
    let watched = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tasks.spawn(async move {
        match unless_still(watched, pulse).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "a connection ended in an error"),
            None => tracing::debug!("a connection was still for too long"),
        }
    });
}

#[cfg(test)]
mod tests;
