//! What is left when the service is killed, stopped, or has no room on the disk: everything that it said was done.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::harness::{Answer, Client, Server};

mod full_disk;
mod stopping;
mod torn;

use crate::{fold::check_views, harness::png, log, writers::Writers};

const ROUNDS: usize = 5;
const WRITERS: usize = 8;
/// How many commands are acknowledged before a kill.
const ACKNOWLEDGED: usize = 150;

/// Checks everything that the log promises about its rows, and that the views are a fold of them.
async fn check_log_and_views(server: &Server) -> Vec<log::Row> {
    let rows = log::rows(&server.data_dir());
    log::check_form(&rows);
    log::check_creates_are_whole(&rows);
    check_views(&server.admin(), "acme", &rows).await;
    rows
}

#[tokio::test]
async fn what_was_acknowledged_is_there_and_the_rest_is_whole_or_absent_after_kills_with_commands_in_flight() {
    let mut server = Server::start_alone().await;
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let (acknowledged, mut answers) = unbounded_channel();
        let writers = Writers::start(&server.alice(), round, WRITERS, &acknowledged);
        // Each time at another point of the work.
        for _ in 0..ACKNOWLEDGED + round {
            answers.recv().await.unwrap();
        }
        server.kill();
        let told = writers.ended().await;
        server.restart().await;
        let rows = check_log_and_views(&server).await;
        told.iter().for_each(|told| told.check_commands(&rows));
        all.extend(told);
    }
    let (mut keys, mut ids) = (0, BTreeSet::new());
    for told in &all {
        keys += told.creates.len();
        ids.extend(told.repeat_creates(&server.alice()).await);
    }
    assert_eq!(ids.len(), keys, "one integration for each key");
    let rows = check_log_and_views(&server).await;
    let created = rows.iter().filter(|row| row.name() == "IntegrationCreated");
    assert_eq!(created.count(), keys, "nothing was created twice");
    all.iter().for_each(|told| told.check_commands(&rows));
}

#[tokio::test]
async fn a_kill_without_anything_in_flight_loses_nothing_and_changes_no_row() {
    let mut server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack", "clientSecret": "s" })).await;
    alice.put(&created.path("/tags"), json!({ "tags": ["a", "b"] })).await.expect(200);
    let before = log::rows(&server.data_dir());
    server.kill();
    server.restart().await;
    assert_eq!(check_log_and_views(&server).await, before);
}

/// Every answer that shows a state, without what tells only when it was sent.
pub(crate) async fn looked_at(client: &Client, paths: &[String]) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for path in paths {
        let mut answer = client.get(path).await;
        for transient in ["date", "x-request-id"] {
            answer.headers.remove(transient);
        }
        answers.push((path.clone(), answer));
    }
    answers
}

/// Some integrations of every kind, and the paths that show them.
pub(crate) async fn furnish(client: &Client) -> (Vec<String>, String) {
    let drive = client.create(json!({ "name": "Drive", "type": "google-drive", "clientSecret": "s" })).await;
    let bare = client.create(json!({ "name": "Bare", "type": "custom", "data": { "b": 1, "a": [1.0, 2e3] } })).await;
    let library = json!({ "name": "Inside", "type": "custom", "embedded": true, "libraryId": "lib" });
    let inside = client.create(library).await;
    let gone = client.create(json!({ "name": "Gone", "type": "custom" })).await;
    client.put(&drive.path("/shares/bob"), json!({ "accessLevel": 2 })).await.expect(200);
    client.put(&drive.path("/shares/team:x"), json!({ "accessLevel": 3 })).await.expect(200);
    client.put(&bare.path("/tags"), json!({ "tags": ["z", "a"] })).await.expect(200);
    client
        .put(&bare.path(""), json!({ "description": "later", "headers": { "X-Key": "k", "X-A": "b" } }))
        .await
        .expect(200);
    client.request("PUT", &drive.path("/icon")).body("image/png", png("kept")).send().await.expect(200);
    let last = client.delete(&gone.path("")).await.expect(204);
    let position = last.header("integration-position").to_owned();
    let lists = ["", "-list", "?q=drive", "?sort=-updatedAt&limit=1", "?tag=a"];
    let mut paths: Vec<_> = lists.iter().map(|rest| format!("/api/integrations{rest}")).collect();
    paths.push("/api/libraries/lib/integrations".to_owned());
    paths.extend(["alice", "bob"].map(|who| format!("/api/principals/{who}/integrations")));
    for created in [&drive, &bare, &inside, &gone] {
        let details = ["", "/shares", "/shares/bob", "/owner", "/tags", "/icon"];
        paths.extend(details.iter().map(|rest| created.path(rest)));
    }
    paths.push(format!("/api/integrations/{}", drive.slug));
    client.get_at(&paths[0], &position).await.expect(200);
    client.get_at("/api/principals/alice/integrations", &position).await.expect(200);
    (paths, position)
}

#[tokio::test]
async fn every_answer_tag_and_position_is_the_same_after_a_stop_and_after_a_kill() {
    let mut server = Server::start_alone().await;
    let (paths, position) = furnish(&server.alice()).await;
    let before = looked_at(&server.alice(), &paths).await;
    let tags: BTreeSet<_> = before.iter().filter_map(|(_, answer)| answer.try_header("etag")).collect();
    assert!(tags.len() >= 20, "they are different things: {tags:?}");
    assert!(server.terminate().success());
    server.restart().await;
    assert_eq!(looked_at(&server.alice(), &paths).await, before);
    server.kill();
    server.restart().await;
    assert_eq!(looked_at(&server.alice(), &paths).await, before);
    server.alice().get_at(&paths[0], &position).await.expect(200);
    for (path, answer) in &before {
        if let Some(tag) = answer.try_header("etag") {
            server.alice().request("GET", path).header("if-none-match", tag).send().await.expect(304);
        }
    }
}

#[tokio::test]
async fn positions_go_on_after_a_restart_and_are_never_given_again() {
    let mut server = Server::start_alone().await;
    let first = server.alice().create(json!({ "name": "One", "type": "custom" })).await;
    // The end of the log is a tombstone; the rows below it are gone with it.
    server.alice().delete(&first.path("")).await.expect(204);
    let before = log::rows(&server.data_dir());
    server.kill();
    server.restart().await;
    let second = server.alice().create(json!({ "name": "Two", "type": "custom" })).await;
    assert!(second.position > first.position);
    server.alice().get_at(&second.path(""), &second.position).await.expect(200);
    let after = log::rows(&server.data_dir());
    assert_eq!(after[..before.len()], before[..]);
    assert!(after[before.len()].position > before.last().unwrap().position);
}

#[tokio::test]
async fn if_match_means_the_same_after_a_restart() {
    let mut server = Server::start_alone().await;
    let created = server.alice().create(json!({ "name": "Slack", "type": "slack" })).await;
    let put = |server: &Server, tag: &str, name: &str| {
        server.alice().request("PUT", &created.path("")).header("if-match", tag).json(&json!({ "name": name })).send()
    };
    let changed = put(&server, &created.etag, "New").await.expect(200).header("etag").to_owned();
    server.kill();
    server.restart().await;
    put(&server, &created.etag, "Newer").await.expect_problem(412, "stale");
    let newest = put(&server, &changed, "Newest").await.expect(200);
    put(&server, &changed, "Too late").await.expect_problem(412, "stale");
    let shown = server.alice().get_at(&created.path(""), newest.header("integration-position")).await.expect(200);
    assert_eq!(shown.json()["name"], "Newest");
}

/// A create with a key or an id, as somebody sends it.
async fn create(client: &Client, key: Option<&str>, body: &Value) -> Answer {
    let request = client.request("POST", "/api/integrations").json(body);
    match key {
        Some(key) => request.header("idempotency-key", key).send().await,
        None => request.send().await,
    }
}

#[tokio::test]
async fn a_create_is_the_same_create_after_a_restart() {
    let mut server = Server::start_alone().await;
    let by_key = json!({ "name": "Slack", "type": "slack", "clientSecret": "one" });
    let by_id = json!({ "name": "Box", "type": "box", "apiKey": "a", "id": "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b" });
    let first_by_key = create(&server.alice(), Some("k"), &by_key).await.expect(201);
    let first_by_id = create(&server.alice(), None, &by_id).await.expect(201);
    let rows = log::rows(&server.data_dir());
    for is_killed in [true, false] {
        if is_killed {
            server.kill();
        } else {
            server.terminate();
        }
        server.restart().await;
        let alice = server.alice();
        let again = create(&alice, Some("k"), &by_key).await.expect(201);
        assert_eq!((&again.body, again.header("etag")), (&first_by_key.body, first_by_key.header("etag")));
        let again = create(&alice, None, &by_id).await.expect(201);
        assert_eq!((&again.body, again.header("etag")), (&first_by_id.body, first_by_id.header("etag")));
        let other = json!({ "name": "Slack", "type": "slack", "clientSecret": "two" });
        create(&alice, Some("k"), &other).await.expect_problem(422, "key-reused");
        let other = json!({ "name": "Box", "type": "box", "apiKey": "b", "id": by_id["id"] });
        create(&alice, None, &other).await.expect_problem(409, "id-taken");
    }
    assert_eq!(log::rows(&server.data_dir()), rows);
}
