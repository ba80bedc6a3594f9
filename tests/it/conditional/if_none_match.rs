//! `If-None-Match`: who has it already gets 304, with the headers that a 200 would have.

use serde_json::json;

use super::{furnish, put_icon};
use crate::harness::{Answer, Client};

/// Headers of an answer that tell of the state, not of the body or of the request.
const OF_THE_STATE: [&str; 7] = [
    "etag",
    "cache-control",
    "vary",
    "integration-position",
    "preference-applied",
    "x-content-type-options",
    "content-security-policy",
];

#[track_caller]
fn check_not_modified(name: &str, whole: &Answer, answer: &Answer) {
    assert_eq!(answer.status, 304, "{name}: {}", answer.text());
    assert!(answer.body.is_empty(), "{name}");
    for header in OF_THE_STATE {
        assert_eq!(answer.try_header(header), whole.try_header(header), "{name}: {header}");
    }
    for header in ["content-length", "content-encoding", "content-type"] {
        assert_eq!(answer.try_header(header), None, "{name}: {header} is of a body that is not there");
    }
}

#[tokio::test]
async fn whoever_has_it_gets_304_with_the_same_headers_and_no_body() {
    let world = furnish().await;
    for path in world.paths() {
        for coding in ["identity", "gzip"] {
            let request = world.alice.request("GET", &path).header("accept-encoding", coding);
            let request = request.header("integration-position", &world.position).header("prefer", "wait=3");
            let whole = request.clone().send().await.expect(200);
            let answer = request.header("if-none-match", whole.header("etag")).send().await;
            check_not_modified(&format!("{path} in {coding}"), &whole, &answer);
        }
    }
}

#[tokio::test]
async fn a_304_over_http2_tells_no_length_either() {
    let world = furnish().await;
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let alice = Client { http, ..world.alice.clone() };
    let whole = alice.get(&world.slack.path("")).await.expect(200);
    let request = alice.request("GET", &world.slack.path("")).header("if-none-match", whole.header("etag"));
    check_not_modified("the detail over HTTP/2", &whole, &request.send().await);
}

#[tokio::test]
async fn if_none_match_is_read_as_the_standard_says() {
    let world = furnish().await;
    let path = world.slack.path("");
    let tag = world.alice.get(&path).await.expect(200).header("etag").to_owned();
    let opaque = tag.trim_matches('"');
    let (change, shape) = opaque.split_once('.').unwrap();
    let check = async |headers: &[&str], expected: u16, rule: &str| {
        let mut request = world.alice.request("GET", &path);
        for value in headers {
            request = request.header("if-none-match", &value.replace('T', &tag));
        }
        let answer = request.send().await;
        assert_eq!(answer.status, expected, "{rule}: {headers:?}");
        assert_eq!(answer.header("etag"), tag, "{rule}: {headers:?}");
    };
    check(&["T"], 304, "the tag itself").await;
    check(&["*"], 304, "whatever there is").await;
    check(&[" * "], 304, "whatever there is").await;
    check(&["\"x\""], 200, "another tag").await;
    check(&["W/T"], 304, "the comparison is weak").await;
    check(&["W/\"x\""], 200, "another tag").await;
    check(&["\"x\", T"], 304, "a list").await;
    check(&["T,\"x\""], 304, "a list").await;
    check(&["\"x\" ,\t W/T , \"y\""], 304, "a list with white space").await;
    check(&[",, \"x\",, T,"], 304, "a list with empty elements").await;
    check(&["\"a,b\", T"], 304, "a comma inside a tag").await;
    check(&["\"\", T"], 304, "an empty tag").await;
    check(&["\"\u{e4}\", T"], 304, "a tag outside of ASCII").await;
    check(&["\"x\"", "T"], 304, "several headers are one list").await;
    check(&["\"x\", \"y\"", "\"z\""], 200, "none of several").await;
    check(&[&format!("\"{change}.00000000\"")], 200, "the same state in another shape").await;
    check(&[&format!("\"{change}\"")], 200, "the state alone").await;
    check(&[&format!("\"0-00000000.{shape}\"")], 200, "another state in the same shape").await;
    check(&[opaque], 200, "without quotes it is malformed, and ignored").await;
    check(&["T \"x\""], 200, "without a comma it is malformed, and ignored").await;
    check(&["T, x"], 200, "malformed in one place is malformed, and ignored").await;
    check(&["\"x"], 200, "not closed it is malformed, and ignored").await;
    check(&["w/T"], 200, "the mark of a weak tag is upper case").await;
    check(&["*, T"], 200, "the star stands alone").await;
    check(&["*", "T"], 200, "the star stands alone").await;
    check(&["\"a b\", T"], 200, "a blank inside a tag").await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_elsewhere_is_302_whatever_the_client_has() {
    let world = furnish().await;
    let bare = world.alice.create(json!({ "name": "Bare", "type": "custom" })).await;
    let elsewhere = json!({ "name": "Linked", "type": "custom", "imageUrl": "/images/linked.png" });
    let elsewhere = world.alice.create(elsewhere).await;
    let check = async |path: &str, expected: u16| {
        let request = world.alice.request("GET", path).header("integration-position", &elsewhere.position);
        request.header("if-none-match", "*").send().await.expect(expected);
    };
    check(&bare.path("/icon"), 404).await;
    check(&bare.path("/shares/bob"), 404).await;
    check("/api/integrations/nothing", 404).await;
    check("/api/integrations/nothing/tags", 404).await;
    check(&elsewhere.path("/icon"), 302).await;
}

#[tokio::test]
async fn whoever_has_an_older_state_gets_the_new_one() {
    let world = furnish().await;
    for (number, path) in world.paths().into_iter().enumerate() {
        let old = world.alice.get(&path).await.expect(200);
        let named = world.alice.put(&world.slack.path(""), json!({ "description": format!("Number {number}") })).await;
        let request = world.alice.request("GET", &path);
        let request = request.header("integration-position", named.expect(200).header("integration-position"));
        let new = request.header("if-none-match", old.header("etag")).send().await;
        let is_of_the_state = !["/access", "/icon", "/me", "-drivers"].iter().any(|end| path.ends_with(end));
        assert_eq!(new.status, if is_of_the_state { 200 } else { 304 }, "{path}");
    }
    let old = world.alice.get(&world.slack.path("/icon")).await.expect(200);
    let new = r#"<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>"#;
    let set = put_icon(&world.alice, &world.slack, new).await.expect(200);
    let request = world.alice.request("GET", &world.slack.path("/icon")).header("if-none-match", old.header("etag"));
    let answer = request.header("integration-position", set.header("integration-position")).send().await.expect(200);
    assert_eq!(answer.text(), new);
}
