//! What an operator sees: metrics that move and name nobody, and one line of log for each request.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    harness::{Client, Server},
    process::eventually,
};

async fn metrics(server: &Server) -> String {
    server.anonymous().get("/metrics").await.expect(200).text()
}

/// The value of a metric with these labels, in any order.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[track_caller]
fn number(text: &str, name: &str) -> f64 {
    value(text, name, &[]).unwrap_or_else(|| panic!("{name} is not in:\n{text}"))
}

#[tokio::test]
async fn requests_are_timed_by_route() {
    if !crate::topology::IS_ONE_PROCESS {
        // Each process has limits and metrics of its own.
        return;
    }
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    for _ in 0..3 {
        alice.get_at(&created.path(""), &created.position).await.expect(200);
    }
    alice.get(&created.path("/nothing")).await.expect(404);
    let text = metrics(&server).await;
    let labels = [r#"method="GET""#, r#"route="/api/integrations/{id}""#, r#"status="200""#];
    assert_eq!(value(&text, "integrations_request_seconds_count", &labels), Some(3.0), "{text}");
    assert!(value(&text, "integrations_request_seconds_sum", &labels).unwrap() > 0.0);
    let bucket = [labels[0], labels[1], labels[2], r#"le="+Inf""#];
    assert_eq!(value(&text, "integrations_request_seconds_bucket", &bucket), Some(3.0));
    let labels = [r#"method="POST""#, r#"route="/api/integrations""#, r#"status="201""#];
    assert_eq!(value(&text, "integrations_request_seconds_count", &labels), Some(1.0), "{text}");
    assert!(text.ends_with("# EOF\n"), "it is whole");
}

#[tokio::test]
async fn appends_the_position_of_the_log_and_the_lag_of_the_views_are_told() {
    if !crate::topology::IS_ONE_PROCESS {
        // Each process has limits and metrics of its own.
        return;
    }
    let server = Server::start_alone().await;
    let alice = server.alice();
    let before = metrics(&server).await;
    assert_eq!(number(&before, "integrations_appends_total"), 0.0);
    assert_eq!(number(&before, "integrations_log_position"), 0.0);
    let created = alice.create(json!({ "name": "Slack", "type": "slack", "clientSecret": "s" })).await;
    alice.put(&created.path(""), json!({ "description": "d" })).await.expect(200);
    alice.put(&created.path(""), json!({ "description": "d" })).await.expect(200);
    let text = metrics(&server).await;
    assert_eq!(number(&text, "integrations_appends_total"), 2.0, "a command is one append, and no change is none");
    let last = server.rows().last().unwrap().position;
    assert_eq!(number(&text, "integrations_log_position").to_string(), last.to_string());
    eventually("the views have caught up", async || {
        number(&metrics(&server).await, "integrations_projection_lag") == 0.0
    })
    .await;
    assert_eq!(number(&text, "integrations_requests_in_flight"), 0.0);
    assert_eq!(number(&text, "integrations_requests_waiting"), 0.0);
}

#[tokio::test]
async fn conflicts_are_counted() {
    if !crate::topology::IS_ONE_PROCESS {
        // Each process has limits and metrics of its own.
        return;
    }
    let server = Server::start_alone().await;
    assert_eq!(number(&metrics(&server).await, "integrations_conflicts_total"), 0.0);
    let mut round = 0;
    // Creates of one name meet on its slug, if they are there at the same time.
    eventually("creates met", async || {
        round += 1;
        let body = json!({ "name": format!("Same {round}"), "type": "custom" });
        let creates: JoinSet<_> = (0..32)
            .map(|_| {
                let (client, body) = (server.alice(), body.clone());
                async move { client.create(body).await }
            })
            .collect();
        creates.join_all().await;
        number(&metrics(&server).await, "integrations_conflicts_total") > 0.0
    })
    .await;
}

#[tokio::test]
async fn a_request_that_waits_is_counted_as_waiting_and_not_as_in_flight() {
    let server = Server::start_alone().await;
    let bob = server.bob();
    let request = bob.request("GET", "/api/integrations").header("integration-position", "00000000000f4240");
    let waiting: JoinSet<_> = [request.header("prefer", "wait=30").send()].into_iter().collect();
    eventually("it waits", async || server.measured("requests_waiting").await == 1).await;
    assert_eq!(server.measured("requests_in_flight").await, 0);
    drop(waiting);
}

#[tokio::test]
async fn metrics_name_no_tenant_id_or_user() {
    let server = Server::start_alone().await;
    let claims = json!({ "sub": "findable-user", "tenant": "findable-tenant", "groups": ["findable-team"],
        "permissions": [crate::harness::CREATE] });
    let user = server.client(claims);
    let created = user.create(json!({ "name": "Findable name", "type": "findable-type", "clientSecret": "s" })).await;
    for rest in ["/shares/findable-share", "/tags/findable-tag"] {
        user.request("PUT", &created.path(rest)).send().await.expect(200);
    }
    user.get_at(&format!("/api/integrations/{}", created.slug), &created.position).await.expect(200);
    user.get("/api/libraries/findable-library/integrations").await.expect(200);
    user.get("/api/findable-path").await.expect(404);
    user.get("/findable-root").await.expect(404);
    user.request("FINDABLE", &created.path("")).send().await.expect(405);
    user.get("/api/integrations?q=findable-word").await.expect(200);
    user.request("GET", "/livez").header("x-request-id", "findable-request").send().await.expect(200);
    let text = metrics(&server).await.to_lowercase();
    assert!(!text.contains("findable"), "{text}");
    assert!(!text.contains(&created.id), "{text}");
}

fn lines(server: &Server) -> Vec<Value> {
    server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The lines of one request, once there is one: lines are written a moment later.
async fn of_request(server: &Server, id: &str) -> Vec<Value> {
    let of_it = || lines(server).into_iter().filter(|line| line["id"] == id).collect::<Vec<_>>();
    eventually("it is logged", async || !of_it().is_empty()).await;
    of_it()
}

async fn ask(client: &Client, id: &str, method: &str, path: &str) -> u16 {
    let answer = client.request(method, path).header("x-request-id", id).send().await;
    assert_eq!(answer.header("x-request-id"), id);
    answer.status
}

#[tokio::test]
async fn each_request_is_one_line_of_log_with_its_id_route_and_status() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let anonymous = server.anonymous();
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    for (id, client, method, path, route, status) in [
        ("r-1", &alice, "GET", created.path("").as_str(), "/api/integrations/{id}", 200),
        ("r-2", &alice, "PUT", &created.path("/shares/bob"), "/api/integrations/{id}/shares/{principalId}", 200),
        ("r-3", &alice, "GET", "/api/integrations/nothing", "/api/integrations/{id}", 404),
        ("r-4", &anonymous, "GET", "/api/integrations", "/api/integrations", 401),
        ("r-5", &alice, "DELETE", "/api/integrations", "/api/integrations", 405),
        ("r-6", &anonymous, "GET", "/livez", "/livez", 200),
        ("r-7", &alice, "GET", &created.path("/connection"), "/api/integrations/{id}/connection", 501),
    ] {
        assert_eq!(ask(client, id, method, path).await, status, "{id}");
        let lines = of_request(&server, id).await;
        assert_eq!(lines.len(), 1, "{id}: {lines:?}");
        assert_eq!(lines[0]["method"], method, "{id}");
        assert_eq!(lines[0]["route"], route, "{id}");
        assert_eq!(lines[0]["status"], status, "{id}");
        assert!(lines[0]["duration_us"].as_u64().is_some(), "{id}");
        assert!(lines[0]["message"].is_string(), "{id}");
    }
}

#[tokio::test]
async fn a_request_without_a_usable_id_is_given_one_of_its_own() {
    let server = Server::start_alone().await;
    let bob = server.bob();
    let mut given = BTreeSet::new();
    let ask = |id: Option<String>| {
        let request = bob.request("GET", "/api/me");
        id.map_or(request.clone(), |id| request.header("x-request-id", &id)).send()
    };
    for id in [None, None, Some("with space".to_owned()), Some("x".repeat(1_000)), Some("ümlaut".to_owned())] {
        let answer = ask(id.clone()).await.expect(200);
        let told = answer.header("x-request-id").to_owned();
        assert!(id.is_none_or(|id| id != told));
        assert_eq!(of_request(&server, &told).await.len(), 1);
        assert!(given.insert(told), "each has its own");
    }
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let request =
        |client: &Client, method: &str, path: &str| client.request(method, path).header("x-request-id", "mine");
    let requests = [
        (request(&server.anonymous(), "GET", "/api/me"), 401),
        (request(&alice, "GET", "/nowhere"), 404),
        (request(&alice, "POST", "/api/integrations").body("text/plain", "x"), 415),
        (request(&alice, "POST", "/api/integrations").body("application/json", "{"), 400),
        (request(&alice, "PUT", &created.path("")).header("if-match", "\"stale\"").json(&json!({})), 412),
        (request(&alice, "OPTIONS", "/api/integrations"), 204),
        (request(&alice, "HEAD", "/api/integrations"), 200),
        (request(&alice, "GET", "/openapi.json"), 200),
        (request(&alice, "DELETE", &created.path("")), 204),
    ];
    for (request, status) in requests {
        let answer = request.send().await.expect(status);
        assert_eq!(answer.header("x-request-id"), "mine", "{status}");
    }
}
