use axum::{Router, body::Bytes, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Instant, sleep},
};
use web::{client::TrustedProxies, layers::Stack, load::Load, readiness::Readiness};

use super::*;

/// What is on its way between client and service.
const BUFFER: usize = 16 * 1_024;
/// Much more than that.
const LARGE: usize = 64 * BUFFER;
const GET_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

/// A client of something that serves one large body, on a clock that goes on when everybody waits for it.
fn connect(tasks: &TaskTracker, graceful: &GracefulShutdown) -> DuplexStream {
    let stack = Stack {
        tokens: None,
        load: Load::new(1, 1),
        readiness: Arc::new(Readiness::waiting_for(&[])),
        metrics: Arc::default(),
        spans: None,
        trusted_proxies: TrustedProxies::default(),
        cors_origins: Vec::new(),
    };
    let large = get(async || Bytes::from(vec![0; LARGE]));
    let door = stack.wrap(Router::new().route("/large", large));
    let (client, stream) = tokio::io::duplex(BUFFER);
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    spawn(tasks, graceful, &Arc::new(connections()), stream, peer, door);
    client
}

/// Lets the paused clock go on, and everybody do what is due meanwhile. It takes no time.
async fn time_passes(duration: Duration) {
    sleep(duration).await;
}

/// Everything until the connection ends, by whichever end.
async fn rest(client: &mut DuplexStream) -> usize {
    let (mut read, mut buffer) = (0, vec![0; BUFFER]);
    while let Ok(bytes @ 1..) = client.read(&mut buffer).await {
        read += bytes;
    }
    read
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_say_what_it_wants_is_hung_up_on() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    for begin in ["", "G", "PRI * HT", "GET /large HTTP/1.1\r\nhost: here\r\n"] {
        let mut client = connect(&tasks, &graceful);
        client.write_all(begin.as_bytes()).await.unwrap();
        let began = Instant::now();
        assert_eq!(rest(&mut client).await, 0, "{begin:?}");
        assert_eq!(began.elapsed().as_secs(), HEAD_TIMEOUT.as_secs(), "{begin:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_there_for_long_may_ask_again() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    for _ in 0..4 {
        client.write_all(b"GET /none HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let mut answer = vec![0; BUFFER];
        let length = client.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 404 "));
        time_passes(HEAD_TIMEOUT * 3 / 4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_hung_up_on() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    client.write_all(GET_LARGE).await.unwrap();
    time_passes(WRITE_TIMEOUT * 2).await;
    assert!(rest(&mut client).await <= BUFFER);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_gets_everything() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    client.write_all(GET_LARGE).await.unwrap();
    let mut part = vec![0; BUFFER];
    for _ in 0..16 {
        client.read_exact(&mut part).await.unwrap();
        time_passes(WRITE_TIMEOUT * 3 / 4).await;
    }
    assert!(16 * BUFFER + rest(&mut client).await > LARGE);
}
