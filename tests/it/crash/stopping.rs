//! SIGTERM: what is being served is finished, then the process ends with 0.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::unbounded_channel,
    time::timeout,
};

use super::check_log_and_views;
use crate::writers::Writers;
use crate::{
    harness::{Client, Server},
    process::{Process, eventually},
};

/// How long the service waits for requests that are being served.
const DRAIN: Duration = Duration::from_secs(30);
/// Less than the service waits for requests that are being served.
const SOON: Duration = Duration::from_secs(20);

fn address(server: &Server) -> String {
    server.url.trim_start_matches("http://").to_owned()
}

fn head_of_create(client: &Client, length: usize) -> String {
    let token = client.token.as_ref().unwrap();
    format!(
        "POST /api/integrations HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_is_being_sent_when_it_is_told_to_stop_is_read_and_answered() {
    let mut server = Server::start_alone().await;
    let (url, alice) = (server.url.clone(), server.alice());
    let body = json!({ "name": "Slow", "type": "custom" }).to_string();
    let (begin, end) = body.split_at(body.len() / 2);
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    stream.write_all(head_of_create(&alice, body.len()).as_bytes()).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    eventually("the request is in flight", async || {
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line == "integrations_requests_in_flight 1")
    })
    .await;
    server.signal_terminate();
    eventually("nobody new is let in", async || TcpStream::connect(address(&server)).await.is_err()).await;
    stream.write_all(end.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(server.terminate().code(), Some(0));
    assert!(server.log().contains("stopped"), "{}", server.log());
    server.restart().await;
    assert_eq!(server.alice().get("/api/integrations-list").await.expect(200).json()[0]["slug"], "slow");
}

#[tokio::test]
async fn connections_on_which_nothing_is_asked_do_not_keep_it_from_stopping() {
    let mut server = Server::start_alone().await;
    let mut silent = TcpStream::connect(address(&server)).await.unwrap();
    let mut idle = TcpStream::connect(address(&server)).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let started = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answers_does_not_keep_it_from_stopping() {
    let mut server = Server::start_alone().await;
    let mut client = TcpStream::connect(address(&server)).await.unwrap();
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n";
    // Until no more fits between the two: then the service waits for the client to take something.
    while let Ok(sent) = timeout(Duration::from_secs(1), client.write_all(&request.repeat(1_000))).await {
        sent.unwrap();
    }
    let started = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(started.elapsed() < DRAIN + SOON, "it took {:?}", started.elapsed());
    assert!(server.log().contains("when the time to drain was over"), "{}", server.log());
}

#[tokio::test]
async fn what_was_acknowledged_while_it_stopped_is_there() {
    let mut server = Server::start_alone().await;
    let (acknowledged, mut answers) = unbounded_channel();
    let writers = Writers::start(&server.alice(), 0, 8, &acknowledged);
    for _ in 0..100 {
        answers.recv().await.unwrap();
    }
    server.signal_terminate();
    let told = writers.ended().await;
    assert_eq!(server.terminate().code(), Some(0));
    server.restart().await;
    let rows = check_log_and_views(&server).await;
    told.iter().for_each(|told| told.check_commands(&rows));
}

#[test]
fn a_stop_just_after_it_says_that_it_listens_is_an_orderly_end() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let mut service = Process::serve(directory.path(), &[]);
        service.url();
        assert_eq!(service.terminate().status.code(), Some(0));
    }
}

#[tokio::test]
async fn a_stop_before_anything_was_asked_is_an_orderly_end_too() {
    let mut server = Server::start_alone().await;
    assert_eq!(server.terminate().code(), Some(0));
    assert!(server.log().contains("stopped"), "{}", server.log());
}
