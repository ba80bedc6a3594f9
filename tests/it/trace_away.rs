//! A collector that is away, refuses or hangs takes nothing from the service but the spans.

use std::{net::TcpListener, time::Instant};

use serde_json::json;

use crate::{
    harness::{CREATE, Client},
    process::{Process, client, eventually},
    service::binary,
    trace::{collector::Collector, create},
};

const LOST: &str = "the collector does not take spans";
const TAKEN: &str = "the collector takes spans again";

/// The service, and alice, with a collector at a URL that is asked very often.
async fn serving(url: &str, directory: &tempfile::TempDir) -> (Process, Client) {
    let data_dir = directory.path().join("data");
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data_dir).env("INTEGRATIONS_OTLP", url);
    let service = Process::start(command.env("OTEL_BSP_SCHEDULE_DELAY", "10"));
    let listens = service.ready().await;
    let alice = client(&listens, &data_dir, json!({ "sub": "alice", "tenant": "acme", "permissions": [CREATE] }));
    (service, alice)
}

/// Checks that a stop takes no longer than what the end of spans is given, and little more.
#[track_caller]
fn check_prompt_stop(service: &mut Process, seconds: u64) -> String {
    let asked = Instant::now();
    let ended = service.terminate();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(asked.elapsed().as_secs() < seconds, "it took {:?}:\n{}", asked.elapsed(), ended.stderr);
    ended.stderr
}

#[tokio::test]
async fn with_the_collector_away_requests_are_answered_and_a_stop_is_prompt() {
    let directory = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (mut service, alice) = serving(&format!("http://{closed}"), &directory).await;
    create(&alice).send().await.expect(201);
    eventually("it is told", async || service.stderr().contains(LOST)).await;
    create(&alice).send().await.expect(201);
    let said = check_prompt_stop(&mut service, 4);
    assert_eq!(said.matches(LOST).count(), 1, "{said}");
}

#[tokio::test]
async fn a_collector_that_refuses_is_told_of_once_and_again_when_it_takes_spans() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    collector.refuse(true);
    let (mut service, alice) = serving(&collector.url, &directory).await;
    for refused in 1..=4 {
        alice.get("/api/me").await.expect(200);
        eventually("one more batch is refused", async || collector.requests() >= refused).await;
    }
    collector.refuse(false);
    alice.get("/api/me").await.expect(200);
    eventually("a batch is taken", async || !collector.spans().is_empty()).await;
    let said = check_prompt_stop(&mut service, 4);
    assert_eq!((said.matches(LOST).count(), said.matches(TAKEN).count()), (1, 1), "{said}");
    assert!(said.contains("503"), "{said}");
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_end() {
    let directory = tempfile::tempdir().unwrap();
    // Connections are made by the system, and nobody ever looks at them.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut service, alice) = serving(&format!("http://{}", deaf.local_addr().unwrap()), &directory).await;
    for _ in 0..600 {
        alice.get("/api/me").await.expect(200);
    }
    let said = check_prompt_stop(&mut service, 9);
    assert_eq!(said.matches(LOST).count(), 1, "{said}");
}

#[test]
fn a_url_that_no_collector_can_have_is_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    for (url, word) in [
        ("nonsense", "is no URL"),
        ("ftp://collector.example", "must be an http or https URL"),
        ("https://user:hunter2@collector.example", "must not have a user or password"),
        ("http://collector.example/?token=hunter2", "must not have a query"),
    ] {
        let ended = Process::serve(&data_dir, &["--otlp", url]).wait();
        assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(2), 1), "{url}: {ended:?}");
        assert!(ended.stderr.starts_with("integrations: --otlp: ") && ended.stderr.contains(word), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2") && !data_dir.exists(), "{}", ended.stderr);
    }
}
