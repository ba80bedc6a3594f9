//! With `--otlp`: what a collector is told of a request and of what follows from it.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::{
    harness::{Answer, Client, Request, Server},
    log,
    topology::IS_ONE_PROCESS,
};
use collector::Collector;

#[path = "trace/collector.rs"]
pub(crate) mod collector;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn serving(collector: &Collector) -> Server {
    Server::start_with(&["--otlp", &collector.url]).await
}

pub(crate) fn create(client: &Client) -> Request {
    let body = json!({ "name": "Canary Drive", "type": "google-drive", "clientSecret": "canary-secret" });
    client.request("POST", "/api/integrations").json(&body)
}

/// Reads from each view what is as new as a change.
async fn read_each_view(client: &Client, change: &Answer) {
    for path in ["/api/integrations-list", "/api/principals/alice/integrations"] {
        client.get_at(path, change.header("integration-position")).await.expect(200);
    }
}

/// The trace contexts of an integration's events.
fn recorded(server: &Server, created: &Answer) -> Vec<Option<String>> {
    let (rows, id) = (server.rows(), created.json()["id"].as_str().unwrap().to_owned());
    let recorded = |row: &log::Row| row.metadata()["traceparent"].as_str().map(str::to_owned);
    log::of_integration(&rows, &id).iter().map(|row| recorded(row)).collect()
}

#[tokio::test]
async fn a_request_its_event_and_its_views_stand_in_the_clients_trace() {
    let collector = Collector::start();
    let mut server = serving(&collector).await;
    let alice = server.alice();
    let traced = create(&alice).header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    let created = traced.send().await.expect(201);
    read_each_view(&alice, &created).await;
    let recorded = recorded(&server, &created);
    assert!(server.terminate().success());
    let request = collector.one("POST /api/integrations");
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, PARENT));
    assert_eq!((request.kind, request.has_failed), (SpanKind::Server, false));
    let expected =
        [("http.request.method", "POST"), ("http.response.status_code", "201"), ("http.route", "/api/integrations")];
    assert_eq!(request.attributes(), expected);
    assert_eq!(recorded, [Some(format!("00-{TRACE}-{}-01", request.id))], "what follows hangs below the request");
    for view in ["integrations", "access-by-principal"] {
        let projected = collector.one(&format!("project {view}"));
        assert_eq!((&projected.trace, &projected.parent), (&request.trace, &request.id), "{view}");
        assert_eq!((projected.kind, projected.has_failed), (SpanKind::Consumer, false));
        assert_eq!(projected.attributes(), [("integrations.view", view)]);
        assert_eq!(projected.service, if IS_ONE_PROCESS { "integrations" } else { "integrations-projector" });
    }
    assert_eq!(request.service, if IS_ONE_PROCESS { "integrations" } else { "integrations-command" });
    let read = collector.one("GET /api/integrations-list");
    assert_ne!(read.trace, TRACE, "the trace of another request");
    assert_eq!(read.service, if IS_ONE_PROCESS { "integrations" } else { "integrations-query" });
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one_that_its_event_is_part_of() {
    let collector = Collector::start();
    let mut server = serving(&collector).await;
    let alice = server.alice();
    let created = create(&alice).header("traceparent", "nonsense").send().await.expect(201);
    read_each_view(&alice, &created).await;
    let recorded = recorded(&server, &created);
    assert!(server.terminate().success());
    let request = collector.one("POST /api/integrations");
    assert_eq!(request.parent, "");
    assert_eq!(recorded, [Some(format!("00-{}-{}-01", request.trace, request.id))]);
    assert_eq!(collector.one("project integrations").parent, request.id);
}

#[tokio::test]
async fn a_trace_that_its_client_does_not_collect_is_kept_as_it_is_and_not_collected() {
    let collector = Collector::start();
    let mut server = serving(&collector).await;
    let alice = server.alice();
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    let created = create(&alice).header("traceparent", &unsampled).send().await.expect(201);
    read_each_view(&alice, &created).await;
    assert_eq!(recorded(&server, &created), [Some(unsampled)]);
    assert!(server.terminate().success());
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    let others = |name: &String| name.starts_with("GET /api/");
    assert!(!names.is_empty() && names.iter().all(others), "{names:?}");
}

#[tokio::test]
async fn spans_tell_methods_routes_and_statuses_and_nothing_of_whose_they_are() {
    let collector = Collector::start();
    let mut server = serving(&collector).await;
    let alice = server.alice();
    let created = create(&alice).send().await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    read_each_view(&alice, &created).await;
    let path = format!("/api/integrations/{id}");
    alice.put(&format!("{path}/tags/canary-tag"), json!({})).await.expect(200);
    alice.get(&format!("{path}?q=canary-query")).await.expect(400);
    server.anonymous().get("/api/integrations/canary-drive").await.expect(401);
    let future = alice.request("GET", "/api/integrations/canary-drive");
    future.header("integration-position", "00000000000f4240").send().await.expect(503);
    alice.get("/canary-path").await.expect(404);
    assert!(server.terminate().success());
    let spans = collector.spans();
    let details: Vec<_> = collector.named("GET /api/integrations/{id}");
    let told = |span: &collector::Seen| (span.has_failed, span.attributes.clone());
    let attributes = |given: &[(&str, &str)]| -> Vec<_> {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let (method, route) = (("http.request.method", "GET"), ("http.route", "/api/integrations/{id}"));
    let refused = |status| attributes(&[method, ("http.response.status_code", status), route]);
    let failed = attributes(&[("error.type", "503"), method, ("http.response.status_code", "503"), route]);
    let expected = [(false, refused("400")), (false, refused("401")), (true, failed)];
    assert_eq!(details.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(collector.one("PUT /api/integrations/{id}/tags/{tagId}").kind, SpanKind::Server);
    let unknown = collector.one("GET");
    assert_eq!(told(&unknown), (false, attributes(&[method, ("http.response.status_code", "404")])));
    for span in &spans {
        for canary in ["acme", "alice", "bob", "canary", "Canary", &id, "Bearer", "127.0.0.1"] {
            assert!(!span.text.contains(canary), "{canary} is in {}", span.text);
        }
        assert!(!span.name.contains("readyz"), "probes are not collected");
    }
}
