use axum::{Router, body::Bytes, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Instant, sleep},
};
use web::layers::Stack;

use super::{pulse::WRITE_TIMEOUT, *};

/// What is on its way between client and service.
const BUFFER: usize = 16 * 1_024;
/// Much more than that.
const LARGE: usize = 64 * BUFFER;
const GET_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

/// A client of something that serves one large body, on a clock that goes on when everybody waits for it.
fn connect(tasks: &TaskTracker, graceful: &GracefulShutdown) -> DuplexStream {
    connect_with(BUFFER, tasks, graceful)
}

/// Likewise, with so much on its way.
fn connect_with(buffer: usize, tasks: &TaskTracker, graceful: &GracefulShutdown) -> DuplexStream {
    let large = get(async || Bytes::from(vec![0; LARGE]));
    let late = get(async || sleep(WRITE_TIMEOUT * 2).await);
    let door = Stack::default().wrap(Router::new().route("/large", large).route("/late", late), None);
    let (client, stream) = tokio::io::duplex(buffer);
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

/// A client of HTTP/2 (RFC 9113) that answers pings, and does nothing else; how many it was sent until the connection ended,
/// or for so long.
async fn answer_pings(client: &mut DuplexStream, until: Instant) -> usize {
    const PING: u8 = 6;
    const ACK: u8 = 1;
    let (mut pings, mut head) = (0, [0; 9]);
    while let Ok(Ok(_)) = tokio::time::timeout_at(until, client.read_exact(&mut head)).await {
        let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        client.read_exact(&mut payload).await.unwrap();
        if head[3] == PING {
            head[4] = ACK;
            // The last one may come when nobody listens any more.
            pings += usize::from(client.write_all(&[head.as_slice(), &payload].concat()).await.is_ok());
        }
    }
    pings
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The head of a whole request, of GET, http and `/none` (RFC 7541).
const GET_NONE: &[u8] = &[0, 0, 9, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 4, 5, b'/', b'n', b'o', b'n', b'e'];

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_and_asks_for_nothing_is_hung_up_on() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    let began = Instant::now();
    client.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let pings = answer_pings(&mut client, began + WRITE_TIMEOUT).await;
    assert_eq!((pings, began.elapsed()), (1, HEAD_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_with_more_than_is_read_in_one_go_is_hung_up_on_likewise() {
    const NOTHING: usize = 16 * 1_024;
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect_with(8 * 1_024 * 1_024, &tasks, &graceful);
    let began = Instant::now();
    // Of a type that nobody knows, which is nothing to anybody.
    let nothing = [&[0, 0x40, 0, 0xfe, 0, 0, 0, 0, 0], [0; NOTHING].as_slice()].concat();
    client.write_all(&[PREFACE, SETTINGS, &nothing.repeat(400)].concat()).await.unwrap();
    let pings = answer_pings(&mut client, began + WRITE_TIMEOUT).await;
    assert_eq!((pings, began.elapsed()), (1, HEAD_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_asked_and_answers_pings_is_waited_with() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    let began = Instant::now();
    client.write_all(&[PREFACE, SETTINGS, GET_NONE].concat()).await.unwrap();
    let pings = answer_pings(&mut client, began + WRITE_TIMEOUT * 2).await;
    assert!(pings > 10, "{pings}");
    assert_eq!(began.elapsed(), WRITE_TIMEOUT * 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_nothing_and_takes_nothing_is_hung_up_on_no_later() {
    const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    let began = Instant::now();
    client.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    while client.write_all(PING).await.is_ok() {}
    assert!(began.elapsed() <= HEAD_TIMEOUT, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_been_answered_is_hung_up_on_too_when_it_says_nothing_more() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    for (begin, every) in [("", WRITE_TIMEOUT), ("GET /large HTTP/1.1\r\nhost: here\r\nx-long: ", HEAD_TIMEOUT / 8)] {
        let mut client = connect(&tasks, &graceful);
        client.write_all(b"GET /none HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let answered = client.read(&mut vec![0; BUFFER]).await.unwrap();
        assert_ne!(answered, 0);
        let began = Instant::now();
        client.write_all(begin.as_bytes()).await.unwrap();
        // One byte after the other is no more than silence.
        let mut end = [0];
        while tokio::time::timeout(every, client.read(&mut end)).await.is_err() {
            client.write_all(b"x").await.unwrap();
        }
        let waited = began.elapsed();
        assert!(HEAD_TIMEOUT <= waited && waited <= HEAD_TIMEOUT * 5 / 4, "{begin:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_answer_takes_long_is_waited_with() {
    let (tasks, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut client = connect(&tasks, &graceful);
    client.write_all(b"GET /late HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let mut answer = vec![0; BUFFER];
    let length = client.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
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
