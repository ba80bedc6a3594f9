//! Creates that come again: the same request under the same key or id gets the first answer, at any time.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::events;
use crate::harness::{Answer, CREATE, Client, Server};

fn slack() -> Value {
    json!({ "name": "Slack", "type": "slack", "clientId": "c", "data": { "a": 1, "b": [2] } })
}

async fn post(client: &Client, key: Option<&str>, body: &str) -> Answer {
    let mut request = client.request("POST", "/api/integrations").body("application/json", body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.send().await
}

/// What is the same in every repeat of a first answer; the position is that of the integration's last event.
fn essence(answer: &Answer) -> (u16, Vec<u8>, String, String) {
    let header = |name| answer.header(name).to_owned();
    (answer.status, answer.body.clone(), header("etag"), header("location"))
}

const ID: &str = "018f3a52-0000-7000-8000-000000000001";

/// The ways to name a create: by key, by id, and by id beside a key that does not count then.
fn ways() -> [(Option<&'static str>, Option<&'static str>); 3] {
    let other_id = "018f3a52-0000-7000-8000-000000000002";
    [(Some("k1"), None), (None, Some(ID)), (Some("k2"), Some(other_id))]
}

fn body(id: Option<&str>, base: Value) -> Value {
    let mut body = base;
    if let Some(id) = id {
        body["id"] = id.into();
    }
    body
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_answer_again_through_update_delete_and_restart() {
    let mut server = Server::start_alone().await;
    for (key, id) in ways() {
        let alice = server.alice();
        let request = body(id, slack()).to_string();
        let first = post(&alice, key, &request).await.expect(201);
        let count = events(&server);
        let again = post(&alice, key, &request).await;
        assert_eq!(essence(&again), essence(&first), "{key:?} {id:?}");
        assert_eq!(again.header("integration-position"), first.header("integration-position"));
        assert_eq!(events(&server), count, "nothing is made in order to compare");
        let path = first.header("location").to_owned();
        let updated = alice.put(&path, json!({ "name": "Other", "mode": "shared" })).await.expect(200);
        let again = post(&alice, key, &request).await;
        assert_eq!(essence(&again), essence(&first), "{key:?} {id:?} after an update");
        assert_eq!(again.header("integration-position"), updated.header("integration-position"));
        server.kill();
        server.restart().await;
        let alice = server.alice();
        assert_eq!(essence(&post(&alice, key, &request).await), essence(&first), "{key:?} {id:?} after a restart");
        let deleted = alice.delete(&path).await.expect(204);
        let again = post(&alice, key, &request).await;
        assert_eq!(essence(&again), essence(&first), "{key:?} {id:?} after a delete");
        assert_eq!(again.header("integration-position"), deleted.header("integration-position"));
        alice.get_at(&path, deleted.header("integration-position")).await.expect(404);
        server.terminate();
        server.restart().await;
        let again = post(&server.alice(), key, &request).await;
        assert_eq!(essence(&again), essence(&first), "{key:?} {id:?} after a delete and a restart");
    }
}

#[tokio::test]
async fn another_request_is_refused_as_a_reused_key_or_a_taken_id() {
    let mut server = Server::start_alone().await;
    for (key, id) in ways() {
        let alice = server.alice();
        let first = post(&alice, key, &body(id, slack()).to_string()).await.expect(201);
        let others = [
            json!({ "name": "Slack", "type": "slack", "clientId": "c" }),
            json!({ "name": "Slack", "type": "slack", "clientId": "d", "data": { "a": 1, "b": [2] } }),
            json!({ "name": "Slack", "type": "slack", "clientId": "c", "data": { "a": 1, "b": [2] }, "apiKey": "k" }),
        ];
        let check = async |client: &Client| {
            for other in &others {
                let answer = post(client, key, &body(id, other.clone()).to_string()).await;
                let (status, kind) = if id.is_some() { (409, "id-taken") } else { (422, "key-reused") };
                answer.expect_problem(status, kind);
            }
        };
        check(&alice).await;
        alice.delete(first.header("location")).await.expect(204);
        check(&alice).await;
        server.kill();
        server.restart().await;
        check(&server.alice()).await;
    }
}

#[tokio::test]
async fn neither_the_order_of_members_nor_white_space_makes_another_request() {
    let server = Server::start().await;
    let alice = server.alice();
    let one = r#"{"name":"Slack","type":"slack","headers":{"X-A":"1","X-B":"2"}}"#;
    let other = "{ \"headers\": { \"X-B\": \"2\",\n\"X-A\": \"1\" }, \"type\": \"sl\\u0061ck\", \"name\": \"Slack\" }";
    let first = post(&alice, Some("k"), one).await.expect(201);
    assert_eq!(essence(&post(&alice, Some("k"), other).await), essence(&first));
}

#[tokio::test]
async fn another_secret_is_another_request_while_there_is_a_key_to_compare_by() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    for (number, (key, id)) in ways().into_iter().enumerate() {
        let request = |secret: &str, header: &str| {
            let base = json!({
                "name": format!("Slack {number}"), "type": "slack", "clientSecret": secret,
                "headers": { "X-Token": header },
            });
            body(id, base).to_string()
        };
        let first = post(&alice, key, &request("s1", "h1")).await.expect(201);
        let count = events(&server);
        assert_eq!(essence(&post(&alice, key, &request("s1", "h1")).await), essence(&first));
        let status = if id.is_some() { 409 } else { 422 };
        post(&alice, key, &request("s2", "h1")).await.expect(status);
        post(&alice, key, &request("s1", "h2")).await.expect(status);
        post(&alice, key, &request("h1", "s1")).await.expect(status);
        // A change of the secrets afterwards is no change of the first request.
        alice.put(first.header("location"), json!({ "clientSecret": "s3" })).await.expect(200);
        assert_eq!(essence(&post(&alice, key, &request("s1", "h1")).await), essence(&first));
        post(&alice, key, &request("s3", "h1")).await.expect(status);
        assert_eq!(events(&server), count + 1);
        alice.delete(first.header("location")).await.expect(204);
        assert_eq!(essence(&post(&alice, key, &request("s1", "h1")).await), essence(&first));
        assert_eq!(
            essence(&post(&alice, key, &request("s2", "h2")).await),
            essence(&first),
            "the request alone decides"
        );
        let without = body(id, json!({ "name": format!("Slack {number}"), "type": "slack" }));
        post(&alice, key, &without.to_string()).await.expect(status);
    }
}

#[tokio::test]
async fn a_key_is_its_callers_and_its_tenants_own() {
    let server = Server::start().await;
    let request = slack().to_string();
    let eve = server.user_with("eve", &[CREATE]);
    let mut ids = std::collections::BTreeSet::new();
    for client in [server.alice(), eve, server.other_tenant()] {
        let answer = post(&client, Some("k"), &request).await.expect(201);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(id.as_bytes()[14], b'8', "{id} is a UUID of version 8");
        assert!(ids.insert(id));
    }
    let other_key = post(&server.alice(), Some("K"), &request).await.expect(201);
    assert!(ids.insert(other_key.json()["id"].as_str().unwrap().to_owned()));
    let no_key = [post(&server.alice(), None, &request).await, post(&server.alice(), None, &request).await];
    assert!(no_key.into_iter().all(|answer| ids.insert(answer.expect(201).json()["id"].as_str().unwrap().to_owned())));
}

#[tokio::test]
async fn an_id_is_its_tenants_own_and_plays_the_part_of_the_key() {
    let server = Server::start().await;
    let (alice, eve) = (server.alice(), server.user_with("eve", &[CREATE]));
    let request = body(Some(ID), slack()).to_string();
    let first = post(&alice, None, &request).await.expect(201);
    assert_eq!(first.json()["id"], ID);
    for key in [None, Some("k1"), Some("k2")] {
        assert_eq!(essence(&post(&alice, key, &request).await), essence(&first));
        post(&eve, key, &request).await.expect_problem(409, "id-taken");
    }
    // The key stood for nothing while there was an id.
    let by_key = post(&alice, Some("k1"), &slack().to_string()).await.expect(201);
    assert_ne!(by_key.json()["id"], ID);
    let theirs = post(&server.other_tenant(), None, &request).await.expect(201);
    assert_eq!(theirs.json()["id"], ID);
}

#[tokio::test]
async fn the_right_to_create_is_looked_at_before_the_key() {
    let server = Server::start().await;
    let request = slack().to_string();
    post(&server.alice(), Some("k"), &request).await.expect(201);
    post(&server.user("alice"), Some("k"), &request).await.expect_problem(403, "not-permitted");
    post(&server.user("alice"), Some("k"), "{}").await.expect_problem(403, "not-permitted");
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_characters_and_given_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let check = async |keys: &[&str], expected: u16| {
        let mut request = alice.request("POST", "/api/integrations").json(&slack());
        for key in keys {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, expected, "{keys:?}");
        if expected == 400 {
            assert_eq!(answer.pointers(), ["header:Idempotency-Key"], "{keys:?}");
        }
    };
    check(&["!"], 201).await;
    check(&["\"~\\{}\""], 201).await;
    check(&[&"k".repeat(255)], 201).await;
    check(&[&"k".repeat(256)], 400).await;
    check(&[""], 400).await;
    check(&["a b"], 400).await;
    check(&["\u{e4}"], 400).await;
    check(&["a", "a"], 400).await;
}

#[tokio::test]
async fn the_same_create_many_times_at_once_is_one_integration() {
    let server = Server::start().await;
    let alice = server.alice();
    for (number, (key, id)) in ways().into_iter().enumerate() {
        let base = json!({ "name": format!("Slack {number}"), "type": "slack", "clientSecret": "s" });
        let request = body(id, base).to_string();
        let mut tasks = JoinSet::new();
        for _ in 0..12 {
            let (alice, request) = (alice.clone(), request.clone());
            tasks.spawn(async move { post(&alice, key, &request).await.expect(201) });
        }
        let answers = tasks.join_all().await;
        assert!(answers.iter().all(|answer| essence(answer) == essence(&answers[0])), "{key:?} {id:?}");
        let list = alice.get_at("/api/integrations", answers[0].header("integration-position")).await;
        assert_eq!(list.expect(200).json()["total"], number + 1);
    }
}
