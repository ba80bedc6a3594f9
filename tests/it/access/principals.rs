//! Whom a name means: users and teams, each as an exact string, and what a token's permissions add.

use serde_json::{Value, json};

use super::super::harness::{ADMIN, AUDIT, CREATE, Client, Created, Server, encoded};

async fn shared(server: &Server, shares: &[(&str, u8)]) -> Created {
    let alice = server.alice();
    let mut created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    for (principal, level) in shares {
        let answer = alice.put(&created.path(&share_of(principal)), json!({ "accessLevel": level })).await.expect(200);
        created.position = answer.header("integration-position").to_owned();
    }
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    created
}

/// The path of a share, with every byte encoded that may be.
fn share_of(principal: &str) -> String {
    format!("/shares/{}", encoded(principal))
}

async fn level(client: &Client, created: &Created) -> Option<u64> {
    let answer = client.get_at(&created.path("/access"), &created.position).await;
    (answer.status == 200).then(|| answer.json()["level"].as_u64().unwrap())
}

#[tokio::test]
async fn a_group_is_no_other_group_however_alike_it_looks() {
    let server = Server::start().await;
    let created = shared(&server, &[("team:caf\u{e9}", 1), ("team:a/b", 1), ("team:100%", 1)]).await;
    let as_member = |group: &str| server.client(json!({ "sub": "carol", "tenant": "acme", "groups": [group] }));
    for group in ["team:caf\u{e9}", "team:a/b", "team:100%"] {
        assert_eq!(level(&as_member(group), &created).await, Some(1), "{group}");
    }
    // Another composition of the same letters, encoded forms, parts, patterns and other prefixes.
    let others = [
        "team:cafe\u{301}",
        "team:CAF\u{c9}",
        "caf\u{e9}",
        "team:team:caf\u{e9}",
        "Team:caf\u{e9}",
        "team:a%2Fb",
        "team:a",
        "team:a/",
        "team:*",
        "team:100%25",
        "team:100",
        "*",
    ];
    for group in others {
        assert_eq!(level(&as_member(group), &created).await, None, "{group}");
    }
}

#[tokio::test]
async fn a_user_is_not_the_team_of_his_name() {
    let server = Server::start().await;
    let created = shared(&server, &[("team:bob", 3)]).await;
    assert_eq!(level(&server.bob(), &created).await, None);
    server.client(json!({ "sub": "team:bob", "tenant": "acme" })).get("/api/me").await.expect(401);
}

#[tokio::test]
async fn permissions_are_compared_as_exact_strings_and_are_no_groups() {
    let server = Server::start().await;
    let created = shared(&server, &[(ADMIN, 1)]).await;
    for permission in ["permission.integrations.Admin", "permission.integrations.*", "permission.integrations", "admin"]
    {
        let dave = server.user_with("dave", &[permission]);
        assert_eq!(level(&dave, &created).await, None, "{permission}");
        dave.post("/api/integrations", json!({ "name": "No", "type": "custom" }))
            .await
            .expect_problem(403, "not-permitted");
    }
    // A share to a name that reads like a permission is one to a team, and a team of that name is no permission.
    let member = server.client(json!({ "sub": "dave", "tenant": "acme", "groups": [ADMIN, CREATE] }));
    assert_eq!(level(&member, &created).await, Some(1));
    member.post("/api/integrations", json!({ "name": "No", "type": "custom" })).await.expect(403);
}

#[tokio::test]
async fn neither_create_nor_audit_raises_a_level() {
    let server = Server::start().await;
    let created = shared(&server, &[("bob", 1)]).await;
    for permissions in [&[CREATE][..], &[AUDIT], &[CREATE, AUDIT]] {
        let bob = server.user_with("bob", permissions);
        assert_eq!(level(&bob, &created).await, Some(1), "{permissions:?}");
        bob.put(&created.path(""), json!({ "name": "Mine" })).await.expect_problem(403, "not-permitted");
    }
    assert_eq!(level(&server.user_with("bob", &[ADMIN]), &created).await, Some(3));
}

#[tokio::test]
async fn who_creates_owns_what_he_made_and_nothing_else() {
    let server = Server::start().await;
    let others = shared(&server, &[]).await;
    let creator = server.user_with("creator", &[CREATE]);
    let own = creator.create(json!({ "name": "Own", "type": "custom" })).await;
    assert_eq!(level(&creator, &own).await, Some(3));
    assert_eq!(level(&creator, &others).await, None);
    let list = creator.get("/api/integrations").await.expect(200).json();
    assert_eq!((&list["total"], &list["_embedded"]["inf:integration"][0]["id"]), (&json!(1), &json!(own.id)));
    // It stays his when the permission is gone.
    assert_eq!(level(&server.user("creator"), &own).await, Some(3));
}

#[tokio::test]
async fn each_level_that_is_raised_allows_more_at_once() {
    let server = Server::start().await;
    let created = shared(&server, &[("bob", 1)]).await;
    let (alice, bob) = (server.alice(), server.bob());
    let share = created.path("/shares/bob");
    let raise = |level: u8| alice.put(&share, json!({ "accessLevel": level }));
    let (tag, other_share) = (created.path("/tags/a"), created.path("/shares/carol"));
    bob.request("PUT", &tag).send().await.expect(403);
    raise(2).await.expect(200);
    bob.request("PUT", &tag).send().await.expect(200);
    bob.request("PUT", &other_share).send().await.expect(403);
    raise(3).await.expect(200);
    bob.request("PUT", &other_share).send().await.expect(200);
    raise(1).await.expect(200);
    bob.delete(&tag).await.expect(403);
}

#[tokio::test]
async fn one_may_drop_the_share_of_ones_user_name_and_not_that_of_a_group_of_any_name() {
    let server = Server::start().await;
    let created = shared(&server, &[("bob", 1), ("writer", 2), ("readers", 1)]).await;
    // He reads through a group that has a user's name.
    let member = server.client(json!({ "sub": "carol", "tenant": "acme", "groups": ["bob"] }));
    assert_eq!(level(&member, &created).await, Some(1));
    member.delete(&created.path("/shares/bob")).await.expect_problem(403, "not-permitted");
    // His own share, which is not there: he may drop it, and there is none.
    member.delete(&created.path("/shares/carol")).await.expect_problem(404, "not-found");
    let writer = server.client(json!({ "sub": "writer", "tenant": "acme", "groups": ["readers"] }));
    writer.delete(&created.path("/shares/readers")).await.expect_problem(403, "not-permitted");
    writer.delete(&created.path("/shares/writer")).await.expect(204);
    server
        .bob()
        .put(&created.path("/shares/bob"), json!({ "accessLevel": 1 }))
        .await
        .expect_problem(403, "not-permitted");
    let dropped = server.bob().delete(&created.path("/shares/bob")).await.expect(204);
    let created = Created { position: dropped.header("integration-position").to_owned(), ..created };
    assert_eq!(level(&server.bob(), &created).await, None);
    assert_eq!(level(&writer, &created).await, Some(1));
}

#[tokio::test]
async fn an_old_owner_keeps_what_is_shared_with_a_team_of_his() {
    let server = Server::start().await;
    let created = shared(&server, &[("team:a", 1)]).await;
    let alice = server.client(json!({ "sub": "alice", "tenant": "acme", "groups": ["team:a"] }));
    let moved = alice.put(&created.path("/owner"), json!({ "ownerId": "bob" })).await.expect(200);
    let created = Created { position: moved.header("integration-position").to_owned(), ..created };
    assert_eq!(level(&alice, &created).await, Some(1));
    assert_eq!(level(&server.alice(), &created).await, None);
    alice.put(&created.path("/owner"), json!({ "ownerId": "alice" })).await.expect_problem(403, "not-permitted");
}

#[tokio::test]
async fn a_team_that_becomes_owner_loses_its_share_and_gives_each_member_level_3() {
    let server = Server::start().await;
    let created = shared(&server, &[("team:a", 1)]).await;
    let moved = server.alice().put(&created.path("/owner"), json!({ "ownerId": "team:a" })).await.expect(200);
    let created = Created { position: moved.header("integration-position").to_owned(), ..created };
    let member = |user: &str| server.client(json!({ "sub": user, "tenant": "acme", "groups": ["team:a"] }));
    for user in ["bob", "carol"] {
        assert_eq!(level(&member(user), &created).await, Some(3), "{user}");
    }
    let owner = member("bob").get(&created.path("/owner")).await.expect(200).json();
    assert_eq!(owner, json!({ "ownerId": "team:a", "ownerType": "team" }));
    assert_eq!(member("bob").get(&created.path("/shares")).await.expect(200).json()["total"], 0);
    // A member can give it away; then it is gone for the team.
    member("bob").put(&created.path("/owner"), json!({ "ownerId": "carol" })).await.expect(200);
    member("bob").delete(&created.path("")).await.expect_problem(404, "not-found");
    server.user("carol").delete(&created.path("")).await.expect(204);
}

#[tokio::test]
async fn an_owner_is_compared_as_an_exact_string() {
    let server = Server::start().await;
    let admin = server.admin();
    let created = admin.create(json!({ "name": "Slack", "type": "slack" })).await;
    let owned_by = async |owner: &str| {
        let moved = admin.put(&created.path("/owner"), json!({ "ownerId": owner })).await.expect(200);
        Created { position: moved.header("integration-position").to_owned(), ..created.clone() }
    };
    let as_member = |group: &str| server.client(json!({ "sub": "carol", "tenant": "acme", "groups": [group] }));
    let by_team = owned_by("team:bob").await;
    assert_eq!(level(&as_member("team:bob"), &by_team).await, Some(3));
    for group in ["team:Bob", "team:bo", "team:bobs", "team:bob ", "bob", "Team:bob", "team:"] {
        assert_eq!(level(&as_member(group), &by_team).await, None, "{group}");
    }
    assert_eq!(level(&server.bob(), &by_team).await, None);
    let by_user = owned_by("bob").await;
    assert_eq!(level(&server.bob(), &by_user).await, Some(3));
    // User and group names share one space.
    assert_eq!(level(&as_member("bob"), &by_user).await, Some(3));
    for client in [server.user("Bob"), server.user("bo"), as_member("team:bob"), as_member("BOB")] {
        assert_eq!(level(&client, &by_user).await, None);
    }
}

#[tokio::test]
async fn owners_of_any_characters_are_shown_filtered_and_linked_as_they_are() {
    let server = Server::start().await;
    let admin = server.admin();
    for owner in ["team:a/b", "j\u{fc}rgen m", "100%", "a%2Fb", "a+b", "a&b=c", "\u{1f600}"] {
        let created = admin.create(json!({ "name": "Slack", "type": "slack" })).await;
        let moved = admin.put(&created.path("/owner"), json!({ "ownerId": owner })).await.expect(200);
        assert_eq!(moved.json()["ownerId"], owner);
        let position = moved.header("integration-position").to_owned();
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("ownerId", owner).finish();
        let list = admin.get_at(&format!("/api/integrations?{query}&limit=1"), &position).await.expect(200).json();
        assert_eq!((&list["total"], &list["_embedded"]["inf:integration"][0]["id"]), (&json!(1), &json!(created.id)));
        // The link leads to the same page.
        let href = list["_links"]["self"]["href"].as_str().unwrap();
        assert_eq!(admin.get(href).await.expect(200).json(), list, "{owner}");
    }
}

#[tokio::test]
async fn shares_of_any_characters_are_in_every_list_as_they_are() {
    let server = Server::start().await;
    let principals = ["100%", "a b", "a%2Fb", "a/b", "a?b#c", "j\u{fc}rgen", "team:", "team:x/y", "\u{1f600}"];
    let shares = principals.map(|principal| (principal, 2));
    let created = shared(&server, &shares).await;
    let alice = server.alice();
    let list = alice.get(&created.path("/shares")).await.expect(200).json();
    let items = list["_embedded"]["inf:integration-share"].as_array().unwrap();
    let ids = |items: &[Value]| items.iter().map(|item| item["principalId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(items), principals);
    for item in items {
        let id = item["principalId"].as_str().unwrap();
        let (kind, name) = id.strip_prefix("team:").map_or(("user", id), |name| ("team", name));
        assert_eq!(item["principal"], json!({ "id": id, "name": name, "type": kind }));
        let one = alice.get(&created.path(&share_of(id))).await.expect(200).json();
        assert_eq!((&one["principalId"], &one["accessLevel"]), (&json!(id), &json!(2)));
    }
    let flat = alice.get("/api/integrations-list").await.expect(200).json();
    let sharing = principals.map(|principal| json!({ "principalId": principal, "accessLevel": 2 }));
    assert_eq!(flat[0]["sharing"], json!(sharing));
    // What is encoded twice is another name.
    alice.get(&created.path("/shares/a%252520b")).await.expect_problem(404, "not-found");
    let twice = alice.delete(&created.path("/shares/a%252Fb")).await.expect(204);
    let left = alice.get_at(&created.path("/shares"), twice.header("integration-position")).await.expect(200).json();
    let left = ids(left["_embedded"]["inf:integration-share"].as_array().unwrap());
    assert!(left.contains(&json!("a/b")) && !left.contains(&json!("a%2Fb")), "{left:?}");
}
