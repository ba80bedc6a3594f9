//! What a successful command says of the state that it made: the detail's new tag, its position, the detail itself.

use serde_json::{Value, json};

use super::{ICON, last_event};
use crate::harness::{Answer, Client, Created, Request, Server};

/// Checks what a command said against what can be read at the position that it gave.
async fn check(reader: &Client, integration: &Created, name: &str, answer: &Answer) {
    assert_eq!(answer.headers.get_all("etag").iter().count(), 1, "{name}");
    let detail = reader.get_at(&integration.path(""), answer.header("integration-position")).await.expect(200);
    assert_eq!(answer.header("etag"), detail.header("etag"), "{name}");
    assert_eq!(answer.header("integration-position"), detail.header("integration-position"), "{name}");
    if answer.try_header("content-type") == Some("application/hal+json") {
        assert_eq!(answer.body, detail.body, "{name}");
    }
}

const FORM: &str =
    "--x\r\nContent-Disposition: form-data; name=\"icon\"; filename=\"i.gif\"\r\n\r\nGIF89a\r\n--x--\r\n";

/// Commands in an order in which each succeeds, by name.
fn commands(client: &Client, integration: &Created) -> Vec<(&'static str, u16, Request)> {
    let put = |rest: &str, body: Value| client.request("PUT", &integration.path(rest)).json(&body);
    let delete = |rest: &str| client.request("DELETE", &integration.path(rest));
    let icon = || client.request("PUT", &integration.path("/icon"));
    vec![
        ("update", 200, put("", json!({ "name": "Other" }))),
        ("the same update", 200, put("", json!({ "name": "Other" }))),
        ("the first secret", 200, put("", json!({ "clientSecret": "s" }))),
        ("a secret", 200, put("", json!({ "clientSecret": "s" }))),
        ("share", 200, put("/shares/bob", json!({ "accessLevel": 1 }))),
        ("share again", 200, put("/shares/bob", json!({ "accessLevel": 1 }))),
        ("share at another level", 200, put("/shares/bob", json!({ "accessLevel": 2 }))),
        ("share without a body", 200, client.request("PUT", &integration.path("/shares/team:crew"))),
        ("unshare", 204, delete("/shares/bob")),
        ("tags", 200, put("/tags", json!({ "tags": ["red"] }))),
        ("the same tags", 200, put("/tags", json!({ "tags": ["red"] }))),
        ("a tag", 200, client.request("PUT", &integration.path("/tags/green"))),
        ("the same tag", 200, client.request("PUT", &integration.path("/tags/green"))),
        ("no tag", 204, delete("/tags/green")),
        ("icon", 200, icon().body("image/svg+xml", ICON)),
        ("the same icon", 200, icon().body("image/svg+xml", ICON)),
        ("an icon in a form", 200, icon().body("multipart/form-data; boundary=x", FORM)),
        ("no icon", 204, delete("/icon")),
        ("owner", 200, put("/owner", json!({ "ownerId": "team:crew" }))),
        ("the same owner", 200, put("/owner", json!({ "ownerId": "team:crew" }))),
    ]
}

#[tokio::test]
async fn every_command_answers_the_tag_that_get_gives_and_the_position_of_its_event() {
    let server = Server::start_alone().await;
    let root = server.admin();
    let created = root.post("/api/integrations", json!({ "name": "Slack", "type": "slack" })).await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let header = |name| created.header(name).to_owned();
    let integration = Created { id, slug: String::new(), position: String::new(), etag: header("etag") };
    check(&root, &integration, "create", &created).await;
    let (mut tag, mut position) = (header("etag"), header("integration-position"));
    for (name, status, request) in commands(&root, &integration) {
        // It is uncompressed whatever the request asks for.
        let answer = request.header("accept-encoding", "gzip").send().await.expect(status);
        check(&root, &integration, name, &answer).await;
        let is_same = name.contains("same") || name == "share again";
        assert_eq!(answer.header("etag") == tag, is_same, "{name}");
        assert_eq!(answer.header("integration-position") == position, is_same, "{name}");
        answer.header("etag").clone_into(&mut tag);
        answer.header("integration-position").clone_into(&mut position);
    }
}

#[tokio::test]
async fn a_delete_has_a_position_and_no_tag() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack", "clientSecret": "s" })).await;
    let answer = alice.delete(&created.path("")).await.expect(204);
    assert_eq!(answer.try_header("etag"), None);
    assert!(answer.body.is_empty());
    let position = answer.header("integration-position");
    let list = alice.get_at("/api/integrations", position).await.expect(200);
    assert_eq!(list.header("integration-position"), position);
    let last = last_event(&server, "integration-acme:");
    assert_eq!(list.header("etag").split('.').next().unwrap(), format!("\"{}-{}", last.position, &last.hash[..8]));
    alice.get(&created.path("")).await.expect(404);
}

#[tokio::test]
async fn who_drops_his_own_share_learns_the_new_tag_all_the_same() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    alice.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    let dropped = bob.delete(&created.path("/shares/bob")).await.expect(204);
    check(&alice, &created, "unshare", &dropped).await;
    bob.get_at(&created.path(""), dropped.header("integration-position")).await.expect(404);
}

#[tokio::test]
async fn an_answer_without_a_body_tells_no_length() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for client in [alice.clone(), Client { http, ..alice.clone() }] {
        client.put(&created.path("/tags/red"), json!({})).await.expect(200);
        let answer = client.delete(&created.path("/tags/red")).await.expect(204);
        assert_eq!(answer.try_header("content-length"), None);
    }
}

#[tokio::test]
async fn a_command_takes_the_slug_and_answers_the_same() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let updated = alice.put("/api/integrations/slack", json!({ "name": "Other" })).await.expect(200);
    check(&alice, &created, "update by slug", &updated).await;
    let by_slug = alice.get("/api/integrations/slack").await.expect(200);
    assert_eq!(by_slug.header("etag"), updated.header("etag"));
}
