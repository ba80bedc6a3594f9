//! What a user or team reaches: who is told, what is listed, in which order, at which state.

use serde_json::{Value, json};

use super::harness::{ADMIN, AUDIT, Answer, CREATE, Client, Created, Server, encoded};

fn path(principal: &str) -> String {
    format!("/api/principals/{}/integrations", encoded(principal))
}

/// The names of the items with the level of each.
fn named(answer: &Answer) -> Vec<String> {
    let page = answer.json();
    let items = page["_embedded"]["inf:integration"].as_array().unwrap().clone();
    items.iter().map(|item| format!("{} {}", item["name"].as_str().unwrap(), item["accessLevel"])).collect()
}

async fn create(client: &Client, name: &str) -> Created {
    client.create(json!({ "name": name, "type": "custom" })).await
}

async fn share(client: &Client, created: &Created, principal: &str, level: u8) -> String {
    let answer = client.put(&created.path(&format!("/shares/{principal}")), json!({ "accessLevel": level })).await;
    answer.expect(200).header("integration-position").to_owned()
}

#[tokio::test]
async fn everything_that_a_principal_owns_or_is_shared_is_listed_with_his_level_whatever_happens_to_it() {
    let server = Server::start().await;
    let (alice, root) = (server.alice(), server.admin());
    let (one, two) = (create(&alice, "One").await, create(&alice, "Two").await);
    let inside = json!({ "name": "Inside", "type": "custom", "embedded": true, "libraryId": "lib" });
    let inside = alice.create(inside).await;
    share(&alice, &one, "bob", 1).await;
    share(&alice, &two, "bob", 2).await;
    let at = share(&alice, &inside, "team:crew", 3).await;
    let check = async |at: &str, expected: [&[&str]; 4]| {
        for (who, expected) in ["alice", "bob", "team:crew", "carol"].into_iter().zip(expected) {
            assert_eq!(named(&root.get_at(&path(who), at).await.expect(200)), expected, "{who}");
        }
    };
    check(&at, [&["Inside 3", "One 3", "Two 3"], &["One 1", "Two 2"], &["Inside 3"], &[]]).await;
    // A new name is shown to everybody, though the event of it names nobody.
    let renamed = alice.put(&one.path(""), json!({ "name": "zebra" })).await.expect(200);
    let at = renamed.header("integration-position");
    check(at, [&["Inside 3", "Two 3", "zebra 3"], &["Two 2", "zebra 1"], &["Inside 3"], &[]]).await;
    // The share of the new owner ends, and the old owner keeps nothing.
    let given = alice.put(&two.path("/owner"), json!({ "ownerId": "bob" })).await.expect(200);
    let at = given.header("integration-position");
    check(at, [&["Inside 3", "zebra 3"], &["Two 3", "zebra 1"], &["Inside 3"], &[]]).await;
    let at = share(&alice, &one, "bob", 3).await;
    check(&at, [&["Inside 3", "zebra 3"], &["Two 3", "zebra 3"], &["Inside 3"], &[]]).await;
    let dropped = alice.delete(&one.path("/shares/bob")).await.expect(204);
    let at = dropped.header("integration-position");
    check(at, [&["Inside 3", "zebra 3"], &["Two 3"], &["Inside 3"], &[]]).await;
    let deleted = alice.delete(&inside.path("")).await.expect(204);
    check(deleted.header("integration-position"), [&["zebra 3"], &["Two 3"], &[], &[]]).await;
}

#[tokio::test]
async fn an_item_shows_what_it_is_whose_it_is_and_what_the_principal_may_do() {
    let server = Server::start().await;
    let alice = server.alice();
    let slack = alice.create(json!({ "name": "Slack", "type": "slack", "description": "not in here" })).await;
    let at = share(&alice, &slack, "bob", 2).await;
    let page = server.bob().get_at(&path("bob"), &at).await.expect(200);
    assert_eq!(page.header("content-type"), "application/hal+json");
    assert_eq!(page.header("integration-position"), at);
    let item = json!({
        "_links": { "self": { "href": slack.path("") } },
        "id": slack.id, "name": "Slack", "slug": slack.slug, "type": "slack",
        "ownerId": "alice", "embedded": false, "accessLevel": 2,
    });
    let expected = json!({
        "_links": { "self": { "href": "/api/principals/bob/integrations" } },
        "_embedded": { "inf:integration": [item] }, "start": 0, "count": 1, "total": 1,
    });
    assert_eq!(page.json(), expected);
}

#[tokio::test]
async fn only_the_user_members_of_the_team_and_admins_are_told_and_nobody_else_learns_who_exists() {
    let server = Server::start().await;
    let alice = server.alice();
    let slack = create(&alice, "Slack").await;
    share(&alice, &slack, "team:crew", 1).await;
    let at = share(&alice, &slack, "bob", 1).await;
    let member = server.client(json!({ "sub": "dave", "tenant": "acme", "groups": ["team:crew"] }));
    let told = [(&alice, "alice"), (&server.bob(), "bob"), (&member, "team:crew"), (&server.admin(), "bob")];
    for (client, who) in told {
        assert_eq!(named(&client.get_at(&path(who), &at).await.expect(200)).len(), 1, "{who}");
    }
    assert_eq!(named(&member.get(&path("dave")).await.expect(200)), [""; 0]);
    // Not for another: not for who shares with him, nor for who is his team's, nor for who reads the whole history.
    let auditor = server.user_with("auditor", &[AUDIT, CREATE]);
    let lookalike = server.client(json!({ "sub": "crew", "tenant": "acme", "groups": ["team:Crew", "bo"] }));
    for client in [&alice, &member, &auditor, &lookalike, &server.user("eve")] {
        let mut bodies = Vec::new();
        for who in ["bob", "nobody-has-heard-of", "team:nobody"] {
            let refused = client.get(&path(who)).await.expect_problem(404, "not-found");
            bodies.push(refused.text());
        }
        assert!(bodies.windows(2).all(|two| two[0] == two[1]), "{bodies:?}");
    }
    // The same answer before anything else that is wrong with the request.
    let eve = server.user("eve");
    for (query, position) in [("?nope=1", "x"), ("?limit=0", "ffffffffffffffff")] {
        let request = eve.request("GET", &format!("{}{query}", path("bob"))).header("integration-position", position);
        request.send().await.expect_problem(404, "not-found");
    }
    let request = server.bob().request("GET", &path("bob")).header("integration-position", "x");
    request.send().await.expect_problem(400, "invalid-parameter");
    server.bob().get(&format!("{}?nope=1", path("bob"))).await.expect_problem(400, "invalid-parameter");
    for no_principal in ["a\u{7}b", &"x".repeat(256)] {
        server.admin().get(&path(no_principal)).await.expect_problem(404, "not-found");
    }
    // A name that means somebody in another tenant means nobody of his here.
    let other = server.other_tenant();
    assert_eq!(named(&other.get_at(&path("alice"), &at).await.expect(200)), [""; 0]);
}

#[tokio::test]
async fn a_principal_is_meant_by_his_exact_name_however_it_is_spelt_in_the_path() {
    let server = Server::start().await;
    let alice = server.alice();
    let slack = create(&alice, "Slack").await;
    let mut at = String::new();
    let odd = ["team:a/b", "team:100%", "team:caf\u{e9}", "a b", "?x=1"];
    for who in odd {
        let shares = path(who).replace("/api/principals/", "").replace("/integrations", "");
        let answer = alice.put(&slack.path(&format!("/shares/{shares}")), json!({ "accessLevel": 1 })).await;
        answer.expect(200).header("integration-position").clone_into(&mut at);
    }
    for who in odd {
        let page = server.admin().get_at(&path(who), &at).await.expect(200);
        assert_eq!(named(&page), ["Slack 1"], "{who}");
        // Where its links lead, the same is.
        let page = page.json();
        let again = page["_links"]["self"]["href"].as_str().unwrap();
        assert_eq!(server.admin().get(again).await.expect(200).json(), page, "{who}");
    }
    for who in ["team:a", "team:100", "team:cafe", "team:a%2Fb", "a", "*"] {
        assert_eq!(named(&server.admin().get(&path(who)).await.expect(200)), [""; 0], "{who}");
    }
}

/// Everything that the pages of a list hold, one after the other.
async fn pages(client: &Client, first: &str) -> (Vec<String>, usize) {
    let (mut next, mut found, mut pages) = (Some(first.to_owned()), Vec::new(), 0);
    while let Some(path) = next {
        let answer = client.get(&path).await.expect(200);
        found.extend(named(&answer));
        let page: Value = answer.json();
        next = page["_links"]["next"]["href"].as_str().map(str::to_owned);
        pages += 1;
    }
    (found, pages)
}

#[tokio::test]
async fn the_list_is_paged_and_sorted_like_the_others() {
    let server = Server::start().await;
    let alice = server.alice();
    let mut at = String::new();
    for name in ["delta", "Bravo", "charlie", "Alpha", "\u{c4}rger"] {
        at = create(&alice, name).await.position;
    }
    let by_name = ["Alpha 3", "Bravo 3", "charlie 3", "delta 3", "\u{c4}rger 3"];
    let list = path("alice");
    assert_eq!(named(&alice.get_at(&list, &at).await.expect(200)), by_name);
    assert_eq!(pages(&alice, &format!("{list}?limit=2")).await, (by_name.map(str::to_owned).to_vec(), 3));
    let backwards: Vec<_> = by_name.into_iter().rev().map(str::to_owned).collect();
    assert_eq!(pages(&alice, &format!("{list}?limit=4&sort=-name")).await, (backwards, 2));
    let made = ["delta 3", "Bravo 3", "charlie 3", "Alpha 3", "\u{c4}rger 3"];
    assert_eq!(named(&alice.get(&format!("{list}?sort=createdAt")).await.expect(200)), made);
    let beyond = alice.get(&format!("{list}?start=9")).await.expect(200).json();
    assert_eq!((&beyond["count"], &beyond["total"], &beyond["start"]), (&json!(0), &json!(5), &json!(9)));
    assert_eq!(beyond["_embedded"]["inf:integration"], json!([]));
}

#[tokio::test]
async fn a_tag_ends_with_every_change_of_what_the_list_shows() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let slack = create(&alice, "Slack").await;
    let mut at = share(&alice, &slack, "bob", 1).await;
    let (mut tags, list) = (std::collections::BTreeSet::new(), path("bob"));
    for step in 0..4 {
        let now = bob.get_at(&list, &at).await.expect(200);
        let tag = now.header("etag").to_owned();
        let has = bob.request("GET", &list).header("if-none-match", &tag).send().await.expect(304);
        assert_eq!((has.header("etag"), has.header("integration-position")), (tag.as_str(), at.as_str()));
        assert!(tags.insert(tag), "step {step}");
        at = match step {
            // Which the first view alone sees,
            0 => alice.put(&slack.path(""), json!({ "name": "Slick" })).await.expect(200),
            // and which both do.
            1 => alice.put(&slack.path("/shares/bob"), json!({ "accessLevel": 2 })).await.expect(200),
            _ => alice.put(&slack.path("/shares/carol"), json!({ "accessLevel": step })).await.expect(200),
        }
        .header("integration-position")
        .to_owned();
    }
    // The same list of another principal, and for somebody else, has a tag of its own.
    let root = server.admin();
    for (client, who) in [(&bob, "bob"), (&root, "bob"), (&root, "alice"), (&alice, "alice")] {
        let answer = client.get_at(&path(who), &at).await.expect(200);
        assert!(tags.insert(answer.header("etag").to_owned()), "{who}");
    }
}

#[tokio::test]
async fn a_read_waits_until_both_views_are_there_and_not_longer_than_it_may() {
    let server = Server::start().await;
    let alice = server.alice();
    for number in 0..50 {
        let created = create(&alice, &format!("Number {number}")).await;
        let answer = alice.get_at(&path("alice"), &created.position).await.expect(200);
        assert_eq!(
            (answer.json()["total"].clone(), answer.header("integration-position")),
            (json!(number + 1), created.position.as_str())
        );
        assert_eq!(answer.header("preference-applied"), "wait=10");
    }
    let never = alice.request("GET", &path("alice")).header("integration-position", "7fffffffffffffff");
    never.header("prefer", "wait=0").send().await.expect_problem(503, "not-yet-visible").header("retry-after");
    let admin = server.user_with("root", &[ADMIN]);
    assert_eq!(admin.request("HEAD", &path("alice")).send().await.expect(200).body, b"");
}
