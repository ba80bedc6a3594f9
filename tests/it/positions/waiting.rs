//! Reads that wait while others go on: they see what they waited for, and take nobody's place.

use tokio::task::JoinSet;

use super::*;
use crate::{process::eventually, topology::IS_EMBEDDED};

/// Asks for a number that is measured until it is `expected`.
async fn until_measured(server: &Server, metric: &str, expected: u64) {
    eventually(metric, async || server.measured(metric).await == expected).await;
}

const WAITING: &str = "requests_waiting";
const IN_FLIGHT: &str = "requests_in_flight";

/// Reads on their way.
#[derive(Default)]
struct Reads(JoinSet<Answer>);

impl Reads {
    /// Sends one that waits for a position.
    fn wait(&mut self, client: &Client, path: &str, position: &str) {
        let request = client.request("GET", path).header("integration-position", position).header("prefer", "wait=25");
        self.0.spawn(request.send());
    }

    /// What they all found.
    async fn found(self) -> Vec<Answer> {
        self.0.join_all().await.into_iter().map(|answer| answer.expect(200)).collect()
    }
}

#[tokio::test]
async fn a_read_waits_until_what_it_asks_for_is_there() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let mut reads = Reads::default();
    for path in paths(&created) {
        reads.wait(&alice, &path, &behind(&created.position, 1));
    }
    until_measured(&server, WAITING, paths(&created).len() as u64).await;
    let updated = alice.put(&created.path(""), json!({ "name": "Other" })).await.expect(200);
    for answer in reads.found().await {
        assert_eq!(answer.header("integration-position"), updated.header("integration-position"));
        assert_eq!(answer.header("preference-applied"), "wait=25");
    }
    until_measured(&server, WAITING, 0).await;
}

#[tokio::test]
async fn a_waiting_read_sees_the_very_integration_that_it_waited_for() {
    if !IS_EMBEDDED {
        // On a server nobody knows beforehand where an event will stand.
        return;
    }
    let server = Server::start_alone().await;
    let alice = server.alice();
    let first = slack(&alice).await;
    let id = "018f3a52-0000-7000-8000-000000000003";
    let mut reads = Reads::default();
    // A create is two events: the slug's and the integration's.
    reads.wait(&alice, &format!("/api/integrations/{id}"), &behind(&first.position, 2));
    until_measured(&server, WAITING, 1).await;
    let created = alice.create(json!({ "id": id, "name": "Awaited", "type": "custom" })).await;
    for answer in reads.found().await {
        assert_eq!(answer.header("etag"), created.etag);
        assert_eq!(answer.header("integration-position"), created.position);
    }
}

#[tokio::test]
async fn a_waiting_request_is_not_in_flight() {
    let server = Server::start_with(&["--max-in-flight", "1"]).await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let future = behind(&created.position, 1);
    let mut reads = Reads::default();
    reads.wait(&alice, "/api/integrations", &future);
    until_measured(&server, WAITING, 1).await;
    reads.wait(&alice, &created.path(""), &future);
    until_measured(&server, WAITING, 2).await;
    until_measured(&server, IN_FLIGHT, 0).await;
    alice.get("/api/integrations").await.expect(200);
    alice.put(&created.path(""), json!({ "name": "Other" })).await.expect(200);
    reads.found().await;
    until_measured(&server, WAITING, 0).await;
    until_measured(&server, IN_FLIGHT, 0).await;
    alice.get("/api/integrations").await.expect(200);
}

#[tokio::test]
async fn when_as_many_wait_as_may_the_next_is_503_at_once() {
    let server = Server::start_with(&["--max-waiting", "1"]).await;
    let alice = server.alice();
    let created = slack(&alice).await;
    alice.get_at("/api/integrations", &created.position).await.expect(200);
    let future = behind(&created.position, 1);
    let mut first = Reads::default();
    first.wait(&alice, "/api/integrations", &future);
    until_measured(&server, WAITING, 1).await;
    let (second, elapsed) = get_after(&alice, "/api/integrations", &future, Some("wait=20")).await;
    second.expect_problem(503, "not-yet-visible").header("retry-after");
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    // What need not wait is served.
    alice.get_at("/api/integrations", &created.position).await.expect(200);
    alice.put(&created.path(""), json!({ "name": "Other" })).await.expect(200);
    first.found().await;
}

#[tokio::test]
async fn a_client_that_goes_away_waits_no_longer() {
    let server = Server::start_with(&["--max-waiting", "1"]).await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let future = behind(&created.position, 1);
    let mut impatient = Reads::default();
    impatient.wait(&alice, "/api/integrations", &future);
    until_measured(&server, WAITING, 1).await;
    drop(impatient);
    until_measured(&server, WAITING, 0).await;
    let mut patient = Reads::default();
    patient.wait(&alice, "/api/integrations", &future);
    until_measured(&server, WAITING, 1).await;
    alice.put(&created.path(""), json!({ "name": "Other" })).await.expect(200);
    patient.found().await;
}
