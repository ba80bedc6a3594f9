//! Two tenants whose names and ids are chosen to collide never see or touch each other.

use serde_json::{Value, json};

use super::super::harness::{ADMIN, Answer, CREATE, Client, Server};

const ID: &str = "01a20cb8-af5f-7247-90f0-09771fc0c36d";
const TENANTS: [&str; 6] = ["a", "a-b", "a.b", "A", "integration-a", "slug-a"];

fn admin_of(server: &Server, tenant: &str) -> Client {
    server.client(json!({ "sub": "root", "tenant": tenant, "permissions": [ADMIN, CREATE] }))
}

/// Everything that a tenant shows.
async fn shown(client: &Client) -> Vec<Answer> {
    let mut answers = Vec::new();
    let of_integration =
        ["", "/icon", "/shares", "/owner", "/tags", "/access"].map(|rest| format!("/api/integrations/{ID}{rest}"));
    let of_tenant =
        ["/api/integrations", "/api/integrations-list", "/api/integrations/slack", "/api/libraries/b/integrations"];
    for path in of_integration.iter().map(String::as_str).chain(of_tenant) {
        let mut answer = client.get(path).await;
        for changing in ["date", "x-request-id"] {
            answer.headers.remove(changing);
        }
        answers.push(answer);
    }
    answers
}

async fn create(client: &Client, tenant: &str) {
    let body: Value = json!({ "id": ID, "name": "Slack", "type": "slack", "description": tenant, "clientSecret": "s" });
    let created = client.create(body).await;
    assert_eq!((created.id.as_str(), created.slug.as_str()), (ID, "slack"));
    let icon = client.request("PUT", &created.path("/icon")).body("image/gif", format!("GIF89a{tenant}")).send().await;
    let tags = client.put(&created.path("/tags"), json!({ "tags": [tenant] })).await.expect(200);
    assert_eq!(icon.expect(200).status, 200);
    let at = tags.header("integration-position").to_owned();
    client.get_at(&created.path(""), &at).await.expect(200);
}

#[tokio::test]
async fn what_one_tenant_does_leaves_every_answer_of_the_others_as_it_was() {
    let server = Server::start().await;
    for tenant in TENANTS {
        create(&admin_of(&server, tenant), tenant).await;
    }
    let acting = admin_of(&server, "a");
    let mut before = Vec::new();
    for tenant in &TENANTS[1..] {
        let answers = shown(&admin_of(&server, tenant)).await;
        assert_eq!(answers[0].json()["description"], *tenant);
        assert_eq!(answers[1].body, format!("GIF89a{tenant}").into_bytes());
        assert_eq!(answers[4].json(), json!({ "tags": [tenant] }));
        before.push(answers);
    }
    let path = format!("/api/integrations/{ID}");
    acting.put(&path, json!({ "name": "Changed" })).await.expect(200);
    acting.put(&format!("{path}/shares/bob"), json!({ "accessLevel": 3 })).await.expect(200);
    acting.put(&format!("{path}/tags/b"), json!({})).await.expect(200);
    acting.put(&format!("{path}/owner"), json!({ "ownerId": "carol" })).await.expect(200);
    acting.delete(&format!("{path}/icon")).await.expect(204);
    acting.post("/api/integrations", json!({ "name": "Slack", "type": "slack" })).await.expect(201);
    let last = acting.delete(&path).await.expect(204);
    acting.get_at("/api/integrations", last.header("integration-position")).await.expect(200);
    for (tenant, before) in TENANTS[1..].iter().zip(before) {
        let client = admin_of(&server, tenant);
        client.get_at("/api/integrations", last.header("integration-position")).await.expect(200);
        assert_eq!(shown(&client).await, before, "{tenant}");
    }
    // Its data key was destroyed with the integration; the others' secrets are still theirs to keep.
    for tenant in &TENANTS[1..] {
        let client = admin_of(&server, tenant);
        let detail = client.put(&path, json!({ "description": "still there" })).await.expect(200);
        assert_eq!(detail.json()["hasClientSecret"], true, "{tenant}");
    }
}

#[tokio::test]
async fn nothing_of_another_tenant_can_be_named() {
    let server = Server::start().await;
    create(&admin_of(&server, "a"), "a").await;
    for tenant in &TENANTS[1..] {
        let client = admin_of(&server, tenant);
        for name in [ID, "slack"] {
            let path = format!("/api/integrations/{name}");
            client.get(&path).await.expect_problem(404, "not-found");
            client.put(&path, json!({ "name": "Mine" })).await.expect_problem(404, "not-found");
            client
                .put(&format!("{path}/shares/root"), json!({ "accessLevel": 3 }))
                .await
                .expect_problem(404, "not-found");
            client.delete(&path).await.expect_problem(404, "not-found");
        }
        let list = client.get("/api/integrations").await.expect(200);
        assert_eq!(list.json()["total"], 0, "{tenant}");
        assert!(list.header("etag").starts_with("\"0-00000000."), "{tenant}");
        assert_eq!(client.get("/api/integrations-list").await.expect(200).json(), json!([]));
    }
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_its_tenant_and_its_user() {
    let server = Server::start().await;
    let clients = [
        server.client(json!({ "sub": "alice", "tenant": "a", "permissions": [CREATE] })),
        server.client(json!({ "sub": "alice", "tenant": "a-b", "permissions": [CREATE] })),
        server.client(json!({ "sub": "bob", "tenant": "a", "permissions": [CREATE] })),
    ];
    let mut ids = std::collections::BTreeSet::new();
    for client in &clients {
        let request = client.request("POST", "/api/integrations").header("idempotency-key", "k");
        let created = request.json(&json!({ "name": "Slack", "type": "slack" })).send().await.expect(201);
        ids.insert(created.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), clients.len());
}
