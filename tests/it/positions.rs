//! Read your writes: positions of commands and reads, and reads that wait for one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Answer, Client, Created, Server};

mod chain;
mod waiting;

/// The position that is so many events behind another one. Clients are not told how; this is how far they may look.
fn behind(position: &str, events: u64) -> String {
    format!("{:016x}", u64::from_str_radix(position, 16).unwrap() + events)
}

async fn slack(client: &Client) -> Created {
    let created = client.create(json!({ "name": "Slack", "type": "slack" })).await;
    client.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    let icon = client.request("PUT", &created.path("/icon")).body("image/gif", "GIF89a").send().await.expect(200);
    Created { position: icon.header("integration-position").to_owned(), ..created }
}

/// Everything that can be read and shows a state.
fn paths(created: &Created) -> Vec<String> {
    let parts = ["", "/owner", "/tags", "/shares", "/shares/bob", "/access", "/icon"].map(|part| created.path(part));
    let collections = ["/api/integrations?q=x", "/api/integrations-list", "/api/libraries/none/integrations"];
    let collections = collections.into_iter().chain(["/api/principals/alice/integrations"]);
    parts.into_iter().chain(collections.map(str::to_owned)).collect()
}

#[tokio::test]
async fn every_read_answers_the_position_of_the_last_event_of_its_tenant() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    for path in paths(&created) {
        let answer = alice.get_at(&path, &created.position).await.expect(200);
        assert_eq!(answer.header("integration-position"), created.position, "{path}");
        let has = alice.request("GET", &path).header("if-none-match", answer.header("etag")).send().await.expect(304);
        assert_eq!(has.header("integration-position"), created.position, "{path}");
    }
    let elsewhere = json!({ "name": "Linked", "type": "custom", "imageUrl": "/linked.png" });
    let elsewhere = alice.create(elsewhere).await;
    let icon = alice.get_at(&elsewhere.path("/icon"), &elsewhere.position).await.expect(302);
    assert_eq!(icon.header("integration-position"), elsewhere.position);
}

#[tokio::test]
async fn another_tenants_command_moves_no_position_and_can_be_waited_for_all_the_same() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let theirs = server.other_tenant().create(json!({ "name": "Theirs", "type": "slack" })).await;
    for path in paths(&created) {
        let answer = alice.get_at(&path, &theirs.position).await.expect(200);
        assert_eq!(answer.header("integration-position"), created.position, "{path}");
    }
    let stranger = server.client(json!({ "sub": "eve", "tenant": "empty" }));
    let empty = stranger.get_at("/api/integrations", &theirs.position).await.expect(200);
    assert_eq!(empty.json()["total"], 0);
}

#[tokio::test]
async fn what_is_no_position_is_400_after_what_may_not_be_seen() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    let check = async |path: &str, values: &[&str], expected: u16| {
        let mut request = alice.request("GET", path);
        for value in values {
            request = request.header("integration-position", value);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, expected, "{path} {values:?}");
        if expected == 400 {
            assert_eq!(answer.pointers(), ["header:Integration-Position"], "{path} {values:?}");
        }
    };
    for path in paths(&created) {
        check(&path, &["x"], 400).await;
        check(&path, &[&created.position], 200).await;
    }
    let longer = format!("{}0", created.position);
    let list = "/api/integrations";
    for value in ["-1", "1 2", &longer, "\u{e4}", "0x00000000000001", "latest"] {
        check(list, &[value], 400).await;
    }
    check(list, &[&created.position, &created.position], 400).await;
    check("/api/integrations/nothing", &["x"], 404).await;
    check("/api/integrations/nothing/icon", &["x"], 404).await;
    check(&created.path("/shares/nobody"), &["x"], 404).await;
}

#[tokio::test]
async fn a_preference_is_followed_as_far_as_30_seconds_and_said_to_be() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let check = async |prefer: &[&str], expected: Option<&str>| {
        let mut request = alice.request("GET", "/api/integrations").header("integration-position", &created.position);
        for value in prefer {
            request = request.header("prefer", value);
        }
        let answer = request.send().await.expect(200);
        assert_eq!(answer.try_header("preference-applied"), expected, "{prefer:?}");
    };
    check(&[], None).await;
    check(&["wait=0"], Some("wait=0")).await;
    check(&["wait=5"], Some("wait=5")).await;
    check(&["wait=30"], Some("wait=30")).await;
    check(&["wait=31"], Some("wait=30")).await;
    check(&["wait=100000000000000000000000000"], Some("wait=30")).await;
    check(&["Wait=5"], Some("wait=5")).await;
    check(&["wait = 5"], Some("wait=5")).await;
    check(&["wait=\"5\""], Some("wait=5")).await;
    check(&["respond-async, wait=5"], Some("wait=5")).await;
    check(&["respond-async", "wait=5; strictly=no"], Some("wait=5")).await;
    check(&["wait=5, wait=7"], Some("wait=5")).await;
    check(&["wait=soon"], None).await;
    check(&["wait=-1"], None).await;
    check(&["wait"], None).await;
    check(&["return=minimal"], None).await;
}

async fn get_after(client: &Client, path: &str, position: &str, prefer: Option<&str>) -> (Answer, Duration) {
    let mut request = client.request("GET", path).header("integration-position", position);
    if let Some(prefer) = prefer {
        request = request.header("prefer", prefer);
    }
    let started = Instant::now();
    (request.send().await, started.elapsed())
}

#[tokio::test]
async fn a_position_that_does_not_come_is_503_when_the_wait_is_over() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let paths = paths(&created);
    let future = behind(&created.position, 1);
    // How long it took; only a lower bound, for a busy machine takes its time.
    let check = async |path: &str, position: &str, prefer: Option<&str>, at_least_seconds: u64| {
        let (answer, elapsed) = get_after(&alice, path, position, prefer).await;
        let answer = answer.expect_problem(503, "not-yet-visible");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert!(elapsed >= Duration::from_secs(at_least_seconds), "{path} {prefer:?}: {elapsed:?}");
        elapsed
    };
    let (three, two, one, none, ..) = tokio::join!(
        check(&paths[0], &future, Some("wait=3"), 3),
        check(&paths[0], &future, None, 2),
        check(&paths[0], &future, Some("wait=1"), 1),
        check(&paths[0], &future, Some("wait=0"), 0),
        check(&paths[0], &future, Some("wait=soon"), 2),
        check(&paths[1], &future, Some("wait=1"), 1),
        check(&paths[6], &future, Some("wait=1"), 1),
        check(&paths[7], &future, Some("wait=1"), 1),
        check(&paths[8], &future, Some("wait=1"), 1),
        check(&paths[9], "ffffffffffffffff", Some("wait=1"), 1),
        check("/api/integrations/nothing", &future, Some("wait=1"), 1),
        check(&paths[2], "ffffffffffffffff", Some("wait=0"), 0),
    );
    assert!(none < one && one < two && two < three, "{none:?} {one:?} {two:?} {three:?}");
}
