//! HTTP as it stands on the wire: HTTP/1.1 in every shape that clients send it, and HTTP/2 without TLS.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use reqwest::Version;
use serde_json::json;

use super::{
    harness::png,
    harness::{Client, Server},
};

mod odd;

/// A connection on which bytes are sent as they are written here.
struct Wire {
    stream: TcpStream,
    /// What has come and was not taken yet.
    buffer: Vec<u8>,
}

/// An answer as it stood on the wire.
#[derive(Debug)]
struct Raw {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16_384];
        // A connection that was reset is one that ended.
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// The head of the next answer, without what follows.
    fn try_head(&mut self) -> Option<Raw> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer.drain(..at + 4).collect()).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Some(Raw { status, head, body: Vec::new() });
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next answer with its body.
    fn try_answer(&mut self) -> Option<Raw> {
        let mut raw = self.try_head()?;
        let length: usize = raw.header("content-length").map_or(0, |text| text.parse().unwrap());
        while self.buffer.len() < length {
            assert!(self.fill(), "the answer broke off: {raw:?}");
        }
        raw.body = self.buffer.drain(..length).collect();
        Some(raw)
    }

    #[track_caller]
    fn answer(&mut self) -> Raw {
        self.try_answer().expect("there is an answer")
    }

    /// Whether the service has closed the connection, and sent nothing more.
    fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }
}

fn authorization(client: &Client) -> String {
    format!("Authorization: Bearer {}\r\n", client.token.as_ref().unwrap())
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: here\r\n{headers}\r\n")
}

fn post(headers: &str, length: usize) -> String {
    format!(
        "POST /api/integrations HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    let mut wire = Wire::connect(&server);
    for (path, status) in [("/livez", 200), ("/api/me", 200), ("/nowhere", 404), ("/api/integrations?x=1", 400)] {
        wire.send(get(path, &alice));
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.head.starts_with("HTTP/1.1 "));
        assert_ne!(answer.header("connection"), Some("close"));
    }
    let body = json!({ "name": "Slack", "type": "slack" }).to_string();
    wire.send(post(&alice, body.len()) + &body);
    assert_eq!(wire.answer().status, 201);
    wire.send(get("/livez", "Connection: close\r\n"));
    assert_eq!(wire.answer().status, 200);
    assert!(wire.is_closed());
}

#[tokio::test]
async fn requests_that_are_sent_without_waiting_are_answered_in_their_order() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    let mut wire = Wire::connect(&server);
    let body = json!({ "name": "Slack", "type": "slack" }).to_string();
    let mut requests = String::new();
    for path in ["/livez", "/api/me", "/nowhere"] {
        requests.push_str(&get(path, &alice));
    }
    requests.push_str(&(post(&alice, body.len()) + &body));
    requests.push_str(&get("/readyz", ""));
    wire.send(requests);
    let statuses: Vec<_> = (0..5).map(|_| wire.answer().status).collect();
    assert_eq!(statuses, [200, 200, 404, 201, 200]);
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_client_waits_for_that() {
    let server = Server::start().await;
    let alice = authorization(&server.alice());
    let mut wire = Wire::connect(&server);
    let body = json!({ "name": "Slack", "type": "slack" }).to_string();
    let expect = "Expect: 100-continue\r\n";
    wire.send(post(&format!("{alice}{expect}"), body.len()));
    assert_eq!(wire.try_head().unwrap().status, 100);
    wire.send(&body);
    assert_eq!(wire.answer().status, 201);
}

#[tokio::test]
async fn a_body_is_not_asked_for_when_the_request_is_refused_without_it() {
    let server = Server::start().await;
    let expect = "Expect: 100-continue\r\n";
    for (headers, status) in [(expect.to_owned(), 401), (format!("{}{expect}", authorization(&server.bob())), 403)] {
        let mut wire = Wire::connect(&server);
        wire.send(post(&headers, 100));
        assert_eq!(wire.try_head().unwrap().status, status);
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    alice.request("PUT", &created.path("/icon")).body("image/png", png("icon")).send().await.expect(200);
    let shown = alice.put(&created.path("/tags/a"), json!({})).await.expect(200);
    alice.get_at("/api/integrations", shown.header("integration-position")).await.expect(200);
    let authorization = authorization(&alice);
    let mut wire = Wire::connect(&server);
    let paths = ["", "/shares", "/owner", "/tags", "/icon", "/access", "/connection"].map(|rest| created.path(rest));
    let root = ["/api/integrations", "/api/integrations-list", "/api/me", "/livez", "/openapi.json", "/nowhere"];
    for path in paths.iter().map(String::as_str).chain(root) {
        wire.send(get(path, &authorization));
        let full = wire.answer();
        wire.send(get(path, &authorization).replacen("GET", "HEAD", 1));
        let head = wire.try_head().unwrap();
        assert_eq!(head.status, full.status, "{path}");
        for name in ["content-type", "etag", "cache-control", "vary", "content-length", "integration-position"] {
            assert_eq!(head.header(name), full.header(name), "{name} of {path}");
        }
        assert!(wire.buffer.is_empty(), "{path} has a body");
    }
}

#[tokio::test]
async fn http_2_without_tls_is_spoken() {
    let server = Server::start().await;
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let alice = Client { http, ..server.alice() };
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    let answer = alice.http.get(format!("{}/livez", server.url)).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let requests: tokio::task::JoinSet<_> =
        (0..300).map(|_| alice.request("GET", "/api/integrations").send()).collect();
    for answer in requests.join_all().await {
        answer.expect(200);
    }
    alice.request("PUT", &created.path("/icon")).body("image/png", png("icon")).send().await.expect(200);
    alice.delete(&created.path("")).await.expect(204);
    alice.post("/api/integrations", json!({ "name": "x".repeat(300 * 1_024) })).await.expect_problem(413, "too-large");
}
