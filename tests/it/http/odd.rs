//! Requests that no decent client sends, and clients that are slow or go away: none is a 5xx, and none keeps others
//! from being served.

use std::io::Write as _;

use serde_json::json;

use super::{Wire, authorization, get, post};
use crate::harness::Server;

/// Sends bytes on a connection of their own; the statuses of all answers until the service closes it.
fn statuses(server: &Server, bytes: impl AsRef<[u8]>) -> Vec<u16> {
    let mut wire = sent(server, bytes.as_ref());
    std::iter::from_fn(|| wire.try_answer()).map(|raw| raw.status).collect()
}

fn sent(server: &Server, bytes: &[u8]) -> Wire {
    let mut wire = Wire::connect(server);
    // The service may close before everything is sent.
    let _ = wire.stream.write_all(bytes);
    wire
}

/// One request, after which the service closes the connection.
fn only(path: &str, headers: &str) -> String {
    get(path, &format!("Connection: close\r\n{headers}"))
}

/// Checks that it is refused, or not answered at all, and that the service goes on.
#[track_caller]
fn check_refused(server: &Server, name: &str, bytes: impl AsRef<[u8]>) {
    let first = sent(server, bytes.as_ref()).try_answer().map(|raw| raw.status);
    assert!(first.is_none_or(|status| (400..500).contains(&status)), "{name}: {first:?}");
    check_alive(server, name);
}

#[track_caller]
fn check_alive(server: &Server, name: &str) {
    assert_eq!(statuses(server, only("/livez", "")), [200], "after {name}");
}

/// Checks that the service goes on after a client that left in the middle.
#[track_caller]
fn check_harmless(server: &Server, name: &str, bytes: impl AsRef<[u8]>) {
    drop(sent(server, bytes.as_ref()));
    check_alive(server, name);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_harms_nobody() {
    let server = Server::start_alone().await;
    let alice = authorization(&server.alice());
    check_refused(&server, "nonsense", "nonsense\r\n\r\n");
    check_refused(&server, "bytes", [0, 1, 2, 255, 254, 13, 10, 13, 10]);
    check_harmless(&server, "nothing", "");
    check_harmless(&server, "half a head", "GET /livez HTTP/1.1\r\nHost");
    check_harmless(&server, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    check_harmless(&server, "half a preface of HTTP/2", "PRI * HTTP/2.0\r\n");
    check_harmless(
        &server,
        "a preface with nonsense behind",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense, and more of it",
    );
    check_refused(&server, "a version of its own", "GET /livez HTTP/9.9\r\nHost: here\r\n\r\n");
    check_refused(&server, "a header without a colon", get("/livez", "Nonsense\r\n"));
    check_refused(&server, "a control character in a header", get("/livez", "X-A: a\x00b\r\n"));
    check_refused(&server, "a length that is none", get("/livez", "Content-Length: x\r\n"));
    check_refused(&server, "two lengths", get("/livez", "Content-Length: 1\r\nContent-Length: 2\r\n"));
    check_refused(&server, "a huge header", get("/livez", &format!("X-A: {}\r\n", "a".repeat(2_000_000))));
    check_refused(&server, "a thousand headers", get("/livez", &"X-A: a\r\n".repeat(1_000)));
    check_refused(&server, "a huge path", get(&format!("/{}", "a".repeat(500_000)), ""));
    check_refused(
        &server,
        "a broken chunk",
        format!(
            "POST /api/integrations HTTP/1.1\r\nHost: here\r\n{alice}Content-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n"
        ),
    );
    check_refused(
        &server,
        "a coding that is none",
        format!(
            "POST /api/integrations HTTP/1.1\r\nHost: here\r\n{alice}Content-Type: application/json\r\n\
         Transfer-Encoding: nonsense\r\n\r\n"
        ),
    );
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[tokio::test]
async fn a_header_that_is_too_large_is_431_or_the_end_of_the_connection() {
    let server = Server::start().await;
    assert_eq!(statuses(&server, only("/livez", &format!("X-A: {}\r\n", "a".repeat(60_000)))), [200]);
    let of_66_kb = sent(&server, get("/livez", &format!("X-A: {}\r\n", "a".repeat(66_000))).as_bytes()).try_answer();
    assert!(of_66_kb.as_ref().is_none_or(|raw| raw.status == 431), "{of_66_kb:?}");
    let found = sent(&server, get("/livez", &format!("X-A: {}\r\n", "a".repeat(1_000_000))).as_bytes()).try_answer();
    assert!(found.as_ref().is_none_or(|raw| raw.status == 431), "{found:?}");
}

#[tokio::test]
async fn old_and_careless_clients_are_served() {
    let server = Server::start().await;
    assert_eq!(statuses(&server, "GET /livez HTTP/1.0\r\n\r\n"), [200]);
    let close = "Connection: close\r\n\r\n";
    for (name, request) in [
        ("empty lines before it", format!("\r\n\r\nGET /livez HTTP/1.1\r\nHost: here\r\n{close}")),
        ("the absolute form", format!("GET http://here/livez HTTP/1.1\r\nHost: here\r\n{close}")),
        ("headers in any case, without a space", format!("GET /livez HTTP/1.1\r\nhOST:here\r\n{close}")),
    ] {
        assert_eq!(statuses(&server, request), [200], "{name}");
    }
    let without_host = statuses(&server, format!("GET /livez HTTP/1.1\r\n{close}"));
    assert!(matches!(without_host[..], [200 | 400]), "{without_host:?}");
    let two_hosts = statuses(&server, format!("GET /livez HTTP/1.1\r\nHost: here\r\nHost: there\r\n{close}"));
    assert!(matches!(two_hosts[..], [200 | 400]), "{two_hosts:?}");
}

#[tokio::test]
async fn odd_targets_and_methods_are_4xx() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    for path in
        ["*", "/%", "/%zz", "/api/%ff", "/api//integrations", "/api/integrations/%2e%2e", "/api/integrations/..", "//"]
    {
        let found = statuses(&server, only(path, &alice));
        assert!(found.iter().all(|status| (400..500).contains(status)) && found.len() == 1, "{path}: {found:?}");
    }
    for method in ["TRACE", "CONNECT", "PATCH", "NONSENSE", "get"] {
        let found = statuses(&server, only("/api/integrations", &alice).replacen("GET", method, 1));
        assert!(found.iter().all(|status| (400..500).contains(status)), "{method}: {found:?}");
    }
}

#[tokio::test]
async fn a_head_and_a_body_that_come_byte_by_byte_are_understood() {
    let server = Server::start().await;
    let body = json!({ "name": "Slow", "type": "slack" }).to_string();
    let request = post(&authorization(&server.alice()), body.len()) + &body;
    let mut wire = Wire::connect(&server);
    for byte in request.as_bytes() {
        wire.send([*byte]);
    }
    assert_eq!(wire.answer().status, 201);
}

#[tokio::test]
async fn clients_that_send_half_a_request_do_not_keep_others_from_being_served() {
    let server = Server::start().await;
    let alice = server.alice();
    let mut halves = Vec::new();
    for number in 0..200 {
        let mut wire = Wire::connect(&server);
        let whole = post(&authorization(&alice), 1_000);
        wire.send(if number % 2 == 0 { &whole[..whole.len() / 2] } else { &whole });
        halves.push(wire);
    }
    alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    drop(halves);
    alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    assert_eq!(server.alice().get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "name": "Broken", "type": "slack" }).to_string();
    let mut wire = sent(&server, (post(&authorization(&alice), body.len() + 10) + &body).as_bytes());
    wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let found = wire.try_answer();
    assert!(found.as_ref().is_none_or(|raw| raw.status == 400), "{found:?}");
    let created = alice.create(json!({ "name": "Whole", "type": "slack" })).await;
    let listed = alice.get_at("/api/integrations-list", &created.position).await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn a_body_in_chunks_is_a_body() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    let body = json!({ "name": "Chunked", "type": "slack" }).to_string();
    let (begin, end) = body.split_at(10);
    let mut wire = Wire::connect(&server);
    wire.send(format!(
        "POST /api/integrations HTTP/1.1\r\nHost: here\r\n{alice}Content-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{begin}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        begin.len(),
        end.len()
    ));
    assert_eq!(wire.answer().status, 201);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_whether_its_length_is_told_or_not() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(300 * 1_024));
    let mut wire = Wire::connect(&server);
    wire.send(post(&alice, body.len()) + &body);
    assert_eq!(wire.answer().status, 413);
    let mut wire = Wire::connect(&server);
    wire.send(format!(
        "POST /api/integrations HTTP/1.1\r\nHost: here\r\n{alice}Content-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    ));
    assert_eq!(wire.answer().status, 413);
}

#[tokio::test]
async fn what_stands_before_a_request_on_the_same_connection_cannot_change_it() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    // Two ways to tell where a body ends: whoever sits in between may believe the other one.
    let smuggled = only("/livez", "");
    let found = statuses(
        &server,
        format!(
            "POST /api/integrations HTTP/1.1\r\nHost: here\r\n{alice}Content-Type: application/json\r\n\
         Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
            smuggled.len() + 5
        ),
    );
    assert!(!found.contains(&201), "{found:?}");
    assert!(found.len() <= 2 && found.first().is_none_or(|status| (400..500).contains(status)), "{found:?}");
}
