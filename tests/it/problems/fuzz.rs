//! Random requests made from the API's description: none of them is the service's fault, and each is answered as it is
//! described.

mod dice;
mod requests;

use std::collections::BTreeMap;

use super::super::harness::{ADMIN, Answer, CREATE, Client, Created, Server};
use super::{
    check_status, create,
    raw::{Raw, exchange},
};
use dice::Dice;
use requests::{NEVER, Routes, Target};

const WORKERS: u64 = 6;
const REQUESTS_PER_WORKER: u64 = 600;

/// What one worker has seen: how often each status.
type Seen = BTreeMap<u16, usize>;

/// Sends random requests, of which none may be answered with a failure of the service.
async fn work(seed: u64, clients: Vec<Client>, target: Target) -> Seen {
    let (mut dice, mut seen) = (Dice::new(seed), Seen::new());
    let routes = Routes::described();
    for at in 0..REQUESTS_PER_WORKER {
        let client = dice.pick(&clients).clone();
        let (what, request) = routes.request(&mut dice, &client, &target);
        let answer: Answer = request.send().await;
        // A position that never comes is no fault of the service.
        let is_wait = answer.status == 503 && what.contains(&format!("integration-position: {NEVER}"));
        let is_fault = answer.status >= 500 && answer.status != 501 && !is_wait;
        assert!(!is_fault, "seed {seed}, request {at}: {what}: {}", answer.text());
        *seen.entry(answer.status).or_default() += 1;
    }
    seen
}

/// Something that random requests can hit.
async fn target(alice: &Client) -> Target {
    let mut targets: Vec<Created> = Vec::new();
    for _ in 0..12 {
        let created = create(alice).await;
        alice.put(&created.path("/tags"), serde_json::json!({ "tags": ["red"] })).await.expect(200);
        alice.put(&created.path("/shares/bob"), serde_json::json!({ "accessLevel": 2 })).await.expect(200);
        targets.push(created);
    }
    Target::of(&targets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_random_request_is_answered_with_a_failure_of_the_service() {
    let server = Server::start_alone().await;
    let target = target(&server.alice()).await;
    let root = server.user_with("alice", &[ADMIN, CREATE]);
    let clients = [server.alice(), server.bob(), server.anonymous()].into_iter();
    let clients: Vec<_> = clients.chain(std::iter::repeat_n(root, 5)).collect();
    let mut workers = tokio::task::JoinSet::new();
    for seed in 1..=WORKERS {
        workers.spawn(work(seed, clients.clone(), target.clone()));
    }
    let mut seen = Seen::new();
    for (status, count) in workers.join_all().await.into_iter().flatten() {
        *seen.entry(status).or_default() += count;
    }
    // They reached something: a generator whose requests are all refused at the door would find nothing.
    for status in [200, 201, 204, 400, 401, 403, 404, 405, 412, 415, 422, 501] {
        assert!(seen.contains_key(&status), "no {status} among {seen:?}");
    }
    let good: usize = [200, 201, 204].iter().filter_map(|status| seen.get(status)).sum();
    assert!(good > 200, "only {good} did anything: {seen:?}");
    check_status("afterwards", &server.alice().get("/api/integrations").await, 200);
    check_status("afterwards", &server.anonymous().get("/readyz").await, 200);
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[tokio::test]
async fn a_connection_that_speaks_nonsense_hurts_nobody() {
    let server = Server::start().await;
    let mut dice = Dice::new(7);
    let noise: Vec<u8> = (0..4_096).map(|_| dice.byte()).collect();
    let rows: [&[u8]; 12] = [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/integrations HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/integrations HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"GET /\x00\xff HTTP/1.1\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\xff\xff\xff\xff\xff\xff",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &noise,
    ];
    for bytes in rows {
        let mut raw = Raw::connect(&server.url);
        raw.send(bytes);
        raw.finish();
        let (status, text) = raw.answer();
        assert!(status < 500, "{}: {text}", String::from_utf8_lossy(bytes));
        check_status("afterwards", &server.alice().get("/api/me").await, 200);
    }
    for target in ["*", "/api/me?%", "/api/%", "http://other.example/livez", "/livez?x=1"] {
        for method in ["GET", "OPTIONS", "HEAD"] {
            let (status, text) = exchange(&server.url, &format!("{method} {target} HTTP/1.1"), b"");
            assert!((200..500).contains(&status), "{method} {target}: {text}");
        }
    }
    let many_headers: String = (0..500).map(|at| format!("X-{at}: x\r\n")).collect();
    let (status, _) = exchange(&server.url, &format!("GET /livez HTTP/1.1\r\n{}", many_headers.trim_end()), b"");
    assert!((200..500).contains(&status), "{status}");
}
