//! Where an integration is found: by id or slug on every route, with hrefs by id; and what goes with it when it goes.

use serde_json::{Value, json};

use super::super::harness::{Client, Created, Server};

const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1"/></svg>"#;
/// What an integration has a route for, beside itself; those that come later at the end.
const READ: [&str; 7] = ["", "/icon", "/shares", "/shares/bob", "/owner", "/tags", "/access"];
const LATER: [&str; 4] = ["/account", "/connect", "/connection", "/history"];

/// An integration with everything that one may have.
async fn furnished(client: &Client) -> (Created, String) {
    let created = client.create(json!({ "name": "Slack", "type": "slack" })).await;
    client.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    client.put(&created.path("/tags"), json!({ "tags": ["a"] })).await.expect(200);
    let last = client.request("PUT", &created.path("/icon")).body("image/svg+xml", SVG).send().await.expect(200);
    let position = last.header("integration-position").to_owned();
    (created, position)
}

/// The hrefs anywhere in a document.
fn hrefs(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("href").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(hrefs)).collect()
        }
        Value::Array(items) => items.iter().flat_map(hrefs).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test]
async fn everything_is_read_by_id_or_slug_with_the_same_bytes_and_tag() {
    let server = Server::start().await;
    let alice = server.alice();
    let (created, position) = furnished(&alice).await;
    for rest in READ {
        let by_id = alice.get_at(&created.path(rest), &position).await.expect(200);
        let by_slug = alice.get(&format!("/api/integrations/slack{rest}")).await.expect(200);
        assert_eq!((&by_slug.body, by_slug.header("etag")), (&by_id.body, by_id.header("etag")), "{rest}");
        if by_slug.header("content-type") == "application/hal+json" {
            let hrefs = hrefs(&by_slug.json());
            assert!(!hrefs.is_empty() && hrefs.iter().all(|href| href.starts_with(&created.path(""))), "{hrefs:?}");
        }
    }
    for rest in LATER {
        for path in [created.path(rest), format!("/api/integrations/slack{rest}")] {
            alice.get(&path).await.expect_problem(501, "not-built");
        }
    }
}

#[tokio::test]
async fn every_command_takes_id_or_slug() {
    let server = Server::start().await;
    let alice = server.alice();
    for by_slug in [false, true] {
        let (created, _) = furnished(&alice).await;
        let path = |rest: &str| if by_slug { format!("/api/integrations/slack{rest}") } else { created.path(rest) };
        let put = |rest: &str, body: Value| alice.request("PUT", &path(rest)).json(&body).send();
        assert_eq!(put("", json!({ "description": "d" })).await.expect(200).json()["id"], created.id.as_str());
        let share = put("/shares/carol", json!({ "accessLevel": 2 })).await.expect(200).json();
        assert_eq!(share["integrationId"], created.id.as_str());
        alice.delete(&path("/shares/carol")).await.expect(204);
        assert_eq!(put("/tags", json!({ "tags": ["b"] })).await.expect(200).json(), json!({ "tags": ["b"] }));
        alice.request("PUT", &path("/tags/c")).send().await.expect(200);
        alice.delete(&path("/tags/c")).await.expect(204);
        alice.request("PUT", &path("/icon")).body("image/svg+xml", SVG).send().await.expect(200);
        alice.delete(&path("/icon")).await.expect(204);
        let moved = put("/owner", json!({ "ownerId": "bob" })).await.expect(200).json();
        assert_eq!((&moved["id"], &moved["ownerId"]), (&json!(created.id), &json!("bob")));
        server.bob().delete(&path("")).await.expect(204);
    }
}

#[tokio::test]
async fn shares_tags_and_icon_go_with_the_integration_and_the_next_of_its_slug_has_none() {
    let server = Server::start().await;
    let alice = server.alice();
    let (old, _) = furnished(&alice).await;
    let gone = alice.delete("/api/integrations/slack").await.expect(204);
    for rest in READ {
        alice.get_at(&old.path(rest), gone.header("integration-position")).await.expect_problem(404, "not-found");
    }
    let new = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let shares = alice.get_at("/api/integrations/slack/shares", &new.position).await.expect(200).json();
    assert_eq!(shares["total"], 0);
    assert_eq!(alice.get("/api/integrations/slack/tags").await.expect(200).json(), json!({ "tags": [] }));
    alice.get("/api/integrations/slack/icon").await.expect_problem(404, "not-found");
    server.bob().get("/api/integrations/slack").await.expect_problem(404, "not-found");
    alice.get(&old.path("")).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn created_at_stays_and_updated_at_moves_with_every_change_and_no_other_request() {
    let server = Server::start().await;
    let alice = server.alice();
    let (created, position) = furnished(&alice).await;
    let first = alice.get_at(&created.path(""), &position).await.expect(200).json();
    let same = alice.put(&created.path(""), json!({ "name": "Slack" })).await.expect(200).json();
    assert_eq!(same, first);
    let mut before = first.clone();
    let changes = [
        ("", json!({ "description": "d" })),
        ("/tags", json!({ "tags": ["other"] })),
        ("/shares/bob", json!({ "accessLevel": 2 })),
    ];
    for (rest, body) in changes {
        let changed = alice.put(&created.path(rest), body).await.expect(200);
        let after = alice.get_at(&created.path(""), changed.header("integration-position")).await.expect(200).json();
        assert_eq!(after["createdAt"], first["createdAt"], "{rest}");
        assert!(after["updatedAt"].as_str() >= before["updatedAt"].as_str(), "{rest}");
        before = after;
    }
    // A clock of milliseconds may stand still for a few changes, but not for many.
    for number in 0.. {
        let changed = alice.put(&created.path(""), json!({ "description": format!("d{number}") })).await.expect(200);
        if changed.json()["updatedAt"].as_str() > first["updatedAt"].as_str() {
            break;
        }
        assert!(number < 1000, "it never moves");
    }
}
