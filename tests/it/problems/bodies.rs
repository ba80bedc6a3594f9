//! The bodies of shares, owner and tags, and how many an integration may have.

use serde_json::{Value, json};

use super::super::harness::{Client, Created, Request, Server};
use super::{INVALID, check, check_status, create};

#[tokio::test]
async fn an_access_level_is_1_2_or_3() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let path = created.path("/shares/bob");
    for level in [
        json!(0),
        json!(4),
        json!(-1),
        json!(256),
        json!(1.5),
        json!("1"),
        json!("read"),
        json!(true),
        json!([1]),
        json!(1e300),
    ] {
        check(&level.to_string(), &alice.put(&path, json!({ "accessLevel": level })).await, INVALID, &["/accessLevel"]);
    }
    for level in 1..=3 {
        let share = alice.put(&path, json!({ "accessLevel": level })).await.expect(200);
        assert_eq!(share.json()["accessLevel"], level);
    }
    let both = alice.put(&path, json!({ "accessLevel": 0, "level": 1 })).await;
    check("two faults", &both, INVALID, &["/accessLevel", "/level"]);
}

#[tokio::test]
async fn nobody_shares_with_the_owner() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let share = alice.put(&created.path("/shares/alice"), json!({ "accessLevel": 1 })).await;
    check("the user", &share, INVALID, &["path:principalId"]);
    alice.put(&created.path("/owner"), json!({ "ownerId": "team:analytics" })).await.expect(200);
    let share = server.admin().put(&created.path("/shares/team:analytics"), json!({ "accessLevel": 1 })).await;
    check("the team", &share, INVALID, &["path:principalId"]);
    check_status(
        "the old owner",
        &server.admin().put(&created.path("/shares/alice"), json!({ "accessLevel": 1 })).await,
        200,
    );
}

#[tokio::test]
async fn an_owner_is_a_principal() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let path = created.path("/owner");
    let bad = [
        json!(""),
        Value::Null,
        json!(5),
        json!(["bob"]),
        json!({ "id": "bob" }),
        json!("a".repeat(256)),
        json!("a\u{0}b"),
        json!("a\u{7f}b"),
        json!("a\u{9f}b"),
    ];
    for owner in bad {
        check(&owner.to_string(), &alice.put(&path, json!({ "ownerId": owner })).await, INVALID, &["/ownerId"]);
    }
    check("nothing", &alice.put(&path, json!({})).await, INVALID, &["/ownerId"]);
    let both = alice.put(&path, json!({ "ownerType": "user" })).await;
    check("two faults", &both, INVALID, &["/ownerId", "/ownerType"]);
    check_status("255 characters", &alice.put(&path, json!({ "ownerId": "é".repeat(255) })).await, 200);
}

#[tokio::test]
async fn tags_are_an_array_of_tag_ids_and_every_bad_one_is_told() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let path = created.path("/tags");
    for tags in [json!("red"), json!(5), json!({ "0": "red" }), json!(true)] {
        check(&tags.to_string(), &alice.put(&path, json!({ "tags": tags })).await, INVALID, &["/tags"]);
    }
    check("nothing", &alice.put(&path, json!({})).await, INVALID, &["/tags"]);
    for tag in [
        json!(""),
        json!(5),
        Value::Null,
        json!(["a"]),
        json!("a b"),
        json!("é"),
        json!("a/b"),
        json!("a\n"),
        json!("a".repeat(65)),
    ] {
        let tags = json!({ "tags": ["red", tag, "blue"] });
        check(&tags.to_string(), &alice.put(&path, tags).await, INVALID, &["/tags/1"]);
    }
    let tags = json!({ "tags": ["", "red", 5, "a b"], "nope": 1 });
    check("many faults", &alice.put(&path, tags).await, INVALID, &["/tags/0", "/tags/2", "/tags/3", "/nope"]);
    check_status("64 characters", &alice.put(&path, json!({ "tags": ["a".repeat(64), "A.z_:-9"] })).await, 200);
}

/// So many tag ids.
fn tag_ids(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("tag-{at}")).collect()
}

#[tokio::test]
async fn an_integration_has_at_most_100_tags_each_counted_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let path = created.path("/tags");
    check("101", &alice.put(&path, json!({ "tags": tag_ids(101) })).await, INVALID, &["/tags"]);
    let and_more = alice.put(&path, json!({ "tags": tag_ids(101), "nope": 1 })).await;
    check("101 and another fault", &and_more, INVALID, &["/tags", "/nope"]);
    let twice = [tag_ids(100), tag_ids(100)].concat();
    let set = alice.put(&path, json!({ "tags": twice })).await.expect(200);
    assert_eq!(set.json()["tags"], json!(tag_ids(100)));
    let put = |tag: &str| alice.request("PUT", &format!("{path}/{tag}"));
    check("the 101st", &put("one-more").send().await, INVALID, &["path:tagId"]);
    check_status("one that it has", &put("tag-5").send().await, 200);
    check_status("room is made", &alice.delete(&format!("{path}/tag-5")).await, 204);
    check_status("and used", &put("one-more").send().await, 200);
}

/// Shares with so many users at once.
async fn share_with_many(alice: &Client, created: &Created, count: usize) {
    let requests: Vec<Request> =
        (0..count).map(|at| alice.request("PUT", &created.path(&format!("/shares/user-{at}")))).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for request in requests {
        tasks.spawn(request.send());
    }
    for answer in tasks.join_all().await {
        answer.expect(200);
    }
}

#[tokio::test]
async fn an_integration_has_at_most_200_shares() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    share_with_many(&alice, &created, 200).await;
    let put = |user: &str| alice.request("PUT", &created.path(&format!("/shares/{user}")));
    check("the 201st", &put("one-more").send().await, INVALID, &["path:principalId"]);
    let changed = put("user-7").json(&json!({ "accessLevel": 3 })).send().await.expect(200);
    assert_eq!(changed.json()["accessLevel"], 3, "a share that is there can be changed");
    check_status("room is made", &alice.delete(&created.path("/shares/user-7")).await, 204);
    check_status("and used", &put("one-more").send().await, 200);
}
