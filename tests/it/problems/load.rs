//! More requests than the service takes.

use std::time::{Duration, Instant};

use super::super::{
    harness::{Client, Request, Server},
    process::eventually,
};
use super::{NOT_YET_VISIBLE, TOO_MANY_REQUESTS, check, check_status, raw::Raw};

/// Begins a request whose body does not come: it is in flight until the rest is sent.
fn begin(server: &Server, client: &Client) -> Raw {
    let token = client.token.clone().unwrap();
    let mut raw = Raw::connect(&server.url);
    let head = "POST /api/integrations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 28";
    let head = format!("{head}\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n\r\n");
    assert!(raw.send(head.as_bytes()));
    raw
}

/// Waits until a metric has a value.
async fn until(server: &Server, metric: &str, value: u64) {
    eventually(metric, async || server.measured(metric).await == value).await;
}

#[tokio::test]
async fn the_request_above_the_limit_is_429_but_never_health_and_metrics() {
    if !crate::topology::IS_ONE_PROCESS {
        // Each process has limits and metrics of its own.
        return;
    }
    let server = Server::start_with(&["--max-in-flight", "2"]).await;
    let alice = server.alice();
    let (mut first, mut second) = (begin(&server, &alice), begin(&server, &alice));
    until(&server, "requests_in_flight", 2).await;
    for request in [
        alice.request("GET", "/api/me"),
        alice.request("POST", "/api/integrations").body("application/json", "{}"),
        server.anonymous().request("GET", "/api/me"),
        alice.request("GET", "/api/nope"),
        alice.request("GET", "/openapi.json"),
    ] {
        let answer = request.send().await;
        check("above the limit", &answer, TOO_MANY_REQUESTS, &[]);
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        check_status(path, &server.anonymous().get(path).await, 200);
    }
    for raw in [&mut first, &mut second] {
        assert!(raw.send(br#"{"name":"x","type":"custom"}"#));
    }
    for raw in [first, second] {
        let (status, text) = raw.answer();
        assert_eq!(status, 201, "{text}");
    }
    until(&server, "requests_in_flight", 0).await;
    check_status("when there is room again", &alice.get("/api/me").await, 200);
}

#[tokio::test]
async fn a_request_whose_client_goes_away_leaves_its_place() {
    if !crate::topology::IS_ONE_PROCESS {
        // Each process has limits and metrics of its own.
        return;
    }
    let server = Server::start_with(&["--max-in-flight", "1"]).await;
    let alice = server.alice();
    let first = begin(&server, &alice);
    until(&server, "requests_in_flight", 1).await;
    check("while it is in flight", &alice.get("/api/me").await, TOO_MANY_REQUESTS, &[]);
    drop(first);
    until(&server, "requests_in_flight", 0).await;
    check_status("when it is gone", &alice.get("/api/me").await, 200);
}

/// A request for a position that is not there yet.
fn waiting(client: &Client, path: &str, seconds: u32) -> Request {
    let request = client.request("GET", path).header("integration-position", "7777777777777777");
    request.header("prefer", &format!("wait={seconds}"))
}

#[tokio::test]
async fn the_waiting_request_above_the_limit_is_503_at_once_and_waiting_is_not_in_flight() {
    if !crate::topology::IS_ONE_PROCESS {
        // Each process has limits and metrics of its own.
        return;
    }
    let server = Server::start_with(&["--max-in-flight", "1", "--max-waiting", "2"]).await;
    let alice = server.alice();
    let mut waiters = tokio::task::JoinSet::new();
    for at in 1..=2 {
        waiters.spawn(waiting(&alice, "/api/integrations", 30).send());
        until(&server, "requests_waiting", at).await;
    }
    let started = Instant::now();
    for path in ["/api/integrations", "/api/integrations-list", "/api/integrations/x"] {
        let answer = waiting(&alice, path, 30).send().await;
        check(path, &answer, NOT_YET_VISIBLE, &[]);
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "it waited");
    check_status("in flight", &alice.get("/api/integrations").await, 200);
    // Who goes away leaves his place.
    waiters.shutdown().await;
    until(&server, "requests_waiting", 0).await;
    let answer = waiting(&alice, "/api/integrations", 0).send().await;
    check("when there is room again", &answer, NOT_YET_VISIBLE, &[]);
    assert!(answer.text().contains("while you waited"), "{}", answer.text());
}
