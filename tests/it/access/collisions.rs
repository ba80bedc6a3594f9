//! Names of tenants, users, keys and slugs that would be the same thing if they were only put behind each other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::harness::{ADMIN, CREATE, Client, Server};

const ID: &str = "01a20cb8-af5f-7247-90f0-09771fc0c36d";

fn creator(server: &Server, tenant: &str, user: &str) -> Client {
    server.client(json!({ "sub": user, "tenant": tenant, "permissions": [CREATE] }))
}

fn admin_of(server: &Server, tenant: &str) -> Client {
    server.client(json!({ "sub": "root", "tenant": tenant, "permissions": [ADMIN] }))
}

#[tokio::test]
async fn a_slug_belongs_to_its_tenant_wherever_the_name_is_cut() {
    let server = Server::start().await;
    // Behind each other, all of these are a-b-c-d.
    let pairs = [("a", "b-c-d"), ("a-b", "c-d"), ("a-b-c", "d")];
    for (tenant, slug) in pairs {
        let created = admin_of(&server, tenant).create(json!({ "name": slug, "type": "custom" })).await;
        assert_eq!(created.slug, slug, "{tenant}");
    }
    let gone = admin_of(&server, "a").delete("/api/integrations/b-c-d").await.expect(204);
    for (tenant, slug) in &pairs[1..] {
        let client = admin_of(&server, tenant);
        client.get_at("/api/integrations", gone.header("integration-position")).await.expect(200);
        assert_eq!(client.get(&format!("/api/integrations/{slug}")).await.expect(200).json()["slug"], *slug);
        // It is still taken.
        let second = client.create(json!({ "name": slug, "type": "custom" })).await;
        assert_eq!(second.slug, format!("{slug}-2"));
    }
    let again = admin_of(&server, "a").create(json!({ "name": "b-c-d", "type": "custom" })).await;
    assert_eq!(again.slug, "b-c-d");
}

#[tokio::test]
async fn an_idempotency_key_is_told_apart_from_user_and_tenant_wherever_they_are_cut() {
    let server = Server::start().await;
    let cases = [("a", "b", "cd"), ("a", "bc", "d"), ("ab", "c", "d"), ("a", "b:c", "d"), ("a", "b", "c:d")];
    let mut ids = BTreeSet::new();
    for (tenant, user, key) in cases {
        let request = creator(&server, tenant, user).request("POST", "/api/integrations");
        let request = request.header("idempotency-key", key).json(&json!({ "name": "Slack", "type": "slack" }));
        let created = request.send().await.expect(201).json();
        ids.insert(created["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), cases.len());
}

#[tokio::test]
async fn a_share_means_a_name_in_its_own_tenant_only() {
    let server = Server::start().await;
    let tenants = ["a", "a-b"];
    let body = json!({ "id": ID, "name": "Slack", "type": "slack" });
    for tenant in tenants {
        creator(&server, tenant, "alice").create(body.clone()).await;
    }
    let path = format!("/api/integrations/{ID}");
    let mut position = String::new();
    for (principal, level) in [("bob", 3), ("team:x", 3), ("team:a-b", 3)] {
        let share = json!({ "accessLevel": level });
        let answer = creator(&server, "a", "alice").put(&format!("{path}/shares/{principal}"), share).await.expect(200);
        position = answer.header("integration-position").to_owned();
    }
    let groups = ["team:x", "team:a", "team:a-b"];
    let bob = |tenant: &str| server.client(json!({ "sub": "bob", "tenant": tenant, "groups": groups }));
    bob("a").get_at(&path, &position).await.expect(200);
    bob("a-b").get_at(&path, &position).await.expect_problem(404, "not-found");
    bob("a-b").delete(&path).await.expect_problem(404, "not-found");
    // Nor does the owner's name count elsewhere.
    creator(&server, "A", "alice").get(&path).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_tag_of_one_tenant_matches_nothing_of_another() {
    let server = Server::start().await;
    let body = json!({ "id": ID, "name": "Slack", "type": "slack" });
    let clients = ["a", "a-b"].map(|tenant| creator(&server, tenant, "alice"));
    let path = format!("/api/integrations/{ID}");
    let mut position = String::new();
    for client in &clients {
        position = client.create(body.clone()).await.position;
    }
    let foreign: Value = json!({ "name": "Changed" });
    let [first, second] = &clients;
    let tag = first.get_at(&path, &position).await.expect(200).header("etag").to_owned();
    let stale = second.request("PUT", &path).header("if-match", &tag).json(&foreign);
    stale.send().await.expect_problem(412, "stale");
    for (method, path) in [("DELETE", path.clone()), ("PUT", format!("{path}/tags/x"))] {
        second.request(method, &path).header("if-match", &tag).send().await.expect_problem(412, "stale");
    }
    for path in [path.as_str(), "/api/integrations", "/api/integrations-list"] {
        let tag = first.get_at(path, &position).await.expect(200).header("etag").to_owned();
        second.get_at(path, &position).await.expect(200);
        second.request("GET", path).header("if-none-match", &tag).send().await.expect(200);
        first.request("GET", path).header("if-none-match", &tag).send().await.expect(304);
    }
}

#[tokio::test]
async fn a_library_of_the_same_name_in_another_tenant_is_another() {
    let server = Server::start().await;
    let tenants = ["a", "a-b", "a.b"];
    let body = json!({ "id": ID, "name": "Slack", "type": "slack", "embedded": true, "libraryId": "b:c" });
    for tenant in &tenants[..2] {
        admin_of(&server, tenant).create(body.clone()).await;
    }
    let gone = admin_of(&server, "a").delete(&format!("/api/integrations/{ID}")).await.expect(204);
    for (tenant, total) in tenants.into_iter().zip([0, 1, 0]) {
        let path = "/api/libraries/b:c/integrations";
        let list = admin_of(&server, tenant).get_at(path, gone.header("integration-position")).await.expect(200);
        assert_eq!(list.json()["total"], total, "{tenant}");
    }
}

#[tokio::test]
async fn an_id_that_was_deleted_in_one_tenant_is_free_in_another() {
    let server = Server::start().await;
    let body = json!({ "id": ID, "name": "Slack", "type": "slack", "clientSecret": "s" });
    admin_of(&server, "a").create(body.clone()).await;
    admin_of(&server, "a").delete(&format!("/api/integrations/{ID}")).await.expect(204);
    let other = json!({ "id": ID, "name": "Other", "type": "slack" });
    admin_of(&server, "a").post("/api/integrations", other.clone()).await.expect_problem(409, "id-taken");
    let created = admin_of(&server, "a-b").create(body).await;
    let detail = admin_of(&server, "a-b").get_at(&created.path(""), &created.position).await.expect(200).json();
    assert_eq!((&detail["hasClientSecret"], &detail["slug"]), (&json!(true), &json!("slack")));
}
