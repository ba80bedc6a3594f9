//! Options of `serve`, given on the command line or by the environment.

use std::{net::TcpListener, path::PathBuf, process::Command};

use serde_json::json;
use tempfile::TempDir;

use super::LIST;
use crate::harness::{Answer, CREATE, Client, Request, Server};
use crate::process::{Process, client, with_token};
use crate::service::binary;

const APP: &str = "https://app.example.com";
const ADMIN_APP: &str = "https://admin.example.com:8443";

fn data_dir(directory: &TempDir) -> PathBuf {
    directory.path().join("data")
}

/// An address where nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Sends what the description says nothing of: CORS and where metrics are depend on options.
async fn ask(request: Request) -> Answer {
    request.try_send().await.unwrap()
}

/// `serve` with these variables and no options.
fn serve_with(variables: &[(&str, &str)]) -> Command {
    let mut command = binary();
    command.arg("serve").env("INTEGRATIONS_LISTEN", "127.0.0.1:0").envs(variables.iter().copied());
    command
}

#[tokio::test]
async fn without_a_data_directory_it_is_data_in_the_current_one() {
    let directory = tempfile::tempdir().unwrap();
    let service = Process::start(serve_with(&[]).current_dir(directory.path()));
    service.ready().await;
    assert!(data_dir(&directory).join("events.sqlite").exists());
}

#[tokio::test]
async fn every_option_is_an_environment_variable_too() {
    let directory = tempfile::tempdir().unwrap();
    let jwt = directory.path().join("own-jwt.key");
    std::fs::write(&jwt, "a key of the operator's own, long enough").unwrap();
    let master = directory.path().join("own-master.key");
    std::fs::write(&master, "own MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n").unwrap();
    let metrics = free_address();
    let service = Process::start(&mut serve_with(&[
        ("INTEGRATIONS_DATA_DIR", data_dir(&directory).to_str().unwrap()),
        ("INTEGRATIONS_JWT_KEY_FILE", jwt.to_str().unwrap()),
        ("INTEGRATIONS_MASTER_KEY_FILE", master.to_str().unwrap()),
        ("INTEGRATIONS_METRICS_LISTEN", &metrics),
        ("INTEGRATIONS_CORS_ORIGIN", &format!("{APP},{ADMIN_APP}")),
        ("INTEGRATIONS_TRUSTED_PROXY", "10.0.0.0/8,127.0.0.1"),
        ("INTEGRATIONS_MAX_WAITING", "0"),
    ]));
    let url = service.ready().await;
    assert!(!data_dir(&directory).join("jwt.key").exists());
    assert!(!data_dir(&directory).join("master.key").exists());
    let output = binary()
        .args(["token", "--tenant", "acme", "--user", "alice", "--permission", CREATE])
        .env("INTEGRATIONS_DATA_DIR", data_dir(&directory))
        .env("INTEGRATIONS_JWT_KEY_FILE", &jwt)
        .output()
        .unwrap();
    let alice = with_token(&url, String::from_utf8(output.stdout).unwrap().trim());
    let body = json!({ "name": "Slack", "type": "slack", "clientSecret": "s" });
    let create = alice.request("POST", "/api/integrations").header("x-forwarded-for", "198.51.100.7, 10.0.0.1");
    ask(create.json(&body)).await.expect(201);
    let rows = crate::log::rows(&data_dir(&directory));
    let wrapped = rows.iter().find(|row| row.of("key").is_some()).unwrap().json();
    assert_eq!(wrapped["wrapped"]["masterKey"], "own");
    assert_eq!(rows.last().unwrap().metadata()["client"], "198.51.100.7");
    let future = alice.request("GET", LIST).header("integration-position", "00000000000f4240");
    ask(future).await.expect_problem(503, "not-yet-visible");
    assert_eq!(reqwest::get(format!("http://{metrics}/metrics")).await.unwrap().status(), 200);
    for origin in [APP, ADMIN_APP] {
        let answer = ask(alice.request("GET", LIST).header("origin", origin)).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
}

#[tokio::test]
async fn the_limits_that_an_operator_may_change_are_options() {
    let service = Server::start_with(&["--max-waiting", "0"]).await;
    let bob = service.bob();
    bob.get_at("/api/integrations", "00000000000f4240").await.expect_problem(503, "not-yet-visible");
    let service = Server::start_with(&["--max-in-flight", "0"]).await;
    let refused = service.bob().get("/api/integrations").await.expect_problem(429, "too-many-requests");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    for path in ["/livez", "/readyz", "/metrics"] {
        service.anonymous().get(path).await.expect(200);
    }
}

#[tokio::test]
async fn metrics_can_have_an_address_of_their_own_with_nothing_else_on_it() {
    let metrics = free_address();
    let server = Server::start_with(&["--metrics-listen", &metrics]).await;
    let at_the_other = Client { metrics: None, ..server.anonymous() };
    ask(at_the_other.request("GET", "/metrics")).await.expect_problem(404, "not-found");
    let apart = |path: &str| reqwest::get(format!("http://{metrics}{path}"));
    let answer = apart("/metrics").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("integrations_log_position"));
    for path in ["/api/integrations", "/api/me", "/openapi.json", "/docs"] {
        let status = apart(path).await.unwrap().status().as_u16();
        assert!(matches!(status, 401 | 404), "{path}: {status}");
    }
    server.alice().create(json!({ "name": "Slack", "type": "slack" })).await;
    let text = apart("/metrics").await.unwrap().text().await.unwrap();
    assert!(text.contains("integrations_appends_total 1"), "{text}");
}

fn cors_headers(answer: &Answer) -> Vec<&str> {
    answer.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("access-control-")).collect()
}

async fn preflight(client: &Client, origin: &str, method: &str) -> Answer {
    let request = client.request("OPTIONS", "/api/integrations").header("origin", origin);
    let headers = "authorization,content-type,if-match,if-none-match,idempotency-key,integration-position,prefer";
    let request = request.header("access-control-request-headers", headers);
    request.header("access-control-request-method", method).send().await
}

fn listed(answer: &Answer, name: &str) -> Vec<String> {
    answer.header(name).split(',').map(|item| item.trim().to_lowercase()).collect()
}

#[tokio::test]
async fn front_ends_elsewhere_may_ask_when_their_origin_is_named_and_no_other() {
    let server = Server::start_with(&["--cors-origin", APP, "--cors-origin", ADMIN_APP]).await;
    for origin in [APP, ADMIN_APP] {
        let allowed = preflight(&server.anonymous(), origin, "PUT").await;
        assert_eq!(allowed.status, 204, "{allowed:?}");
        assert!(allowed.header("allow").contains("POST"), "it tells the methods, as every OPTIONS");
        assert_eq!(allowed.header("access-control-allow-origin"), origin);
        let methods = listed(&allowed, "access-control-allow-methods");
        assert!(["get", "post", "put", "delete"].iter().all(|method| methods.iter().any(|one| one == method)));
        let headers = listed(&allowed, "access-control-allow-headers");
        for header in ["authorization", "content-type", "if-match", "if-none-match", "idempotency-key", "prefer"] {
            assert!(headers.iter().any(|one| one == header), "{header} is not in {headers:?}");
        }
        let answer = ask(server.alice().request("GET", LIST).header("origin", origin)).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        let exposed = listed(&answer, "access-control-expose-headers");
        for header in ["etag", "location", "integration-position"] {
            assert!(exposed.iter().any(|one| one == header), "{header} is not in {exposed:?}");
        }
    }
    for origin in ["https://evil.example.com", "http://app.example.com", "https://app.example.com:444", "null"] {
        let refused = preflight(&server.anonymous(), origin, "PUT").await;
        assert!(refused.try_header("access-control-allow-origin").is_none(), "{origin}");
        assert_eq!(refused.status, 204, "{refused:?}");
        let answer = ask(server.alice().request("GET", LIST).header("origin", origin)).await.expect(200);
        assert!(answer.try_header("access-control-allow-origin").is_none(), "{origin}");
    }
}

#[tokio::test]
async fn options_that_is_no_preflight_tells_the_methods_all_the_same() {
    let server = Server::start_with(&["--cors-origin", APP]).await;
    let anonymous = server.anonymous();
    let methods = ask(anonymous.request("OPTIONS", "/api/integrations")).await.expect(204);
    assert!(methods.header("allow").contains("POST"));
    let from_app = anonymous.request("OPTIONS", "/api/integrations").header("origin", APP);
    assert!(ask(from_app).await.expect(204).header("allow").contains("POST"));
    for path in ["/nope", "/api/nope"] {
        ask(anonymous.request("OPTIONS", path)).await.expect(404);
        let preflight = anonymous.request("OPTIONS", path).header("origin", APP);
        ask(preflight.header("access-control-request-method", "PUT")).await.expect(404);
    }
}

#[tokio::test]
async fn front_ends_elsewhere_can_read_refusals_too() {
    let server = Server::start_with(&["--cors-origin", APP]).await;
    for (path, status) in [(LIST, 401), ("/nowhere", 404), ("/api/integrations?x=1", 401)] {
        let answer = ask(server.anonymous().request("GET", path).header("origin", APP)).await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), APP, "{path}");
    }
}

#[tokio::test]
async fn without_the_option_no_front_end_elsewhere_may_ask() {
    let server = Server::start().await;
    let answer = ask(server.alice().request("GET", LIST).header("origin", APP)).await.expect(200);
    assert_eq!(cors_headers(&answer), [""; 0]);
    let preflight = preflight(&server.anonymous(), APP, "PUT").await.expect(204);
    assert_eq!(cors_headers(&preflight), [""; 0]);
    assert!(preflight.header("allow").contains("POST"), "OPTIONS still tells the methods");
}

#[tokio::test]
async fn an_option_on_the_command_line_comes_before_its_variable() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = directory.path().join("elsewhere");
    let mut command = serve_with(&[("INTEGRATIONS_DATA_DIR", elsewhere.to_str().unwrap())]);
    let service = Process::start(command.arg("--data-dir").arg(data_dir(&directory)));
    let url = service.ready().await;
    assert!(!elsewhere.exists());
    let alice = client(&url, &data_dir(&directory), json!({ "sub": "alice", "tenant": "acme" }));
    alice.get(LIST).await.expect(200);
}

#[tokio::test]
async fn what_is_answered_to_a_front_end_elsewhere_is_described_too() {
    let server = Server::start_with(&["--cors-origin", APP]).await;
    let alice = server.alice();
    let from_app = |method: &str, path: &str| alice.request(method, path).header("origin", APP);
    let body = json!({ "name": "Slack", "type": "slack" });
    let created = from_app("POST", "/api/integrations").json(&body).send().await.expect(201);
    assert!(created.headers.get_all("vary").iter().any(|vary| vary.to_str().unwrap().contains("origin")));
    from_app("PUT", "/api/integrations/slack").json(&json!({ "description": "d" })).send().await.expect(200);
    from_app("PUT", "/api/integrations/slack").json(&json!({ "nmae": "d" })).send().await.expect(422);
    from_app("GET", "/api/me").send().await.expect(200);
    from_app("GET", "/livez").send().await.expect(200);
    from_app("DELETE", "/api/integrations/slack").send().await.expect(204);
}
