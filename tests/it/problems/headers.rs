//! Request headers that are malformed.

use serde_json::json;

use super::super::harness::{Client, Created, Request, Server};
use super::{INVALID_PARAMETER, NOT_BUILT, NOT_FOUND, NOT_YET_VISIBLE, body_with, check, check_status, create};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A request that succeeds on each route that changes one integration, with its name; the delete comes last.
fn commands(alice: &Client, created: &Created) -> Vec<(&'static str, Request)> {
    let put = |rest: &str| alice.request("PUT", &created.path(rest));
    let delete = |rest: &str| alice.request("DELETE", &created.path(rest));
    vec![
        ("PUT ", put("").json(&json!({ "name": "x" }))),
        ("PUT /icon", put("/icon").body("image/png", PNG)),
        ("PUT /shares/bob", put("/shares/bob").json(&json!({ "accessLevel": 1 }))),
        ("PUT /owner", put("/owner").json(&json!({ "ownerId": "alice" }))),
        ("PUT /tags", put("/tags").json(&json!({ "tags": ["red"] }))),
        ("PUT /tags/blue", put("/tags/blue")),
        ("DELETE /tags/red", delete("/tags/red")),
        ("DELETE /shares/bob", delete("/shares/bob")),
        ("DELETE /icon", delete("/icon")),
        ("DELETE ", delete("")),
    ]
}

/// Every route that reads an integration or a list.
const READS: [&str; 10] = [
    "/api/integrations",
    "/api/integrations-list",
    "/api/libraries/books/integrations",
    "/api/principals/alice/integrations",
    "/api/integrations/ID",
    "/api/integrations/ID/shares",
    "/api/integrations/ID/shares/bob",
    "/api/integrations/ID/owner",
    "/api/integrations/ID/tags",
    "/api/integrations/ID/access",
];

/// An integration with a share, as the view shows it.
async fn visible(alice: &Client) -> Created {
    let created = create(alice).await;
    let shared = alice.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    alice.get_at(&created.path(""), shared.header("integration-position")).await.expect(200);
    created
}

#[tokio::test]
async fn a_malformed_if_match_is_400_on_every_command() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let malformed = [
        "nope",
        "\"",
        "\"nope",
        "nope\"",
        "'nope'",
        "\"a\" \"b\"",
        "\"a\"b",
        "*, \"a\"",
        "\"a\", *",
        "**",
        "W/*",
        "w/\"a\"",
        "W/ \"a\"",
        "W/a",
        "\"a b\"",
        "\"a\", b",
        "\"a\";q=1",
        "0-00000000.00000000",
    ];
    for (name, request) in commands(&alice, &created) {
        for value in malformed {
            let answer = request.clone().header("if-match", value).send().await;
            check(&format!("{name}: {value}"), &answer, INVALID_PARAMETER, &["header:If-Match"]);
        }
        let twice = request.clone().header("if-match", "\"a\"").header("if-match", "nope").send().await;
        check(name, &twice, INVALID_PARAMETER, &["header:If-Match"]);
    }
    for (name, request) in commands(&alice, &created) {
        let answer = request.header("if-match", "*").send().await;
        assert!(matches!(answer.status, 200 | 204), "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_malformed_if_none_match_is_ignored() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = visible(&alice).await;
    for path in READS.into_iter().chain(["/api/me", "/api/integration-drivers"]) {
        let path = path.replace("ID", &created.id);
        let tag = alice.get(&path).await.expect(200).header("etag").to_owned();
        for value in
            ["nope", "\"nope", &format!("{tag} {tag}"), &format!("{tag} x"), &format!("'{tag}'"), "**", "*, \"a\""]
        {
            let answer = alice.request("GET", &path).header("if-none-match", value).send().await;
            check_status(&format!("{path}: {value}"), &answer, 200);
        }
        check_status(&path, &alice.request("GET", &path).header("if-none-match", &tag).send().await, 304);
    }
}

#[tokio::test]
async fn an_idempotency_key_is_1_to_255_visible_characters_given_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let post = || alice.request("POST", "/api/integrations").json(&json!({ "name": "x", "type": "custom" }));
    for key in ["", "a b", "a\tb", "é", "\u{a0}", &"a".repeat(256), &"é".repeat(100)] {
        let answer = post().header("idempotency-key", key).send().await;
        check(key, &answer, INVALID_PARAMETER, &["header:Idempotency-Key"]);
    }
    for [one, other] in [["a", "a"], ["a", "b"], ["", "a"]] {
        let answer = post().header("idempotency-key", one).header("idempotency-key", other).send().await;
        check("two keys", &answer, INVALID_PARAMETER, &["header:Idempotency-Key"]);
    }
    for key in ["!", "~\"{}", &"a".repeat(255), "550e8400-e29b-41d4-a716-446655440000"] {
        check_status(key, &post().header("idempotency-key", key).send().await, 201);
    }
    let with_id =
        alice.request("POST", "/api/integrations").json(&body_with("id", "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"));
    let answer = with_id.header("idempotency-key", "a b").send().await;
    check("beside an id", &answer, INVALID_PARAMETER, &["header:Idempotency-Key"]);
}

#[tokio::test]
async fn a_position_that_is_none_is_400_on_every_read() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = visible(&alice).await;
    for path in READS {
        let path = path.replace("ID", &created.id);
        for value in ["nope", "", "-1", "é", "1 2", "0x10", "zzzzzzzzzzzzzzzz", "99999999999999999999999999999999999"]
        {
            let answer = alice.request("GET", &path).header("integration-position", value).send().await;
            check(&format!("{path}: {value}"), &answer, INVALID_PARAMETER, &["header:Integration-Position"]);
        }
        let own = alice.get(&path).await.expect(200).header("integration-position").to_owned();
        let request = alice.request("GET", &path).header("integration-position", &own);
        check_status(&path, &request.clone().send().await, 200);
        let twice = request.header("integration-position", &own).send().await;
        check(&path, &twice, INVALID_PARAMETER, &["header:Integration-Position"]);
    }
}

#[tokio::test]
async fn a_position_that_never_comes_is_503_when_the_wait_is_over() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = visible(&alice).await;
    let never = "7".repeat(created.position.len());
    for path in READS {
        let request = alice.request("GET", &path.replace("ID", &created.id)).header("integration-position", &never);
        let answer = request.header("prefer", "wait=0").send().await;
        check(path, &answer, NOT_YET_VISIBLE, &[]);
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    for (method, rest) in [("POST", "/revert"), ("PUT", "/request/x"), ("DELETE", "/connection")] {
        let request = alice.request(method, &created.path(rest)).header("integration-position", &never);
        check("only reads wait", &request.send().await, NOT_BUILT, &[]);
    }
    let request = alice.request("GET", "/api/integrations").header("integration-position", &never);
    let started = std::time::Instant::now();
    // What cannot be understood of Prefer is ignored (RFC 7240), and the wait is the usual one.
    let waits = ["", "wait=nope", "wait=-1", "wait", "nope=5; x"];
    let mut tasks = tokio::task::JoinSet::new();
    for prefer in waits {
        tasks.spawn(request.clone().header("prefer", prefer).send());
    }
    for answer in tasks.join_all().await {
        check("a Prefer that is none", &answer, NOT_YET_VISIBLE, &[]);
        assert!(answer.try_header("preference-applied").is_none());
    }
    let waited = started.elapsed().as_secs_f64();
    assert!((1.9..10.0).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn an_audit_reason_is_a_text_given_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let pointers = ["header:Audit-Reason"];
    let post = alice.request("POST", "/api/integrations").json(&json!({ "name": "x", "type": "custom" }));
    for (name, request) in commands(&alice, &created).into_iter().chain([("POST", post)]) {
        let twice = request.clone().header("audit-reason", "one").header("audit-reason", "two").send().await;
        check(name, &twice, INVALID_PARAMETER, &pointers);
        let long = request.header("audit-reason", &"é".repeat(1_001)).send().await;
        check(name, &long, INVALID_PARAMETER, &pointers);
    }
    let put = alice.request("PUT", &created.path("")).json(&json!({ "name": "y" }));
    check_status("1,000 characters", &put.clone().header("audit-reason", &"é".repeat(1_000)).send().await, 200);
    check_status("any language", &put.header("audit-reason", "zurück, 元に戻す").send().await, 200);
}

#[tokio::test]
async fn a_request_id_or_trace_that_is_no_good_is_replaced_and_refuses_nothing() {
    let server = Server::start().await;
    let alice = server.alice();
    for id in ["", "a b", "é", &"a".repeat(129), "a\tb"] {
        let answer = alice.request("GET", "/api/me").header("x-request-id", id).send().await.expect(200);
        let own = answer.header("x-request-id");
        assert!(own != id && !own.is_empty(), "{id:?}: {own:?}");
    }
    let answer = alice.request("GET", "/api/me").header("x-request-id", "mine-5").send().await.expect(200);
    assert_eq!(answer.header("x-request-id"), "mine-5");
    for trace in ["", "nope", "00-0-0-00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "é"] {
        check_status(trace, &alice.request("GET", "/api/me").header("traceparent", trace).send().await, 200);
    }
}

#[tokio::test]
async fn accept_is_not_negotiated() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = visible(&alice).await;
    for accept in ["text/html", "image/*", "application/json;q=0", "nope", "", "application/problem+xml"] {
        let get = |path: &str| alice.request("GET", path).header("accept", accept);
        let detail = get(&created.path("")).send().await.expect(200);
        assert_eq!(detail.header("content-type"), "application/hal+json", "{accept}");
        check(accept, &get("/api/nope").send().await, NOT_FOUND, &[]);
        check(accept, &get("/api/integrations?nope=1").send().await, INVALID_PARAMETER, &["query:nope"]);
    }
}
