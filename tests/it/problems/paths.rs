//! Faults in the path: integrations, principals and tags that cannot be.

use serde_json::json;

use super::super::harness::Server;
use super::{INVALID, NOT_FOUND, check, check_status, create};

/// Principal ids, percent-encoded, that nobody can have.
fn bad_principals() -> Vec<String> {
    let mut bad: Vec<_> = ["%00", "%07x", "a%0Ab", "%7F", "%C2%80", "%C2%9F", "%FF", "%C3%28", "%ED%A0%80", "a%80"]
        .map(str::to_owned)
        .into();
    bad.extend(["a".repeat(256), "%C3%A9".repeat(256), "team:".to_owned() + &"a".repeat(251)]);
    bad
}

/// Tag ids, percent-encoded, that no tag can have.
fn bad_tags() -> Vec<String> {
    let mut bad: Vec<_> =
        ["a%20b", "%20", "%C3%A9", "a%2Fb", "a%5Cb", "%00", "a%0A", "a,b", "a+b", "a@b", "%FF", "~a", "a%25b"]
            .map(str::to_owned)
            .into();
    bad.push("a".repeat(65));
    bad
}

#[tokio::test]
async fn a_principal_that_cannot_be_is_422_where_it_would_be_written_and_else_404() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    for principal in bad_principals() {
        let path = created.path(&format!("/shares/{principal}"));
        check(&path, &alice.put(&path, json!({ "accessLevel": 1 })).await, INVALID, &["path:principalId"]);
        let bare = alice.request("PUT", &path).send().await;
        check(&path, &bare, INVALID, &["path:principalId"]);
        let both = alice.put(&path, json!({ "accessLevel": 4, "nope": 1 })).await;
        check(&path, &both, INVALID, &["path:principalId", "/accessLevel", "/nope"]);
        check(&path, &alice.get(&path).await, NOT_FOUND, &[]);
        check(&path, &alice.delete(&path).await, NOT_FOUND, &[]);
    }
}

#[tokio::test]
async fn a_tag_that_cannot_be_is_422_where_it_would_be_written_and_else_404() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for tag in bad_tags() {
        let path = created.path(&format!("/tags/{tag}"));
        check(&path, &alice.request("PUT", &path).send().await, INVALID, &["path:tagId"]);
        check(&path, &alice.delete(&path).await, NOT_FOUND, &[]);
    }
    for tag in ["a".repeat(64), "A.z_:-9".to_owned(), "%61".to_owned()] {
        check_status(&tag, &alice.request("PUT", &created.path(&format!("/tags/{tag}"))).send().await, 200);
    }
}

#[tokio::test]
async fn a_principal_in_a_path_is_percent_decoded_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let rows = [
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("..%2F..", "../.."),
        ("a%3Fb%23c", "a?b#c"),
        ("team:analytics", "team:analytics"),
        ("team%3Aops", "team:ops"),
        ("%F0%9F%92%A5", "💥"),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("'%3B--", "';--"),
        ("%C3%A9", "é"),
        ("e%CC%81", "e\u{301}"),
    ];
    let mut position = created.position.clone();
    for (encoded, principal) in rows {
        let path = created.path(&format!("/shares/{encoded}"));
        let shared = alice.request("PUT", &path).send().await.expect(200);
        assert_eq!(shared.json()["principalId"], principal, "{encoded}");
        shared.header("integration-position").clone_into(&mut position);
        let read = alice.get_at(&path, &position).await.expect(200);
        assert_eq!(read.json()["principalId"], principal, "{encoded}");
    }
    let flat = alice.get_at("/api/integrations-list", &position).await.expect(200);
    assert_eq!(flat.json()[0]["sharing"].as_array().unwrap().len(), rows.len(), "each is one of its own");
    for (encoded, _) in rows {
        check_status(encoded, &alice.delete(&created.path(&format!("/shares/{encoded}"))).await, 204);
    }
    let long = "%F0%9F%92%A5".repeat(255);
    check_status("255 characters", &alice.request("PUT", &created.path(&format!("/shares/{long}"))).send().await, 200);
    for malformed in ["a%zz", "%", "100%", "%4", "%C3"] {
        let path = created.path(&format!("/shares/{malformed}"));
        let refused = alice.request("PUT", &path).send().await;
        check(malformed, &refused, INVALID, &["path:principalId"]);
        check_status(malformed, &alice.get(&path).await, 404);
        check_status(malformed, &alice.delete(&path).await, 404);
    }
}

#[tokio::test]
async fn what_names_no_integration_is_404_on_every_route() {
    let server = Server::start().await;
    let alice = server.admin();
    let created = create(&alice).await;
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    let names = [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b",
        "Plain",
        "plain-",
        "-plain",
        "pl%20ain",
        "plain%00",
        "plain%2F",
        "%FF",
        "%C3%A9",
        "..%2Fplain",
        "{id}",
        "*",
        "'%20OR%20'1'='1",
        &"a".repeat(5_000),
    ];
    let reads = ["", "/icon", "/shares", "/shares/bob", "/owner", "/tags", "/access", "/connect", "/request/x"];
    let writes = ["", "/icon", "/shares/bob", "/owner", "/tags", "/tags/red"];
    let deletes = ["", "/icon", "/shares/bob", "/tags/red", "/connection"];
    for name in names {
        let requests = reads.iter().map(|rest| ("GET", rest)).chain(writes.iter().map(|rest| ("PUT", rest)));
        for (method, rest) in requests.chain(deletes.iter().map(|rest| ("DELETE", rest))) {
            let path = format!("/api/integrations/{name}{rest}");
            let answer = alice.request(method, &path).send().await;
            check(&format!("{method} {path}"), &answer, NOT_FOUND, &[]);
        }
    }
    check_status("its slug", &alice.get("/api/integrations/plain").await, 200);
}
