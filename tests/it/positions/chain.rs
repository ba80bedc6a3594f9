//! A read at the position that a command gave always shows what the command did.

use tokio::task::JoinSet;

use super::*;
use crate::harness::ADMIN;

/// Users who write at the same time, two in each tenant.
const WRITERS: usize = 24;
/// Integrations that each has.
const ROUNDS: usize = 2;

/// What a read must show after a command.
type Shows = fn(&Value, usize) -> bool;

/// A command, what of the integration is read after it, and what that must show.
struct Step {
    method: &'static str,
    command: String,
    body: Value,
    read: &'static str,
    shows: Shows,
}

fn step(method: &'static str, command: impl Into<String>, body: Value, read: &'static str, shows: Shows) -> Step {
    Step { method, command: command.into(), body, read, shows }
}

fn has_tag(tags: &Value, round: usize) -> bool {
    tags["tags"].as_array().unwrap().contains(&format!("t{round}").into())
}

/// Every command but the first and the last of an integration's life, each of which changes it.
fn steps(round: usize) -> Vec<Step> {
    let named = json!({ "name": format!("Name {round}") });
    vec![
        step("PUT", "", named, "", |detail, round| detail["name"] == format!("Name {round}")),
        step("PUT", "", json!({ "apiKey": "k" }), "", |detail, _| detail["hasApiKey"] == true),
        step("PUT", "", json!({ "apiKey": null }), "", |detail, _| detail["hasApiKey"] == false),
        step("PUT", "/shares/bob", json!({ "accessLevel": 1 }), "/shares/bob", |share, _| share["accessLevel"] == 1),
        step("PUT", "/shares/bob", json!({ "accessLevel": 2 }), "/shares", |shares, _| {
            shares["_embedded"]["inf:integration-share"][0]["accessLevel"] == 2
        }),
        step("DELETE", "/shares/bob", Value::Null, "/shares", |shares, _| shares["total"] == 0),
        step("PUT", "/tags", json!({ "tags": ["one", "two"] }), "/tags", |tags, _| {
            tags["tags"] == json!(["one", "two"])
        }),
        step("PUT", format!("/tags/t{round}"), Value::Null, "/tags", has_tag),
        step("DELETE", format!("/tags/t{round}"), Value::Null, "/tags", |tags, round| !has_tag(tags, round)),
        step("PUT", "/owner", json!({ "ownerId": "zoe" }), "/owner", |owner, _| owner["ownerId"] == "zoe"),
        step("PUT", "/owner", json!({ "ownerId": "root" }), "/owner", |owner, _| owner["ownerId"] == "root"),
    ]
}

async fn command(client: &Client, created: &Created, step: &Step) -> String {
    let request = client.request(step.method, &created.path(&step.command));
    let request = if step.body.is_null() { request } else { request.json(&step.body) };
    let answer = request.send().await;
    assert!(matches!(answer.status, 200 | 204), "{} {}: {}", step.method, step.command, answer.text());
    answer.header("integration-position").to_owned()
}

/// One life of an integration, and how many commands it had.
async fn live(client: &Client, round: usize) -> usize {
    let created = client.create(json!({ "name": format!("Round {round}"), "type": "slack" })).await;
    let seen = client.get_at(&created.path(""), &created.position).await.expect(200);
    assert_eq!(seen.header("etag"), created.etag);
    let steps = steps(round);
    for step in &steps {
        let position = command(client, &created, step).await;
        let shown = client.get_at(&created.path(step.read), &position).await.expect(200);
        assert!((step.shows)(&shown.json(), round), "{} {}: {}", step.method, step.command, shown.text());
        assert!(shown.header("integration-position") >= position.as_str());
    }
    let icon = format!("GIF89a{round}");
    let set = client.request("PUT", &created.path("/icon")).body("image/gif", icon.clone()).send().await.expect(200);
    let shown = client.get_at(&created.path("/icon"), set.header("integration-position")).await.expect(200);
    assert_eq!(shown.text(), icon);
    let removed = client.delete(&created.path("/icon")).await.expect(204);
    client.get_at(&created.path("/icon"), removed.header("integration-position")).await.expect(404);
    let deleted = client.delete(&created.path("")).await.expect(204);
    client.get_at(&created.path(""), deleted.header("integration-position")).await.expect(404);
    steps.len() + 4
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_at_a_commands_position_always_shows_what_the_command_did() {
    let server = Server::start().await;
    let root = server.admin();
    // So many at once that batches of the log hold events of several, of several tenants too.
    let mut lives = JoinSet::new();
    for number in 0..WRITERS {
        let claims = json!({ "sub": "root", "tenant": format!("t{}", number / 2), "permissions": [ADMIN] });
        let client = Client { token: Some(server.token(claims)), ..root.clone() };
        lives.spawn(async move {
            let mut commands = 0;
            for round in 0..ROUNDS {
                commands += live(&client, ROUNDS * number + round).await;
            }
            commands
        });
    }
    let commands: usize = lives.join_all().await.into_iter().sum();
    assert!(commands >= 400, "only {commands} commands");
}

#[tokio::test]
async fn positions_of_commands_grow_and_are_those_of_the_state_that_they_made() {
    let server = Server::start().await;
    let root = server.admin();
    let created = root.create(json!({ "name": "Slack", "type": "slack" })).await;
    let mut last = created.position.clone();
    for step in &steps(0) {
        let position = command(&root, &created, step).await;
        assert!(position > last, "{} {}", step.method, step.command);
        // Nobody else writes: the state at this position is the command's own.
        let shown = root.get_at(&created.path(""), &position).await.expect(200);
        assert_eq!(shown.header("integration-position"), position, "{} {}", step.method, step.command);
        last = position;
    }
    let unchanged = root.put(&created.path(""), json!({ "mode": "per-user" })).await.expect(200);
    assert_eq!(unchanged.header("integration-position"), last, "what appends nothing answers its last event's");
}
