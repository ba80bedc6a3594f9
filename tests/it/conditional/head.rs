//! HEAD (RFC 9110 §9.3.2): what GET answers, without the body.

use super::furnish;
use crate::harness::{Answer, Client, Request};

/// What differs from request to request.
const OF_THE_REQUEST: [&str; 2] = ["date", "x-request-id"];

fn headers(answer: &Answer) -> Vec<(String, String)> {
    let names = answer.headers.iter().filter(|(name, _)| !OF_THE_REQUEST.contains(&name.as_str()));
    let mut headers: Vec<_> =
        names.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    headers
}

async fn check(client: &Client, path: &str, expected: u16, with: impl Fn(Request) -> Request) {
    let get = with(client.request("GET", path)).send().await;
    let head = with(client.request("HEAD", path)).send().await;
    assert_eq!((get.status, head.status), (expected, expected), "{path}");
    assert_eq!(headers(&head), headers(&get), "{path}");
    assert!(head.body.is_empty(), "{path}");
}

#[tokio::test]
async fn head_is_get_without_the_body_on_everything_that_can_be_read() {
    let world = furnish().await;
    for path in world.paths() {
        check(&world.alice, &path, 200, |request| request).await;
        check(&world.alice, &path, 200, |request| request.header("accept-encoding", "gzip")).await;
        check(&world.alice, &path, 304, |request| request.header("if-none-match", "*")).await;
        let waiting =
            |request: Request| request.header("integration-position", &world.position).header("prefer", "wait=7");
        check(&world.alice, &path, 200, waiting).await;
    }
}

#[tokio::test]
async fn head_is_get_without_the_body_at_the_root() {
    let world = furnish().await;
    for path in ["/openapi.json", "/docs", "/livez", "/readyz"] {
        check(&world.server.anonymous(), path, 200, |request| request).await;
    }
    let answer = world.server.anonymous().request("HEAD", "/metrics").send().await.expect(200);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn head_refuses_as_get_does() {
    let world = furnish().await;
    check(&world.server.anonymous(), "/api/me", 401, |request| request).await;
    check(&world.alice, "/api/nothing", 404, |request| request).await;
    check(&world.alice, "/api/integrations/nothing", 404, |request| request).await;
    check(&world.alice, "/api/integrations?limit=0", 400, |request| request).await;
    check(&world.alice, "/api/integrations", 400, |request| request.header("integration-position", "x")).await;
    check(&world.alice, "/api/session", 405, |request| request).await;
    check(&world.alice, &world.slack.path("/account"), 501, |request| request).await;
}
