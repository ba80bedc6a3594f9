//! `If-Match`: a command that is meant for one state is not done to another.

use serde_json::{Value, json};

use super::{ICON, change_and_shape, events, furnish, furnish_alone, put_icon};
use crate::harness::{Client, Created, Request};

const STALE: &str = "\"0-00000000.00000000\"";

/// Every command on the integration of [`furnish`] that takes `If-Match`, each of which would change it.
fn commands(client: &Client, integration: &Created) -> Vec<Request> {
    let put = |rest: &str, body: Value| client.request("PUT", &integration.path(rest)).json(&body);
    let delete = |rest: &str| client.request("DELETE", &integration.path(rest));
    vec![
        put("", json!({ "name": "Other" })),
        put("/shares/bob", json!({ "accessLevel": 2 })),
        put("/shares/carol", json!({ "accessLevel": 1 })),
        put("/tags", json!({ "tags": ["blue"] })),
        put("/tags/yellow", json!({})),
        client.request("PUT", &integration.path("/icon")).body("image/gif", "GIF89a"),
        delete("/shares/bob"),
        delete("/tags/blue"),
        delete("/icon"),
        put("/owner", json!({ "ownerId": "zoe" })),
        delete(""),
    ]
}

#[tokio::test]
async fn a_command_for_another_state_is_412_and_changes_nothing() {
    let world = furnish_alone().await;
    // So that each command has something to do.
    world.alice.put(&world.slack.path("/tags/blue"), json!({})).await.expect(200);
    let before = world.alice.put(&world.slack.path(""), json!({})).await.expect(200);
    let count = events(&world.server);
    for request in commands(&world.alice, &world.slack) {
        request.header("if-match", STALE).send().await.expect_problem(412, "stale");
    }
    assert_eq!(events(&world.server), count);
    let after = world.alice.get_at(&world.slack.path(""), before.header("integration-position")).await.expect(200);
    assert_eq!(after.body, before.body);
}

#[tokio::test]
async fn a_command_for_this_state_is_done() {
    let world = furnish().await;
    world.alice.put(&world.slack.path("/tags/blue"), json!({})).await.expect(200);
    let mut tag = world.alice.put(&world.slack.path(""), json!({})).await.expect(200).header("etag").to_owned();
    let root = world.server.admin();
    for request in commands(&root, &world.slack) {
        let answer = request.header("if-match", &tag).send().await;
        assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
        let Some(new) = answer.try_header("etag") else { continue };
        assert_ne!(new, tag);
        new.clone_into(&mut tag);
    }
    root.get(&world.slack.path("")).await;
    root.delete(&world.slack.path("")).await.expect(404);
}

#[tokio::test]
async fn a_command_that_would_change_nothing_is_412_all_the_same() {
    let world = furnish_alone().await;
    let check = async |rest: &str, body: Value| {
        let path = world.slack.path(rest);
        let stale = world.alice.request("PUT", &path).json(&body).header("if-match", STALE);
        stale.send().await.expect_problem(412, "stale");
        let count = events(&world.server);
        let tag = world.alice.get(&world.slack.path("")).await.expect(200).header("etag").to_owned();
        let current = world.alice.request("PUT", &path).json(&body).header("if-match", &tag);
        assert_eq!(current.send().await.expect(200).header("etag"), tag, "{rest}");
        assert_eq!(events(&world.server), count, "{rest}");
    };
    check("", json!({ "name": "Slack" })).await;
    check("", json!({})).await;
    check("/shares/bob", json!({ "accessLevel": 1 })).await;
    check("/owner", json!({ "ownerId": "alice" })).await;
    check("/tags", json!({ "tags": ["red", "green"] })).await;
    check("/tags/red", json!({})).await;
    let same_icon = world.alice.request("PUT", &world.slack.path("/icon")).body("image/svg+xml", ICON);
    same_icon.header("if-match", STALE).send().await.expect_problem(412, "stale");
}

#[tokio::test]
async fn if_match_is_read_as_the_standard_says() {
    let world = furnish().await;
    let path = world.slack.path("");
    let tag = world.alice.get(&path).await.expect(200).header("etag").to_owned();
    let (change, shape) = change_and_shape(&tag);
    let check = async |headers: &[&str], expected: u16, rule: &str| {
        let mut request = world.alice.request("PUT", &path).json(&json!({}));
        for value in headers {
            request = request.header("if-match", &value.replace('T', &tag));
        }
        let answer = request.send().await;
        assert_eq!(answer.status, expected, "{rule}: {headers:?}");
        if expected == 400 {
            assert_eq!(answer.pointers(), ["header:If-Match"], "{rule}: {headers:?}");
        }
    };
    check(&["T"], 200, "the tag itself").await;
    check(&["*"], 200, "it is there").await;
    check(&["\"x\""], 412, "another tag").await;
    check(&["W/T"], 412, "a weak tag never matches").await;
    check(&["W/T, T"], 200, "a weak tag beside the strong one").await;
    check(&["\"x\", T"], 200, "a list").await;
    check(&["\"x\" ,\t \"y\",, T,"], 200, "a list with white space and empty elements").await;
    check(&["\"x,\", T"], 200, "a comma inside a tag").await;
    check(&["\"x\"", "T"], 200, "several headers are one list").await;
    check(&["\"x\"", "\"y\", W/T"], 412, "none of several").await;
    check(&["\"\u{e4}\""], 412, "a tag outside of ASCII is a tag").await;
    check(&["\"\u{e4}\", T"], 200, "a tag outside of ASCII is a tag").await;
    check(&[&format!("\"{change}.00000000\"")], 200, "the shape does not count").await;
    check(&[&format!("\"1{change}.{shape}\"")], 412, "the revision counts").await;
    check(&[&format!("\"{}.{shape}\"", change.replace('-', "-0"))], 412, "the hash counts").await;
    check(&[tag.trim_matches('"')], 400, "without quotes it is malformed").await;
    check(&["T \"x\""], 400, "without a comma it is malformed").await;
    check(&["T, x"], 400, "malformed in one place is malformed").await;
    check(&["\"x"], 400, "not closed it is malformed").await;
    check(&["w/T"], 400, "the mark of a weak tag is upper case").await;
    check(&["*, T"], 400, "the star stands alone").await;
    check(&["*", "T"], 400, "the star stands alone").await;
}

#[tokio::test]
async fn the_tags_of_all_that_shows_an_integration_stand_for_each_other() {
    let world = furnish().await;
    let parts = ["", "/owner", "/tags", "/shares", "/shares/bob", "/shares/team:crew"];
    for part in parts {
        for coding in ["identity", "gzip"] {
            let shown = world.alice.request("GET", &world.slack.path(part)).header("accept-encoding", coding);
            let tag = shown.send().await.expect(200).header("etag").to_owned();
            let check = async |method: &str, rest: &str, body: Value| {
                let request = world.alice.request(method, &world.slack.path(rest)).json(&body);
                request.header("if-match", &tag).send().await.expect(200);
            };
            check("PUT", "", json!({})).await;
            check("PUT", "/owner", json!({ "ownerId": "alice" })).await;
            check("PUT", "/tags", json!({ "tags": ["red", "green"] })).await;
            check("PUT", "/tags/red", json!({})).await;
            check("PUT", "/shares/bob", json!({ "accessLevel": 1 })).await;
        }
    }
}

#[tokio::test]
async fn the_tags_of_what_is_not_the_integration_never_match() {
    let world = furnish().await;
    let icon = world.slack.path("/icon");
    let access = world.slack.path("/access");
    for path in ["/api/integrations", "/api/integrations-list", "/api/me", &access, &icon] {
        let tag = world.alice.get(path).await.expect(200).header("etag").to_owned();
        let request = world.alice.request("PUT", &world.slack.path("")).json(&json!({}));
        let answer = request.header("if-match", &tag).send().await;
        assert_eq!(answer.status, 412, "the tag of {path}");
    }
}

#[tokio::test]
async fn icon_commands_take_the_tag_of_the_icon_or_of_the_integration() {
    let world = furnish().await;
    let path = world.slack.path("/icon");
    let tags = async || {
        let current = world.alice.put(&world.slack.path(""), json!({})).await.expect(200);
        let icon = world.alice.get_at(&path, current.header("integration-position")).await.expect(200);
        (current.header("etag").to_owned(), icon.header("etag").to_owned())
    };
    let (first, first_icon) = tags().await;
    let put = |icon: &str| world.alice.request("PUT", &path).body("image/svg+xml", icon);
    let second_body = ICON.replace("/>", "><g/></svg>");
    let weak = format!("W/{first_icon}");
    put(&second_body).header("if-match", &weak).send().await.expect_problem(412, "stale");
    put(&second_body).header("if-match", &first_icon).send().await.expect(200);
    // Now both are of the past.
    put(ICON).header("if-match", &first_icon).send().await.expect_problem(412, "stale");
    put(ICON).header("if-match", &first).send().await.expect_problem(412, "stale");
    let (second, second_icon) = tags().await;
    put(ICON).header("if-match", &second).send().await.expect(200);
    let delete = |tag: &str| world.alice.request("DELETE", &path).header("if-match", tag).send();
    delete(&second).await.expect_problem(412, "stale");
    delete(&second_icon).await.expect_problem(412, "stale");
    // The same bytes again are the same icon again.
    delete(&first_icon).await.expect(204);
    put(&second_body).header("if-match", "*").send().await.expect(200);
    let (third, _) = tags().await;
    delete(&third).await.expect(204);
    put(ICON).header("if-match", &first_icon).send().await.expect_problem(412, "stale");
    put_icon(&world.alice, &world.slack, ICON).await.expect(200);
}

#[tokio::test]
async fn a_stale_tag_comes_after_the_right_to_know_and_before_a_faulty_request() {
    let world = furnish().await;
    let check = async |client: &Client, method: &str, rest: &str, body: Option<Value>, expected: u16| {
        let mut request = client.request(method, &world.slack.path(rest)).header("if-match", STALE);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, expected, "{method} {rest}: {}", answer.text());
    };
    let (alice, bob, eve) = (&world.alice, world.server.bob(), world.server.user("eve"));
    check(&eve, "PUT", "", Some(json!({ "name": 1 })), 404).await;
    check(&bob, "PUT", "", Some(json!({ "name": "Other" })), 403).await;
    check(&bob, "DELETE", "", None, 403).await;
    check(alice, "DELETE", "/shares/nobody", None, 404).await;
    check(alice, "DELETE", "/tags/blue", None, 404).await;
    check(alice, "PUT", "", Some(json!({ "name": "" })), 412).await;
    check(alice, "PUT", "", Some(json!({ "nmae": "Other" })), 412).await;
    check(alice, "PUT", "/owner", Some(json!({ "ownerId": "" })), 412).await;
    check(alice, "PUT", "/shares/bob", Some(json!({ "accessLevel": 4 })), 412).await;
    check(alice, "PUT", "/shares/alice", None, 412).await;
    check(alice, "PUT", "/tags", Some(json!({ "tags": ["a b"] })), 412).await;
    check(alice, "PUT", "/tags/a%20b", None, 412).await;
    let unsafe_icon = r#"<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>"#;
    let request = alice.request("PUT", &world.slack.path("/icon")).body("image/svg+xml", unsafe_icon);
    request.header("if-match", STALE).send().await.expect_problem(412, "stale");
    let malformed = alice.request("PUT", &world.slack.path("")).body("application/json", "{");
    malformed.header("if-match", STALE).send().await.expect_problem(400, "malformed-body");
    alice.delete(&world.slack.path("/icon")).await.expect(204);
    check(alice, "DELETE", "/icon", None, 404).await;
}

#[tokio::test]
async fn a_tag_of_before_a_restart_still_counts_after_it() {
    let mut world = furnish_alone().await;
    let put = |client: &Client, name: &str, tag: &str| {
        let request = client.request("PUT", &world.slack.path("")).json(&json!({ "name": name }));
        request.header("if-match", tag).send()
    };
    let old = world.alice.get(&world.slack.path("")).await.expect(200).header("etag").to_owned();
    let current = put(&world.alice, "Renamed", &old).await.expect(200).header("etag").to_owned();
    world.server.kill();
    world.server.restart().await;
    let alice = world.server.alice();
    put(&alice, "Again", &old).await.expect_problem(412, "stale");
    put(&alice, "Again", &current).await.expect(200);
}
