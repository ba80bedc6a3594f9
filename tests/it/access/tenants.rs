//! Two tenants whose names and ids are chosen to collide never see or touch each other.

use serde_json::{Value, json};

use super::super::harness::{ADMIN, Answer, CREATE, Client, Server};

const ID: &str = "01a20cb8-af5f-7247-90f0-09771fc0c36d";
const TENANTS: [&str; 7] = ["a", "a-b", "a.b", "A", "integration-a", "slug-a", "key-a"];

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
    let of_tenant = of_tenant.into_iter().chain(["/api/principals/bob/integrations"]);
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
    for path in [&created.path(""), "/api/principals/bob/integrations"] {
        client.get_at(path, &at).await.expect(200);
    }
}

/// Every kind of command on the integration that all tenants have, and a create; the position of the last.
async fn do_everything(client: &Client) -> String {
    let path = format!("/api/integrations/{ID}");
    client.put(&path, json!({ "name": "Changed" })).await.expect(200);
    client.put(&format!("{path}/shares/bob"), json!({ "accessLevel": 3 })).await.expect(200);
    client.put(&format!("{path}/shares/carol"), json!({ "accessLevel": 1 })).await.expect(200);
    client.delete(&format!("{path}/shares/carol")).await.expect(204);
    client.put(&format!("{path}/tags/b"), json!({})).await.expect(200);
    client.delete(&format!("{path}/tags/b")).await.expect(204);
    client.put(&format!("{path}/owner"), json!({ "ownerId": "carol" })).await.expect(200);
    client.delete(&format!("{path}/icon")).await.expect(204);
    client.post("/api/integrations", json!({ "name": "Slack", "type": "slack" })).await.expect(201);
    client.delete(&path).await.expect(204).header("integration-position").to_owned()
}

/// A service in which every tenant has the integration.
async fn with_all_tenants() -> Server {
    let server = Server::start().await;
    for tenant in TENANTS {
        create(&admin_of(&server, tenant), tenant).await;
    }
    server
}

/// Lets one tenant after the other do everything, while those that have yet to are as they were made.
async fn check_that_others_stay(order: &[&str]) {
    let server = with_all_tenants().await;
    for (at, acting) in order.iter().enumerate() {
        let mut before = Vec::new();
        for tenant in order.iter().filter(|tenant| *tenant != acting) {
            before.push((tenant, shown(&admin_of(&server, tenant)).await));
        }
        for (tenant, answers) in before.iter().filter(|(tenant, _)| order[at..].contains(tenant)) {
            assert_eq!(answers[0].json()["description"], **tenant);
            assert_eq!(answers[1].body, format!("GIF89a{tenant}").into_bytes());
            assert_eq!(answers[4].json(), json!({ "tags": [tenant] }));
        }
        let last = do_everything(&admin_of(&server, acting)).await;
        for (tenant, answers) in before {
            let client = admin_of(&server, tenant);
            for path in ["/api/integrations", "/api/principals/bob/integrations"] {
                client.get_at(path, &last).await.expect(200);
            }
            assert_eq!(shown(&client).await, answers, "{acting} changed what {tenant} is shown");
        }
    }
}

#[tokio::test]
async fn what_one_tenant_does_leaves_every_answer_of_the_others_as_it_was() {
    let mut order = TENANTS;
    check_that_others_stay(&order).await;
    order.reverse();
    check_that_others_stay(&order).await;
}

#[tokio::test]
async fn the_end_of_one_tenants_data_key_takes_no_secret_of_another() {
    let mut order = TENANTS;
    for _ in 0..2 {
        let server = with_all_tenants().await;
        for (at, acting) in order.iter().enumerate() {
            admin_of(&server, acting).delete(&format!("/api/integrations/{ID}")).await.expect(204);
            for tenant in &order[at + 1..] {
                let given = json!({ "clientSecret": acting });
                let detail = admin_of(&server, tenant).put(&format!("/api/integrations/{ID}"), given).await.expect(200);
                assert_eq!(detail.json()["hasClientSecret"], true, "{tenant} after {acting}");
            }
        }
        order.reverse();
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
