//! The tags that reads have: what they are made of, when they differ and when they must not.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{COLLECTIONS, ICON, OF_ALICE, PARTS, change_and_shape, furnish, furnish_alone, last_event, put_icon};
use crate::harness::{ADMIN, CREATE, Client, Server};

fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

#[track_caller]
fn assert_hex(text: &str, digits: usize) {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(is_hex, "{text} is not {digits} hex digits");
}

#[tokio::test]
async fn everything_that_can_be_read_has_a_strong_tag_and_says_how_it_may_be_kept() {
    let world = furnish().await;
    for path in world.paths() {
        let answer = world.alice.get(&path).await.expect(200);
        let tag = answer.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, "{path}: {tag}");
        assert_eq!(answer.headers.get_all("etag").iter().count(), 1, "{path}");
        assert_eq!(answer.header("cache-control"), "private, no-cache", "{path}");
        assert_eq!(answer.header("vary"), "Authorization, Accept-Encoding", "{path}");
    }
}

#[tokio::test]
async fn the_change_of_what_shows_one_integration_is_revision_and_hash_of_its_last_event() {
    let world = furnish_alone().await;
    let stream = format!("integration-acme:{}", world.slack.id);
    let mut position = world.position.clone();
    for revision in 4..7 {
        let last = last_event(&world.server, &stream);
        assert_eq!(last.revision, revision);
        let expected = format!("{revision}-{}", &last.hash[..8]);
        assert_hex(&last.hash, 64);
        for part in PARTS {
            let answer = world.alice.get_at(&world.slack.path(part), &position).await.expect(200);
            let (change, shape) = change_and_shape(answer.header("etag"));
            assert_eq!(change, expected, "{part}");
            assert_hex(shape, 8);
        }
        let named = world.alice.put(&world.slack.path(""), json!({ "name": format!("Slack {revision}") })).await;
        named.expect(200).header("integration-position").clone_into(&mut position);
    }
}

#[tokio::test]
async fn the_change_of_a_collection_is_position_and_hash_of_the_last_event_of_the_tenant() {
    let world = furnish_alone().await;
    // Not his to see, and still an event of the tenant.
    let carol = world.server.user_with("carol", &[CREATE]);
    let unseen = carol.create(json!({ "name": "Hers", "type": "custom", "apiKey": "k" })).await;
    let last = last_event(&world.server, "integration-acme:");
    let other = world.server.other_tenant().create(json!({ "name": "Theirs", "type": "custom" })).await;
    assert!(other.position > unseen.position);
    for path in COLLECTIONS.into_iter().chain(OF_ALICE) {
        let answer = world.alice.get_at(path, &other.position).await.expect(200);
        let (change, shape) = change_and_shape(answer.header("etag"));
        assert_eq!(change, format!("{}-{}", last.position, &last.hash[..8]), "{path}");
        assert_hex(shape, 8);
        assert_eq!(answer.header("integration-position"), unseen.position, "{path}");
    }
}

#[tokio::test]
async fn a_tenant_that_the_view_has_not_seen_has_the_change_zero() {
    let world = furnish().await;
    let stranger = world.server.client(json!({ "sub": "alice", "tenant": "acm" }));
    for path in COLLECTIONS.into_iter().chain(OF_ALICE) {
        let answer = stranger.get_at(path, &world.position).await.expect(200);
        let (change, shape) = change_and_shape(answer.header("etag"));
        assert_eq!(change, "0-00000000", "{path}");
        assert_hex(shape, 8);
    }
}

#[tokio::test]
async fn what_is_no_fold_of_the_log_has_its_bytes_in_its_tag() {
    let world = furnish().await;
    for path in ["/api/me", "/api/integration-drivers", &world.slack.path("/access")] {
        let answer = world.alice.get(path).await.expect(200);
        let (change, shape) = change_and_shape(answer.header("etag"));
        assert_eq!(change, &sha256(&answer.body)[..16], "{path}");
        assert_hex(shape, 8);
    }
}

#[tokio::test]
async fn an_icon_has_the_digest_of_its_bytes_as_its_tag() {
    let world = furnish().await;
    let icon = world.alice.get(&world.slack.path("/icon")).await.expect(200);
    assert_eq!(icon.body, ICON.as_bytes());
    assert_eq!(icon.header("etag"), format!("\"{}\"", sha256(ICON.as_bytes())));
    let other = ICON.replace("/>", "><g/></svg>");
    let set = put_icon(&world.alice, &world.slack, &other).await.expect(200);
    let icon = world.alice.get_at(&world.slack.path("/icon"), set.header("integration-position")).await;
    assert_eq!(icon.header("etag"), format!("\"{}\"", sha256(other.as_bytes())));
}

#[tokio::test]
async fn every_part_of_an_integration_has_a_shape_of_its_own() {
    let world = furnish().await;
    let mut shapes = std::collections::BTreeSet::new();
    let parts = PARTS.into_iter().chain(["/shares/team:crew"]);
    for part in parts {
        for coding in ["identity", "gzip"] {
            let request = world.alice.request("GET", &world.slack.path(part)).header("accept-encoding", coding);
            let answer = request.send().await.expect(200);
            let (_, shape) = change_and_shape(answer.header("etag"));
            assert!(shapes.insert(shape.to_owned()), "{part} in {coding}");
        }
    }
}

#[tokio::test]
async fn every_query_of_a_collection_has_a_tag_of_its_own() {
    let world = furnish().await;
    let mut tags = std::collections::BTreeSet::new();
    let queries = [
        "integrations",
        "integrations?q=chat",
        "integrations?q=chat+a",
        "integrations?type=chat",
        "integrations?category=chat",
        "integrations?tag=red",
        "integrations?tag=red&tag=green",
        "integrations?ownerId=alice",
        "integrations?supportsUpload=true",
        "integrations?supportsUpload=false",
        "integrations?start=1",
        "integrations?limit=1",
        "integrations?start=1&limit=1",
        "integrations?sort=name",
        "integrations?sort=-name",
        "integrations-list",
        "libraries/lib:1/integrations",
        "libraries/lib:1/integrations?sort=name",
        "libraries/lib:2/integrations",
    ];
    for query in queries {
        let answer = world.alice.get(&format!("/api/{query}")).await.expect(200);
        assert!(tags.insert(answer.header("etag").to_owned()), "{query}");
    }
}

#[tokio::test]
async fn the_detail_is_the_same_for_all_who_may_see_it() {
    let world = furnish().await;
    let mine = world.alice.get(&world.slack.path("")).await.expect(200);
    let crew = json!({ "sub": "dora", "tenant": "acme", "groups": ["team:crew"], "permissions": [CREATE] });
    for other in [world.server.bob(), world.server.client(crew), world.server.admin()] {
        for path in [world.slack.path(""), format!("/api/integrations/{}", world.slack.slug)] {
            let theirs = other.get(&path).await.expect(200);
            assert_eq!(theirs.body, mine.body);
            assert_eq!(theirs.header("etag"), mine.header("etag"));
            let has = other.request("GET", &path).header("if-none-match", mine.header("etag"));
            has.send().await.expect(304);
        }
    }
}

/// Two callers who see different lists: neither has the other's tag, and neither's tag is worth anything to the other.
async fn check_apart(one: &Client, other: &Client, name: &str) {
    for path in COLLECTIONS {
        let (ones, others) = (one.get(path).await.expect(200), other.get(path).await.expect(200));
        assert_ne!(ones.header("etag"), others.header("etag"), "{name}: {path}");
        let crossed = other.request("GET", path).header("if-none-match", ones.header("etag")).send().await;
        assert_eq!(crossed.expect(200).body, others.body, "{name}: {path}");
    }
}

#[tokio::test]
async fn a_tag_of_one_caller_says_nothing_of_anothers_collection() {
    let world = furnish().await;
    let client = |user: &str, groups: &[&str], permissions: &[&str]| {
        let claims = json!({ "sub": user, "tenant": "acme", "groups": groups, "permissions": permissions });
        world.server.client(claims)
    };
    check_apart(&world.alice, &client("eve", &[], &[]), "another user").await;
    check_apart(&client("eve", &[], &[]), &client("eve", &["team:crew"], &[]), "a team more").await;
    check_apart(&client("eve", &[], &[]), &client("eve", &[], &[ADMIN]), "an admin").await;
    check_apart(&client("a", &["bc"], &[]), &client("ab", &["c"], &[]), "names that run together").await;
    check_apart(&client("a", &["b", "c"], &[]), &client("a", &["bc"], &[]), "names that run together").await;
    check_apart(&client("admin", &[], &[]), &client("eve", &["admin"], &[ADMIN]), "a user named as the right").await;
}

#[tokio::test]
async fn the_order_of_principals_makes_no_other_tag() {
    let world = furnish().await;
    let client =
        |user: &str, groups: &[&str]| world.server.client(json!({ "sub": user, "tenant": "acme", "groups": groups }));
    let one = client("eve", &["team:crew", "bob"]);
    // The last one is another user, who may do the very same.
    for other in [client("eve", &["bob", "team:crew", "bob"]), client("bob", &["team:crew", "eve"])] {
        for path in COLLECTIONS {
            let (ones, others) = (one.get(path).await.expect(200), other.get(path).await.expect(200));
            assert_eq!(ones.header("etag"), others.header("etag"), "{path}");
            assert_eq!(ones.body, others.body, "{path}");
        }
    }
}

#[tokio::test]
async fn tags_and_bytes_are_the_same_after_a_restart() {
    let mut world = furnish_alone().await;
    let mut before = Vec::new();
    for path in world.paths() {
        for coding in ["identity", "gzip"] {
            let request = world.alice.request("GET", &path).header("accept-encoding", coding);
            before.push((path.clone(), coding, request.send().await.expect(200)));
        }
    }
    world.server.terminate();
    world.server.restart().await;
    let alice = world.server.alice();
    for (path, coding, before) in before {
        let request = alice.request("GET", &path).header("accept-encoding", coding);
        let after = request.clone().send().await.expect(200);
        assert_eq!(after.header("etag"), before.header("etag"), "{path} in {coding}");
        assert_eq!(after.body, before.body, "{path} in {coding}");
        assert_eq!(after.try_header("integration-position"), before.try_header("integration-position"), "{path}");
        request.header("if-none-match", before.header("etag")).send().await.expect(304);
    }
}

#[tokio::test]
async fn a_slug_that_is_taken_again_shows_another_tag() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "name": "Slack", "type": "slack" });
    let first = alice.create(body.clone()).await;
    let old = alice.get_at("/api/integrations/slack", &first.position).await.expect(200);
    alice.delete(&first.path("")).await.expect(204);
    let second = alice.create(body).await;
    assert_eq!(second.slug, first.slug);
    let request = alice.request("GET", "/api/integrations/slack").header("integration-position", &second.position);
    let new = request.header("if-none-match", old.header("etag")).send().await.expect(200);
    assert_eq!(new.json()["id"], second.id.as_str());
}
