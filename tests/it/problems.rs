//! What a hostile stranger tries, and the exact problem that each attempt is answered with.

mod authentication;
mod bodies;
mod create;
mod custom_headers;
mod fields;
mod fuzz;
mod headers;
mod icons;
mod json;
mod load;
mod order;
mod paths;
mod query;
mod raw;
mod routes;
mod secrets;
mod semantics;
mod uris;

use serde_json::{Value, json};

use super::harness::{Answer, Client, Created};

/// A kind of problem: its status, and the last part of its type.
type Kind = (u16, &'static str);

const MALFORMED_BODY: Kind = (400, "malformed-body");
const INVALID_PARAMETER: Kind = (400, "invalid-parameter");
const UNAUTHENTICATED: Kind = (401, "unauthenticated");
const NOT_PERMITTED: Kind = (403, "not-permitted");
const NOT_FOUND: Kind = (404, "not-found");
const METHOD_NOT_ALLOWED: Kind = (405, "method-not-allowed");
const STALE: Kind = (412, "stale");
const TOO_LARGE: Kind = (413, "too-large");
const UNSUPPORTED_MEDIA_TYPE: Kind = (415, "unsupported-media-type");
const INVALID: Kind = (422, "invalid");
const TOO_MANY_REQUESTS: Kind = (429, "too-many-requests");
const NOT_BUILT: Kind = (501, "not-built");
const NOT_YET_VISIBLE: Kind = (503, "not-yet-visible");

/// A tag that no integration has.
const STALE_TAG: &str = r#""9-0123abcd.0123abcd""#;

/// Checks that an answer is this problem, whole, with errors at exactly these pointers.
#[track_caller]
fn check(what: &str, answer: &Answer, kind: Kind, pointers: &[&str]) {
    check_kind(what, answer, kind);
    let problem = answer.json();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    let mut expected = pointers.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{what}: {problem:#}");
    assert!(errors.iter().all(|error| !error["message"].as_str().unwrap().is_empty()), "{what}: {problem:#}");
}

/// Checks that an answer is a problem of this kind.
#[track_caller]
fn check_kind(what: &str, answer: &Answer, (status, kind): Kind) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:problem-type:integrations:{kind}"), "{what}: {problem:#}");
    assert_eq!(problem["status"], status, "{what}: {problem:#}");
    assert!(!problem["title"].as_str().unwrap().is_empty(), "{what}: {problem:#}");
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{what}: {problem:#}");
}

/// Checks the status of an answer that is no problem.
#[track_caller]
fn check_status(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
}

/// Creates an integration with nothing but a name and a type.
async fn create(client: &Client) -> Created {
    client.create(json!({ "name": "Plain", "type": "custom" })).await
}

/// A body with this beside name and type.
fn body_with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({ "name": "Plain", "type": "custom" });
    body[field] = value.into();
    body
}

/// A JSON object with only this.
fn only(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({});
    body[field] = value.into();
    body
}
