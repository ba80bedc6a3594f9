//! What levels, groups, ownership and permissions mean.

use serde_json::json;

use super::super::harness::{ADMIN, AUDIT, CREATE, Client, Created, Server};

async fn shared(server: &Server, shares: &[(&str, u8)]) -> Created {
    let alice = server.alice();
    let mut created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    for (principal, level) in shares {
        let path = created.path(&format!("/shares/{}", principal.replace(' ', "%20")));
        let answer = alice.put(&path, json!({ "accessLevel": level })).await.expect(200);
        created.position = answer.header("integration-position").to_owned();
    }
    created
}

async fn level(client: &Client, created: &Created) -> Option<u64> {
    let answer = client.get_at(&created.path("/access"), &created.position).await;
    (answer.status == 200).then(|| answer.json()["level"].as_u64().unwrap())
}

#[tokio::test]
async fn the_highest_of_several_levels_counts() {
    let server = Server::start().await;
    let created = shared(&server, &[("bob", 1), ("team:a", 2), ("team:b", 1)]).await;
    let with = |groups: &[&str]| server.client(json!({ "sub": "bob", "tenant": "acme", "groups": groups }));
    assert_eq!(level(&with(&[]), &created).await, Some(1));
    assert_eq!(level(&with(&["team:b"]), &created).await, Some(1));
    assert_eq!(level(&with(&["team:b", "team:a"]), &created).await, Some(2));
    assert_eq!(level(&server.alice(), &created).await, Some(3));
    assert_eq!(level(&server.admin(), &created).await, Some(3));
}

#[tokio::test]
async fn groups_and_users_are_compared_as_exact_strings() {
    let server = Server::start().await;
    let created = shared(&server, &[("team:a", 1), ("Bob", 1), ("a b", 1)]).await;
    let as_member = |group: &str| server.client(json!({ "sub": "carol", "tenant": "acme", "groups": [group] }));
    assert_eq!(level(&as_member("team:a"), &created).await, Some(1));
    for group in ["team:A", "team:a ", " team:a", "a", "team:", "team:ab", "bob"] {
        assert_eq!(level(&as_member(group), &created).await, None, "{group}");
    }
    assert_eq!(level(&server.user("Bob"), &created).await, Some(1));
    assert_eq!(level(&server.user("bob"), &created).await, None);
    assert_eq!(level(&server.user("a b"), &created).await, Some(1));
    // User and group names share one space.
    assert_eq!(level(&as_member("Bob"), &created).await, Some(1));
}

#[tokio::test]
async fn another_level_takes_effect_and_an_ended_share_ends_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let mut created = shared(&server, &[("bob", 3)]).await;
    assert_eq!(level(&bob, &created).await, Some(3));
    let lowered = alice.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    created.position = lowered.header("integration-position").to_owned();
    assert_eq!(level(&bob, &created).await, Some(1));
    bob.put(&created.path(""), json!({ "name": "Mine" })).await.expect_problem(403, "not-permitted");
    let ended = alice.delete(&created.path("/shares/bob")).await.expect(204);
    created.position = ended.header("integration-position").to_owned();
    assert_eq!(level(&bob, &created).await, None);
    bob.put(&created.path(""), json!({ "name": "Mine" })).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn the_old_owner_keeps_nothing_and_the_new_owners_share_ends() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let mut created = shared(&server, &[("bob", 1), ("carol", 1)]).await;
    let moved = alice.put(&created.path("/owner"), json!({ "ownerId": "bob" })).await.expect(200);
    assert_eq!(moved.json()["ownerId"], "bob");
    created.position = moved.header("integration-position").to_owned();
    assert_eq!(level(&alice, &created).await, None);
    assert_eq!(level(&bob, &created).await, Some(3));
    let shares = bob.get(&created.path("/shares")).await.expect(200).json();
    assert_eq!(shares["total"], 1);
    assert_eq!(shares["_embedded"]["inf:integration-share"][0]["principalId"], "carol");
    let owner = server.user("carol").get(&created.path("/owner")).await.expect(200);
    assert_eq!(owner.json(), json!({ "ownerId": "bob", "ownerType": "user" }));
}

#[tokio::test]
async fn the_share_of_ones_own_user_name_may_be_dropped_and_no_other() {
    let server = Server::start().await;
    let created = shared(&server, &[("bob", 1), ("carol", 1), ("team:a", 1)]).await;
    let bob = server.client(json!({ "sub": "bob", "tenant": "acme", "groups": ["team:a"] }));
    bob.delete(&created.path("/shares/carol")).await.expect_problem(403, "not-permitted");
    bob.delete(&created.path("/shares/team:a")).await.expect_problem(403, "not-permitted");
    bob.delete(&created.path("/shares/bob")).await.expect(204);
    // He still sees it through his team; his own share is gone.
    bob.delete(&created.path("/shares/bob")).await.expect_problem(404, "not-found");
    let member = server.client(json!({ "sub": "dave", "tenant": "acme", "groups": ["team:a"] }));
    member.delete(&created.path("/shares/team:a")).await.expect_problem(403, "not-permitted");
}

#[tokio::test]
async fn lists_show_to_each_only_what_he_may_read() {
    let server = Server::start().await;
    let alice = server.alice();
    let mine = alice.create(json!({ "name": "Mine", "type": "custom" })).await;
    let shared = shared(&server, &[("bob", 1), ("team:a", 2)]).await;
    let embedded =
        alice.create(json!({ "name": "Embedded", "type": "custom", "embedded": true, "libraryId": "lib" })).await;
    let names = |client: Client, position: String| async move {
        let list = client.get_at("/api/integrations", &position).await.expect(200).json();
        let flat = client.get("/api/integrations-list").await.expect(200).json();
        let items = list["_embedded"]["inf:integration"].as_array().unwrap().clone();
        let of_list: Vec<_> = items.iter().map(|item| item["id"].clone()).collect();
        let of_flat: Vec<_> = flat.as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        assert_eq!(of_list, of_flat);
        assert_eq!(list["total"], of_list.len());
        let library = client.get("/api/libraries/lib/integrations").await.expect(200).json();
        (of_list, library["total"].as_u64().unwrap())
    };
    let at = &embedded.position;
    let member = server.client(json!({ "sub": "carol", "tenant": "acme", "groups": ["team:a"] }));
    assert_eq!(names(alice.clone(), at.clone()).await, (vec![json!(mine.id), json!(shared.id)], 1));
    assert_eq!(names(server.admin(), at.clone()).await, (vec![json!(mine.id), json!(shared.id)], 1));
    assert_eq!(names(server.bob(), at.clone()).await, (vec![json!(shared.id)], 0));
    assert_eq!(names(member, at.clone()).await, (vec![json!(shared.id)], 0));
    for permissions in [vec![], vec![CREATE], vec![AUDIT]] {
        assert_eq!(names(server.user_with("dave", &permissions), at.clone()).await, (vec![], 0), "{permissions:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_may_not_be_seen_are_answered_alike() {
    let server = Server::start().await;
    let created = shared(&server, &[]).await;
    let bob = server.bob();
    let absent = "/api/integrations/01a20cb8-af5f-7247-90f0-09771fc0c36d";
    for rest in ["", "/icon", "/shares", "/shares/x", "/owner", "/tags", "/access", "/history", "/account"] {
        let invisible = bob.get_at(&created.path(rest), &created.position).await.expect(404);
        let nothing = bob.get(&format!("{absent}{rest}")).await.expect(404);
        assert_eq!(invisible.body, nothing.body, "{rest}");
        let by_slug = bob.get(&format!("/api/integrations/{}{rest}", created.slug)).await.expect(404);
        assert_eq!(by_slug.body, nothing.body, "{rest}");
    }
    for method in ["PUT", "DELETE"] {
        let invisible = bob.request(method, &created.path("")).json(&json!({ "nmae": 1 })).send().await.expect(404);
        let nothing = bob.request(method, absent).json(&json!({ "nmae": 1 })).send().await.expect(404);
        assert_eq!(invisible.body, nothing.body, "{method}");
    }
}

#[tokio::test]
async fn principals_of_any_characters_go_through_paths_bodies_and_lists() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let principals =
        [("team:a/b", "team:a%2Fb"), ("j\u{fc}rgen m", "j%C3%BCrgen%20m"), ("100%", "100%25"), ("a?b#c", "a%3Fb%23c")];
    let mut position = String::new();
    for (principal, encoded) in principals {
        let share =
            alice.put(&created.path(&format!("/shares/{encoded}")), json!({ "accessLevel": 2 })).await.expect(200);
        assert_eq!(share.json()["principalId"], principal);
        position = share.header("integration-position").to_owned();
        let read = alice.get_at(&created.path(&format!("/shares/{encoded}")), &position).await.expect(200);
        assert_eq!(read.json()["principalId"], principal);
    }
    let shares = alice.get_at(&created.path("/shares"), &position).await.expect(200).json();
    let items = shares["_embedded"]["inf:integration-share"].as_array().unwrap();
    let team = items.iter().find(|item| item["principalId"] == "team:a/b").unwrap();
    assert_eq!(team["principal"], json!({ "id": "team:a/b", "name": "a/b", "type": "team" }));
    let user = items.iter().find(|item| item["principalId"] == "100%").unwrap();
    assert_eq!(user["principal"], json!({ "id": "100%", "name": "100%", "type": "user" }));
    assert_eq!(server.user("100%").get(&created.path("/access")).await.expect(200).json()["level"], 2);
    for (_, encoded) in principals {
        alice.delete(&created.path(&format!("/shares/{encoded}"))).await.expect(204);
    }
}

#[tokio::test]
async fn principals_of_any_characters_own_filter_and_stand_in_links() {
    let server = Server::start().await;
    let (alice, admin) = (server.alice(), server.admin());
    let principals = [
        ("team:a/b", "team%3Aa%2Fb"),
        ("j\u{fc}rgen m", "j%C3%BCrgen+m"),
        ("100%", "100%25"),
        ("a&b=c+d", "a%26b%3Dc%2Bd"),
    ];
    for (principal, encoded) in principals {
        let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
        let shared = json!({ "accessLevel": 2 });
        let path = created.path(&format!("/shares/{}", encoded.replace('+', "%20")));
        let share = alice.put(&path, shared).await.expect(200);
        let flat =
            admin.get_at("/api/integrations-list", share.header("integration-position")).await.expect(200).json();
        let item = flat.as_array().unwrap().iter().find(|item| item["id"] == created.id).unwrap();
        assert_eq!(item["sharing"], json!([{ "principalId": principal, "accessLevel": 2 }]));
        let moved = alice.put(&created.path("/owner"), json!({ "ownerId": principal })).await.expect(200);
        assert_eq!(moved.json()["ownerId"], principal);
        let at = moved.header("integration-position");
        let list = admin.get_at(&format!("/api/integrations?ownerId={encoded}"), at).await.expect(200).json();
        assert_eq!((&list["total"], &list["_embedded"]["inf:integration"][0]["id"]), (&json!(1), &json!(created.id)));
        let link = list["_links"]["self"]["href"].as_str().unwrap();
        assert_eq!(admin.get(link).await.expect(200).json(), list);
    }
}

#[tokio::test]
async fn an_admin_may_do_everything_in_his_tenant_without_a_share() {
    let server = Server::start().await;
    let created = shared(&server, &[]).await;
    let admin = server.user_with("root", &[ADMIN]);
    admin.put(&created.path(""), json!({ "name": "Renamed" })).await.expect(200);
    admin.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    admin.put(&created.path("/owner"), json!({ "ownerId": "bob" })).await.expect(200);
    admin.create(json!({ "name": "Own", "type": "custom" })).await;
    admin.delete(&created.path("")).await.expect(204);
}
