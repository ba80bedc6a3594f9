use axum::{Router, body::Bytes, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};
use web::{client::TrustedProxies, layers::Stack, load::Load, readiness::Readiness};

use super::*;

/// More than the sockets between two processes hold.
const LARGE: usize = 64 * 1_024 * 1_024;

/// Something that serves one large body; the clock of these tests passes when everybody waits for it.
async fn connect() -> (TcpStream, TaskTracker) {
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(serve(listener, door, tasks.clone(), CancellationToken::new()));
    (client, tasks)
}

/// Lets the paused clock go on, and everybody do what is due meanwhile. It takes no time.
async fn time_passes(duration: Duration) {
    sleep(duration).await;
}

/// Everything until the connection ends, by whichever end.
async fn rest(client: &mut TcpStream) -> usize {
    let (mut read, mut buffer) = (0, vec![0; 1_024 * 1_024]);
    while let Ok(bytes @ 1..) = client.read(&mut buffer).await {
        read += bytes;
    }
    read
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_say_what_it_wants_is_hung_up_on() {
    for begin in ["", "G", "PRI * HT", "GET /large HTTP/1.1\r\nhost: here\r\n"] {
        let (mut client, _tasks) = connect().await;
        client.write_all(begin.as_bytes()).await.unwrap();
        let began = Instant::now();
        assert_eq!(rest(&mut client).await, 0, "{begin:?}");
        let waited = began.elapsed();
        assert!((HEAD_TIMEOUT..HEAD_TIMEOUT * 2).contains(&waited), "{begin:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_hung_up_on() {
    let (mut client, _tasks) = connect().await;
    client.write_all(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    time_passes(WRITE_TIMEOUT * 2).await;
    assert!(rest(&mut client).await < LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_gets_everything() {
    let (mut client, _tasks) = connect().await;
    client.write_all(b"GET /large HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut part = vec![0; LARGE / 8];
    for _ in 0..7 {
        client.read_exact(&mut part).await.unwrap();
        time_passes(WRITE_TIMEOUT * 3 / 4).await;
    }
    assert!(7 * part.len() + rest(&mut client).await > LARGE);
}
